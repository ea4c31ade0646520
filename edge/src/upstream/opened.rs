//! A parent's answer whose body is still to come: read with limits, and never taken for whole when it is not.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::header::{AGE, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderValue, Response, Version};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use nearcast_service::metrics::Counter;

use crate::error::{Error, Result};

/// A response of status 200 and its body.
#[derive(Debug)]
pub struct Opened {
    /// The body's length, where the parent said it.
    pub length: Option<u64>,
    pub content_type: HeaderValue,
    /// When the origin produced it: now less its `Age`. The time a blocking request was held is not added, as
    /// the response did not exist then.
    pub produced: Instant,
    /// `max-age` of `Cache-Control`.
    pub max_age: Duration,
    /// Who sent it.
    pub origin: Arc<str>,
    body: Incoming,
    got: u64,
    limit: u64,
    idle: Duration,
    bytes: Counter,
}

/// How much a body may hold and how slowly it may come.
#[derive(Debug, Clone)]
pub(super) struct Limits {
    pub(super) size: u64,
    pub(super) idle: Duration,
    /// Where the bytes are counted.
    pub(super) bytes: Counter,
}

impl Opened {
    /// Takes over a response whose headers arrived at `now`.
    pub(super) fn new(
        origin: Arc<str>,
        response: Response<Incoming>,
        limits: Limits,
        now: Instant,
    ) -> Result<Self> {
        let (head, body) = response.into_parts();
        let length = number(&head.headers, &CONTENT_LENGTH);
        if head.version <= Version::HTTP_11
            && length.is_none()
            && !head.headers.contains_key(TRANSFER_ENCODING)
        {
            // Such a body ends when the connection does, whatever the reason.
            return Err(Error::Unbounded { origin });
        }
        if length.is_some_and(|length| length > limits.size) {
            return Err(Error::TooLarge { origin, limit: limits.size });
        }
        let age = number(&head.headers, &AGE).unwrap_or(0).min(MAX_AGE);
        let content_type = head.headers.get(CONTENT_TYPE).cloned();
        Ok(Self {
            length,
            content_type: content_type.unwrap_or(HeaderValue::from_static("application/octet-stream")),
            produced: now.checked_sub(Duration::from_secs(age)).unwrap_or(now),
            max_age: max_age(&head.headers),
            origin,
            body,
            got: 0,
            limit: limits.size,
            idle: limits.idle,
            bytes: limits.bytes,
        })
    }

    /// The next piece, or `None` at a proper end.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>> {
        loop {
            let frame = tokio::time::timeout(self.idle, self.body.frame()).await;
            let frame =
                frame.map_err(|_| Error::Timeout { origin: Arc::clone(&self.origin), waited: self.idle })?;
            let Some(frame) = frame else {
                return match self.length {
                    Some(want) if want != self.got => {
                        Err(Error::Truncated { origin: Arc::clone(&self.origin), got: self.got, want })
                    }
                    _ => Ok(None),
                };
            };
            let broke =
                |source| Error::BrokeOff { origin: Arc::clone(&self.origin), source: Arc::new(source) };
            // Trailers say nothing that matters here.
            let Ok(data) = frame.map_err(broke)?.into_data() else { continue };
            self.got += data.len() as u64;
            self.bytes.inc_by(data.len() as u64);
            if self.got > self.limit {
                return Err(Error::TooLarge { origin: Arc::clone(&self.origin), limit: self.limit });
            }
            return Ok(Some(data));
        }
    }

    /// The whole body as one piece of memory of its size.
    pub async fn collect(mut self) -> Result<Bytes> {
        let mut whole = BytesMut::with_capacity(usize::try_from(self.length.unwrap_or(0)).unwrap_or(0));
        while let Some(chunk) = self.chunk().await? {
            whole.extend_from_slice(&chunk);
        }
        Ok(whole.freeze())
    }
}

fn number(headers: &HeaderMap, name: &http::HeaderName) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}

/// `max-age` in a `Cache-Control` of ours or another origin's; one second where nothing is said, nothing where
/// storing is refused.
fn max_age(headers: &HeaderMap) -> Duration {
    let mut found = None;
    for value in headers.get_all(CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok()) {
        for directive in value.split(',').map(str::trim) {
            if ["no-cache", "no-store", "private"].iter().any(|no| directive.eq_ignore_ascii_case(no)) {
                return Duration::ZERO;
            }
            let seconds = directive.split_once('=').filter(|(name, _)| name.eq_ignore_ascii_case("max-age"));
            if let Some(seconds) = seconds.and_then(|(_, seconds)| seconds.trim_matches('"').parse().ok()) {
                found = Some(seconds);
            }
        }
    }
    Duration::from_secs(found.unwrap_or(1).min(MAX_AGE))
}

/// A year: what is older or longer is a mistake.
const MAX_AGE: u64 = 31_536_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[&'static str]) -> u64 {
        let values = values.iter().map(|value| (CACHE_CONTROL, HeaderValue::from_static(value)));
        max_age(&values.collect()).as_secs()
    }

    #[test]
    fn cache_control_is_read() {
        assert_eq!(of(&[]), 1);
        assert_eq!(of(&["public, max-age=12"]), 12);
        assert_eq!(of(&["Max-Age=\"12\""]), 12);
        assert_eq!(of(&["public", "max-age=5"]), 5);
        assert_eq!(of(&["max-age=5, no-store"]), 0);
        assert_eq!(of(&["max-age=x"]), 1);
        assert_eq!(of(&["max-age=99999999999999"]), MAX_AGE);
    }
}
