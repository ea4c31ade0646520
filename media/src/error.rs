//! What can be wrong with the bytes that reach the media path.

use std::borrow::Cow;

/// Why bytes from a publisher, a parent or a configuration were refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The bytes do not follow their format.
    #[error("malformed {format} at byte {offset}: {problem}")]
    Malformed {
        /// What was being read, e.g. "AVC decoder configuration record".
        format: &'static str,
        /// Bytes from the start of what was being read.
        offset: usize,
        problem: &'static str,
    },
    /// Well-formed, but more than we are ready to hold.
    #[error("{what} exceeds the limit of {limit}")]
    Limit {
        /// What was counted, with its unit, e.g. "RTMP message bytes".
        what: &'static str,
        limit: usize,
    },
    /// A codec that this platform does not carry; `advice` says what to change in the encoder.
    #[error("{codec} is not supported: {advice}")]
    UnsupportedCodec { codec: Cow<'static, str>, advice: &'static str },
    /// The peer did not do what the protocol asks of it at this point.
    #[error("{protocol} violated: {problem}")]
    Protocol { protocol: &'static str, problem: &'static str },
}

/// The crate's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;
