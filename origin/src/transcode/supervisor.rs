//! Runs a child while a rung is wanted, and replaces it when it fails or another rung is wanted.
//!
//! Every child begins with the backlog. What children before it have encoded it only decodes, so a rung goes on
//! with the very next picture whatever happened to its encoder.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use nearcast_api::BroadcastId;
use nearcast_service::backoff::Backoff;
use nearcast_service::log::Chain;
use tokio::time::Instant;

use super::inputs::{Inputs, Next};
use super::process::{Done, Process};
use super::sink::Sink;
use super::{Demand, Job, Output};
use crate::error::Result;

/// The task behind a [`super::Transcoder`].
pub(super) struct Supervisor {
    pub(super) program: PathBuf,
    pub(super) broadcast: BroadcastId,
    pub(super) job: Job,
    pub(super) inputs: Inputs,
    pub(super) demand: Arc<Demand>,
    pub(super) sink: Sink,
}

impl Supervisor {
    /// Runs until the input ends and the last child has given what it had.
    pub(super) async fn run(mut self) {
        let mut backoff = Backoff::new(FIRST_DELAY, LONGEST_DELAY);
        let mut failures = 0_u32;
        let mut not_before = Instant::now();
        let mut awake = 0;
        while let Ok(Some(wanted)) = self.due(not_before, &mut awake).await {
            let began = Instant::now();
            let error = match self.live(wanted, &mut awake).await {
                Ok(Done::Ended) => return,
                Ok(Done::Changed | Done::Source) => continue,
                Err(_) if self.sink.is_closed() => return,
                Err(error) => error,
            };
            self.sink.metrics.restarts.inc();
            failures += 1;
            if began.elapsed() > GOOD_RUN {
                backoff.reset();
                failures = 1;
            }
            if failures > 1 {
                // What it stumbled over may be in the backlog.
                self.inputs.forget();
            }
            not_before = Instant::now() + backoff.delay();
            tracing::warn!(
                broadcast = %self.broadcast,
                failures,
                "the transcoder stopped, lower renditions pause: {}",
                Chain(&error)
            );
        }
    }

    /// One child, from its first frame to its end, for the rungs that are `wanted`.
    async fn live(&mut self, wanted: u8, awake: &mut u8) -> Result<Done> {
        let start = self.job.start(self.inputs.source(), wanted, &self.sink);
        for index in (0..self.job.rungs()).filter(|index| wanted & !*awake & 1 << index != 0) {
            self.sink.send(Output::Awake { rung: index }).await?;
        }
        *awake |= wanted;
        let process = Process::spawn(&self.program)?;
        tracing::debug!(broadcast = %self.broadcast, pid = process.id(), wanted, "a transcoder starts");
        let Self { inputs, demand, sink, .. } = self;
        let done = process.run(start, wanted, awake, inputs, demand, sink).await;
        tracing::debug!(broadcast = %self.broadcast, "a transcoder has ended");
        done
    }

    /// Takes input until a child is needed and there is something to give it; answers which rungs are wanted. Nothing
    /// when the input ends.
    async fn due(&mut self, not_before: Instant, awake: &mut u8) -> Result<Option<u8>> {
        loop {
            let wanted = self.demand.settle();
            rest(*awake & !wanted, awake, &self.sink).await?;
            self.forget_stale(wanted).await?;
            let needed = wanted != 0 || !self.sink.all_described();
            if needed && self.inputs.start().is_some() && Instant::now() >= not_before {
                return Ok(Some(wanted));
            }
            tokio::select! {
                next = self.inputs.next() => match next {
                    None => return Ok(None),
                    Some(Next::Frame(_) | Next::Source | Next::Nothing) => {}
                },
                () = self.demand.changed() => {}
            }
        }
    }

    /// Rungs that sleep for so long that the backlog does not reach back to their end begin anew.
    async fn forget_stale(&self, wanted: u8) -> Result<()> {
        let Some(start) = self.inputs.start() else { return Ok(()) };
        for index in (0..self.job.rungs()).filter(|index| wanted & 1 << index == 0) {
            if self.sink.newest(index).is_some_and(|newest| newest < start) {
                self.sink.forget(index);
                self.sink.send(Output::Forget { rung: index }).await?;
            }
        }
        Ok(())
    }
}

/// Tells that nobody watches these rungs any more.
pub(super) async fn rest(rungs: u8, awake: &mut u8, sink: &Sink) -> Result<()> {
    for index in (0..u8::BITS as usize).filter(|index| rungs & 1 << index != 0) {
        sink.send(Output::Asleep { rung: index }).await?;
    }
    *awake &= !rungs;
    Ok(())
}

/// The first failure may be chance.
const FIRST_DELAY: Duration = Duration::from_millis(50);

/// A bitstream that kills every child costs one short life each half minute.
const LONGEST_DELAY: Duration = Duration::from_secs(30);

/// A child that lived this long was no failure to start.
const GOOD_RUN: Duration = Duration::from_secs(30);
