//! Which renditions a source gets: pure planning from the picture's size and the configured table.

use std::sync::Arc;

use nearcast_api::{RenditionId, ladder as settings};
use nearcast_media::Config as TrackConfig;
use serde::{Deserialize, Serialize};

use super::{Demand, Sounds, Watching, wire};

/// One row of the ladder table, `[[transcode.ladder]]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// The rendition's name in every path.
    pub name: RenditionId,
    /// Pixels of the picture's shorter side, so that a portrait source gets portrait renditions.
    pub height: u32,
    /// Bits per second, also the most in any one second.
    pub bitrate: u32,
    /// Frames per second to stay at or below; 0 keeps the source's.
    #[serde(default)]
    pub max_fps: u16,
    /// libx264's preset for this rung; empty for `transcode.preset`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub preset: String,
}

impl From<&settings::Step> for Step {
    fn from(step: &settings::Step) -> Self {
        let settings::Step { name, height, bitrate, max_fps, preset } = step.clone();
        Self { name, height, bitrate, max_fps, preset: preset.unwrap_or_default() }
    }
}

impl From<&Step> for settings::Step {
    fn from(step: &Step) -> Self {
        let Step { name, height, bitrate, max_fps, preset } = step.clone();
        Self { name, height, bitrate, max_fps, preset: Some(preset).filter(|preset| !preset.is_empty()) }
    }
}

/// A rendition to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rung {
    pub name: RenditionId,
    pub target: wire::Rung,
}

/// A rendition that the publisher sends itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Own {
    /// The number of the publisher's track.
    pub track: u8,
    pub name: RenditionId,
    pub config: TrackConfig,
}

/// What a broadcast's ladder is to be, and who wants which rung.
#[derive(Debug, Clone)]
pub struct Ladder {
    /// Pictures, best first.
    pub rungs: Vec<Rung>,
    /// After them, sound.
    pub sounds: Sounds,
    /// After that, what the publisher sends itself, best first.
    pub own: Vec<Own>,
    /// List audio alone, too.
    pub audio_only: bool,
    /// For the pictures: sound is made in any case.
    pub demand: Arc<Demand>,
}

/// A rendition to be, as far as it is known before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan<'a> {
    pub name: &'a str,
    /// Bits per second, where somebody has asked for so many.
    pub bitrate: Option<u32>,
    /// Frames per second, where they are limited.
    pub max_fps: Option<u16>,
}

impl Ladder {
    /// All renditions beside the source: pictures and sound to make, then the publisher's own.
    pub fn all(&self) -> impl Iterator<Item = Plan<'_>> {
        let pictures = self.rungs.iter().map(|Rung { name, target }| Plan {
            name: name.as_str(),
            bitrate: Some(target.bitrate),
            max_fps: Some(target.max_fps).filter(|most| *most > 0),
        });
        let sounds = self.sounds.steps.iter().map(|step| Plan {
            name: step.name.as_str(),
            bitrate: Some(step.bitrate),
            max_fps: None,
        });
        let own = self.own.iter().map(|own| Plan { name: own.name.as_str(), bitrate: None, max_fps: None });
        pictures.chain(sounds).chain(own)
    }

    /// The rendition of this number.
    pub fn get(&self, index: usize) -> Option<Plan<'_>> {
        self.all().nth(index)
    }

    /// The number of the first that the publisher sends itself.
    pub fn first_own(&self) -> usize {
        self.rungs.len() + self.sounds.steps.len()
    }

    /// The number of the rendition of this name.
    pub fn find(&self, name: &str) -> Option<usize> {
        self.all().position(|plan| plan.name == name)
    }

    /// Says that somebody asks for something of a rendition, if that is one made on demand.
    pub fn watch(&self, rendition: &str) -> Option<Watching> {
        self.demand.watch(self.find(rendition)?)
    }
}

/// The rungs below a source of `width` x `height` pixels, best first: every step that is smaller than the
/// source, never one that would enlarge it. Also `beside` it, where not all players know its codec: then a step of
/// its own size counts, and a source smaller than all steps gets one. `preset` is that of steps without their own.
pub fn plan(width: u32, height: u32, ladder: &[Step], preset: &str, beside: bool) -> Vec<Rung> {
    let short = width.min(height);
    let fits = |step: &&Step| step.height < short || beside && step.height == short;
    let own = if beside { own_step(short, ladder) } else { None };
    let mut steps: Vec<&Step> =
        ladder.iter().filter(fits).chain(&own).filter(|step| step.height >= MIN_SIDE).collect();
    steps.sort_by_key(|step| std::cmp::Reverse(step.height));
    steps.dedup_by_key(|step| step.height);
    steps.truncate(settings::MAX_STEPS);
    steps.into_iter().map(|step| rung(width, height, step, preset)).collect()
}

/// What a publisher's further video tracks are to viewers: named by the shorter side, best first.
pub fn own<'a>(tracks: impl IntoIterator<Item = (&'a u8, &'a TrackConfig)>) -> Vec<Own> {
    let size = |config: &TrackConfig| config.picture().map_or(0, |picture| picture.width.min(picture.height));
    let mut tracks: Vec<_> =
        tracks.into_iter().map(|(track, config)| (size(config), *track, config)).collect();
    tracks.sort_by_key(|(side, track, _)| (std::cmp::Reverse(*side), *track));
    let mut all: Vec<Own> = Vec::new();
    for (side, track, config) in tracks.into_iter().take(settings::MAX_STEPS) {
        let plain = format!("{side}p");
        let numbered = (2..).map(|number| format!("{side}p-{number}"));
        let free = |name: &String| all.iter().all(|own| own.name.as_str() != name);
        let name = std::iter::once(plain).chain(numbered).find(free).and_then(|name| name.parse().ok());
        all.extend(name.map(|name| Own { track, name, config: config.clone() }));
    }
    all
}

/// The default table: sports-grade H.264 from a veryfast preset.
pub fn default_steps() -> Vec<Step> {
    [("720p", 720, 2_800_000), ("480p", 480, 1_400_000), ("360p", 360, 800_000)]
        .into_iter()
        .filter_map(|(name, height, bitrate)| {
            Some(Step { name: name.parse().ok()?, height, bitrate, max_fps: 0, preset: String::new() })
        })
        .collect()
}

/// Below this libx264 and several hardware decoders misbehave.
const MIN_SIDE: u32 = 64;

/// Bits per second of the smallest pictures.
const MIN_OWN_BITRATE: u32 = 150_000;

/// A step of the source's own size, when all others would enlarge it.
fn own_step(short: u32, ladder: &[Step]) -> Option<Step> {
    let least = ladder.iter().min_by_key(|step| step.height).filter(|least| least.height > short)?;
    // As many bits for a pixel, and no less than looks like something.
    let pixels = u64::from(least.bitrate) * u64::from(short).pow(2) / u64::from(least.height).pow(2);
    let bitrate = u32::try_from(pixels).unwrap_or(u32::MAX).max(MIN_OWN_BITRATE);
    let name = format!("{short}p").parse().ok()?;
    Some(Step { name, height: short, bitrate, ..least.clone() })
}

fn rung(width: u32, height: u32, step: &Step, preset: &str) -> Rung {
    let (short, long) = (u64::from(width.min(height)), u64::from(width.max(height)));
    let side = u64::from(step.height & !1);
    // Nearest even number: 4:2:0 chroma has half the pixels each way.
    let other = (((long * side + short) / (2 * short)) * 2) as u32;
    let (width, height) = if width >= height { (other, side as u32) } else { (side as u32, other) };
    let preset = if step.preset.is_empty() { preset } else { &step.preset };
    let target = wire::Rung {
        width,
        height,
        bitrate: step.bitrate,
        max_fps: step.max_fps,
        preset: preset.to_owned(),
        task: wire::Task::Describe,
        after: None,
    };
    Rung { name: step.name.clone(), target }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(width: u32, height: u32) -> Vec<(String, u32, u32)> {
        let rungs = plan(width, height, &default_steps(), "veryfast", false);
        rungs.into_iter().map(|r| (r.name.to_string(), r.target.width, r.target.height)).collect()
    }

    fn rungs(list: &[(&str, u32, u32)]) -> Vec<(String, u32, u32)> {
        list.iter().map(|(name, width, height)| ((*name).to_owned(), *width, *height)).collect()
    }

    #[test]
    fn a_source_gets_every_step_below_it_and_none_above() {
        let full = [("720p", 1280, 720), ("480p", 854, 480), ("360p", 640, 360)];
        assert_eq!(planned(1920, 1080), rungs(&full));
        assert_eq!(planned(1280, 720), rungs(&full[1..]));
        assert_eq!(planned(854, 480), rungs(&full[2..]));
        assert_eq!(planned(640, 360), []);
        assert_eq!(planned(320, 180), []);
        assert_eq!(planned(0, 0), []);
    }

    #[test]
    fn a_codec_that_not_all_know_gets_h264_of_its_own_size() {
        let beside = |width, height| {
            let rungs = plan(width, height, &default_steps(), "veryfast", true);
            rungs
                .into_iter()
                .map(|r| (r.name.to_string(), r.target.width, r.target.height))
                .collect::<Vec<_>>()
        };
        let full = [("720p", 1280, 720), ("480p", 854, 480), ("360p", 640, 360)];
        assert_eq!(beside(1280, 720), rungs(&full));
        assert_eq!(beside(1920, 1080), rungs(&full));
        assert_eq!(beside(640, 360), rungs(&full[2..]));
        assert_eq!(beside(426, 240), rungs(&[("240p", 426, 240)]));
        assert_eq!(plan(426, 240, &default_steps(), "veryfast", true)[0].target.bitrate, 355_555);
        assert_eq!((beside(32, 32), beside(0, 0)), (vec![], vec![]));
        assert_eq!(plan(640, 360, &[], "veryfast", true), []);
    }

    #[test]
    fn what_a_publisher_sends_is_named_by_its_shorter_side_and_no_name_twice() {
        let record = bytes::Bytes::from_static(&[1]);
        let config = |(width, height): (u32, u32)| {
            let (record, frame_rate) = (record.clone(), None);
            TrackConfig::Avc(nearcast_media::codec::avc::Config { record, width, height, frame_rate })
        };
        let sizes =
            [(640, 360), (854, 480), (480, 854), (1280, 720), (640, 360), (640, 360), (320, 180), (2, 2)];
        let tracks: Vec<_> = (1..).zip(sizes.map(config)).collect();
        let named = own(tracks.iter().map(|(track, config)| (track, config)));
        let named: Vec<_> = named.iter().map(|own| (own.name.as_str(), own.track)).collect();
        let best = [("720p", 4), ("480p", 2), ("480p-2", 3), ("360p", 1), ("360p-2", 5), ("360p-3", 6)];
        assert_eq!(named, best, "of more than six the best");
    }

    #[test]
    fn a_portrait_source_gets_portrait_rungs() {
        assert_eq!(
            planned(1080, 1920),
            rungs(&[("720p", 720, 1280), ("480p", 480, 854), ("360p", 360, 640)])
        );
    }

    #[test]
    fn sides_are_even_and_keep_the_shape() {
        for (width, height) in [(1279, 719), (1000, 721), (1921, 817), (722, 4095), (721, 721)] {
            for rung in plan(width, height, &default_steps(), "veryfast", true) {
                let (w, h) = (rung.target.width, rung.target.height);
                assert!(w % 2 == 0 && h % 2 == 0, "{w}x{h}");
                let (want, got) = (f64::from(width) / f64::from(height), f64::from(w) / f64::from(h));
                assert!((want / got - 1.0).abs() < 0.006, "{width}x{height} became {w}x{h}");
            }
        }
    }

    #[test]
    fn the_table_may_come_in_any_order_and_is_bounded() {
        let step = |height: u32| Step {
            name: format!("r{height}").parse().unwrap(),
            height,
            bitrate: 1,
            max_fps: 30,
            preset: String::new(),
        };
        let ladder: Vec<_> = [100, 300, 200, 300, 10, 150, 160, 170, 180].map(step).into();
        let planned = plan(1280, 720, &ladder, "fast", false);
        let heights: Vec<_> = planned.iter().map(|r| r.target.height).collect();
        assert_eq!(heights, [300, 200, 180, 170, 160, 150]);
    }
}
