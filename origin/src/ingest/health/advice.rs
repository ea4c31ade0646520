//! What is wrong with a publisher's stream, in words that say what to change: one function for each cause.

mod picture;

use std::time::Duration;

use nearcast_api::RenditionId;
use nearcast_api::ingest::Health;

use super::alarm::{Bad, Verdict};
use super::pictures::Groups;
use super::window::Span;
use crate::package::Notes;

/// What is known when somebody looks.
#[derive(Debug)]
pub(super) struct Facts<'a> {
    pub(super) health: &'a Health,
    /// Since the publisher began.
    pub(super) age: Duration,
    /// Since the last frame of either track, of the video, of the audio.
    pub(super) quiet: Duration,
    pub(super) video_quiet: Duration,
    pub(super) audio_quiet: Duration,
    /// The last ten seconds.
    pub(super) ten: Span,
    /// The last minute.
    pub(super) minute: Span,
    /// Least and greatest bits per second of ten seconds each, over the last minute; `None` before there is one.
    pub(super) swing: Option<(u64, u64)>,
    pub(super) groups: Groups,
    pub(super) without_keyframe: f64,
    /// Video frames since the beginning.
    pub(super) frames: u64,
    pub(super) silent: bool,
    /// Tracks that were not taken, in words.
    pub(super) left_out: &'a [&'static str],
    /// Of its own renditions.
    pub(super) notes: &'a Notes,
}

/// A cause, and how to tell that it is there.
pub(super) struct Check {
    pub(super) code: &'static str,
    /// Viewers do not suffer.
    pub(super) notice: bool,
    pub(super) judge: fn(&Facts<'_>) -> Verdict,
}

/// All of them, worst first.
pub(super) const CHECKS: [Check; 22] = [
    serious("stalled", stalled),
    serious("upload_slow", upload_slow),
    serious("video_missing", video_missing),
    serious("video_stopped", video_stopped),
    serious("audio_stopped", audio_stopped),
    serious("keyframe_missing", picture::keyframe_missing),
    serious("keyframes_rare", picture::keyframes_rare),
    serious("keyframes_apart", picture::keyframes_apart),
    serious("drift", drift),
    serious("timestamps_jump", timestamps_jump),
    serious("frames_missing", picture::frames_missing),
    serious("frame_rate_uneven", picture::frame_rate_uneven),
    serious("bitrate_unstable", picture::bitrate_unstable),
    serious("size_odd", picture::size_odd),
    serious("upload_fast", upload_fast),
    serious("track_left_out", track_left_out),
    notice("bitrate_low", picture::bitrate_low),
    notice("bitrate_high", picture::bitrate_high),
    notice("keyframes_uneven", picture::keyframes_uneven),
    notice("audio_missing", audio_missing),
    notice("audio_silent", audio_silent),
    notice("b_frames", picture::b_frames),
];

const fn serious(code: &'static str, judge: fn(&Facts<'_>) -> Verdict) -> Check {
    Check { code, notice: false, judge }
}

const fn notice(code: &'static str, judge: fn(&Facts<'_>) -> Verdict) -> Check {
    Check { code, notice: true, judge }
}

fn stalled(facts: &Facts<'_>) -> Verdict {
    let quiet = facts.quiet.as_secs_f64();
    match quiet {
        3.0.. => bad(
            format!(
                "nothing has come for {quiet:.0} s: viewers will stop; check the encoder and its connection"
            ),
            &[("quiet_s", quiet)],
        ),
        2.0.. => Verdict::Unsure,
        _ => Verdict::Good,
    }
}

fn upload_slow(facts: &Facts<'_>) -> Verdict {
    let (Some(pace), Some(sent)) = (facts.ten.pace(), facts.ten.sent()) else { return Verdict::Unsure };
    if facts.ten.seconds < 10 {
        return Verdict::Unsure;
    }
    let carried = (sent as f64 * pace) as u64;
    match pace {
        ..0.95 => bad(
            format!(
                "your line carries {} of the {} you send: lower the bitrate to {}",
                bits(carried),
                bits(sent),
                bits(carried * 4 / 5)
            ),
            &[("carried_bps", carried as f64), ("sent_bps", sent as f64), ("pace", pace)],
        ),
        ..0.98 => Verdict::Unsure,
        _ => Verdict::Good,
    }
}

fn upload_fast(facts: &Facts<'_>) -> Verdict {
    // What a line held back comes all at once: a whole minute tells that from a clock that runs too fast.
    let Some(pace) = facts.minute.pace().filter(|_| facts.minute.seconds >= 20) else {
        return Verdict::Unsure;
    };
    match pace {
        1.1.. => bad(
            format!(
                "{} s of media come in each second: players cannot stay live; send in real time (FFmpeg: -re)",
                short(pace)
            ),
            &[("pace", pace)],
        ),
        1.05.. => Verdict::Unsure,
        _ => Verdict::Good,
    }
}

fn video_missing(facts: &Facts<'_>) -> Verdict {
    if facts.health.video.is_some() {
        return Verdict::Good;
    }
    after(facts, 10, || {
        bad("there is no video, only audio: add a video source if viewers should see something".into(), &[])
    })
}

fn audio_missing(facts: &Facts<'_>) -> Verdict {
    if facts.health.audio.is_some() {
        return Verdict::Good;
    }
    after(facts, 10, || {
        bad("there is no audio, only video: add an audio source if viewers should hear something".into(), &[])
    })
}

fn video_stopped(facts: &Facts<'_>) -> Verdict {
    stopped("video", facts.health.video.is_some(), facts.video_quiet, facts.quiet)
}

fn audio_stopped(facts: &Facts<'_>) -> Verdict {
    stopped("audio", facts.health.audio.is_some(), facts.audio_quiet, facts.quiet)
}

/// One track is quiet while the other goes on.
fn stopped(track: &str, there: bool, quiet: Duration, both: Duration) -> Verdict {
    let seconds = quiet.as_secs_f64();
    if !there || seconds < 3.0 {
        return Verdict::Good;
    }
    if seconds < 5.0 || both.as_secs_f64() > 2.0 {
        return Verdict::Unsure;
    }
    bad(
        format!("the {track} stopped {seconds:.0} s ago, the rest goes on: check its source in the encoder"),
        &[("quiet_s", seconds)],
    )
}

fn drift(facts: &Facts<'_>) -> Verdict {
    let drift = f64::from(facts.health.drift_ms);
    if facts.health.video.is_none() || facts.health.audio.is_none() || facts.age < Duration::from_secs(10) {
        return Verdict::Good;
    }
    match drift.abs() {
        200.0.. => {
            let (first, second) = if drift > 0.0 { ("audio", "video") } else { ("video", "audio") };
            bad(
                format!(
                    "the {first} is {:.0} ms ahead of the {second}: lips and voice drift apart; use one clock for both \
                     sources, or restart the encoder",
                    drift.abs()
                ),
                &[("drift_ms", drift)],
            )
        }
        150.0.. => Verdict::Unsure,
        _ => Verdict::Good,
    }
}

fn timestamps_jump(facts: &Facts<'_>) -> Verdict {
    match facts.minute.total.jumps {
        0 => Verdict::Good,
        jumps => bad(
            format!(
                "timestamps jumped {jumps} times in a minute and were put right: do not loop files or switch clocks \
                 in the encoder"
            ),
            &[("jumps", jumps as f64)],
        ),
    }
}

fn audio_silent(facts: &Facts<'_>) -> Verdict {
    match facts.silent {
        true => bad("the audio is silent: is the source muted, or the wrong one chosen?".into(), &[]),
        false => Verdict::Good,
    }
}

fn track_left_out(facts: &Facts<'_>) -> Verdict {
    let mut words: Vec<String> = facts.left_out.iter().copied().map(str::to_owned).collect();
    let lacking: Vec<&str> = facts.notes.lacking.iter().map(RenditionId::as_str).collect();
    if !lacking.is_empty() {
        let names = lacking.join(" and ");
        words.push(format!(
            "the video track for {names} is left out: the broadcast began without it; send what it began with, or stop all \
             encoders to begin another"
        ));
    }
    if words.is_empty() { Verdict::Good } else { bad(words.join("; "), &[]) }
}

fn after(facts: &Facts<'_>, seconds: u64, verdict: impl FnOnce() -> Verdict) -> Verdict {
    if facts.age < Duration::from_secs(seconds) { Verdict::Unsure } else { verdict() }
}

fn bad(text: String, numbers: &[(&'static str, f64)]) -> Verdict {
    let rounded = |value: f64| (value * 1_000.0).round() / 1_000.0;
    Verdict::Bad(Bad {
        text,
        numbers: numbers.iter().map(|(name, value)| (*name, rounded(*value))).collect(),
    })
}

/// `2.8 Mb/s`, `640 kb/s`.
pub(in crate::ingest) fn bits(per_second: u64) -> String {
    match per_second {
        1_000_000.. => format!("{} Mb/s", short(per_second as f64 / 1e6)),
        _ => format!("{} kb/s", per_second / 1_000),
    }
}

/// One decimal, where it says something.
pub(in crate::ingest) fn short(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map(str::to_owned).unwrap_or(text)
}
