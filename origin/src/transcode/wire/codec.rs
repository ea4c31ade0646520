//! The codecs of sources, as a number on the wire.

use nearcast_media::Config;

use super::Error;

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
    pub fn of(config: &Config) -> Option<Self> {
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
