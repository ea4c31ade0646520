//! What is counted in a bucket, and how buckets are put together.

use nearcast_api::audience::{Qoe, Sum};

/// How much was watched, and how well it played.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Amounts {
    /// For how much of the bucket somebody of there was heard, in milliseconds; 0 for channels.
    pub heard_ms: u64,
    /// Milliseconds watched, by all together.
    pub viewer_ms: u64,
    /// The most viewers at a time.
    pub peak: u64,
    /// Sent to viewers.
    pub bytes: u64,
    /// The most bits per second.
    pub peak_bps: u64,
    pub qoe: Qoe,
}

impl Amounts {
    /// Adds what was elsewhere at the same time: it was heard for as long as the one that was heard longer, and the peaks
    /// together are at most their sum.
    pub fn beside(&mut self, other: &Self) {
        self.heard_ms = self.heard_ms.max(other.heard_ms);
        self.peak = self.peak.saturating_add(other.peak);
        self.peak_bps = self.peak_bps.saturating_add(other.peak_bps);
        self.sums(other);
    }

    /// Adds what was in the same place at another time.
    pub fn after(&mut self, other: &Self) {
        self.heard_ms = self.heard_ms.saturating_add(other.heard_ms);
        self.peak = self.peak.max(other.peak);
        self.peak_bps = self.peak_bps.max(other.peak_bps);
        self.sums(other);
    }

    /// Takes the part of `of`/`whole` away, and gives it: what was counted in a part of the time. Peaks and what was heard are
    /// no sums, and stay.
    pub(super) fn split(&mut self, of: u64, whole: u64) -> Self {
        let take = |from: &mut u64| {
            let part = u128::from(*from) * u128::from(of) / u128::from(whole.max(1));
            let part = u64::try_from(part).unwrap_or(u64::MAX).min(*from);
            *from -= part;
            part
        };
        let sum = |from: &mut Sum| Sum { count: take(&mut from.count), total: take(&mut from.total) };
        let qoe = &mut self.qoe;
        Self {
            viewer_ms: take(&mut self.viewer_ms),
            bytes: take(&mut self.bytes),
            qoe: Qoe {
                reports: take(&mut qoe.reports),
                buffer_ms: sum(&mut qoe.buffer_ms),
                throughput_kbps: sum(&mut qoe.throughput_kbps),
                bitrate_kbps: sum(&mut qoe.bitrate_kbps),
                latency_ms: sum(&mut qoe.latency_ms),
                startup_ms: sum(&mut qoe.startup_ms),
                starved: take(&mut qoe.starved),
                starved_ms: sum(&mut qoe.starved_ms),
                failed: take(&mut qoe.failed),
            },
            ..Self::default()
        }
    }

    fn sums(&mut self, other: &Self) {
        self.viewer_ms = self.viewer_ms.saturating_add(other.viewer_ms);
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.qoe.add(&other.qoe);
    }
}
