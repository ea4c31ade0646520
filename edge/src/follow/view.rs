//! What the viewers of a rendition are told at one moment: the playlist, its texts and its age, or why not.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use nearcast_media::hls::daterange::History;
use nearcast_media::hls::delta::skippable;
use nearcast_media::hls::media::Playlist;
use nearcast_media::hls::request::{BadRequest, Directives, Resolve, Skip};

use super::rendition::Fetched;
use crate::error::Error;

/// The newest playlist of a rendition and the state of its parent.
#[derive(Debug, Default)]
pub struct View {
    /// `None` until the parent has sent one.
    pub snapshot: Option<Arc<Snapshot>>,
    /// What the parent last failed with, until it sends a playlist again.
    pub failure: Option<Failure>,
}

/// One playlist, rendered once for all who ask.
#[derive(Debug)]
pub struct Snapshot {
    pub playlist: Playlist,
    /// When the parent produced it.
    pub produced: Instant,
    full: Bytes,
    /// Made when first asked for, as is the next.
    delta: OnceLock<Bytes>,
    delta_v2: OnceLock<Bytes>,
    /// Since when its date ranges are there.
    date_ranges: Arc<History>,
    /// How many parts each whole segment had when they were listed, by media sequence number.
    parts: Vec<(u64, u32)>,
}

/// Why there is no newer playlist.
#[derive(Debug, Clone)]
pub struct Failure {
    pub error: Error,
    /// It will not come back: not even the last playlist is served.
    pub gone: bool,
    /// From here on the last playlist is too old to be served.
    pub stale_from: Instant,
}

/// What to do with a playlist request now.
#[derive(Debug)]
pub enum Answer<'a> {
    Ready(&'a Arc<Snapshot>),
    /// Look again at the next view.
    Wait,
    BadRequest(BadRequest),
    Unavailable(&'a Error),
}

impl View {
    /// Answers a request, or tells it to wait for the next view.
    pub fn answer(&self, directives: &Directives, now: Instant) -> Answer<'_> {
        let (snapshot, failure) = match (&self.snapshot, &self.failure) {
            (None, None) => return Answer::Wait,
            (_, Some(failure)) if failure.gone => return Answer::Unavailable(&failure.error),
            (None, Some(failure)) => return Answer::Unavailable(&failure.error),
            (Some(snapshot), failure) => (snapshot, failure),
        };
        if let Some(failure) = failure.as_ref().filter(|failure| now >= failure.stale_from) {
            return Answer::Unavailable(&failure.error);
        }
        match directives.resolve(&snapshot.playlist) {
            Resolve::Now => Answer::Ready(snapshot),
            Resolve::Wait => Answer::Wait,
            Resolve::BadRequest(why) => Answer::BadRequest(why),
        }
    }

    /// True when no later view can differ.
    pub fn is_final(&self) -> bool {
        self.failure.as_ref().is_some_and(|failure| failure.gone)
    }
}

impl Snapshot {
    /// Renders what was fetched. `old` knows the parts of segments that no longer list them.
    pub fn new(fetched: Fetched, old: Option<&Self>) -> Self {
        let Fetched { playlist, text, produced } = fetched;
        let parts = part_counts(&playlist, old.map_or(&[], |old| &old.parts));
        let mut date_ranges = old.map(|old| Arc::clone(&old.date_ranges)).unwrap_or_default();
        // Most broadcasts have none, and then nothing is copied.
        if !playlist.date_ranges.is_empty() || !date_ranges.is_empty() {
            Arc::make_mut(&mut date_ranges).update(&playlist);
        }
        let (delta, delta_v2) = Default::default();
        Self { playlist, produced, full: text, delta, delta_v2, date_ranges, parts }
    }

    /// The text that answers `directives`.
    pub fn text(&self, directives: &Directives) -> &Bytes {
        match directives.skip {
            None => &self.full,
            Some(Skip::Segments) => self.delta.get_or_init(|| self.delta(Playlist::render_delta)),
            Some(Skip::DateRanges) => self
                .delta_v2
                .get_or_init(|| self.delta(|playlist| playlist.render_delta_v2(&self.date_ranges))),
        }
    }

    fn delta(&self, render: impl FnOnce(&Playlist) -> String) -> Bytes {
        match skippable(&self.playlist) {
            0 => self.full.clone(),
            _ => render(&self.playlist).into(),
        }
    }

    /// Whole seconds since the parent produced it (RFC 9111 §5.1).
    pub fn age(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.produced).as_secs()
    }

    /// How many parts make up the whole segment `msn`, if this edge saw them listed.
    pub fn parts_of(&self, msn: u64) -> Option<u32> {
        let index = self.parts.binary_search_by_key(&msn, |(msn, _)| *msn).ok()?;
        Some(self.parts[index].1)
    }

    /// The target duration.
    pub fn target(&self) -> Duration {
        Duration::from_secs(self.playlist.target_duration.into())
    }
}

fn part_counts(playlist: &Playlist, old: &[(u64, u32)]) -> Vec<(u64, u32)> {
    let listed = (playlist.media_sequence..).zip(&playlist.segments);
    let listed = listed.filter(|(_, segment)| {
        !segment.parts.is_empty() && segment.parts.iter().all(|part| part.byte_range.is_none() && !part.gap)
    });
    let listed = listed.map(|(msn, segment)| (msn, u32::try_from(segment.parts.len()).unwrap_or(u32::MAX)));
    let mut counts: Vec<_> = listed.collect();
    let first = counts.first().map_or(playlist.end(), |(msn, _)| *msn);
    let kept = old.iter().filter(|(msn, _)| *msn < first).copied();
    counts.splice(0..0, kept);
    let excess = counts.len().saturating_sub(MAX_COUNTS);
    counts.drain(..excess);
    counts
}

/// Segments whose parts are remembered: what the cache may still hold of a rendition, some minutes' worth.
const MAX_COUNTS: usize = 128;
