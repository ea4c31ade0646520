//! How long parts may be, given how long frames are.

use std::time::Duration;

/// The PART-TARGET for frames of this average and longest duration: what is wanted, give or take a hundredth so
/// that a whole number of frames fits, and different only where frames are so long that parts of whole frames
/// would fall below the 85 % of RFC 8216bis §4.4.4.9.
pub(crate) fn part_target(wanted: Duration, frame: Duration, longest: Duration) -> Duration {
    let (wanted, frame, longest) = (wanted.as_micros(), frame.as_micros().max(1), longest.as_micros());
    let nearest = (wanted + frame / 2) / frame * frame;
    let mut target = if nearest.abs_diff(wanted) <= wanted / 100 { nearest + JITTER } else { wanted };
    let whole = target / frame * frame;
    if whole * 100 < target * 85 {
        target = whole.max(frame) + JITTER;
    }
    if target < longest {
        target = longest + JITTER;
    }
    Duration::from_millis(u64::try_from(target.div_ceil(1000)).unwrap_or(u64::MAX))
}

/// The part target of an audio track beside video with target `shared`: rounded up to whole frames, so that a
/// segment has as many parts in both and none of a single frame at its end.
pub(crate) fn audio_part_target(shared: Duration, frame: Duration) -> Duration {
    let (target, frame) = (shared.as_micros(), frame.as_micros().max(1));
    let whole = target.div_ceil(frame) * frame;
    let millis = (whole + ROUNDING).div_ceil(1000);
    Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX))
}

/// In microseconds: a publisher's millisecond clock makes a run of frames up to one longer than it is.
const JITTER: u128 = 2000;

/// A frame's duration is cut to whole microseconds, and a part may have a hundred frames.
const ROUNDING: u128 = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_holds_a_whole_number_of_frames_and_nearly_fills_its_target() {
        for (frame_us, expected_ms, frames) in [
            (33_333, 502, 15),
            (33_367, 503, 15),
            (40_000, 500, 12),
            (41_708, 503, 12),
            (20_000, 502, 25),
            (16_683, 503, 30),
            (21_333, 500, 23),
            (23_220, 500, 21),
            (100_000, 502, 5),
            (142_857, 500, 3),
            (333_333, 336, 1),
            (1_000_000, 1002, 1),
        ] {
            let frame = Duration::from_micros(frame_us);
            let target = part_target(Duration::from_millis(500), frame, frame);
            assert_eq!(target.as_millis(), expected_ms, "{frame_us}");
            assert_eq!(target.as_micros() / frame.as_micros(), frames, "{frame_us}");
            assert!((frame * u32::try_from(frames).unwrap()).as_secs_f64() >= 0.85 * target.as_secs_f64());
        }
    }

    #[test]
    fn the_longest_frame_fits() {
        let [wanted, frame, longest] = [500, 40, 700].map(Duration::from_millis);
        assert_eq!(part_target(wanted, frame, longest).as_millis(), 702);
        assert!(part_target(wanted, Duration::ZERO, Duration::ZERO) >= wanted);
    }

    #[test]
    fn audio_rounds_up_to_whole_frames() {
        let shared = Duration::from_millis(502);
        for (frame_us, expected_ms) in [(21_333, 513), (23_219, 511), (128_000, 513), (10_666, 513)] {
            let target = audio_part_target(shared, Duration::from_micros(frame_us));
            assert_eq!(target.as_millis(), expected_ms, "{frame_us}");
            assert!(
                (target.as_micros() / u128::from(frame_us) * u128::from(frame_us)) * 100
                    >= 85 * target.as_micros()
            );
        }
    }
}
