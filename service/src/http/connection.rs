//! One TCP connection, from handshake to last byte: HTTP/1.1 or HTTP/2 by ALPN.

use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::answer::Answerer;
use super::handshake::Handshake;
use super::slow::{Metered, Pace};
use super::{Handler, Peer, Protocol, RequestBody};
use crate::drain::Drain;
use crate::tls::{self, ClientCertificate};

/// How connections are served; one for all of a server's.
pub(super) struct Connections<H> {
    answerer: Arc<Answerer<H>>,
    drain: Drain,
    http1: http1::Builder,
    http2: http2::Builder<Spawn>,
}

/// Puts what hyper spawns (one task per HTTP/2 request) under the drain.
#[derive(Clone)]
struct Spawn(Drain);

impl<H: Handler> Connections<H> {
    pub(super) fn new(answerer: Arc<Answerer<H>>, idle_timeout: Duration, drain: Drain) -> Self {
        let mut http1 = http1::Builder::new();
        http1
            .timer(TokioTimer::new())
            // Runs from the end of one request to the end of the next one's headers, so it bounds idling too.
            .header_read_timeout(idle_timeout)
            .max_buf_size(MAX_HEADERS);
        let mut http2 = http2::Builder::new(Spawn(drain.clone()));
        http2
            .timer(TokioTimer::new())
            .max_concurrent_streams(MAX_STREAMS)
            .max_header_list_size(MAX_HEADERS as u32)
            .initial_stream_window_size(UPLOAD_WINDOW)
            .initial_connection_window_size(UPLOAD_WINDOW * 2)
            .max_send_buf_size(MAX_SEND)
            .max_pending_accept_reset_streams(MAX_PENDING_RESETS)
            .max_local_error_reset_streams(MAX_FAULTS)
            .keep_alive_interval(PING)
            .keep_alive_timeout(PING);
        Self { answerer, drain, http1, http2 }
    }

    /// Serves HTTP/1.1 without TLS.
    pub(super) async fn plain(&self, stream: TcpStream, peer: std::net::SocketAddr) {
        let pace = Arc::<Pace>::default();
        let stream = Metered { stream, pace: Arc::clone(&pace) };
        let peer = Peer { address: peer, protocol: Protocol::H1, secure: false };
        self.unless_slow(Box::pin(self.http1(stream, peer, None, &pace)), &pace).await;
    }

    /// Shakes hands and serves what the client chose.
    pub(super) async fn secure(&self, stream: TcpStream, peer: std::net::SocketAddr, handshake: Handshake) {
        let pace = Arc::<Pace>::default();
        let stream = Metered { stream, pace: Arc::clone(&pace) };
        let stream = match tokio::time::timeout(HANDSHAKE, handshake.shake(stream)).await {
            Ok(Ok(stream)) => stream,
            failed => {
                self.answerer.metrics.failed_handshakes.inc();
                let reason = failed.map_or("it took too long".to_owned(), |result| match result {
                    Err(error) => error.to_string(),
                    Ok(_) => String::new(),
                });
                return tracing::debug!(%peer, "a TLS handshake failed: {reason}");
            }
        };
        let protocol = match stream.get_ref().1.alpn_protocol() {
            Some(b"h2") => Protocol::H2,
            // An ACME server has seen what it wanted to see (RFC 8737 section 3).
            Some(tls::acme::PROTOCOL) => return,
            _ => Protocol::H1,
        };
        let peer = Peer { address: peer, protocol, secure: true };
        let shown = stream.get_ref().1.peer_certificates().and_then(ClientCertificate::of);
        match protocol {
            Protocol::H2 => self.unless_slow(Box::pin(self.http2(stream, peer, shown, &pace)), &pace).await,
            Protocol::H1 | Protocol::H3 => {
                self.unless_slow(Box::pin(self.http1(stream, peer, shown, &pace)), &pace).await
            }
        }
    }

    /// Boxed, because what is moved into a future takes its room twice.
    async fn unless_slow(&self, connection: Pin<Box<impl Future<Output = ()>>>, pace: &Pace) {
        tokio::select! {
            () = connection => {}
            () = pace.too_slow() => {
                self.answerer.metrics.slow_clients.inc();
            }
        }
    }

    async fn http1(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        peer: Peer,
        shown: Option<ClientCertificate>,
        pace: &Arc<Pace>,
    ) {
        let connection = self.http1.serve_connection(TokioIo::new(stream), self.service(peer, shown, pace));
        let mut connection = pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => Some(ended),
            () = self.drain.draining() => None,
        };
        let ended = match ended {
            Some(ended) => ended,
            // hyper's graceful shutdown closes an idle connection at once, and a request that is on its way is
            // lost with it (hyper#3792). So the next answer says `Connection: close`, and only a client that
            // asks nothing for a while is cut.
            None => match tokio::time::timeout(LAST_REQUEST, connection.as_mut()).await {
                Ok(ended) => ended,
                Err(_) => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            },
        };
        log_end(ended, peer);
    }

    async fn http2(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        peer: Peer,
        shown: Option<ClientCertificate>,
        pace: &Arc<Pace>,
    ) {
        let connection = self.http2.serve_connection(TokioIo::new(stream), self.service(peer, shown, pace));
        let mut connection = pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => Some(ended),
            () = self.drain.draining() => None,
        };
        let ended = match ended {
            Some(ended) => ended,
            None => {
                // Two GOAWAY frames a round trip apart (RFC 9113 section 6.8): no request is lost.
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        log_end(ended, peer);
    }

    fn service(
        &self,
        peer: Peer,
        shown: Option<ClientCertificate>,
        pace: &Arc<Pace>,
    ) -> impl hyper::service::Service<
        http::Request<Incoming>,
        Response = http::Response<super::answer::Counted>,
        Error = Infallible,
        Future: Send + 'static,
    > + Send
    + 'static {
        let (answerer, pace) = (self.answerer.clone(), Arc::clone(pace));
        service_fn(move |request: http::Request<Incoming>| {
            let (answerer, pace) = (answerer.clone(), Arc::clone(&pace));
            let mut request = request.map(RequestBody::from);
            if let Some(shown) = &shown {
                request.extensions_mut().insert(shown.clone());
            }
            async move { Ok(answerer.answer(request, peer, Some(pace)).await) }
        })
    }
}

impl<F> Executor<F> for Spawn
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    fn execute(&self, future: F) {
        self.0.spawn("HTTP/2 request", future);
    }
}

fn log_end(ended: hyper::Result<()>, peer: Peer) {
    if let Err(error) = ended {
        let (address, protocol) = (peer.address, peer.protocol.as_str());
        tracing::debug!(%address, protocol, "a connection broke: {}", crate::log::Chain(&error));
    }
}

/// Of a request. Browsers send under 4 KiB; nginx allows 8 KiB a line.
pub(super) const MAX_HEADERS: usize = 16 << 10;

/// Requests at once on one HTTP/2 or HTTP/3 connection: a player has under ten in flight.
pub(super) const MAX_STREAMS: u32 = 128;

/// What a client may upload before a handler reads: requests to us are small.
pub(super) const UPLOAD_WINDOW: u32 = 64 << 10;

/// Response bytes that wait in one HTTP/2 stream for the client's window.
const MAX_SEND: usize = 256 << 10;

/// Streams reset before they were answered (CVE-2023-44487); beyond, the connection is closed.
const MAX_PENDING_RESETS: usize = 20;

/// Streams that we had to reset because the client broke rules on them (CVE-2025-8671); beyond, the connection is closed.
const MAX_FAULTS: usize = 20;

/// An HTTP/2 client that answers no ping for as long again is gone.
const PING: Duration = Duration::from_secs(20);

/// TLS handshakes take two round trips.
pub(super) const HANDSHAKE: Duration = Duration::from_secs(10);

/// While draining, how long an idle HTTP/1.1 connection may still bring a request: players ask twice a second.
const LAST_REQUEST: Duration = Duration::from_millis(600);
