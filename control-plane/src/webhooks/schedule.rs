//! When a delivery is tried again, and when it is given up. No IO, no clock, no dice: all are arguments.

use super::post::Answered;

/// What becomes of a delivery after an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Delivered,
    /// The next attempt comes so many milliseconds later.
    Again {
        after: u64,
    },
    /// It is given up.
    Dead,
    /// It is given up, and so is the webhook: its receiver says that it is gone for good.
    Gone,
}

/// What follows from the answer to attempt number `attempt` (from 1). `jitter` is a random number from 0 to 1, so that
/// what failed together does not come back together.
pub fn after(attempt: u32, answered: &Answered, jitter: f64) -> Verdict {
    let status = answered.status.unwrap_or_default();
    match status {
        200..=299 => return Verdict::Delivered,
        410 => return Verdict::Gone,
        _ => {}
    }
    let Some(step) = usize::try_from(attempt).ok().and_then(|number| STEPS.get(number.checked_sub(1)?))
    else {
        return Verdict::Dead;
    };
    let wait = (*step as f64 * (0.8 + 0.4 * jitter.clamp(0.0, 1.0))) as u64;
    // Who is busy knows best when to come back, within reason.
    let asked = answered.retry_after.filter(|_| matches!(status, 429 | 503)).unwrap_or_default();
    Verdict::Again { after: wait.max(asked.min(LONGEST)) }
}

const SECOND: u64 = 1000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
/// Between attempts, in milliseconds: a restart is over after seconds, a bad night after a day.
pub(super) const STEPS: [u64; 8] =
    [5 * SECOND, 30 * SECOND, 2 * MINUTE, 10 * MINUTE, HOUR, 3 * HOUR, 8 * HOUR, 16 * HOUR];
/// A receiver cannot keep a delivery for longer than the schedule would.
const LONGEST: u64 = 16 * HOUR;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn status(status: u16) -> Answered {
        Answered { status: Some(status), ..Answered::default() }
    }

    #[test]
    fn it_is_tried_nine_times_over_a_day_and_given_up() {
        let (mut waited, mut attempt) = (0, 1);
        while let Verdict::Again { after } = after(attempt, &Answered::default(), 0.5) {
            waited += after;
            attempt += 1;
        }
        assert_eq!(attempt, 9);
        assert_eq!(waited / MINUTE, 28 * 60 + 12);
        assert_eq!(after(9, &status(500), 0.5), Verdict::Dead);
        assert_eq!(after(9, &status(200), 0.5), Verdict::Delivered);
        assert_eq!(after(1, &status(410), 0.5), Verdict::Gone);
        assert_eq!(after(1, &status(204), 0.5), Verdict::Delivered);
    }

    #[test]
    fn who_is_busy_says_when_to_come_back_within_reason() {
        let busy = |status, retry_after| {
            after(
                1,
                &Answered { status: Some(status), retry_after: Some(retry_after), ..Answered::default() },
                0.5,
            )
        };
        assert_eq!(busy(503, 90 * SECOND), Verdict::Again { after: 90 * SECOND });
        assert_eq!(busy(429, 0), Verdict::Again { after: 5 * SECOND });
        assert_eq!(busy(429, u64::MAX), Verdict::Again { after: LONGEST });
        assert_eq!(busy(500, 90 * SECOND), Verdict::Again { after: 5 * SECOND }, "only those two may ask");
    }

    proptest! {
        #[test]
        fn a_wait_is_near_its_step(attempt in 1..=8u32, code in 100..600u16, jitter in -1.0..2.0f64) {
            if let Verdict::Again { after } = after(attempt, &status(code), jitter) {
                let step = STEPS[attempt as usize - 1];
                prop_assert!((step * 4 / 5..=step * 6 / 5).contains(&after));
            } else {
                prop_assert!((200..300).contains(&code) || code == 410);
            }
        }
    }
}
