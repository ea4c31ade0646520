//! Remembers in the store what heartbeats and silence changed, health and live broadcasts, and with it what webhooks are told.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use nearcast_api::node::Status;
use nearcast_api::snapshot::{Live, Snapshot};
use nearcast_api::{ChannelId, NodeId};
use nearcast_service::drain::Drain;
use nearcast_service::log::Chain;
use tokio::sync::watch;

use super::unix_millis;
use crate::error::Result;
use crate::metrics::Metrics;
use crate::store::Store;
use crate::webhooks;

/// Runs until draining begins. A store that does not take a write is one warning, and is asked again soon.
pub(super) async fn run(
    store: Store,
    mut snapshots: watch::Receiver<Arc<Snapshot>>,
    metrics: Metrics,
    drain: Drain,
) {
    let first = snapshots.borrow_and_update().clone();
    metrics.observe(&first);
    let mut keeper = Keeper { store, statuses: statuses(&first), live: live(&first) };
    let mut failing = false;
    while let Some(true) = drain.unless_draining(changed(&mut snapshots, failing)).await {
        let snapshot = snapshots.borrow_and_update().clone();
        metrics.observe(&snapshot);
        match keeper.keep(&snapshot).await {
            Ok(()) => failing = false,
            Err(error) => {
                metrics.failed_writes.inc();
                if !std::mem::replace(&mut failing, true) {
                    tracing::warn!("going on, but a restart would forget some changes: {}", Chain(&error));
                }
            }
        }
    }
}

/// What the store has been told.
struct Keeper {
    store: Store,
    statuses: BTreeMap<NodeId, Status>,
    live: BTreeMap<ChannelId, Option<Live>>,
}

impl Keeper {
    async fn keep(&mut self, snapshot: &Snapshot) -> Result<()> {
        for (id, node) in &snapshot.nodes {
            if self.statuses.get(id) != Some(&node.status) {
                let before = self.statuses.get(id).copied();
                self.store.set_node_status(&node.spec, before, node.status, unix_millis()).await?;
                self.statuses.insert(id.clone(), node.status);
                tracing::info!(node = %id, "node is {}", word(node.status));
            }
        }
        for (id, channel) in &snapshot.channels {
            let (old, now) = (self.live.get(id).cloned().flatten(), channel.live.as_ref());
            if self.live.get(id).map(Option::as_ref) != Some(now) {
                let told = webhooks::watch::channel(id, &channel.title, old.as_ref(), now, unix_millis());
                self.store.set_live(id, now, &told).await?;
                self.live.insert(id.clone(), now.cloned());
                match now {
                    Some(Live { origin, broadcast, .. }) => {
                        tracing::info!(channel = %id, %origin, %broadcast, "channel is live");
                    }
                    None => tracing::info!(channel = %id, "channel is not live"),
                }
            }
        }
        self.statuses.retain(|id, _| snapshot.nodes.contains_key(id));
        self.live.retain(|id, _| snapshot.channels.contains_key(id));
        Ok(())
    }
}

/// Whether there is something to do; false when there are no more snapshots. What failed is tried again without news.
async fn changed(snapshots: &mut watch::Receiver<Arc<Snapshot>>, failing: bool) -> bool {
    let patience = if failing { AGAIN } else { Duration::MAX };
    tokio::time::timeout(patience, snapshots.changed()).await.map_or(true, |changed| changed.is_ok())
}

fn word(status: Status) -> &'static str {
    match status {
        Status::Joining => "joining",
        Status::Ready => "ready",
        Status::Draining => "draining",
        Status::Down => "down",
    }
}

fn statuses(snapshot: &Snapshot) -> BTreeMap<NodeId, Status> {
    snapshot.nodes.iter().map(|(id, node)| (id.clone(), node.status)).collect()
}

fn live(snapshot: &Snapshot) -> BTreeMap<ChannelId, Option<Live>> {
    snapshot.channels.iter().map(|(id, channel)| (id.clone(), channel.live.clone())).collect()
}

/// A broadcast's begin must not wait for the next change to be told.
const AGAIN: Duration = Duration::from_secs(1);
