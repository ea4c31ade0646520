//! What each encoder is told for a live rung: no delay, no B-frames, IDR pictures where asked and nowhere else, and
//! no more than its bitrate in any second.

use crate::transcode::wire::{Encoder, Rung};

/// Options by name, as libav's encoders have them. Bitrate, size and times are set elsewhere, alike for all.
pub(super) fn options(kind: Encoder, rung: &Rung) -> Vec<(&'static str, &str)> {
    let preset = rung.preset.as_str();
    match kind {
        Encoder::Libx264 => vec![
            ("preset", preset),
            ("tune", "zerolatency"),
            ("profile", "high"),
            ("forced-idr", "1"),
            // More would mean slices; the ladder is parallel by rung.
            ("threads", "1"),
            ("x264-params", "scenecut=0:open_gop=0:force-cfr=0"),
        ],
        Encoder::Nvenc => vec![
            ("preset", step(preset, ["p2", "p4", "p6"])),
            ("tune", "ull"),
            ("profile", "high"),
            ("rc", "cbr"),
            ("forced-idr", "1"),
            ("no-scenecut", "1"),
            ("zerolatency", "1"),
            ("delay", "0"),
        ],
        Encoder::Vaapi => {
            vec![("profile", "high"), ("rc_mode", "CBR"), ("async_depth", "1"), ("idr_interval", "0")]
        }
        Encoder::Qsv => vec![
            ("preset", step(preset, ["veryfast", "fast", "slow"])),
            ("profile", "high"),
            ("forced_idr", "1"),
            ("look_ahead", "0"),
            ("async_depth", "1"),
        ],
    }
}

/// Frames between keyframes that nobody asked for. Hardware does not know "never"; hours come near enough, and one
/// too many harms nobody.
pub(super) fn longest_gop(kind: Encoder) -> u32 {
    match kind {
        Encoder::Libx264 => 1 << 30,
        Encoder::Nvenc | Encoder::Vaapi | Encoder::Qsv => i16::MAX as u32,
    }
}

/// What comes nearest to one of libx264's presets: faster than `fast`, around it, or slower.
fn step<'a>(preset: &str, [fast, middle, slow]: [&'a str; 3]) -> &'a str {
    match preset {
        "ultrafast" | "superfast" | "veryfast" | "faster" => fast,
        "fast" | "medium" => middle,
        _ => slow,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transcode::wire::Task;

    #[test]
    fn every_encoder_makes_idr_pictures_on_demand_and_adds_no_delay() {
        let rung = |preset: &str| Rung {
            width: 640,
            height: 360,
            bitrate: 800_000,
            max_fps: 0,
            preset: preset.into(),
            task: Task::Encode,
            after: None,
        };
        let says = |kind, preset: &str, name: &str, value: &str| {
            options(kind, &rung(preset)).iter().any(|(n, v)| (*n, *v) == (name, value))
        };
        assert!(says(Encoder::Libx264, "veryfast", "preset", "veryfast"));
        assert!(
            says(Encoder::Nvenc, "veryfast", "preset", "p2")
                && says(Encoder::Nvenc, "slower", "preset", "p6")
        );
        assert!(says(Encoder::Qsv, "medium", "preset", "fast"));
        for (kind, name) in
            [(Encoder::Libx264, "forced-idr"), (Encoder::Nvenc, "forced-idr"), (Encoder::Qsv, "forced_idr")]
        {
            assert!(says(kind, "fast", name, "1"));
        }
        for kind in Encoder::ALL {
            assert!(longest_gop(kind) > 60 * 60 * 5 && options(kind, &rung("fast")).len() >= 4);
        }
    }
}
