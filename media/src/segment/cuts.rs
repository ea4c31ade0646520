//! Where the leader began its segments, for those who follow it.

use std::collections::VecDeque;

/// The beginning of a segment of the leader. Times in [`crate::frame::CLOCK`] ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cut {
    pub(crate) msn: u64,
    /// When the segment begins. Audio begins its own with the first frame from here on.
    pub(crate) time: i64,
    /// Presentation time of the leader's first frame: later than `time` only where a forced cut falls on a
    /// frame that is shown after some that follow it. Rungs begin with the frame of this time.
    pub(crate) pts: i64,
    /// When the segment before ended: `time`, but for a discontinuity.
    pub(crate) previous_end: i64,
    pub(crate) discontinuity: bool,
    /// The leader's first frame is a keyframe.
    pub(crate) independent: bool,
    /// Discontinuities of the broadcast up to and including this one.
    pub(crate) discontinuities: u64,
}

/// The newest cuts, oldest first, without holes.
#[derive(Debug, Default)]
pub(crate) struct Cuts(VecDeque<Cut>);

impl Cuts {
    pub(crate) fn push(&mut self, cut: Cut) {
        if self.0.len() == CAPACITY {
            self.0.pop_front();
        }
        self.0.push_back(cut);
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    pub(crate) fn get(&self, msn: u64) -> Option<&Cut> {
        let index = msn.checked_sub(self.0.front()?.msn)?;
        self.0.get(usize::try_from(index).ok()?)
    }

    /// The number of the oldest.
    pub(crate) fn first(&self) -> Option<u64> {
        Some(self.0.front()?.msn)
    }

    /// The segment that `time` lies in, by [`Cut::time`]; none where the leader was away.
    pub(crate) fn covering(&self, time: i64) -> Option<&Cut> {
        let cut = self.0.iter().rev().find(|cut| cut.time <= time)?;
        let ended = self.get(cut.msn + 1).is_some_and(|next| next.previous_end <= time);
        (!ended).then_some(cut)
    }

    /// The segment that a frame presented at `pts` lies in, by [`Cut::pts`].
    pub(crate) fn at_frame(&self, pts: i64) -> Option<&Cut> {
        self.0.iter().rev().find(|cut| cut.pts <= pts)
    }

    /// How long the leader's segment is, once it has ended.
    pub(crate) fn length(&self, msn: u64) -> Option<i64> {
        let next = self.get(msn.checked_add(1)?)?;
        Some(next.previous_end - self.get(msn)?.time)
    }
}

/// A rung that lags further behind than this many segments starts anew.
const CAPACITY: usize = 128;
