//! What the house knows of each codec: decoder configuration, keyframes, RFC 6381 names.

pub mod aac;
pub mod av1;
pub mod avc;
pub(crate) mod bits;
pub mod captions;
pub mod flac;
pub mod hevc;
pub mod opus;
mod rate;
pub mod vp9;
