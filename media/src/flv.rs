//! What an RTMP publisher's audio and video messages hold: FLV tag bodies in, configurations and frames out.
#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::cast_possible_truncation)
)]

mod enhanced;
mod further;
mod names;
mod track;

use std::collections::VecDeque;

use bytes::Bytes;

use crate::cursor::Cursor;
use crate::timeline::{Clock, Timeline};
use crate::{Config, Error, Event, Frame, Piece, Result, Track};
use enhanced::{Body, Message, Packet};
use further::Further;
pub(crate) use track::{AUDIO_CODECS, VIDEO_CODECS};
use track::{Stream, Video};

/// Turns the audio and video messages of one publisher into configurations and frames.
///
/// A message with an error changes nothing: after [`Error::Malformed`] the next message may be given, whereas
/// [`Error::UnsupportedCodec`] would come again for every message of that track.
#[derive(Debug)]
pub struct Demuxer {
    timeline: Timeline,
    video: Stream,
    further: Further,
    audio: Option<Config>,
    /// Decoding time of the newest frame of each track: video, audio.
    newest: [i64; 2],
    /// Behind the event that was returned.
    next: VecDeque<Event>,
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
    /// Frames and configurations of second tracks and further ones that are left out.
    pub other_tracks: u64,
    /// Frames and configurations of further video tracks that are taken, but could not be read, had no configuration, or
    /// lay ten seconds away from the first track's, and were dropped.
    pub lost_further: u64,
}

impl Demuxer {
    pub fn new() -> Self {
        Self {
            timeline: Timeline::new(CLOCK),
            video: Stream::default(),
            further: Further::default(),
            audio: None,
            newest: [0; 2],
            next: VecDeque::new(),
            faults: Faults::default(),
        }
    }

    /// Takes further video tracks as well, at most so many: what they have comes as [`Event::Further`].
    #[must_use]
    pub fn with_further(self, limit: usize) -> Self {
        Self { further: Further::new(limit), ..self }
    }

    /// Takes the body of a video message (Adobe FLV 10.1 §E.4.3, Enhanced RTMP v2) and its timestamp in milliseconds.
    /// Frames hold a slice of `body`, but for NAL units whose lengths do not have 4 bytes. When it returns an event,
    /// [`Demuxer::poll_event`] may have others.
    ///
    /// # Errors
    /// [`Error::UnsupportedCodec`] for anything but H.264, HEVC, AV1 and VP9; [`Error::Malformed`] for damage.
    pub fn video(&mut self, timestamp_ms: u32, body: Bytes) -> Result<Option<Event>> {
        let mut cursor = Cursor::new("FLV video message", &body);
        if cursor.is_empty() {
            return Ok(None);
        }
        let head = cursor.u8()?;
        if head & EX_HEADER != 0 {
            let Message { body, others, surplus } = enhanced::read(Track::Video, head, &mut cursor, &body)?;
            let first = body.map_or(Ok(None), |body| self.enhanced_video(timestamp_ms, body))?;
            let Self { timeline, further, next, faults, .. } = self;
            faults.other_tracks = faults.other_tracks.saturating_add(surplus);
            for other in others {
                further.take(other, timestamp_ms, timeline, faults, next);
            }
            return Ok(first.or_else(|| self.next.pop_front()));
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
            SEQUENCE_HEADER => self.video_config(*b"avc1", &payload),
            CODED => self.picture(Stamp::of(timestamp_ms), composition_ms, &payload),
            END_OF_SEQUENCE => Ok(None),
            _ => Err(cursor.malformed("the AVC packet type is unknown")),
        }
    }

    /// Takes the body of an audio message (Adobe FLV 10.1 §E.4.2, Enhanced RTMP v2) and its timestamp in milliseconds.
    ///
    /// # Errors
    /// [`Error::UnsupportedCodec`] for anything but AAC, Opus and FLAC, [`Error::Malformed`] for damage.
    pub fn audio(&mut self, timestamp_ms: u32, body: Bytes) -> Result<Option<Event>> {
        let mut cursor = Cursor::new("FLV audio message", &body);
        if cursor.is_empty() {
            return Ok(None);
        }
        let head = cursor.u8()?;
        match head >> 4 {
            AAC => {}
            ENHANCED_AUDIO => {
                let Message { body, others, surplus } =
                    enhanced::read(Track::Audio, head, &mut cursor, &body)?;
                let others = u64::try_from(others.len()).unwrap_or(u64::MAX).saturating_add(surplus);
                self.faults.other_tracks = self.faults.other_tracks.saturating_add(others);
                return body.map_or(Ok(None), |body| self.enhanced_audio(timestamp_ms, body));
            }
            other => return Err(names::audio(other)),
        }
        // Some encoders send the head alone while they have no sound.
        if cursor.is_empty() {
            return Ok(None);
        }
        let packet_type = cursor.u8()?;
        let payload = body.slice(cursor.position()..);
        match packet_type {
            SEQUENCE_HEADER => self.audio_config(*b"mp4a", &payload),
            CODED => self.sound(Stamp::of(timestamp_ms), payload),
            _ => Err(cursor.malformed("the AAC packet type is unknown")),
        }
    }

    /// What follows the event that was returned last: the frame that brought the configuration with it, and what the
    /// message had of further tracks.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.next.pop_front()
    }

    /// What was put right so far.
    pub fn faults(&self) -> Faults {
        self.faults
    }

    fn enhanced_video(&mut self, timestamp_ms: u32, body: Body) -> Result<Option<Event>> {
        let Body { codec, packet, payload, nanoseconds } = body;
        track::check_codec(true, codec)?;
        let stamp = Stamp { timestamp_ms, nanoseconds };
        match packet {
            Packet::SequenceStart => self.video_config(codec, &payload),
            Packet::CodedFrames if Video::has_composition_time(codec) => {
                let mut cursor = Cursor::new("FLV video message", &payload);
                let composition_ms = signed_24(cursor.u24()?);
                self.picture(stamp, composition_ms, &payload.slice(cursor.position()..))
            }
            Packet::CodedFrames | Packet::CodedFramesX => self.picture(stamp, 0, &payload),
            Packet::TransportStreamStart => Err(names::transport_stream_start()),
            Packet::Other => Ok(None),
        }
    }

    fn enhanced_audio(&mut self, timestamp_ms: u32, body: Body) -> Result<Option<Event>> {
        let Body { codec, packet, payload, nanoseconds } = body;
        track::check_codec(false, codec)?;
        match packet {
            Packet::SequenceStart => self.audio_config(codec, &payload),
            Packet::CodedFrames => self.sound(Stamp { timestamp_ms, nanoseconds }, payload),
            _ => Ok(None),
        }
    }

    fn video_config(&mut self, codec: [u8; 4], record: &Bytes) -> Result<Option<Event>> {
        Ok(self.video.start(codec, record)?.map(Event::Config))
    }

    fn audio_config(&mut self, codec: [u8; 4], record: &Bytes) -> Result<Option<Event>> {
        let config = track::audio_config(codec, record)?;
        let old = self.audio.replace(config.clone());
        Ok((old.as_ref() != Some(&config)).then_some(Event::Config(config)))
    }

    fn picture(&mut self, stamp: Stamp, composition_ms: i64, payload: &Bytes) -> Result<Option<Event>> {
        if !self.video.is_started() {
            self.faults.early_frames = self.faults.early_frames.saturating_add(1);
            return Ok(None);
        }
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
        let Some((picture, news)) = self.video.picture(payload)? else {
            self.faults.early_frames = self.faults.early_frames.saturating_add(1);
            return Ok(None);
        };
        let (dts, intended) = self.place(Track::Video, stamp);
        let pts = intended.saturating_add(ticks(composition_ms)).max(dts);
        let frame = Frame { dts, pts, keyframe: picture.keyframe, data: picture.data };
        let frame = Event::Frame(Track::Video, frame);
        Ok(Some(match news {
            Some(config) => {
                self.next.push_back(frame);
                Event::Config(config)
            }
            None => frame,
        }))
    }

    fn sound(&mut self, stamp: Stamp, data: Bytes) -> Result<Option<Event>> {
        let Some(config) = &self.audio else {
            self.faults.early_frames = self.faults.early_frames.saturating_add(1);
            return Ok(None);
        };
        if data.is_empty() {
            return Ok(None);
        }
        track::check_sound(config, &data)?;
        let (dts, _) = self.place(Track::Audio, stamp);
        Ok(Some(Event::Frame(Track::Audio, Frame { dts, pts: dts, keyframe: true, data })))
    }

    /// When a frame is decoded, which never falls within a track, and when the publisher meant it to be.
    fn place(&mut self, track: Track, stamp: Stamp) -> (i64, i64) {
        let time = self.timeline.place(track, i64::from(stamp.timestamp_ms));
        let Faults { jumps, steps_back, .. } = &mut self.faults;
        *jumps = jumps.saturating_add(u64::from(time.jumped));
        *steps_back = steps_back.saturating_add(u64::from(time.stepped_back));
        let fraction = stamp.fraction();
        let [video, audio] = &mut self.newest;
        let newest = match track {
            Track::Video => video,
            Track::Audio => audio,
        };
        *newest = ticks(time.dts).saturating_add(fraction).max(*newest);
        (*newest, ticks(time.intended).saturating_add(fraction))
    }
}

impl Default for Demuxer {
    fn default() -> Self {
        Self::new()
    }
}

/// Fuzz body: any run of messages gives frames in order or errors. Each message is: a byte whose lowest bit is
/// the track, four of timestamp, one of length, and the body.
pub fn fuzz(data: &[u8]) {
    let mut demuxer = Demuxer::new().with_further(2);
    let mut last = [i64::MIN; 2];
    let mut others = std::collections::BTreeMap::new();
    let mut cursor = Cursor::new("fuzz input", data);
    while let (Ok(track), Ok(timestamp), Ok(length)) = (cursor.u8(), cursor.u32(), cursor.u8()) {
        let Ok(body) = cursor.take(usize::from(length)).map(Bytes::copy_from_slice) else { break };
        let event = match track & 1 {
            0 => demuxer.video(timestamp, body),
            _ => demuxer.audio(timestamp, body),
        };
        let mut next = event.unwrap_or(None);
        while let Some(event) = next {
            next = demuxer.poll_event();
            let (last, frame) = match event {
                Event::Frame(Track::Video, frame) => (&mut last[0], frame),
                Event::Frame(Track::Audio, frame) => (&mut last[1], frame),
                Event::Further(id, Piece::Frame(frame)) => (others.entry(id).or_insert(i64::MIN), frame),
                Event::Further(_, Piece::Config(_)) | Event::Config(_) => continue,
            };
            assert!(frame.dts >= 0 && frame.dts >= *last && frame.pts >= frame.dts && !frame.data.is_empty());
            *last = frame.dts;
        }
        assert!(others.len() <= 2 && demuxer.poll_event().is_none());
    }
}

/// When a message says that it is.
#[derive(Debug, Clone, Copy)]
struct Stamp {
    timestamp_ms: u32,
    /// To be added.
    nanoseconds: u32,
}

impl Stamp {
    fn of(timestamp_ms: u32) -> Self {
        Self { timestamp_ms, nanoseconds: 0 }
    }

    /// Its nanoseconds in ticks.
    fn fraction(self) -> i64 {
        i64::from(self.nanoseconds).saturating_mul(TICKS_PER_MS).div_euclid(NANOS_PER_MS)
    }
}

fn signed_24(value: u32) -> i64 {
    let value = i64::from(value);
    if value & 0x80_0000 == 0 { value } else { value.wrapping_sub(0x100_0000) }
}

fn ticks(milliseconds: i64) -> i64 {
    milliseconds.saturating_mul(TICKS_PER_MS)
}

/// RTMP and FLV count milliseconds in 32 bits.
const CLOCK: Clock = Clock { bits: 32, per_ms: 1 };
const TICKS_PER_MS: i64 = crate::frame::CLOCK / 1_000;
const NANOS_PER_MS: i64 = 1_000_000;
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
