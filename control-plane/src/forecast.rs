//! What the next hours of a series will be, how sure that is, and what that rests on. Pure, and the same every time.
//!
//! Series are hourly, with gaps where nothing is known. Some methods forecast the held history from many points of its
//! last part ([`backtest`]), each fitted to what was before that part; the best goes on into the future. Where none beats the day or
//! week before ([`Method::SameAsDayBefore`]), that is used, and named. The range around each hour is what that method's errors were.

mod backtest;
pub mod capacity;
mod method;
mod smoothing;

use backtest::Trial;
pub use backtest::{HORIZONS, Score};
pub use method::Method;

/// What will be.
#[derive(Debug, Clone, PartialEq)]
pub struct Forecast {
    /// How it was made; none where there is too little history, and then there are no hours.
    pub method: Option<Method>,
    /// What it is measured against: the better of the day and the week before.
    pub baseline: Option<Method>,
    /// The next hours, the first after the history's last.
    pub hours: Vec<Estimate>,
    /// How far off it was in the held history, near ones first; those that it is too short for are left out.
    pub scores: Vec<Score>,
    /// Hours from the first that is known to the last one.
    pub history: usize,
    /// Those of them that are known.
    pub known: usize,
}

/// An hour that will be. None of them is below 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    pub expected: f64,
    /// One in ten is below.
    pub low: f64,
    /// One in ten is above.
    pub high: f64,
}

/// Forecasts the next `hours` of an hourly series, at most [`MAX_HOURS`]. What is no number from 0 to 1e15 counts as not known.
pub fn forecast(history: &[Option<f64>], hours: usize) -> Forecast {
    let usable = |value: &Option<f64>| value.filter(|value| (0.0..=MOST).contains(value));
    let history: Vec<Option<f64>> = history.iter().map(usable).skip_while(Option::is_none).collect();
    let (known, hours) = (history.iter().flatten().count(), hours.min(MAX_HOURS));
    let nothing = Forecast {
        method: None,
        baseline: None,
        hours: Vec::new(),
        scores: Vec::new(),
        history: history.len(),
        known,
    };
    if known < LEAST {
        return nothing;
    }
    let trials: Vec<Trial> =
        Method::ALL.into_iter().filter_map(|method| Trial::run(method, &history)).collect();
    let best = |naive: bool| {
        let trials = trials.iter().filter(|trial| trial.method().is_naive() || !naive);
        trials.min_by(|one, other| one.error().total_cmp(&other.error()))
    };
    let (Some(best), Some(baseline)) = (best(false), best(true)) else { return nothing };
    // As good as the day before is no reason for more than the day before.
    let best = if best.error() < baseline.error() { best } else { baseline };
    let most = history.iter().flatten().fold(0.0, |most: f64, value| most.max(*value));
    let expected = best.method().fit(&history).project(hours);
    let estimate = |(hour, expected): (usize, f64)| {
        let expected = if expected.is_finite() { expected.clamp(0.0, most * MAX_GROWTH) } else { most };
        let (below, above) = best.range(hour + 1);
        let moved = |by: f64| (expected.ln_1p() + by).exp_m1().clamp(0.0, most * MAX_GROWTH);
        Estimate { expected, low: moved(below).min(expected), high: moved(above).max(expected) }
    };
    Forecast {
        method: Some(best.method()),
        baseline: Some(baseline.method()),
        hours: expected.into_iter().enumerate().map(estimate).collect(),
        scores: best.scores(baseline),
        ..nothing
    }
}

const DAY: usize = 24;
const WEEK: usize = 7 * DAY;
/// Two days: with less nobody knows whether today is like yesterday.
pub const LEAST: usize = 2 * DAY;
/// Two weeks.
pub const MAX_HOURS: usize = 2 * WEEK;
/// No viewers and no bits per second are more.
const MOST: f64 = 1e15;
/// A trend that goes on for two weeks must not promise the moon: no hour is above so many times the highest one so far.
const MAX_GROWTH: f64 = 10.0;

#[cfg(test)]
mod tests;
