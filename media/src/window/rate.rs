//! How many bits per second a rendition takes.

use std::time::Duration;

/// Bits per second of the segments so far.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Rate {
    pub(crate) peak: u64,
    bits: u64,
    time: Duration,
}

impl Rate {
    /// Bits per second over everything.
    pub(crate) fn average(&self) -> u64 {
        per_second(self.bits, self.time)
    }

    /// Counts a segment in.
    pub(super) fn add(&mut self, bytes: usize, time: Duration) {
        let bits = 8 * bytes as u64;
        self.bits = self.bits.saturating_add(bits);
        self.time = self.time.saturating_add(time);
        // The last segment of a broadcast may be a single frame, which says nothing of the rate.
        if time >= LEAST_MEASURED || self.peak == 0 {
            self.peak = self.peak.max(per_second(bits, time));
        }
    }
}

fn per_second(bits: u64, time: Duration) -> u64 {
    let rate = u128::from(bits) * 1_000_000 / time.as_micros().max(1);
    u64::try_from(rate).unwrap_or(u64::MAX)
}

/// RFC 8216bis appendix B measures peaks over segments of at least half the target duration.
const LEAST_MEASURED: Duration = Duration::from_millis(500);
