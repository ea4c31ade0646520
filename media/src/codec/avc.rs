//! H.264: the decoder configuration record and what its sequence parameter set says.

use bytes::Bytes;

/// An H.264 track's decoder configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// AVCDecoderConfigurationRecord with 4-byte NAL unit lengths (ISO/IEC 14496-15 §5.3.3.1).
    pub record: Bytes,
    /// Displayed width in pixels, after cropping.
    pub width: u32,
    /// Displayed height in pixels, after cropping.
    pub height: u32,
    /// Frames per second as a fraction, when the sequence parameter set says so.
    pub frame_rate: Option<(u32, u32)>,
}
