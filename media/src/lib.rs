//! The media path without IO or a clock: what a publisher sends ([`rtmp`], [`flv`]) becomes frames ([`codec`]),
//! frames become CMAF parts and segments ([`package`], [`fmp4`]), and those become playlists ([`hls`]) and
//! manifests ([`dash`]) under names that origin and edge share ([`path`]).

pub mod codec;
mod cursor;
pub mod dash;
pub mod error;
#[cfg(test)]
mod fixtures;
pub mod flv;
pub mod fmp4;
pub mod frame;
pub mod hls;
pub mod id3;
#[cfg(test)]
mod mutation;
pub mod package;
pub mod path;
pub mod rtmp;
mod segment;
pub mod splice;
mod timeline;
pub mod ts;
pub mod vtt;
mod window;

pub use error::{Error, Result};
pub use frame::{Config, Event, Frame, Picture, Piece, Sound, Track};
