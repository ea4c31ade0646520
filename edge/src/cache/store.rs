//! Immutable objects in memory: each is inserted once, the least recently used leave when the budget is spent.

use std::sync::Arc;

use moka::notification::RemovalCause;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use nearcast_service::metrics::Gauge;

use super::disk::Disk;
use super::object::Object;

/// Parts, segments and init segments by path. Nothing that changes may be put here: `moka` can outgrow its bound
/// when keys are re-inserted under pressure (moka#590), and its default policy may refuse a new segment (hence LRU).
#[derive(Debug, Clone)]
pub struct Store {
    objects: Cache<Box<str>, Arc<Object>>,
    budget: u64,
    bytes: Gauge,
}

impl Store {
    /// A store that holds up to `budget` bytes, its own overhead included. What it has no room for is offered to `disk`.
    /// `bytes` shows what it holds.
    pub fn new(budget: u64, disk: Option<Disk>, bytes: Gauge) -> Self {
        let left = bytes.clone();
        let objects = Cache::<Box<str>, Arc<Object>>::builder()
            .max_capacity(budget)
            .eviction_policy(EvictionPolicy::lru())
            .weigher(|key, object| u32::try_from(weight(key, object)).unwrap_or(u32::MAX))
            .eviction_listener(move |key, object, cause| {
                left.dec_by(gauge(weight(&key, &object)));
                if let Some(disk) = disk.as_ref().filter(|_| cause == RemovalCause::Size) {
                    disk.offer(&key, &object);
                }
            })
            .build();
        Self { objects, budget, bytes }
    }

    /// The object of this path.
    pub fn get(&self, key: &str) -> Option<Arc<Object>> {
        self.objects.get(key)
    }

    /// True when the object is here. Does not count as a use.
    pub fn contains(&self, key: &str) -> bool {
        self.objects.contains_key(key)
    }

    /// Keeps an object, unless its path has one: they are the same.
    pub fn insert(&self, key: &str, object: Arc<Object>) {
        if self.contains(key) {
            return;
        }
        self.bytes.inc_by(gauge(weight(key, &object)));
        self.objects.insert(key.into(), object);
    }

    /// The watchdog: evicts at once when more than the budget is held. `moka` does so in passing, but only as
    /// others use it. True when there was something to do.
    pub fn enforce(&self) -> bool {
        let over = self.bytes.get() > gauge(self.budget);
        if over {
            self.objects.run_pending_tasks();
        }
        over
    }
}

fn weight(key: &str, object: &Object) -> u64 {
    key.len() as u64 + object.body.len() as u64 + OVERHEAD
}

fn gauge(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// What an entry costs beside its bytes: moka's nodes and counters, the `Arc`, the object's own fields.
const OVERHEAD: u64 = 300;

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use bytes::Bytes;
    use http::HeaderValue;

    use super::*;

    fn object(length: usize) -> Arc<Object> {
        Arc::new(Object {
            body: Bytes::from(vec![0; length]),
            content_type: HeaderValue::from_static("video/mp4"),
            produced: Instant::now(),
            max_age: Duration::ZERO,
        })
    }

    #[test]
    fn what_is_held_never_passes_the_budget_for_long() {
        let bytes = Gauge::default();
        let store = Store::new(1 << 20, None, bytes.clone());
        for name in 0..1000 {
            store.insert(&format!("/live/demo/b/r/{name}.m4s"), object(10_000));
            store.enforce();
            assert!(bytes.get() <= (1 << 20) + 11_000, "{}", bytes.get());
        }
        assert!(store.get("/live/demo/b/r/999.m4s").is_some(), "the newest stays");
        assert!(store.get("/live/demo/b/r/0.m4s").is_none(), "the oldest left");
    }

    #[test]
    fn a_second_insert_changes_nothing() {
        let bytes = Gauge::default();
        let store = Store::new(1 << 20, None, bytes.clone());
        store.insert("k", object(10));
        let held = bytes.get();
        store.insert("k", object(20));
        assert_eq!(bytes.get(), held);
        assert_eq!(store.get("k").unwrap().body.len(), 10);
    }
}
