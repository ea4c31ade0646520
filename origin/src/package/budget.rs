//! What all broadcasts of an origin keep in memory together: when it is too much, the largest give.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::Broadcast;
use crate::metrics::Package as Metrics;

/// The origin's bytes. All broadcasts share one.
#[derive(Debug)]
pub(super) struct Budget {
    bytes: usize,
    broadcasts: Mutex<Vec<Weak<Broadcast>>>,
    metrics: Metrics,
}

impl Budget {
    pub(super) fn new(bytes: usize, metrics: Metrics) -> Self {
        Self { bytes, broadcasts: Mutex::default(), metrics }
    }

    /// Counts a broadcast in, for as long as it exists.
    pub(super) fn join(&self, broadcast: &Arc<Broadcast>) {
        let mut broadcasts = self.broadcasts.lock().unwrap_or_else(PoisonError::into_inner);
        broadcasts.retain(|known| known.strong_count() > 0);
        broadcasts.push(Arc::downgrade(broadcast));
    }

    /// Counts, and lets those that have more than their share shrink. Whoever calls this holds no broadcast's lock.
    pub(super) fn settle(&self) {
        let broadcasts: Vec<_> = {
            let known = self.broadcasts.lock().unwrap_or_else(PoisonError::into_inner);
            known.iter().filter_map(Weak::upgrade).collect()
        };
        let mut sizes: Vec<usize> = broadcasts.iter().map(|broadcast| broadcast.memory()).collect();
        if sizes.iter().sum::<usize>() > self.bytes {
            let share = share(&mut sizes.clone(), self.bytes);
            for (broadcast, size) in broadcasts.iter().zip(&mut sizes).filter(|(_, size)| **size > share) {
                *size = broadcast.shrink(share);
            }
        }
        let total = i64::try_from(sizes.iter().sum::<usize>()).unwrap_or(i64::MAX);
        self.metrics.memory_bytes.set(total);
    }
}

/// The size that, when all larger ones are brought down to it, makes the sum `total` or a little less.
fn share(sizes: &mut [usize], total: usize) -> usize {
    sizes.sort_unstable();
    let (mut left, mut count) = (total, sizes.len());
    for size in sizes {
        let share = left / count;
        if *size > share {
            return share;
        }
        left -= *size;
        count -= 1;
    }
    usize::MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_give_and_the_small_keep_what_they_have() {
        for (sizes, total, expected) in [
            (&mut [10, 20, 30][..], 60, usize::MAX),
            (&mut [30, 10, 20], 50, 20),
            (&mut [100, 1, 100], 51, 25),
            (&mut [5, 5], 0, 0),
            (&mut [], 0, usize::MAX),
        ] {
            assert_eq!(share(sizes, total), expected, "{sizes:?}");
            let sum: usize = sizes.iter().map(|size| (*size).min(expected)).sum();
            assert!(sum <= total);
        }
    }
}
