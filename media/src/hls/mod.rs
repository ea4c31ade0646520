//! HLS, low latency included (draft-pantos-hls-rfc8216bis): playlists as plain snapshots, their text and
//! back, and the requests that block for them.
//!
//! Two modules hold one concept each in both directions: [`media`] and [`multivariant`] render, [`parse`]
//! is their reverse and reads other servers' playlists as well. [`request`] says what a query asks for and
//! whether a playlist answers it yet.

pub(crate) mod date;
pub mod daterange;
pub mod delta;
pub mod media;
pub mod multivariant;
pub mod parse;
pub mod request;
mod tag;
pub mod vod;

/// The media type of every playlist (RFC 8216bis §4).
pub const CONTENT_TYPE: &str = "application/vnd.apple.mpegurl";
