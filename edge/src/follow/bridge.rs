//! Another origin that goes on with a broadcast lists what it has made itself: this edge goes on listing, in front of
//! that, what it holds of the time before, so that players see one playlist that only grows. No IO.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use nearcast_media::hls::media::{Head, Part, Playlist, Segment};
use nearcast_media::path::File;

use super::view::Snapshot;

/// The segments from before, which the parent does not list. They end when the parent drops segments of its own.
#[derive(Debug)]
pub(super) struct Bridge {
    segments: VecDeque<Kept>,
    /// The number of the first of them.
    media_sequence: u64,
    /// Discontinuities that were before them.
    discontinuity_sequence: u64,
}

/// A segment, and in how many parts it is here, if not whole.
#[derive(Debug)]
struct Kept {
    segment: Arc<Segment>,
    parts: u32,
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
        let mut segments = VecDeque::new();
        let mut found = false;
        for (behind, segment) in before.segments.iter().rev().enumerate() {
            let msn = before.end() - 1 - behind as u64;
            let count = old.parts_of(msn).unwrap_or(0);
            let kept = Kept { segment: Arc::clone(segment), parts: count };
            if kept.is_held(msn, &held) {
                segments.push_front(kept);
                found |= !segment.gap;
            } else if found {
                break;
            } else {
                // The newest may have been on their way when the origin was lost.
                segments.push_front(cut(msn, segment.head.clone(), &segment.parts, &held));
            }
        }
        if !found {
            return None;
        }
        let dropped = before.segments.len() - segments.len();
        let gone = heads().take(dropped).filter(|head| head.discontinuity).count();
        for msn in before.end()..new.media_sequence {
            let open = before.open.as_ref().filter(|_| msn == before.end());
            let head = open.map(|open| open.head.clone()).unwrap_or_else(|| Head {
                map: segments.back().and_then(|last| last.segment.head.map.clone()),
                program_date_time: end_date(&segments),
                ..Head::default()
            });
            let parts = open.map_or(&[][..], |open| &open.parts);
            segments.push_back(cut(msn, head, parts, &held));
        }
        Some(Self {
            segments,
            media_sequence: before.media_sequence + dropped as u64,
            discontinuity_sequence: before.discontinuity_sequence + gone as u64,
        })
    }

    /// Puts them in front of what the parent lists, but for the oldest that are no longer `held`. False when there are
    /// none any more.
    pub(super) fn extend(&mut self, playlist: &mut Playlist, held: impl Fn(&str) -> bool) -> bool {
        if self.media_sequence + self.segments.len() as u64 != playlist.media_sequence {
            return false;
        }
        while let Some(oldest) = self.segments.front()
            && !oldest.is_held(self.media_sequence, &held)
        {
            self.media_sequence += 1;
            self.discontinuity_sequence += u64::from(oldest.segment.head.discontinuity);
            self.segments.pop_front();
        }
        let mut behind: Duration = playlist.segments.iter().map(|segment| segment.duration).sum();
        let target = Duration::from_secs(playlist.target_duration.into());
        for Kept { segment, .. } in self.segments.iter_mut().rev() {
            // RFC 8216bis §4.4.4.9: parts are listed near the end only.
            if behind > 3 * target && !segment.parts.is_empty() {
                Arc::make_mut(segment).parts.clear();
            }
            behind += segment.duration;
        }
        playlist.media_sequence = self.media_sequence;
        playlist.discontinuity_sequence = self.discontinuity_sequence;
        playlist.segments.splice(0..0, self.segments.iter().map(|kept| Arc::clone(&kept.segment)));
        !self.segments.is_empty()
    }
}

impl Kept {
    /// A gap has nothing that could be missing.
    fn is_held(&self, msn: u64, held: impl Fn(&str) -> bool) -> bool {
        let part = |part| held(&File::Part { msn, part }.to_string());
        self.segment.gap || held(&self.segment.uri) || (self.parts > 0 && (0..self.parts).all(part))
    }
}

/// A segment as far as it is here: up to the first part that is not, and else a gap.
fn cut(msn: u64, head: Head, parts: &[Part], held: impl Fn(&str) -> bool) -> Kept {
    let whole = |part: &&Part| part.byte_range.is_none() && !part.gap && held(&part.uri);
    let parts: Vec<_> = parts.iter().take_while(whole).cloned().collect();
    let (gap, count) = (parts.is_empty(), u32::try_from(parts.len()).unwrap_or(u32::MAX));
    let duration = if gap { GAP } else { parts.iter().map(|part| part.duration).sum() };
    let uri = File::Segment { msn }.to_string();
    let segment = Segment { head, duration, uri, gap, parts, ..Segment::default() };
    Kept { segment: Arc::new(segment), parts: count }
}

/// When the last of them ends, in milliseconds since the Unix epoch.
fn end_date(segments: &VecDeque<Kept>) -> Option<u64> {
    let Kept { segment, .. } = segments.back()?;
    Some(segment.head.program_date_time? + u64::try_from(segment.duration.as_millis()).ok()?)
}

/// A number that has no media takes no time either: players lay what comes behind a discontinuity right after it, and
/// would stand still before a longer one.
const GAP: Duration = Duration::from_millis(10);
/// An origin that goes on leaves out the numbers that the lost one may have used unheard, two for each segment's length
/// since it was heard: 15 s of half a second each, and the one that was being made.
const MAX_MISSING: u64 = 64;

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
        assert!(bridge.extend(&mut new, |file| held.contains(file)));
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
        held.remove("7.0.m4s");
        held.remove("9.2.m4s");
        held.retain(|file| !file.starts_with("10."));
        let mut new = resumed(14, 15, 0);
        let mut bridge = Bridge::between(&old, &new, |file| held.contains(file)).unwrap();
        assert!(bridge.extend(&mut new, |file| held.contains(file)));
        let listed: Vec<_> = new.segments.iter().map(|s| (s.uri.as_str(), s.gap, s.parts.len())).collect();
        let gap = |uri| (uri, true, 0);
        let expected = [
            ("8.m4s", false, 4),
            ("9.m4s", false, 2),
            gap("10.m4s"),
            gap("11.m4s"),
            gap("12.m4s"),
            gap("13.m4s"),
        ];
        assert_eq!(listed[..6], expected);
        // What is gone from the cache goes from the list, the oldest first.
        held.retain(|file| !file.starts_with("8."));
        let mut new = resumed(14, 15, 1);
        assert!(bridge.extend(&mut new, |file| held.contains(file)));
        assert_eq!(numbers(&new)[0], "9.m4s");
        assert!(Bridge::between(&old, &resumed(11, 12, 0), |_| false).is_none());
    }

    #[test]
    fn only_another_origin_of_the_same_broadcast_is_bridged_to() {
        let (old, _) = told(playlist(10, PARTS - 1));
        let all = |_: &str| true;
        assert!(Bridge::between(&old, &playlist(11, 0), all).is_none(), "the same origin");
        assert!(Bridge::between(&old, &resumed(11 + MAX_MISSING, 80, 0), all).is_none(), "too far behind");
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
    fn the_discontinuity_of_a_segment_that_was_cut_still_counts() {
        let mut cut = playlist(10, 1);
        cut.open.as_mut().unwrap().head.discontinuity = true;
        let (old, mut held) = told(cut);
        held.remove("10.0.m4s");
        let mut new = Playlist { discontinuity_sequence: 1, ..resumed(11, 12, 0) };
        let mut bridge = Bridge::between(&old, &new, |file| held.contains(file)).unwrap();
        assert!(bridge.extend(&mut new, |file| held.contains(file)));
        let breaks: Vec<_> =
            new.segments.iter().filter(|s| s.head.discontinuity).map(|s| s.uri.as_str()).collect();
        assert_eq!((new.discontinuity_sequence, breaks), (0, vec!["10.m4s", "11.m4s"]));
    }

    #[test]
    fn it_ends_with_the_parents_own_window() {
        let (old, _) = told(playlist(10, 1));
        let mut bridge = Bridge::between(&old, &resumed(11, 11, 1), |_| true).unwrap();
        let count = old.playlist.segments.len() + 1;
        for end in 11..20 {
            let mut new = resumed(11, end, 1);
            assert!(bridge.extend(&mut new, |_| true));
            assert_eq!((new.media_sequence, new.end()), (old.playlist.media_sequence, end));
            let parts = new.segments[..count].iter().filter(|segment| !segment.parts.is_empty()).count();
            assert!(parts <= 4, "{end}: parts of {parts} segments from before");
        }
        assert!(!bridge.extend(&mut resumed(12, 20, 1), |_| true));
    }
}
