//! How many bytes of answers may be arriving at a time: a share of the cache's memory, beside what it keeps. What the cache has
//! let go of and slow viewers still read counts as well.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

/// What is free. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Room(Arc<Counts>);

#[derive(Debug)]
struct Counts {
    /// For what arrives.
    free: AtomicU64,
    /// Of bodies that arrived whole: in the cache, or in a viewer's answer.
    alive: AtomicU64,
    most_alive: u64,
}

/// Bytes that are taken, until it is dropped.
#[derive(Debug)]
pub(crate) struct Reservation {
    room: Room,
    bytes: AtomicU64,
}

/// A body that is counted as long as anybody has it.
struct Alive {
    body: Bytes,
    room: Room,
}

impl Room {
    /// Room beside a cache of so many bytes: a quarter of it.
    pub(crate) fn new(cache: u64) -> Self {
        let (free, alive) = ((cache / 4).into(), AtomicU64::new(0));
        Self(Arc::new(Counts { free, alive, most_alive: cache.saturating_add(cache / 4) }))
    }

    /// Takes `bytes`, unless there are not so many.
    pub(crate) fn reserve(&self, bytes: u64) -> Option<Reservation> {
        let alive = self.0.alive.load(Ordering::Relaxed);
        (alive <= self.0.most_alive && self.take(bytes))
            .then(|| Reservation { room: self.clone(), bytes: bytes.into() })
    }

    /// The same body, counted until its last clone is gone.
    pub(crate) fn count(&self, body: Bytes) -> Bytes {
        self.0.alive.fetch_add(body.len() as u64, Ordering::Relaxed);
        Bytes::from_owner(Alive { body, room: self.clone() })
    }

    fn take(&self, bytes: u64) -> bool {
        let free = &self.0.free;
        free.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |free| free.checked_sub(bytes)).is_ok()
    }
}

impl Reservation {
    /// Takes more; false when there is no more.
    pub(crate) fn grow(&self, bytes: u64) -> bool {
        let taken = self.room.take(bytes);
        self.bytes.fetch_add(if taken { bytes } else { 0 }, Ordering::Relaxed);
        taken
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.room.0.free.fetch_add(*self.bytes.get_mut(), Ordering::Relaxed);
    }
}

impl AsRef<[u8]> for Alive {
    fn as_ref(&self) -> &[u8] {
        &self.body
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.room.0.alive.fetch_sub(self.body.len() as u64, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_comes_back() {
        let room = Room::new(40);
        let six = room.reserve(6).unwrap();
        assert!(room.reserve(5).is_none());
        assert!(six.grow(3) && !six.grow(2));
        drop(six);
        assert!(room.reserve(10).is_some());
    }

    #[test]
    fn what_viewers_still_read_leaves_no_room() {
        let room = Room::new(40);
        let bodies: Vec<_> = (0..6).map(|_| room.count(Bytes::from_static(&[7; 10]))).collect();
        let slices: Vec<_> = bodies.iter().map(|body| body.slice(9..)).collect();
        drop(bodies);
        assert!(room.reserve(1).is_none());
        drop(slices);
        assert!(room.reserve(10).is_some());
    }
}
