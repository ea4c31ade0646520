//! Who watches which rung: requests say so as they come, the supervisor asks which rungs to run.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// The demand for the rungs of one broadcast, in the order of its plan.
#[derive(Debug)]
pub struct Demand {
    rungs: Vec<Interest>,
    /// How long after its last request a rung is wanted; `None`: all are, always.
    linger: Option<Duration>,
    began: Instant,
    /// What [`Self::settle`] has answered last, one bit each.
    settled: AtomicU8,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Interest {
    /// Requests that are being answered.
    now: AtomicUsize,
    /// Milliseconds from the beginning to the end of the last one, and one more.
    last: AtomicU64,
}

/// A request for something of a rung. The rung is wanted for as long as this exists, and the linger after that.
#[derive(Debug)]
pub struct Watching {
    demand: Arc<Demand>,
    index: usize,
}

impl Demand {
    /// Nobody watches any of this many rungs yet. Without a `linger` all run all the time.
    pub fn new(rungs: usize, linger: Option<Duration>) -> Self {
        let rungs = (0..rungs.min(u8::BITS as usize)).map(|_| Interest::default()).collect();
        Self { rungs, linger, began: Instant::now(), settled: AtomicU8::new(0), changed: Notify::new() }
    }

    /// Somebody asks for something of rung number `index`.
    pub fn watch(self: &Arc<Self>, index: usize) -> Option<Watching> {
        let interest = self.rungs.get(index)?;
        interest.now.fetch_add(1, Ordering::SeqCst);
        if self.settled.load(Ordering::SeqCst) & 1 << index == 0 {
            self.changed.notify_one();
        }
        Some(Watching { demand: Arc::clone(self), index })
    }

    /// The rungs that are wanted now, one bit each, rung 0 the lowest. Whoever wants another from here on lets
    /// [`Self::changed`] complete.
    pub(super) fn settle(&self) -> u8 {
        let mut wanted = self.wanted();
        loop {
            self.settled.store(wanted, Ordering::SeqCst);
            // Who came between the look and the store was not heard.
            let again = self.wanted();
            if again & !wanted == 0 {
                return wanted;
            }
            wanted = again;
        }
    }

    /// Completes when a rung may be wanted that was not at the last [`Self::settle`].
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    fn wanted(&self) -> u8 {
        let now = self.millis();
        let wants = |interest: &Interest| {
            let Some(linger) = self.linger else { return true };
            let last = interest.last.load(Ordering::SeqCst);
            interest.now.load(Ordering::SeqCst) > 0
                || last > 0 && u128::from(now.saturating_sub(last)) < linger.as_millis()
        };
        self.rungs.iter().rev().fold(0, |bits, interest| bits << 1 | u8::from(wants(interest)))
    }

    fn millis(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX).saturating_add(1)
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        if let Some(interest) = self.demand.rungs.get(self.index) {
            interest.last.store(self.demand.millis(), Ordering::SeqCst);
            interest.now.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_rung_is_wanted_from_its_first_request_until_a_while_after_the_last() {
        let demand = Arc::new(Demand::new(3, Some(Duration::from_millis(50))));
        assert_eq!(demand.settle(), 0);
        let (first, second) = (demand.watch(1), demand.watch(1));
        demand.changed().await;
        assert_eq!(demand.settle(), 0b10);
        drop(first);
        tokio::time::sleep(Duration::from_millis(60)).await;
        assert_eq!(demand.settle(), 0b10, "one request is still held");
        drop(second);
        assert_eq!(demand.settle(), 0b10);
        tokio::time::sleep(Duration::from_millis(60)).await;
        assert_eq!(demand.settle(), 0);
        assert!(demand.watch(3).is_none());
    }

    #[test]
    fn without_a_linger_all_run_always() {
        assert_eq!(Demand::new(3, None).settle(), 0b111);
        assert_eq!(Demand::new(0, None).settle(), 0);
    }
}
