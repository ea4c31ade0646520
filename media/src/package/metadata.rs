//! What is told about a broadcast's time: a date range in every playlist, and a message in the media.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::rendition::Rendition;
use super::{Broadcast, Error, Event, MAX_DATE_RANGES};
use crate::fmp4::EventMessage;
use crate::frame::CLOCK;
use crate::hls::daterange::{DateRange, Value};

/// Something that happens in the broadcast.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    /// Unique in the broadcast: what comes again under the same id is the same.
    pub id: String,
    /// Milliseconds since the Unix epoch; `None` for now, which is the newest frame's time.
    pub at: Option<u64>,
    pub duration: Option<Duration>,
    /// Reverse DNS name of what it is.
    pub class: Option<String>,
    /// Names begin with `X-`.
    pub attributes: Vec<(String, Value)>,
    /// What the message in the media is, [`ID3_SCHEME`](crate::fmp4::ID3_SCHEME) for an ID3 tag, and the message.
    pub scheme: String,
    pub data: Bytes,
}

impl Broadcast {
    /// Lists a date range in every playlist, and puts a message into every video rendition, or into the audio where
    /// there is no video: in front of the part that holds its time, or of the next one.
    ///
    /// # Errors
    /// [`Error::Metadata`] for what a playlist cannot hold, [`Error::TooManyDateRanges`], [`Error::Ended`].
    pub fn announce(&mut self, metadata: Metadata) -> Result<Vec<Event>, Error> {
        if self.ended {
            return Err(Error::Ended);
        }
        if self.date_ranges.knows(&metadata.id) {
            return Ok(Vec::new());
        }
        check(&metadata)?;
        let Metadata { id, at, duration, class, attributes, scheme, data } = metadata;
        if self.date_ranges.ranges().len() >= MAX_DATE_RANGES {
            return Err(Error::TooManyDateRanges);
        }
        let time = match at {
            Some(at) => {
                i64::try_from(at.min(LAST)).unwrap_or(0) - i64::try_from(self.started_at).unwrap_or(0)
            }
            None => self.leader.newest().div_euclid(CLOCK / 1000),
        };
        let start = self.started_at.saturating_add_signed(time);
        let range = DateRange { id, class, start, duration, attributes, ..DateRange::default() };
        Arc::make_mut(&mut self.date_ranges).add(Arc::new(range), self.leader.next_msn());

        if self.schemes.len() < MAX_SCHEMES {
            self.schemes.insert(scheme.clone());
        }
        self.announced = self.announced.wrapping_add(1);
        let kind = self.renditions[0].spec.config.track();
        let (time, id, now) = (time.saturating_mul(CLOCK / 1000), self.announced, self.leader.newest());
        let event = EventMessage { scheme, time, duration, id, data };
        for rendition in self.renditions.iter_mut().filter(|one| one.spec.config.track() == kind) {
            rendition.announce(event.clone(), now);
        }
        let mut events = Vec::new();
        self.renditions.iter_mut().for_each(|rendition| rendition.touch(&mut events));
        Ok(events)
    }

    /// A rendition that joins carries what is still to come.
    pub(super) fn share_events(&self, rendition: &mut Rendition) {
        let (leader, now) = (&self.renditions[0], self.leader.newest());
        if leader.spec.config.track() == rendition.spec.config.track() {
            leader.pending_events().iter().for_each(|event| rendition.announce(event.clone(), now));
        }
    }

    /// Takes out of the playlists what was over before their first segment (§6.2.2).
    pub(super) fn expire_date_ranges(&mut self) {
        if self.date_ranges.ranges().len() == 0 {
            return;
        }
        let windows = || self.renditions.iter().filter_map(Rendition::window);
        let Some(oldest) = windows().filter_map(|window| window.oldest()).min() else { return };
        if self.date_ranges.ranges().any(|range| range.ends() < oldest) {
            let first = windows().map(|window| window.media_sequence()).min().unwrap_or(0);
            let msn = self.leader.next_msn();
            Arc::make_mut(&mut self.date_ranges).remove(|range| range.ends() < oldest, msn, first);
        }
    }
}

/// What a playlist can hold (RFC 8216bis §4.2): a quoted string has no quotes, an attribute's name is simple.
fn check(metadata: &Metadata) -> Result<(), Error> {
    let refuse = |problem| Err(Error::Metadata { id: metadata.id.chars().take(64).collect(), problem });
    let name = |name: &str| {
        name.starts_with("X-") && name.bytes().all(|b| matches!(b, b'A'..=b'Z' | b'0'..=b'9' | b'-'))
    };
    if metadata.id.is_empty() || !is_quotable(&metadata.id) {
        return refuse("the id is empty, or has quotes or control characters");
    }
    if !metadata.class.as_deref().is_none_or(is_quotable) {
        return refuse("the class has quotes or control characters");
    }
    for (attribute, value) in &metadata.attributes {
        let writable = match value {
            Value::Text(text) => is_quotable(text),
            Value::Plain(text) => !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic() && b != b','),
        };
        if !name(attribute) || !writable {
            return refuse(
                "an attribute is not X- and A-Z, 0-9, '-', or its value has quotes or control characters",
            );
        }
    }
    Ok(())
}

fn is_quotable(text: &str) -> bool {
    !text.chars().any(|char| char == '"' || char.is_control())
}

/// Kinds of messages that manifests name: more than any program has.
const MAX_SCHEMES: usize = 64;

/// The end of 9999: a date has four digits for the year.
const LAST: u64 = 253_402_300_799_999;
