//! HTTP/3: one endpoint, one task per connection, one task per request.

use std::sync::Arc;
use std::time::Duration;

use bytes::Buf;
use h3::error::Code;
use h3::server::{RequestResolver, RequestStream};
use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderName, Method, StatusCode};
use http_body::{Body as _, Frame};
use http_body_util::{BodyExt, StreamBody};
use rustls_pki_types::CertificateDer;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::answer::{Answerer, Counted};
use super::connection::{HANDSHAKE, MAX_HEADERS};
use super::server::Door;
use super::{BoxError, Handler, Peer, Protocol, RequestBody, listen};
use crate::log::Chain;
use crate::quic::{self, Payload, Priority};
use crate::tls::ClientCertificate;

/// What all HTTP/3 connections of a server share.
pub(super) struct Http3<H> {
    pub answerer: Arc<Answerer<H>>,
    pub door: Door,
    /// For the headers of a request, once its stream is open.
    pub idle_timeout: Duration,
    /// The connections of all workers.
    pub connections: TaskTracker,
}

type Send = RequestStream<quic::SendStream, Payload>;
type Receive = RequestStream<quic::RecvStream, Payload>;

impl<H: Handler> Http3<H> {
    /// Accepts until draining begins, then waits until every connection is closed and its last packet is out.
    pub(super) async fn serve(self: Arc<Self>, endpoint: quinn::Endpoint) {
        while let Some(Some(incoming)) = self.door.drain.unless_draining(endpoint.accept()).await {
            if self.door.is_crowded() && !incoming.remote_address_validated() {
                // Whoever cannot receive at the address it sends from costs no memory (RFC 9000 section 8.1.2).
                let _validated_after_all = incoming.retry();
                continue;
            }
            let Some(place) = self.door.enter() else {
                incoming.refuse();
                continue;
            };
            let this = self.clone();
            let connection = self.connections.track_future(async move {
                this.connection(incoming).await;
                drop(place);
            });
            self.door.drain.spawn("HTTP/3 connection", connection);
        }
        endpoint.set_server_config(None);
        // The kernel gives packets of any connection to any worker's socket, so all go on receiving until the last is closed.
        self.connections.close();
        self.connections.wait().await;
        // Every connection is told that it is over; quinn goes on to listen for three timeouts of the slowest (RFC 9000
        // section 10.2), which may be longer than a drain.
        let _enough = tokio::time::timeout(FAREWELL, endpoint.wait_idle()).await;
    }

    async fn connection(self: Arc<Self>, incoming: quinn::Incoming) {
        let address = listen::canonical(incoming.remote_address());
        let connection = match self.in_time(incoming.into_future()).await {
            Some(Ok(connection)) => connection,
            failed => {
                self.door.metrics.failed_handshakes.inc();
                let reason = match failed {
                    Some(Err(error)) => Chain(&error).to_string(),
                    _ => "it took too long".to_owned(),
                };
                return tracing::debug!(%address, "a QUIC handshake failed: {reason}");
            }
        };
        let peer = Peer { address, protocol: Protocol::H3, secure: true };
        let gone = CancellationToken::new();
        let _cancels_requests = gone.clone().drop_guard();
        match self.requests(connection, peer, gone).await {
            Err(error) if !error.is_h3_no_error() => {
                tracing::debug!(%address, "an HTTP/3 connection broke: {}", Chain(&error));
            }
            _ => {}
        }
    }

    /// The outcome of something that a client may draw out, unless it does.
    async fn in_time<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        let late = async {
            let draining = async {
                self.door.drain.draining().await;
                // What the client still gets for it.
                tokio::time::sleep(FAREWELL).await;
            };
            let _whichever = tokio::time::timeout(HANDSHAKE, draining).await;
        };
        tokio::select! {
            done = future => Some(done),
            () = late => None,
        }
    }

    async fn requests(
        self: Arc<Self>,
        connection: quinn::Connection,
        peer: Peer,
        gone: CancellationToken,
    ) -> Result<(), h3::error::ConnectionError> {
        let round_trip = connection.rtt();
        let chain =
            connection.peer_identity().and_then(|chain| chain.downcast::<Vec<CertificateDer<'_>>>().ok());
        let shown = chain.and_then(|chain| ClientCertificate::of(&chain));
        let mut builder = h3::server::builder();
        builder.send_grease(false).max_field_section_size(MAX_HEADERS as u64);
        let Some(h3) = self.in_time(builder.build(quic::Connection::new(connection))).await else {
            return Ok(());
        };
        let mut h3 = h3?;
        let running = TaskTracker::new();
        let mut goodbye = Goodbye::No;
        loop {
            let step = tokio::select! {
                accepted = h3.accept() => match accepted? {
                    Some(resolver) => {
                        let (this, gone, shown) = (self.clone(), gone.clone(), shown.clone());
                        let request = running.track_future(async move {
                            gone.run_until_cancelled(this.request(resolver, peer, shown)).await
                        });
                        self.door.drain.spawn("HTTP/3 request", request);
                        continue;
                    }
                    None => return Ok(()),
                },
                step = goodbye.next(&self.door, round_trip, &running) => step,
            };
            match step {
                Goodbye::Announced => match self.in_time(h3.shutdown(ANY_MORE)).await {
                    Some(told) => told?,
                    None => return Ok(()),
                },
                // h3 counts the one request that may cross the frame.
                Goodbye::Last => {
                    match self.in_time(h3.shutdown(1)).await {
                        Some(told) => told?,
                        None => return Ok(()),
                    }
                    running.close();
                }
                // Dropping h3's connection closes QUIC's with H3_NO_ERROR.
                Goodbye::Done | Goodbye::No => return Ok(()),
            }
            goodbye = step;
        }
    }

    async fn request(
        &self,
        resolver: RequestResolver<quic::Connection, Payload>,
        peer: Peer,
        shown: Option<ClientCertificate>,
    ) {
        let resolved = tokio::time::timeout(self.idle_timeout, resolver.resolve_request()).await;
        let (request, stream) = match resolved {
            Ok(Ok(resolved)) => resolved,
            Ok(Err(error)) => {
                return tracing::debug!(address = %peer.address, "not a request: {}", Chain(&error));
            }
            Err(_) => return,
        };
        let priority = request.headers().get(PRIORITY).map(|value| Priority::parse(value.as_bytes()));
        let (send, receive) = stream.split();
        let body = match *request.method() {
            // Nobody reads a body here; dropping the stream stops the client from sending one.
            Method::GET | Method::HEAD => RequestBody::empty(),
            _ => RequestBody::wrap(incoming(receive)),
        };
        // A stream that is not taken ends by itself.
        let mut request = request.map(|()| body);
        if let Some(shown) = shown {
            request.extensions_mut().insert(shown);
        }
        let response = self.answerer.answer(request, peer, None).await;
        if let Err(error) = respond(send, response, priority.unwrap_or_default()).await {
            tracing::debug!(address = %peer.address, "a response was not taken: {}", Chain(&error));
        }
    }
}

/// How far the farewell of a connection has come: GOAWAY for "any more goes elsewhere" while requests may still be on
/// their way, then after a round trip GOAWAY for good (RFC 9114 section 5.2), then the requests that run.
enum Goodbye {
    No,
    Announced,
    Last,
    Done,
}

impl Goodbye {
    /// Waits for the next step.
    async fn next(&self, door: &Door, round_trip: Duration, running: &TaskTracker) -> Self {
        match self {
            Self::No => {
                door.drain.draining().await;
                Self::Announced
            }
            Self::Announced => {
                tokio::time::sleep((round_trip * 2).clamp(SHORTEST_ROUND_TRIP, LONGEST_ROUND_TRIP)).await;
                Self::Last
            }
            Self::Last => {
                running.wait().await;
                Self::Done
            }
            Self::Done => std::future::pending().await,
        }
    }
}

async fn respond(
    mut send: Send,
    response: http::Response<Counted>,
    priority: Priority,
) -> Result<(), h3::error::StreamError> {
    let (mut parts, mut body) = response.into_parts();
    of_h3(&mut parts.headers, parts.status, body.size_hint().exact());
    send.send_response(http::Response::from_parts(parts, ())).await?;
    while let Some(frame) = body.frame().await {
        match frame.map(Frame::into_data) {
            Ok(Ok(data)) => send.send_data(Payload::new(data.into_bytes(), priority)).await?,
            Ok(Err(_trailers)) => {}
            Err(error) => {
                tracing::debug!("a response was cut short: {error}");
                send.stop_stream(Code::H3_INTERNAL_ERROR);
                return Ok(());
            }
        }
    }
    send.finish().await
}

/// Takes out what only HTTP/1.1 has (RFC 9114 section 4.2), and says the length where hyper would.
fn of_h3(headers: &mut HeaderMap, status: StatusCode, length: Option<u64>) {
    for name in [CONNECTION, TRANSFER_ENCODING, UPGRADE, KEEP_ALIVE] {
        headers.remove(name);
    }
    let may_have_body =
        !status.is_informational() && !matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    if let Some(length) = length.filter(|_| may_have_body) {
        headers.entry(CONTENT_LENGTH).or_insert(length.into());
    }
}

fn incoming(receive: Receive) -> impl http_body::Body<Data = bytes::Bytes, Error = BoxError> {
    let chunks = futures_util::stream::try_unfold(receive, async |mut receive| {
        let chunk = receive.recv_data().await?;
        // h3 cuts chunks out of what quinn gave, so this takes the slice and copies nothing.
        let chunk = chunk.map(|mut chunk| Frame::data(chunk.copy_to_bytes(chunk.remaining())));
        Ok::<_, BoxError>(chunk.map(|chunk| (chunk, receive)))
    });
    StreamBody::new(Box::pin(chunks))
}

const PRIORITY: HeaderName = HeaderName::from_static("priority");
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");

/// More requests than can be on their way.
const ANY_MORE: usize = 1 << 20;

/// Timers are no finer, and loopback is in no hurry.
const SHORTEST_ROUND_TRIP: Duration = Duration::from_millis(20);

/// While draining, for whatever a client has to do for its connection to end.
const FAREWELL: Duration = Duration::from_secs(1);

/// A drain has seconds, not more.
const LONGEST_ROUND_TRIP: Duration = Duration::from_millis(800);
