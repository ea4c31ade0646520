//! A QUIC connection as h3 wants it: streams that come and streams that go.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::Stream;
use futures_util::stream::unfold;
use h3::error::Code;
use h3::quic::{ConnectionErrorIncoming, StreamErrorIncoming};

use super::{BidiStream, Payload, RecvStream, SendStream, code, connection_error, stream_lost};

type Bidi = (quinn::SendStream, quinn::RecvStream);
type Boxed<T> = Pin<Box<dyn Stream<Item = Result<T, quinn::ConnectionError>> + Send + Sync>>;

/// A connection of either side. quinn's accepting and opening are futures that must live between polls, so each kind
/// is a stream that is boxed once.
pub struct Connection {
    inner: quinn::Connection,
    accept_bidi: Boxed<Bidi>,
    accept_recv: Boxed<quinn::RecvStream>,
    open: OpenStreams,
}

/// Opens streams on a connection. Streams are boxed on first use: a server opens no request streams.
pub struct OpenStreams {
    inner: quinn::Connection,
    bidi: Option<Boxed<Bidi>>,
    send: Option<Boxed<quinn::SendStream>>,
}

impl Connection {
    /// Wraps a connection; clones of `inner` see the same one.
    pub fn new(inner: quinn::Connection) -> Self {
        let accept_bidi = unfold(inner.clone(), async |inner| Some((inner.accept_bi().await, inner)));
        let accept_recv = unfold(inner.clone(), async |inner| Some((inner.accept_uni().await, inner)));
        Self {
            accept_bidi: Box::pin(accept_bidi),
            accept_recv: Box::pin(accept_recv),
            open: OpenStreams::new(inner.clone()),
            inner,
        }
    }
}

impl OpenStreams {
    fn new(inner: quinn::Connection) -> Self {
        Self { inner, bidi: None, send: None }
    }
}

impl h3::quic::Connection<Payload> for Connection {
    type RecvStream = RecvStream;
    type OpenStreams = OpenStreams;

    fn poll_accept_recv(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<RecvStream, ConnectionErrorIncoming>> {
        let stream = ready!(next(&mut self.accept_recv, cx));
        Poll::Ready(stream.map(RecvStream::new).map_err(connection_error))
    }

    fn poll_accept_bidi(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<BidiStream, ConnectionErrorIncoming>> {
        let stream = ready!(next(&mut self.accept_bidi, cx));
        Poll::Ready(stream.map(bidi).map_err(connection_error))
    }

    fn opener(&self) -> OpenStreams {
        OpenStreams::new(self.inner.clone())
    }
}

impl h3::quic::OpenStreams<Payload> for Connection {
    type BidiStream = BidiStream;
    type SendStream = SendStream;

    fn poll_open_bidi(&mut self, cx: &mut Context<'_>) -> Poll<Result<BidiStream, StreamErrorIncoming>> {
        self.open.poll_open_bidi(cx)
    }

    fn poll_open_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<SendStream, StreamErrorIncoming>> {
        self.open.poll_open_send(cx)
    }

    fn close(&mut self, code: Code, reason: &[u8]) {
        self.open.close(code, reason);
    }
}

impl h3::quic::OpenStreams<Payload> for OpenStreams {
    type BidiStream = BidiStream;
    type SendStream = SendStream;

    fn poll_open_bidi(&mut self, cx: &mut Context<'_>) -> Poll<Result<BidiStream, StreamErrorIncoming>> {
        let opening = self.bidi.get_or_insert_with(|| {
            Box::pin(unfold(self.inner.clone(), async |inner| Some((inner.open_bi().await, inner))))
        });
        let stream = ready!(next(opening, cx));
        Poll::Ready(stream.map(bidi).map_err(stream_lost))
    }

    fn poll_open_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<SendStream, StreamErrorIncoming>> {
        let opening = self.send.get_or_insert_with(|| {
            Box::pin(unfold(self.inner.clone(), async |inner| Some((inner.open_uni().await, inner))))
        });
        let stream = ready!(next(opening, cx));
        Poll::Ready(stream.map(|stream| SendStream::new(stream, false)).map_err(stream_lost))
    }

    fn close(&mut self, close: Code, reason: &[u8]) {
        self.inner.close(code(close.value()), reason);
    }
}

impl Clone for OpenStreams {
    fn clone(&self) -> Self {
        Self::new(self.inner.clone())
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("peer", &self.inner.remote_address()).finish()
    }
}

impl fmt::Debug for OpenStreams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenStreams").field("peer", &self.inner.remote_address()).finish()
    }
}

/// The streams above never end, but the type says they could.
fn next<T>(stream: &mut Boxed<T>, cx: &mut Context<'_>) -> Poll<Result<T, quinn::ConnectionError>> {
    let item = ready!(stream.as_mut().poll_next(cx));
    Poll::Ready(item.unwrap_or(Err(quinn::ConnectionError::LocallyClosed)))
}

fn bidi((send, recv): Bidi) -> BidiStream {
    BidiStream { send: SendStream::new(send, true), recv: RecvStream::new(recv) }
}
