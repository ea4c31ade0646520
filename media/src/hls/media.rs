//! A media playlist: the snapshot of one rendition's live window and its text (RFC 8216bis §4.4).

use std::sync::Arc;
use std::time::Duration;

use super::daterange::{Changes, DateRange, History};
use super::tag::{Writer, push, write_seconds};
use super::{date, delta};

/// One rendition's live window at one moment. Cloning it is cheap: whole segments are shared.
///
/// No URI may hold `"` or a line's end; there is no way to write one. A URI is relative to the playlist's own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Playlist {
    /// EXT-X-TARGETDURATION in seconds: no segment's duration rounds to more. Never changes.
    pub target_duration: u32,
    pub server_control: ServerControl,
    /// PART-TARGET of EXT-X-PART-INF: no part is longer. `None` where there are no parts.
    pub part_target: Option<Duration>,
    /// Every segment begins with a keyframe.
    pub independent_segments: bool,
    /// Each segment is one keyframe: EXT-X-I-FRAMES-ONLY (§4.4.3.6).
    pub i_frames_only: bool,
    /// What happens when.
    pub date_ranges: Vec<Arc<DateRange>>,
    /// The media sequence number of the first of `segments`.
    pub media_sequence: u64,
    /// Discontinuities that have left the window.
    pub discontinuity_sequence: u64,
    /// Whole segments, oldest first.
    pub segments: Vec<Arc<Segment>>,
    /// The segment after them, as far as it exists.
    pub open: Option<Open>,
    /// The part that comes next.
    pub preload_hint: Option<Hint>,
    /// Where the other renditions of the broadcast stand.
    pub reports: Vec<Report>,
    /// Nothing will be added: EXT-X-ENDLIST.
    pub ended: bool,
}

/// What the server offers to clients that poll (EXT-X-SERVER-CONTROL, §4.4.3.8).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ServerControl {
    pub can_block_reload: bool,
    /// Delta updates may skip segments further than this from the playlist's end.
    pub can_skip_until: Option<Duration>,
    pub can_skip_dateranges: bool,
    pub hold_back: Option<Duration>,
    pub part_hold_back: Option<Duration>,
}

/// What comes before a segment's media: the tags that apply from there on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Head {
    /// Timestamps or encoding do not continue from the segment before.
    pub discontinuity: bool,
    /// The map in force, shared by all segments that have it.
    pub map: Option<Arc<Map>>,
    /// When the first frame was captured, in milliseconds since the Unix epoch.
    pub program_date_time: Option<u64>,
}

/// A whole segment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Segment {
    pub head: Head,
    pub duration: Duration,
    pub uri: String,
    pub byte_range: Option<ByteRange>,
    /// There is no media behind the URI.
    pub gap: bool,
    /// Its parts, while it is near the playlist's end.
    pub parts: Vec<Part>,
}

/// The segment that is being made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Open {
    pub head: Head,
    pub parts: Vec<Part>,
}

/// A part of a segment (EXT-X-PART, §4.4.4.9).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Part {
    pub duration: Duration,
    pub uri: String,
    pub byte_range: Option<ByteRange>,
    /// It holds a keyframe.
    pub independent: bool,
    pub gap: bool,
}

/// What a decoder needs before the first frame (EXT-X-MAP, §4.4.4.5).
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Map {
    pub uri: String,
    pub byte_range: Option<ByteRange>,
}

/// A piece of a resource; without an offset it continues where the range before ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ByteRange {
    pub length: u64,
    pub offset: Option<u64>,
}

/// The next part's name before it exists (EXT-X-PRELOAD-HINT with TYPE=PART, §4.4.5.3).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hint {
    pub uri: String,
    pub start: u64,
    pub length: Option<u64>,
}

/// Where another rendition's playlist stands (EXT-X-RENDITION-REPORT, §4.4.5.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    pub uri: String,
    pub last_msn: u64,
    pub last_part: Option<u32>,
}

impl Playlist {
    /// The media sequence number, and the index of the part if it has parts, of the last thing in the
    /// playlist: what a rendition report says of it. `None` while the playlist is empty.
    pub fn last(&self) -> Option<(u64, Option<u32>)> {
        let end = self.end();
        match &self.open {
            Some(open) if !open.parts.is_empty() => Some((end, last_index(&open.parts))),
            _ => {
                let last = self.segments.last()?;
                Some((end.saturating_sub(1), last_index(&last.parts)))
            }
        }
    }

    /// The media sequence number of the first segment that is not whole.
    pub fn end(&self) -> u64 {
        self.media_sequence.saturating_add(self.segments.len() as u64)
    }

    /// The whole segment with this media sequence number.
    pub fn segment(&self, msn: u64) -> Option<&Arc<Segment>> {
        let index = msn.checked_sub(self.media_sequence)?;
        self.segments.get(usize::try_from(index).ok()?)
    }

    /// How much media it lists, the parts of the open segment included.
    pub fn duration(&self) -> Duration {
        let whole = self.segments.iter().map(|segment| segment.duration);
        let parts = self.open.iter().flat_map(|open| &open.parts).map(|part| part.duration);
        whole.chain(parts).fold(Duration::ZERO, Duration::saturating_add)
    }

    /// The whole playlist as text.
    pub fn render(&self) -> String {
        self.render_from(0, None)
    }

    /// The answer to `_HLS_skip=YES`: the text without the segments that [`delta::skippable`] names, or the whole
    /// playlist when there are none.
    pub fn render_delta(&self) -> String {
        self.render_from(delta::skippable(self), None)
    }

    /// The answer to `_HLS_skip=v2`: date ranges that every client has by now, as `history` knows, stay out as
    /// well. Like [`Self::render_delta`] where the server does not offer that.
    pub fn render_delta_v2(&self, history: &History) -> String {
        let skipped = delta::skippable(self);
        let changes = (skipped > 0 && self.server_control.can_skip_dateranges).then(|| history.changes(self));
        self.render_from(skipped, changes.as_ref())
    }

    fn render_from(&self, skipped: usize, changes: Option<&Changes>) -> String {
        let mut out = String::with_capacity(512 + 256 * (self.segments.len() - skipped));
        self.render_header(&mut out, skipped, changes);
        let ranges = changes.map_or(&self.date_ranges, |changes| &changes.recent);
        ranges.iter().for_each(|range| range.render(&mut out));
        // The map and byte offset in force, so that a tag appears only where they change.
        let mut map = skipped.checked_sub(1).and_then(|last| self.segments[last].head.map.as_ref());
        for segment in &self.segments[skipped..] {
            render_head(&mut out, &segment.head, map);
            map = segment.head.map.as_ref();
            segment.parts.iter().for_each(|part| render_part(&mut out, part));
            render_media(&mut out, segment);
        }
        if let Some(open) = &self.open {
            render_head(&mut out, &open.head, map);
            open.parts.iter().for_each(|part| render_part(&mut out, part));
        }
        self.render_footer(&mut out);
        out
    }

    fn render_header(&self, out: &mut String, skipped: usize, changes: Option<&Changes>) {
        push(out, format_args!("#EXTM3U\n#EXT-X-VERSION:{}\n", self.version(skipped, changes)));
        push(out, format_args!("#EXT-X-TARGETDURATION:{}\n", self.target_duration));
        let control = &self.server_control;
        if *control != ServerControl::default() {
            let mut tag = Writer::new(out, "#EXT-X-SERVER-CONTROL");
            tag = tag.yes("CAN-BLOCK-RELOAD", control.can_block_reload);
            tag = tag.yes("CAN-SKIP-DATERANGES", control.can_skip_dateranges);
            for (name, value) in [
                ("CAN-SKIP-UNTIL", control.can_skip_until),
                ("HOLD-BACK", control.hold_back),
                ("PART-HOLD-BACK", control.part_hold_back),
            ] {
                if let Some(value) = value {
                    tag = tag.seconds(name, value);
                }
            }
            tag.end();
        }
        if let Some(target) = self.part_target {
            Writer::new(out, "#EXT-X-PART-INF").seconds("PART-TARGET", target).end();
        }
        push(out, format_args!("#EXT-X-MEDIA-SEQUENCE:{}\n", self.media_sequence));
        if self.discontinuity_sequence > 0 {
            push(out, format_args!("#EXT-X-DISCONTINUITY-SEQUENCE:{}\n", self.discontinuity_sequence));
        }
        if self.independent_segments {
            out.push_str("#EXT-X-INDEPENDENT-SEGMENTS\n");
        }
        if self.i_frames_only {
            out.push_str("#EXT-X-I-FRAMES-ONLY\n");
        }
        if skipped > 0 {
            let removed = changes.map(|changes| changes.removed.join("\t"));
            let tag = Writer::new(out, "#EXT-X-SKIP").plain("SKIPPED-SEGMENTS", skipped);
            tag.optional("RECENTLY-REMOVED-DATERANGES", removed).end();
        }
    }

    fn render_footer(&self, out: &mut String) {
        if let Some(hint) = &self.preload_hint {
            let mut tag = Writer::new(out, "#EXT-X-PRELOAD-HINT").plain("TYPE", "PART");
            tag = tag.quoted("URI", &hint.uri);
            if hint.start > 0 {
                tag = tag.plain("BYTERANGE-START", hint.start);
            }
            if let Some(length) = hint.length {
                tag = tag.plain("BYTERANGE-LENGTH", length);
            }
            tag.end();
        }
        for report in &self.reports {
            let mut tag = Writer::new(out, "#EXT-X-RENDITION-REPORT");
            tag = tag.quoted("URI", &report.uri).plain("LAST-MSN", report.last_msn);
            if let Some(part) = report.last_part {
                tag = tag.plain("LAST-PART", part);
            }
            tag.end();
        }
        if self.ended {
            out.push_str("#EXT-X-ENDLIST\n");
        }
    }

    /// The lowest version that allows every tag of the text (§8): 10 for EXT-X-SKIP that leaves out date ranges, 9 for
    /// EXT-X-SKIP, 6 for EXT-X-MAP, which lists of keyframes may have from 5 on.
    fn version(&self, skipped: usize, changes: Option<&Changes>) -> u8 {
        match (skipped, changes) {
            (1.., Some(_)) => 10,
            (1.., None) => 9,
            (0, _) if self.i_frames_only => 5,
            (0, _) => 6,
        }
    }
}

impl std::fmt::Display for ByteRange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.offset {
            Some(offset) => write!(f, "{}@{offset}", self.length),
            None => write!(f, "{}", self.length),
        }
    }
}

fn last_index(parts: &[Part]) -> Option<u32> {
    u32::try_from(parts.len()).ok()?.checked_sub(1)
}

pub(super) fn render_head(out: &mut String, head: &Head, map_in_force: Option<&Arc<Map>>) {
    if head.discontinuity {
        out.push_str("#EXT-X-DISCONTINUITY\n");
    }
    match &head.map {
        Some(map) if Some(map) != map_in_force => {
            let mut tag = Writer::new(out, "#EXT-X-MAP").quoted("URI", &map.uri);
            if let Some(range) = map.byte_range {
                tag = tag.quoted("BYTERANGE", range);
            }
            tag.end();
        }
        _ => {}
    }
    if let Some(unix_ms) = head.program_date_time {
        out.push_str("#EXT-X-PROGRAM-DATE-TIME:");
        let _infallible = date::write(out, unix_ms);
        out.push('\n');
    }
}

/// What follows its head and parts.
pub(super) fn render_media(out: &mut String, segment: &Segment) {
    if segment.gap {
        out.push_str("#EXT-X-GAP\n");
    }
    if let Some(range) = segment.byte_range {
        push(out, format_args!("#EXT-X-BYTERANGE:{range}\n"));
    }
    out.push_str("#EXTINF:");
    write_seconds(out, segment.duration);
    push(out, format_args!(",\n{}\n", segment.uri));
}

fn render_part(out: &mut String, part: &Part) {
    let mut tag = Writer::new(out, "#EXT-X-PART").seconds("DURATION", part.duration).quoted("URI", &part.uri);
    tag = tag.yes("INDEPENDENT", part.independent);
    if let Some(range) = part.byte_range {
        tag = tag.quoted("BYTERANGE", range);
    }
    tag.yes("GAP", part.gap).end();
}

#[cfg(test)]
mod tests;
