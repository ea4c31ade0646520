//! Where the child's replies go, and how far each rung has come.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use nearcast_media::codec::{aac, avc};
use nearcast_media::{Config as TrackConfig, Track};
use nearcast_service::metrics::Counter;
use tokio::sync::mpsc;

use super::Output;
use super::wire::{self, Reply};
use crate::error::{Error, Result};
use crate::metrics::{RungLabels, Transcode as Metrics};

/// Hands on what children say.
pub(super) struct Sink {
    outputs: mpsc::Sender<Output>,
    /// What is made.
    track: Track,
    /// The first rung's number in the ladder.
    first: usize,
    rungs: Vec<Rung>,
    pub(super) metrics: Metrics,
}

struct Rung {
    /// For metrics.
    name: String,
    frames: Counter,
    described: AtomicBool,
    /// Time of the newest frame that was handed on; [`NEVER`] for none that matters.
    newest: AtomicI64,
}

impl Sink {
    pub(super) fn new(
        outputs: mpsc::Sender<Output>,
        track: Track,
        first: usize,
        names: impl Iterator<Item = String>,
        metrics: Metrics,
    ) -> Self {
        let rung = |name: String| Rung {
            frames: metrics.frames.get_or_create(&RungLabels { rung: name.clone() }).clone(),
            name,
            described: AtomicBool::new(false),
            newest: AtomicI64::new(NEVER),
        };
        Self { outputs, track, first, rungs: names.map(rung).collect(), metrics }
    }

    /// Hands a reply on. Waits while the packager is behind: then the child's queues fill, and it sheds.
    pub(super) async fn take(&self, reply: Reply) -> Result<()> {
        match reply {
            Reply::Config { rung, record } => {
                let (rung, state) = self.known(rung)?;
                let config = match self.track {
                    Track::Video => avc::Config::parse(&record).map(TrackConfig::Avc),
                    Track::Audio => aac::Config::parse(&record).map(TrackConfig::Aac),
                };
                let config = config.map_err(Error::TranscoderConfig)?;
                self.send(Output::Config { rung, config }).await?;
                state.described.store(true, Ordering::Relaxed);
            }
            Reply::Frame { rung, frame } => {
                let (rung, state) = self.known(rung)?;
                let pts = frame.pts;
                self.send(Output::Frame { rung, frame }).await?;
                state.frames.inc();
                // Only now: what was not handed on is to be made again.
                state.newest.store(pts, Ordering::Relaxed);
            }
            Reply::Lag { rung, dropped } => {
                let (rung, state) = self.known(rung)?;
                let labels = RungLabels { rung: state.name.clone() };
                self.metrics.shed_frames.get_or_create(&labels).inc_by(u64::from(dropped));
                self.send(Output::Lag { rung }).await?;
            }
            Reply::Damaged { frames } => {
                self.metrics.damaged_frames.inc_by(u64::from(frames));
            }
            Reply::Jpeg(_) => return Err(wire::Error::Picture.into()),
        }
        Ok(())
    }

    /// Tells the packager. Fails when it is gone.
    pub(super) async fn send(&self, mut output: Output) -> Result<()> {
        *output.rung() += self.first;
        self.outputs.send(output).await.map_err(|_| Error::TranscoderGone)
    }

    /// The broadcast is over.
    pub(super) fn is_closed(&self) -> bool {
        self.outputs.is_closed()
    }

    /// Every rung's configuration is known.
    pub(super) fn all_described(&self) -> bool {
        self.rungs.iter().all(|rung| rung.described.load(Ordering::Relaxed))
    }

    /// The configuration of rung number `index` is known.
    pub(super) fn is_described(&self, index: usize) -> bool {
        self.rungs.get(index).is_some_and(|rung| rung.described.load(Ordering::Relaxed))
    }

    /// Time of the newest frame of rung number `index`, if it can go on from there.
    pub(super) fn newest(&self, index: usize) -> Option<i64> {
        let newest = self.rungs.get(index)?.newest.load(Ordering::Relaxed);
        (newest != NEVER).then_some(newest)
    }

    /// Rung number `index` begins anew when it runs again.
    pub(super) fn forget(&self, index: usize) {
        if let Some(rung) = self.rungs.get(index) {
            rung.newest.store(NEVER, Ordering::Relaxed);
        }
    }

    /// The rung's number in every list, and what is known of it.
    fn known(&self, rung: u8) -> Result<(usize, &Rung)> {
        let index = usize::from(rung);
        let state = self.rungs.get(index).ok_or(wire::Error::UnknownRung)?;
        Ok((index, state))
    }
}

const NEVER: i64 = i64::MIN;
