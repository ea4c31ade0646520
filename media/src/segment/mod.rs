//! Frames to parts and segments.
//!
//! One rendition leads: the publisher's video, or its audio where there is no video. [`leader`] decides where
//! segments begin and keeps the [`cuts`]; [`rung`] (other video) and [`audio`] follow them, so that a media
//! sequence number means the same time in every rendition. Each rendition's [`muxer`] then makes parts of
//! its frames, no longer than [`fit`] says.

pub(crate) mod audio;
pub(crate) mod cuts;
pub(crate) mod fit;
pub(crate) mod leader;
pub(crate) mod muxer;
pub(crate) mod rung;
pub(crate) mod silence;

use std::time::Duration;

use crate::fmp4::Sample;
use crate::frame::{CLOCK, Frame};

/// What a rendition's muxer is told to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    /// Add a frame; with a start, begin a segment with it.
    Frame(Sample, Option<Start>),
    /// The segment ends with the newest frame, which lasts as long as the one before.
    Finish,
    /// What comes next is missing: let go of what there is of the segment, but do not end it.
    Break,
    /// The segment ends, and this much ought to have been there.
    Incomplete { total: Duration },
    /// A whole segment that is missing.
    Gap { start: Start, duration: Duration },
}

/// How a segment begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Start {
    pub(crate) msn: u64,
    /// Presentation time of its first frame in [`CLOCK`] ticks.
    pub(crate) time: i64,
    /// Its first frame is a keyframe.
    pub(crate) independent: bool,
    pub(crate) discontinuity: bool,
    /// Discontinuities of the broadcast up to and including this segment's.
    pub(crate) discontinuities: u64,
}

/// A video frame as a sample. Video tracks tick like [`CLOCK`].
pub(crate) fn video_sample(frame: &Frame) -> Sample {
    Sample {
        dts: frame.dts + LEAD * CLOCK,
        composition_offset: i32::try_from(frame.pts - frame.dts).unwrap_or(0),
        keyframe: frame.keyframe,
        data: frame.data.clone(),
    }
}

/// [`CLOCK`] ticks to a duration; nothing before zero lasts.
pub(crate) fn duration(ticks: i64) -> Duration {
    let micros = i128::from(ticks.max(0)) * 1_000_000 / i128::from(CLOCK);
    Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
}

/// A duration in [`CLOCK`] ticks.
pub(crate) fn ticks(duration: Duration) -> i64 {
    let ticks = duration.as_micros() * u128::from(CLOCK.unsigned_abs()) / 1_000_000;
    i64::try_from(ticks).unwrap_or(i64::MAX)
}

/// Seconds by which every track's times are shifted, all alike, because a file cannot say a decoding time before
/// zero: with reordered frames an encoder's first has one, and audio may begin before video.
pub(crate) const LEAD: i64 = 10;

/// The latest time of a frame, in [`CLOCK`] ticks: some 1,600 years, with room to calculate.
pub(crate) const LATEST: i64 = 1 << 52;
