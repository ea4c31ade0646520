//! A stream's receiving side.

use std::pin::pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h3::error::Code;
use h3::quic::{StreamErrorIncoming, StreamId};
use quinn::ReadError;

use super::send::stream_id;
use super::{code, stream_lost};

/// Receives data as quinn has it, in order and uncopied. Dropped before the end, it tells the peer to stop.
#[derive(Debug)]
pub struct RecvStream {
    stream: quinn::RecvStream,
    ended: bool,
}

impl RecvStream {
    pub(super) fn new(stream: quinn::RecvStream) -> Self {
        Self { stream, ended: false }
    }
}

impl h3::quic::RecvStream for RecvStream {
    type Buf = Bytes;

    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, StreamErrorIncoming>> {
        if self.ended {
            return Poll::Ready(Ok(None));
        }
        let read = ready!(pin!(self.stream.read_chunk(usize::MAX, true)).poll(cx));
        self.ended = !matches!(read, Ok(Some(_)));
        Poll::Ready(match read {
            Ok(chunk) => Ok(chunk.map(|chunk| chunk.bytes)),
            Err(error) => Err(read_error(error)),
        })
    }

    fn stop_sending(&mut self, error_code: u64) {
        self.ended = true;
        // Closed already is what was wanted.
        let _closed = self.stream.stop(code(error_code));
    }

    fn recv_id(&self) -> StreamId {
        stream_id(self.stream.id())
    }
}

impl Drop for RecvStream {
    fn drop(&mut self) {
        if !self.ended {
            // RFC 9114 section 4.1: the response is complete without the rest of the request.
            let _closed = self.stream.stop(code(Code::H3_NO_ERROR.value()));
        }
    }
}

fn read_error(error: ReadError) -> StreamErrorIncoming {
    match error {
        ReadError::Reset(code) => StreamErrorIncoming::StreamTerminated { error_code: code.into_inner() },
        ReadError::ConnectionLost(error) => stream_lost(error),
        other @ (ReadError::ClosedStream | ReadError::IllegalOrderedRead | ReadError::ZeroRttRejected) => {
            StreamErrorIncoming::Unknown(other.into())
        }
    }
}
