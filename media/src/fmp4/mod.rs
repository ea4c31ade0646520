//! Fragmented MP4 as CMAF wants it (ISO/IEC 14496-12, 23000-19): one track per file, an init segment and
//! one movie fragment per part.

mod boxes;
mod emsg;
mod entry;
mod fragment;
mod init;

use bytes::Bytes;

pub(crate) use emsg::events_len;
pub use emsg::{EventMessage, ID3_SCHEME};
pub use fragment::fragment;
pub use init::init_segment;

use crate::Config;

/// One coded frame in its track's own time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// Decoding time in ticks of [`timescale`].
    pub dts: i64,
    /// Presentation time less decoding time.
    pub composition_offset: i32,
    /// Decoding can start here.
    pub keyframe: bool,
    pub data: Bytes,
}

/// Ticks per second of a track's times: 90 kHz for video, the sampling rate for audio, so that both are exact.
pub fn timescale(config: &Config) -> u32 {
    // A configuration without a rate cannot come out of the parser; 1 keeps divisions defined.
    config.sound().map_or(90_000, |sound| sound.sample_rate.max(1))
}

/// Every rendition's file holds one track, and this is its number.
const TRACK_ID: u32 = 1;

#[cfg(test)]
pub(crate) mod tests;
