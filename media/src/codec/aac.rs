//! AAC: the AudioSpecificConfig.

use bytes::Bytes;

/// An AAC track's decoder configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// AudioSpecificConfig (ISO/IEC 14496-3 §1.6.2.1).
    pub specific: Bytes,
    /// Samples per second.
    pub sample_rate: u32,
    pub channels: u8,
}

/// PCM samples, per channel, in one frame.
pub const SAMPLES_PER_FRAME: u32 = 1024;
