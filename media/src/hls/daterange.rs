//! Date ranges: what happens when in a broadcast (RFC 8216bis §4.4.5.1), and since when each has been listed,
//! which decides what a delta update may leave out (§6.2.5.1).

use std::sync::Arc;
use std::time::Duration;

use super::media::Playlist;
use super::tag::{self, Attributes, Writer};
use super::{date, delta};

/// A span of the broadcast's time with something to say of it (EXT-X-DATERANGE).
///
/// No text may hold `"` or a line's end; there is no way to write one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DateRange {
    pub id: String,
    pub class: Option<String>,
    /// Milliseconds since the Unix epoch.
    pub start: u64,
    /// Milliseconds since the Unix epoch.
    pub end: Option<u64>,
    pub duration: Option<Duration>,
    pub planned_duration: Option<Duration>,
    pub cue: Option<String>,
    pub end_on_next: bool,
    /// The client's own (`X-…`) and SCTE-35's, in the order of the text.
    pub attributes: Vec<(String, Value)>,
}

/// An attribute's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A quoted string.
    Text(String),
    /// A number or a hexadecimal sequence, as it is written: without commas, quotes and spaces around it.
    Plain(String),
}

/// The date ranges of a playlist as it changes, each with the segment that was being made when it came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History {
    listed: Vec<(Arc<DateRange>, u64)>,
    /// Ids that are listed no more.
    removed: Vec<(String, u64)>,
}

/// What a delta update that leaves out date ranges says of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Those that a client may not have yet.
    pub recent: Vec<Arc<DateRange>>,
    /// RECENTLY-REMOVED-DATERANGES.
    pub removed: Vec<String>,
}

impl DateRange {
    /// When it is over, in milliseconds since the Unix epoch: its start, where it says nothing else.
    pub fn ends(&self) -> u64 {
        let lasts = self.duration.or(self.planned_duration).unwrap_or_default().as_millis();
        let end = self.start.saturating_add(u64::try_from(lasts).unwrap_or(u64::MAX));
        self.end.unwrap_or(end).max(self.start)
    }

    pub(super) fn render(&self, out: &mut String) {
        let mut tag = Writer::new(out, "#EXT-X-DATERANGE").quoted("ID", &self.id);
        tag = tag.optional("CLASS", self.class.as_ref()).quoted("START-DATE", date::Date(self.start));
        tag = tag.optional("END-DATE", self.end.map(date::Date));
        for (name, value) in [("DURATION", self.duration), ("PLANNED-DURATION", self.planned_duration)] {
            if let Some(value) = value {
                tag = tag.seconds(name, value);
            }
        }
        tag = tag.optional("CUE", self.cue.as_ref());
        for (name, value) in &self.attributes {
            tag = match value {
                Value::Text(text) => tag.quoted(name, text),
                Value::Plain(text) => tag.plain(name, text),
            };
        }
        tag.yes("END-ON-NEXT", self.end_on_next).end();
    }

    pub(super) fn parse(list: &Attributes<'_>) -> Result<Self, tag::Error> {
        let time = |name: &'static str| {
            let read = |text| date::parse(text).ok_or(tag::Error::Value(name));
            list.text(name).map(read).transpose()
        };
        let own = list.iter().filter(|one| one.name.starts_with("X-") || one.name.starts_with("SCTE35-"));
        Ok(Self {
            id: list.required("ID")?.to_owned(),
            class: list.owned("CLASS"),
            start: time("START-DATE")?.ok_or(tag::Error::Missing("START-DATE"))?,
            end: time("END-DATE")?,
            duration: list.seconds("DURATION")?,
            planned_duration: list.seconds("PLANNED-DURATION")?,
            cue: list.owned("CUE"),
            end_on_next: list.yes("END-ON-NEXT"),
            attributes: own.map(|one| (one.name.to_owned(), Value::new(one.value, one.quoted))).collect(),
        })
    }
}

impl Value {
    fn new(text: &str, quoted: bool) -> Self {
        if quoted { Self::Text(text.to_owned()) } else { Self::Plain(text.trim().to_owned()) }
    }
}

impl History {
    /// The ranges, oldest first.
    pub fn ranges(&self) -> impl ExactSizeIterator<Item = &Arc<DateRange>> {
        self.listed.iter().map(|(range, _)| range)
    }

    /// Nothing is listed, and nothing was lately.
    pub fn is_empty(&self) -> bool {
        self.listed.is_empty() && self.removed.is_empty()
    }

    /// Whether a range with this id is listed or was until lately.
    pub fn knows(&self, id: &str) -> bool {
        self.listed.iter().any(|(range, _)| range.id == id)
            || self.removed.iter().any(|(known, _)| known == id)
    }

    /// Lists a range, instead of an older one of its id, while segment `msn` is being made.
    pub fn add(&mut self, range: Arc<DateRange>, msn: u64) {
        self.listed.retain(|(known, _)| known.id != range.id);
        self.removed.retain(|(known, _)| *known != range.id);
        self.listed.push((range, msn));
    }

    /// Takes away the ranges that `gone` holds of, while segment `msn` is being made, and forgets those that were
    /// taken away before segment `oldest`. True when there was one.
    pub fn remove(&mut self, gone: impl Fn(&DateRange) -> bool, msn: u64, oldest: u64) -> bool {
        self.removed.retain(|(_, removed)| *removed >= oldest);
        let before = self.listed.len();
        let removed = &mut self.removed;
        self.listed.retain(|(range, _)| {
            let gone = gone(range);
            if gone {
                removed.push((range.id.clone(), msn));
            }
            !gone
        });
        self.listed.len() < before
    }

    /// Follows a playlist that somebody else makes.
    pub fn update(&mut self, playlist: &Playlist) {
        let listed = |range: &DateRange| playlist.date_ranges.iter().any(|now| now.id == range.id);
        self.remove(|range| !listed(range), playlist.end(), playlist.media_sequence);
        for range in &playlist.date_ranges {
            if !self.listed.iter().any(|(known, _)| known == range) {
                self.add(Arc::clone(range), playlist.end());
            }
        }
    }

    /// What a delta update of `playlist` must say: a range that came while a segment was being made that is skipped
    /// itself is in every playlist that the update can be applied to.
    pub fn changes(&self, playlist: &Playlist) -> Changes {
        let boundary = playlist.media_sequence.saturating_add(delta::skippable(playlist) as u64);
        let recent = self.listed.iter().filter(|(_, msn)| *msn >= boundary);
        let removed = self.removed.iter().filter(|(_, msn)| *msn >= boundary);
        Changes {
            recent: recent.map(|(range, _)| Arc::clone(range)).collect(),
            removed: removed.map(|(id, _)| id.clone()).collect(),
        }
    }
}

#[cfg(test)]
mod tests;
