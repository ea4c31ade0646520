//! Keeps a child running for as long as there is input: starts it at a cut, replaces it when it fails.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use nearcast_api::BroadcastId;
use nearcast_media::codec::avc;
use nearcast_service::backoff::Backoff;
use nearcast_service::log::Chain;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::process::Process;
use super::wire::{self, Input, Reply, Start};
use super::{Level, Output, Queued};
use crate::error::{Error, Result};
use crate::metrics::{RungLabels, Transcode as Metrics};

/// The task behind a [`super::Transcoder`].
pub(super) struct Supervisor {
    pub(super) program: PathBuf,
    pub(super) broadcast: BroadcastId,
    pub(super) start: Start,
    pub(super) inputs: Inputs,
    pub(super) sink: Sink,
}

/// The child's end of the queue.
pub(super) struct Inputs {
    queue: mpsc::Receiver<Queued>,
    level: Arc<Level>,
}

impl Inputs {
    pub(super) fn new(queue: mpsc::Receiver<Queued>, level: Arc<Level>) -> Self {
        Self { queue, level }
    }

    /// The next frame, or nothing when there will be no more.
    pub(super) async fn next(&mut self) -> Option<Input> {
        let Queued { frame, cut } = self.queue.recv().await?;
        self.level.bytes.fetch_sub(frame.data.len(), Ordering::Relaxed);
        let behind = self.level.newest.load(Ordering::Relaxed) - frame.dts;
        Some(Input { frame, cut, behind: u32::try_from(behind.max(0)).unwrap_or(u32::MAX) })
    }
}

/// Where the child's replies go.
pub(super) struct Sink {
    pub(super) outputs: mpsc::Sender<Output>,
    /// The rungs' names, for metrics.
    pub(super) names: Vec<String>,
    pub(super) metrics: Metrics,
}

impl Sink {
    /// Hands a reply on. Waits while the packager is behind: then the child's queues fill, and it sheds.
    pub(super) async fn take(&self, reply: Reply) -> Result<()> {
        let output = match reply {
            Reply::Config { rung, record } => {
                let config = avc::Config::parse(&record).map_err(Error::TranscoderConfig)?;
                Output::Config { rung: self.known(rung)?, config }
            }
            Reply::Frame { rung, frame } => Output::Frame { rung: self.known(rung)?, frame },
            Reply::Lag { rung, dropped } => {
                let rung = self.known(rung)?;
                let labels = RungLabels { rung: self.names[rung].clone() };
                self.metrics.shed_frames.get_or_create(&labels).inc_by(u64::from(dropped));
                Output::Lag { rung }
            }
            Reply::Damaged { frames } => {
                self.metrics.damaged_frames.inc_by(u64::from(frames));
                return Ok(());
            }
        };
        self.outputs.send(output).await.map_err(|_| Error::TranscoderGone)
    }

    fn known(&self, rung: u8) -> Result<usize> {
        let rung = usize::from(rung);
        if rung < self.names.len() { Ok(rung) } else { Err(wire::Error::UnknownRung.into()) }
    }
}

impl Supervisor {
    /// Runs until the input ends and the last child has given what it had.
    pub(super) async fn run(mut self) {
        let mut backoff = Backoff::new(FIRST_DELAY, LONGEST_DELAY);
        let mut delay = Duration::ZERO;
        // A child begins where a decoder can, and where every rung starts a group of pictures.
        while let Some(first) = self.next_start(delay).await {
            let began = Instant::now();
            let Err(error) = self.live(first).await else { return };
            if self.sink.outputs.is_closed() {
                return;
            }
            self.sink.metrics.restarts.inc();
            if began.elapsed() > GOOD_RUN {
                backoff.reset();
            }
            delay = backoff.delay();
            tracing::warn!(
                broadcast = %self.broadcast,
                "the transcoder stopped, lower renditions pause: {}",
                Chain(&error)
            );
            if self.sink.outputs.send(Output::Lost).await.is_err() {
                return;
            }
        }
    }

    /// One child, from its first frame to its end.
    async fn live(&mut self, first: Input) -> Result<()> {
        let process = Process::spawn(&self.program)?;
        tracing::debug!(broadcast = %self.broadcast, pid = process.id(), "a transcoder starts");
        process.run(self.start.clone(), first, &mut self.inputs, &self.sink).await
    }

    /// Discards input for as long as `delay`, then up to a place to begin.
    async fn next_start(&mut self, delay: Duration) -> Option<Input> {
        let not_before = Instant::now() + delay;
        loop {
            let input = self.inputs.next().await?;
            if input.cut && input.frame.keyframe && Instant::now() >= not_before {
                return Some(input);
            }
            self.sink.metrics.skipped_frames.inc();
        }
    }
}

/// The first failure may be chance.
const FIRST_DELAY: Duration = Duration::from_millis(200);

/// A bitstream that kills every child costs one short life each half minute.
const LONGEST_DELAY: Duration = Duration::from_secs(30);

/// A child that lived this long was no failure to start.
const GOOD_RUN: Duration = Duration::from_secs(30);
