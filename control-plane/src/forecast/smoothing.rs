//! Exponential smoothing with a trend, which fades in the hours to come, and two seasons, a day's and a week's (Taylor 2003: Short-term electricity demand
//! forecasting using double seasonal exponential smoothing), whose errors it expects to fade (an AR(1) term, as there).
//!
//! Events must not bend it: an error moves the state by a few times what errors usually are, at most (the idea of Gelper,
//! Fried and Croux 2010: Robust forecasting with exponential and Holt-Winters smoothing). Hours that are not known move nothing.

use super::{DAY, WEEK};

/// Which seasons there are beside the day's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) weekly: bool,
}

/// The state after some hours.
#[derive(Debug, Clone)]
pub(super) struct Smoothing {
    gains: Gains,
    /// Hours that have passed.
    hour: usize,
    level: f64,
    trend: f64,
    day: [f64; DAY],
    week: [f64; WEEK],
    /// What was expected a day ahead beside the seasons, in the last hours of a day.
    day_ahead: [f64; DAY],
    /// By how much the last hour was beside level and seasons.
    beside: f64,
    /// What errors usually are.
    usual: f64,
}

/// How much of an error goes into what; the last is how much of it stays for the next hour.
type Gains = [f64; 5];

impl Smoothing {
    /// Finds the gains with the smallest errors an hour and a day ahead, and goes through the history with them.
    pub(super) fn fit(shape: Shape, history: &[Option<f64>]) -> Self {
        let begin = Self::begin(shape, history);
        let error = |gains: &Gains| {
            let mut state = Self { gains: *gains, ..begin.clone() };
            history.iter().map(|value| state.pass(*value)).sum::<f64>()
        };
        let (mut best, mut least) = (START, error(&START));
        let mut step = 1.0;
        for _round in 0..ROUNDS {
            let mut better = false;
            for gain in (0..best.len()).filter(|gain| shape.weekly || *gain != 3) {
                for sign in [1.0, -1.0] {
                    let mut tried = best;
                    tried[gain] = (tried[gain] + sign * step * REACH[gain]).clamp(0.0, LIMIT[gain]);
                    let found = if tried == best { f64::INFINITY } else { error(&tried) };
                    if found < least {
                        (best, least, better) = (tried, found, true);
                    }
                }
            }
            if !better {
                step /= 2.0;
            }
        }
        let mut state = Self { gains: best, ..begin };
        for value in history {
            state.pass(*value);
        }
        state
    }

    /// Seasons are medians over the first weeks, beside the level of their week, or of their day where there is only that season.
    fn begin(shape: Shape, history: &[Option<f64>]) -> Self {
        let (period, most) = if shape.weekly { (WEEK, BEGINNING * WEEK) } else { (DAY, 2 * WEEK) };
        let first = &history[..history.len().min(most)];
        let all = median(first.iter().flatten().copied()).unwrap_or(0.0);
        let levels = first.chunks(period).map(|chunk| {
            let is_whole = chunk.iter().flatten().count() > period / 2;
            median(chunk.iter().flatten().copied()).filter(|_| is_whole)
        });
        let mut beside = Vec::with_capacity(first.len());
        let (mut begin, mut level, mut steps) = (None, all, Vec::new());
        for (chunk, found) in first.chunks(period).zip(levels) {
            steps.extend(found.filter(|_| begin.is_some()).map(|found| found - level));
            level = found.unwrap_or(level);
            begin = begin.or(found);
            beside.extend(chunk.iter().map(|value| value.map(|value| value - level)));
        }
        let mut day = [0.0; DAY];
        take_seasons(&mut beside, &mut day);
        let mut week = [0.0; WEEK];
        if shape.weekly {
            take_seasons(&mut beside, &mut week);
        }
        let usual = median(beside.iter().flatten().map(|value| value.abs())).unwrap_or(0.0);
        let level = begin.unwrap_or(all);
        let is_clear = steps.len() >= CLEAR;
        let trend = median(steps.into_iter()).filter(|_| is_clear).unwrap_or(0.0) / period as f64;
        Self {
            gains: START,
            hour: 0,
            level,
            trend,
            day,
            week,
            day_ahead: [level; DAY],
            beside: 0.0,
            // A beginning without any error at all still has to learn.
            usual: usual.max(level.abs() * 0.01).max(1e-3),
        }
    }

    /// Another hour has passed; gives how far off the forecasts for it were that were made an hour and a day before, an event
    /// by no more than what counts of it. From hour to hour alone slow growth looks like errors that fade.
    pub(super) fn pass(&mut self, value: Option<f64>) -> f64 {
        let (in_day, in_week) = (self.hour % DAY, self.hour % WEEK);
        let [level, trend, day, week, stays] = self.gains;
        self.hour += 1;
        self.level += self.trend;
        let seasons = self.day[in_day] + self.week[in_week];
        let base = self.level + seasons;
        let day_before = self.day_ahead[in_day] + seasons;
        let fading = stays * self.beside;
        let Some(value) = value else {
            self.beside = fading;
            self.trend *= DAMPING;
            self.look_ahead(in_day);
            return 0.0;
        };
        let error = value - base - fading;
        let most = EVENT * self.usual;
        let counts = error.clamp(-most, most);
        self.usual += FORGET * (counts.abs() - self.usual);
        self.usual = self.usual.max(1e-9);
        self.level += level * counts;
        self.trend += level * trend * counts;
        self.day[in_day] += day * counts;
        self.week[in_week] += week * counts;
        // An event goes on for a while, but what is beside all measure says nothing of the next hour.
        self.beside = (value - base).clamp(-2.0 * most, 2.0 * most);
        self.look_ahead(in_day);
        counts.abs() + (value - day_before).abs().min(most)
    }

    fn look_ahead(&mut self, in_day: usize) {
        let fades = self.gains[4].powi(DAY as i32);
        self.day_ahead[in_day] = self.level + self.trend * DAY_OF_TREND + self.beside * fades;
    }

    /// The next hours.
    pub(super) fn project(&self, hours: usize) -> Vec<f64> {
        let (mut level, mut trend, mut fading) = (self.level, self.trend, self.beside);
        let next = |hour: usize| {
            trend *= DAMPING;
            level += trend;
            fading *= self.gains[4];
            level + self.day[hour % DAY] + self.week[hour % WEEK] + fading
        };
        (self.hour..self.hour + hours).map(next).collect()
    }
}

/// Finds how far each hour of a season is from nothing, and takes that away.
fn take_seasons(values: &mut [Option<f64>], season: &mut [f64]) {
    let period = season.len();
    for (hour, season) in season.iter_mut().enumerate() {
        let same = values.iter().skip(hour).step_by(period);
        *season = median(same.flatten().copied()).unwrap_or(0.0);
    }
    for (hour, value) in values.iter_mut().enumerate() {
        *value = value.map(|value| value - season[hour % period]);
    }
}

fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len().checked_sub(1)? / 2;
    Some((values[middle] + values[values.len() / 2]) / 2.0)
}

/// Where the search begins, how far its first steps go, and what no gain is above: level, trend
/// (of what goes into the level), day, week, what stays.
const START: Gains = [0.05, 0.01, 0.1, 0.1, 0.5];
const REACH: Gains = [0.05, 0.01, 0.1, 0.1, 0.25];
const LIMIT: Gains = [0.5, 0.1, 0.5, 0.5, 0.95];
/// Weeks that the seasons begin with.
const BEGINNING: usize = 8;
/// Steps from one level to the next that make a trend.
const CLEAR: usize = 3;
/// Each tries at most ten gains.
const ROUNDS: usize = 12;
/// Of the trend, from hour to hour that is not known yet: half of it is left after six days.
const DAMPING: f64 = 0.995;
/// What a trend of 1 adds in a day: the sum of 24 powers of [`DAMPING`].
const DAY_OF_TREND: f64 = 22.556_0;
/// What is so many times the usual error is an event.
const EVENT: f64 = 4.0;
/// How soon an error becomes usual: half in a day and a half.
const FORGET: f64 = 0.02;
