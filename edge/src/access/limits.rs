//! How often something may happen, and how often at a time, for each of very many, in fixed memory.

use std::hash::{BuildHasher, Hash, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Instant;

/// So many a second for each key, and bursts of [`BURST`] seconds' worth: the generic cell rate algorithm (ITU-T I.371).
/// Keys that fall into one cell share its allowance, which is rare and never the same ones after a restart.
#[derive(Debug)]
pub struct Limiter {
    /// When each key's allowance is whole again, in nanoseconds since `start`; none where there is no limit.
    cells: Box<[AtomicU64]>,
    /// Nanoseconds between two.
    interval: u64,
    start: Instant,
    hasher: RandomState,
}

impl Limiter {
    /// `rate` a second; 0 for any number.
    pub fn new(rate: u32) -> Self {
        let cells = if rate == 0 { 0 } else { CELLS };
        Self {
            cells: (0..cells).map(|_| AtomicU64::new(0)).collect(),
            interval: SECOND / u64::from(rate.max(1)),
            start: Instant::now(),
            hasher: RandomState::new(),
        }
    }

    /// Whether `key` may once more, now.
    pub fn allow(&self, key: &impl Hash) -> bool {
        if self.cells.is_empty() {
            return true;
        }
        self.allow_at(key, u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    /// As [`Limiter::allow`], at `now` nanoseconds since the start.
    fn allow_at(&self, key: &impl Hash, now: u64) -> bool {
        let cell = &self.cells[self.hasher.hash_one(key) as usize % self.cells.len()];
        let next = |whole: u64| {
            let next = whole.max(now) + self.interval;
            (next <= now + BURST * SECOND).then_some(next)
        };
        cell.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).is_ok()
    }
}

/// So many at a time for each key. Keys that fall into one cell share its places.
#[derive(Debug)]
pub struct Places {
    /// How many there are now; none where there is no limit.
    cells: Box<[AtomicU32]>,
    most: u32,
    hasher: RandomState,
}

/// One of a key's places, until it is dropped.
#[derive(Debug)]
pub struct Place<'a>(Option<&'a AtomicU32>);

impl Places {
    /// `most` at a time; 0 for any number.
    pub fn new(most: u32) -> Self {
        let cells = if most == 0 { 0 } else { CELLS };
        let cells = (0..cells).map(|_| AtomicU32::new(0)).collect();
        Self { cells, most, hasher: RandomState::new() }
    }

    /// A place for `key`, if there is one left.
    pub fn take(&self, key: &impl Hash) -> Option<Place<'_>> {
        if self.cells.is_empty() {
            return Some(Place(None));
        }
        let cell = &self.cells[self.hasher.hash_one(key) as usize % self.cells.len()];
        let place = Place(Some(cell));
        (cell.fetch_add(1, Ordering::Relaxed) < self.most).then_some(place)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if let Some(cell) = self.0 {
            cell.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// What one subscriber's line is called: an IPv4 address, or the 64 bits that an IPv6 line has to itself (RFC 6177).
pub fn subscriber(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// 512 KiB.
const CELLS: usize = 1 << 16;
/// Seconds of allowance that can be saved up.
const BURST: u64 = 3;
const SECOND: u64 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_three_seconds_worth_and_then_it_is_the_rate() {
        let limiter = Limiter::new(10);
        let allowed = |from: u64, count: u64, gap: u64| {
            (0..count).filter(|at| limiter.allow_at(&"a", from + at * gap)).count()
        };
        assert_eq!(allowed(0, 100, 0), 30);
        // Twenty a second for ten seconds.
        assert_eq!(allowed(SECOND, 200, SECOND / 20), 10 + 99);
        assert!(limiter.allow_at(&"b", 0), "others have their own allowance");
        assert!((0..10_000).all(|_| Limiter::new(0).allow(&"a")), "no limit is none");
    }

    #[test]
    fn a_key_has_its_places_and_gives_them_back() {
        let places = Places::new(2);
        let (first, second) = (places.take(&"a"), places.take(&"a"));
        assert!(first.is_some() && second.is_some() && places.take(&"a").is_none());
        assert!(places.take(&"b").is_some());
        drop(first);
        assert!(places.take(&"a").is_some() && places.take(&"a").is_some(), "what was not taken is not kept");
        let any = Places::new(0);
        assert_eq!((0..100).filter_map(|_| any.take(&"a")).count(), 100);
    }

    #[test]
    fn a_line_is_an_ipv4_address_or_an_ipv6_network() {
        let line = |text: &str| subscriber(text.parse().unwrap()).to_string();
        assert_eq!(line("192.0.2.7"), "192.0.2.7");
        assert_eq!(line("::ffff:192.0.2.7"), "192.0.2.7");
        assert_eq!(line("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
    }
}
