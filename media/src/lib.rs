//! The media path without IO or a clock: what a publisher sends becomes frames ([`codec`]), frames become
//! CMAF parts and segments, and those become HLS playlists.

pub mod codec;
mod cursor;
pub mod error;
pub mod flv;
pub mod frame;
pub mod hls;
#[cfg(test)]
mod mutation;
pub mod path;
pub mod rtmp;

pub use error::{Error, Result};
pub use frame::{Config, Frame, Track};
