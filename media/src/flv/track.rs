//! A publisher's track: its configuration, and its frames in the form that the rest of the house wants.

use bytes::Bytes;

use super::names;
use crate::codec::{aac, av1, avc, flac, hevc, opus, vp9};
use crate::{Config, Error, Result};

/// A video track since its sequence header.
#[derive(Debug, Clone)]
pub(super) struct Video {
    kind: Kind,
    /// With VP9, and with AV1 at times, only the first keyframe tells.
    config: Option<Config>,
}

#[derive(Debug, Clone)]
enum Kind {
    /// Bytes of a NAL unit's length.
    Avc(usize),
    Hevc(usize),
    Av1,
    Vp9(vp9::Record),
}

/// A picture of a track whose configuration is known.
pub(super) struct Picture {
    pub(super) data: Bytes,
    pub(super) keyframe: bool,
}

/// A video track as its messages tell it.
#[derive(Debug, Default)]
pub(super) struct Stream {
    video: Option<Video>,
    /// The newest configuration that was given out.
    announced: Option<Config>,
}

impl Stream {
    /// Takes a sequence header, and gives the configuration where that is news.
    pub(super) fn start(&mut self, codec: [u8; 4], record: &Bytes) -> Result<Option<Config>> {
        self.video = Some(Video::start(codec, record)?);
        Ok(self.news())
    }

    /// There has been a sequence header.
    pub(super) fn is_started(&self) -> bool {
        self.video.is_some()
    }

    /// Takes the next frame, and gives the configuration that it brings where that is news; `None` while it cannot be
    /// decoded.
    pub(super) fn picture(&mut self, payload: &Bytes) -> Result<Option<(Picture, Option<Config>)>> {
        let Some(video) = &mut self.video else { return Ok(None) };
        let Some(picture) = video.picture(payload)? else { return Ok(None) };
        Ok(Some((picture, self.news())))
    }

    fn news(&mut self) -> Option<Config> {
        let config = self.video.as_ref()?.config.as_ref()?;
        if self.announced.as_ref() == Some(config) {
            return None;
        }
        self.announced = Some(config.clone());
        self.announced.clone()
    }
}

impl Video {
    /// Reads the configuration of a codec by its FourCC.
    fn start(codec: [u8; 4], record: &Bytes) -> Result<Self> {
        let (kind, config) = match &codec {
            b"avc1" => (Kind::Avc(avc::length_size(record)?), Some(Config::Avc(avc::Config::parse(record)?))),
            b"hvc1" => {
                (Kind::Hevc(hevc::length_size(record)?), Some(Config::Hevc(hevc::Config::parse(record)?)))
            }
            b"av01" => (Kind::Av1, av1::Config::parse(record)?.map(Config::Av1)),
            b"vp09" => (Kind::Vp9(vp9::Record::parse(record)?), None),
            other => return Err(names::video_code(other)),
        };
        Ok(Self { kind, config })
    }

    /// Whether a message of this codec has a composition time before a frame.
    pub(super) fn has_composition_time(codec: [u8; 4]) -> bool {
        matches!(&codec, b"avc1" | b"hvc1")
    }

    /// Takes the next frame; `None` while it cannot be decoded, for there was no keyframe.
    fn picture(&mut self, payload: &Bytes) -> Result<Option<Picture>> {
        let (data, keyframe) = match &self.kind {
            Kind::Avc(length_size) => {
                let data = avc::normalise(payload, *length_size)?;
                let keyframe = avc::is_idr(&data);
                (data, keyframe)
            }
            Kind::Hevc(length_size) => {
                let data = hevc::normalise(payload, *length_size)?;
                let keyframe = hevc::is_keyframe(&data);
                (data, keyframe)
            }
            Kind::Av1 => {
                let data = av1::normalise(payload)?;
                let keyframe = av1::is_keyframe(&data);
                if keyframe {
                    let told = av1::Config::from_keyframe(&data)?;
                    // A keyframe may say more of tools than the record before the first frame did.
                    let same = matches!(&self.config, Some(Config::Av1(known)) if known.looks_like(&told));
                    if !same {
                        self.config = Some(Config::Av1(told));
                    }
                }
                (data, keyframe)
            }
            Kind::Vp9(record) => {
                let keyframe = vp9::is_keyframe(payload);
                if keyframe {
                    self.config = Some(Config::Vp9(record.with_keyframe(payload)?));
                }
                (payload.clone(), keyframe)
            }
        };
        Ok(self.config.is_some().then_some(Picture { data, keyframe }))
    }
}

/// Reads the configuration of an audio codec by its FourCC.
pub(super) fn audio_config(codec: [u8; 4], record: &Bytes) -> Result<Config> {
    match &codec {
        b"mp4a" => aac::Config::parse(record).map(Config::Aac),
        b"Opus" => opus::Config::parse(record).map(Config::Opus),
        b"fLaC" => flac::Config::parse(record).map(Config::Flac),
        other => Err(names::audio_code(other)),
    }
}

/// Refuses sound of which nobody could say how long it lasts.
pub(super) fn check_sound(config: &Config, data: &[u8]) -> Result<()> {
    match config {
        Config::Opus(_) => opus::samples(data).map(drop),
        Config::Flac(_) => flac::samples(data).map(drop),
        _ => Ok(()),
    }
}

/// Refuses codecs that are not carried before anything of theirs is read.
pub(super) fn check_codec(is_video: bool, codec: [u8; 4]) -> Result<(), Error> {
    match is_video {
        true if VIDEO_CODECS.contains(&codec) => Ok(()),
        true => Err(names::video_code(&codec)),
        false if AUDIO_CODECS.contains(&codec) => Ok(()),
        false => Err(names::audio_code(&codec)),
    }
}

/// The codecs of enhanced RTMP that are carried.
pub(crate) const VIDEO_CODECS: [[u8; 4]; 4] = [*b"avc1", *b"hvc1", *b"av01", *b"vp09"];
pub(crate) const AUDIO_CODECS: [[u8; 4]; 3] = [*b"mp4a", *b"Opus", *b"fLaC"];
