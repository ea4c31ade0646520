//! Token buckets: who may do something how often. Pure: `now` is an argument.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// How often.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rate {
    /// For each second; 0 for no limit.
    pub per_second: f64,
    /// So many at once, after a time of rest.
    pub burst: u32,
}

/// A bucket for each of the last so many who came.
#[derive(Debug)]
pub struct Buckets<K> {
    rate: Rate,
    max: usize,
    buckets: HashMap<K, Bucket>,
    /// Who came when, for whom to forget: a bucket that nobody came to for long is full again anyway.
    order: BTreeMap<u64, K>,
    turn: u64,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    level: f64,
    at: Instant,
    turn: u64,
}

impl Rate {
    /// One line on what cannot work.
    pub fn check(&self, key: &str) -> Result<(), String> {
        if !self.per_second.is_finite() || self.per_second < 0.0 {
            return Err(format!("{key}.per_second: use a number from 0 (no limit)"));
        }
        if self.burst == 0 && self.per_second > 0.0 {
            return Err(format!("{key}.burst: use 1 or more, or per_second = 0 for no limit"));
        }
        Ok(())
    }
}

impl Default for Rate {
    /// No limit.
    fn default() -> Self {
        Self { per_second: 0.0, burst: 0 }
    }
}

impl<K: Hash + Eq + Clone> Buckets<K> {
    /// Remembers `max` at most; more than that many at once are as if each came for the first time.
    pub fn new(rate: Rate, max: usize) -> Self {
        Self { rate, max, buckets: HashMap::new(), order: BTreeMap::new(), turn: 0 }
    }

    /// Once more.
    ///
    /// # Errors
    /// Not now: how long it takes until it can be.
    pub fn take(&mut self, key: &K, now: Instant) -> Result<(), Duration> {
        if self.rate.per_second <= 0.0 {
            return Ok(());
        }
        let burst = f64::from(self.rate.burst);
        let mut bucket = self.touch(key, Bucket { level: burst, at: now, turn: 0 });
        let passed = now.saturating_duration_since(bucket.at).as_secs_f64();
        bucket.level = (bucket.level + passed * self.rate.per_second).min(burst);
        bucket.at = bucket.at.max(now);
        let missing = 1.0 - bucket.level;
        if missing <= 0.0 {
            bucket.level -= 1.0;
        }
        self.buckets.insert(key.clone(), bucket);
        // A tiny rate would make a wait that no Duration can hold.
        if missing <= 0.0 {
            Ok(())
        } else {
            Err(Duration::from_secs_f64((missing / self.rate.per_second).min(86_400.0)))
        }
    }

    /// Takes back one that was taken.
    pub fn give_back(&mut self, key: &K) {
        if let Some(bucket) = self.buckets.get_mut(key) {
            bucket.level = (bucket.level + 1.0).min(f64::from(self.rate.burst));
        }
    }

    /// The bucket, which is now the last one to be forgotten.
    fn touch(&mut self, key: &K, new: Bucket) -> Bucket {
        let mut bucket = self.buckets.get(key).copied().unwrap_or(new);
        self.order.remove(&bucket.turn);
        self.turn += 1;
        bucket.turn = self.turn;
        self.order.insert(self.turn, key.clone());
        if self.order.len() > self.max
            && let Some((_, oldest)) = self.order.pop_first()
        {
            self.buckets.remove(&oldest);
        }
        bucket
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn buckets(per_second: f64, burst: u32, max: usize) -> Buckets<u32> {
        Buckets::new(Rate { per_second, burst }, max)
    }

    #[test]
    fn a_burst_is_let_through_and_then_so_many_a_second() {
        let (mut buckets, start) = (buckets(2.0, 5, 10), Instant::now());
        let through = |buckets: &mut Buckets<u32>, key, now| {
            (0..100).filter(|_| buckets.take(key, now).is_ok()).count()
        };
        assert_eq!(through(&mut buckets, &1, start), 5);
        assert_eq!(buckets.take(&1, start), Err(SECOND / 2));
        assert_eq!(through(&mut buckets, &2, start), 5, "somebody else's is another");
        assert_eq!(through(&mut buckets, &1, start + SECOND), 2);
        assert_eq!(through(&mut buckets, &1, start + 1000 * SECOND), 5);
        assert_eq!(through(&mut buckets, &1, start), 0, "a clock that goes back gives nothing");
    }

    #[test]
    fn what_is_given_back_can_be_taken_again() {
        let (mut buckets, now) = (buckets(1.0, 2, 10), Instant::now());
        buckets.take(&1, now).unwrap();
        buckets.take(&1, now).unwrap();
        buckets.give_back(&1);
        buckets.take(&1, now).unwrap();
        assert!(buckets.take(&1, now).is_err());
        buckets.give_back(&2);
    }

    #[test]
    fn memory_is_bounded_and_the_one_longest_away_is_forgotten() {
        let (mut buckets, now) = (buckets(1.0, 1, 3), Instant::now());
        for key in [1, 2, 3, 1, 4] {
            let _taken = buckets.take(&key, now);
        }
        assert_eq!((buckets.buckets.len(), buckets.order.len()), (3, 3));
        assert!(buckets.take(&1, now).is_err() && buckets.take(&2, now).is_ok());
        for key in 0..10_000 {
            let _taken = buckets.take(&key, now);
        }
        assert_eq!((buckets.buckets.len(), buckets.order.len()), (3, 3));
    }

    #[test]
    fn no_rate_is_no_limit() {
        let (mut buckets, now) = (buckets(0.0, 0, 3), Instant::now());
        assert!((0..1000).all(|_| buckets.take(&1, now).is_ok()));
        assert!(buckets.buckets.is_empty());
    }
}
