//! What a counter has counted since it was last looked at. A counter begins at nothing with its edge's process.

use nearcast_api::audience::{Audience, InCountry, Qoe, Sum};

/// The counters of a channel, or of viewers in a country, at one edge.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counters {
    pub(super) viewer_seconds: u64,
    pub(super) bytes: u64,
    pub(super) qoe: Qoe,
}

impl Counters {
    /// What came since `before`; all of it when they count less than then, and so began anew.
    pub(super) fn since(&self, before: &Self) -> Self {
        self.minus(before).unwrap_or(*self)
    }

    fn minus(&self, before: &Self) -> Option<Self> {
        Some(Self {
            viewer_seconds: self.viewer_seconds.checked_sub(before.viewer_seconds)?,
            bytes: self.bytes.checked_sub(before.bytes)?,
            qoe: Qoe {
                reports: self.qoe.reports.checked_sub(before.qoe.reports)?,
                buffer_ms: sum(self.qoe.buffer_ms, before.qoe.buffer_ms)?,
                throughput_kbps: sum(self.qoe.throughput_kbps, before.qoe.throughput_kbps)?,
                bitrate_kbps: sum(self.qoe.bitrate_kbps, before.qoe.bitrate_kbps)?,
                latency_ms: sum(self.qoe.latency_ms, before.qoe.latency_ms)?,
                startup_ms: sum(self.qoe.startup_ms, before.qoe.startup_ms)?,
                starved: self.qoe.starved.checked_sub(before.qoe.starved)?,
                starved_ms: sum(self.qoe.starved_ms, before.qoe.starved_ms)?,
                failed: self.qoe.failed.checked_sub(before.qoe.failed)?,
            },
        })
    }
}

impl From<&Audience> for Counters {
    fn from(Audience { viewer_seconds, bytes, qoe, .. }: &Audience) -> Self {
        Self { viewer_seconds: *viewer_seconds, bytes: *bytes, qoe: *qoe }
    }
}

impl From<&InCountry> for Counters {
    fn from(InCountry { viewer_seconds, bytes, qoe, .. }: &InCountry) -> Self {
        Self { viewer_seconds: *viewer_seconds, bytes: *bytes, qoe: *qoe }
    }
}

fn sum(now: Sum, before: Sum) -> Option<Sum> {
    Some(Sum { count: now.count.checked_sub(before.count)?, total: now.total.checked_sub(before.total)? })
}
