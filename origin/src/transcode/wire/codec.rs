//! What a child decodes, its codec as a number on the wire.

use bytes::Bytes;
use nearcast_media::{Config, Track};

use super::Error;

/// A source of frames.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    pub codec: Codec,
    /// Decoder configuration, as an MP4 sample entry holds it; of Opus and FLAC the header that their own files have.
    pub record: Bytes,
}

impl Source {
    /// What frames of this configuration take.
    pub fn of(config: &Config) -> Option<Self> {
        let record = match config {
            Config::Opus(config) => config.head(),
            Config::Flac(config) => config.stream_info.clone(),
            _ => config.record(),
        };
        Some(Self { codec: Codec::of(config)?, record })
    }
}

/// What the child can decode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codec {
    Avc = 0,
    Hevc = 1,
    Av1 = 2,
    Vp9 = 3,
    Aac = 4,
    Opus = 5,
    Flac = 6,
}

impl Codec {
    /// The codec of a track.
    fn of(config: &Config) -> Option<Self> {
        match config {
            Config::Avc(_) => Some(Self::Avc),
            Config::Hevc(_) => Some(Self::Hevc),
            Config::Av1(_) => Some(Self::Av1),
            Config::Vp9(_) => Some(Self::Vp9),
            Config::Aac(_) => Some(Self::Aac),
            Config::Opus(_) => Some(Self::Opus),
            Config::Flac(_) => Some(Self::Flac),
        }
    }

    /// What it is the codec of.
    pub fn track(self) -> Track {
        match self {
            Self::Avc | Self::Hevc | Self::Av1 | Self::Vp9 => Track::Video,
            Self::Aac | Self::Opus | Self::Flac => Track::Audio,
        }
    }

    pub(crate) fn decode(number: u8) -> Result<Self, Error> {
        let known = [Self::Avc, Self::Hevc, Self::Av1, Self::Vp9, Self::Aac, Self::Opus, Self::Flac];
        known.into_iter().find(|codec| *codec as u8 == number).ok_or(Error::UnknownCodec(number))
    }
}
