//! A stream's sending side.

use std::fmt;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use h3::error::Code;
use h3::quic::{StreamErrorIncoming, StreamId, WriteBuf};
use quinn::{StoppedError, WriteError};
use tokio::time::Sleep;

use super::{Payload, code, payload, stream_lost};
use crate::http::slow::{LEAST, PERIOD};

/// Sends frames. Dropped before [`poll_finish`](h3::quic::SendStream::poll_finish), a request stream is reset, so that
/// the peer cannot take a cut-off body for a whole one. `poll_finish` is ready when the peer has it all: closing the
/// connection after that loses nothing.
pub struct SendStream {
    stream: quinn::SendStream,
    /// What is still to be given to quinn, in order.
    queue: [Bytes; QUEUE],
    /// Until when the peer has to take more, and how much it has taken meanwhile.
    slow: Option<(Pin<Box<Sleep>>, u64)>,
    priority: Option<i32>,
    is_request: bool,
    end: End,
}

/// How a stream comes to its end.
enum End {
    /// More may be sent.
    Open,
    /// All is sent, not all is acknowledged.
    Sent(BoxFuture<'static, Result<Option<quinn::VarInt>, StoppedError>>),
    /// All is acknowledged, or nothing matters any more.
    Over,
}

/// A frame is its header and its payload.
const QUEUE: usize = 2;

impl SendStream {
    pub(super) fn new(stream: quinn::SendStream, is_request: bool) -> Self {
        Self { stream, queue: Default::default(), slow: None, priority: None, is_request, end: End::Open }
    }

    fn prioritize(&mut self, priority: super::Priority) {
        let number = priority.for_stream(self.stream.id().index());
        if self.priority.replace(number) != Some(number) {
            // A stream that is closed needs no priority; the write says what is wrong.
            let _closed = self.stream.set_priority(number);
        }
    }
}

impl h3::quic::SendStream<Payload> for SendStream {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        loop {
            let Some(first) = self.queue.iter().position(|bytes| !bytes.is_empty()) else {
                self.slow = None;
                return Poll::Ready(Ok(()));
            };
            // quinn takes the slices themselves and leaves what did not fit the windows.
            let writing = pin!(self.stream.write_chunks(&mut self.queue[first..]));
            match (writing.poll(cx), &mut self.slow) {
                (Poll::Ready(taken), slow) => {
                    let taken = taken.map_err(write_error)?;
                    if let Some((_, since)) = slow {
                        *since += taken.bytes as u64;
                    }
                }
                // How long a peer may take next to nothing, as over TCP.
                (Poll::Pending, None) => {
                    let slow = self.slow.insert((Box::pin(tokio::time::sleep(PERIOD)), 0));
                    ready!(slow.0.poll_unpin(cx));
                }
                (Poll::Pending, Some((until, taken))) => {
                    ready!(until.poll_unpin(cx));
                    if *taken < LEAST {
                        return Poll::Ready(Err(StreamErrorIncoming::Unknown(
                            "the peer takes too little".into(),
                        )));
                    }
                    self.slow = None;
                }
            }
        }
    }

    fn send_data<T: Into<WriteBuf<Payload>>>(&mut self, data: T) -> Result<(), StreamErrorIncoming> {
        if self.queue.iter().any(|bytes| !bytes.is_empty()) {
            return Err(StreamErrorIncoming::Unknown(
                "a frame was sent before the last one was taken".into(),
            ));
        }
        let mut frame = data.into();
        let mut slot = 0;
        while let Some(slice) = payload::take(&mut frame) {
            if let Some(priority) = slice.priority {
                self.prioritize(priority);
            }
            match self.queue.get_mut(slot) {
                Some(queued) => *queued = slice.bytes,
                None => return Err(StreamErrorIncoming::Unknown("a frame has more than two pieces".into())),
            }
            slot += 1;
        }
        Ok(())
    }

    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        if let End::Open = self.end {
            ready!(self.poll_ready(cx))?;
            // Closed already means that the peer has stopped it, which it may.
            let _closed = self.stream.finish();
            self.end = End::Sent(self.stream.stopped().boxed());
        }
        if let End::Sent(acknowledged) = &mut self.end {
            let acknowledged = ready!(acknowledged.poll_unpin(cx));
            self.end = End::Over;
            return Poll::Ready(match acknowledged {
                Ok(None) => Ok(()),
                Ok(Some(code)) => {
                    Err(StreamErrorIncoming::StreamTerminated { error_code: code.into_inner() })
                }
                Err(StoppedError::ConnectionLost(error)) => Err(stream_lost(error)),
                Err(other @ StoppedError::ZeroRttRejected) => Err(StreamErrorIncoming::Unknown(other.into())),
            });
        }
        Poll::Ready(Ok(()))
    }

    fn reset(&mut self, reset_code: u64) {
        self.end = End::Over;
        self.queue = Default::default();
        // Closed already is what was wanted.
        let _closed = self.stream.reset(code(reset_code));
    }

    fn send_id(&self) -> StreamId {
        stream_id(self.stream.id())
    }
}

impl Drop for SendStream {
    fn drop(&mut self) {
        if self.is_request && matches!(self.end, End::Open) {
            let _closed = self.stream.reset(code(Code::H3_REQUEST_CANCELLED.value()));
        }
    }
}

impl fmt::Debug for SendStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendStream").field("id", &self.stream.id()).finish_non_exhaustive()
    }
}

/// The same number on both sides, always below 2^62.
pub(super) fn stream_id(id: quinn::StreamId) -> StreamId {
    StreamId::try_from(u64::from(quinn::VarInt::from(id))).expect("both allow all numbers below 2^62")
}

fn write_error(error: WriteError) -> StreamErrorIncoming {
    match error {
        WriteError::Stopped(code) => StreamErrorIncoming::StreamTerminated { error_code: code.into_inner() },
        WriteError::ConnectionLost(error) => stream_lost(error),
        other @ (WriteError::ClosedStream | WriteError::ZeroRttRejected) => {
            StreamErrorIncoming::Unknown(other.into())
        }
    }
}
