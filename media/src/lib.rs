//! The media path without IO or a clock: what a publisher sends becomes frames ([`codec`]), frames become
//! CMAF parts and segments, and those become HLS playlists.

pub mod codec;
pub mod frame;
pub mod hls;
pub mod path;

pub use frame::{Config, Frame, Track};
