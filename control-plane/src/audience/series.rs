//! Buckets as points of a line: which ones to read, and what they say together.

use std::collections::{BTreeMap, BTreeSet};

use super::{Amounts, Config, DAY, MINUTE, WIDTHS};

/// Which time, and how finely. All in milliseconds, from and to since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    pub from: u64,
    /// The first moment that is not asked for.
    pub to: u64,
    /// Between two points.
    pub step: u64,
    /// Of the buckets that are read, one of [`WIDTHS`]; the step is a multiple of it.
    pub width: u64,
}

/// What was in one step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// When it begins, in milliseconds since the Unix epoch.
    pub at: u64,
    /// With `heard_ms` of the region or node: means are over that.
    pub amounts: Amounts,
}

impl Span {
    /// The time from `from` to `to`, each at the end of its step; without a `step` the shortest with at most
    /// [`MAX_POINTS`] points whose buckets are still kept.
    ///
    /// # Errors
    /// The field that cannot be so, and why.
    pub fn choose(
        config: &Config,
        now: u64,
        (from, to): (Option<u64>, Option<u64>),
        step: Option<u64>,
    ) -> Result<Self, (&'static str, String)> {
        let to = to.unwrap_or(now).min(now);
        let from = from.unwrap_or(to.saturating_sub(DAY));
        if from >= to {
            return Err(("from", "it is not before `to`, or not in the past".to_owned()));
        }
        let points = |step: u64| (to - 1) / step - from / step + 1;
        let kept = |width: u64| {
            let at = WIDTHS.iter().position(|one| *one == width).unwrap_or(WIDTHS.len() - 1);
            // What is a little too old has been deleted, or will be: a line may begin there.
            from.saturating_add(config.kept()[at]).saturating_add(width) >= now
        };
        let [_, _, _, day] = WIDTHS;
        let step = match step {
            Some(step) if step == 0 || step % MINUTE != 0 => {
                return Err(("step", format!("use a multiple of {MINUTE} ms, a minute")));
            }
            Some(step) if points(step) > MAX_POINTS => {
                let least = (to - from).div_ceil(MAX_POINTS - 1).next_multiple_of(MINUTE);
                return Err((
                    "step",
                    format!("that is more than {MAX_POINTS} points: use at least {least} ms"),
                ));
            }
            Some(step) => step,
            None => {
                let fits = |step: &u64| points(*step) <= MAX_POINTS && kept(*step);
                let longer = (1..).map(|weeks| weeks * 7 * day).find(|step| points(*step) <= MAX_POINTS);
                WIDTHS.into_iter().find(fits).or(longer).unwrap_or(day)
            }
        };
        let width = WIDTHS.into_iter().rev().find(|width| step % width == 0).unwrap_or(MINUTE);
        if width != day && !kept(width) {
            let usable = WIDTHS.into_iter().find(|width| kept(*width)).unwrap_or(day);
            return Err((
                "step",
                format!("buckets that short are not kept for so long: use {usable} ms, or a later `from`"),
            ));
        }
        Ok(Self { from: from - from % step, to: to.div_ceil(step) * step, step, width })
    }

    /// For sums over all of the time, such as who was watched most: so many buckets that they are quick to read.
    pub fn whole(
        config: &Config,
        now: u64,
        span: (Option<u64>, Option<u64>),
    ) -> Result<Self, (&'static str, String)> {
        let fine = Self::choose(config, now, span, None)?;
        let few = |width: &u64| *width >= fine.width && (fine.to - fine.from) / width <= MAX_SUMMED;
        let width = WIDTHS.into_iter().find(few).unwrap_or(DAY);
        Ok(Self { from: fine.from - fine.from % width, width, step: width, ..fine })
    }
}

/// What `rows` say, step by step; all three by when they begin. `regions` are those of the regions, which say when somebody
/// was heard: for a region itself, or a node, the same rows again. `others` are the [`OTHERS`](super::OTHERS) of channels.
/// A step in which nobody was heard, or a channel was not among the most watched while others were, is left out: nothing is
/// known of it. One without viewers is there.
pub fn points(
    span: Span,
    rows: &[(u64, Amounts)],
    regions: &[(u64, Amounts)],
    others: &[(u64, Amounts)],
) -> Vec<Point> {
    let mut known = BTreeMap::<u64, Amounts>::new();
    rows.iter().for_each(|(at, amounts)| known.entry(*at).or_default().beside(amounts));
    let others: BTreeSet<u64> = others.iter().map(|(at, _)| *at).collect();
    let mut points = BTreeMap::<u64, Amounts>::new();
    for (at, Amounts { heard_ms, .. }) in regions.iter().filter(|(_, region)| region.heard_ms > 0) {
        let amounts = match known.get(at) {
            Some(amounts) => *amounts,
            None if others.contains(at) => continue,
            None => Amounts::default(),
        };
        points.entry(at - at % span.step).or_default().after(&Amounts { heard_ms: *heard_ms, ..amounts });
    }
    points.into_iter().map(|(at, amounts)| Point { at, amounts }).collect()
}

impl Point {
    /// Viewers at a time, on the mean.
    pub fn viewers(&self) -> f64 {
        self.amounts.viewer_ms as f64 / self.amounts.heard_ms as f64
    }

    /// Bits per second, on the mean.
    pub fn bps(&self) -> f64 {
        self.amounts.bytes as f64 * 8000.0 / self.amounts.heard_ms as f64
    }
}

/// Of one answer.
pub const MAX_POINTS: u64 = 1500;
/// Of a sum: a region has some hundred rows in each.
const MAX_SUMMED: u64 = 100;

#[cfg(test)]
mod tests {
    use super::super::HOUR;
    use super::*;

    const NOW: u64 = 1_700_000_000_000;

    fn choose(back: u64, step: Option<u64>) -> Result<(u64, u64), String> {
        let span = Span::choose(&Config::default(), NOW, (Some(NOW - back), None), step);
        span.map(|span| (span.step, span.width)).map_err(|(field, problem)| format!("{field}: {problem}"))
    }

    #[test]
    fn the_step_is_the_shortest_that_is_kept_and_not_too_much() {
        assert_eq!(choose(HOUR, None), Ok((MINUTE, MINUTE)));
        assert_eq!(choose(6 * HOUR, None), Ok((MINUTE, MINUTE)));
        assert_eq!(choose(7 * HOUR, None), Ok((10 * MINUTE, 10 * MINUTE)));
        assert_eq!(choose(30 * DAY, None), Ok((HOUR, HOUR)));
        assert_eq!(choose(365 * DAY, None), Ok((DAY, DAY)));
        assert_eq!(choose(5 * 365 * DAY, None), Ok((7 * DAY, DAY)));
        assert_eq!(choose(2 * HOUR, Some(15 * MINUTE)), Ok((15 * MINUTE, MINUTE)));
        assert_eq!(choose(DAY, Some(6 * HOUR)), Ok((6 * HOUR, HOUR)));
        let span = Span::choose(&Config::default(), NOW, (None, None), Some(HOUR)).unwrap();
        assert_eq!((span.from % HOUR, span.to % HOUR, (span.to - span.from) / HOUR), (0, 0, 25));
        let sum = Span::whole(&Config::default(), NOW, (Some(NOW - 6 * DAY), None)).unwrap();
        assert_eq!(sum.width, DAY);
    }

    #[test]
    fn what_cannot_be_is_said_with_what_can() {
        assert!(choose(DAY, Some(1000)).unwrap_err().contains("multiple of 60000"));
        assert!(choose(DAY, Some(15 * MINUTE + 1)).unwrap_err().contains("step"));
        assert!(choose(2 * DAY, Some(MINUTE)).unwrap_err().contains("1500 points: use at least 120000 ms"));
        assert!(choose(2 * DAY, Some(2 * MINUTE)).unwrap_err().contains("use 600000 ms"));
        assert!(choose(0, None).unwrap_err().contains("before `to`"));
        let least = (2 * DAY).div_ceil(MAX_POINTS - 1).next_multiple_of(MINUTE);
        assert!((2 * DAY) / least < MAX_POINTS);
    }

    fn minute(at: u64, viewers: u64) -> (u64, Amounts) {
        let amounts = Amounts {
            heard_ms: MINUTE,
            viewer_ms: viewers * MINUTE,
            peak: viewers,
            bytes: viewers * 7500,
            ..Amounts::default()
        };
        (at * MINUTE, amounts)
    }

    #[test]
    fn no_viewers_are_a_zero_and_nothing_known_is_no_point() {
        let span = Span { from: 0, to: 6 * MINUTE, step: MINUTE, width: MINUTE };
        // Names that fit into no statement come in several parts.
        let rows = [minute(0, 5), minute(0, 7)];
        // Minute 1: nobody watched. 2: nobody was heard. 3: others were watched, and perhaps this one as well.
        let regions = [minute(0, 12), minute(1, 0), minute(3, 9)];
        let points = points(span, &rows, &regions, &[minute(3, 1)]);
        let seen: Vec<_> =
            points.iter().map(|point| (point.at / MINUTE, point.viewers(), point.amounts.peak)).collect();
        assert_eq!(seen, [(0, 12.0, 12), (1, 0.0, 0)]);
        assert_eq!(points[0].bps(), 12_000.0);
    }

    #[test]
    fn a_longer_step_has_the_mean_of_what_was_heard_and_the_highest_peak() {
        let span = Span { from: 0, to: 20 * MINUTE, step: 10 * MINUTE, width: MINUTE };
        let rows = [minute(0, 10), minute(1, 30), minute(12, 4)];
        let points = points(span, &rows, &rows, &[]);
        let seen: Vec<_> =
            points.iter().map(|point| (point.at, point.viewers(), point.amounts.peak)).collect();
        assert_eq!(seen, [(0, 20.0, 30), (10 * MINUTE, 4.0, 4)]);
    }
}
