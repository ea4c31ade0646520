//! The rules that every playlist of a broadcast must keep, from one update to the next.

use std::collections::BTreeMap;
use std::time::Duration;

use super::*;
use crate::fmp4::tests::read_fragment;
use crate::hls::media::{ByteRange, Head, Part, Playlist};
use crate::hls::request::Skip;
use crate::hls::{delta, parse};
use crate::path::File;

/// Watches a broadcast as a client of every rendition would.
pub(super) struct Checker {
    seen: BTreeMap<String, Playlist>,
    /// Where decoding ended, by rendition and media sequence number: to see that times continue.
    decoded: BTreeMap<(String, u64), (u64, u64)>,
    /// What one frame may be off.
    frame: Duration,
}

impl Checker {
    pub(super) fn new(frame: Duration) -> Self {
        Self { seen: BTreeMap::new(), decoded: BTreeMap::new(), frame }
    }

    /// From here on another client watches the rendition.
    pub(super) fn forget(&mut self, rendition: &str) {
        self.seen.remove(rendition);
        self.decoded.retain(|(name, _), _| name != rendition);
    }

    pub(super) fn check(&mut self, broadcast: &Broadcast, events: &[Event]) {
        for event in events {
            match event {
                Event::Playlist { rendition } => self.playlist(broadcast, rendition),
                Event::Part { rendition, msn, part } => {
                    let window = broadcast.part(rendition, *msn, *part);
                    assert!(window.is_some(), "{rendition} {msn}.{part} was announced and is not there");
                }
                Event::Segment { .. } => {}
                Event::Multivariant => {
                    let playlist = broadcast.multivariant().unwrap();
                    assert_eq!(parse::multivariant(&playlist.render()), Ok(playlist));
                }
            }
        }
    }

    fn playlist(&mut self, broadcast: &Broadcast, rendition: &str) {
        let snapshot = broadcast.playlist(rendition).unwrap();
        let playlist = &snapshot.playlist;
        let text = std::str::from_utf8(snapshot.text()).unwrap();
        assert_eq!(parse::media(text).as_ref(), Ok(playlist));
        rules(playlist);
        dates(playlist, self.frame);
        bytes(broadcast, rendition, playlist);
        self.decoding(broadcast, rendition, playlist);
        i_frames(broadcast, rendition, playlist);
        if let Some(old) = self.seen.get(rendition) {
            for skip in [Skip::Segments, Skip::DateRanges] {
                let update = parse::update(std::str::from_utf8(snapshot.delta(skip)).unwrap()).unwrap();
                assert_eq!(update.apply(Some(old)).as_ref(), Ok(playlist));
            }
            continues(old, playlist);
        }
        self.seen.insert(rendition.to_owned(), playlist.clone());
    }

    /// Decoding times go on from part to part and from segment to segment.
    fn decoding(&mut self, broadcast: &Broadcast, rendition: &str, playlist: &Playlist) {
        for (msn, head, _, gap) in segments(playlist) {
            let mut parts = (0..).map_while(|part| in_memory(broadcast.part(rendition, msn, part))?.pop());
            let Some(first) = parts.next() else { continue };
            let (begin, durations, _) = read_fragment(&first);
            let mut end = begin + durations.iter().map(|ticks| u64::from(*ticks)).sum::<u64>();
            for part in parts {
                let (begin, durations, _) = read_fragment(&part);
                assert_eq!(begin, end, "{rendition} {msn}: a hole between parts");
                end += durations.iter().map(|ticks| u64::from(*ticks)).sum::<u64>();
            }
            let before = msn.checked_sub(1).and_then(|msn| self.decoded.get(&(rendition.to_owned(), msn)));
            if let Some((_, before)) = before.filter(|_| !head.discontinuity && !gap) {
                assert_eq!(begin, *before, "{rendition} {msn}: a hole before the segment");
            }
            self.decoded.insert((rendition.to_owned(), msn), (begin, end));
        }
    }

    /// Every number means the same time in all renditions, give or take a frame of each.
    pub(super) fn aligned(&self, tolerance: Duration) {
        let date = |(msn, head, ..): (u64, &Head, _, _)| (msn, head.program_date_time.unwrap());
        let by_rendition: Vec<BTreeMap<u64, u64>> =
            self.seen.values().map(|playlist| segments(playlist).map(date).collect()).collect();
        let mut common = 0;
        for (msn, date) in &by_rendition[0] {
            for other in by_rendition[1..].iter().filter_map(|other| other.get(msn)) {
                assert!(u128::from(date.abs_diff(*other)) <= tolerance.as_millis(), "{msn}: {date} {other}");
                common += 1;
            }
        }
        assert!(by_rendition.len() == 1 || common > 0);
    }

    pub(super) fn last(&self, rendition: &str) -> &Playlist {
        &self.seen[rendition]
    }
}

/// Media sequence number, head, duration and whether it is a gap, of each segment, the open one included.
fn segments(playlist: &Playlist) -> impl Iterator<Item = (u64, &Head, Duration, bool)> {
    let whole = playlist.segments.iter().map(|segment| (&segment.head, segment.duration, segment.gap));
    let open = playlist.open.iter().map(|open| (&open.head, Duration::ZERO, false));
    (playlist.media_sequence..).zip(whole.chain(open)).map(|(msn, (head, time, gap))| (msn, head, time, gap))
}

fn rules(playlist: &Playlist) {
    let target = Duration::from_secs(u64::from(playlist.target_duration));
    let part_target = playlist.part_target.unwrap();
    let control = &playlist.server_control;
    assert!(control.can_skip_until.unwrap() >= 6 * target);
    assert!(control.hold_back.unwrap() >= 3 * target);
    assert!(control.part_hold_back.unwrap() >= 3 * part_target);
    assert_eq!(playlist.preload_hint.is_some(), !playlist.ended);
    for segment in &playlist.segments {
        let rounded = (segment.duration + Duration::from_millis(500)).as_secs();
        assert!(rounded <= target.as_secs(), "{segment:?}");
        let sum: Duration = segment.parts.iter().map(|part| part.duration).sum();
        assert!(segment.parts.is_empty() || sum == segment.duration, "{segment:?}");
        assert!(segment.gap || segment.parts.iter().all(|part| !part.gap), "{segment:?}");
        parts(&segment.parts, part_target);
    }
    playlist.open.iter().for_each(|open| parts(&open.parts, part_target));
}

fn parts(parts: &[Part], target: Duration) {
    assert!(parts.iter().all(|part| part.duration <= target), "{parts:?}");
    // A gap is as long as what is missing, and what precedes it was cut short.
    let before_last = parts.iter().take_while(|part| !part.gap).count().min(parts.len().saturating_sub(1));
    for part in &parts[..before_last.saturating_sub(usize::from(parts.iter().any(|part| part.gap)))] {
        assert!(part.duration.as_secs_f64() >= 0.85 * target.as_secs_f64(), "{part:?} {target:?}");
    }
}

fn dates(playlist: &Playlist, frame: Duration) {
    let mut expected: Option<Duration> = None;
    for (msn, head, duration, _) in segments(playlist) {
        let date = Duration::from_millis(head.program_date_time.unwrap());
        if let Some(expected) = expected {
            assert!(date + frame >= expected, "{msn}: time goes back from {expected:?} to {date:?}");
            assert!(head.discontinuity || date <= expected + frame, "{msn}: {expected:?} but {date:?}");
        }
        expected = Some(date + duration);
    }
}

/// Everything listed can be had, and a segment is its parts.
fn bytes(broadcast: &Broadcast, rendition: &str, playlist: &Playlist) {
    for map in segments(playlist).filter_map(|(_, head, ..)| head.map.as_ref()) {
        let File::Init { version } = File::parse(&map.uri).unwrap() else { panic!("{}", map.uri) };
        assert!(broadcast.init(rendition, version).is_some(), "{}", map.uri);
    }
    for segment in &playlist.segments {
        let File::Segment { msn } = File::parse(&segment.uri).unwrap() else { panic!("{}", segment.uri) };
        let whole = in_memory(broadcast.segment(rendition, msn));
        assert_eq!(whole.is_none(), segment.gap);
        for part in segment.parts.iter().filter(|part| !part.gap) {
            let File::Part { msn, part } = File::parse(&part.uri).unwrap() else { panic!("{}", part.uri) };
            let bytes = in_memory(broadcast.part(rendition, msn, part)).unwrap().remove(0);
            assert!(whole.as_ref().is_none_or(|whole| whole[part as usize] == bytes));
        }
    }
}

/// The pieces of what nobody else keeps.
pub(super) fn in_memory(held: Option<Held>) -> Option<Vec<Bytes>> {
    match held? {
        Held::Memory(pieces) => Some(pieces),
        Held::Elsewhere { .. } => panic!("nothing was moved out of memory"),
    }
}

/// Each keyframe that is listed is the head of its segment, up to the end of the first frame.
fn i_frames(broadcast: &Broadcast, rendition: &str, playlist: &Playlist) {
    let Some(snapshot) = broadcast.i_frames(rendition) else {
        return assert!(rendition.starts_with("audio"), "{rendition} lists no keyframes");
    };
    let keys = &snapshot.playlist;
    assert_eq!(parse::media(std::str::from_utf8(snapshot.text()).unwrap()).as_ref(), Ok(keys));
    assert!(keys.i_frames_only && keys.part_target.is_none() && keys.preload_hint.is_none());
    assert_eq!((keys.media_sequence, keys.end()), (playlist.media_sequence, playlist.end()));
    for (msn, (key, segment)) in (keys.media_sequence..).zip(keys.segments.iter().zip(&playlist.segments)) {
        assert_eq!((&key.uri, &key.head, key.duration), (&segment.uri, &segment.head, segment.duration));
        let Some(ByteRange { length, offset: Some(offset) }) = key.byte_range else {
            assert!(key.gap);
            continue;
        };
        assert!(!key.gap);
        let part = in_memory(broadcast.part(rendition, msn, 0)).unwrap().concat();
        let (_, _, sizes) = read_fragment(&part);
        let offset = offset as usize;
        assert_eq!(&part[offset + 4..offset + 8], b"moof");
        let others: u32 = sizes[1..].iter().sum();
        assert_eq!(length as usize, part.len() - offset - others as usize);
    }
}

/// What a client that had `old` must find in `new`.
fn continues(old: &Playlist, new: &Playlist) {
    assert_eq!((old.target_duration, old.part_target), (new.target_duration, new.part_target));
    assert!(new.media_sequence >= old.media_sequence && new.end() >= old.end());
    assert!(new.last() >= old.last());
    let discontinuities = |playlist: &Playlist| {
        let mut count = playlist.discontinuity_sequence;
        let heads = segments(playlist).map(|(msn, head, ..)| {
            count += u64::from(head.discontinuity);
            (msn, count)
        });
        heads.collect::<BTreeMap<_, _>>()
    };
    let (before, after) = (discontinuities(old), discontinuities(new));
    assert!(before.iter().all(|(msn, count)| after.get(msn).is_none_or(|now| now == count)));
    for (msn, segment) in (old.media_sequence..).zip(&old.segments) {
        let Some(now) = new.segment(msn) else { continue };
        assert!(now.parts.is_empty() || now.parts == segment.parts);
        assert_eq!((&now.head, &now.uri, now.duration), (&segment.head, &segment.uri, segment.duration));
    }
    let open = old.open.as_ref().map_or(&[][..], |open| &open.parts);
    let now = match new.segment(old.end()) {
        Some(segment) if segment.parts.is_empty() => return,
        Some(segment) => &segment.parts[..],
        None if new.end() == old.end() => new.open.as_ref().map_or(&[][..], |open| &open.parts),
        None => return,
    };
    assert_eq!(&now[..open.len()], open);
    // The first part that came is the one that was promised, unless what was promised is known to be missing.
    let next = now.get(open.len()).filter(|part| !part.gap).map(|part| &part.uri);
    if let (Some(hint), Some(next)) = (&old.preload_hint, next) {
        assert_eq!(&hint.uri, next);
    }
    let _boundary = delta::skippable(new);
}
