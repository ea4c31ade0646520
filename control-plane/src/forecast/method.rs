//! The ways to forecast.

use super::smoothing::{Shape, Smoothing};
use super::{DAY, WEEK};

/// A way to forecast.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Each hour is as it was a day before.
    SameAsDayBefore,
    /// Each hour is as it was a week before.
    SameAsWeekBefore,
    /// Holt-Winters: a level, a damped trend, and seasons that are added to them.
    HoltWinters {
        /// A season of a week beside that of a day.
        weekly: bool,
        /// Of logarithms: seasons grow with the level.
        log: bool,
    },
}

/// A method that knows a history, and goes on from there.
#[derive(Debug, Clone)]
pub(super) enum Fitted {
    Naive { history: Vec<Option<f64>>, period: usize },
    Smoothing { state: Box<Smoothing>, log: bool },
}

impl Method {
    pub(super) const ALL: [Self; 6] = [
        Self::SameAsDayBefore,
        Self::SameAsWeekBefore,
        Self::HoltWinters { weekly: false, log: false },
        Self::HoltWinters { weekly: false, log: true },
        Self::HoltWinters { weekly: true, log: false },
        Self::HoltWinters { weekly: true, log: true },
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::SameAsDayBefore => "same-as-day-before",
            Self::SameAsWeekBefore => "same-as-week-before",
            Self::HoltWinters { weekly: false, log: false } => "holt-winters-day",
            Self::HoltWinters { weekly: false, log: true } => "holt-winters-day-log",
            Self::HoltWinters { weekly: true, log: false } => "holt-winters-day-week",
            Self::HoltWinters { weekly: true, log: true } => "holt-winters-day-week-log",
        }
    }

    pub(super) fn is_naive(self) -> bool {
        matches!(self, Self::SameAsDayBefore | Self::SameAsWeekBefore)
    }

    /// Hours that it has to know before it can be tried on those after them.
    pub(super) fn needs(self) -> usize {
        match self {
            Self::SameAsDayBefore => DAY,
            Self::SameAsWeekBefore => WEEK,
            Self::HoltWinters { weekly: false, .. } => 2 * DAY,
            Self::HoltWinters { weekly: true, .. } => 2 * WEEK,
        }
    }

    /// Learns a history.
    pub(super) fn fit(self, history: &[Option<f64>]) -> Fitted {
        let naive = |period| Fitted::Naive { history: history.to_vec(), period };
        match self {
            Self::SameAsDayBefore => naive(DAY),
            Self::SameAsWeekBefore => naive(WEEK),
            Self::HoltWinters { weekly, log } => {
                let scaled: Vec<Option<f64>> = history.iter().map(|value| scaled(*value, log)).collect();
                Fitted::Smoothing { state: Box::new(Smoothing::fit(Shape { weekly }, &scaled)), log }
            }
        }
    }
}

impl Fitted {
    /// Another hour has passed. What was fitted stays.
    pub(super) fn pass(&mut self, value: Option<f64>) {
        match self {
            Self::Naive { history, .. } => history.push(value),
            Self::Smoothing { state, log } => {
                state.pass(scaled(value, *log));
            }
        }
    }

    /// The next hours.
    pub(super) fn project(&self, hours: usize) -> Vec<f64> {
        match self {
            Self::Naive { history, period } => {
                (0..hours).map(|hour| before(history, *period, hour)).collect()
            }
            Self::Smoothing { state, log } => {
                let back = |value: f64| if *log { value.exp_m1() } else { value };
                state.project(hours).into_iter().map(|value| back(value).max(0.0)).collect()
            }
        }
    }
}

/// The newest that is known of this hour in whole periods before, or in whole days; else the newest of all.
fn before(history: &[Option<f64>], period: usize, hour: usize) -> f64 {
    let back = |period: usize| {
        let next = history.len() + hour;
        let known = (1..).map_while(move |count| next.checked_sub(count * period));
        known.filter(|at| *at < history.len()).find_map(|at| history[at])
    };
    back(period)
        .or_else(|| back(DAY))
        .or_else(|| history.iter().rev().find_map(|value| *value))
        .unwrap_or(0.0)
}

fn scaled(value: Option<f64>, log: bool) -> Option<f64> {
    value.map(|value| if log { value.ln_1p() } else { value })
}
