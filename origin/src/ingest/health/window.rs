//! What arrived in each second of the last minute.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use nearcast_media::frame::CLOCK;

/// A ring of whole seconds, and the one that runs.
#[derive(Debug)]
pub(super) struct Window {
    began: Instant,
    /// Whole seconds, newest last.
    past: VecDeque<Second>,
    current: Second,
    /// Seconds since `began` of `current`.
    index: u64,
}

/// What arrived in one second.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Second {
    pub(super) video: Sum,
    pub(super) audio: Sum,
    /// Further video tracks.
    pub(super) further: Sum,
    /// Bytes of the largest audio frame.
    pub(super) loudest: usize,
    /// Timestamps put right, frames missing.
    pub(super) jumps: u64,
    pub(super) missing: u64,
    /// Between video frames, in milliseconds: how many, their sum and the sum of their squares.
    pub(super) steps: (f64, f64, f64),
    /// The newest media time at its end, in ticks.
    newest: Option<i64>,
}

/// Frames and their bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Sum {
    pub(super) bytes: u64,
    pub(super) frames: u64,
}

/// Some seconds together.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Span {
    /// Whole seconds that there are; fewer than asked for at the beginning.
    pub(super) seconds: u32,
    pub(super) total: Second,
    /// Seconds of media that came; `None` when nothing had come before.
    pub(super) media: Option<f64>,
}

impl Window {
    pub(super) fn new(now: Instant) -> Self {
        Self { began: now, past: VecDeque::new(), current: Second::default(), index: 0 }
    }

    /// The second that `now` is in.
    pub(super) fn at(&mut self, now: Instant) -> &mut Second {
        let index = now.saturating_duration_since(self.began).as_secs();
        // A longer pause than the window leaves nothing of it.
        let steps = index.saturating_sub(self.index).min(KEPT as u64 + 1);
        for _ in 0..steps {
            let next = Second { newest: self.current.newest, ..Second::default() };
            self.past.push_back(std::mem::replace(&mut self.current, next));
            if self.past.len() > KEPT {
                self.past.pop_front();
            }
        }
        self.index = self.index.max(index);
        &mut self.current
    }

    /// The last `count` whole seconds, `skip` seconds ago. The very first is left out: nothing says when it began.
    pub(super) fn last(&self, count: usize, skip: usize) -> Span {
        let end = self.past.len().saturating_sub(skip);
        let start = end.saturating_sub(count).max(1).min(end);
        let mut span = Span::default();
        for second in self.past.range(start..end) {
            span.seconds += 1;
            span.total.add(second);
        }
        let before = start.checked_sub(1).and_then(|before| self.past.get(before)?.newest);
        let after = end.checked_sub(1).and_then(|last| self.past.get(last)?.newest);
        span.media = before.zip(after).map(|(before, after)| (after - before) as f64 / CLOCK as f64);
        span
    }

    /// Whole seconds that have been seen, at most a minute.
    pub(super) fn len(&self) -> usize {
        self.past.len()
    }

    /// How long it has been since the window began.
    pub(super) fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.began)
    }
}

impl Second {
    /// Frames of media up to `ticks` have come.
    pub(super) fn reach(&mut self, ticks: i64) {
        self.newest = Some(self.newest.map_or(ticks, |newest| newest.max(ticks)));
    }

    /// A video frame came `ms` of media after the one before it.
    pub(super) fn step(&mut self, ms: f64) {
        let (count, sum, squares) = &mut self.steps;
        (*count, *sum, *squares) = (*count + 1.0, *sum + ms, *squares + ms * ms);
    }

    /// All tracks together.
    pub(super) fn all(&self) -> Sum {
        let mut all = self.video;
        all.add(self.audio);
        all.add(self.further);
        all
    }

    fn add(&mut self, other: &Self) {
        self.video.add(other.video);
        self.audio.add(other.audio);
        self.further.add(other.further);
        self.loudest = self.loudest.max(other.loudest);
        self.jumps += other.jumps;
        self.missing += other.missing;
        let ((a, b, c), (x, y, z)) = (self.steps, other.steps);
        self.steps = (a + x, b + y, c + z);
    }
}

impl Sum {
    pub(super) fn push(&mut self, bytes: usize) {
        self.add(Self { bytes: bytes as u64, frames: 1 });
    }

    fn add(&mut self, other: Self) {
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.frames = self.frames.saturating_add(other.frames);
    }
}

impl Span {
    /// Bits per second that arrived.
    pub(super) fn carried(&self, sum: Sum) -> u64 {
        if self.seconds == 0 { 0 } else { sum.bytes.saturating_mul(8) / u64::from(self.seconds) }
    }

    /// Bits per second of media, however fast they arrived; `None` when too little media has come to say.
    pub(super) fn sent(&self) -> Option<u64> {
        let media = self.media.filter(|media| *media > 0.5)?;
        Some((self.total.all().bytes as f64 * 8.0 / media) as u64)
    }

    /// Seconds of media in a second.
    pub(super) fn pace(&self) -> Option<f64> {
        Some(self.media? / f64::from(self.seconds.max(1)))
    }

    /// Mean and standard deviation of the time between video frames, in milliseconds.
    pub(super) fn steps(&self) -> Option<(f64, f64)> {
        let (count, sum, squares) = self.total.steps;
        if count < 10.0 {
            return None;
        }
        let mean = sum / count;
        Some((mean, (squares / count - mean * mean).max(0.0).sqrt()))
    }
}

/// Seconds.
const KEPT: usize = 60;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_is_told_when_it_is_over_and_kept_for_a_minute() {
        let began = Instant::now();
        let mut window = Window::new(began);
        for second in 0..90u64 {
            let now = began + Duration::from_secs(second);
            let current = window.at(now);
            current.video.push(1_000);
            current.reach(second as i64 * CLOCK / 2);
        }
        assert_eq!(window.len(), KEPT);
        let span = window.last(10, 0);
        assert_eq!((span.seconds, span.total.video), (10, Sum { bytes: 10_000, frames: 10 }));
        assert_eq!((span.carried(span.total.video), span.sent()), (8_000, Some(16_000)));
        assert_eq!(span.pace(), Some(0.5));
    }

    #[test]
    fn silence_counts_as_seconds_without_anything() {
        let began = Instant::now();
        let mut window = Window::new(began);
        window.at(began).video.push(8);
        let _ = window.at(began + Duration::from_secs(100_000));
        assert_eq!(window.last(10, 0).total.video, Sum::default());
        // A clock that goes back is no reason to panic.
        window.at(began).video.push(8);
        assert_eq!(window.len(), KEPT);
    }
}
