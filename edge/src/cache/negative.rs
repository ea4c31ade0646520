//! What was lately found missing: a table of fixed size, so that a storm of wrong names costs no memory.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Remembers `V` by key for a short time. A newer key takes the slot of an older one of the same hash, so the
/// table may forget early but never grows.
#[derive(Debug)]
pub struct Negative<V> {
    shards: Box<[Shard<V>]>,
    /// Keyed at random: nobody outside can aim two names at one slot.
    hasher: RandomState,
}

type Shard<V> = Mutex<Box<[Option<Slot<V>>]>>;

#[derive(Debug, Clone)]
struct Slot<V> {
    hash: u64,
    until: Instant,
    value: V,
}

impl<V: Clone> Negative<V> {
    /// A table of `slots` entries, rounded up to a multiple of the number of shards.
    pub fn new(slots: usize) -> Self {
        let shard = || Mutex::new(vec![None; slots.div_ceil(SHARDS).max(1)].into());
        Self { shards: (0..SHARDS).map(|_| shard()).collect(), hasher: RandomState::new() }
    }

    /// What was remembered of `key`, unless its time is over.
    pub fn get(&self, key: &str, now: Instant) -> Option<V> {
        self.with(key, |slot, hash| match slot {
            Some(found) if found.hash == hash && found.until > now => Some(found.value.clone()),
            _ => None,
        })
    }

    /// Remembers `value` for `life`.
    pub fn insert(&self, key: &str, value: V, life: Duration, now: Instant) {
        self.with(key, |slot, hash| *slot = Some(Slot { hash, until: now + life, value }));
    }

    /// Forgets `key`.
    pub fn remove(&self, key: &str) {
        self.with(key, |slot, hash| {
            slot.take_if(|found| found.hash == hash);
        });
    }

    fn with<R>(&self, key: &str, run: impl FnOnce(&mut Option<Slot<V>>, u64) -> R) -> R {
        let hash = self.hasher.hash_one(key);
        let shard = &self.shards[(hash % SHARDS as u64) as usize];
        let mut slots = shard.lock().unwrap_or_else(PoisonError::into_inner);
        let index = ((hash >> 8) % slots.len() as u64) as usize;
        run(&mut slots[index], hash)
    }
}

/// Enough that cores asking for wrong names rarely meet at one lock.
const SHARDS: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_miss_is_remembered_for_its_life_only() {
        let (table, now) = (Negative::new(64), Instant::now());
        table.insert("/live/a", 404, Duration::from_secs(1), now);
        assert_eq!(table.get("/live/a", now), Some(404));
        assert_eq!(table.get("/live/b", now), None);
        assert_eq!(table.get("/live/a", now + Duration::from_secs(1)), None);
        table.insert("/live/a", 404, Duration::from_secs(1), now);
        table.remove("/live/a");
        assert_eq!(table.get("/live/a", now), None);
    }

    #[test]
    fn a_storm_of_names_stays_inside_the_table() {
        let (table, now) = (Negative::new(256), Instant::now());
        for name in 0..100_000 {
            table.insert(&format!("/live/{name}/index.m3u8"), 404, Duration::from_secs(60), now);
        }
        let kept = (0..100_000).filter(|name| table.get(&format!("/live/{name}/index.m3u8"), now).is_some());
        let kept = kept.count();
        assert!((1..=256).contains(&kept), "{kept}");
        assert_eq!(table.shards.iter().map(|shard| shard.lock().unwrap().len()).sum::<usize>(), 256);
    }
}
