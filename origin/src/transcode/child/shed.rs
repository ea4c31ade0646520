//! Which rungs go without a frame when the encoders cannot keep up: the least valuable first, back at a cut.

/// Decides, frame by frame, who gets it. Queues are counted in frames.
#[derive(Debug)]
pub(super) struct Shedder {
    /// Frames a queue holds.
    capacity: usize,
    /// Rungs that take frames now, best first.
    active: Vec<bool>,
    /// Frames to wait before the next rung is shed, so that the last one's absence can show.
    patience: usize,
    started: bool,
}

impl Shedder {
    /// `rungs` queues of `capacity` frames each, best rung first. Each starts at its first cut.
    pub(super) fn new(rungs: usize, capacity: usize) -> Self {
        Self { capacity, active: vec![false; rungs], patience: 0, started: false }
    }

    /// Takes how many frames wait for each rung and whether a group of pictures may start here, and
    /// answers which rungs take this frame.
    pub(super) fn admit(&mut self, waiting: &[usize], cut: bool) -> &[bool] {
        if cut {
            self.resume(waiting);
        }
        self.patience = self.patience.saturating_sub(1);
        for (active, waiting) in self.active.iter_mut().zip(waiting) {
            if *waiting >= self.capacity {
                *active = false;
            }
        }
        let deepest = self.deepest(waiting);
        let many = self.active.iter().filter(|active| **active).count() > 1;
        if many && self.patience == 0 && deepest >= self.capacity * 3 / 4 {
            if let Some(last) = self.active.iter().rposition(|active| *active) {
                self.active[last] = false;
            }
            self.patience = self.capacity / 8;
        }
        &self.active
    }

    /// All rungs start at the first cut; later they return one per cut, best first, so that the load that
    /// drove them out does not come back at once.
    fn resume(&mut self, waiting: &[usize]) {
        if self.deepest(waiting) > self.capacity / 4 {
            return;
        }
        let away = self.active.iter_mut().zip(waiting).filter(|(active, _)| !**active);
        let fit = away.filter(|(_, waiting)| **waiting <= self.capacity / 4);
        let most = if self.started { 1 } else { usize::MAX };
        fit.take(most).for_each(|(active, _)| *active = true);
        self.started = true;
    }

    fn deepest(&self, waiting: &[usize]) -> usize {
        let pairs = self.active.iter().zip(waiting);
        pairs.filter(|(active, _)| **active).map(|(_, waiting)| *waiting).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_starts_before_a_cut_and_all_start_at_it() {
        let mut shedder = Shedder::new(2, 16);
        assert_eq!(shedder.admit(&[0, 0], false), [false, false]);
        assert_eq!(shedder.admit(&[0, 0], true), [true, true]);
        assert_eq!(shedder.admit(&[9, 3], false), [true, true]);
    }

    #[test]
    fn the_least_valuable_goes_first_and_the_best_only_when_its_queue_is_full() {
        let mut shedder = Shedder::new(3, 16);
        shedder.admit(&[0, 0, 0], true);
        assert_eq!(shedder.admit(&[12, 1, 1], false), [true, true, false]);
        assert_eq!(shedder.admit(&[12, 1, 0], false), [true, true, false], "the first loss may show yet");
        assert_eq!(shedder.admit(&[13, 1, 0], false), [true, false, false]);
        for waiting in 14..16 {
            assert_eq!(shedder.admit(&[waiting, 0, 0], false), [true, false, false]);
        }
        assert_eq!(shedder.admit(&[16, 0, 0], false), [false, false, false]);
    }

    #[test]
    fn a_rung_returns_at_a_cut_once_the_queues_are_short() {
        let mut shedder = Shedder::new(2, 16);
        shedder.admit(&[0, 0], true);
        shedder.admit(&[12, 4], false);
        assert_eq!(shedder.admit(&[2, 0], false), [true, false]);
        assert_eq!(shedder.admit(&[9, 0], true), [true, false], "still behind");
        assert_eq!(shedder.admit(&[3, 0], true), [true, true]);
    }

    #[test]
    fn rungs_return_one_per_cut_the_best_first() {
        let mut shedder = Shedder::new(3, 8);
        shedder.admit(&[0, 0, 0], true);
        shedder.admit(&[8, 8, 8], false);
        assert_eq!(shedder.admit(&[0, 0, 0], true), [true, false, false]);
        assert_eq!(shedder.admit(&[0, 0, 0], false), [true, false, false]);
        assert_eq!(shedder.admit(&[0, 0, 0], true), [true, true, false]);
    }

    #[test]
    fn a_full_queue_never_gets_more() {
        let mut shedder = Shedder::new(2, 8);
        shedder.admit(&[0, 0], true);
        for cut in [false, true, false, true] {
            assert!(!shedder.admit(&[8, 8], cut).contains(&true));
        }
    }
}
