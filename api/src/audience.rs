//! Who watches at an edge, and how well it plays there.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ChannelId;
use crate::playback::Country;

/// A channel's audience at one edge. What is summed up begins with the edge's process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Audience {
    pub channel: ChannelId,
    /// Players with a request in the last ten seconds that ask for playlists.
    pub hls: u32,
    /// Those that ask for manifests.
    pub dash: u32,
    /// Those of whom only media requests were seen.
    #[serde(default)]
    pub other: u32,
    /// Seconds watched, by all of them together.
    pub viewer_seconds: u64,
    /// Bytes sent to them.
    pub bytes: u64,
    pub qoe: Qoe,
    /// How many of the players are in which country, `ZZ` for those of whom nobody knows: the ten with the most. Empty where the
    /// edge cannot know.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub countries: BTreeMap<Country, u32>,
}

/// The audience of all channels in a country, at one edge. What is summed up begins with the edge's process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct InCountry {
    pub country: Country,
    /// Players with a request in the last ten seconds.
    pub viewers: u32,
    /// Seconds watched, by all of them together.
    pub viewer_seconds: u64,
    /// Bytes sent to them.
    pub bytes: u64,
    pub qoe: Qoe,
}

/// Quality of experience as players tell it (CMCD: CTA-5004, CTA-5004-A).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct Qoe {
    /// Requests that said something.
    pub reports: u64,
    /// `bl`: how much was buffered, in milliseconds.
    pub buffer_ms: Sum,
    /// `mtp`: measured throughput, in kb/s.
    pub throughput_kbps: Sum,
    /// `br`: encoded bitrate of what was asked for, in kb/s.
    pub bitrate_kbps: Sum,
    /// `ltc`: behind the live edge, in milliseconds.
    pub latency_ms: Sum,
    /// `msd`: until the first picture, in milliseconds.
    pub startup_ms: Sum,
    /// `bs`: reports of a buffer that had run empty.
    pub starved: u64,
    /// `bsd`: for how long it was empty, in milliseconds.
    pub starved_ms: Sum,
    /// `ec`: reports of an error.
    pub failed: u64,
}

/// Values that were told, for their mean.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Sum {
    /// How many.
    pub count: u64,
    /// All of them together.
    pub total: u64,
}

impl Audience {
    /// All players.
    pub fn viewers(&self) -> u64 {
        u64::from(self.hls) + u64::from(self.dash) + u64::from(self.other)
    }
}

impl Qoe {
    /// Adds what was told elsewhere.
    pub fn add(&mut self, other: &Self) {
        let Self { reports, starved, failed, .. } = self;
        for (total, more) in [(reports, other.reports), (starved, other.starved), (failed, other.failed)] {
            *total = total.saturating_add(more);
        }
        for (sum, more) in [
            (&mut self.buffer_ms, other.buffer_ms),
            (&mut self.throughput_kbps, other.throughput_kbps),
            (&mut self.bitrate_kbps, other.bitrate_kbps),
            (&mut self.latency_ms, other.latency_ms),
            (&mut self.startup_ms, other.startup_ms),
            (&mut self.starved_ms, other.starved_ms),
        ] {
            sum.count = sum.count.saturating_add(more.count);
            sum.total = sum.total.saturating_add(more.total);
        }
    }
}

impl Sum {
    /// The mean; none of nothing.
    pub fn mean(self) -> Option<f64> {
        (self.count > 0).then(|| self.total as f64 / self.count as f64)
    }
}
