//! Playlist delta updates: which segments one may skip, and how it becomes a whole playlist again
//! (RFC 8216bis §4.4.5.2, §6.2.5.1).

use std::sync::Arc;
use std::time::Duration;

use super::media::{Playlist, Segment};

/// A media playlist's text once read: whole, or what changed since one that the client has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Update {
    Full(Playlist),
    Delta(Delta),
}

/// A playlist whose first segments stayed out of the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delta {
    /// SKIPPED-SEGMENTS.
    pub skipped: u64,
    /// RECENTLY-REMOVED-DATERANGES: then date ranges that the client has were left out as well.
    pub removed_date_ranges: Option<Vec<String>>,
    /// The playlist as it stands, with `segments` only from `media_sequence + skipped` on.
    pub rest: Playlist,
}

/// A delta that does not fit the playlist it is to be applied to: ask for a whole one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the delta update skips segments {from} to {to}, of which the playlist at hand lacks some")]
pub struct Mismatch {
    from: u64,
    to: u64,
}

/// How many of the oldest segments a delta update may leave out: those that end further from the playlist's
/// end than CAN-SKIP-UNTIL.
pub fn skippable(playlist: &Playlist) -> usize {
    let Some(boundary) = playlist.server_control.can_skip_until else { return 0 };
    let mut distance = playlist.duration();
    let skippable = |segment: &&Arc<Segment>| {
        distance = distance.saturating_sub(segment.duration);
        distance > boundary
    };
    playlist.segments.iter().take_while(skippable).count()
}

impl Delta {
    /// The whole playlist: what was skipped comes from `old`, without its parts, which no playlist lists
    /// that far from its end.
    pub fn apply(self, old: &Playlist) -> Result<Playlist, Mismatch> {
        let mut playlist = self.rest;
        let from = playlist.media_sequence;
        let mismatch = Mismatch { from, to: from.saturating_add(self.skipped).saturating_sub(1) };
        let start = from.checked_sub(old.media_sequence).and_then(|n| usize::try_from(n).ok());
        let start = start.ok_or(mismatch)?;
        let end = usize::try_from(self.skipped).ok().and_then(|n| start.checked_add(n)).ok_or(mismatch)?;
        let skipped = old.segments.get(start..end).ok_or(mismatch)?;

        let map = skipped.last().and_then(|segment| segment.head.map.clone());
        let heads = playlist.segments.iter_mut().map(|segment| &mut Arc::make_mut(segment).head);
        let heads = heads.chain(playlist.open.iter_mut().map(|open| &mut open.head));
        heads.take_while(|head| head.map.is_none()).for_each(|head| head.map.clone_from(&map));
        playlist.segments.splice(0..0, skipped.iter().map(without_parts));
        if let Some(removed) = self.removed_date_ranges {
            let renewed = |id: &String| playlist.date_ranges.iter().any(|range| range.id == *id);
            let kept = old.date_ranges.iter().filter(|old| !removed.contains(&old.id) && !renewed(&old.id));
            let kept: Vec<_> = kept.cloned().collect();
            playlist.date_ranges.splice(0..0, kept);
        }
        Ok(playlist)
    }
}

impl Update {
    /// The whole playlist, `old` being the newest one at hand.
    pub fn apply(self, old: Option<&Playlist>) -> Result<Playlist, Mismatch> {
        match self {
            Self::Full(playlist) => Ok(playlist),
            Self::Delta(delta) => delta.apply(old.unwrap_or(&Playlist::default())),
        }
    }
}

fn without_parts(segment: &Arc<Segment>) -> Arc<Segment> {
    if segment.parts.is_empty() {
        return Arc::clone(segment);
    }
    Arc::new(Segment { parts: Vec::new(), ..Segment::clone(segment) })
}

/// CAN-SKIP-UNTIL: the least that §4.4.3.8 allows, six target durations.
pub fn skip_until(target_duration: u32) -> Duration {
    Duration::from_secs(6 * u64::from(target_duration))
}

/// How far from the playlist's end parts stay listed (§6.2.2): three target durations.
pub fn parts_until(target_duration: u32) -> Duration {
    Duration::from_secs(3 * u64::from(target_duration))
}
