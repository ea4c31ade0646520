//! Reads the lines of a media playlist.

use std::sync::Arc;
use std::time::Duration;

use super::{Kind, Line, list};
use crate::hls::date;
use crate::hls::daterange::DateRange;
use crate::hls::delta::{Delta, Update};
use crate::hls::media::{ByteRange, Head, Hint, Map, Open, Part, Playlist, Report, Segment, ServerControl};
use crate::hls::tag::{self, Attributes};

/// What has been read of a media playlist, and the tags that wait for their segment.
#[derive(Default)]
pub(super) struct Reader {
    playlist: Playlist,
    skipped: Option<(u64, Option<Vec<String>>)>,
    has_target_duration: bool,
    /// The segment's to come; its map is the one in force and stays.
    head: Head,
    duration: Option<Duration>,
    byte_range: Option<ByteRange>,
    gap: bool,
    parts: Vec<Part>,
}

impl Reader {
    pub(super) fn line(&mut self, line: Line<'_>) -> Result<(), Kind> {
        match line {
            Line::Tag(name, value) => self.tag(name, value),
            Line::Uri(uri) => self.segment(uri),
        }
    }

    fn tag(&mut self, name: &str, value: &str) -> Result<(), Kind> {
        let playlist = &mut self.playlist;
        match name {
            "EXTINF" => {
                let duration = value.split_once(',').map_or(value, |(duration, _title)| duration);
                self.duration = Some(tag::seconds(duration.trim()).ok_or(Kind::Tag("EXTINF"))?);
            }
            "EXT-X-PART" => self.parts.push(list("EXT-X-PART", value, part)?),
            "EXT-X-PROGRAM-DATE-TIME" => {
                let unix_ms = date::parse(value).ok_or(Kind::Tag("EXT-X-PROGRAM-DATE-TIME"))?;
                self.head.program_date_time = Some(unix_ms);
            }
            "EXT-X-DISCONTINUITY" => self.head.discontinuity = true,
            "EXT-X-MAP" => self.head.map = Some(Arc::new(list("EXT-X-MAP", value, map)?)),
            "EXT-X-GAP" => self.gap = true,
            "EXT-X-BYTERANGE" => {
                self.byte_range = Some(byte_range(value).ok_or(Kind::Tag("EXT-X-BYTERANGE"))?);
            }
            "EXT-X-TARGETDURATION" => {
                let seconds = tag::integer(value).and_then(|seconds| u32::try_from(seconds).ok());
                playlist.target_duration = seconds.ok_or(Kind::Tag("EXT-X-TARGETDURATION"))?;
                self.has_target_duration = true;
            }
            "EXT-X-MEDIA-SEQUENCE" => {
                playlist.media_sequence = tag::integer(value).ok_or(Kind::Tag("EXT-X-MEDIA-SEQUENCE"))?;
            }
            "EXT-X-DISCONTINUITY-SEQUENCE" => {
                let sequence = tag::integer(value).ok_or(Kind::Tag("EXT-X-DISCONTINUITY-SEQUENCE"))?;
                playlist.discontinuity_sequence = sequence;
            }
            "EXT-X-SERVER-CONTROL" => {
                playlist.server_control = list("EXT-X-SERVER-CONTROL", value, server_control)?;
            }
            "EXT-X-PART-INF" => {
                let target = |list: &Attributes<'_>| {
                    list.seconds("PART-TARGET")?.ok_or(tag::Error::Missing("PART-TARGET"))
                };
                playlist.part_target = Some(list("EXT-X-PART-INF", value, target)?);
            }
            "EXT-X-SKIP" => {
                self.skipped = Some(list("EXT-X-SKIP", value, skip)?);
            }
            "EXT-X-DATERANGE" => {
                playlist.date_ranges.push(Arc::new(list("EXT-X-DATERANGE", value, DateRange::parse)?));
            }
            "EXT-X-I-FRAMES-ONLY" => playlist.i_frames_only = true,
            "EXT-X-PRELOAD-HINT" => {
                if let Some(hint) = list("EXT-X-PRELOAD-HINT", value, hint)? {
                    playlist.preload_hint = Some(hint);
                }
            }
            "EXT-X-RENDITION-REPORT" => {
                playlist.reports.push(list("EXT-X-RENDITION-REPORT", value, report)?);
            }
            "EXT-X-INDEPENDENT-SEGMENTS" => playlist.independent_segments = true,
            "EXT-X-ENDLIST" => playlist.ended = true,
            "EXT-X-STREAM-INF" => return Err(Kind::OtherKind("EXT-X-STREAM-INF")),
            _ => {}
        }
        Ok(())
    }

    fn segment(&mut self, uri: &str) -> Result<(), Kind> {
        let segment = Segment {
            duration: self.duration.take().ok_or(Kind::NoDuration)?,
            head: self.take_head(),
            uri: uri.to_owned(),
            byte_range: self.byte_range.take(),
            gap: std::mem::take(&mut self.gap),
            parts: std::mem::take(&mut self.parts),
        };
        self.playlist.segments.push(Arc::new(segment));
        Ok(())
    }

    fn take_head(&mut self) -> Head {
        let next = Head { map: self.head.map.clone(), ..Head::default() };
        std::mem::replace(&mut self.head, next)
    }

    pub(super) fn finish(mut self) -> Result<Update, Kind> {
        if self.duration.is_some() {
            return Err(Kind::Missing("a URI after EXTINF"));
        }
        if !self.has_target_duration {
            return Err(Kind::Missing("EXT-X-TARGETDURATION"));
        }
        if !self.parts.is_empty() || self.head.discontinuity || self.head.program_date_time.is_some() {
            self.playlist.open = Some(Open { head: self.head, parts: self.parts });
        }
        Ok(match self.skipped {
            None => Update::Full(self.playlist),
            Some((skipped, removed_date_ranges)) => {
                Update::Delta(Delta { skipped, removed_date_ranges, rest: self.playlist })
            }
        })
    }
}

/// SKIPPED-SEGMENTS and, tab between them, RECENTLY-REMOVED-DATERANGES.
fn skip(list: &Attributes<'_>) -> Result<(u64, Option<Vec<String>>), tag::Error> {
    let skipped = list.integer("SKIPPED-SEGMENTS")?.ok_or(tag::Error::Missing("SKIPPED-SEGMENTS"))?;
    let ids = |text: &str| text.split('\t').filter(|id| !id.is_empty()).map(str::to_owned).collect();
    Ok((skipped, list.text("RECENTLY-REMOVED-DATERANGES").map(ids)))
}

fn part(list: &Attributes<'_>) -> Result<Part, tag::Error> {
    Ok(Part {
        duration: list.seconds("DURATION")?.ok_or(tag::Error::Missing("DURATION"))?,
        uri: list.required("URI")?.to_owned(),
        byte_range: range(list)?,
        independent: list.yes("INDEPENDENT"),
        gap: list.yes("GAP"),
    })
}

fn map(list: &Attributes<'_>) -> Result<Map, tag::Error> {
    Ok(Map { uri: list.required("URI")?.to_owned(), byte_range: range(list)? })
}

fn range(list: &Attributes<'_>) -> Result<Option<ByteRange>, tag::Error> {
    let range = |text| byte_range(text).ok_or(tag::Error::Value("BYTERANGE"));
    list.text("BYTERANGE").map(range).transpose()
}

/// `length[@offset]`
fn byte_range(text: &str) -> Option<ByteRange> {
    Some(match text.split_once('@') {
        None => ByteRange { length: tag::integer(text)?, offset: None },
        Some((length, offset)) => {
            ByteRange { length: tag::integer(length)?, offset: Some(tag::integer(offset)?) }
        }
    })
}

fn server_control(list: &Attributes<'_>) -> Result<ServerControl, tag::Error> {
    Ok(ServerControl {
        can_block_reload: list.yes("CAN-BLOCK-RELOAD"),
        can_skip_until: list.seconds("CAN-SKIP-UNTIL")?,
        can_skip_dateranges: list.yes("CAN-SKIP-DATERANGES"),
        hold_back: list.seconds("HOLD-BACK")?,
        part_hold_back: list.seconds("PART-HOLD-BACK")?,
    })
}

/// `None` for hints of maps.
fn hint(list: &Attributes<'_>) -> Result<Option<Hint>, tag::Error> {
    if list.required("TYPE")? != "PART" {
        return Ok(None);
    }
    Ok(Some(Hint {
        uri: list.required("URI")?.to_owned(),
        start: list.integer("BYTERANGE-START")?.unwrap_or(0),
        length: list.integer("BYTERANGE-LENGTH")?,
    }))
}

fn report(list: &Attributes<'_>) -> Result<Report, tag::Error> {
    let last_part = list.integer("LAST-PART")?.map(u32::try_from).transpose();
    Ok(Report {
        uri: list.required("URI")?.to_owned(),
        last_msn: list.integer("LAST-MSN")?.ok_or(tag::Error::Missing("LAST-MSN"))?,
        last_part: last_part.map_err(|_too_large| tag::Error::Value("LAST-PART"))?,
    })
}
