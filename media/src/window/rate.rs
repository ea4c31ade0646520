//! How many bits per second a rendition takes, as BANDWIDTH and AVERAGE-BANDWIDTH mean it (RFC 8216bis §4.4.6.2).

use std::collections::VecDeque;
use std::time::Duration;

use super::Whole;

/// What a rendition takes when it is played, and when only the keyframes are that segments begin with.
#[derive(Debug)]
pub(super) struct Rates {
    pub(super) media: Rate,
    pub(super) i_frames: Rate,
}

/// Bits per second of the segments so far.
#[derive(Debug, Default)]
pub(crate) struct Rate {
    target: Duration,
    peak: u64,
    /// The newest segments without a hole between, as many as fit into one and a half target durations.
    run: VecDeque<Size>,
    /// Of all that is in the playlist.
    listed: Size,
}

/// Of one segment, or of several.
#[derive(Debug, Clone, Copy, Default)]
struct Size {
    bits: u64,
    time: Duration,
}

impl Rates {
    pub(super) fn new(target_duration: u32) -> Self {
        Self { media: Rate::new(target_duration), i_frames: Rate::new(target_duration) }
    }

    /// A segment joins the playlist.
    pub(super) fn add(&mut self, whole: &Whole) {
        let time = whole.segment.duration;
        for (rate, bytes) in self.sizes(whole) {
            match bytes {
                Some(bytes) => rate.add(bytes, time),
                None => rate.interrupt(),
            }
        }
    }

    /// A segment has left the playlist.
    pub(super) fn remove(&mut self, whole: &Whole) {
        for (rate, bytes) in self.sizes(whole) {
            bytes.into_iter().for_each(|bytes| rate.remove(bytes, whole.segment.duration));
        }
    }

    /// The playlist begins anew.
    pub(super) fn forget_listed(&mut self) {
        for rate in [&mut self.media, &mut self.i_frames] {
            (rate.listed, rate.run) = Default::default();
        }
    }

    /// What a segment adds to each rate, in bytes; nothing where something is missing.
    fn sizes(&mut self, whole: &Whole) -> [(&mut Rate, Option<u64>); 2] {
        let media = (!whole.segment.gap).then(|| whole.size());
        let i_frame = whole.i_frame.map(|range| range.length);
        [(&mut self.media, media), (&mut self.i_frames, i_frame)]
    }
}

impl Rate {
    fn new(target_duration: u32) -> Self {
        Self { target: Duration::from_secs(target_duration.into()), ..Self::default() }
    }

    /// Bits per second of the playlist.
    pub(crate) fn average(&self) -> u64 {
        self.listed.per_second()
    }

    /// The most bits per second of any run of segments that lasts 0.5 to 1.5 target durations.
    pub(crate) fn peak(&self) -> u64 {
        self.peak
    }

    /// A segment joins the playlist.
    fn add(&mut self, bytes: u64, time: Duration) {
        let size = Size::new(bytes, time);
        self.listed = self.listed.plus(size);
        self.run.push_back(size);
        let mut run = Size::default();
        let mut fits = 0;
        for size in self.run.iter().rev() {
            run = run.plus(*size);
            if run.time * 2 > self.target * 3 {
                break;
            }
            fits += 1;
            if run.time * 2 >= self.target {
                self.peak = self.peak.max(run.per_second());
            }
        }
        self.run.drain(..self.run.len().saturating_sub(fits));
        // A broadcast that is shorter than that has a rate as well.
        if self.peak == 0 {
            self.peak = size.per_second();
        }
    }

    /// Here a segment is missing.
    fn interrupt(&mut self) {
        self.run.clear();
    }

    /// A segment has left the playlist.
    fn remove(&mut self, bytes: u64, time: Duration) {
        let Size { bits, time } = Size::new(bytes, time);
        self.listed.bits = self.listed.bits.saturating_sub(bits);
        self.listed.time = self.listed.time.saturating_sub(time);
    }
}

impl Size {
    fn new(bytes: u64, time: Duration) -> Self {
        Self { bits: bytes.saturating_mul(8), time }
    }

    fn plus(self, other: Self) -> Self {
        Self { bits: self.bits.saturating_add(other.bits), time: self.time.saturating_add(other.time) }
    }

    fn per_second(self) -> u64 {
        let rate = u128::from(self.bits) * 1_000_000 / self.time.as_micros().max(1);
        u64::try_from(rate).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn the_peak_is_of_runs_about_as_long_as_the_target() {
        for (segments, peak) in [
            // The target is 2 s: a segment of that length by itself.
            (&[(1000, 2000), (2000, 2000), (1000, 2000)][..], 8_000),
            // Short ones count together: 3000 bytes in 1 s; not the one of 0.2 s alone.
            (&[(500, 500), (2000, 200), (1000, 800), (500, 2000)][..], 24_000),
            // The first alone is too short, but all there is.
            (&[(100, 100)][..], 8_000),
        ] {
            let mut rate = Rate::new(2);
            segments.iter().for_each(|(bytes, time)| rate.add(*bytes, ms(*time)));
            assert_eq!(rate.peak(), peak, "{segments:?}");
        }
    }

    #[test]
    fn a_hole_parts_two_runs() {
        let mut rate = Rate::new(2);
        rate.add(1000, ms(2000));
        rate.add(1000, ms(900));
        rate.interrupt();
        rate.add(1000, ms(900));
        assert_eq!(rate.peak(), 8 * 2000 / 2 / 2 + 1517);
    }

    #[test]
    fn the_average_is_of_what_is_listed() {
        let mut rate = Rate::new(2);
        rate.add(4000, ms(2000));
        rate.add(1000, ms(2000));
        assert_eq!(rate.average(), 10_000);
        rate.remove(4000, ms(2000));
        assert_eq!((rate.average(), rate.peak()), (4_000, 16_000));
    }
}
