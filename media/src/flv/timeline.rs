//! A publisher's wrapping millisecond timestamps as two tracks of one clock that starts at zero and never falls.

use super::Faults;
use crate::Track;

/// Where the tracks of one publisher stand.
#[derive(Debug, Default)]
pub(super) struct Timeline {
    video: Position,
    audio: Position,
    /// The unwrapped timestamp of the first frame, of either track, which is time zero.
    origin_ms: Option<i64>,
}

/// When a frame is decoded.
pub(super) struct Placed {
    /// Never falls within a track, never negative.
    pub(super) dts_ms: i64,
    /// What the publisher meant, before it was raised to the track's last: the base for its presentation time.
    pub(super) intended_ms: i64,
}

#[derive(Debug, Default, Clone, Copy)]
struct Position {
    last: Option<Last>,
    /// What jumps have added to the publisher's time so far.
    shift_ms: i64,
}

#[derive(Debug, Clone, Copy)]
struct Last {
    raw: u32,
    unwrapped_ms: i64,
    dts_ms: i64,
    /// How far it was after the one before it.
    step_ms: i64,
}

impl Timeline {
    /// Takes the timestamp of the next frame of a track.
    pub(super) fn place(&mut self, track: Track, raw: u32, faults: &mut Faults) -> Placed {
        let (position, other) = match track {
            Track::Video => (&mut self.video, self.audio),
            Track::Audio => (&mut self.audio, self.video),
        };
        // The difference modulo 2^32, taken as signed, is right through a wrap in either direction.
        let reference = position.last.or(other.last);
        let unwrapped_ms = reference.map_or(i64::from(raw), |last| {
            last.unwrapped_ms.saturating_add(i64::from(raw.wrapping_sub(last.raw).cast_signed()))
        });
        let origin_ms = *self.origin_ms.get_or_insert(unwrapped_ms);
        let own_ms = unwrapped_ms.saturating_sub(origin_ms);

        if position.last.is_none() {
            position.shift_ms = other.shift_ms;
        }
        let mut intended_ms = own_ms.saturating_add(position.shift_ms);
        let expected = match (position.last, other.last) {
            (Some(last), _) => Some((last.dts_ms, last.dts_ms.saturating_add(last.step_ms))),
            (None, Some(other)) => Some((other.dts_ms, other.dts_ms)),
            (None, None) => None,
        };
        if let Some((last_ms, next_ms)) = expected {
            let back = if position.last.is_some() { MAX_STEP_BACK_MS } else { MAX_GAP_MS };
            let fits = |time: i64, back: i64, gap: i64| {
                time >= last_ms.saturating_sub(back) && time <= last_ms.saturating_add(gap)
            };
            if !fits(intended_ms, back, MAX_GAP_MS) {
                faults.jumps = faults.jumps.saturating_add(1);
                // The other track has often made the same jump; following it keeps the two in step.
                let followed_ms = own_ms.saturating_add(other.shift_ms);
                intended_ms =
                    if fits(followed_ms, MAX_STEP_BACK_MS, MAX_FOLLOWED_MS) { followed_ms } else { next_ms };
                position.shift_ms = intended_ms.saturating_sub(own_ms);
            }
        }
        let floor_ms = position.last.map_or(0, |last| last.dts_ms);
        let dts_ms = intended_ms.max(floor_ms);
        if dts_ms > intended_ms && position.last.is_some() {
            faults.steps_back = faults.steps_back.saturating_add(1);
        }
        let step_ms = position.last.map_or(0, |last| dts_ms.saturating_sub(last.dts_ms)).min(MAX_FOLLOWED_MS);
        position.last = Some(Last { raw, unwrapped_ms, dts_ms, step_ms });
        Placed { dts_ms, intended_ms }
    }
}

/// Encoders that stamp frames by arrival may go back by a few frames; more is another clock.
const MAX_STEP_BACK_MS: i64 = 100;
/// A pause this long is still one broadcast's; beyond it, the publisher's clock was set.
const MAX_GAP_MS: i64 = 10_000;
/// How far behind its own last frame the other track's jump may put a track that follows it.
const MAX_FOLLOWED_MS: i64 = 1_000;
