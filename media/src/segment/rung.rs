//! Video that follows video: a lower rendition, late, whose keyframes are where the leader's segments begin.
//!
//! What an encoder of ours makes comes some time, however late. What the publisher itself sends comes with the leader's
//! frames or not at all, and its keyframes are where its encoder puts them: a segment of the leader that it has no
//! keyframe for, or no frames, is a gap.

use std::collections::VecDeque;
use std::time::Duration;

use super::cuts::{Cut, Cuts};
use super::{Action, Start, duration, video_sample};
use crate::frame::{CLOCK, Frame};

/// A rendition of the leader's pictures.
#[derive(Debug, Default)]
pub(crate) struct Follower {
    /// The publisher sends it.
    own: bool,
    /// The newest of the leader's segments that it had a frame of, and whether that began where its own could not.
    seen: Option<(u64, bool)>,
    /// Held back until the leader's shape is known.
    held: VecDeque<Frame>,
    state: State,
    /// Decoding time of the newest segment's first frame, and of the newest frame.
    began: i64,
    newest: i64,
}

/// What a broadcast allows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Frames further apart have others missing between them.
    pub(crate) frame: i64,
    pub(crate) segment: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Until a keyframe at the beginning of a leader's segment, of one later than `after` if that is there.
    Waiting {
        after: Option<u64>,
    },
    Running {
        msn: u64,
    },
    /// Frames are missing from this segment on; the rest is dropped until one can be begun.
    Broken {
        msn: u64,
    },
}

impl Default for State {
    fn default() -> Self {
        Self::Waiting { after: None }
    }
}

impl Follower {
    /// One that goes on from where another stopped, after segment `last`: what has a name keeps its bytes.
    pub(crate) fn after(last: Option<u64>) -> Self {
        Self { state: State::Waiting { after: last }, ..Self::default() }
    }

    /// One that the publisher sends beside the leader.
    pub(crate) fn own() -> Self {
        Self { own: true, ..Self::default() }
    }

    /// Where the leader's newest segment began, the publisher's own rendition had no keyframe.
    pub(crate) fn is_astray(&self) -> bool {
        self.seen.is_some_and(|(_, astray)| astray)
    }

    /// The newest segment that frames went into, or that the follower before had.
    pub(crate) fn last(&self) -> Option<u64> {
        match self.state {
            State::Waiting { after } => after,
            State::Running { msn } | State::Broken { msn } => Some(msn),
        }
    }

    /// Takes a frame in. When the leader does not come, the oldest are dropped.
    pub(crate) fn push(&mut self, frame: Frame) {
        if self.held.len() == MAX_HELD {
            self.held.pop_front();
        }
        self.held.push_back(frame);
    }

    /// Lets out what precedes `progress`, the time up to which `cuts` is complete.
    pub(crate) fn advance(&mut self, cuts: &Cuts, progress: i64, limits: Limits, out: &mut Vec<Action>) {
        while let Some(frame) = self.held.pop_front_if(|frame| frame.pts < progress) {
            self.frame(&frame, cuts, limits, out);
        }
        if self.own {
            self.give_up(cuts, progress, out);
        }
    }

    /// Ends the broadcast: what is still held was made of frames that the leader had.
    pub(crate) fn finish(&mut self, cuts: &Cuts, limits: Limits, out: &mut Vec<Action>) {
        self.advance(cuts, i64::MAX, limits, out);
        if !matches!(self.state, State::Waiting { .. }) {
            out.push(Action::Finish);
        }
    }

    fn frame(&mut self, frame: &Frame, cuts: &Cuts, limits: Limits, out: &mut Vec<Action>) {
        let Some(cut) = cuts.at_frame(frame.pts + TOLERANCE) else { return };
        let begins_astray = self.own && self.begins_astray(frame, cut);
        if let State::Running { msn } = self.state {
            let next = cuts.get(msn + 1);
            let jump = next.filter(|next| next.discontinuity && frame.pts + TOLERANCE >= next.previous_end);
            if jump.is_some() && cut.msn <= msn {
                // Made of frames that the leader left out.
                return;
            }
            let last = frame.dts - self.newest;
            // The segment must stay short enough even if nothing comes after this frame.
            let end = if cut.msn > msn { frame.dts } else { frame.dts + last };
            let missing = match jump {
                Some(_) => !frame.keyframe,
                None => last > limits.frame || end - self.began > limits.segment,
            };
            if missing || begins_astray || cut.msn > msn + 1 {
                out.push(Action::Break);
                self.state = State::Broken { msn };
            } else {
                if jump.is_some() {
                    out.push(Action::Finish);
                }
                let start = (cut.msn > msn).then(|| Start::at(cut, frame.pts, frame.keyframe));
                self.state = State::Running { msn: cut.msn.max(msn) };
                self.emit(frame, start, out);
                return;
            }
        }
        // Decoding can only begin at a keyframe, and a segment only where the leader's does.
        if !frame.keyframe || frame.pts - cut.pts > TOLERANCE {
            return;
        }
        if self.last().is_some_and(|last| cut.msn <= last) {
            return;
        }
        match self.state {
            State::Broken { msn } => mend(msn, cut, cuts, out),
            State::Waiting { after } if self.own => {
                gaps(after.map_or(cuts.first().unwrap_or(0), |after| after + 1), cut.msn, cuts, out);
            }
            State::Waiting { .. } | State::Running { .. } => {}
        }
        self.state = State::Running { msn: cut.msn };
        self.emit(frame, Some(Start::at(cut, frame.pts, true)), out);
    }

    /// Whether a segment of the leader's that begins with a keyframe begins with this frame, which is none.
    fn begins_astray(&mut self, frame: &Frame, cut: &Cut) -> bool {
        if self.seen.is_some_and(|(msn, _)| msn >= cut.msn) {
            return false;
        }
        let astray = cut.independent && !frame.keyframe;
        self.seen = Some((cut.msn, astray));
        astray
    }

    /// Ends the segments that the leader has ended, when what they miss will not come any more.
    fn give_up(&mut self, cuts: &Cuts, progress: i64, out: &mut Vec<Action>) {
        loop {
            let msn = match self.state {
                State::Running { msn } | State::Broken { msn } => Some(msn),
                State::Waiting { after: Some(after) } => Some(after + 1),
                State::Waiting { after: None } => cuts.first(),
            };
            let Some((msn, next)) = msn.and_then(|msn| Some((msn, cuts.get(msn + 1)?))) else { return };
            // The frames that could begin it are due a segment earlier than those that end it.
            let due = match self.state {
                State::Waiting { .. } => cuts.get(msn).map_or(next.time, |cut| cut.time),
                State::Running { .. } | State::Broken { .. } => next.time,
            };
            let is_past = self.seen.is_some_and(|(seen, _)| seen > msn);
            if !is_past && due.saturating_add(PATIENCE) > progress {
                return;
            }
            match self.state {
                State::Waiting { .. } => gaps(msn, msn + 1, cuts, out),
                State::Running { .. } | State::Broken { .. } => {
                    // Where it runs, what it has may well be all.
                    out.extend([Action::Break, Action::Incomplete { total: length(msn, cuts) }]);
                }
            }
            self.state = State::Waiting { after: Some(msn) };
        }
    }

    fn emit(&mut self, frame: &Frame, start: Option<Start>, out: &mut Vec<Action>) {
        self.newest = frame.dts;
        if start.is_some() {
            self.began = frame.dts;
        }
        out.push(Action::Frame(video_sample(frame), start));
    }
}

/// Says what is missing from the segment that broke up to `cut`.
fn mend(broken: u64, cut: &Cut, cuts: &Cuts, out: &mut Vec<Action>) {
    out.push(Action::Incomplete { total: length(broken, cuts) });
    gaps(broken + 1, cut.msn, cuts, out);
}

/// Says that the segments from `first` up to `end` are missing.
fn gaps(first: u64, end: u64, cuts: &Cuts, out: &mut Vec<Action>) {
    for missing in (first..end).filter_map(|msn| cuts.get(msn)) {
        let (start, duration) = (Start::at(missing, missing.time, true), length(missing.msn, cuts));
        out.push(Action::Gap { start, duration });
    }
}

fn length(msn: u64, cuts: &Cuts) -> Duration {
    duration(cuts.length(msn).unwrap_or(0))
}

impl Start {
    /// The beginning of a follower's segment where the leader's is `cut`.
    pub(super) fn at(cut: &Cut, time: i64, independent: bool) -> Self {
        Self {
            msn: cut.msn,
            time,
            independent,
            discontinuity: cut.discontinuity,
            discontinuities: cut.discontinuities,
        }
    }
}

/// Encoders round times to their own time base.
const TOLERANCE: i64 = CLOCK / 100;

/// By how much a publisher may send one picture's frames after another's.
const PATIENCE: i64 = CLOCK;

/// Four seconds, as long as the leader's first segment is measured, at 120 frames a second and then some.
const MAX_HELD: usize = 1024;
