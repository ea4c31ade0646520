//! The ladder: source frames go to a child process per broadcast, frames of every lower rendition come back.
//!
//! Nothing here can hold up ingest: a child that falls behind pauses its least valuable rungs, the queue to it is
//! bounded in frames and bytes and drops whole groups of pictures when it is full all the same, and a child
//! that dies or hangs is replaced by one that goes on where it stopped. A rung that nobody watches is not encoded,
//! and where none is watched there is no child.

mod backlog;
pub mod child;
mod config;
mod demand;
mod inputs;
mod job;
pub mod ladder;
pub mod probe;
mod process;
mod sink;
pub mod sound;
mod supervisor;
mod transcoders;
pub mod wire;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use nearcast_api::BroadcastId;
use nearcast_media::{Config as TrackConfig, Frame};
use nearcast_service::drain::Drain;
use tokio::sync::mpsc;

pub use config::Config;
pub use demand::{Demand, Watching};
use inputs::{Inputs, Level, Queued};
use job::Job;
pub use ladder::{Ladder, Own, Rung, Step};
pub(crate) use process::Process;
use sink::Sink;
pub use sound::Sounds;
pub use transcoders::Transcoders;

use crate::metrics::Transcode as Metrics;

/// What came back from the child. `rung` counts in the order of the ladder.
#[derive(Debug, PartialEq, Eq)]
pub enum Output {
    /// Before a rung's first frame, and again when a new child begins.
    Config {
        rung: usize,
        config: TrackConfig,
    },
    Frame {
        rung: usize,
        frame: Frame,
    },
    /// The rung leaves out frames up to a later cut.
    Lag {
        rung: usize,
    },
    /// Somebody watches the rung: its frames come, at first faster than they are shown.
    Awake {
        rung: usize,
    },
    /// Nobody watches the rung: no frames come until it is awake again.
    Asleep {
        rung: usize,
    },
    /// When the rung is awake again it will not go on where it stopped, but begin anew.
    Forget {
        rung: usize,
    },
}

impl Output {
    fn rung(&mut self) -> &mut usize {
        match self {
            Self::Config { rung, .. }
            | Self::Frame { rung, .. }
            | Self::Lag { rung }
            | Self::Awake { rung }
            | Self::Asleep { rung }
            | Self::Forget { rung } => rung,
        }
    }
}

/// The origin's handle on children of one kind. Dropping it ends the child's input.
#[derive(Debug)]
struct Transcoder {
    queue: mpsc::Sender<Queued>,
    level: Arc<Level>,
    /// What does not fit is left out up to a place where the decoder and all rungs can begin anew.
    skipping: bool,
    source: wire::Source,
    /// The source has changed; the next frame tells.
    renewed: bool,
    metrics: Metrics,
}

impl Transcoder {
    /// Starts children for the `job` as it is wanted, and replaces them for as long as the handle lives.
    fn spawn(
        config: &Config,
        broadcast: BroadcastId,
        job: Job,
        demand: Arc<Demand>,
        sink: Sink,
        drain: &Drain,
    ) -> Self {
        let (source, metrics) = (job.source().clone(), sink.metrics.clone());
        let (queue, inputs) = mpsc::channel(QUEUE_FRAMES);
        let level = Arc::<Level>::default();
        let supervisor = supervisor::Supervisor {
            program: config.program.clone(),
            broadcast,
            job,
            inputs: Inputs::new(inputs, Arc::clone(&level), source.clone()),
            demand,
            sink,
        };
        drain.spawn("transcoder", supervisor.run());
        Self { queue, level, skipping: true, source, renewed: false, metrics }
    }

    /// The source is of this configuration from the next frame on. Where that is another, rungs go on at the next
    /// cut at a keyframe, from a child that has been started for it. Their sizes stay as planned.
    fn renew(&mut self, source: &TrackConfig) {
        if let Some(source) = wire::Source::of(source).filter(|source| *source != self.source) {
            self.source = source;
            (self.renewed, self.skipping) = (true, true);
        }
    }

    /// Hands a source frame to the child. Never waits.
    fn push(&mut self, frame: Frame, cut: bool) {
        let fresh = self.skipping;
        if fresh && !(cut && frame.keyframe) {
            self.metrics.skipped_frames.inc();
            return;
        }
        let Level { bytes, newest } = &*self.level;
        let size = frame.data.len();
        newest.store(frame.dts, Ordering::Relaxed);
        // Counted before it is sent, for the other end counts down when it takes it out.
        let fits = bytes.fetch_add(size, Ordering::Relaxed) + size <= QUEUE_BYTES;
        let source = self.renewed.then(|| self.source.clone());
        let queued = Queued { frame, cut, fresh, source };
        self.skipping = !fits || self.queue.try_send(queued).is_err();
        if !self.skipping {
            self.renewed = false;
        } else {
            bytes.fetch_sub(size, Ordering::Relaxed);
            self.metrics.skipped_frames.inc();
        }
    }
}

/// Frames to the child: four seconds at 60 per second. What waits longer is not live any more.
const QUEUE_FRAMES: usize = 240;

/// Bytes to the child: four seconds at 32 Mb/s.
const QUEUE_BYTES: usize = 16 << 20;

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn transcoder() -> (Transcoder, mpsc::Receiver<Queued>) {
        let (queue, inputs) = mpsc::channel(4);
        let metrics = Metrics::register(&nearcast_service::metrics::Registry::new());
        let source = wire::Source { codec: wire::Codec::Avc, record: Bytes::new() };
        let level = Arc::default();
        (Transcoder { queue, level, skipping: true, source, renewed: false, metrics }, inputs)
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
}
