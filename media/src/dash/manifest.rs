//! A manifest: the snapshot of a broadcast's live window and its text.

use std::fmt::Write as _;
use std::time::Duration;

use super::element;
use crate::frame::{Picture, Sound};

/// A broadcast at one moment. Its times are [`crate::frame::CLOCK`] ticks: in the manifest's own time since
/// `started_at`, in media time as the files have it.
///
/// URLs are relative to `/live/{channel}/index.mpd`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Manifest {
    /// The broadcast's path component.
    pub id: String,
    /// The availability start time, which never changes: milliseconds since the Unix epoch.
    pub started_at: u64,
    /// When this version came to be, in the same unit.
    pub published_at: u64,
    /// Nothing will be added.
    pub ended: bool,
    /// No segment is longer.
    pub target_duration: Duration,
    /// No part is longer.
    pub part_target: Duration,
    /// How much can be played.
    pub window: Duration,
    /// What messages there may be in the media.
    pub schemes: Vec<String>,
    /// Oldest first. Only the last may lack an end.
    pub periods: Vec<Period>,
}

/// A stretch without discontinuity.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Period {
    /// Media sequence number of its first segment, which also names it.
    pub first: u64,
    /// The manifest's time.
    pub start: u64,
    /// The number of the segment after its last, and the manifest's time there, once it is over.
    pub end: Option<(u64, u64)>,
    /// Media time at its start.
    pub media_start: u64,
    /// In the order in which a viewer should get them.
    pub renditions: Vec<Rendition>,
}

/// A rendition within a period.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendition {
    pub name: String,
    /// RFC 6381.
    pub codec: String,
    pub media: Media,
    /// Most bits per second of any segment.
    pub bandwidth: u64,
    /// Every segment begins with a keyframe.
    pub independent: bool,
    /// The name of its init segment.
    pub init: String,
    pub segments: Segments,
}

/// What a rendition shows or sounds like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Media {
    Video(Picture),
    Audio(Sound),
}

/// How its segments are found. Their names are their numbers either way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Segments {
    /// By the time of day: each lasts about `duration` ticks, and can be asked for one part after it has begun.
    Counted { duration: u64 },
    /// By this list of whole segments: the number of the first, then media time and duration of each in ticks.
    Listed { first: u64, times: Vec<(u64, u64)> },
}

impl Manifest {
    /// The manifest as XML.
    pub fn render(&self) -> String {
        let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
        // Text, numbers and lists of those always become XML.
        let _infallible = write!(out, "{}", element::mpd(self));
        out
    }

    /// Players can be one part behind, not one segment.
    pub(super) fn is_low_latency(&self) -> bool {
        let counted = |rendition: &Rendition| matches!(rendition.segments, Segments::Counted { .. });
        !self.ended && self.periods.last().is_some_and(|last| last.renditions.iter().all(counted))
    }
}

#[cfg(test)]
mod tests;
