//! HTTP/3's transport: [`h3::quic`] over quinn, with bodies that are never copied and RFC 9218 priorities.
//!
//! h3 hands every frame over as a `Buf` that hides the memory it is made of. [`Payload`] is our `Buf` and lets the
//! [`SendStream`] have its [`Bytes`](bytes::Bytes) back, so a body goes from the cache to quinn's packets as it is.
//! quinn's reads and writes keep their state in the connection, not in the future, so they are polled as new
//! futures each time: nothing is in flight that a reset or `stop_sending` could find in the wrong state.

mod connection;
pub mod handover;
mod payload;
mod priority;
mod recv;
mod send;
mod transport;

pub use connection::{Connection, OpenStreams};
pub use payload::Payload;
pub use priority::{Priority, fuzz};
pub use recv::RecvStream;
pub use send::SendStream;
pub(crate) use transport::endpoint;
pub use transport::{client_config, server_config, transport_config};

use std::sync::Arc;

use h3::quic::{ConnectionErrorIncoming, StreamErrorIncoming, StreamId};
use quinn::VarInt;

/// An HTTP/3 client on a connection: drive the first ([`wait_idle`](h3::client::Connection::wait_idle)) in a task, ask
/// with the second. Bodies are sent as [`Payload`]s.
///
/// # Errors
/// The connection broke before HTTP/3's own streams were open.
pub async fn client(
    connection: quinn::Connection,
) -> Result<
    (h3::client::Connection<Connection, Payload>, h3::client::SendRequest<OpenStreams, Payload>),
    h3::error::ConnectionError,
> {
    h3::client::builder().send_grease(false).build(Connection::new(connection)).await
}

/// A request stream: both directions.
#[derive(Debug)]
pub struct BidiStream {
    send: SendStream,
    recv: RecvStream,
}

impl h3::quic::BidiStream<Payload> for BidiStream {
    type SendStream = SendStream;
    type RecvStream = RecvStream;

    fn split(self) -> (SendStream, RecvStream) {
        (self.send, self.recv)
    }
}

impl h3::quic::SendStream<Payload> for BidiStream {
    fn poll_ready(
        &mut self,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), StreamErrorIncoming>> {
        self.send.poll_ready(cx)
    }

    fn send_data<T: Into<h3::quic::WriteBuf<Payload>>>(
        &mut self,
        data: T,
    ) -> Result<(), StreamErrorIncoming> {
        self.send.send_data(data)
    }

    fn poll_finish(
        &mut self,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), StreamErrorIncoming>> {
        self.send.poll_finish(cx)
    }

    fn reset(&mut self, reset_code: u64) {
        self.send.reset(reset_code);
    }

    fn send_id(&self) -> StreamId {
        self.send.send_id()
    }
}

impl h3::quic::RecvStream for BidiStream {
    type Buf = bytes::Bytes;

    fn poll_data(
        &mut self,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<Option<bytes::Bytes>, StreamErrorIncoming>> {
        self.recv.poll_data(cx)
    }

    fn stop_sending(&mut self, error_code: u64) {
        self.recv.stop_sending(error_code);
    }

    fn recv_id(&self) -> StreamId {
        self.recv.recv_id()
    }
}

fn connection_error(error: quinn::ConnectionError) -> ConnectionErrorIncoming {
    match error {
        quinn::ConnectionError::ApplicationClosed(close) => {
            ConnectionErrorIncoming::ApplicationClose { error_code: close.error_code.into_inner() }
        }
        quinn::ConnectionError::TimedOut => ConnectionErrorIncoming::Timeout,
        other => ConnectionErrorIncoming::Undefined(Arc::new(other)),
    }
}

fn stream_lost(error: quinn::ConnectionError) -> StreamErrorIncoming {
    StreamErrorIncoming::ConnectionErrorIncoming { connection_error: connection_error(error) }
}

/// Codes come from h3 and are below 2^62; the largest stands for any that is not.
fn code(value: u64) -> VarInt {
    VarInt::from_u64(value).unwrap_or(VarInt::MAX)
}

#[cfg(test)]
mod tests;
