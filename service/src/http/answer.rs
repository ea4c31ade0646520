//! What happens to every answer whatever the protocol: counted, announced, made safe against panics.

use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::SystemTime;

use bytes::Bytes;
use futures_util::FutureExt;
use http::header::{ALT_SVC, CONNECTION, CONTENT_LENGTH, DATE};
use http::{HeaderValue, Method, StatusCode};
use http_body::{Frame, SizeHint};
use prometheus_client::encoding::EncodeLabelSet;

use super::slow::{Pace, Piece};
use super::{Body, BoxError, Handler, Peer, Protocol, Request, Response};
use crate::drain::Drain;
use crate::metrics::{Counter, Family, Gauge};

crate::metrics! {
    /// What the HTTP server counts.
    pub struct Metrics: "http" {
        /// Requests answered, by protocol and class of status.
        pub requests: Family<RequestLabels, Counter>,
        /// Bytes of response bodies handed to the network.
        pub sent_bytes: Counter,
        /// Connections now open.
        pub connections: Gauge,
        /// Connections closed at once because there were too many.
        pub rejected_connections: Counter,
        /// Handshakes that failed, of TLS and QUIC.
        pub failed_handshakes: Counter,
        /// Failures to accept a connection, such as too many open files.
        pub failed_accepts: Counter,
        /// Connections closed because the client took next to nothing of what it had asked for.
        pub slow_clients: Counter,
        /// Requests whose handler panicked; each is a bug.
        pub handler_panics: Counter,
    }
}

/// Labels of [`Metrics::requests`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RequestLabels {
    pub protocol: &'static str,
    /// `2xx`
    pub status: &'static str,
}

/// A handler and what is put around it.
pub(super) struct Answerer<H> {
    pub handler: H,
    pub alt_svc: Option<HeaderValue>,
    pub metrics: Metrics,
    pub drain: Drain,
}

/// A body whose bytes are counted as they are taken.
pub(super) struct Counted {
    body: Body,
    sent: Counter,
    pace: Option<Arc<Pace>>,
}

impl<H: Handler> Answerer<H> {
    /// Answers one request, whatever the handler does. `pace` is the connection's, where it is watched.
    pub(super) async fn answer(
        &self,
        mut request: Request,
        peer: Peer,
        pace: Option<Arc<Pace>>,
    ) -> http::Response<Counted> {
        let head = request.method() == Method::HEAD;
        request.extensions_mut().insert(peer);
        // After a panic the handler is used again: like any shared state it must be sound behind its locks.
        // Called inside the future, for a closure may panic before it gives one.
        let answering = AssertUnwindSafe(async { self.handler.handle(request).await });
        let answered = answering.catch_unwind().await;
        let mut response = answered.unwrap_or_else(|_| {
            self.metrics.handler_panics.inc();
            failure()
        });
        self.finish(&mut response, peer, head);
        let sent = self.metrics.sent_bytes.clone();
        response.map(|body| Counted { body, sent, pace })
    }

    fn finish(&self, response: &mut Response, peer: Peer, head: bool) {
        let labels = RequestLabels { protocol: peer.protocol.as_str(), status: class(response.status()) };
        self.metrics.requests.get_or_create(&labels).inc();
        if head {
            if let Some(length) = response.body().len().filter(|length| *length > 0) {
                response.headers_mut().entry(CONTENT_LENGTH).or_insert(length.into());
            }
            *response.body_mut() = Body::empty();
        }
        let headers = response.headers_mut();
        match peer.protocol {
            // hyper closes after an answer that says so; see connection.rs for why here.
            Protocol::H1 if self.drain.is_draining() => {
                headers.insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Protocol::H3 => {
                headers.entry(DATE).or_insert_with(date);
            }
            Protocol::H1 | Protocol::H2 => {}
        }
        if let Some(alt_svc) = self.alt_svc.as_ref().filter(|_| peer.secure && peer.protocol != Protocol::H3)
        {
            headers.entry(ALT_SVC).or_insert_with(|| alt_svc.clone());
        }
    }
}

fn failure() -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    response
}

fn date() -> HeaderValue {
    let text = httpdate::fmt_http_date(SystemTime::now());
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

fn class(status: StatusCode) -> &'static str {
    match status.as_u16() / 100 {
        1 => "1xx",
        2 => "2xx",
        3 => "3xx",
        4 => "4xx",
        _ => "5xx",
    }
}

impl http_body::Body for Counted {
    type Data = Piece;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Piece>, BoxError>>> {
        let Some(frame) = ready!(Pin::new(&mut self.body).poll_frame(cx)?) else {
            return Poll::Ready(None);
        };
        let piece = |data: Bytes| {
            self.sent.inc_by(data.len() as u64);
            Piece::new(data, self.pace.as_ref())
        };
        Poll::Ready(Some(Ok(frame.map_data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
