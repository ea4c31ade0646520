//! The pipe back to the origin, shared by all threads, one whole message at a time.

use std::io::Write;
use std::sync::{Mutex, PoisonError};

use bytes::BytesMut;

use super::Error;
use crate::transcode::wire::Reply;

/// Where replies go.
pub(super) struct Output {
    pipe: Mutex<Pipe>,
}

struct Pipe {
    stdout: std::io::Stdout,
    scratch: BytesMut,
}

impl Output {
    pub(super) fn new() -> Self {
        Self { pipe: Mutex::new(Pipe { stdout: std::io::stdout(), scratch: BytesMut::new() }) }
    }

    /// Waits while the pipe is full: then queues fill behind this thread and frames are shed.
    pub(super) fn send(&self, reply: &Reply) -> Result<(), Error> {
        let mut pipe = self.pipe.lock().unwrap_or_else(PoisonError::into_inner);
        let Pipe { stdout, scratch } = &mut *pipe;
        scratch.clear();
        reply.encode(scratch);
        // Stdout buffers lines; frames are binary and wanted now.
        stdout.write_all(scratch).and_then(|()| stdout.flush()).map_err(Error::Write)
    }
}
