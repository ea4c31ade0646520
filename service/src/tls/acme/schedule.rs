//! When to ask for a certificate: at two thirds of its life, and after failures later and later.

use std::ops::Range;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

/// What has been tried for one certificate. It is kept on disk, so that a process that is started again and again
/// does not ask each time: ACME servers count.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Attempts {
    /// What the certificate is to be for; others begin anew.
    pub(super) names: Vec<String>,
    /// Since the last success.
    pub(super) failures: u32,
    /// Not to be tried again before this, in seconds since 1970.
    pub(super) next: u64,
}

/// Says when to ask.
#[derive(Debug)]
pub(super) struct Schedule {
    attempts: Attempts,
    /// `None` while there is no certificate.
    renewal: Option<SystemTime>,
}

impl Schedule {
    /// For a certificate that is there, if it is, and what was tried before. `jitter` is 0 to 1, here and below:
    /// those that began together do not go on together.
    pub(super) fn new(attempts: Attempts, period: Option<&Range<SystemTime>>, jitter: f64) -> Self {
        Self { attempts, renewal: period.map(|period| renewal(period, jitter)) }
    }

    /// How long to wait from `now` on; nothing when it is time.
    pub(super) fn wait(&self, now: SystemTime) -> Duration {
        let left = |at: SystemTime| at.duration_since(now).unwrap_or_default();
        let retry = left(SystemTime::UNIX_EPOCH + Duration::from_secs(self.attempts.next.min(FAR)));
        // Longer than ever asked for: the clock was wrong when it was written.
        let retry = if retry > LONGEST { Duration::ZERO } else { retry };
        retry.max(self.renewal.map(left).unwrap_or_default())
    }

    /// It is tried now. Until [`Schedule::done`] that counts as failed, whatever becomes of this process; what comes
    /// back is for the disk.
    pub(super) fn begin(&mut self, now: SystemTime, jitter: f64) -> &Attempts {
        let doubled = FIRST.saturating_mul(1 << self.attempts.failures.min(16)).min(LONGEST);
        let next = now + doubled.mul_f64(0.5 + jitter / 2.0);
        self.attempts.next = next.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        self.attempts.failures = self.attempts.failures.saturating_add(1);
        &self.attempts
    }

    /// It has worked, and this is the new certificate's period. `None`, and nothing has changed, when that one would
    /// have to be renewed at once: whoever did so would ask for ever.
    pub(super) fn done(
        &mut self,
        period: &Range<SystemTime>,
        now: SystemTime,
        jitter: f64,
    ) -> Option<&Attempts> {
        let renewal = renewal(period, jitter);
        if renewal <= now {
            return None;
        }
        self.renewal = Some(renewal);
        (self.attempts.failures, self.attempts.next) = (0, 0);
        Some(&self.attempts)
    }

    /// Somebody wants it tried now, if it is not good as it is.
    pub(super) fn ask(&mut self) {
        self.attempts.next = 0;
    }
}

/// Two thirds of a life of 90 days are 60; up to 3 more by chance.
fn renewal(period: &Range<SystemTime>, jitter: f64) -> SystemTime {
    let life = period.end.duration_since(period.start).unwrap_or_default();
    period.start + life.mul_f64(2.0 / 3.0 + jitter / 30.0)
}

/// After one failure, or half of it. Let's Encrypt allows 5 failed validations of a name in an hour, and with this
/// there are no more.
const FIRST: Duration = Duration::from_secs(5 * 60);
/// After many.
const LONGEST: Duration = Duration::from_secs(12 * 60 * 60);
/// Later than any clock, and no overflow.
const FAR: u64 = u32::MAX as u64 * 2;

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 24 * 60 * 60;

    fn day(days: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs((20_000 + days) * DAY)
    }

    #[test]
    fn without_a_certificate_it_is_time_and_with_one_at_two_thirds_of_its_life() {
        let none = Schedule::new(Attempts::default(), None, 0.5);
        assert_eq!(none.wait(day(0)), Duration::ZERO);
        for (jitter, renewed) in [(0.0, 60), (1.0, 63)] {
            let some = Schedule::new(Attempts::default(), Some(&(day(0)..day(90))), jitter);
            let wait = some.wait(day(1)).as_secs_f64();
            assert!((wait - ((renewed - 1) * DAY) as f64).abs() < 60.0, "{wait}");
            assert_eq!(some.wait(day(renewed + 1)), Duration::ZERO);
            assert_eq!(some.wait(day(1000)), Duration::ZERO);
        }
    }

    #[test]
    fn failures_are_tried_again_later_and_later_also_by_the_next_process() {
        let mut now = day(0);
        let mut attempts = Attempts::default();
        let mut in_first_hour = 0;
        for expected in [300, 600, 1200, 2400, 4800, 9600, 19_200, 38_400, 43_200, 43_200] {
            // Each time another process: only what is on disk is known.
            let mut schedule = Schedule::new(attempts, None, 0.0);
            assert_eq!(schedule.wait(now), Duration::ZERO);
            in_first_hour += usize::from(now < day(0) + Duration::from_secs(3600));
            attempts = schedule.begin(now, 0.0).clone();
            assert_eq!(schedule.wait(now), Duration::from_secs(expected / 2));
            now += schedule.wait(now);
        }
        assert_eq!((attempts.failures, in_first_hour), (10, 5));
        let mut schedule = Schedule::new(attempts, None, 0.0);
        schedule.begin(now, 1.0);
        assert_eq!(schedule.wait(now), LONGEST);
        // Whoever has put things right need not wait.
        schedule.ask();
        assert_eq!(schedule.wait(now), Duration::ZERO);
    }

    #[test]
    fn success_ends_the_failures_and_asking_does_not_renew_what_is_good() {
        let mut schedule = Schedule::new(Attempts::default(), None, 0.0);
        schedule.begin(day(0), 0.5);
        let attempts = schedule.done(&(day(0)..day(90)), day(0), 0.0).unwrap();
        assert_eq!(attempts, &Attempts::default());
        schedule.ask();
        assert!(schedule.wait(day(1)) > Duration::from_secs(58 * DAY));
    }

    #[test]
    fn a_certificate_that_is_old_when_it_comes_is_not_asked_for_in_a_loop() {
        let mut schedule = Schedule::new(Attempts::default(), None, 0.0);
        schedule.begin(day(70), 1.0);
        assert_eq!(schedule.done(&(day(0)..day(90)), day(70), 0.0), None);
        assert_eq!(schedule.wait(day(70)), FIRST);
        // A period that makes no sense is over.
        let backwards = day(90)..day(0);
        assert_eq!(schedule.done(&backwards, day(95), 0.0), None);
    }

    #[test]
    fn a_clock_that_was_wrong_costs_no_years() {
        for next in [u64::MAX, (20_000 + 3650) * DAY] {
            let attempts = Attempts { failures: 9, next, ..Attempts::default() };
            assert_eq!(Schedule::new(attempts, None, 0.0).wait(day(0)), Duration::ZERO);
        }
    }
}
