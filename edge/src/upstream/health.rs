//! A breaker per parent: after failures in a row it is left alone for a while, then tried with one request.

use std::time::{Duration, Instant};

/// Whether a parent is worth asking.
#[derive(Debug, Default)]
pub struct Breaker(State);

#[derive(Debug)]
enum State {
    Closed {
        failures: u32,
    },
    Open {
        until: Instant,
        step: Duration,
    },
    /// One request is on its way; the others wait for its verdict.
    Probing {
        step: Duration,
    },
}

impl Breaker {
    /// May a request be sent now? Whoever gets `true` reports back, with [`Breaker::on_lost`] at least.
    pub fn admit(&mut self, now: Instant) -> bool {
        match self.0 {
            State::Closed { .. } => true,
            State::Open { until, step } if now >= until => {
                self.0 = State::Probing { step };
                true
            }
            State::Open { .. } | State::Probing { .. } => false,
        }
    }

    /// The parent answered, whatever it said.
    pub fn on_success(&mut self) {
        self.0 = State::default();
    }

    /// The parent could not be reached, did not answer in time or broke. True when this opened the breaker.
    pub fn on_failure(&mut self, now: Instant) -> bool {
        let step = match self.0 {
            State::Closed { failures } if failures + 1 < THRESHOLD => {
                self.0 = State::Closed { failures: failures + 1 };
                return false;
            }
            State::Closed { .. } => FIRST_STEP,
            State::Probing { step } => (step * 2).min(MAX_STEP),
            // Requests from before it opened still come back; they say nothing new.
            State::Open { .. } => return false,
        };
        let opened = matches!(self.0, State::Closed { .. });
        self.0 = State::Open { until: now + step, step };
        opened
    }

    /// A request was dropped before its verdict, or its verdict says nothing of the parent: when it was the probe, the
    /// next request is.
    pub fn on_lost(&mut self, now: Instant) {
        if let State::Probing { step } = self.0 {
            self.0 = State::Open { until: now, step };
        }
    }
}

impl Default for State {
    fn default() -> Self {
        Self::Closed { failures: 0 }
    }
}

/// Fewer are chance.
const THRESHOLD: u32 = 5;
/// A live edge cannot afford to find its origin back late.
const FIRST_STEP: Duration = Duration::from_millis(500);
const MAX_STEP: Duration = Duration::from_secs(4);

#[cfg(test)]
mod tests {
    use super::*;

    fn open(breaker: &mut Breaker, now: Instant) {
        for failure in 1..=THRESHOLD {
            assert!(breaker.admit(now));
            assert_eq!(breaker.on_failure(now), failure == THRESHOLD);
        }
    }

    #[test]
    fn opens_after_failures_in_a_row_only() {
        let (mut breaker, now) = (Breaker::default(), Instant::now());
        for _ in 0..10 * THRESHOLD {
            assert!(breaker.admit(now));
            breaker.on_failure(now);
            breaker.on_success();
        }
        open(&mut breaker, now);
        assert!(!breaker.admit(now));
    }

    #[test]
    fn probes_with_one_request_and_closes_when_it_is_answered() {
        let (mut breaker, now) = (Breaker::default(), Instant::now());
        open(&mut breaker, now);
        let later = now + FIRST_STEP;
        assert!(breaker.admit(later));
        assert!(!breaker.admit(later), "one probe at a time");
        breaker.on_success();
        assert!(breaker.admit(later) && breaker.admit(later));
    }

    #[test]
    fn a_parent_that_stays_down_is_probed_less_and_less_often() {
        let (mut breaker, mut now) = (Breaker::default(), Instant::now());
        open(&mut breaker, now);
        for step in [500, 1000, 2000, 4000, 4000] {
            assert!(!breaker.admit(now + Duration::from_millis(step - 1)));
            now += Duration::from_millis(step);
            assert!(breaker.admit(now));
            breaker.on_failure(now);
        }
    }

    #[test]
    fn a_lost_probe_is_replaced() {
        let (mut breaker, now) = (Breaker::default(), Instant::now());
        open(&mut breaker, now);
        let later = now + FIRST_STEP;
        assert!(breaker.admit(later) && !breaker.admit(later));
        breaker.on_lost(later);
        assert!(breaker.admit(later) && !breaker.admit(later), "the next one probes, alone");
        // Requests that were let through before say nothing of a breaker that is open.
        breaker.on_failure(later);
        breaker.on_lost(later);
        assert!(!breaker.admit(later));
    }
}
