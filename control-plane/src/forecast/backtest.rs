//! A method tried on the past: fitted to the history before its last part, it forecasts from many hours of that part what came
//! after them (rolling origin; Hyndman and Athanasopoulos: Forecasting, section 5.10).

use super::method::Method;
use super::{DAY, MAX_HOURS, WEEK};

/// How far off a method was at a distance, and how far the baseline.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Score {
    /// Hours ahead: those up to here, from the score before on.
    pub ahead: usize,
    /// Forecasts that were compared with what came.
    pub compared: usize,
    /// The mean absolute error.
    pub mae: f64,
    /// The sum of absolute errors by the sum of what came; none where nothing came.
    pub wape: Option<f64>,
    /// The baseline's.
    pub baseline_mae: f64,
    pub baseline_wape: Option<f64>,
}

/// A method and its errors.
#[derive(Debug)]
pub(super) struct Trial {
    method: Method,
    at: [Errors; HORIZONS.len()],
}

/// At one distance.
#[derive(Debug, Default)]
struct Errors {
    /// Of logarithms, in order: what came to what was forecast.
    ratios: Vec<f64>,
    absolute: f64,
    came: f64,
}

impl Trial {
    /// None where the history is too short for it.
    pub(super) fn run(method: Method, history: &[Option<f64>]) -> Option<Self> {
        let split = history.len() - (history.len() / 3).clamp(DAY, 4 * WEEK).min(history.len());
        // A week's season shows itself in the third week.
        if split < method.needs() || method.needs() > WEEK && history.len() < 3 * WEEK {
            return None;
        }
        let (before, tested) = history.split_at(split);
        let mut fitted = method.fit(before);
        let mut trial = Self { method, at: Default::default() };
        // Odd, so that all hours of the day have their turn.
        let stride = (tested.len() / ORIGINS) | 1;
        for (origin, value) in tested.iter().enumerate() {
            if origin % stride == 0 {
                let rest = &tested[origin..];
                let expected = fitted.project(rest.len().min(MAX_HOURS));
                for (hour, (expected, came)) in expected.into_iter().zip(rest).enumerate() {
                    if let Some(came) = came {
                        trial.at[horizon(hour + 1)].add(expected, *came);
                    }
                }
            }
            fitted.pass(*value);
        }
        trial.at.iter_mut().for_each(|errors| errors.ratios.sort_by(f64::total_cmp));
        Some(trial)
    }

    pub(super) fn method(&self) -> Method {
        self.method
    }

    /// The mean of its mean absolute errors at all distances: each counts the same.
    pub(super) fn error(&self) -> f64 {
        let tried: Vec<f64> =
            self.at.iter().filter(|errors| !errors.ratios.is_empty()).map(Errors::mae).collect();
        if tried.is_empty() { f64::INFINITY } else { tried.iter().sum::<f64>() / tried.len() as f64 }
    }

    /// The logarithms between which four of five were, so many hours ahead; of the next shorter distance where too few were
    /// tried.
    pub(super) fn range(&self, hours: usize) -> (f64, f64) {
        let near = self.at[..=horizon(hours)].iter().rev().find(|errors| errors.ratios.len() >= ENOUGH);
        let ratios = &near.unwrap_or(&self.at[0]).ratios;
        (quantile(ratios, 0.1), quantile(ratios, 0.9))
    }

    /// Beside the errors of a baseline, tried in the same places.
    pub(super) fn scores(&self, baseline: &Self) -> Vec<Score> {
        let pairs = HORIZONS.iter().zip(self.at.iter().zip(&baseline.at));
        let tried = pairs.filter(|(_, (own, _))| !own.ratios.is_empty());
        let score = |(ahead, (own, baseline)): (&usize, (&Errors, &Errors))| Score {
            ahead: *ahead,
            compared: own.ratios.len(),
            mae: own.mae(),
            wape: own.wape(),
            baseline_mae: baseline.mae(),
            baseline_wape: baseline.wape(),
        };
        tried.map(score).collect()
    }
}

impl Errors {
    fn add(&mut self, expected: f64, came: f64) {
        self.ratios.push(came.ln_1p() - expected.ln_1p());
        self.absolute += (came - expected).abs();
        self.came += came;
    }

    fn mae(&self) -> f64 {
        self.absolute / self.ratios.len().max(1) as f64
    }

    fn wape(&self) -> Option<f64> {
        (self.came > 0.0).then(|| self.absolute / self.came)
    }
}

fn horizon(hours: usize) -> usize {
    HORIZONS.iter().position(|ahead| hours <= *ahead).unwrap_or(HORIZONS.len() - 1)
}

/// Of values in order; 0 of none.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let at = (sorted.len().saturating_sub(1)) as f64 * share;
    sorted.get(at.round() as usize).copied().unwrap_or(0.0)
}

/// Hours ahead at which errors are told apart.
pub const HORIZONS: [usize; 5] = [1, 6, DAY, WEEK, MAX_HOURS];
/// Places from which a method is tried, about.
const ORIGINS: usize = 60;
/// Forecasts that say something about the next.
const ENOUGH: usize = 20;
