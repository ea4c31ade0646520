//! The ladder: source frames go to a child process per broadcast, frames of every lower rendition come back.
//!
//! Nothing here can hold up ingest: a child that falls behind pauses its least valuable rungs, the queue to it is
//! bounded in frames and bytes and drops whole groups of pictures when it is full all the same, and a child
//! that dies or hangs is replaced at the next cut.

pub mod child;
pub mod ladder;
mod process;
mod supervisor;
pub mod wire;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use nearcast_api::BroadcastId;
use nearcast_media::codec::avc;
use nearcast_media::{Config as TrackConfig, Frame, Picture};
use nearcast_service::drain::Drain;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

pub use ladder::{Rung, Step};

use crate::metrics::Transcode as Metrics;

/// `[transcode]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Make lower renditions; without, viewers get the source alone.
    pub enabled: bool,
    /// libx264's preset: `ultrafast` to `placebo`. Slower looks better at the same bitrate and costs more.
    pub preset: String,
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
}

/// What came back from the child. `rung` counts in the order of the plan.
#[derive(Debug, PartialEq, Eq)]
pub enum Output {
    /// Before a rung's first frame, and again when a new child begins.
    Config {
        rung: usize,
        config: avc::Config,
    },
    Frame {
        rung: usize,
        frame: Frame,
    },
    /// The rung leaves out frames up to a later cut.
    Lag {
        rung: usize,
    },
    /// The child is gone; all rungs leave out frames up to a later cut.
    Lost,
}

/// The origin's handle on a broadcast's ladder. Dropping it ends the child's input.
#[derive(Debug)]
pub struct Transcoder {
    queue: mpsc::Sender<Queued>,
    level: Arc<Level>,
    /// What does not fit is left out up to a place where the decoder and all rungs can begin anew.
    skipping: bool,
    metrics: Metrics,
}

/// A frame on its way to the child.
#[derive(Debug)]
struct Queued {
    frame: Frame,
    cut: bool,
}

/// How full the queue to the child is, beside the number of frames that its channel bounds.
#[derive(Debug, Default)]
struct Level {
    bytes: AtomicUsize,
    /// Decoding time of the newest frame that was put in.
    newest: AtomicI64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            enabled: true,
            preset: "veryfast".into(),
            decode_threads: 1,
            queue_bytes: 64 << 20,
            memory_bytes: 1 << 30,
            program: PathBuf::new(),
            ladder: ladder::default_steps(),
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
        let reserved = |step: &&Step| RESERVED.contains(&step.name.as_str());
        if let Some(step) = self.ladder.iter().find(reserved) {
            return Err(format!("transcode.ladder: {:?} is taken, choose another name", step.name.as_str()));
        }
        for (index, step) in self.ladder.iter().enumerate() {
            if self.ladder[..index].iter().any(|other| other.name == step.name) {
                return Err(format!("transcode.ladder: {:?} is there twice", step.name.as_str()));
            }
            if step.bitrate < MIN_BITRATE {
                let name = step.name.as_str();
                return Err(format!(
                    "transcode.ladder: {name:?} has a bitrate below {MIN_BITRATE} bits per second"
                ));
            }
        }
        Ok(())
    }

    /// The rungs for a video source, best first; none when transcoding is off.
    pub fn plan(&self, source: &TrackConfig) -> Vec<Rung> {
        match source.picture() {
            Some(Picture { width, height, .. }) if self.enabled => {
                // Every viewer can play H.264: another codec gets it in its own size, too.
                let beside = !matches!(source, TrackConfig::Avc(_));
                ladder::plan(width, height, &self.ladder, beside)
            }
            _ => Vec::new(),
        }
    }
}

impl Transcoder {
    /// Starts a child for `rungs` of the source, and replaces it for as long as the handle lives. What it
    /// makes comes out of the receiver, which ends after the last frame when the handle is dropped.
    pub fn spawn(
        config: &Config,
        broadcast: BroadcastId,
        source: &TrackConfig,
        rungs: &[Rung],
        drain: &Drain,
        metrics: &Metrics,
    ) -> (Self, mpsc::Receiver<Output>) {
        let (queue, inputs) = mpsc::channel(QUEUE_FRAMES);
        let (outputs, receiver) = mpsc::channel(OUTPUT_FRAMES);
        let level = Arc::<Level>::default();
        let start = wire::Start {
            // A source with rungs has a picture.
            codec: wire::Codec::of(source).unwrap_or(wire::Codec::Avc),
            record: source.record(),
            rungs: rungs.iter().map(|rung| rung.target.clone()).collect(),
            preset: config.preset.clone(),
            decode_threads: config.decode_threads,
            queue_bytes: config.queue_bytes,
            memory_bytes: config.memory_bytes,
        };
        let names = rungs.iter().map(|rung| rung.name.to_string()).collect();
        let supervisor = supervisor::Supervisor {
            program: config.program.clone(),
            broadcast,
            start,
            inputs: supervisor::Inputs::new(inputs, Arc::clone(&level)),
            sink: supervisor::Sink { outputs, names, metrics: metrics.clone() },
        };
        drain.spawn("transcoder", supervisor.run());
        (Self { queue, level, skipping: true, metrics: metrics.clone() }, receiver)
    }

    /// Hands a source frame to the child. Never waits.
    pub fn push(&mut self, frame: Frame, cut: bool) {
        if self.skipping && !(cut && frame.keyframe) {
            self.metrics.skipped_frames.inc();
            return;
        }
        let Level { bytes, newest } = &*self.level;
        let size = frame.data.len();
        newest.store(frame.dts, Ordering::Relaxed);
        // Counted before it is sent, for the other end counts down when it takes it out.
        let fits = bytes.fetch_add(size, Ordering::Relaxed) + size <= QUEUE_BYTES;
        self.skipping = !fits || self.queue.try_send(Queued { frame, cut }).is_err();
        if self.skipping {
            bytes.fetch_sub(size, Ordering::Relaxed);
            self.metrics.skipped_frames.inc();
        }
    }
}

/// Frames to the child: four seconds at 60 per second. What waits longer is not live any more.
const QUEUE_FRAMES: usize = 240;

/// Bytes to the child: four seconds at 32 Mb/s.
const QUEUE_BYTES: usize = 16 << 20;

/// Frames from the child: half a second of three rungs at 60 per second.
const OUTPUT_FRAMES: usize = 90;

const MIN_BITRATE: u32 = 16_000;

/// Renditions that are not made by a child.
const RESERVED: [&str; 3] = ["source", "audio", "thumbs"];

const PRESETS: [&str; 10] = [
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

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn transcoder() -> (Transcoder, mpsc::Receiver<Queued>) {
        let (queue, inputs) = mpsc::channel(4);
        let metrics = Metrics::register(&nearcast_service::metrics::Registry::new());
        (Transcoder { queue, level: Arc::default(), skipping: true, metrics }, inputs)
    }

    fn frame(n: i64, keyframe: bool, size: usize) -> Frame {
        Frame { dts: n, pts: n, keyframe, data: Bytes::from(vec![0; size]) }
    }

    #[test]
    fn what_does_not_fit_is_left_out_up_to_a_cut_with_a_keyframe() {
        let (mut transcoder, mut inputs) = transcoder();
        transcoder.push(frame(0, false, 1), false);
        for n in 1..8 {
            transcoder.push(frame(n, n == 1, 1), n == 1);
        }
        let mut taken: Vec<i64> =
            std::iter::from_fn(|| inputs.try_recv().ok()).map(|i| i.frame.pts).collect();
        // Room again, but only a cut at a keyframe may use it.
        transcoder.push(frame(8, false, 1), false);
        transcoder.push(frame(9, true, 1), false);
        transcoder.push(frame(10, false, 1), true);
        transcoder.push(frame(11, true, 1), true);
        transcoder.push(frame(12, false, 1), false);
        taken.extend(std::iter::from_fn(|| inputs.try_recv().ok()).map(|i| i.frame.pts));
        assert_eq!(taken, [1, 2, 3, 4, 11, 12]);
        assert_eq!(transcoder.metrics.skipped_frames.get(), 7);
    }

    #[test]
    fn bytes_are_bounded_as_well() {
        let (mut transcoder, mut inputs) = transcoder();
        transcoder.push(frame(0, true, QUEUE_BYTES), true);
        transcoder.push(frame(1, false, 1), false);
        assert_eq!(transcoder.level.bytes.load(Ordering::Relaxed), QUEUE_BYTES);
        assert!(inputs.try_recv().is_ok() && inputs.try_recv().is_err());
    }

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
}
