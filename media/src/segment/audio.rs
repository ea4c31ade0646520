//! Audio that follows video: on its own sample clock without holes, in segments that begin where the leader's do.

use std::collections::VecDeque;

use bytes::Bytes;

use super::cuts::{Cut, Cuts};
use super::{Action, LEAD, Start, duration, silence};
use crate::fmp4::Sample;
use crate::frame::{CLOCK, Config, Frame};

/// Where audio frames stand on the sample clock.
#[derive(Debug)]
pub(crate) struct Clock {
    config: Config,
    rate: i64,
    silence: Bytes,
    /// Samples of a silent frame.
    silent: i64,
    /// The sample that comes next.
    next: Option<i64>,
}

/// Audio behind a leader.
#[derive(Debug)]
pub(crate) struct Follower {
    clock: Clock,
    /// Clocks of other sampling rates, and the discontinuities from which on they count.
    next: VecDeque<(u64, Clock)>,
    /// Held back until it is known which segment they belong to.
    held: VecDeque<Frame>,
    /// The newest segment.
    msn: Option<u64>,
    /// For the next frame.
    start: Option<Start>,
}

impl Clock {
    pub(crate) fn new(config: &Config) -> Self {
        let rate = config.sound().map_or(1, |sound| i64::from(sound.sample_rate.max(1)));
        let (silence, silent) = silence::of(config);
        Self { config: config.clone(), rate, silence, silent: i64::from(silent.max(1)), next: None }
    }

    /// Puts a leader's frame on the clock. Small holes are filled with silence, late frames are dropped; where
    /// more is missing, time jumps.
    pub(crate) fn lead(&mut self, frame: &Frame) -> Vec<(Frame, Sample)> {
        let at = self.samples(frame.pts);
        if self.next.is_none_or(|next| at - next > self.rate * LEAST_JUMP / CLOCK) {
            self.next = Some(at);
        }
        self.place(at, frame.data.clone())
            .into_iter()
            .map(|sample| {
                let time = self.time(sample.dts);
                (Frame { dts: time, pts: time, keyframe: true, data: sample.data.clone() }, sample)
            })
            .collect()
    }

    /// A frame's data at `at`, preceded by silence where there is a hole, or nothing where time went back.
    fn place(&mut self, at: i64, data: Bytes) -> Vec<Sample> {
        let drift = at - self.next.unwrap_or(at);
        let tolerated = self.rate * DRIFT / CLOCK;
        if drift < -tolerated {
            return Vec::new();
        }
        let missing = if drift > tolerated { drift / self.silent } else { 0 };
        let mut samples: Vec<_> = (0..missing).map(|_| self.take(None)).collect();
        samples.push(self.take(Some(data)));
        samples
    }

    /// The next frame: silent without data.
    fn take(&mut self, data: Option<Bytes>) -> Sample {
        let dts = self.next.unwrap_or(0);
        let (length, data) = match data {
            Some(data) => (i64::from(self.config.samples(&data)), data),
            None => (self.silent, self.silence.clone()),
        };
        self.next = Some(dts + length);
        Sample { dts, composition_offset: 0, keyframe: true, data }
    }

    fn samples(&self, time: i64) -> i64 {
        scale(time, self.rate, CLOCK) + LEAD * self.rate
    }

    fn time(&self, samples: i64) -> i64 {
        scale(samples - LEAD * self.rate, CLOCK, self.rate)
    }
}

impl Follower {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            clock: Clock::new(config),
            next: VecDeque::new(),
            held: VecDeque::new(),
            msn: None,
            start: None,
        }
    }

    /// From this discontinuity of the broadcast on, frames are of another configuration.
    pub(crate) fn renew(&mut self, discontinuities: u64, config: &Config) {
        self.next.push_back((discontinuities, Clock::new(config)));
    }

    /// Takes a frame in. When the leader does not come, the oldest are dropped.
    pub(crate) fn push(&mut self, frame: Frame) {
        if self.held.len() == MAX_HELD {
            self.held.pop_front();
        }
        self.held.push_back(frame);
    }

    /// Lets out what precedes `progress`, the time up to which `cuts` is complete, and silence for what should
    /// have come long ago.
    pub(crate) fn advance(&mut self, cuts: &Cuts, progress: i64, out: &mut Vec<Action>) {
        while let Some(frame) = self.held.pop_front_if(|frame| frame.pts < progress) {
            self.frame(&frame, cuts, out);
        }
        if self.msn.is_some() {
            self.fill(progress - PATIENCE, cuts, out);
        }
    }

    /// Ends the broadcast at `end`.
    pub(crate) fn finish(&mut self, cuts: &Cuts, end: i64, out: &mut Vec<Action>) {
        self.advance(cuts, end, out);
        if self.msn.is_some() {
            self.fill(end, cuts, out);
            out.push(Action::Finish);
        }
    }

    fn frame(&mut self, frame: &Frame, cuts: &Cuts, out: &mut Vec<Action>) {
        // Before the first segment, and where the leader was away, there is nothing to hear.
        let Some(cut) = cuts.covering(frame.pts) else { return };
        let next = self.msn.and_then(|msn| cuts.get(msn + 1)).filter(|next| next.msn <= cut.msn);
        match next {
            None if self.msn.is_none() => self.begin(cut, frame.pts, cuts, out),
            Some(next) if next.discontinuity || next.msn < cut.msn => {
                self.fill(cut.time - 1, cuts, out);
                if cut.discontinuity {
                    self.end(cut.previous_end, cuts, out);
                    self.begin(cut, frame.pts, cuts, out);
                }
            }
            _ => {}
        }
        let at = self.clock.samples(frame.pts);
        for sample in self.clock.place(at, frame.data.clone()) {
            self.emit(sample, cuts, out);
        }
    }

    /// Silence until `limit`, segment by segment.
    fn fill(&mut self, limit: i64, cuts: &Cuts, out: &mut Vec<Action>) {
        while let Some(msn) = self.msn {
            match cuts.get(msn + 1) {
                Some(next) if next.discontinuity && next.time <= limit => {
                    self.end(next.previous_end, cuts, out);
                    self.begin(next, next.time, cuts, out);
                }
                Some(next) if next.discontinuity => {
                    return self.silence(limit.min(next.previous_end), cuts, out);
                }
                Some(next) if next.time <= limit => {
                    while self.msn == Some(msn) {
                        let sample = self.clock.take(None);
                        self.emit(sample, cuts, out);
                    }
                }
                _ => return self.silence(limit, cuts, out),
            }
        }
    }

    /// Silence up to `limit`, give or take half a silent frame.
    fn silence(&mut self, limit: i64, cuts: &Cuts, out: &mut Vec<Action>) {
        let limit = self.clock.samples(limit) - self.clock.silent / 2;
        while self.clock.next.is_some_and(|next| next < limit) {
            let sample = self.clock.take(None);
            self.emit(sample, cuts, out);
        }
    }

    /// Ends the segment where the leader's ended.
    fn end(&mut self, end: i64, cuts: &Cuts, out: &mut Vec<Action>) {
        self.silence(end, cuts, out);
        out.push(Action::Finish);
    }

    /// Starts the clock inside the segment of `cut`, so that a frame falls on `time`.
    fn begin(&mut self, cut: &Cut, time: i64, cuts: &Cuts, out: &mut Vec<Action>) {
        self.skip(cuts, out);
        while let Some((_, clock)) = self.next.pop_front_if(|(from, _)| *from <= cut.discontinuities) {
            self.clock = clock;
        }
        let (first, at) = (self.clock.samples(cut.time), self.clock.samples(time));
        let next = at - (at - first).max(0) / self.clock.silent * self.clock.silent;
        self.clock.next = Some(next);
        self.msn = Some(cut.msn);
        self.start = Some(Start::at(cut, self.clock.time(next), true));
    }

    /// A segment that ended before it had a frame was shorter than one.
    fn skip(&mut self, cuts: &Cuts, out: &mut Vec<Action>) {
        if let Some(start) = self.start.take() {
            let length = cuts.length(start.msn).unwrap_or(0);
            out.push(Action::Gap { start, duration: duration(length) });
        }
    }

    fn emit(&mut self, sample: Sample, cuts: &Cuts, out: &mut Vec<Action>) {
        let time = self.clock.time(sample.dts);
        let next = self.msn.and_then(|msn| cuts.get(msn + 1));
        if let Some(cut) = next.filter(|cut| !cut.discontinuity && cut.time <= time) {
            self.skip(cuts, out);
            self.msn = Some(cut.msn);
            self.start = Some(Start::at(cut, time, true));
        }
        out.push(Action::Frame(sample, self.start.take()));
    }
}

/// Rounded to the nearest.
fn scale(value: i64, to: i64, from: i64) -> i64 {
    let scaled = (i128::from(value) * i128::from(to) + i128::from(from / 2)).div_euclid(i128::from(from));
    i64::try_from(scaled).unwrap_or(i64::MAX)
}

/// Publishers' clocks count in milliseconds and jitter: less than this is not a hole. Further apart, sound and
/// picture would be seen to differ.
const DRIFT: i64 = CLOCK * 40 / 1000;

/// A hole in leading audio that is no longer filled.
const LEAST_JUMP: i64 = CLOCK * 4 / 10;

/// How far behind the leader a frame may come: encoders interleave to within some hundred milliseconds.
const PATIENCE: i64 = CLOCK;

/// Ten seconds of the shortest frames, 2.5 ms of Opus: longer than the leader's first segment is measured.
const MAX_HELD: usize = 4096;
