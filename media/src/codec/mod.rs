//! What the house knows of each codec: decoder configuration, keyframes, RFC 6381 names.

pub mod aac;
pub mod avc;
mod bits;
