//! What a media playlist request asks for and whether the playlist at hand answers it: delivery directives
//! (RFC 8216bis §6.2.5) and how long each answer may be cached (appendix B.1).

use std::fmt;
use std::time::Duration;

use super::media::Playlist;
use super::tag;

/// The delivery directives of a query.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Directives {
    /// `_HLS_msn`, with `_HLS_part` if given: answer once the playlist holds it.
    pub wait_for: Option<Position>,
    /// `_HLS_skip`: a delta update will do.
    pub skip: Option<Skip>,
}

/// A segment, or one part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    pub msn: u64,
    pub part: Option<u32>,
}

/// Which delta updates a client understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Skip {
    /// `YES`: segments left out.
    Segments,
    /// `v2`: date ranges left out as well.
    DateRanges,
}

/// What to do with a request now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolve {
    /// The playlist at hand is the answer.
    Now,
    /// Ask again of the next playlist.
    Wait,
    /// 400, now.
    BadRequest(BadRequest),
}

/// Why a request is answered with 400.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadRequest {
    #[error("{0} must be a decimal number")]
    Number(&'static str),
    #[error("{0} is given more than once")]
    Repeated(&'static str),
    #[error("_HLS_part needs _HLS_msn")]
    PartWithoutMsn,
    #[error("segment {asked} is too far ahead: the playlist ends with segment {last}")]
    SegmentTooFarAhead { asked: u64, last: u64 },
    #[error("part {asked} is too far ahead: at most part {limit} may be asked for now")]
    PartTooFarAhead { asked: u32, limit: u32 },
}

impl Directives {
    /// Reads a query, without its `?`. Other parameters are none of its business.
    pub fn parse(query: &str) -> Result<Self, BadRequest> {
        let (mut msn, mut part, mut skip) = (None, None, None);
        for pair in query.split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            match name {
                MSN => once(&mut msn, MSN, tag::integer(value).ok_or(BadRequest::Number(MSN))?)?,
                PART => {
                    // No segment has anywhere near this many parts: saturating says "beyond the last" as well.
                    let index = tag::integer(value).ok_or(BadRequest::Number(PART))?;
                    once(&mut part, PART, u32::try_from(index).unwrap_or(u32::MAX))?;
                }
                SKIP => match value {
                    "YES" => once(&mut skip, SKIP, Skip::Segments)?,
                    "v2" => once(&mut skip, SKIP, Skip::DateRanges)?,
                    // A version to come: the whole playlist is always a right answer.
                    _ => {}
                },
                _ => {}
            }
        }
        match (msn, part) {
            (None, Some(_)) => Err(BadRequest::PartWithoutMsn),
            (None, None) => Ok(Self { wait_for: None, skip }),
            (Some(msn), part) => Ok(Self { wait_for: Some(Position { msn, part }), skip }),
        }
    }

    /// The one spelling of these directives, for a cache key or an upstream request: names in alphabetical
    /// order, empty when there are none.
    pub fn canonical(&self) -> String {
        self.to_string()
    }

    /// Whether `playlist` answers the request (§6.2.5.2).
    pub fn resolve(&self, playlist: &Playlist) -> Resolve {
        let Some(Position { msn, part }) = self.wait_for else { return Resolve::Now };
        if playlist.ended || msn < playlist.end() && !self.rolls_over(playlist) {
            return Resolve::Now;
        }
        let open = playlist.open.as_ref().map_or(0, |open| open.parts.len());
        let open = u32::try_from(open).unwrap_or(u32::MAX);
        // The first part asked for, in terms of the segment that is being made.
        let (msn, part) = if msn < playlist.end() { (msn + 1, Some(0)) } else { (msn, part) };
        if msn == playlist.end() && part.is_some_and(|part| part < open) {
            return Resolve::Now;
        }
        let last = playlist.last().map_or(playlist.media_sequence, |(msn, _)| msn);
        if msn > last.saturating_add(2) {
            return Resolve::BadRequest(BadRequest::SegmentTooFarAhead { asked: msn, last });
        }
        // Parts of a segment that has none yet count from its beginning.
        let have = if msn == playlist.end() { open } else { 0 };
        let limit = have.saturating_add(advance_part_limit(playlist.part_target)).saturating_sub(1);
        match part {
            Some(asked) if asked > limit => Resolve::BadRequest(BadRequest::PartTooFarAhead { asked, limit }),
            _ => Resolve::Wait,
        }
    }

    /// How long the answer may be cached, in milliseconds: long when it blocked, because its URL says what
    /// it holds, and short when it did not (appendix B.1).
    pub fn max_age_ms(&self, target_duration: u32, success: bool) -> u64 {
        let target = u64::from(target_duration) * 1000;
        match (self.wait_for.is_some(), success) {
            (true, true) => target * 6,
            (true, false) => target * 4,
            (false, true) => target / 2,
            (false, false) => target,
        }
    }

    /// A part beyond the end of the last whole segment means the first of the next one.
    fn rolls_over(&self, playlist: &Playlist) -> bool {
        let Some(Position { msn, part: Some(part) }) = self.wait_for else { return false };
        let parts = playlist.segment(msn).map_or(0, |segment| segment.parts.len() as u64);
        msn.checked_add(1) == Some(playlist.end()) && parts > 0 && u64::from(part) >= parts
    }
}

impl fmt::Display for Directives {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        if let Some(Position { msn, part }) = self.wait_for {
            write!(f, "{MSN}={msn}")?;
            if let Some(part) = part {
                write!(f, "&{PART}={part}")?;
            }
            separator = "&";
        }
        match self.skip {
            None => Ok(()),
            Some(Skip::Segments) => write!(f, "{separator}{SKIP}=YES"),
            Some(Skip::DateRanges) => write!(f, "{separator}{SKIP}=v2"),
        }
    }
}

/// How long a request may block before it is answered with 503: three target durations (§6.2.5.2).
pub fn hold_limit(target_duration: u32) -> Duration {
    Duration::from_secs(3 * u64::from(target_duration))
}

/// How many parts beyond the last may be asked for (§6.2.5.2): three, or three seconds' worth of shorter ones.
fn advance_part_limit(part_target: Option<Duration>) -> u32 {
    let target = part_target.unwrap_or(Duration::from_secs(1)).as_nanos().max(1);
    let parts = (3 * Duration::from_secs(1).as_nanos()).div_ceil(target);
    u32::try_from(parts).unwrap_or(u32::MAX).max(3)
}

fn once<T>(slot: &mut Option<T>, name: &'static str, value: T) -> Result<(), BadRequest> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(BadRequest::Repeated(name)),
    }
}

const MSN: &str = "_HLS_msn";
const PART: &str = "_HLS_part";
const SKIP: &str = "_HLS_skip";

/// Fuzz body: what parses has one canonical spelling that parses to the same.
pub fn fuzz(data: &[u8]) {
    let Ok(query) = std::str::from_utf8(data) else { return };
    if let Ok(directives) = Directives::parse(query) {
        assert_eq!(Directives::parse(&directives.canonical()), Ok(directives));
        let _any = directives.resolve(&Playlist::default());
    }
}

#[cfg(test)]
mod tests;
