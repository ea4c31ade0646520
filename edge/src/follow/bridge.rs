//! Another origin that goes on with a broadcast lists what it has made itself: this edge goes on listing, in front of
//! that, what it holds of the time before, so that players see one playlist that only grows. No IO.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use nearcast_media::hls::media::{Head, Open, Part, Playlist, Segment};
use nearcast_media::path::File;

use super::view::Snapshot;

/// The segments from before, which the parent does not list.
#[derive(Debug)]
pub(super) struct Bridge {
    segments: VecDeque<Arc<Segment>>,
    /// The number of the first of them.
    media_sequence: u64,
    /// Discontinuities that were before them.
    discontinuity_sequence: u64,
    /// What the playlist has to hold before any of them is dropped.
    window: Duration,
}

impl Bridge {
    /// From what viewers have been told to the first playlist of another origin; none where that is no such playlist,
    /// or where nothing of the time before is `held`, which is asked by file name.
    pub(super) fn between(old: &Snapshot, new: &Playlist, held: impl Fn(&str) -> bool) -> Option<Self> {
        let before = &old.playlist;
        let missing = new.media_sequence.checked_sub(before.end())?;
        let heads = || before.segments.iter().map(|segment| &segment.head);
        let breaks = heads().chain(before.open.iter().map(|open| &open.head));
        let breaks = before.discontinuity_sequence + breaks.filter(|head| head.discontinuity).count() as u64;
        let begins = new.segments.first().map(|segment| &segment.head);
        let begins = begins.or(new.open.as_ref().map(|open| &open.head))?;
        let goes_on = begins.discontinuity && new.discontinuity_sequence == breaks && missing <= MAX_MISSING;
        if !goes_on || new.i_frames_only || new.part_target.is_none() || new.ended {
            return None;
        }
        let whole = |(behind, segment): &(u64, &Arc<Segment>)| {
            let msn = before.end() - 1 - behind;
            let part = |part| held(&File::Part { msn, part }.to_string());
            held(&segment.uri) || old.parts_of(msn).is_some_and(|count| count > 0 && (0..count).all(part))
        };
        let newest_first = (0..).zip(before.segments.iter().rev());
        let mut segments: VecDeque<_> =
            newest_first.take_while(whole).map(|(_, segment)| Arc::clone(segment)).collect();
        segments.make_contiguous().reverse();
        let dropped = before.segments.len() - segments.len();
        let last = Arc::clone(segments.back()?);
        let gone = before.segments[..dropped].iter().filter(|segment| segment.head.discontinuity).count();
        let mut numbers = before.end()..new.media_sequence;
        if let Some(cut) = before.open.as_ref().and_then(|open| close(before.end(), open, &held))
            && numbers.next().is_some()
        {
            segments.push_back(Arc::new(cut));
        }
        for msn in numbers {
            let (map, program_date_time) = (last.head.map.clone(), end_date(&segments));
            let head = Head { discontinuity: false, map, program_date_time };
            let (duration, uri) = (GAP, File::Segment { msn }.to_string());
            segments.push_back(Arc::new(Segment { head, duration, uri, gap: true, ..Segment::default() }));
        }
        Some(Self {
            segments,
            media_sequence: before.media_sequence + dropped as u64,
            discontinuity_sequence: before.discontinuity_sequence + gone as u64,
            window: before.segments.iter().map(|segment| segment.duration).sum(),
        })
    }

    /// Puts them in front of what the parent lists, but for those that the window has no room for. False when there
    /// are none any more.
    pub(super) fn extend(&mut self, playlist: &mut Playlist) -> bool {
        if self.media_sequence + self.segments.len() as u64 != playlist.media_sequence {
            return false;
        }
        let listed: Duration = playlist.segments.iter().map(|segment| segment.duration).sum();
        let mut length = self.segments.iter().map(|segment| segment.duration).sum::<Duration>() + listed;
        while let Some(oldest) = self.segments.front()
            && length.saturating_sub(oldest.duration) >= self.window
        {
            length = length.saturating_sub(oldest.duration);
            self.media_sequence += 1;
            self.discontinuity_sequence += u64::from(oldest.head.discontinuity);
            self.segments.pop_front();
        }
        let mut behind = listed;
        let target = Duration::from_secs(playlist.target_duration.into());
        for segment in self.segments.iter_mut().rev() {
            // RFC 8216bis §4.4.4.9: parts are listed near the end only.
            if behind > 3 * target && !segment.parts.is_empty() {
                Arc::make_mut(segment).parts.clear();
            }
            behind += segment.duration;
        }
        playlist.media_sequence = self.media_sequence;
        playlist.discontinuity_sequence = self.discontinuity_sequence;
        playlist.segments.splice(0..0, self.segments.iter().cloned());
        !self.segments.is_empty()
    }
}

/// The segment that was being made when its origin was lost, as far as it is here.
fn close(msn: u64, open: &Open, held: impl Fn(&str) -> bool) -> Option<Segment> {
    let whole = |part: &&Part| part.byte_range.is_none() && !part.gap && held(&part.uri);
    let parts: Vec<_> = open.parts.iter().take_while(whole).cloned().collect();
    let duration = parts.iter().map(|part| part.duration).sum();
    let (head, uri) = (open.head.clone(), File::Segment { msn }.to_string());
    (!parts.is_empty()).then(|| Segment { head, duration, uri, parts, ..Segment::default() })
}

/// When the last of them ends, in milliseconds since the Unix epoch.
fn end_date(segments: &VecDeque<Arc<Segment>>) -> Option<u64> {
    let last = segments.back()?;
    Some(last.head.program_date_time? + u64::try_from(last.duration.as_millis()).ok()?)
}

/// A number that has no media takes no time either: players lay what comes behind a discontinuity right after it, and
/// would stand still before a longer one.
const GAP: Duration = Duration::from_millis(10);
/// The one that was being made, and one that had begun unheard.
const MAX_MISSING: u64 = 2;

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::super::rendition::Fetched;
    use super::*;
    use crate::testing::{PARTS, playlist};

    /// What this edge tells, and the files that it has.
    fn told(playlist: Playlist) -> (Snapshot, HashSet<String>) {
        let parts = playlist.segments.iter().flat_map(|segment| &segment.parts);
        let parts = parts.chain(playlist.open.iter().flat_map(|open| &open.parts));
        let held = parts.map(|part| part.uri.clone()).collect();
        let text = playlist.render().into();
        (Snapshot::new(Fetched { playlist, text, produced: std::time::Instant::now() }, None), held)
    }

    /// What another origin lists whose first segment is `from`.
    fn resumed(from: u64, end: u64, open: u32) -> Playlist {
        let mut new = playlist(end, open);
        new.segments.drain(..usize::try_from(from - new.media_sequence).unwrap());
        new.media_sequence = from;
        let first = new.segments.first_mut();
        match first {
            Some(first) => Arc::make_mut(first).head.discontinuity = true,
            None => new.open.as_mut().unwrap().head.discontinuity = true,
        }
        new
    }

    fn numbers(playlist: &Playlist) -> Vec<String> {
        playlist.segments.iter().map(|segment| segment.uri.clone()).collect()
    }

    #[test]
    fn what_was_being_made_ends_where_it_stood_and_the_rest_follows() {
        let (old, held) = told(playlist(10, 2));
        let mut new = resumed(11, 11, 1);
        let mut bridge = Bridge::between(&old, &new, |file| held.contains(file)).unwrap();
        assert!(bridge.extend(&mut new));
        let listed = numbers(&new);
        assert_eq!(listed.last().unwrap(), "10.m4s");
        assert_eq!(new.end(), 11);
        let last = new.segments.last().unwrap();
        assert_eq!((last.parts.len(), last.gap), (2, false));
        assert_eq!(last.duration, last.parts.iter().map(|part| part.duration).sum::<Duration>());
        assert_eq!(nearcast_media::hls::parse::media(&new.render()).unwrap(), new);
    }

    #[test]
    fn what_is_not_here_is_not_listed() {
        let (old, mut held) = told(playlist(10, 2));
        let oldest = old.playlist.segments.iter().rev().nth(1).unwrap();
        held.remove(&oldest.parts[0].uri);
        held.retain(|file| !file.starts_with("10."));
        let mut new = resumed(11, 12, 0);
        let mut bridge = Bridge::between(&old, &new, |file| held.contains(file)).unwrap();
        assert!(bridge.extend(&mut new));
        assert_eq!(numbers(&new), ["9.m4s", "10.m4s", "11.m4s"]);
        assert!(new.segments[1].gap && !new.segments[0].gap);
        assert!(Bridge::between(&old, &resumed(11, 12, 0), |_| false).is_none());
    }

    #[test]
    fn only_another_origin_of_the_same_broadcast_is_bridged_to() {
        let (old, _) = told(playlist(10, PARTS - 1));
        let all = |_: &str| true;
        assert!(Bridge::between(&old, &playlist(11, 0), all).is_none(), "the same origin");
        assert!(Bridge::between(&old, &resumed(13, 13, 1), all).is_none(), "too far behind");
        let unbroken = {
            let mut new = resumed(11, 12, 0);
            Arc::make_mut(&mut new.segments[0]).head.discontinuity = false;
            new
        };
        assert!(Bridge::between(&old, &unbroken, all).is_none(), "this edge was away");
        let elsewhere = Playlist { discontinuity_sequence: 4, ..resumed(11, 12, 0) };
        assert!(Bridge::between(&old, &elsewhere, all).is_none(), "discontinuities have been missed");
    }

    #[test]
    fn the_window_stays_as_long_as_it_was() {
        let (old, _) = told(playlist(10, 1));
        let mut bridge = Bridge::between(&old, &resumed(11, 11, 1), |_| true).unwrap();
        let count = old.playlist.segments.len();
        for end in 11..30 {
            let mut new = resumed(11, end, 1);
            let more = bridge.extend(&mut new);
            assert!(new.segments.len() >= count, "{end}: {:?}", numbers(&new));
            assert!(new.segments.len() <= count + 2, "{end}: {:?}", numbers(&new));
            assert_eq!(new.end(), end);
            let parts = new.segments.iter().filter(|segment| !segment.parts.is_empty()).count();
            assert!(parts <= 5, "{end}: parts of {parts} segments");
            if !more {
                return;
            }
        }
        panic!("it never ends");
    }
}
