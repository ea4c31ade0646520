//! What a child decodes, its codec as a number on the wire.

use bytes::Bytes;
use nearcast_media::Config;

use super::Error;

/// A source of frames.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    pub codec: Codec,
    /// Decoder configuration, as an MP4 sample entry holds it.
    pub record: Bytes,
}

impl Source {
    /// What frames of this configuration take.
    pub fn of(config: &Config) -> Option<Self> {
        Some(Self { codec: Codec::of(config)?, record: config.record() })
    }
}

/// What the child can decode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codec {
    Avc = 0,
    Hevc = 1,
    Av1 = 2,
    Vp9 = 3,
}

impl Codec {
    /// The codec of a video track.
    fn of(config: &Config) -> Option<Self> {
        match config {
            Config::Avc(_) => Some(Self::Avc),
            Config::Hevc(_) => Some(Self::Hevc),
            Config::Av1(_) => Some(Self::Av1),
            Config::Vp9(_) => Some(Self::Vp9),
            Config::Aac(_) | Config::Opus(_) | Config::Flac(_) => None,
        }
    }

    pub(super) fn decode(number: u8) -> Result<Self, Error> {
        let known = [Self::Avc, Self::Hevc, Self::Av1, Self::Vp9];
        known.into_iter().find(|codec| *codec as u8 == number).ok_or(Error::UnknownCodec(number))
    }
}
