//! Frame rates as bitstreams say them: a fraction that can be true, in its lowest terms.

/// `frames` in `seconds`, or nothing where that is no rate that a camera has.
pub(crate) fn reduced(frames: u32, seconds: u32) -> Option<(u32, u32)> {
    let divisor = greatest_common_divisor(frames, seconds);
    let (frames, seconds) = frames.checked_div(divisor).zip(seconds.checked_div(divisor))?;
    let possible = seconds > 0
        && seconds <= frames
        && u64::from(frames) <= u64::from(seconds).saturating_mul(MAX_FRAME_RATE);
    possible.then_some((frames, seconds))
}

fn greatest_common_divisor(a: u32, b: u32) -> u32 {
    match a.checked_rem(b) {
        Some(rest) => greatest_common_divisor(b, rest),
        None => a,
    }
}

/// Frames per second beyond which the field is taken for garbage.
const MAX_FRAME_RATE: u64 = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_rates_that_can_be_true_are_given() {
        assert_eq!(reduced(60_000, 2_002), Some((30_000, 1_001)));
        assert_eq!(reduced(50, 2), Some((25, 1)));
        for (frames, seconds) in [(0, 0), (0, 1), (25, 0), (1, 2), (u32::MAX, 1)] {
            assert_eq!(reduced(frames, seconds), None, "{frames}/{seconds}");
        }
    }
}
