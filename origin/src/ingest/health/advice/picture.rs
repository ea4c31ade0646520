//! What is wrong with the pictures: keyframes, frames, bitrates, size.

use nearcast_api::RenditionId;

use super::super::alarm::Verdict;
use super::super::pictures::Groups;
use super::{Facts, bad, bits, short};

pub(super) fn keyframe_missing(facts: &Facts<'_>) -> Verdict {
    let seconds = facts.without_keyframe;
    match seconds {
        _ if facts.frames == 0 => Verdict::Unsure,
        12.0.. => bad(
            format!(
                "no keyframe for {seconds:.0} s: nobody can join; set the encoder's keyframe interval to 2 s"
            ),
            &[("without_s", seconds)],
        ),
        10.0.. => Verdict::Unsure,
        _ => Verdict::Good,
    }
}

pub(super) fn keyframes_rare(facts: &Facts<'_>) -> Verdict {
    let Groups { count, mean, .. } = facts.groups;
    match mean {
        _ if count == 0 => Verdict::Unsure,
        4.2.. => bad(
            format!(
                "keyframes every {} s: viewers will join slowly; set the encoder's keyframe interval to 2 s",
                short(mean)
            ),
            &[("interval_s", mean)],
        ),
        4.05.. => Verdict::Unsure,
        _ => Verdict::Good,
    }
}

pub(super) fn keyframes_uneven(facts: &Facts<'_>) -> Verdict {
    let Groups { count, shortest, longest, .. } = facts.groups;
    if count < 4 {
        return Verdict::Unsure;
    }
    match longest / shortest.max(0.01) {
        1.6.. => bad(
            format!(
                "keyframes come every {} to {} s: segments get uneven; set a fixed keyframe interval of 2 s, \
                 without scene-cut detection",
                short(shortest),
                short(longest)
            ),
            &[("shortest_s", shortest), ("longest_s", longest)],
        ),
        1.3.. => Verdict::Unsure,
        _ => Verdict::Good,
    }
}

pub(super) fn keyframes_apart(facts: &Facts<'_>) -> Verdict {
    let names: Vec<&str> = facts.notes.astray.iter().map(RenditionId::as_str).collect();
    if names.is_empty() {
        return Verdict::Good;
    }
    bad(
        format!(
            "the keyframes of {} are not where the source's are: its viewers get gaps; give all video tracks the same \
             keyframe interval, without scene-cut detection",
            names.join(" and ")
        ),
        &[],
    )
}

pub(super) fn frames_missing(facts: &Facts<'_>) -> Verdict {
    let (missing, there) = (facts.ten.total.missing as f64, facts.ten.total.video.frames as f64);
    if there < 10.0 {
        return Verdict::Unsure;
    }
    let share = missing / (missing + there);
    match share {
        0.02.. => bad(
            format!(
                "{missing:.0} of {:.0} frames were left out in 10 s: the encoder's machine or its line is overloaded; \
                 lower its resolution, frame rate or bitrate",
                missing + there
            ),
            &[("missing", missing), ("share", share)],
        ),
        0.01.. => Verdict::Unsure,
        _ => Verdict::Good,
    }
}

pub(super) fn frame_rate_uneven(facts: &Facts<'_>) -> Verdict {
    let Some((mean, deviation)) = facts.ten.steps() else { return Verdict::Unsure };
    // Where frames are missing, that is what there is to say.
    if mean < 1.0 || facts.ten.total.missing > 0 {
        return Verdict::Unsure;
    }
    match deviation / mean {
        0.2.. => bad(
            format!(
                "frames come every {mean:.0} ms, give or take {deviation:.0} ms: motion judders; set a constant frame rate"
            ),
            &[("interval_ms", mean), ("jitter_ms", deviation)],
        ),
        0.12.. => Verdict::Unsure,
        _ => Verdict::Good,
    }
}

pub(super) fn bitrate_unstable(facts: &Facts<'_>) -> Verdict {
    let Some((least, most)) = facts.swing else { return Verdict::Unsure };
    // A still picture needs next to nothing: only what costs something is worth steadying.
    if most < 500_000 {
        return Verdict::Good;
    }
    match most as f64 / least.max(1) as f64 {
        2.5.. => bad(
            format!(
                "the bitrate swings between {} and {}: players keep switching; use CBR in the encoder, or a cable \
                 instead of Wi-Fi",
                bits(least),
                bits(most)
            ),
            &[("least_bps", least as f64), ("most_bps", most as f64)],
        ),
        2.0.. => Verdict::Unsure,
        _ => Verdict::Good,
    }
}

pub(super) fn bitrate_low(facts: &Facts<'_>) -> Verdict {
    bitrate(facts, |per_pixel, wants, has, size| match per_pixel {
        ..0.02 => bad(
            format!(
                "{} is little for {size}: the picture will be blocky; set about {}",
                bits(has),
                bits(wants)
            ),
            &[("bitrate_bps", has as f64), ("advised_bps", wants as f64)],
        ),
        ..0.025 => Verdict::Unsure,
        _ => Verdict::Good,
    })
}

pub(super) fn bitrate_high(facts: &Facts<'_>) -> Verdict {
    bitrate(facts, |per_pixel, wants, has, size| match per_pixel {
        0.5.. => bad(
            format!("{} is much for {size}: many viewers cannot follow; {} would do", bits(has), bits(wants)),
            &[("bitrate_bps", has as f64), ("advised_bps", wants as f64)],
        ),
        0.4.. => Verdict::Unsure,
        _ => Verdict::Good,
    })
}

/// Judges the bits per pixel, of H.264's worth, of the last ten seconds.
fn bitrate(facts: &Facts<'_>, judge: fn(f64, u64, u64, &str) -> Verdict) -> Verdict {
    let Some(video) = facts.health.video.as_ref().filter(|_| facts.ten.seconds >= 10) else {
        return Verdict::Unsure;
    };
    let pixels = f64::from(video.width) * f64::from(video.height) * f64::from(video.frame_rate);
    if pixels < 1.0 {
        return Verdict::Unsure;
    }
    // Newer codecs need about half.
    let worth = if video.codec.starts_with("avc1") { 1.0 } else { 0.55 };
    let size = format!("{}x{} at {:.0} frames/s", video.width, video.height, video.frame_rate);
    let has = video.bitrate.mean;
    judge(has as f64 / worth / pixels, (pixels * worth * 0.1) as u64, has, &size)
}

pub(super) fn size_odd(facts: &Facts<'_>) -> Verdict {
    match &facts.health.video {
        Some(video) if video.width % 2 == 1 || video.height % 2 == 1 => bad(
            format!(
                "{}x{} has an odd side: some decoders show a stripe; use even numbers",
                video.width, video.height
            ),
            &[],
        ),
        _ => Verdict::Good,
    }
}

pub(super) fn b_frames(facts: &Facts<'_>) -> Verdict {
    match &facts.health.video {
        Some(video) if video.b_frames => bad(
            "the video has B-frames: they add delay, and viewers over WebRTC cannot get it untouched; set 0 B-frames \
             (x264: tune zerolatency) for the lowest delay"
                .into(),
            &[],
        ),
        _ => Verdict::Good,
    }
}
