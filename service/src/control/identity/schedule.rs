//! When a node's certificate is to be renewed. No clock: `now` is an argument.

use std::ops::Range;
use std::time::{Duration, SystemTime};

/// Of one certificate.
#[derive(Debug)]
pub(super) struct Schedule {
    period: Range<SystemTime>,
    due: SystemTime,
    failures: u32,
}

/// What to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Look again after this time.
    Wait(Duration),
    Renew,
    /// It has ended, and opens nothing any more.
    Over,
}

impl Schedule {
    /// Half of its life, and up to a tenth more by `jitter`, 0 to 1: those that began together do not go on together.
    pub(super) fn new(period: Range<SystemTime>, jitter: f64) -> Self {
        let due = period.start + life(&period).mul_f64(0.5 + jitter / 10.0);
        Self { period, due, failures: 0 }
    }

    pub(super) fn step(&self, now: SystemTime) -> Step {
        if now >= self.period.end {
            return Step::Over;
        }
        match self.due.min(self.period.end).duration_since(now) {
            Ok(wait) if !wait.is_zero() => Step::Wait(wait.min(LOOK)),
            _ => Step::Renew,
        }
    }

    /// It was tried and did not work.
    pub(super) fn failed(&mut self, now: SystemTime, jitter: f64) {
        let life = life(&self.period);
        let (first, longest) = (FIRST.min(life / 64), LONGEST.min(life / 8));
        let wait = first.saturating_mul(1 << self.failures.min(16)).min(longest);
        self.due = now + wait.mul_f64(0.5 + jitter / 2.0);
        self.failures = self.failures.saturating_add(1);
    }
}

fn life(period: &Range<SystemTime>) -> Duration {
    period.end.duration_since(period.start).unwrap_or_default()
}

/// The clock may be set, and a machine may sleep.
const LOOK: Duration = Duration::from_secs(600);
/// After one failure.
const FIRST: Duration = Duration::from_secs(60);
/// After many; there are dozens of tries left in the second half of a week.
const LONGEST: Duration = Duration::from_secs(3600);

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 3600);

    fn week() -> Range<SystemTime> {
        let start = SystemTime::UNIX_EPOCH + DAY * 20_000;
        start..start + DAY * 7
    }

    #[test]
    fn it_is_renewed_in_the_middle_of_its_life() {
        for (jitter, due) in [(0.0, DAY.mul_f64(3.5)), (1.0, DAY.mul_f64(4.2))] {
            let (schedule, mut now) = (Schedule::new(week(), jitter), week().start);
            while let Step::Wait(wait) = schedule.step(now) {
                assert!(wait <= LOOK && !wait.is_zero());
                now += wait;
            }
            assert_eq!(schedule.step(now), Step::Renew);
            assert_eq!(now, week().start + due);
        }
    }

    #[test]
    fn failures_are_tried_again_later_and_later_until_it_is_over() {
        let (mut schedule, mut now, mut tries) = (Schedule::new(week(), 0.0), week().start, 0);
        loop {
            match schedule.step(now) {
                Step::Wait(wait) => now += wait,
                Step::Renew => {
                    tries += 1;
                    schedule.failed(now, 1.0);
                }
                Step::Over => break,
            }
        }
        assert_eq!(now, week().end);
        // An hour each, but for the first six.
        assert!((84..=96).contains(&tries), "{tries}");
    }

    #[test]
    fn a_life_of_seconds_works_as_well() {
        let start = SystemTime::UNIX_EPOCH + DAY * 20_000;
        let mut schedule = Schedule::new(start..start + Duration::from_secs(8), 0.5);
        let now = start + Duration::from_secs(5);
        assert_eq!(schedule.step(now), Step::Renew);
        for _ in 0..9 {
            schedule.failed(now, 1.0);
        }
        assert_eq!(schedule.step(now), Step::Wait(Duration::from_secs(1)));
    }

    #[test]
    fn a_period_that_makes_no_sense_is_over() {
        let schedule = Schedule::new(week().end..week().start, 1.0);
        assert_eq!(schedule.step(week().start), Step::Over);
    }
}
