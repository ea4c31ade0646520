//! The newest source frames, from a place where a decoder can begin: what a new child is given first.
//!
//! A child that replaces a dead one has everything that one had not finished, and a rung that somebody has just
//! asked for has whole segments to show at once.

use std::collections::VecDeque;

use nearcast_media::Frame;
use nearcast_media::frame::CLOCK;

/// Frames in decoding order without a hole, the first a keyframe that begins a segment.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    frames: VecDeque<(Frame, bool)>,
    bytes: usize,
}

impl Backlog {
    /// Adds the frame that follows the newest; `cut` says that a segment begins with it. Frames before the first
    /// place to begin are no use to anybody. Lets go of what is no longer needed: whole segments, the oldest first.
    pub(super) fn push(&mut self, frame: Frame, cut: bool) {
        if self.frames.is_empty() && !(cut && frame.keyframe) {
            return;
        }
        self.bytes += frame.data.len();
        self.frames.push_back((frame, cut));
        while self.bytes > MAX_BYTES || self.frames.len() > MAX_FRAMES || self.is_long() {
            self.drop_first();
        }
    }

    /// Forgets all: what comes next does not follow.
    pub(super) fn clear(&mut self) {
        self.frames.clear();
        self.bytes = 0;
    }

    /// Presentation time of the first frame.
    pub(super) fn start(&self) -> Option<i64> {
        self.frames.front().map(|(frame, _)| frame.pts)
    }

    /// Oldest first, each with whether a segment begins with it.
    pub(super) fn iter(&self) -> impl Iterator<Item = &(Frame, bool)> {
        self.frames.iter()
    }

    /// Whether what is left without the first segment is still enough.
    fn is_long(&self) -> bool {
        let newest = self.frames.back().map_or(0, |(frame, _)| frame.dts);
        self.second_start().is_some_and(|second| newest - self.frames[second].0.dts >= ENOUGH)
    }

    fn second_start(&self) -> Option<usize> {
        let starts = self.frames.iter().enumerate().skip(1);
        starts.filter(|(_, (frame, cut))| *cut && frame.keyframe).map(|(index, _)| index).next()
    }

    fn drop_first(&mut self) {
        match self.second_start() {
            Some(second) => {
                let gone = self.frames.drain(..second);
                self.bytes -= gone.map(|(frame, _)| frame.data.len()).sum::<usize>();
            }
            None => self.clear(),
        }
    }
}

/// Two segments of two seconds beside the one that is being made: what a player wants to begin with.
const ENOUGH: i64 = 4 * CLOCK;

/// Ten seconds at 12 Mb/s.
const MAX_BYTES: usize = 16 << 20;

/// Ten seconds at 120 frames a second.
const MAX_FRAMES: usize = 1200;

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    /// `seconds` of 10 frames each, a segment every two seconds.
    fn filled(seconds: i64, size: usize) -> Backlog {
        let mut backlog = Backlog::default();
        for n in 0..seconds * 10 {
            let (time, start) = (n * CLOCK / 10, n % 20 == 0);
            let data = Bytes::from(vec![0; size]);
            backlog.push(Frame { dts: time, pts: time, keyframe: start, data }, start);
        }
        backlog
    }

    fn facts(backlog: &Backlog) -> (i64, usize, usize) {
        let bytes = backlog.iter().map(|(frame, _)| frame.data.len()).sum::<usize>();
        assert_eq!(bytes, backlog.bytes);
        (backlog.start().map_or(-1, |start| start / CLOCK), backlog.iter().count(), bytes)
    }

    #[test]
    fn four_seconds_and_the_newest_segment_stay() {
        assert_eq!(facts(&filled(3, 1)), (0, 30, 30));
        assert_eq!(facts(&filled(6, 1)), (0, 60, 60));
        assert_eq!(facts(&filled(7, 1)), (2, 50, 50));
        assert_eq!(facts(&filled(61, 1)), (56, 50, 50));
    }

    #[test]
    fn it_begins_where_a_decoder_can_and_where_a_segment_does() {
        let mut backlog = Backlog::default();
        let frame = |pts, keyframe| Frame { dts: pts, pts, keyframe, data: Bytes::from_static(b"x") };
        backlog.push(frame(0, true), false);
        backlog.push(frame(1, false), true);
        assert_eq!(facts(&backlog), (-1, 0, 0));
        backlog.push(frame(2, true), true);
        backlog.push(frame(3, false), true);
        assert_eq!(backlog.iter().map(|(frame, _)| frame.pts).collect::<Vec<_>>(), [2, 3]);
        backlog.clear();
        backlog.push(frame(4, false), false);
        assert_eq!(backlog.start(), None);
    }

    #[test]
    fn bytes_are_bounded_even_within_one_segment() {
        let (_, _, bytes) = facts(&filled(30, MAX_BYTES / 55));
        assert!(bytes <= MAX_BYTES, "{bytes}");
        assert_eq!(facts(&filled(2, MAX_BYTES / 10)), (-1, 0, 0));
    }
}
