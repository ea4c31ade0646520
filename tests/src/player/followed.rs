//! What following a rendition brought, and which rules it broke.

use std::time::Duration;

use anyhow::{Result, bail};

use super::findings::Findings;
use super::playlist::Segment;

/// What was seen of a rendition.
#[derive(Debug)]
pub struct Followed {
    /// Initialization section and whole segments in order: a file that any decoder reads.
    pub media: Vec<u8>,
    pub segments: Vec<Segment>,
    pub parts: usize,
    /// Delta updates that were applied.
    pub deltas: usize,
    /// Program date of the media's time zero, seconds since the Unix epoch: the same on all renditions.
    pub epoch: f64,
    /// Longest time from asking for the next playlist to having it.
    pub slowest_reload: Duration,
    pub findings: Findings,
}

impl Followed {
    /// The run itself if no rule was broken; otherwise an error that lists what was.
    pub fn strict(self) -> Result<Self> {
        if !self.findings.is_empty() {
            bail!("rules of LL-HLS were broken:\n{}", self.findings);
        }
        Ok(self)
    }

    /// The same for a run whose origin was lost with the part that it was about to make.
    pub fn strict_but_for_a_lost_origin(mut self) -> Result<Self> {
        self.findings.forgive(&["the hinted part was answered 502"]);
        self.strict()
    }

    /// Seconds between the dates of one segment and the next, less what the one lasts.
    pub fn holes(&self) -> Vec<f64> {
        let ends = self.segments.iter().filter_map(|segment| Some(segment.date? + segment.duration));
        let dates = self.segments.iter().skip(1).filter_map(|segment| segment.date);
        dates.zip(ends).map(|(date, end)| date - end).collect()
    }
}
