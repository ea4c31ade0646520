//! Immutable objects in memory: each is inserted once, the least recently used leave when the budget is spent.
//!
//! Our own media is here by path. Answers of other origins share the budget and are here by number: a newer version has
//! another number, so that nothing is ever inserted twice, and the [`Index`] says which number a name has now.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http::HeaderMap;
use moka::notification::RemovalCause;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use nearcast_service::metrics::Gauge;

use super::disk::Disk;
use super::index::{Index, Place};
use super::object::Object;
use crate::proxy::stored::{Head, Stored};

/// Parts, segments and init segments by path. Nothing that changes may be put here: `moka` can outgrow its bound
/// when keys are re-inserted under pressure (moka#590), and its default policy may refuse a new segment (hence LRU).
#[derive(Debug, Clone)]
pub struct Store {
    objects: Cache<Box<str>, Item>,
    index: Arc<Index>,
    next: Arc<AtomicU64>,
    budget: u64,
    bytes: Gauge,
}

/// What the one budget is spent on.
#[derive(Debug, Clone)]
enum Item {
    Media(Arc<Object>),
    Answer(Arc<Stored>),
}

/// What is kept under a name for a request.
#[derive(Debug)]
pub enum Found {
    Here(Arc<Stored>),
    /// Answers to requests with other headers.
    Others,
    Nothing,
}

impl Store {
    /// A store that holds up to `budget` bytes, its own overhead included. Media that it has no room for is offered to
    /// `disk`. `bytes` shows what it holds.
    pub fn new(budget: u64, disk: Option<Disk>, bytes: Gauge) -> Self {
        let (left, index) = (bytes.clone(), Arc::<Index>::default());
        let rows = Arc::clone(&index);
        let objects = Cache::<Box<str>, Item>::builder()
            .max_capacity(budget)
            .eviction_policy(EvictionPolicy::lru())
            .weigher(|key, item| u32::try_from(weight(key, item)).unwrap_or(u32::MAX))
            .eviction_listener(move |key, item, cause| {
                left.dec_by(gauge(weight(&key, &item)));
                let full = cause == RemovalCause::Size;
                match (item, &disk) {
                    (Item::Answer(stored), _) => rows.remove(&stored.head.name, stored.number),
                    (Item::Media(object), Some(disk)) if full => disk.offer(&key, &object),
                    (Item::Media(_), _) => {}
                }
            })
            .build();
        Self { objects, index, next: Arc::default(), budget, bytes }
    }

    /// The object of this path.
    pub fn get(&self, key: &str) -> Option<Arc<Object>> {
        match self.objects.get(key) {
            Some(Item::Media(object)) => Some(object),
            // No path is a number.
            Some(Item::Answer(_)) | None => None,
        }
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
        self.put(key.into(), Item::Media(object));
    }

    /// The answer that is kept for a request of this name with these headers.
    pub fn find(&self, name: &str, asked: &HeaderMap) -> Found {
        match self.index.find(name, asked) {
            Place::At(number) => match self.objects.get(&*number.to_string()) {
                Some(Item::Answer(stored)) => Found::Here(stored),
                // It is just being evicted, or not yet inserted.
                Some(Item::Media(_)) | None => Found::Nothing,
            },
            Place::OtherHeaders => Found::Others,
            Place::Nowhere => Found::Nothing,
        }
    }

    /// Keeps an answer, in the place of the last one to the same request.
    pub fn keep(&self, head: &Arc<Head>, body: Bytes) -> Arc<Stored> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let stored = Arc::new(Stored::new(number, Arc::clone(head), body));
        // Its row comes first: the store may evict it at once, and takes the row away then.
        let replaced = self.index.insert(number, head);
        self.put(number.to_string().into(), Item::Answer(Arc::clone(&stored)));
        replaced.iter().for_each(|old| self.objects.invalidate(&*old.to_string()));
        stored
    }

    /// What tells apart those requests of a name that need answers of their own.
    pub fn spell(&self, name: &str, asked: &HeaderMap, into: &mut String) {
        self.index.spell(name, asked, into);
    }

    /// Forgets one answer.
    pub fn forget(&self, stored: &Stored) {
        self.objects.invalidate(&*stored.number.to_string());
    }

    /// Purges what has one of these names without looking at anything else; returns how much that was.
    pub fn purge_names<'a>(&self, names: impl Iterator<Item = &'a str>, soft: bool) -> usize {
        let mut purged = 0;
        for name in names {
            if self.objects.remove(name).is_some() {
                purged += 1;
            }
            for number in self.index.numbers(name) {
                purged += 1;
                match self.objects.get(&*number.to_string()) {
                    Some(Item::Answer(stored)) if soft => stored.purge_softly(),
                    _ => self.objects.invalidate(&*number.to_string()),
                }
            }
        }
        self.settle();
        purged
    }

    /// Purges what `verdict` says of a name and tags: in one pass over everything. Media is immutable and leaves even when
    /// the purge is soft, since there is nothing to ask for again. Returns how much was purged.
    pub fn purge(&self, verdict: impl Fn(&str, &[Box<str>]) -> Purge) -> usize {
        let mut purged = 0;
        for (key, item) in &self.objects {
            let verdict = match &item {
                Item::Media(_) => verdict(&key, &[]),
                Item::Answer(stored) => verdict(&stored.head.name, &stored.head.tags),
            };
            purged += usize::from(verdict != Purge::No);
            match (verdict, item) {
                (Purge::No, _) => {}
                (Purge::Soft, Item::Answer(stored)) => stored.purge_softly(),
                (Purge::Soft | Purge::Hard, _) => self.objects.invalidate(&**key),
            }
        }
        self.settle();
        purged
    }

    /// Carries out what is due: what is too much goes, and has been offered to the disk when this returns. The memory of what
    /// has gone is free once the others have moved on twice (crossbeam-epoch under `moka`), of which this is one step.
    pub fn settle(&self) {
        self.objects.run_pending_tasks();
    }

    fn put(&self, key: Box<str>, item: Item) {
        self.bytes.inc_by(gauge(weight(&key, &item)));
        self.objects.insert(key, item);
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

/// What a purge does to something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purge {
    No,
    Soft,
    Hard,
}

fn weight(key: &str, item: &Item) -> u64 {
    match item {
        Item::Media(object) => key.len() as u64 + object.body.len() as u64 + OVERHEAD,
        Item::Answer(stored) => stored.weight(),
    }
}

fn gauge(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// What an entry costs beside its bytes: moka's nodes and counters, the `Arc`, the object's own fields.
const OVERHEAD: u64 = 300;

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

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
