//! How long to wait before trying again: doubling, capped, jittered.

use std::time::Duration;

/// Delays between tries of one thing. The clock and the sleeping are the caller's.
#[derive(Debug, Clone)]
pub struct Backoff {
    first: Duration,
    cap: Duration,
    next: Duration,
}

impl Backoff {
    /// Starts at `first` and doubles up to `cap`.
    pub fn new(first: Duration, cap: Duration) -> Self {
        Self { first, cap, next: first }
    }

    /// How long to wait now: between half and all of the current step, so that a crowd that failed together
    /// does not come back together.
    pub fn delay(&mut self) -> Duration {
        let step = self.next;
        self.next = (step * 2).min(self.cap);
        step.mul_f64(rand::random_range(0.5..=1.0))
    }

    /// It worked: the next failure starts small again.
    pub fn reset(&mut self) {
        self.next = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_to_the_cap_and_starts_again_after_success() {
        let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(5));
        for step in [200, 400, 800, 1600, 3200, 5000, 5000] {
            let delay = backoff.delay().as_millis();
            assert!((step / 2..=step).contains(&delay), "{delay} is not in {}..={step}", step / 2);
        }
        backoff.reset();
        assert!(backoff.delay() <= Duration::from_millis(200));
    }
}
