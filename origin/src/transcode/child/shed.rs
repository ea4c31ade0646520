//! Which rungs pause when the encoders cannot keep up: the least valuable first, back one by one at cuts.
//!
//! How far the child is behind is measured in media time by the origin, whose queue holds coded frames and so
//! has room for bursts; decoded pictures are too big to wait. All times are in media ticks.

use nearcast_media::frame::CLOCK;

/// Decides, picture by picture, who gets it.
#[derive(Debug)]
pub(super) struct Shedder {
    /// Best first.
    rungs: Vec<Rung>,
    started: bool,
    /// Since when the child has been late, and how late it was then.
    late: Option<(i64, i64)>,
    /// The rung that returned last, and when.
    returned: Option<(usize, i64)>,
    admitted: Vec<bool>,
}

#[derive(Debug, Clone)]
struct Rung {
    /// Somebody watches it.
    wanted: bool,
    active: bool,
    /// Cuts to wait before it may return.
    wait: u32,
    /// What `wait` is next time.
    penalty: u32,
}

impl Shedder {
    /// For rungs, best first, of which some are `wanted`. Those start at the first cut.
    pub(super) fn new(wanted: impl IntoIterator<Item = bool>) -> Self {
        let rung = |wanted| Rung { wanted, active: false, wait: 0, penalty: 1 };
        let rungs: Vec<_> = wanted.into_iter().map(rung).collect();
        Self { started: false, late: None, returned: None, admitted: vec![false; rungs.len()], rungs }
    }

    /// Nobody watches rung number `index` any more.
    pub(super) fn stop(&mut self, index: usize) {
        if let Some(rung) = self.rungs.get_mut(index) {
            (rung.wanted, rung.active) = (false, false);
        }
    }

    /// Takes a picture's time, how far `behind` the newest frame it is, and whether a group of pictures may
    /// start with it; answers which rungs get it.
    pub(super) fn admit(&mut self, pts: i64, behind: i64, cut: bool) -> &[bool] {
        if cut {
            self.at_cut(pts, behind);
        }
        if behind <= LATE {
            self.late = None;
        } else {
            match self.late {
                None => self.late = Some((pts, behind)),
                Some((since, was)) if pts - since >= PATIENCE => {
                    // Whoever catches up, such as at the start, is left alone.
                    if behind + PATIENCE / 10 >= was {
                        self.shed(pts);
                    }
                    self.late = Some((pts, behind));
                }
                Some(_) => {}
            }
        }
        for (admitted, rung) in self.admitted.iter_mut().zip(&self.rungs) {
            *admitted = rung.active;
        }
        &self.admitted
    }

    fn at_cut(&mut self, pts: i64, behind: i64) {
        if !std::mem::replace(&mut self.started, true) {
            self.rungs.iter_mut().for_each(|rung| rung.active = rung.wanted);
            return;
        }
        for rung in &mut self.rungs {
            rung.wait = rung.wait.saturating_sub(1);
        }
        if behind > CALM {
            return;
        }
        if let Some(index) = self.rungs.iter().position(|rung| rung.wanted && !rung.active && rung.wait == 0)
        {
            self.rungs[index].active = true;
            self.returned = Some((index, pts));
        }
    }

    /// Pauses the rung that has just returned, for all was well without it, or else the least valuable.
    fn shed(&mut self, pts: i64) {
        let suspect = self.returned.take().filter(|(_, at)| pts - at < PROBATION).map(|(index, _)| index);
        let last = self.rungs.iter().rposition(|rung| rung.active);
        let Some(index) = suspect.filter(|index| self.rungs[*index].active).or(last) else { return };
        let rung = &mut self.rungs[index];
        rung.active = false;
        rung.penalty = if suspect == Some(index) { (rung.penalty * 2).min(LONGEST_WAIT) } else { 1 };
        rung.wait = rung.penalty;
    }
}

/// Behind by more than this, viewers of live renditions begin to starve.
const LATE: i64 = CLOCK;

/// Behind by no more than this, there is room for another rung.
const CALM: i64 = CLOCK / 4;

/// Between two decisions, so that the first can show.
const PATIENCE: i64 = CLOCK / 2;

/// A rung that has been back for longer is not to blame.
const PROBATION: i64 = 10 * CLOCK;

/// In cuts: about a minute.
const LONGEST_WAIT: u32 = 32;

#[cfg(test)]
mod tests {
    use super::*;

    /// A second of pictures, 30 of them, the first at a cut, all equally far behind.
    fn second(shedder: &mut Shedder, at: i64, behind: i64) -> Vec<bool> {
        for n in 0..30 {
            shedder.admit(at * CLOCK + n * CLOCK / 30, behind, n == 0);
        }
        shedder.admitted.clone()
    }

    #[test]
    fn nobody_starts_before_a_cut_and_all_start_at_it() {
        let mut shedder = Shedder::new([true; 2]);
        assert_eq!(shedder.admit(0, 0, false), [false, false]);
        assert_eq!(shedder.admit(3_000, 0, true), [true, true]);
        assert_eq!(shedder.admit(6_000, 0, false), [true, true]);
    }

    #[test]
    fn the_least_valuable_goes_first() {
        let mut shedder = Shedder::new([true; 3]);
        assert_eq!(second(&mut shedder, 0, 0), [true, true, true]);
        assert_eq!(second(&mut shedder, 1, 2 * CLOCK), [true, true, false]);
        assert_eq!(second(&mut shedder, 2, 2 * CLOCK), [false, false, false]);
    }

    #[test]
    fn a_rung_that_nobody_watches_neither_runs_nor_is_shed() {
        let mut shedder = Shedder::new([true, false, true, true]);
        assert_eq!(second(&mut shedder, 0, 0), [true, false, true, true]);
        shedder.stop(3);
        assert_eq!(second(&mut shedder, 1, 0), [true, false, true, false]);
        assert_eq!(second(&mut shedder, 2, 2 * CLOCK), [true, false, false, false]);
        assert_eq!(second(&mut shedder, 4, 0), [true, false, true, false]);
    }

    #[test]
    fn a_burst_that_is_worked_off_costs_nobody_anything() {
        let mut shedder = Shedder::new([true; 2]);
        for n in 0..120 {
            let behind = 3 * CLOCK - n * 2_000;
            assert_eq!(shedder.admit(n * 3_000, behind, n % 30 == 0), [true, true], "{n}");
        }
    }

    #[test]
    fn rungs_return_one_per_cut_the_best_first() {
        let mut shedder = Shedder::new([true; 3]);
        second(&mut shedder, 0, 0);
        second(&mut shedder, 1, 2 * CLOCK);
        assert_eq!(second(&mut shedder, 2, 2 * CLOCK), [false, false, false]);
        assert_eq!(second(&mut shedder, 3, CLOCK / 2), [false, false, false], "not calm yet");
        assert_eq!(second(&mut shedder, 4, 0), [true, false, false]);
        assert_eq!(second(&mut shedder, 5, 0), [true, true, false]);
        assert_eq!(second(&mut shedder, 6, 0), [true, true, true]);
    }

    #[test]
    fn a_rung_that_is_too_much_is_tried_less_and_less_and_costs_the_others_nothing() {
        let mut shedder = Shedder::new([true; 3]);
        second(&mut shedder, 0, 0);
        second(&mut shedder, 1, 2 * CLOCK);
        // From here on the machine can do two rungs, but not the best one.
        let (mut tried, mut both) = (0, 0);
        for at in 2..200 {
            let overload = shedder.rungs[0].active;
            let active = second(&mut shedder, at, if overload { 2 * CLOCK } else { 0 });
            tried += usize::from(overload || active[0]);
            both += usize::from(active[1] && active[2]);
        }
        assert!(tried < 25 && both > 170, "{tried} {both}");
    }
}
