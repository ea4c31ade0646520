//! An answer of an origin as it is kept: immutable, but for a mark that it was purged softly.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use super::policy::{Freshness, State};
use super::vary::Vary;

/// The head of an answer, known before its body.
#[derive(Debug)]
pub struct Head {
    /// Where it is kept.
    pub name: Box<str>,
    pub status: StatusCode,
    /// As viewers get them, without what is said anew for each.
    pub headers: HeaderMap,
    pub vary: Vary,
    pub tags: Box<[Box<str>]>,
    pub freshness: Freshness,
}

/// A whole answer. A newer version of it is another one, under another number.
#[derive(Debug)]
pub struct Stored {
    pub number: u64,
    pub head: Arc<Head>,
    pub body: Bytes,
    purged: AtomicBool,
}

impl Stored {
    /// Keeps `body` under `head`.
    pub fn new(number: u64, head: Arc<Head>, body: Bytes) -> Self {
        Self { number, head, body, purged: AtomicBool::new(false) }
    }

    /// How fresh it is.
    pub fn state(&self, now: Instant) -> State {
        let Freshness { if_error, .. } = self.head.freshness;
        match self.head.freshness.state(now) {
            State::Fresh | State::Revalidate if self.purged.load(Ordering::Relaxed) => {
                if if_error.is_zero() {
                    State::Expired
                } else {
                    State::IfError
                }
            }
            state => state,
        }
    }

    /// From now on it is stale.
    pub fn purge_softly(&self) {
        self.purged.store(true, Ordering::Relaxed);
    }

    /// Bytes in memory, about, with its place in the index.
    pub fn weight(&self) -> u64 {
        let Head { name, headers, vary, tags, .. } = &*self.head;
        let headers: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 80).sum();
        let tags: usize = tags.iter().map(|tag| tag.len() + 16).sum();
        // The index has the name too.
        (2 * name.len() + headers + vary.weight() + tags + self.body.len()) as u64 + OVERHEAD
    }
}

/// Two allocations, and the rows of the index and of the store.
const OVERHEAD: u64 = 700;
