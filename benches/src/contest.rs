//! One measure at our edge and at its peers, in turns: ours, theirs, ours, theirs.

use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::time::timeout;

use crate::peers::{self, Peer};
use crate::server::Server;
use crate::site::Site;

/// How long it takes.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Runs of each measure at each server.
    pub rounds: usize,
    /// How long a run's load lasts.
    pub time: Duration,
}

/// A peer, and what the ratio to it has to reach.
pub type Rival = (Peer, Option<f64>);

/// Running servers.
#[derive(Debug)]
pub struct Contest {
    ours: Server,
    peers: Vec<(Server, Option<f64>)>,
    /// Who, and why.
    left_out: Vec<String>,
}

/// What was measured.
#[derive(Debug)]
pub struct Outcome<S> {
    pub ours: Vec<S>,
    pub peers: Vec<Theirs<S>>,
}

/// What was measured at a peer.
#[derive(Debug)]
pub struct Theirs<S> {
    /// With the version.
    pub name: String,
    pub at_least: Option<f64>,
    pub samples: Vec<S>,
}

impl Contest {
    /// Starts our edge and those of the peers that can be started.
    pub async fn start(site: &Site, rivals: &[Rival]) -> Result<Self> {
        let ours = peers::ours(site).await?;
        let (mut peers, mut left_out) = (Vec::new(), Vec::new());
        for (peer, at_least) in rivals {
            match peer.start(site).await {
                Ok(server) => peers.push((server, *at_least)),
                Err(error) => left_out.push(format!("{}: {error:#}", peer.name())),
            }
        }
        Ok(Self { ours, peers, left_out })
    }

    /// All servers, ours first.
    pub fn servers(&self) -> impl Iterator<Item = &Server> {
        std::iter::once(&self.ours).chain(self.peers.iter().map(|(server, _)| server))
    }

    /// Who was left out of `measure`, and why.
    pub fn left_out(&self, measure: &str) -> Vec<String> {
        self.left_out.iter().map(|why| format!("{measure}: left out, {why}")).collect()
    }

    /// Measures `rounds` times at each. A peer that fails is left out from then on; our edge must not.
    pub async fn rounds<S>(
        &mut self,
        rounds: usize,
        mut once: impl AsyncFnMut(&Server) -> Result<S>,
    ) -> Result<Outcome<S>> {
        let mut ours = Vec::new();
        let mut theirs: Vec<_> = self.peers.iter().map(|_| Some(Vec::new())).collect();
        for _ in 0..rounds {
            ours.push(limited(once(&self.ours)).await.context("at our own edge")?);
            for ((server, _), samples) in self.peers.iter().zip(&mut theirs) {
                let Some(list) = samples else { continue };
                match limited(once(server)).await {
                    Ok(sample) => list.push(sample),
                    Err(error) => {
                        self.left_out.push(format!("{}: {error:#}", server.name));
                        *samples = None;
                    }
                }
            }
        }
        let named = self.peers.iter().zip(theirs).filter_map(|((server, at_least), samples)| {
            Some(Theirs { name: server.name.clone(), at_least: *at_least, samples: samples? })
        });
        Ok(Outcome { ours, peers: named.collect() })
    }

    /// Ends all servers.
    pub async fn stop(self) -> Result<()> {
        self.ours.stop().await?;
        for (server, _) in self.peers {
            server.stop().await?;
        }
        Ok(())
    }
}

/// No measure may hang the whole run.
async fn limited<S>(measure: impl Future<Output = Result<S>>) -> Result<S> {
    timeout(LIMIT, measure).await.with_context(|| format!("not done after {LIMIT:?}"))?
}

const LIMIT: Duration = Duration::from_secs(60);
