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
