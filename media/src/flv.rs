//! What an RTMP publisher's audio and video messages hold: FLV tag bodies in, configurations and frames out.
#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::cast_possible_truncation)
)]

mod names;
mod timeline;

use bytes::Bytes;

use crate::codec::{aac, avc};
use crate::cursor::Cursor;
use crate::{Config, Error, Event, Frame, Result, Track};
use timeline::Timeline;

/// Turns the audio and video messages of one publisher into configurations and frames.
///
/// A message with an error changes nothing: after [`Error::Malformed`] the next message may be given, whereas
/// [`Error::UnsupportedCodec`] would come again for every message of that track.
#[derive(Debug, Default)]
pub struct Demuxer {
    timeline: Timeline,
    video: Option<Video>,
    audio: Option<aac::Config>,
    faults: Faults,
}

/// What a publisher did wrong and was put right, since the beginning.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Faults {
    /// Timestamps that went back, or forward by more than ten seconds, and were re-based onto the track's last.
    pub jumps: u64,
    /// Timestamps a little before the track's last, raised to it.
    pub steps_back: u64,
    /// Frames that came before the configuration of their track and were dropped.
    pub early_frames: u64,
}

impl Demuxer {
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the body of a video message (Adobe FLV 10.1 §E.4.3) and its timestamp in milliseconds. Frames hold a
    /// slice of `body` when the publisher uses 4-byte NAL unit lengths, as every known encoder does.
    ///
    /// # Errors
    /// [`Error::UnsupportedCodec`] for anything but H.264, enhanced RTMP's FourCC bodies included;
    /// [`Error::Malformed`] for damage.
    pub fn video(&mut self, timestamp_ms: u32, body: Bytes) -> Result<Option<Event>> {
        let mut cursor = Cursor::new("FLV video message", &body);
        if cursor.is_empty() {
            return Ok(None);
        }
        let head = cursor.u8()?;
        if head & EX_HEADER != 0 {
            return Err(names::enhanced_video(head, cursor));
        }
        if head >> 4 == COMMAND_FRAME {
            return Ok(None);
        }
        if head & 0x0f != AVC {
            return Err(names::video(head & 0x0f));
        }
        let packet_type = cursor.u8()?;
        let composition_ms = signed_24(cursor.u24()?);
        let payload = body.slice(cursor.position()..);
        match packet_type {
            SEQUENCE_HEADER => self.video_config(&payload),
            CODED => self.picture(timestamp_ms, composition_ms, &payload),
            END_OF_SEQUENCE => Ok(None),
            _ => Err(cursor.malformed("the AVC packet type is unknown")),
        }
    }

    /// Takes the body of an audio message (Adobe FLV 10.1 §E.4.2) and its timestamp in milliseconds.
    ///
    /// # Errors
    /// [`Error::UnsupportedCodec`] for anything but AAC, [`Error::Malformed`] for damage.
    pub fn audio(&mut self, timestamp_ms: u32, body: Bytes) -> Result<Option<Event>> {
        let mut cursor = Cursor::new("FLV audio message", &body);
        if cursor.is_empty() {
            return Ok(None);
        }
        let head = cursor.u8()?;
        match head >> 4 {
            AAC => {}
            ENHANCED_AUDIO => return Err(names::enhanced_audio(head, cursor)),
            other => return Err(names::audio(other)),
        }
        // Some encoders send the head alone while they have no sound.
        if cursor.is_empty() {
            return Ok(None);
        }
        let packet_type = cursor.u8()?;
        let payload = body.slice(cursor.position()..);
        match packet_type {
            SEQUENCE_HEADER => self.audio_config(&payload),
            CODED if payload.is_empty() => Ok(None),
            CODED => Ok(self.sound(timestamp_ms, payload)),
            _ => Err(cursor.malformed("the AAC packet type is unknown")),
        }
    }

    /// What was put right so far.
    pub fn faults(&self) -> Faults {
        self.faults
    }

    fn video_config(&mut self, record: &Bytes) -> Result<Option<Event>> {
        let video = Video { config: avc::Config::parse(record)?, length_size: avc::length_size(record)? };
        let old = self.video.replace(video.clone());
        let changed = old.is_none_or(|old| old.config != video.config);
        Ok(changed.then_some(Event::Config(Config::Avc(video.config))))
    }

    fn audio_config(&mut self, specific: &Bytes) -> Result<Option<Event>> {
        let config = aac::Config::parse(specific)?;
        let old = self.audio.replace(config.clone());
        Ok((old.as_ref() != Some(&config)).then_some(Event::Config(Config::Aac(config))))
    }

    fn picture(&mut self, timestamp_ms: u32, composition_ms: i64, payload: &Bytes) -> Result<Option<Event>> {
        let Some(video) = &self.video else {
            self.faults.early_frames = self.faults.early_frames.saturating_add(1);
            return Ok(None);
        };
        if payload.is_empty() {
            return Ok(None);
        }
        if composition_ms > MAX_COMPOSITION_MS {
            return Err(Error::Malformed {
                format: "FLV video message",
                offset: 2,
                problem: "the composition time is more than ten seconds",
            });
        }
        let data = avc::normalise(payload, video.length_size)?;
        let time = self.timeline.place(Track::Video, timestamp_ms, &mut self.faults);
        let pts = time.intended_ms.saturating_add(composition_ms);
        Ok(Some(Event::Frame(
            Track::Video,
            Frame {
                dts: ticks(time.dts_ms),
                pts: ticks(pts.max(time.dts_ms)),
                keyframe: avc::is_idr(&data),
                data,
            },
        )))
    }

    fn sound(&mut self, timestamp_ms: u32, data: Bytes) -> Option<Event> {
        if self.audio.is_none() {
            self.faults.early_frames = self.faults.early_frames.saturating_add(1);
            return None;
        }
        let time = self.timeline.place(Track::Audio, timestamp_ms, &mut self.faults);
        let dts = ticks(time.dts_ms);
        Some(Event::Frame(Track::Audio, Frame { dts, pts: dts, keyframe: true, data }))
    }
}

/// Fuzz body: any run of messages gives frames in order or errors. Each message is: a byte whose lowest bit is
/// the track, four of timestamp, one of length, and the body.
pub fn fuzz(data: &[u8]) {
    let mut demuxer = Demuxer::new();
    let mut last = [i64::MIN; 2];
    let mut cursor = Cursor::new("fuzz input", data);
    while let (Ok(track), Ok(timestamp), Ok(length)) = (cursor.u8(), cursor.u32(), cursor.u8()) {
        let Ok(body) = cursor.take(usize::from(length)).map(Bytes::copy_from_slice) else { break };
        let event = match track & 1 {
            0 => demuxer.video(timestamp, body),
            _ => demuxer.audio(timestamp, body),
        };
        if let Ok(Some(Event::Frame(track, frame))) = event {
            let last = if track == Track::Video { &mut last[0] } else { &mut last[1] };
            assert!(frame.dts >= 0 && frame.dts >= *last && frame.pts >= frame.dts && !frame.data.is_empty());
            *last = frame.dts;
        }
    }
}

#[derive(Debug, Clone)]
struct Video {
    config: avc::Config,
    /// Of the publisher's access units.
    length_size: usize,
}

fn signed_24(value: u32) -> i64 {
    let value = i64::from(value);
    if value & 0x80_0000 == 0 { value } else { value.wrapping_sub(0x100_0000) }
}

fn ticks(milliseconds: i64) -> i64 {
    milliseconds.saturating_mul(TICKS_PER_MS)
}

const TICKS_PER_MS: i64 = crate::frame::CLOCK / 1_000;
/// No encoder reorders over more; a segment could not hold it.
const MAX_COMPOSITION_MS: i64 = 10_000;
const EX_HEADER: u8 = 0x80;
const COMMAND_FRAME: u8 = 5;
const AVC: u8 = 7;
const AAC: u8 = 10;
const ENHANCED_AUDIO: u8 = 9;
const SEQUENCE_HEADER: u8 = 0;
const CODED: u8 = 1;
const END_OF_SEQUENCE: u8 = 2;

#[cfg(test)]
mod tests;
