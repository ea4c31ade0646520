//! What the order and the times of video frames tell: keyframe intervals, B-frames, holes.

use std::collections::VecDeque;

use nearcast_media::Frame;
use nearcast_media::frame::CLOCK;

/// Reads a track's frames in their order.
#[derive(Debug, Default)]
pub(super) struct Pictures {
    last: Option<i64>,
    /// Usual ticks from a frame to the next.
    usual: f64,
    /// Since the last keyframe: its time, and frames with it.
    group: Option<(i64, u32)>,
    /// The last groups: ticks and frames.
    groups: VecDeque<(i64, u32)>,
    latest_shown: i64,
    pub(super) b_frames: bool,
    pub(super) keyframes: u64,
    pub(super) frames: u64,
}

/// How long groups of pictures last.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Groups {
    pub(super) count: usize,
    /// Seconds.
    pub(super) mean: f64,
    pub(super) shortest: f64,
    pub(super) longest: f64,
    /// Frames.
    pub(super) frames: u32,
}

/// What one frame says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Step {
    First,
    /// So many milliseconds after the one before it.
    After(f64),
    /// So many frames are missing before it.
    Hole(u64),
}

impl Pictures {
    pub(super) fn push(&mut self, frame: &Frame) -> Step {
        self.frames += 1;
        if frame.pts < self.latest_shown {
            self.b_frames = true;
        }
        self.latest_shown = self.latest_shown.max(frame.pts);
        if frame.keyframe {
            self.keyframes += 1;
            if let Some((began, frames)) = self.group {
                self.groups.push_back((frame.dts - began, frames));
                if self.groups.len() > GROUPS {
                    self.groups.pop_front();
                }
            }
            self.group = Some((frame.dts, 0));
        }
        if let Some((_, frames)) = &mut self.group {
            *frames = frames.saturating_add(1);
        }
        let Some(last) = self.last.replace(frame.dts) else { return Step::First };
        let ticks = (frame.dts - last).max(0) as f64;
        if self.usual > 0.0 && ticks > self.usual * HOLE {
            // What is usual may have changed: it follows, but slowly.
            self.usual += (ticks - self.usual) * 0.02;
            return Step::Hole(((ticks / self.usual).round() as u64).saturating_sub(1).min(MAX_HOLE));
        }
        self.usual = if self.usual > 0.0 { self.usual + (ticks - self.usual) * 0.05 } else { ticks };
        Step::After(ticks * 1_000.0 / CLOCK as f64)
    }

    /// A new configuration, or a publisher who is back: what comes is compared with nothing before it.
    pub(super) fn restart(&mut self) {
        let Self { keyframes, frames, .. } = *self;
        *self = Self { keyframes, frames, ..Self::default() };
    }

    pub(super) fn groups(&self) -> Groups {
        let seconds = |ticks: i64| ticks as f64 / CLOCK as f64;
        let count = self.groups.len();
        if count == 0 {
            return Groups::default();
        }
        let lengths = || self.groups.iter().map(|(ticks, _)| seconds(*ticks));
        let frames = self.groups.iter().map(|(_, frames)| u64::from(*frames)).sum::<u64>() / count as u64;
        Groups {
            count,
            mean: lengths().sum::<f64>() / count as f64,
            shortest: lengths().fold(f64::INFINITY, f64::min),
            longest: lengths().fold(0.0, f64::max),
            frames: u32::try_from(frames).unwrap_or(u32::MAX),
        }
    }

    /// Seconds of video since the last keyframe.
    pub(super) fn without_keyframe(&self) -> f64 {
        let since = self.group.zip(self.last).map_or(0, |((began, _), last)| last - began);
        since as f64 / CLOCK as f64
    }
}

/// Enough to tell a habit, few enough to see it change within a few of them.
const GROUPS: usize = 6;
/// Times the usual step; what is longer has a frame missing.
const HOLE: f64 = 1.7;
/// A publisher who was away for long has not lost frames.
const MAX_HOLE: u64 = 300;

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn frame(dts: i64, pts: i64, keyframe: bool) -> Frame {
        Frame { dts, pts, keyframe, data: Bytes::from_static(b"x") }
    }

    #[test]
    fn groups_are_measured_from_keyframe_to_keyframe() {
        let mut pictures = Pictures::default();
        for n in 0..300 {
            let _ = pictures.push(&frame(n * 3_000, n * 3_000, n % 60 == 0));
        }
        let groups = pictures.groups();
        assert_eq!((groups.count, groups.frames), (4, 60));
        assert_eq!((groups.mean, groups.shortest, groups.longest), (2.0, 2.0, 2.0));
        assert!(!pictures.b_frames);
        assert!((pictures.without_keyframe() - 59.0 / 30.0).abs() < 1e-9);
    }

    #[test]
    fn frames_out_of_order_are_b_frames() {
        let mut pictures = Pictures::default();
        for (dts, pts) in [(0, 6_000), (3_000, 15_000), (6_000, 9_000), (9_000, 12_000)] {
            let _ = pictures.push(&frame(dts, pts, dts == 0));
        }
        assert!(pictures.b_frames);
    }

    #[test]
    fn a_hole_counts_the_frames_that_fit_into_it() {
        let mut pictures = Pictures::default();
        for n in 0..50 {
            let _ = pictures.push(&frame(n * 3_000, n * 3_000, n == 0));
        }
        assert_eq!(pictures.push(&frame(53 * 3_000, 0, false)), Step::Hole(3));
        // Milliseconds are too coarse for 30 frames a second: 33, 33, 34 is regular.
        assert_eq!(pictures.push(&frame(54 * 3_000 + 60, 0, false)), Step::After(34.0));
    }
}
