//! Hysteresis: a warning is raised when its cause lasts, and cleared when it has been away for longer.

use std::time::{Duration, Instant};

/// What a look at the numbers says of one cause.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Verdict {
    Good,
    /// Between good and bad, or too early to say: what was said last holds.
    Unsure,
    Bad(Bad),
}

/// Why it is bad, in words and numbers.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Bad {
    pub(super) text: String,
    pub(super) numbers: Vec<(&'static str, f64)>,
}

/// The memory of one cause.
#[derive(Debug, Default)]
pub(super) struct Alarm {
    /// What it was when it was last bad, while it is raised.
    raised: Option<Bad>,
    /// Since when the verdict has been other than the alarm.
    turning: Option<Instant>,
}

/// What a look changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    Raised,
    Cleared,
}

impl Alarm {
    /// Takes one look's verdict.
    pub(super) fn look(&mut self, verdict: Verdict, now: Instant) -> Option<Change> {
        match (verdict, self.raised.is_some()) {
            (Verdict::Bad(bad), true) => {
                self.turning = None;
                self.raised = Some(bad);
                None
            }
            (Verdict::Bad(bad), false) => self.turned(now, RAISE_AFTER).then(|| {
                self.raised = Some(bad);
                Change::Raised
            }),
            (Verdict::Good, true) => self.turned(now, CLEAR_AFTER).then(|| {
                self.raised = None;
                Change::Cleared
            }),
            (Verdict::Good, false) => {
                self.turning = None;
                None
            }
            // An alarm that is on stays on; one that is off has to begin again.
            (Verdict::Unsure, _) => {
                self.turning = None;
                None
            }
        }
    }

    /// What is wrong, while it is raised.
    pub(super) fn raised(&self) -> Option<&Bad> {
        self.raised.as_ref()
    }

    fn turned(&mut self, now: Instant, after: Duration) -> bool {
        let since = *self.turning.get_or_insert(now);
        let over = now.saturating_duration_since(since) >= after;
        if over {
            self.turning = None;
        }
        over
    }
}

/// Looks come every second: three in a row.
const RAISE_AFTER: Duration = Duration::from_secs(2);
/// As long as most measures look back.
const CLEAR_AFTER: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    fn bad() -> Verdict {
        Verdict::Bad(Bad { text: "x".into(), numbers: Vec::new() })
    }

    #[test]
    fn an_alarm_does_not_flap() {
        let (start, mut alarm, mut changes) = (Instant::now(), Alarm::default(), Vec::new());
        let mut look = |second: u64, verdict| {
            let now = start + Duration::from_secs(second);
            if let Some(change) = alarm.look(verdict, now) {
                changes.push((second, change));
            }
        };
        // It flickers: nothing.
        (0..20).for_each(|second| look(second, if second % 2 == 0 { bad() } else { Verdict::Good }));
        // It lasts.
        (20..25).for_each(|second| look(second, bad()));
        // It flickers again, and is between for long: nothing.
        (25..40).for_each(|second| look(second, if second % 3 == 0 { bad() } else { Verdict::Good }));
        (40..80).for_each(|second| look(second, Verdict::Unsure));
        // It is over.
        (80..100).for_each(|second| look(second, Verdict::Good));
        assert_eq!(changes, [(22, Change::Raised), (90, Change::Cleared)]);
    }
}
