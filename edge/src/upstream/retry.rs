//! How often a failed fetch may be tried again: a share of all fetches, so that retries cannot pile onto an outage.

use std::sync::atomic::{AtomicU32, Ordering};

/// The one budget of all retries towards parents (Envoy and tower call it a retry budget).
#[derive(Debug)]
pub struct Budget {
    /// Tenths of a retry.
    tenths: AtomicU32,
}

impl Budget {
    /// A fetch begins: earns a tenth of a retry.
    pub fn deposit(&self) {
        let earn = |tenths: u32| (tenths < MAX_TENTHS).then_some(tenths + 1);
        // Full is as good as paid in.
        let _full = self.tenths.fetch_update(Ordering::Relaxed, Ordering::Relaxed, earn);
    }

    /// Takes one retry, if there is one left.
    pub fn withdraw(&self) -> bool {
        let spend = |tenths: u32| tenths.checked_sub(10);
        self.tenths.fetch_update(Ordering::Relaxed, Ordering::Relaxed, spend).is_ok()
    }
}

impl Default for Budget {
    fn default() -> Self {
        Self { tenths: AtomicU32::new(MAX_TENTHS) }
    }
}

/// Ten retries at once: a short fault is ridden out, a long one gets a tenth more load.
const MAX_TENTHS: u32 = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_are_a_tenth_of_the_fetches_in_the_long_run() {
        let budget = Budget::default();
        let burst = (0..100).filter(|_| budget.withdraw()).count();
        assert_eq!(burst, 10);
        let retries = (0..1000).filter(|_| {
            budget.deposit();
            budget.withdraw()
        });
        assert_eq!(retries.count(), 100);
    }
}
