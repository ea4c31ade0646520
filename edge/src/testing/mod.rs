//! What the tests stand on: a live playlist that is stepped by hand, an HTTP origin that serves it, a started edge
//! and a client.

pub(crate) mod foreign;
mod origin;
mod world;

use std::sync::Arc;
use std::time::Duration;

use nearcast_media::hls::daterange::DateRange;
use nearcast_media::hls::media::{ByteRange, Hint, Open, Part, Playlist, Segment, ServerControl};
use nearcast_media::path::File;

pub(crate) use foreign::Foreign;
pub(crate) use origin::{Fault, Origin, media};
pub(crate) use world::{Answer, Edge};

/// Seconds of a target duration, and parts of a segment.
pub(crate) const TARGET: u32 = 2;
pub(crate) const PARTS: u32 = 4;

/// A playlist with whole segments up to `end` and `open` parts of the next, and a date range each four segments.
pub(crate) fn playlist(end: u64, open: u32) -> Playlist {
    let first = end.saturating_sub(20);
    let part = |msn: u64, index: u32| Part {
        duration: Duration::from_millis(500),
        uri: File::Part { msn, part: index }.to_string(),
        ..Part::default()
    };
    let segment = |msn: u64| Segment {
        duration: Duration::from_secs(TARGET.into()),
        uri: File::Segment { msn }.to_string(),
        parts: if msn + 3 >= end { (0..PARTS).map(|index| part(msn, index)).collect() } else { Vec::new() },
        ..Segment::default()
    };
    let hint = Hint { uri: File::Part { msn: end, part: open }.to_string(), ..Hint::default() };
    Playlist {
        target_duration: TARGET,
        server_control: ServerControl {
            can_block_reload: true,
            can_skip_until: Some(Duration::from_secs(12)),
            can_skip_dateranges: true,
            ..ServerControl::default()
        },
        part_target: Some(Duration::from_millis(500)),
        media_sequence: first,
        date_ranges: (first.div_ceil(4)..=end / 4).map(|n| Arc::new(range(4 * n))).collect(),
        segments: (first..end).map(|msn| Arc::new(segment(msn))).collect(),
        open: Some(Open { parts: (0..open).map(|index| part(end, index)).collect(), ..Open::default() }),
        preload_hint: Some(hint),
        ..Playlist::default()
    }
}

/// The keyframes of a playlist's segments.
pub(crate) fn i_frames(playlist: &Playlist) -> Playlist {
    let only = |segment: &Arc<Segment>| {
        let byte_range = Some(ByteRange { length: 100, offset: Some(10) });
        Arc::new(Segment { byte_range, parts: Vec::new(), ..Segment::clone(segment) })
    };
    Playlist {
        i_frames_only: true,
        part_target: None,
        segments: playlist.segments.iter().map(only).collect(),
        open: None,
        preload_hint: None,
        ..playlist.clone()
    }
}

fn range(msn: u64) -> DateRange {
    DateRange { id: format!("at-{msn}"), start: msn * 1000 * u64::from(TARGET), ..DateRange::default() }
}
