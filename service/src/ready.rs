//! Whether a process should get traffic: when all its parts are up, until it drains.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

use crate::drain::Drain;

/// Ready when every [`Hold`] is gone and draining has not begun. Clones are the same latch.
#[derive(Debug, Clone)]
pub struct Latch {
    holds: Arc<Holds>,
    drain: Drain,
}

#[derive(Debug, Default)]
struct Holds {
    count: AtomicUsize,
    gone: Notify,
}

/// Keeps the process from being ready until it is dropped.
#[derive(Debug)]
#[must_use = "the latch opens when the hold is dropped"]
pub struct Hold(Arc<Holds>);

impl Latch {
    /// A latch nobody holds.
    pub fn new(drain: Drain) -> Self {
        Self { holds: Arc::default(), drain }
    }

    /// Holds the latch until the returned value is dropped.
    pub fn hold(&self) -> Hold {
        self.holds.count.fetch_add(1, Ordering::AcqRel);
        Hold(self.holds.clone())
    }

    /// True when traffic is welcome.
    pub fn is_ready(&self) -> bool {
        self.holds.count.load(Ordering::Acquire) == 0 && !self.drain.is_draining()
    }

    /// Completes when traffic is welcome.
    pub async fn opened(&self) {
        loop {
            let gone = self.holds.gone.notified();
            if self.is_ready() {
                return;
            }
            gone.await;
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.count.fetch_sub(1, Ordering::AcqRel);
        self.0.gone.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whoever_waits_is_told_when_all_have_let_go() {
        let latch = Latch::new(Drain::new());
        let (first, second) = (latch.hold(), latch.hold());
        let waiting = latch.opened();
        tokio::pin!(waiting);
        assert!(futures_util::poll!(&mut waiting).is_pending());
        drop(first);
        assert!(futures_util::poll!(&mut waiting).is_pending());
        drop(second);
        waiting.await;
    }

    #[test]
    fn is_ready_when_all_let_go_and_not_while_draining() {
        let latch = Latch::new(Drain::new());
        let (first, second) = (latch.hold(), latch.hold());
        drop(first);
        assert!(!latch.is_ready());
        drop(second);
        assert!(latch.is_ready());
        latch.drain.begin();
        assert!(!latch.is_ready());
    }
}
