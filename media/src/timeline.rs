//! A publisher's wrapping timestamps as two tracks of one clock that starts at zero and never falls.
#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::cast_possible_truncation)
)]

use crate::Track;

/// How a protocol counts time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Clock {
    /// After how many bits a timestamp wraps; at most 63.
    pub(crate) bits: u32,
    /// Ticks in a millisecond.
    pub(crate) per_ms: i64,
}

/// Where the tracks of one publisher stand.
#[derive(Debug)]
pub(crate) struct Timeline {
    clock: Clock,
    video: Position,
    audio: Position,
    /// The unwrapped timestamp of the first frame, of either track, which is time zero.
    origin: Option<i64>,
}

/// When a frame is decoded, in ticks of the publisher's clock.
pub(crate) struct Placed {
    /// Never falls within a track, never negative.
    pub(crate) dts: i64,
    /// What the publisher meant, before it was raised to the track's last: the base for its presentation time.
    pub(crate) intended: i64,
    /// The timestamp went back, or forward by more than ten seconds, and was re-based onto the track's last.
    pub(crate) jumped: bool,
    /// The timestamp was a little before the track's last and was raised to it.
    pub(crate) stepped_back: bool,
}

#[derive(Debug, Default, Clone, Copy)]
struct Position {
    last: Option<Last>,
    /// What jumps have added to the publisher's time so far.
    shift: i64,
}

#[derive(Debug, Clone, Copy)]
struct Last {
    raw: i64,
    unwrapped: i64,
    dts: i64,
    /// How far it was after the one before it.
    step: i64,
}

impl Clock {
    /// The distance between two timestamps, right through a wrap in either direction.
    pub(crate) fn difference(self, later: i64, earlier: i64) -> i64 {
        let unused = 64_u32.saturating_sub(self.bits);
        // Taken as signed in as many bits as a timestamp has.
        later.wrapping_sub(earlier).wrapping_shl(unused).wrapping_shr(unused)
    }

    fn ms(self, milliseconds: i64) -> i64 {
        milliseconds.saturating_mul(self.per_ms)
    }
}

impl Timeline {
    pub(crate) fn new(clock: Clock) -> Self {
        Self { clock, video: Position::default(), audio: Position::default(), origin: None }
    }

    /// Takes the timestamp of the next frame of a track, in ticks, as it stands in the protocol.
    pub(crate) fn place(&mut self, track: Track, raw: i64) -> Placed {
        let clock = self.clock;
        let (position, other) = match track {
            Track::Video => (&mut self.video, self.audio),
            Track::Audio => (&mut self.audio, self.video),
        };
        let reference = position.last.or(other.last);
        let unwrapped =
            reference.map_or(raw, |last| last.unwrapped.saturating_add(clock.difference(raw, last.raw)));
        let origin = *self.origin.get_or_insert(unwrapped);
        let own = unwrapped.saturating_sub(origin);

        if position.last.is_none() {
            position.shift = other.shift;
        }
        let mut intended = own.saturating_add(position.shift);
        let mut jumped = false;
        let expected = match (position.last, other.last) {
            (Some(last), _) => Some((last.dts, last.dts.saturating_add(last.step))),
            (None, Some(other)) => Some((other.dts, other.dts)),
            (None, None) => None,
        };
        if let Some((last, next)) = expected {
            let back = if position.last.is_some() { MAX_STEP_BACK_MS } else { MAX_GAP_MS };
            let fits = |time: i64, back_ms: i64, gap_ms: i64| {
                time >= last.saturating_sub(clock.ms(back_ms))
                    && time <= last.saturating_add(clock.ms(gap_ms))
            };
            if !fits(intended, back, MAX_GAP_MS) {
                jumped = true;
                // The other track has often made the same jump; following it keeps the two in step.
                let followed = own.saturating_add(other.shift);
                intended = if fits(followed, MAX_STEP_BACK_MS, MAX_FOLLOWED_MS) { followed } else { next };
                position.shift = intended.saturating_sub(own);
            }
        }
        let floor = position.last.map_or(0, |last| last.dts);
        let dts = intended.max(floor);
        let stepped_back = dts > intended && position.last.is_some();
        let step = position.last.map_or(0, |last| dts.saturating_sub(last.dts));
        let step = step.min(clock.ms(MAX_FOLLOWED_MS));
        position.last = Some(Last { raw, unwrapped, dts, step });
        Placed { dts, intended, jumped, stepped_back }
    }

    /// Where a further video track's frame of this timestamp lies, in ticks: where the video's would. It is not kept from
    /// falling, and may be negative. `None` where that is further away from the video than any pause: one of the two
    /// has jumped, and the video leads.
    pub(crate) fn place_beside(&mut self, raw: i64) -> Option<i64> {
        let clock = self.clock;
        let main = if self.video.last.is_some() { self.video } else { self.audio };
        let unwrapped =
            main.last.map_or(raw, |last| last.unwrapped.saturating_add(clock.difference(raw, last.raw)));
        let origin = *self.origin.get_or_insert(unwrapped);
        let time = unwrapped.saturating_sub(origin).saturating_add(main.shift);
        let near =
            |last: Last| time.saturating_sub(last.dts).unsigned_abs() <= clock.ms(MAX_GAP_MS).unsigned_abs();
        main.last.is_none_or(near).then_some(time)
    }
}

/// Encoders that stamp frames by arrival may go back by a few frames; more is another clock.
const MAX_STEP_BACK_MS: i64 = 100;
/// A pause this long is still one broadcast's; beyond it, the publisher's clock was set.
const MAX_GAP_MS: i64 = 10_000;
/// How far behind its own last frame the other track's jump may put a track that follows it.
const MAX_FOLLOWED_MS: i64 = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_go_through_the_wrap() {
        for bits in [32, 33] {
            let clock = Clock { bits, per_ms: 1 };
            let end = 1_i64 << bits;
            assert_eq!(clock.difference(5, end - 5), 10);
            assert_eq!(clock.difference(end - 5, 5), -10);
            assert_eq!(clock.difference(end / 2 - 1, 0), end / 2 - 1);
        }
    }
}
