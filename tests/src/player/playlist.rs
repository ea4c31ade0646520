//! A reading of media and multivariant playlists that shares no code with the ones who write them.

use anyhow::{Context as _, Result, bail, ensure};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::attributes::Attributes;

/// A media playlist as its text says, nothing filled in.
#[derive(Debug, Clone, Default)]
pub struct Media {
    pub version: u32,
    /// Seconds.
    pub target: Option<u32>,
    /// Seconds.
    pub part_target: Option<f64>,
    pub control: Control,
    pub msn: u64,
    pub discontinuity_sequence: u64,
    /// The first `EXT-X-MAP`.
    pub map: Option<String>,
    /// Segments that `EXT-X-SKIP` left out before the first of `segments`.
    pub skipped: u64,
    /// Date ranges that were removed, when the client's were left out as well.
    pub removed_ranges: Option<Vec<String>>,
    pub ranges: Vec<DateRange>,
    pub i_frames_only: bool,
    pub segments: Vec<Segment>,
    /// Parts of the segment that is still growing.
    pub growing: Vec<Part>,
    /// It begins with a discontinuity.
    pub growing_discontinuity: bool,
    /// Its map; none when none has been read.
    pub growing_map: Option<String>,
    /// URI of the part that `EXT-X-PRELOAD-HINT` announces.
    pub hint: Option<String>,
    pub reports: Vec<Report>,
    pub ended: bool,
}

/// `EXT-X-DATERANGE`.
#[derive(Debug, Clone, PartialEq)]
pub struct DateRange {
    pub id: String,
    /// Seconds since the Unix epoch.
    pub start: f64,
    /// Seconds since the Unix epoch: the start, where nothing says how long it lasts.
    pub end: f64,
    /// The attributes as they are written.
    pub text: String,
}

/// `EXT-X-SERVER-CONTROL`, in seconds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Control {
    pub can_block_reload: bool,
    pub part_hold_back: Option<f64>,
    pub hold_back: Option<f64>,
    pub can_skip_until: Option<f64>,
    pub can_skip_ranges: bool,
}

/// A whole segment.
#[derive(Debug, Clone, PartialEq)]
pub struct Segment {
    pub msn: u64,
    pub uri: String,
    /// Seconds.
    pub duration: f64,
    /// Seconds since the Unix epoch.
    pub date: Option<f64>,
    pub discontinuity: bool,
    /// The map in force; none when none has been read.
    pub map: Option<String>,
    pub gap: bool,
    /// Offset and length of what the segment is of its resource.
    pub range: Option<(u64, u64)>,
    pub parts: Vec<Part>,
}

/// `EXT-X-PART`.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    pub uri: String,
    /// Seconds.
    pub duration: f64,
    pub independent: bool,
    /// It is missing.
    pub gap: bool,
}

/// `EXT-X-RENDITION-REPORT`.
#[derive(Debug, Clone)]
pub struct Report {
    pub uri: String,
    pub last_msn: u64,
    pub last_part: Option<u64>,
}

/// A multivariant playlist.
#[derive(Debug, Clone, Default)]
pub struct Multivariant {
    pub variants: Vec<Variant>,
    pub audio: Vec<Audio>,
    /// INSTREAM-ID of each captions entry, with its group.
    pub captions: Vec<(String, String)>,
    pub i_frames: Vec<IFrames>,
    pub steering: Option<String>,
    pub independent_segments: bool,
    pub version: u32,
}

/// `EXT-X-STREAM-INF` and its URI.
#[derive(Debug, Clone)]
pub struct Variant {
    pub uri: String,
    pub bandwidth: u64,
    pub codecs: String,
    pub resolution: Option<(u32, u32)>,
    pub frame_rate: Option<f64>,
    pub audio: Option<String>,
    pub average: Option<u64>,
    /// `NONE`, or a group in quotes.
    pub captions: Option<String>,
    pub pathway: Option<String>,
}

/// `EXT-X-I-FRAME-STREAM-INF`.
#[derive(Debug, Clone)]
pub struct IFrames {
    pub uri: String,
    pub bandwidth: u64,
    pub codecs: String,
    pub resolution: Option<(u32, u32)>,
}

/// `EXT-X-MEDIA` of type audio.
#[derive(Debug, Clone)]
pub struct Audio {
    pub group: String,
    pub uri: String,
}

impl Media {
    /// Reads the text; fails on anything that is not in the grammar of RFC 8216bis section 4.
    pub fn parse(text: &str) -> Result<Self> {
        let mut list = Self::default();
        let mut pending = Pending::default();
        for (number, line) in lines(text)? {
            list.line(line, &mut pending).with_context(|| format!("line {number}: {line}"))?;
        }
        ensure!(pending.duration.is_none(), "an EXTINF has no URI");
        list.growing = pending.parts;
        list.growing_discontinuity = pending.discontinuity;
        list.growing_map = pending.map;
        Ok(list)
    }

    fn line(&mut self, line: &str, pending: &mut Pending) -> Result<()> {
        let Some((tag, value)) = split_tag(line) else {
            return self.uri(line, pending);
        };
        match tag {
            "EXT-X-VERSION" => self.version = value.parse()?,
            "EXT-X-TARGETDURATION" => self.target = Some(value.parse()?),
            "EXT-X-MEDIA-SEQUENCE" => {
                ensure!(self.segments.is_empty(), "comes after the first segment");
                self.msn = value.parse()?;
            }
            "EXT-X-DISCONTINUITY-SEQUENCE" => self.discontinuity_sequence = value.parse()?,
            "EXT-X-INDEPENDENT-SEGMENTS" => {}
            "EXT-X-ENDLIST" => self.ended = true,
            "EXT-X-DISCONTINUITY" => pending.discontinuity = true,
            "EXT-X-PROGRAM-DATE-TIME" => {
                let date = OffsetDateTime::parse(value, &Rfc3339)?;
                pending.date = Some(date.unix_timestamp_nanos() as f64 / 1e9);
            }
            "EXTINF" => {
                let (duration, _title) = value.split_once(',').context("EXTINF needs a comma")?;
                pending.duration = Some(duration.parse()?);
            }
            "EXT-X-PART-INF" => self.part_target = Some(Attributes::parse(value)?.float("PART-TARGET")?),
            "EXT-X-SERVER-CONTROL" => {
                let attributes = Attributes::parse(value)?;
                self.control = Control {
                    can_block_reload: attributes.word("CAN-BLOCK-RELOAD") == Some("YES"),
                    part_hold_back: attributes.optional_float("PART-HOLD-BACK")?,
                    hold_back: attributes.optional_float("HOLD-BACK")?,
                    can_skip_until: attributes.optional_float("CAN-SKIP-UNTIL")?,
                    can_skip_ranges: attributes.word("CAN-SKIP-DATERANGES") == Some("YES"),
                };
            }
            "EXT-X-MAP" => {
                let uri = Attributes::parse(value)?.text("URI")?;
                self.map.get_or_insert_with(|| uri.clone());
                pending.map = Some(uri);
            }
            "EXT-X-SKIP" => {
                ensure!(self.segments.is_empty(), "comes after the first segment");
                let attributes = Attributes::parse(value)?;
                self.skipped = attributes.number("SKIPPED-SEGMENTS")?;
                let removed = attributes.quoted("RECENTLY-REMOVED-DATERANGES");
                let ids =
                    |text: String| text.split('\t').map(str::to_owned).filter(|id| !id.is_empty()).collect();
                self.removed_ranges = removed.map(ids);
            }
            "EXT-X-DATERANGE" => self.ranges.push(date_range(value)?),
            "EXT-X-I-FRAMES-ONLY" => self.i_frames_only = true,
            "EXT-X-GAP" => pending.gap = true,
            "EXT-X-BYTERANGE" => {
                let (length, offset) = value.split_once('@').context("a range without offset")?;
                pending.range = Some((offset.parse()?, length.parse()?));
            }
            "EXT-X-PART" => {
                let attributes = Attributes::parse(value)?;
                pending.parts.push(Part {
                    uri: attributes.text("URI")?,
                    duration: attributes.float("DURATION")?,
                    independent: attributes.word("INDEPENDENT") == Some("YES"),
                    gap: attributes.word("GAP") == Some("YES"),
                });
            }
            "EXT-X-PRELOAD-HINT" => {
                let attributes = Attributes::parse(value)?;
                ensure!(attributes.word("TYPE") == Some("PART"), "only parts are hinted");
                ensure!(self.hint.is_none(), "a second hint for a part");
                self.hint = Some(attributes.text("URI")?);
            }
            "EXT-X-RENDITION-REPORT" => {
                let attributes = Attributes::parse(value)?;
                self.reports.push(Report {
                    uri: attributes.text("URI")?,
                    last_msn: attributes.number("LAST-MSN")?,
                    last_part: attributes.word("LAST-PART").map(str::parse).transpose()?,
                });
            }
            _ => bail!("no tag of a live media playlist"),
        }
        Ok(())
    }

    fn uri(&mut self, uri: &str, pending: &mut Pending) -> Result<()> {
        let next = Pending { map: pending.map.clone(), ..Pending::default() };
        let pending = std::mem::replace(pending, next);
        self.segments.push(Segment {
            msn: self.msn + self.skipped + self.segments.len() as u64,
            uri: uri.to_owned(),
            duration: pending.duration.context("a URI without EXTINF")?,
            date: pending.date,
            discontinuity: pending.discontinuity,
            map: pending.map,
            gap: pending.gap,
            range: pending.range,
            parts: pending.parts,
        });
        Ok(())
    }

    /// Media sequence number and index of the last part (or of the last segment, when it has no parts).
    pub fn last(&self) -> (u64, u64) {
        let next_msn = self.msn + self.skipped + self.segments.len() as u64;
        match (self.growing.len() as u64, self.segments.last()) {
            (0, Some(segment)) => (segment.msn, (segment.parts.len() as u64).saturating_sub(1)),
            (0, None) => (next_msn, 0),
            (growing, _) => (next_msn, growing - 1),
        }
    }

    /// Whether a segment, whole or growing, begins with a discontinuity, and its map.
    pub fn head(&self, msn: u64) -> (bool, Option<&str>) {
        let whole = self.segments.iter().find(|segment| segment.msn == msn);
        let growing = || (self.growing_discontinuity, self.growing_map.as_deref());
        whole.map_or_else(growing, |segment| (segment.discontinuity, segment.map.as_deref()))
    }

    /// Media sequence number of the segment that is growing, or will be next.
    pub fn growing_msn(&self) -> u64 {
        self.msn + self.skipped + self.segments.len() as u64
    }

    /// Every part that is listed, oldest first, with its segment's number and its index.
    pub fn parts(&self) -> impl Iterator<Item = (u64, u64, &Part)> {
        let whole = self.segments.iter().map(|segment| (segment.msn, &segment.parts));
        let growing = std::iter::once((self.growing_msn(), &self.growing));
        whole.chain(growing).flat_map(|(msn, parts)| (0..).zip(parts).map(move |(i, part)| (msn, i, part)))
    }
}

#[derive(Default)]
struct Pending {
    duration: Option<f64>,
    date: Option<f64>,
    discontinuity: bool,
    map: Option<String>,
    gap: bool,
    range: Option<(u64, u64)>,
    parts: Vec<Part>,
}

impl Multivariant {
    /// Reads the text; fails on anything outside the grammar, and on tags we have no use for.
    pub fn parse(text: &str) -> Result<Self> {
        let mut list = Self::default();
        let mut variant: Option<Variant> = None;
        for (number, line) in lines(text)? {
            let Some((tag, value)) = split_tag(line) else {
                let mut variant = variant.take().with_context(|| format!("{line}: a URI without variant"))?;
                line.clone_into(&mut variant.uri);
                list.variants.push(variant);
                continue;
            };
            let attributes = || Attributes::parse(value).with_context(|| format!("line {number}: {line}"));
            match tag {
                "EXT-X-VERSION" => list.version = value.parse()?,
                "EXT-X-INDEPENDENT-SEGMENTS" => list.independent_segments = true,
                "EXT-X-MEDIA" => {
                    let attributes = attributes()?;
                    attributes.text("NAME")?;
                    let group = attributes.text("GROUP-ID")?;
                    match attributes.word("TYPE") {
                        Some("AUDIO") => list.audio.push(Audio { group, uri: attributes.text("URI")? }),
                        Some("CLOSED-CAPTIONS") => {
                            ensure!(
                                attributes.quoted("URI").is_none(),
                                "line {number}: captions have no URI"
                            );
                            list.captions.push((attributes.text("INSTREAM-ID")?, group));
                        }
                        other => bail!("line {number}: {other:?} is not expected"),
                    }
                }
                "EXT-X-I-FRAME-STREAM-INF" => {
                    let attributes = attributes()?;
                    list.i_frames.push(IFrames {
                        uri: attributes.text("URI")?,
                        bandwidth: attributes.number("BANDWIDTH")?,
                        codecs: attributes.text("CODECS")?,
                        resolution: attributes.word("RESOLUTION").map(resolution).transpose()?,
                    });
                }
                "EXT-X-CONTENT-STEERING" => list.steering = Some(attributes()?.text("SERVER-URI")?),
                "EXT-X-STREAM-INF" => {
                    let attributes = attributes()?;
                    variant = Some(Variant {
                        uri: String::new(),
                        bandwidth: attributes.number("BANDWIDTH")?,
                        codecs: attributes.text("CODECS")?,
                        resolution: attributes.word("RESOLUTION").map(resolution).transpose()?,
                        frame_rate: attributes.optional_float("FRAME-RATE")?,
                        audio: attributes.quoted("AUDIO"),
                        average: attributes.word("AVERAGE-BANDWIDTH").map(str::parse).transpose()?,
                        captions: attributes.raw("CLOSED-CAPTIONS").map(str::to_owned),
                        pathway: attributes.quoted("PATHWAY-ID"),
                    });
                }
                _ => bail!("line {number}: {line}: no tag we know in a multivariant playlist"),
            }
        }
        ensure!(variant.is_none(), "an EXT-X-STREAM-INF has no URI");
        Ok(list)
    }
}

fn date_range(value: &str) -> Result<DateRange> {
    let attributes = Attributes::parse(value)?;
    let date = |text: String| -> Result<f64> {
        Ok(OffsetDateTime::parse(&text, &Rfc3339)?.unix_timestamp_nanos() as f64 / 1e9)
    };
    let start = date(attributes.text("START-DATE")?)?;
    let end = attributes.quoted("END-DATE").map(date).transpose()?;
    let lasts = attributes.optional_float("DURATION")?.or(attributes.optional_float("PLANNED-DURATION")?);
    let end = end.unwrap_or(start + lasts.unwrap_or(0.0));
    ensure!(end >= start, "ends before it starts");
    Ok(DateRange { id: attributes.text("ID")?, start, end, text: value.to_owned() })
}

fn resolution(value: &str) -> Result<(u32, u32)> {
    let (width, height) = value.split_once('x').context("RESOLUTION is WIDTHxHEIGHT")?;
    Ok((width.parse()?, height.parse()?))
}

/// Numbered lines after `#EXTM3U`, without blank lines and comments.
fn lines(text: &str) -> Result<impl Iterator<Item = (usize, &str)>> {
    ensure!(text.lines().next() == Some("#EXTM3U"), "the first line is not #EXTM3U");
    let lines = text.lines().enumerate().skip(1).map(|(i, line)| (i + 1, line));
    Ok(lines.filter(|(_, line)| !line.is_empty() && (!line.starts_with('#') || line.starts_with("#EXT"))))
}

fn split_tag(line: &str) -> Option<(&str, &str)> {
    let tag = line.strip_prefix('#')?;
    Some(tag.split_once(':').unwrap_or((tag, "")))
}
