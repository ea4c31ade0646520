//! A channel's own ladder: which lower renditions its broadcasts get.

use serde::{Deserialize, Serialize};

use crate::RenditionId;

/// What replaces the origin's `[transcode]`; what is left out stays as the origin has it. It holds from the next
/// broadcast on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "schema", schema(as = Ladder))]
#[serde(default)]
pub struct Ladder {
    /// Lower renditions in any order, at most 6. A broadcast gets those that are smaller than its source; none at all
    /// when the list is empty: then viewers get the source alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<Vec<Step>>,
    /// Take the lower renditions from the publisher, who sends further video tracks in one Enhanced RTMP connection (OBS:
    /// multitrack video; FFmpeg 8 and later: several `-map`): at most 6, each named by its height, `480p`. They are
    /// passed on as they come, so their keyframes must be where those of the first track are. No pictures are encoded
    /// then, whatever `steps` says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from_publisher: Option<bool>,
    /// Further renditions of the audio in AAC, at most 3. The lowest goes with the lowest rendition of the video, the
    /// next with the one above it, and so on; the source, and all that are left, go with the best audio.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audio: Option<Vec<Sound>>,
    /// List the lowest audio alone as well, for lines that cannot carry video.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audio_only: Option<bool>,
    /// Encode a rendition only while somebody watches it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_demand: Option<bool>,
    /// Seconds a rendition is encoded on after its last viewer: at most an hour.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub linger: Option<u64>,
}

/// A lower rendition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "schema", schema(as = LadderStep))]
pub struct Step {
    /// Its name in every path, `480p`. Not `source`, `audio`, `thumbs` or anything that begins with `audio-`.
    pub name: RenditionId,
    /// Pixels of the picture's shorter side: 64 to 2304.
    pub height: u32,
    /// Bits per second, also the most in any one second: 16,000 to 50,000,000.
    pub bitrate: u32,
    /// Frames per second to stay at or below; 0 keeps the source's.
    #[serde(default)]
    pub max_fps: u16,
    /// How much work to do, by libx264's names (`ultrafast` to `placebo`); the origin's choice when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preset: Option<String>,
}

/// A further rendition of the audio.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "schema", schema(as = LadderSound))]
pub struct Sound {
    /// Its name in every path, `audio-64k`: it begins with `audio-`, and is not `audio-aac`.
    pub name: RenditionId,
    /// Bits per second: 24,000 to 320,000.
    pub bitrate: u32,
}

impl Ladder {
    /// Says what cannot be, if anything, and what can.
    pub fn check(&self) -> Result<(), String> {
        if self.linger.is_some_and(|linger| linger > LONGEST_LINGER) {
            return Err(format!("ladder.linger must be at most {LONGEST_LINGER} seconds"));
        }
        check(self.steps.as_deref().unwrap_or_default())
            .map_err(|problem| format!("ladder.steps: {problem}"))?;
        check_audio(self.audio.as_deref().unwrap_or_default())
            .map_err(|problem| format!("ladder.audio: {problem}"))
    }
}

/// Says what of a ladder cannot be, if anything, and what can.
pub fn check(steps: &[Step]) -> Result<(), String> {
    if steps.len() > MAX_STEPS {
        return Err(format!("{} renditions are too many, have at most {MAX_STEPS}", steps.len()));
    }
    for (index, step) in steps.iter().enumerate() {
        let name = step.name.as_str();
        if RESERVED.contains(&name) || name.starts_with(AUDIO_PREFIX) {
            return Err(format!("{name:?} is taken, choose another name"));
        }
        if steps[..index].iter().any(|other| other.name == step.name) {
            return Err(format!("{name:?} is there twice"));
        }
        if steps[..index].iter().any(|other| other.height == step.height) {
            return Err(format!("{name:?} is as high as another: {} is there twice", step.height));
        }
        for (what, value, least, most) in [
            ("height", step.height, MIN_HEIGHT, MAX_HEIGHT),
            ("bitrate", step.bitrate, MIN_BITRATE, MAX_BITRATE),
        ] {
            if !(least..=most).contains(&value) {
                return Err(format!("the {what} of {name:?} is {value}, it must be {least} to {most}"));
            }
        }
        if let Some(preset) = step.preset.as_deref().filter(|preset| !PRESETS.contains(preset)) {
            return Err(format!("the preset {preset:?} of {name:?} is not one of {}", PRESETS.join(", ")));
        }
    }
    Ok(())
}

/// Says what of further audio cannot be, if anything, and what can.
pub fn check_audio(sounds: &[Sound]) -> Result<(), String> {
    if sounds.len() > MAX_SOUNDS {
        return Err(format!("{} renditions are too many, have at most {MAX_SOUNDS}", sounds.len()));
    }
    for (index, Sound { name, bitrate }) in sounds.iter().enumerate() {
        let name = name.as_str();
        if !name.starts_with(AUDIO_PREFIX) {
            return Err(format!("{name:?} must begin with {AUDIO_PREFIX:?}"));
        }
        if name == BESIDE {
            return Err(format!("{name:?} is taken, choose another name"));
        }
        if sounds[..index].iter().any(|other| other.name.as_str() == name) {
            return Err(format!("{name:?} is there twice"));
        }
        if !SOUND_BITRATES.contains(bitrate) {
            let (least, most) = (SOUND_BITRATES.start(), SOUND_BITRATES.end());
            return Err(format!("the bitrate of {name:?} is {bitrate}, it must be {least} to {most}"));
        }
    }
    Ok(())
}

/// More would only split one origin's cores thinner.
pub const MAX_STEPS: usize = 6;

/// Renditions that are not made by a transcoder.
pub const RESERVED: [&str; 3] = ["source", "audio", "thumbs"];

/// What names of further audio begin with, so that they are never those of pictures.
pub const AUDIO_PREFIX: &str = "audio-";

/// The AAC beside a source whose audio is of another codec.
pub const BESIDE: &str = "audio-aac";

/// A lowest, a low and a better one.
pub const MAX_SOUNDS: usize = 3;

/// What sounds like something, and what a frame can hold at 32 kHz.
const SOUND_BITRATES: std::ops::RangeInclusive<u32> = 24_000..=320_000;

/// libx264's presets.
pub const PRESETS: [&str; 10] = [
    "ultrafast",
    "superfast",
    "veryfast",
    "faster",
    "fast",
    "medium",
    "slow",
    "slower",
    "veryslow",
    "placebo",
];

/// Below this libx264 and several hardware encoders misbehave.
const MIN_HEIGHT: u32 = 64;

/// The largest picture that is decoded.
const MAX_HEIGHT: u32 = 2304;

const MIN_BITRATE: u32 = 16_000;
const MAX_BITRATE: u32 = 50_000_000;
const LONGEST_LINGER: u64 = 3600;

#[cfg(test)]
mod tests {
    use super::*;

    fn step(name: &str, height: u32, bitrate: u32) -> Step {
        Step { name: name.parse().unwrap(), height, bitrate, max_fps: 0, preset: None }
    }

    #[test]
    fn a_ladder_that_cannot_work_is_refused_with_the_reason() {
        let refused = |steps: &[Step], why: &str| {
            let problem = check(steps).unwrap_err();
            assert!(problem.contains(why), "{problem}");
        };
        assert_eq!(check(&[]), Ok(()));
        assert_eq!(check(&[step("480p", 480, 1_400_000), step("360p", 360, 800_000)]), Ok(()));
        refused(&[step("audio", 480, 1_400_000)], "taken");
        refused(&[step("a", 480, 1_400_000), step("a", 360, 800_000)], "there twice");
        refused(&[step("a", 480, 1_400_000), step("b", 480, 800_000)], "as high as another");
        refused(&[step("a", 10, 1_400_000)], "must be 64 to 2304");
        refused(&[step("a", 480, 1_400)], "must be 16000 to 50000000");
        refused(&[Step { preset: Some("fastest".into()), ..step("a", 480, 1_400_000) }], "veryfast");
        let seven: Vec<_> = (0..7).map(|n| step(&format!("r{n}"), 100 + n, 100_000)).collect();
        refused(&seven, "at most 6");
        let long = Ladder { linger: Some(4000), ..Ladder::default() };
        assert!(long.check().unwrap_err().contains("ladder.linger"));
    }

    #[test]
    fn audio_that_cannot_work_is_refused_with_the_reason() {
        let check = |sounds: &[(&str, u32)]| {
            let sound =
                |(name, bitrate): &(&str, u32)| Sound { name: name.parse().unwrap(), bitrate: *bitrate };
            let audio = Some(sounds.iter().map(sound).collect());
            Ladder { audio, ..Ladder::default() }.check()
        };
        let refused = |sounds: &[(&str, u32)], why: &str| {
            let problem = check(sounds).unwrap_err();
            assert!(problem.starts_with("ladder.audio: ") && problem.contains(why), "{problem}");
        };
        assert_eq!(check(&[("audio-64k", 64_000), ("audio-32k", 32_000)]), Ok(()));
        refused(&[("low", 64_000)], "must begin with \"audio-\"");
        refused(&[("audio-aac", 64_000)], "taken");
        refused(&[("audio-a", 64_000), ("audio-a", 32_000)], "there twice");
        refused(&[("audio-a", 8_000)], "must be 24000 to 320000");
        refused(
            &[("audio-a", 64_000), ("audio-b", 64_000), ("audio-c", 64_000), ("audio-d", 64_000)],
            "at most 3",
        );
        assert!(super::check(&[step("audio-64k", 480, 1_400_000)]).unwrap_err().contains("taken"));
    }

    #[test]
    fn an_empty_list_is_not_the_default() {
        let none: Ladder = serde_json::from_str(r#"{"steps":[]}"#).unwrap();
        assert_eq!(none.steps, Some(vec![]));
        assert_eq!(serde_json::to_string(&Ladder::default()).unwrap(), "{}");
        let own: Ladder = serde_json::from_str(r#"{"from_publisher":true}"#).unwrap();
        assert_eq!((own.from_publisher, own.check()), (Some(true), Ok(())));
    }
}
