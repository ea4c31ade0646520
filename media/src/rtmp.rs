//! The server's side of RTMP (Adobe RTMP 1.0), without IO: bytes in, bytes and events out.
//!
//! The handshake and the writing of chunks are `rml_rtmp`'s. Reading is ours, because its reader can be killed
//! from the network: chunks ([`chunk`]), AMF0 ([`amf`]) and messages are bounded in count, size and depth.

pub mod amf;
pub mod chunk;
mod message;
mod metadata;
mod reply;
pub mod session;
#[cfg(test)]
mod wire;

pub use metadata::Metadata;
pub use session::{Event, Session};

/// How much one connection may make us hold; beyond it, the connection ends with
/// [`Error::Limit`](crate::Error::Limit). Until a publish was accepted, the connection is a stranger's, and no message
/// may be larger than `control_message`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Chunk streams; encoders use three to eight.
    pub chunk_streams: usize,
    /// Bytes of an audio or video message; a key frame at 100 Mbit/s has about 2 MiB.
    pub media_message: usize,
    /// Bytes of any other message.
    pub control_message: usize,
    /// Bytes of unfinished messages on all chunk streams, and of input that waits for an answer to a publish.
    pub pending: usize,
    /// Message streams made by `createStream`; encoders use one.
    pub streams: usize,
    /// Commands while nothing is published; encoders send about six.
    pub commands: usize,
    /// Bytes of replies that the peer has not taken.
    pub replies: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            chunk_streams: 32,
            media_message: 4 << 20,
            control_message: 64 << 10,
            pending: 8 << 20,
            streams: 8,
            commands: 256,
            replies: 256 << 10,
        }
    }
}

impl Limits {
    /// For a peer that has not shown a key: anybody may open as many connections as there may be.
    fn of_strangers(&self) -> Self {
        Self {
            media_message: self.media_message.min(self.control_message),
            pending: self.pending.min(self.control_message.saturating_mul(STRANGERS_MESSAGES)),
            ..self.clone()
        }
    }
}

/// Unfinished messages at once; encoders have one before they publish.
const STRANGERS_MESSAGES: usize = 2;
