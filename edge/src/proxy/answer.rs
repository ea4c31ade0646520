//! An origin's answer whose body is still to come: read with limits, and never taken for whole when it is not.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use futures_util::stream;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::response::Parts;
use http::{Method, Response, StatusCode, Version};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use nearcast_service::http::Body;
use nearcast_service::metrics::Counter;
use tokio::sync::OwnedSemaphorePermit;

use super::policy::Times;
use crate::error::{Error, Result};

/// A head and the body behind it.
#[derive(Debug)]
pub struct Answer {
    pub head: Parts,
    pub body: Delivery,
    pub times: Times,
}

/// The body, piece by piece.
#[derive(Debug)]
pub struct Delivery {
    /// Its length, where the origin said it.
    pub length: Option<u64>,
    /// False when its end cannot be told from a broken connection.
    pub bounded: bool,
    pub origin: Arc<str>,
    incoming: Incoming,
    got: u64,
    idle: Duration,
    bytes: Counter,
    /// Its place among the requests that may be at the origin.
    _place: OwnedSemaphorePermit,
}

impl Answer {
    /// Takes over a response to `method` that was asked for at `sent`.
    pub(super) fn new(
        response: Response<Incoming>,
        method: &Method,
        sent: Instant,
        delivery: impl FnOnce(Incoming) -> Delivery,
    ) -> Self {
        let (head, incoming) = response.into_parts();
        let times = Times { sent, received: Instant::now(), wall: SystemTime::now() };
        let mut body = delivery(incoming);
        let said = head.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        let bodyless = *method == Method::HEAD
            || matches!(head.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        body.length = if bodyless { Some(0) } else { said };
        body.bounded = body.length.is_some()
            || head.version > Version::HTTP_11
            || head.version == Version::HTTP_11 && head.headers.contains_key(TRANSFER_ENCODING);
        Self { head, body, times }
    }
}

impl Delivery {
    pub(super) fn new(
        incoming: Incoming,
        origin: Arc<str>,
        idle: Duration,
        bytes: Counter,
        place: OwnedSemaphorePermit,
    ) -> Self {
        Self { length: None, bounded: false, origin, incoming, got: 0, idle, bytes, _place: place }
    }

    /// The next piece, or `None` at a proper end.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>> {
        loop {
            let origin = || Arc::clone(&self.origin);
            let frame = tokio::time::timeout(self.idle, self.incoming.frame()).await;
            let frame = frame.map_err(|_| Error::Timeout { origin: origin(), waited: self.idle })?;
            let Some(frame) = frame else {
                return match self.length {
                    Some(want) if want != self.got => {
                        Err(Error::Truncated { origin: origin(), got: self.got, want })
                    }
                    _ => Ok(None),
                };
            };
            let broke = |source| Error::BrokeOff { origin: origin(), source: Arc::new(source) };
            // Trailers are not passed on (RFC 9110 §6.5.1 lets them be dropped).
            let Ok(data) = frame.map_err(broke)?.into_data() else { continue };
            self.got += data.len() as u64;
            self.bytes.inc_by(data.len() as u64);
            return Ok(Some(data));
        }
    }

    /// The body for one viewer, as fast as they take it.
    pub fn pass(self) -> Body {
        Body::stream(stream::try_unfold(self, |mut delivery| async move {
            let chunk = delivery.chunk().await?;
            Ok::<_, Error>(chunk.map(|chunk| (chunk, delivery)))
        }))
    }
}
