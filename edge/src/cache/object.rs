//! A whole response as it is kept and sent: its bytes, type and age.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::HeaderValue;

/// A response of status 200.
#[derive(Debug, Clone)]
pub struct Object {
    pub body: Bytes,
    pub content_type: HeaderValue,
    /// When the origin produced it: arrival less its `Age`.
    pub produced: Instant,
    /// How long after `produced` it is fresh. Immutable objects do not look at it.
    pub max_age: Duration,
}

impl Object {
    /// Whole seconds since the origin produced it (RFC 9111 §5.1).
    pub fn age(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.produced).as_secs()
    }

    /// True while it may be served without asking again.
    pub fn is_fresh(&self, now: Instant) -> bool {
        now < self.produced + self.max_age
    }
}
