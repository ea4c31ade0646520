//! A broadcast that outlives its origin: where it stands, and how another origin goes on with it.

use std::time::Duration;

use super::rendition::Rendition;
use super::{Broadcast, Settings, Spec};
use crate::dash::periods::Periods;
use crate::segment::leader::{Leader, Shape};

/// What another origin must know to go on with a broadcast so that no name means other bytes and no time goes back.
/// Times in [`crate::frame::CLOCK`] ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// When the frames' time was 0, in milliseconds since the Unix epoch.
    pub started_at: u64,
    /// When the first segment of all began: DASH counts from there.
    pub epoch: i64,
    /// When the newest frame of the leader ends.
    pub end: i64,
    /// Media sequence number of the newest segment, whole or not.
    pub msn: u64,
    /// Discontinuities so far.
    pub discontinuities: u64,
    /// Messages in the media so far. What they said is listed no longer: date ranges do not go on.
    pub announced: u32,
    /// The greatest version of any init segment.
    pub init: u32,
    /// EXT-X-TARGETDURATION in seconds.
    pub target_duration: u32,
    /// PART-TARGET of the leader.
    pub part_target: Duration,
    /// Average duration of the leader's frames.
    pub frame: Duration,
}

impl Broadcast {
    /// Where it stands. `None` until its first segment is whole.
    pub fn position(&self) -> Option<Position> {
        let Shape { target_duration, part_target, frame } = self.leader.shape()?;
        Some(Position {
            started_at: self.started_at,
            epoch: self.periods.epoch()?,
            end: self.leader.end(),
            msn: self.leader.next_msn().checked_sub(1)?,
            discontinuities: self.leader.discontinuities(),
            announced: self.announced,
            init: self.renditions.iter().map(Rendition::version).max().unwrap_or(0),
            target_duration,
            part_target,
            frame,
        })
    }

    /// The broadcast `id` as it goes on after `at`, with the next keyframe, as the segment after that one: a
    /// discontinuity, with init segments of their own.
    pub fn resume(id: impl Into<String>, settings: Settings, leader: Spec, at: &Position) -> Self {
        let first_init = at.init.saturating_add(1);
        let mut broadcast = Self::beginning(id.into(), at.started_at, settings, leader, first_init);
        let Position { target_duration, part_target, frame, .. } = *at;
        let shape = Shape { target_duration, part_target, frame };
        let (msn, rules) = (at.msn.saturating_add(1), broadcast.settings.rules());
        broadcast.leader = Leader::resume(rules, shape, msn, at.discontinuities, at.end);
        broadcast.announced = at.announced;
        broadcast.periods = Periods::resume(msn, at.epoch);
        broadcast
    }
}
