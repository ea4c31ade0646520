//! What the operator decides of packaging.

use std::time::Duration;

use crate::segment::leader::Rules;

/// How segments, parts and playlists are to be. Values outside their range are brought into it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Segments end at the first keyframe after this long: 0.5 to 10 s.
    pub segment: Duration,
    /// Parts are this long, give or take a frame: 0.1 s to [`Self::segment`].
    pub part: Duration,
    /// Media listed in a playlist, raised to seven target durations where it is less: up to an hour.
    pub window: Duration,
    /// A publisher's first keyframe interval sets the target duration; if it is longer than this, segments
    /// begin between keyframes: [`Self::segment`] to 20 s.
    pub longest_gop: Duration,
    /// Bytes of all renditions together that stay in memory. Beyond, the oldest segments leave it, but for each
    /// rendition's newest.
    pub memory: usize,
    /// Segments that leave memory are handed out ([`super::Move::Out`]) and stay in the playlist. Without, they
    /// are gone.
    pub spill: bool,
    /// List audio alone beside video, for lines that cannot carry more.
    pub audio_only: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            segment: Duration::from_secs(2),
            part: Duration::from_millis(500),
            window: Duration::from_secs(600),
            longest_gop: Duration::from_secs(4),
            memory: 256 << 20,
            spill: false,
            audio_only: false,
        }
    }
}

impl Settings {
    /// Every value within its range.
    pub(super) fn sane(self) -> Self {
        let segment = self.segment.clamp(Duration::from_millis(500), Duration::from_secs(10));
        Self {
            segment,
            part: self.part.clamp(Duration::from_millis(100), segment),
            window: self.window.min(Duration::from_secs(3600)),
            longest_gop: self.longest_gop.clamp(segment, Duration::from_secs(20)),
            ..self
        }
    }

    pub(super) fn rules(&self) -> Rules {
        Rules { segment: self.segment, part: self.part, longest_gop: self.longest_gop }
    }
}
