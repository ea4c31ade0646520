//! A coded frame and what decodes it: the currency between ingest, transcode and package.

use bytes::Bytes;

use crate::codec::{aac, av1, avc, flac, hevc, opus, vp9};

/// Ticks per second of every time in a [`Frame`].
pub const CLOCK: i64 = 90_000;

/// One coded picture or one audio frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Decoding time in [`CLOCK`] ticks since the broadcast's start; never falls within a track.
    pub dts: i64,
    /// Presentation time in [`CLOCK`] ticks, at or after `dts`.
    pub pts: i64,
    /// Decoding can start here (every audio frame; an IDR picture).
    pub keyframe: bool,
    /// H.264 and HEVC: one access unit, each NAL unit behind a 4-byte length (ISO/IEC 14496-15 §5.3.4.2). AV1: one
    /// temporal unit without its delimiter. VP9: one frame or superframe. AAC: one raw frame without ADTS. Opus and
    /// FLAC: one packet or frame.
    pub data: Bytes,
}

/// What a decoder must know before the first frame of a track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Config {
    Avc(avc::Config),
    Hevc(hevc::Config),
    Av1(av1::Config),
    Vp9(vp9::Config),
    Aac(aac::Config),
    Opus(opus::Config),
    Flac(flac::Config),
}

impl Config {
    /// The track that it describes.
    pub fn track(&self) -> Track {
        match self {
            Self::Avc(_) | Self::Hevc(_) | Self::Av1(_) | Self::Vp9(_) => Track::Video,
            Self::Aac(_) | Self::Opus(_) | Self::Flac(_) => Track::Audio,
        }
    }

    /// The RFC 6381 name, e.g. `avc1.64001f`.
    pub fn codec_string(&self) -> String {
        match self {
            Self::Avc(config) => config.codec_string(),
            Self::Hevc(config) => config.codec_string(),
            Self::Av1(config) => config.codec_string(),
            Self::Vp9(config) => config.codec_string(),
            Self::Aac(config) => config.codec_string(),
            Self::Opus(config) => config.codec_string(),
            Self::Flac(config) => config.codec_string(),
        }
    }

    /// The decoder configuration record as an MP4 sample entry holds it.
    pub fn record(&self) -> Bytes {
        match self {
            Self::Avc(config) => config.record.clone(),
            Self::Hevc(config) => config.record.clone(),
            Self::Av1(config) => config.record.clone(),
            Self::Vp9(config) => config.vpcc(),
            Self::Aac(config) => config.specific.clone(),
            Self::Opus(config) => config.dops(),
            Self::Flac(config) => config.dfla(),
        }
    }

    /// What a video track shows.
    pub fn picture(&self) -> Option<Picture> {
        let (width, height, frame_rate) = match self {
            Self::Avc(config) => (config.width, config.height, config.frame_rate),
            Self::Hevc(config) => (config.width, config.height, config.frame_rate),
            Self::Av1(config) => (config.width, config.height, config.frame_rate),
            Self::Vp9(config) => (config.width, config.height, None),
            Self::Aac(_) | Self::Opus(_) | Self::Flac(_) => return None,
        };
        Some(Picture { width, height, frame_rate })
    }

    /// What an audio track sounds like.
    pub fn sound(&self) -> Option<Sound> {
        let (sample_rate, channels) = match self {
            Self::Aac(config) => (config.sample_rate, config.channels),
            Self::Opus(config) => (opus::SAMPLE_RATE, config.channels),
            Self::Flac(config) => (config.sample_rate, config.channels),
            Self::Avc(_) | Self::Hevc(_) | Self::Av1(_) | Self::Vp9(_) => return None,
        };
        Some(Sound { sample_rate, channels })
    }

    /// Samples of an audio frame of the usual length, in [`Sound::sample_rate`]; 0 for video.
    pub fn usual_samples(&self) -> u32 {
        match self {
            Self::Aac(_) => aac::SAMPLES_PER_FRAME,
            Self::Opus(_) => opus::USUAL_SAMPLES,
            Self::Flac(config) => config.block,
            Self::Avc(_) | Self::Hevc(_) | Self::Av1(_) | Self::Vp9(_) => 0,
        }
    }

    /// Samples of this audio frame, in [`Sound::sample_rate`].
    pub fn samples(&self, frame: &[u8]) -> u32 {
        match self {
            Self::Opus(_) => opus::samples(frame),
            Self::Flac(_) => flac::samples(frame),
            _ => Ok(self.usual_samples()),
        }
        .unwrap_or_else(|_| self.usual_samples())
    }
}

/// What a video track shows, whatever its codec.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Picture {
    /// Displayed width in pixels, after cropping.
    pub width: u32,
    /// Displayed height in pixels, after cropping.
    pub height: u32,
    /// Frames per second as a fraction, when the bitstream says so.
    pub frame_rate: Option<(u32, u32)>,
}

/// What an audio track sounds like, whatever its codec.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sound {
    /// Samples per second of the track's clock.
    pub sample_rate: u32,
    pub channels: u8,
}

/// What a demuxer finds in a publisher's bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The first, or another, configuration of a track; frames that follow need it.
    Config(Config),
    Frame(Track, Frame),
    /// What a further video track has, the same picture in another size, by the track's number: 1 or more.
    Further(u8, Piece),
}

/// What a further video track sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    Config(Config),
    Frame(Frame),
}

/// Which of a publisher's two elementary streams a frame belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Track {
    Video,
    Audio,
}
