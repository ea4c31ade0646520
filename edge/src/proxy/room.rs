//! How many bytes of answers may be arriving at a time: a share of the cache's memory, beside what it keeps.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The bytes that are still free. Clones share them.
#[derive(Debug, Clone)]
pub(super) struct Room(Arc<AtomicU64>);

/// Bytes that are taken, until it is dropped.
#[derive(Debug)]
pub(super) struct Reservation {
    room: Room,
    bytes: u64,
}

impl Room {
    /// Room for so many bytes.
    pub(super) fn new(bytes: u64) -> Self {
        Self(Arc::new(AtomicU64::new(bytes)))
    }

    /// Takes `bytes`, unless there are not so many.
    pub(super) fn reserve(&self, bytes: u64) -> Option<Reservation> {
        self.take(bytes).then(|| Reservation { room: self.clone(), bytes })
    }

    fn take(&self, bytes: u64) -> bool {
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |free| free.checked_sub(bytes)).is_ok()
    }
}

impl Reservation {
    /// Takes more; false when there is no more.
    pub(super) fn grow(&mut self, bytes: u64) -> bool {
        let taken = self.room.take(bytes);
        self.bytes += if taken { bytes } else { 0 };
        taken
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.room.0.fetch_add(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_comes_back() {
        let room = Room::new(10);
        let mut six = room.reserve(6).unwrap();
        assert!(room.reserve(5).is_none());
        assert!(six.grow(3) && !six.grow(2));
        drop(six);
        assert!(room.reserve(10).is_some());
    }
}
