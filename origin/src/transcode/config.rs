//! What the operator decides about transcoding, `[transcode]`.

use std::path::PathBuf;
use std::time::Duration;

use nearcast_api::ladder::{self as settings, PRESETS};
use nearcast_media::{Config as TrackConfig, Picture};
use serde::{Deserialize, Serialize};

use super::probe::Choice;
use super::{Demand, Rung, Sounds, Step, ladder, sound};

/// `[transcode]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Make lower renditions; without, viewers get the source alone.
    pub enabled: bool,
    /// libx264's preset: `ultrafast` to `placebo`. Slower looks better at the same bitrate and costs more.
    pub preset: String,
    /// Encode a rung only while somebody watches it. The source is always there.
    pub on_demand: bool,
    /// Seconds a rung is encoded on after its last request.
    pub linger: u64,
    /// What encodes: `libx264`, `nvenc`, `vaapi`, `qsv`, or `auto` for the first of these devices that works. Where
    /// one does not, libx264 does it, and the log says why.
    pub encoder: Choice,
    /// Threads of the decoder. Every rung's encoder has one of its own.
    pub decode_threads: u16,
    /// Bytes of decoded pictures that may wait for a broadcast's encoders. More wait as coded frames; when
    /// those are a second old, the least valuable rung pauses.
    pub queue_bytes: u32,
    /// Bytes of writable memory a broadcast's child process may have.
    pub memory_bytes: u64,
    /// The program to run as the child; empty for this one.
    pub program: PathBuf,
    /// Lower renditions, any order; a source gets those below its own size.
    pub ladder: Vec<Step>,
    /// Take the lower renditions from publishers that send further video tracks (Enhanced RTMP multitrack), as they are,
    /// and encode no pictures. Mostly a channel's own choice: `settings.ladder.from_publisher`.
    pub from_publisher: bool,
    /// Further renditions of the audio, in AAC, at lower bitrates; the lowest goes with the lowest picture. Audio that
    /// is not AAC gets a rendition that is, `audio-aac`, in any case.
    pub audio: Vec<sound::Step>,
    /// List the lowest audio alone beside the pictures, for lines that cannot carry those.
    pub audio_only: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            enabled: true,
            preset: "veryfast".into(),
            on_demand: true,
            linger: 10,
            encoder: Choice::default(),
            decode_threads: 1,
            queue_bytes: 64 << 20,
            memory_bytes: 1 << 30,
            program: PathBuf::new(),
            ladder: ladder::default_steps(),
            from_publisher: false,
            audio: Vec::new(),
            audio_only: false,
        }
    }
}

impl Config {
    /// Says what cannot work, if anything.
    pub fn check(&self) -> Result<(), String> {
        if !PRESETS.contains(&self.preset.as_str()) {
            let known = PRESETS.join(", ");
            return Err(format!("transcode.preset {:?} is not one of {known}", self.preset));
        }
        let steps: Vec<_> = self.ladder.iter().map(Into::into).collect();
        settings::check(&steps).map_err(|problem| format!("transcode.ladder: {problem}"))?;
        let sounds: Vec<_> = self.audio.iter().map(Into::into).collect();
        settings::check_audio(&sounds).map_err(|problem| format!("transcode.audio: {problem}"))
    }

    /// As a channel's own settings have it.
    pub fn with(&self, ladder: Option<&settings::Ladder>) -> Self {
        let mut config = self.clone();
        let Some(settings::Ladder { steps, from_publisher, audio, audio_only, on_demand, linger }) = ladder
        else {
            return config;
        };
        if let Some(steps) = steps {
            config.ladder = steps.iter().map(Into::into).collect();
        }
        if let Some(audio) = audio {
            config.audio = audio.iter().map(Into::into).collect();
        }
        config.from_publisher = from_publisher.unwrap_or(config.from_publisher);
        config.audio_only = audio_only.unwrap_or(config.audio_only);
        config.on_demand = on_demand.unwrap_or(config.on_demand);
        config.linger = linger.unwrap_or(config.linger);
        config
    }

    /// The rungs to make of a source, best first; none when transcoding is off or the publisher sends its own.
    pub fn plan(&self, source: &TrackConfig) -> Vec<Rung> {
        match source.picture() {
            Some(Picture { width, height, .. }) if self.enabled && !self.from_publisher => {
                // Every viewer can play H.264: another codec gets it in its own size, too.
                let beside = !matches!(source, TrackConfig::Avc(_));
                ladder::plan(width, height, &self.ladder, &self.preset, beside)
            }
            _ => Vec::new(),
        }
    }

    /// The audio to make of a source; none when transcoding is off.
    pub fn plan_audio(&self, source: &TrackConfig) -> Sounds {
        if self.enabled { sound::plan(source, &self.audio) } else { Sounds::default() }
    }

    /// For `rungs` of one broadcast.
    pub fn demand(&self, rungs: usize) -> Demand {
        Demand::new(rungs, self.on_demand.then(|| Duration::from_secs(self.linger)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ladder_that_cannot_work_is_refused_with_the_reason() {
        assert_eq!(Config::default().check(), Ok(()));
        let with = |change: fn(&mut Config)| {
            let mut config = Config::default();
            change(&mut config);
            config.check().unwrap_err()
        };
        assert!(with(|c| c.preset = "fastest".into()).contains("veryfast"));
        assert!(with(|c| c.ladder[0].name = "source".parse().unwrap()).contains("taken"));
        assert!(with(|c| c.ladder[0].name = c.ladder[1].name.clone()).contains("twice"));
        assert!(with(|c| c.ladder[0].bitrate = 2800).contains("720p"));
    }

    #[test]
    fn a_channel_may_have_its_own_ladder_and_none_at_all() {
        let config = Config::default();
        assert_eq!(config.with(None), config);
        assert_eq!(config.with(Some(&settings::Ladder::default())), config);
        let source_only = settings::Ladder { steps: Some(vec![]), ..Default::default() };
        assert!(config.with(Some(&source_only)).ladder.is_empty());
        let own = settings::Ladder { from_publisher: Some(true), ..Default::default() };
        let record = bytes::Bytes::from_static(&[1]);
        let avc = nearcast_media::codec::avc::Config { record, width: 1280, height: 720, frame_rate: None };
        let source = TrackConfig::Avc(avc);
        assert_eq!((config.plan(&source).len(), config.with(Some(&own)).plan(&source)), (2, vec![]));
        let step = settings::Step {
            name: "low".parse().unwrap(),
            height: 240,
            bitrate: 300_000,
            max_fps: 15,
            preset: Some("fast".into()),
        };
        let own = settings::Ladder {
            steps: Some(vec![step.clone()]),
            on_demand: Some(false),
            ..Default::default()
        };
        let own = config.with(Some(&own));
        assert!(!own.on_demand && own.linger == config.linger);
        assert_eq!(own.ladder.iter().map(settings::Step::from).collect::<Vec<_>>(), [step]);
        assert_eq!(own.check(), Ok(()));
    }
}
