//! Decides where segments begin: at keyframes when they come in time, at any frame when they do not.

use std::time::Duration;

use super::cuts::{Cut, Cuts};
use super::{Action, Start, duration, fit, ticks};
use crate::fmp4::Sample;
use crate::frame::{CLOCK, Frame};

/// The leading rendition's segmentation. All times in [`CLOCK`] ticks.
#[derive(Debug)]
pub(crate) struct Leader {
    rules: Rules,
    state: State,
    shape: Option<Shape>,
    cuts: Cuts,
    next_msn: u64,
    discontinuities: u64,
    /// Decoding time at which the newest segment began.
    began: i64,
    /// Decoding time and duration, as far as known, of the newest frame.
    newest: i64,
    frame_duration: i64,
    /// The longest frame so far.
    longest_frame: i64,
    /// How much later than decoded the first keyframe since the last discontinuity is shown.
    reorder_delay: i64,
}

/// What the operator wants of segments.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    /// Segments end at the first keyframe after this long.
    pub(crate) segment: Duration,
    pub(crate) part: Duration,
    /// The first keyframe interval decides the target duration, if it is no longer than this.
    pub(crate) longest_gop: Duration,
}

/// What the first segment decides for all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shape {
    /// EXT-X-TARGETDURATION, in seconds.
    pub(crate) target_duration: u32,
    /// PART-TARGET of the leader.
    pub(crate) part_target: Duration,
    /// Average duration of the leader's frames.
    pub(crate) frame: Duration,
}

#[derive(Debug)]
enum State {
    /// Until the next keyframe, whose segment is the first or follows a discontinuity.
    Waiting,
    /// The first segment, held until its end decides the [`Shape`].
    Measuring {
        held: Vec<Action>,
    },
    Running,
    /// The publisher's time jumped: until a keyframe. Holds the end of what there is.
    Interrupted {
        end: i64,
    },
}

impl Leader {
    pub(crate) fn new(rules: Rules) -> Self {
        Self {
            rules,
            state: State::Waiting,
            shape: None,
            cuts: Cuts::default(),
            next_msn: 0,
            discontinuities: 0,
            began: 0,
            newest: 0,
            frame_duration: 0,
            longest_frame: 0,
            reorder_delay: 0,
        }
    }

    /// One that goes on where another one's frames ended, with segment `msn`, at a discontinuity.
    pub(crate) fn resume(rules: Rules, shape: Shape, msn: u64, discontinuities: u64, end: i64) -> Self {
        let state = State::Interrupted { end };
        Self { state, shape: Some(shape), next_msn: msn, discontinuities, newest: end, ..Self::new(rules) }
    }

    /// Takes the next frame, as `frame` for its times and `sample` for the track. Returns whether a segment
    /// begins with it.
    pub(crate) fn push(&mut self, frame: &Frame, sample: Sample, out: &mut Vec<Action>) -> bool {
        let since_newest = frame.dts - self.newest;
        if since_newest > self.frame_limit() || frame.dts - self.began > self.segment_limit() + MARGIN {
            self.interrupt(out);
        }
        let begins = match &self.state {
            State::Waiting | State::Interrupted { .. } if !frame.keyframe => return false,
            State::Waiting | State::Interrupted { .. } => true,
            State::Measuring { .. } | State::Running => {
                self.frame_duration = since_newest;
                self.longest_frame = self.longest_frame.max(since_newest);
                self.is_cut(frame)
            }
        };
        let start = begins.then(|| self.begin(frame, out));
        self.newest = frame.dts;
        match &mut self.state {
            State::Measuring { held } => held.push(Action::Frame(sample, start)),
            State::Waiting | State::Running | State::Interrupted { .. } => {
                out.push(Action::Frame(sample, start));
            }
        }
        begins
    }

    /// What comes next is another sequence of frames: ends the segment, and waits for a keyframe. Returns the
    /// discontinuities of the broadcast up to and including the one that is coming; none while nothing has come
    /// out.
    pub(crate) fn splice(&mut self, out: &mut Vec<Action>) -> Option<u64> {
        self.interrupt(out);
        matches!(self.state, State::Interrupted { .. }).then_some(self.discontinuities + 1)
    }

    /// Discontinuities up to and including the coming one, or the newest where none is coming.
    pub(crate) fn discontinuity(&self) -> Option<u64> {
        match self.state {
            State::Waiting | State::Measuring { .. } => None,
            State::Running => Some(self.discontinuities),
            State::Interrupted { .. } => Some(self.discontinuities + 1),
        }
    }

    /// Ends the broadcast: what is held comes out, and the last segment ends.
    pub(crate) fn finish(&mut self, out: &mut Vec<Action>) {
        if let State::Measuring { .. } = self.state {
            self.settle(self.newest + self.frame_duration - self.began, out);
        }
        if let State::Running = self.state {
            self.interrupt(out);
        }
    }

    /// Up to here, exclusively, it is known where segments begin. `None` until the shape is.
    pub(crate) fn progress(&self) -> Option<i64> {
        match self.state {
            State::Waiting | State::Measuring { .. } => None,
            State::Running => Some(self.present() + 1),
            State::Interrupted { end } => Some(end),
        }
    }

    /// The newest frame's time in the presentation.
    pub(crate) fn newest(&self) -> i64 {
        self.present()
    }

    /// When the newest frame ends in the presentation.
    pub(crate) fn end(&self) -> i64 {
        match self.state {
            State::Interrupted { end } => end,
            _ => self.present() + self.frame_duration,
        }
    }

    /// Discontinuities so far.
    pub(crate) fn discontinuities(&self) -> u64 {
        self.discontinuities
    }

    /// The media sequence number of the segment that comes after the one being made.
    pub(crate) fn next_msn(&self) -> u64 {
        self.next_msn
    }

    pub(crate) fn cuts(&self) -> &Cuts {
        &self.cuts
    }

    pub(crate) fn shape(&self) -> Option<Shape> {
        self.shape
    }

    fn is_cut(&self, frame: &Frame) -> bool {
        let elapsed = frame.dts - self.began;
        // A frame of slack: two seconds of 29.97 Hz are 59.94 frames.
        let keyframe_in_time = frame.keyframe && elapsed + self.frame_duration >= ticks(self.rules.segment);
        keyframe_in_time || elapsed + self.longest_frame > self.segment_limit()
    }

    fn begin(&mut self, frame: &Frame, out: &mut Vec<Action>) -> Start {
        match self.state {
            State::Waiting => self.reorder_delay = frame.pts - frame.dts,
            // Time never goes back, though frames may be reordered less than before.
            State::Interrupted { end } => self.reorder_delay = frame.pts.max(end) - frame.dts,
            State::Measuring { .. } | State::Running => {}
        }
        let time = frame.dts + self.reorder_delay;
        let (discontinuity, previous_end) = match self.state {
            State::Waiting => {
                self.state = State::Measuring { held: Vec::new() };
                (false, time)
            }
            State::Measuring { .. } => {
                self.settle(frame.dts - self.began, out);
                (false, time)
            }
            State::Running => (false, time),
            State::Interrupted { end } => {
                self.state = State::Running;
                self.discontinuities += 1;
                // What was sent slowly says nothing of what comes now.
                self.longest_frame = 0;
                (true, end)
            }
        };
        let (msn, discontinuities) = (self.next_msn, self.discontinuities);
        let (pts, independent) = (frame.pts, frame.keyframe);
        self.cuts.push(Cut { msn, time, pts, previous_end, discontinuity, independent, discontinuities });
        self.next_msn += 1;
        self.began = frame.dts;
        Start { msn, time, independent: frame.keyframe, discontinuity, discontinuities }
    }

    /// The first segment lasted `length`: decides the shape and lets the held frames go.
    fn settle(&mut self, length: i64, out: &mut Vec<Action>) {
        let State::Measuring { held } = std::mem::replace(&mut self.state, State::Running) else {
            return;
        };
        let frames = i64::try_from(held.len()).unwrap_or(i64::MAX).max(1);
        let frame = duration(length / frames);
        let wanted = ticks(self.rules.segment);
        // Intervals like the first one, and what is wanted, are to stay below the segment limit.
        let fits = (length + self.longest_frame - ROUNDING).max(wanted);
        let target_duration = (fits + CLOCK - 1) / CLOCK;
        self.shape = Some(Shape {
            target_duration: u32::try_from(target_duration).unwrap_or(u32::MAX),
            part_target: fit::part_target(self.rules.part, frame, duration(self.longest_frame)),
            frame,
        });
        out.extend(held);
    }

    /// Time jumped after the newest frame. Before there is anything to see, begins anew.
    fn interrupt(&mut self, out: &mut Vec<Action>) {
        match self.state {
            State::Waiting | State::Interrupted { .. } => {}
            State::Measuring { .. } => {
                self.state = State::Waiting;
                self.cuts.clear();
                self.next_msn = 0;
            }
            State::Running => {
                out.push(Action::Finish);
                self.state = State::Interrupted { end: self.present() + self.frame_duration };
            }
        }
    }

    /// The newest frame's place in the presentation, were frames not reordered.
    fn present(&self) -> i64 {
        self.newest + self.reorder_delay
    }

    /// A frame that lasts longer than a part may cannot be told from a publisher that was away.
    fn frame_limit(&self) -> i64 {
        self.shape.map_or(LONGEST_FRAME, |shape| ticks(shape.part_target))
    }

    /// No segment is cut later than this.
    fn segment_limit(&self) -> i64 {
        match self.shape {
            None => ticks(self.rules.longest_gop),
            Some(shape) => i64::from(shape.target_duration) * CLOCK + ROUNDING,
        }
    }
}

/// EXTINF is rounded before it is compared with EXT-X-TARGETDURATION, so it may exceed it by less than half a
/// second, of which an audio frame of 128 ms more is a part.
const ROUNDING: i64 = CLOCK * 35 / 100;

/// How much a frame longer than any before it may add.
const MARGIN: i64 = CLOCK / 100;

/// Until the frame rate is known: slower than this is no video.
const LONGEST_FRAME: i64 = 2 * CLOCK;
