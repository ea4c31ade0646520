//! Where the periods of a manifest begin, and whether their segments are regular enough to be counted.
//!
//! A player that counts computes a segment's number from the time of day, and may so ask for one that is only just
//! being made: the low-latency mode. It would ask for wrong ones where keyframes come when they like, so there
//! segments are listed. A discontinuity begins a period, and so does a change from one way to the other.

use std::collections::VecDeque;

use crate::frame::CLOCK;
use crate::segment::cuts::{Cut, Cuts};

/// The newest periods of a broadcast, oldest first. All times in [`CLOCK`] ticks.
#[derive(Debug, Default)]
pub(crate) struct Periods {
    periods: VecDeque<Period>,
    newest: Option<Cut>,
    /// Media sequence number of the first segment.
    first: u64,
    run: Run,
    /// When the first segment began.
    epoch: Option<i64>,
}

/// A stretch of the broadcast.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Period {
    /// Media sequence number of its first segment.
    pub(crate) first: u64,
    /// When that begins.
    pub(crate) start: i64,
    /// The segment that is the first of the next period, and when this one ends. `None` while it goes on.
    pub(crate) end: Option<(u64, i64)>,
    pub(crate) addressing: Addressing,
}

/// How a player learns which segments there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Addressing {
    /// They all last about this long.
    Counted { duration: i64 },
    /// The manifest says it of each.
    Listed,
}

/// Segments in a row that are equally long.
#[derive(Debug, Default)]
struct Run {
    segments: i64,
    began: i64,
    length: i64,
}

impl Periods {
    /// Those of a broadcast that goes on with this segment, and whose very first began at `epoch`.
    pub(crate) fn resume(first: u64, epoch: i64) -> Self {
        Self { first, epoch: Some(epoch), ..Self::default() }
    }

    /// Takes in where the leader has begun segments since the last call.
    pub(crate) fn follow(&mut self, cuts: &Cuts) {
        while let Some(cut) = cuts.get(self.newest.map_or(self.first, |newest| newest.msn + 1)) {
            self.cut(*cut);
        }
    }

    /// The broadcast ends at `end`.
    pub(crate) fn finish(&mut self, end: i64) {
        if let (Some(last), Some(newest)) = (self.periods.back_mut(), self.newest) {
            last.end = Some((newest.msn + 1, end));
        }
    }

    /// When the first segment of all began.
    pub(crate) fn epoch(&self) -> Option<i64> {
        self.epoch
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Period> {
        self.periods.iter()
    }

    fn cut(&mut self, cut: Cut) {
        self.epoch.get_or_insert(cut.time);
        let newest = self.newest.replace(cut);
        let (Some(newest), Some(period)) = (newest, self.periods.back_mut()) else {
            return self.begin(cut, Addressing::Listed);
        };
        let length = cut.time - newest.time;
        if cut.discontinuity {
            let addressing = period.addressing;
            self.run = Run::default();
            return self.turn(cut, cut.previous_end, addressing);
        }
        self.run.add(newest.time, length);
        match period.addressing {
            // There is no manifest before the first segment is whole: its length is everybody's, until one differs.
            Addressing::Listed if cut.msn == 1 => {
                period.addressing = Addressing::Counted { duration: length }
            }
            Addressing::Listed if self.run.segments >= STEADY => {
                let duration = self.run.average(cut.time);
                self.turn(cut, cut.time, Addressing::Counted { duration });
            }
            Addressing::Listed => {}
            Addressing::Counted { duration } => {
                let count = i64::try_from(cut.msn - period.first).unwrap_or(i64::MAX);
                let expected = period.start.saturating_add(count.saturating_mul(duration));
                if is_about(cut.time - expected, 0, duration / TOLERANCE) {
                    return;
                }
                // Much at once, or little by little: the first length was not quite the average.
                let addressing = match is_about(length, duration, duration / TOLERANCE) {
                    true => Addressing::Counted { duration: (cut.time - period.start) / count.max(1) },
                    false => Addressing::Listed,
                };
                self.turn(cut, cut.time, addressing);
            }
        }
    }

    /// Ends the period at `end` and begins the next with `cut`.
    fn turn(&mut self, cut: Cut, end: i64, addressing: Addressing) {
        if let Some(last) = self.periods.back_mut() {
            last.end = Some((cut.msn, end));
        }
        self.begin(cut, addressing);
    }

    fn begin(&mut self, cut: Cut, addressing: Addressing) {
        if self.periods.len() == MAX_PERIODS {
            self.periods.pop_front();
        }
        self.periods.push_back(Period { first: cut.msn, start: cut.time, end: None, addressing });
    }
}

impl Run {
    fn add(&mut self, began: i64, length: i64) {
        if self.segments > 0 && is_about(length, self.length, self.length / ALIKE) {
            self.segments += 1;
        } else {
            *self = Self { segments: 1, began, length };
        }
    }

    fn average(&self, end: i64) -> i64 {
        (end - self.began) / self.segments.max(1)
    }
}

fn is_about(value: i64, expected: i64, tolerance: i64) -> bool {
    (value - expected).abs() <= tolerance.max(CLOCK / 1000)
}

/// A counted segment begins within an eighth of a segment of where it should. The standard allows half
/// (ISO/IEC 23009-1 §5.3.9.5.3), but what comes late is asked for too early, and a part is not much longer.
const TOLERANCE: i64 = 8;

/// Two segments are alike when they differ by a thirty-second: some frame.
const ALIKE: i64 = 32;

/// After this many alike, a publisher is regular again.
const STEADY: i64 = 16;

/// More than a playlist has segments.
const MAX_PERIODS: usize = 300;

#[cfg(test)]
mod tests {
    use super::*;

    /// Segments of these many milliseconds in a row, from `start` on.
    fn follow(periods: &mut Periods, cuts: &mut Cuts, lengths: &[i64]) {
        let (mut msn, mut time) = periods.newest.map_or((0, 0), |newest| (newest.msn + 1, newest.time));
        let mut lengths = lengths.iter();
        if msn == 0 {
            cuts.push(at(0, 0, 0, false));
            msn = 1;
        }
        for length in lengths.by_ref() {
            time += length * 90;
            cuts.push(at(msn, time, time, false));
            msn += 1;
        }
        periods.follow(cuts);
    }

    fn at(msn: u64, time: i64, previous_end: i64, discontinuity: bool) -> Cut {
        let discontinuities = u64::from(discontinuity);
        Cut { msn, time, pts: time, previous_end, discontinuity, independent: true, discontinuities }
    }

    fn of(lengths: &[i64]) -> Vec<(u64, i64, Option<i64>)> {
        let (mut periods, mut cuts) = Default::default();
        follow(&mut periods, &mut cuts, lengths);
        periods.iter().map(|p| (p.first, p.start / 90, duration(p.addressing))).collect()
    }

    fn duration(addressing: Addressing) -> Option<i64> {
        match addressing {
            Addressing::Counted { duration } => Some(duration / 90),
            Addressing::Listed => None,
        }
    }

    #[test]
    fn regular_segments_are_counted_and_others_listed() {
        type Expected = Vec<(u64, i64, Option<i64>)>;
        let cases: [(&str, Vec<i64>, Expected); 6] = [
            ("one length", vec![2000; 40], vec![(0, 0, Some(2000))]),
            ("rounded to milliseconds", [3333, 3333, 3334].repeat(9), vec![(0, 0, Some(3333))]),
            ("a frame more or less", [2000, 2033, 1967].repeat(9), vec![(0, 0, Some(2000))]),
            (
                "one keyframe came early, then all is well again",
                [vec![2000; 3], vec![700], vec![2000; 17]].concat(),
                vec![(0, 0, Some(2000)), (4, 6700, None), (20, 38_700, Some(2000))],
            ),
            (
                "keyframes where the scene changes",
                [2000, 3100, 2400, 2000, 3700, 2900].repeat(6),
                vec![(0, 0, Some(2000)), (2, 5100, None)],
            ),
            (
                "the first segment was not like the others",
                [vec![2100], vec![2000; 30]].concat(),
                vec![(0, 0, Some(2100)), (4, 8100, Some(2025)), (15, 30_100, Some(2000))],
            ),
        ];
        for (name, lengths, expected) in cases {
            assert_eq!(of(&lengths), expected, "{name}");
        }
    }

    #[test]
    fn a_discontinuity_begins_a_period_that_is_addressed_as_before() {
        let (mut periods, mut cuts) = (Periods::default(), Cuts::default());
        follow(&mut periods, &mut cuts, &[2000; 5]);
        cuts.push(at(6, 30 * CLOCK, 11 * CLOCK, true));
        periods.follow(&cuts);
        periods.finish(31 * CLOCK);
        let counted = Addressing::Counted { duration: 2 * CLOCK };
        let all: Vec<_> = periods.iter().copied().collect();
        let first = Period { first: 0, start: 0, end: Some((6, 11 * CLOCK)), addressing: counted };
        let second = Period { first: 6, start: 30 * CLOCK, end: Some((7, 31 * CLOCK)), addressing: counted };
        assert_eq!(all, [first, second]);
    }

    #[test]
    fn what_can_be_counted_is_never_far_from_where_it_is() {
        // Any lengths at all: a counted period's segments begin where a player thinks, but for the tolerance.
        let mut seed = 7u64;
        let mut random = || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            i64::try_from(seed >> 33).unwrap()
        };
        let (mut periods, mut cuts, mut starts) = (Periods::default(), Cuts::default(), vec![0]);
        for round in 0..200 {
            let lengths: Vec<_> =
                (0..20).map(|_| if round % 3 == 0 { 500 + random() % 4000 } else { 2000 }).collect();
            lengths.iter().for_each(|length| starts.push(starts[starts.len() - 1] + length * 90));
            follow(&mut periods, &mut cuts, &lengths);
        }
        assert!(periods.iter().count() > 20, "it changes its mind");
        for period in periods.iter() {
            let Addressing::Counted { duration } = period.addressing else { continue };
            let end = period.end.map_or(starts.len() as u64 - 1, |(end, _)| end);
            for msn in period.first..end {
                let expected = period.start + (msn - period.first) as i64 * duration;
                assert!(
                    (starts[msn as usize] - expected).abs() <= duration / TOLERANCE,
                    "{msn} of {period:?}"
                );
            }
        }
    }
}
