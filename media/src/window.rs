//! One rendition's live window: the bytes of its parts while they may be asked for, and its playlist.

mod i_frames;
mod memory;
mod rate;
mod stored;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::frame::CLOCK;
use crate::hls::delta;
use crate::hls::media::{ByteRange, Head, Hint, Map, Open, Part, Playlist, Report, Segment, ServerControl};
use crate::path::File;
use crate::segment::muxer::{self, Output};
use crate::segment::{Start, ticks};
use rate::{Rate, Rates};
pub use stored::Held;
use stored::Stored;

/// The newest segments of a rendition.
#[derive(Debug)]
pub(crate) struct Window {
    /// How much media the playlist lists, if the target duration allows it.
    listed: Duration,
    target_duration: u32,
    part_target: Duration,
    /// Of the broadcast, in milliseconds since the Unix epoch.
    started_at: u64,
    map: Arc<Map>,
    /// Whole segments, oldest first: those that have left the playlist, then those in it.
    whole: VecDeque<Whole>,
    unlisted: usize,
    open: Option<Growing>,
    /// Media sequence number of the segment after those in `whole` and `open`.
    next_msn: u64,
    /// Segments that left it while somebody else had their bytes.
    gone: Vec<u64>,
    independent: bool,
    ended: bool,
    rates: Rates,
}

#[derive(Debug)]
struct Whole {
    msn: u64,
    /// Presentation time of its first frame in [`CLOCK`] ticks.
    time: i64,
    discontinuities: u64,
    segment: Arc<Segment>,
    stored: Stored,
    /// Where the keyframe is that it begins with.
    i_frame: Option<ByteRange>,
}

#[derive(Debug)]
struct Growing {
    start: Start,
    open: Open,
    parts: Vec<Bytes>,
    i_frame: Option<ByteRange>,
}

/// What an [`Output`] did to the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    Part { msn: u64, part: u32 },
    Segment { msn: u64 },
}

impl Window {
    pub(crate) fn new(
        listed: Duration,
        started_at: u64,
        target_duration: u32,
        part_target: Duration,
    ) -> Self {
        Self {
            listed,
            target_duration,
            part_target,
            started_at,
            map: map(0),
            whole: VecDeque::new(),
            unlisted: 0,
            open: None,
            next_msn: 0,
            gone: Vec::new(),
            independent: true,
            ended: false,
            rates: Rates::new(target_duration),
        }
    }

    pub(crate) fn apply(&mut self, output: Output) -> Option<Change> {
        match output {
            Output::Start(start) => {
                self.begin(start);
                None
            }
            Output::Part(part) => self.part(part),
            Output::End => self.close(None),
            Output::Incomplete { total } => self.close(Some(total)),
            Output::Gap { start, duration } => {
                self.begin(start);
                self.close(Some(duration))
            }
        }
    }

    /// Segments that begin from now on need another init segment.
    pub(crate) fn renew(&mut self, version: u32) {
        self.map = map(version);
    }

    /// Nothing will be added.
    pub(crate) fn end(&mut self) {
        self.close(None);
        self.ended = true;
    }

    /// There is a whole segment to list. Parts alone would be legal, but hls.js takes a playlist without a
    /// segment for an empty one and gives the server up.
    pub(crate) fn is_available(&self) -> bool {
        !self.whole.is_empty()
    }

    /// Every segment so far began with a keyframe.
    pub(crate) fn is_independent(&self) -> bool {
        self.independent
    }

    pub(crate) fn rate(&self) -> &Rate {
        &self.rates.media
    }

    /// When the oldest segment in the playlist begins, in milliseconds since the Unix epoch.
    pub(crate) fn oldest(&self) -> Option<u64> {
        self.whole.get(self.unlisted)?.segment.head.program_date_time
    }

    /// The media sequence number of the first segment in the playlist.
    pub(crate) fn media_sequence(&self) -> u64 {
        self.whole.get(self.unlisted).map_or(self.next_msn, |whole| whole.msn)
    }

    /// The parts, so far, of the segment that is being made.
    pub(crate) fn open_bytes(&self, msn: u64) -> Option<&[Bytes]> {
        Some(&self.open.as_ref().filter(|open| open.start.msn == msn)?.parts)
    }

    /// Number, time and duration in [`CLOCK`] ticks of the whole segments in the playlist.
    pub(crate) fn times(&self) -> impl Iterator<Item = (u64, i64, i64)> {
        let next = self.whole.iter().skip(self.unlisted + 1).map(Some).chain([None]);
        self.whole.iter().skip(self.unlisted).zip(next).map(|(whole, next)| {
            let next = next.filter(|next| next.msn == whole.msn + 1 && !next.segment.head.discontinuity);
            let duration = next.map_or_else(|| ticks(whole.segment.duration), |next| next.time - whole.time);
            (whole.msn, whole.time, duration)
        })
    }

    /// The name of the init segment in force at the first of these segments that has begun.
    pub(crate) fn init_of(&self, segments: std::ops::Range<u64>) -> Option<&str> {
        let whole =
            self.whole.iter().find(|whole| segments.contains(&whole.msn)).map(|whole| &whole.segment.head);
        let open =
            self.open.as_ref().filter(|open| segments.contains(&open.start.msn) && !open.parts.is_empty());
        Some(&whole.or(open.map(|open| &open.open.head))?.map.as_ref()?.uri)
    }

    /// Whether there is anything of these segments.
    pub(crate) fn has_media(&self, segments: std::ops::Range<u64>) -> bool {
        let open = self.open.as_ref().filter(|open| !open.parts.is_empty()).map(|open| open.start.msn);
        let whole = self.whole.iter().rev().filter(|whole| !whole.segment.gap).map(|whole| whole.msn);
        open.into_iter().chain(whole).any(|msn| segments.contains(&msn))
    }

    /// How much media is listed, once there is enough of it.
    pub(crate) fn depth(&self) -> Duration {
        self.listed.max(self.least_listed())
    }

    /// Where the playlist ends, for other renditions' reports.
    pub(crate) fn last(&self) -> Option<(u64, Option<u32>)> {
        let last = |parts: usize| u32::try_from(parts).ok()?.checked_sub(1);
        match &self.open {
            Some(open) if !open.parts.is_empty() => Some((open.start.msn, last(open.parts.len()))),
            _ => self.whole.back().map(|whole| (whole.msn, last(whole.segment.parts.len()))),
        }
    }

    /// As it stands, without date ranges.
    pub(crate) fn playlist(&self, reports: Vec<Report>) -> Playlist {
        let listed = self.whole.range(self.unlisted..);
        let first = listed.clone().next().map(|whole| (whole.discontinuities, &whole.segment.head));
        let first = first.or(self.open.as_ref().map(|open| (open.start.discontinuities, &open.open.head)));
        let target = u64::from(self.target_duration);
        Playlist {
            target_duration: self.target_duration,
            server_control: ServerControl {
                can_block_reload: true,
                can_skip_until: Some(delta::skip_until(self.target_duration)),
                can_skip_dateranges: true,
                hold_back: Some(Duration::from_secs(3 * target)),
                part_hold_back: Some(3 * self.part_target),
            },
            part_target: Some(self.part_target),
            independent_segments: self.independent,
            i_frames_only: false,
            date_ranges: Vec::new(),
            media_sequence: self.media_sequence(),
            // The first segment's own tag counts once more when it is read.
            discontinuity_sequence: first.map_or(0, |(count, head)| count - u64::from(head.discontinuity)),
            segments: listed.map(|whole| Arc::clone(&whole.segment)).collect(),
            open: self.open.as_ref().filter(|open| !open.parts.is_empty()).map(|open| open.open.clone()),
            preload_hint: (!self.ended).then(|| self.hint()),
            reports: if self.ended { Vec::new() } else { reports },
            ended: self.ended,
        }
    }

    fn hint(&self) -> Hint {
        let (msn, part) = match &self.open {
            Some(open) => (open.start.msn, open.parts.len()),
            None => (self.next_msn, 0),
        };
        Hint { uri: part_uri(msn, part), ..Hint::default() }
    }

    fn begin(&mut self, start: Start) {
        // A rendition that was away for longer than anybody remembers begins anew.
        if start.msn != self.next_msn {
            while self.pop().is_some() {}
            self.open = None;
            self.rates.forget_listed();
        }
        self.next_msn = start.msn;
        self.independent &= start.independent;
        let since_start = start.time.div_euclid(CLOCK / 1000);
        let head = Head {
            discontinuity: start.discontinuity,
            map: Some(Arc::clone(&self.map)),
            program_date_time: Some(self.started_at.saturating_add_signed(since_start)),
        };
        let open = Open { head, parts: Vec::new() };
        self.open = Some(Growing { start, open, parts: Vec::new(), i_frame: None });
    }

    fn part(&mut self, part: muxer::Part) -> Option<Change> {
        let open = self.open.as_mut()?;
        let (msn, index) = (open.start.msn, open.parts.len());
        if index == 0 {
            open.i_frame = part.i_frame;
        }
        open.parts.push(part.data);
        open.open.parts.push(Part {
            duration: part.duration,
            uri: part_uri(msn, index),
            independent: part.independent,
            ..Part::default()
        });
        Some(Change::Part { msn, part: u32::try_from(index).ok()? })
    }

    /// Ends the open segment. Where a lot of `expected` is missing, the rest of it is a gap.
    fn close(&mut self, expected: Option<Duration>) -> Option<Change> {
        let Growing { start, mut open, parts, mut i_frame } = self.open.take()?;
        let mut have: Duration = open.parts.iter().map(|part| part.duration).sum();
        let gap = parts.is_empty() || expected.is_some_and(|expected| have + TOLERANCE < expected);
        if gap {
            let expected = expected.unwrap_or(have);
            while have < expected {
                let duration = self.part_target.min(expected - have);
                let uri = part_uri(start.msn, open.parts.len());
                open.parts.push(Part { duration, uri, gap: true, ..Part::default() });
                have += duration;
            }
            i_frame = None;
        }
        let segment = Arc::new(Segment {
            head: open.head,
            duration: have,
            uri: File::Segment { msn: start.msn }.to_string(),
            byte_range: None,
            gap,
            parts: open.parts,
        });
        self.next_msn = start.msn.saturating_add(1);
        let Start { msn, time, discontinuities, .. } = start;
        let stored = Stored::Memory(parts);
        let whole = Whole { msn, time, discontinuities, segment, stored, i_frame };
        self.rates.add(&whole);
        self.whole.push_back(whole);
        self.trim();
        Some(Change::Segment { msn: start.msn })
    }

    /// Takes out of the playlist what it need not list, and forgets what nobody may still ask for.
    fn trim(&mut self) {
        let sum = |whole: &mut dyn Iterator<Item = &Whole>| -> Duration {
            whole.map(|whole| whole.segment.duration).sum()
        };
        let wanted = self.depth();
        let mut listed = sum(&mut self.whole.range(self.unlisted..));
        while let Some(first) = self.whole.get(self.unlisted)
            && (listed - first.segment.duration >= wanted || self.whole.len() - self.unlisted > MAX_LISTED)
        {
            listed -= first.segment.duration;
            self.rates.remove(first);
            self.unlisted += 1;
        }
        // §6.2.2: what has left the playlist stays for as long as the playlist and the segment last.
        let mut left = sum(&mut self.whole.range(..self.unlisted));
        while self.unlisted > 0
            && let Some(first) = self.whole.front()
            && left > listed + 2 * first.segment.duration
        {
            left = left.saturating_sub(first.segment.duration);
            self.pop();
        }
        // Parts are listed near the end only.
        let mut distance = sum(&mut self.whole.range(self.unlisted..));
        let near = delta::parts_until(self.target_duration);
        for whole in self.whole.range_mut(self.unlisted..) {
            distance = distance.saturating_sub(whole.segment.duration);
            if distance >= near && !whole.segment.parts.is_empty() {
                Arc::make_mut(&mut whole.segment).parts = Vec::new();
            }
        }
    }

    fn whole(&self, msn: u64) -> Option<&Whole> {
        let index = msn.checked_sub(self.whole.front()?.msn)?;
        self.whole.get(usize::try_from(index).ok()?)
    }
}

impl Whole {
    fn size(&self) -> u64 {
        self.stored.size()
    }
}

fn map(version: u32) -> Arc<Map> {
    Arc::new(Map { uri: File::Init { version }.to_string(), byte_range: None })
}

fn part_uri(msn: u64, part: usize) -> String {
    File::Part { msn, part: u32::try_from(part).unwrap_or(u32::MAX) }.to_string()
}

/// Less than this missing at a segment's end is rounding, not a gap.
const TOLERANCE: Duration = Duration::from_millis(50);

/// An hour of 2 s. A publisher whose segments are single frames must not make playlists that nobody can read;
/// and players that ask for deltas are told some ten segments, however many there are.
const MAX_LISTED: usize = 1800;
