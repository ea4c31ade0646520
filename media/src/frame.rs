//! A coded frame and what decodes it: the currency between ingest, transcode and package.

use bytes::Bytes;

use crate::codec::{aac, avc};

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
    /// Video: one access unit, each NAL unit behind a 4-byte length (ISO/IEC 14496-15 §5.3.4.2).
    /// Audio: one raw AAC frame without ADTS.
    pub data: Bytes,
}

/// What a decoder must know before the first frame of a track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Config {
    Avc(avc::Config),
    Aac(aac::Config),
}

impl Config {
    /// The track that it describes.
    pub fn track(&self) -> Track {
        match self {
            Self::Avc(_) => Track::Video,
            Self::Aac(_) => Track::Audio,
        }
    }

    /// The RFC 6381 name, e.g. `avc1.64001f`.
    pub fn codec_string(&self) -> String {
        match self {
            Self::Avc(config) => config.codec_string(),
            Self::Aac(config) => config.codec_string(),
        }
    }

    /// The decoder configuration record as an MP4 sample entry holds it.
    pub fn record(&self) -> Bytes {
        match self {
            Self::Avc(config) => config.record.clone(),
            Self::Aac(config) => config.specific.clone(),
        }
    }

    /// What a video track shows.
    pub fn picture(&self) -> Option<Picture> {
        match self {
            Self::Avc(avc::Config { width, height, frame_rate, .. }) => {
                Some(Picture { width: *width, height: *height, frame_rate: *frame_rate })
            }
            Self::Aac(_) => None,
        }
    }

    /// What an audio track sounds like.
    pub fn sound(&self) -> Option<Sound> {
        match self {
            Self::Aac(aac::Config { sample_rate, channels, .. }) => {
                Some(Sound { sample_rate: *sample_rate, channels: *channels })
            }
            Self::Avc(_) => None,
        }
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
}

/// Which of a publisher's two elementary streams a frame belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Track {
    Video,
    Audio,
}
