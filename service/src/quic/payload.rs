//! The `Buf` that bodies travel in, and the way past it to the memory they are in.

use std::cell::Cell;

use bytes::{Buf, Bytes};
use h3::quic::WriteBuf;

use super::Priority;

/// A piece of a body and how urgent its stream is.
#[derive(Debug, Clone)]
pub struct Payload {
    rest: Bytes,
    priority: Priority,
}

/// What one step of taking a frame apart gives.
#[derive(Debug)]
pub(super) struct Slice {
    pub(super) bytes: Bytes,
    /// Present when the bytes are a body's.
    pub(super) priority: Option<Priority>,
}

impl Payload {
    /// A piece of the body of a response (or request) with this priority.
    pub fn new(bytes: Bytes, priority: Priority) -> Self {
        Self { rest: bytes, priority }
    }
}

impl From<Bytes> for Payload {
    fn from(bytes: Bytes) -> Self {
        Self::new(bytes, Priority::default())
    }
}

/// Takes the next piece out of a frame: a header or control frame by copy (a few bytes), a body as it is.
///
/// `WriteBuf` shows its payload only as `&[u8]` through [`Buf::chunk`]. [`Payload::chunk`] leaves a handle to the same
/// memory in [`SHOWN`], and here, on the same thread and in the same call, it is picked up.
pub(super) fn take(frame: &mut WriteBuf<Payload>) -> Option<Slice> {
    if !frame.has_remaining() {
        return None;
    }
    SHOWN.take();
    let chunk = frame.chunk();
    let length = chunk.len();
    let slice = match SHOWN.take() {
        Some(shown) if shown.rest.as_ptr() == chunk.as_ptr() && shown.rest.len() == length => {
            Slice { bytes: shown.rest, priority: Some(shown.priority) }
        }
        _ => {
            #[cfg(test)]
            COPIED.set(COPIED.get() + length);
            Slice { bytes: Bytes::copy_from_slice(chunk), priority: None }
        }
    };
    frame.advance(length);
    SHOWN.take();
    Some(slice)
}

thread_local! {
    /// The payload whose chunk was last asked for on this thread.
    static SHOWN: Cell<Option<Payload>> = const { Cell::new(None) };
}

impl Buf for Payload {
    fn remaining(&self) -> usize {
        self.rest.len()
    }

    fn chunk(&self) -> &[u8] {
        SHOWN.set(Some(self.clone()));
        &self.rest
    }

    fn advance(&mut self, count: usize) {
        self.rest.advance(count);
    }

    fn copy_to_bytes(&mut self, length: usize) -> Bytes {
        self.rest.copy_to_bytes(length)
    }
}

#[cfg(test)]
thread_local! {
    static COPIED: Cell<usize> = const { Cell::new(0) };
}

/// Bytes that [`take`] had to copy on this thread.
#[cfg(test)]
pub(super) fn copied() -> usize {
    COPIED.get()
}
