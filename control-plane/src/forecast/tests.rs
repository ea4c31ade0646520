use std::f64::consts::TAU;

use proptest::prelude::*;

use super::*;

/// Numbers that look like chance and are the same every time (SplitMix64).
struct Chance(u64);

impl Chance {
    /// Even, from 0 to 1.
    fn share(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// About normal, with a spread of 1.
    fn noise(&mut self) -> f64 {
        (0..12).map(|_| self.share()).sum::<f64>() - 6.0
    }
}

/// Viewers as they are: a day, a weekend, growth, and noise that is larger where there are more.
fn viewers(hours: usize, growth: f64, seed: u64) -> Vec<f64> {
    let mut chance = Chance(seed);
    let mut drift = 0.0;
    let hour = |hour: usize| {
        let day = 1.0 - 0.8 * (TAU * (hour % DAY) as f64 / 24.0).cos();
        let week = if hour / DAY % 7 >= 5 { 1.5 } else { 1.0 };
        drift = 0.9 * drift + 0.04 * chance.noise();
        (1000.0 * day * week * (1.0 + growth * hour as f64 / 24.0) * (1.0_f64 + drift).max(0.1)).max(0.0)
    };
    (0..hours).map(hour).collect()
}

fn known(values: &[f64]) -> Vec<Option<f64>> {
    values.iter().copied().map(Some).collect()
}

/// The mean absolute error of a forecast, and of the hour a week, or else a day, before.
fn errors(made: &Forecast, past: &[f64], came: &[f64], period: usize) -> (f64, f64) {
    let mean = |error: &dyn Fn(usize) -> f64| (0..came.len()).map(error).sum::<f64>() / came.len() as f64;
    let naive = |hour: usize| past[past.len() - period + hour % period];
    (
        mean(&|hour| (made.hours[hour].expected - came[hour]).abs()),
        mean(&|hour| (naive(hour) - came[hour]).abs()),
    )
}

#[test]
fn with_weeks_of_history_it_beats_the_week_before_and_says_by_how_much() {
    let (mut together, mut naively) = (0.0, 0.0);
    for seed in 1..=8 {
        let all = viewers(8 * WEEK, 0.01, seed);
        let (past, came) = all.split_at(7 * WEEK);
        let made = forecast(&known(past), WEEK);
        let Some(Method::HoltWinters { weekly: true, .. }) = made.method else { panic!("{:?}", made.method) };
        let (own, naive) = errors(&made, past, came, WEEK);
        assert!(own < 1.1 * naive, "seed {seed}: {own} and {naive}");
        (together, naively) = (together + own, naively + naive);
        assert_eq!((made.history, made.known, made.hours.len()), (7 * WEEK, 7 * WEEK, WEEK));
        // What it says of itself is what happened, about.
        let week = made.scores.iter().find(|score| score.ahead == WEEK).unwrap();
        assert!(week.mae < week.baseline_mae, "{week:?}");
        assert!(own < 2.0 * week.mae && own > 0.3 * week.mae, "seed {seed}: {own} came of {}", week.mae);
    }
    // No more is possible than the share that one of two equal chances has of both: 0.71.
    assert!(together < 0.85 * naively, "{together} and {naively}");
}

#[test]
fn four_of_five_hours_are_in_their_range() {
    let (mut inside, mut all) = (0, 0);
    for seed in 10..20 {
        let series = viewers(6 * WEEK, 0.0, seed);
        let (past, came) = series.split_at(5 * WEEK);
        let made = forecast(&known(past), WEEK);
        let within = |(hour, came): (&Estimate, &f64)| hour.low <= *came && *came <= hour.high;
        inside += made.hours.iter().zip(came).filter(|pair| within(*pair)).count();
        all += came.len();
        assert!(made.hours.iter().all(|hour| hour.low < hour.expected && hour.expected < hour.high));
    }
    let share = inside as f64 / all as f64;
    assert!((0.65..0.95).contains(&share), "{share}");
}

#[test]
fn gaps_zeros_and_events_do_not_bend_it() {
    let clean = viewers(8 * WEEK, 0.0, 3);
    let (past, came) = clean.split_at(7 * WEEK);
    let mut dirty = known(past);
    // Nobody was heard for a night and for a day, and one hour in twenty is missing.
    dirty[200..208].fill(None);
    dirty[700..724].fill(None);
    (0..dirty.len()).step_by(20).for_each(|hour| dirty[hour] = None);
    // A dark evening, and two events; the last is yesterday.
    dirty[500..503].fill(Some(0.0));
    for begin in [400, 7 * WEEK - 30] {
        dirty[begin..begin + 3].iter_mut().for_each(|hour| *hour = hour.map(|viewers| viewers + 20_000.0));
    }
    let made = forecast(&dirty, WEEK);
    let (own, naive) = errors(&made, past, came, WEEK);
    assert!(own < naive, "as good as the clean week before: {own} and {naive}");
    assert!(made.known < made.history);
    // The naive one says that the event comes again.
    let fooled: Vec<f64> = dirty.iter().map(|value| value.unwrap_or(0.0)).collect();
    let (own, naive) = errors(&made, &fooled, came, WEEK);
    assert!(own < 0.5 * naive, "{own} and {naive}");
}

#[test]
fn what_is_like_the_day_before_and_nothing_else_is_said_to_be() {
    // Each day another one: nothing can be learned but the last.
    let mut chance = Chance(7);
    let day: Vec<f64> = (0..DAY).map(|_| 1000.0 * chance.share()).collect();
    let series: Vec<f64> = (0..12 * DAY).map(|hour| day[hour % DAY]).collect();
    let made = forecast(&known(&series), DAY);
    assert!(made.method.unwrap().is_naive(), "{:?}", made.method);
    assert_eq!(made.baseline, made.method);
    assert!(made.hours.iter().zip(&day).all(|(hour, value)| (hour.expected - value).abs() < 1e-6));
    assert!(made.scores.iter().all(|score| score.mae == score.baseline_mae));
}

#[test]
fn too_little_is_said_to_be_too_little() {
    for hours in [0, 1, LEAST - 1] {
        let made = forecast(&known(&viewers(hours, 0.0, 1)), DAY);
        assert_eq!((made.method, made.hours.len(), made.known), (None, 0, hours));
    }
    let two_days = forecast(&known(&viewers(LEAST, 0.0, 1)), DAY);
    assert_eq!((two_days.method, two_days.hours.len()), (Some(Method::SameAsDayBefore), DAY));
    let four_days = forecast(&known(&viewers(4 * DAY, 0.0, 1)), DAY);
    assert!(four_days.method.is_some());
    let mut sparse = vec![None; 1000];
    sparse[..10].fill(Some(5.0));
    assert_eq!(forecast(&sparse, DAY).method, None, "hours that are known count, not those that have passed");
}

#[test]
fn growth_goes_on() {
    let (mut own, mut naive) = (0.0, 0.0);
    for seed in 30..40 {
        let all = viewers(8 * WEEK, 0.03, seed);
        let (past, came) = all.split_at(7 * WEEK);
        let made = forecast(&known(past), WEEK);
        let real = came.iter().sum::<f64>();
        own += made.hours.iter().map(|hour| hour.expected).sum::<f64>() / real / 10.0;
        naive += past[6 * WEEK..].iter().sum::<f64>() / real / 10.0;
    }
    // The whole next week, on the mean: within a few of a hundred, where the week before has it all wrong.
    assert!((own - 1.0).abs() < 0.6 * (naive - 1.0).abs(), "{own} of what came, and {naive} the week before");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever the history: numbers, none below 0, none beyond measure, in order, and the same every time.
    #[test]
    fn whatever_has_been_it_is_a_number(
        history in prop::collection::vec(
            prop_oneof![
                4 => (0.0..1e6_f64).prop_map(Some),
                2 => Just(Some(0.0)),
                2 => Just(None),
                1 => prop::num::f64::ANY.prop_map(Some),
                1 => (0.0..1e18_f64).prop_map(Some),
            ],
            0..700,
        ),
        hours in 0..400_usize,
    ) {
        let made = forecast(&history, hours);
        prop_assert!(made.hours.len() == hours.min(MAX_HOURS) || made.method.is_none());
        let sane = |value: f64| value.is_finite() && value >= 0.0;
        for Estimate { expected, low, high } in &made.hours {
            prop_assert!(sane(*expected) && sane(*low) && sane(*high) && low <= expected && expected <= high);
        }
        prop_assert!(made.scores.iter().all(|score| sane(score.mae) && sane(score.baseline_mae)));
        prop_assert_eq!(made, forecast(&history, hours));
    }
}
