//! A channel is live at one origin; what its publishers send to others is passed on to that one.
//!
//! ```text
//! publisher -> this origin -- POST /forward/{channel} --> the origin that has the broadcast
//!                          <-- where the broadcast stands --
//! ```
//!
//! The stream key is what opens the door there too ([`inbound`]). When that origin is lost, the broadcast goes on here
//! with the same name and numbers.

mod inbound;
mod outbound;
pub mod wire;

use std::sync::Arc;
use std::time::{Duration, Instant};

use nearcast_api::node::Status;
use nearcast_api::snapshot::{Live, Snapshot};
use nearcast_api::{ChannelId, NodeId};
use nearcast_media::Piece;
use nearcast_media::splice::Rank;
use nearcast_service::client;
use nearcast_service::control;
use nearcast_service::drain::Drain;
use nearcast_service::fleet::FleetHttp;
use nearcast_service::metrics::{Counter, Gauge};
use tokio::sync::watch;
use tokio::time::timeout;

use super::bounds::Breach;
use super::tracks::Start;
use crate::error::Result;
use crate::package::{Before, Channels, Claim, Feed, Handover};

pub use inbound::Inbound;
use outbound::Failure;

/// Where publishers' frames go. Clones are the same.
#[derive(Debug, Clone)]
pub struct Forwarder(Arc<Inner>);

/// What a publisher fed before.
#[derive(Debug, Default)]
pub(super) enum Past {
    #[default]
    None,
    /// A broadcast here, that is over or has been left to another origin.
    Here,
    /// One at another origin, as it was heard of last.
    Elsewhere(Option<(Handover, Instant)>),
}

/// An origin that has a channel.
struct Elsewhere {
    origin: NodeId,
    urls: Vec<String>,
    since: u64,
    /// The control plane hears it.
    is_up: bool,
}

#[derive(Debug)]
struct Inner {
    node: NodeId,
    control: control::Client,
    channels: Channels,
    http: FleetHttp,
    forwarded: Gauge,
    drain: Drain,
    started: Instant,
}

impl Forwarder {
    /// For the origin called `node`; `ca` as `control.ca`.
    ///
    /// # Errors
    /// `ca` is unusable.
    pub fn new(
        node: NodeId,
        ca: &std::path::Path,
        control: control::Client,
        channels: Channels,
        forwarded: Gauge,
        drain: Drain,
    ) -> Result<Self> {
        let connect_timeout_ms = CONNECT.as_millis() as u64;
        let config = client::Config { ca: ca.to_owned(), connect_timeout_ms, ..client::Config::default() };
        let http = FleetHttp::new(control.fleet().clone(), &config, Counter::default())?;
        let started = Instant::now();
        Ok(Self(Arc::new(Inner { node, control, channels, http, forwarded, drain, started })))
    }

    /// Takes a publisher into the channel's broadcast, wherever it is; or begins one, or goes on with the one that it fed
    /// at another origin until that was lost.
    ///
    /// # Errors
    /// The origin where the channel is live does not take it, and why; or it cannot be reached from here, though it is
    /// well: then it has taken the channel from this one, and two must not take it in turns; or this is an encoder that
    /// stands by, which must not end what the first one sends there.
    pub(super) async fn begin(
        &self,
        claim: &Claim,
        key: &str,
        start: &Start,
        past: Past,
    ) -> Result<Feed, Breach> {
        let channel = claim.channel();
        let mut tried: Option<Elsewhere> = None;
        while !self.0.channels.has(channel)
            && let Some(there) = self.elsewhere(channel).await
            // Meanwhile a third may have gone on with the broadcast.
            && tried.as_ref().is_none_or(|tried| tried.origin != there.origin)
        {
            let origin = &there.origin;
            match self.open(channel, key, origin, &there.urls).await {
                Ok(feed) => {
                    tracing::info!(%channel, %origin, "a publisher's frames go to the origin where its channel is live");
                    for config in start.video.iter().chain(&start.audio) {
                        let _lost_at_once = feed.configure(config.clone()).await;
                    }
                    for (track, config) in &start.further {
                        let _lost_at_once = feed.further(*track, Piece::Config(config.clone())).await;
                    }
                    return Ok(feed);
                }
                Err(Failure::Refused(words)) => return Err(Breach::elsewhere(words)),
                Err(Failure::Unreachable(why)) => {
                    tracing::warn!(%channel, %origin, "cannot pass a publisher's frames on: {why}");
                    let stands_by = claim.rank() == Rank::Backup && matches!(past, Past::None);
                    if there.is_up && (stands_by || matches!(past, Past::Here)) {
                        let words =
                            format!("{origin} has the channel, and cannot be reached from here: {why}");
                        return Err(Breach::elsewhere(words));
                    }
                }
            }
            tried = Some(there);
        }
        let lost = match past {
            Past::Elsewhere(lost) => lost.filter(|(_, heard)| heard.elapsed() < FRESH),
            Past::None | Past::Here => None,
        };
        let before = Before { since: tried.map(|tried| tried.since), lost };
        Ok(claim.begin(start.video.clone(), start.audio.clone(), start.newest(), before))
    }

    /// What the control plane says.
    pub(super) fn snapshots(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.0.control.watch()
    }

    /// The other origin where the channel is live.
    async fn elsewhere(&self, channel: &ChannelId) -> Option<Elsewhere> {
        let live = |snapshot: &Snapshot| snapshot.channels.get(channel)?.live.clone();
        if self.0.started.elapsed() < YOUNG {
            // It is said to be live here, and is not: that is from before a restart, and news must be on its way.
            let mut snapshots = self.0.control.watch();
            let stale =
                |snapshot: &Arc<Snapshot>| live(snapshot).is_some_and(|live| live.origin == self.0.node);
            let _no_news = timeout(NEWS, snapshots.wait_for(|snapshot| !stale(snapshot))).await;
        }
        let snapshot = self.0.control.current();
        let live = live(&snapshot).filter(|live| live.origin != self.0.node)?;
        let node = snapshot.nodes.get(&live.origin)?;
        let (urls, is_up) = (node.spec.urls.clone(), node.status != Status::Down);
        Some(Elsewhere { since: live.since(), origin: live.origin, urls, is_up })
    }

    /// Ends broadcasts of channels that are closed or deleted, and leaves channels to other origins that have them since
    /// later than we, until the drain.
    pub async fn heed(self) {
        let Inner { node, control, channels, drain, .. } = &*self.0;
        let mut snapshots = control.watch();
        while let Some(Ok(())) = drain.unless_draining(snapshots.changed()).await {
            let snapshot = Arc::clone(&snapshots.borrow_and_update());
            for mine in channels.live() {
                let channel = snapshot.channels.get(&mine.channel);
                let Some(channel) = channel.filter(|channel| !channel.settings.is_closed()) else {
                    tracing::info!(channel = %mine.channel, broadcast = %mine.id, "the channel is closed: its broadcast ends");
                    channels.leave(&mine.channel, false);
                    continue;
                };
                let Some(live) = channel.live.as_ref().filter(|live| live.origin != *node) else { continue };
                if (live.since(), &live.broadcast) > (mine.since(), &mine.id) {
                    let Live { origin, broadcast, .. } = live;
                    tracing::warn!(channel = %mine.channel, %origin, %broadcast, "another origin has the channel now");
                    channels.leave(&mine.channel, *broadcast == mine.id);
                }
            }
        }
    }
}

/// Origins are near each other, and viewers wait.
const CONNECT: Duration = Duration::from_secs(1);
/// After this long without a word nobody still watches that broadcast.
const FRESH: Duration = Duration::from_secs(15);
/// What changed while this origin was away comes with the first answer of the control plane.
const YOUNG: Duration = Duration::from_secs(10);
const NEWS: Duration = Duration::from_secs(2);
