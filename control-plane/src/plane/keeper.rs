//! Remembers in the store what heartbeats and silence changed: health and live broadcasts.

use std::collections::BTreeMap;
use std::sync::Arc;

use nearcast_api::node::Status;
use nearcast_api::snapshot::{Live, Snapshot};
use nearcast_api::{ChannelId, NodeId};
use nearcast_service::drain::Drain;
use nearcast_service::log::Chain;
use tokio::sync::watch;

use crate::error::Result;
use crate::metrics::Metrics;
use crate::store::Store;

/// Runs until draining begins. A store that does not take a write is one warning, and is asked again with the next change.
pub(super) async fn run(
    store: Store,
    mut snapshots: watch::Receiver<Arc<Snapshot>>,
    metrics: Metrics,
    drain: Drain,
) {
    let first = snapshots.borrow_and_update().clone();
    metrics.observe(&first);
    let mut keeper = Keeper { store, down: down(&first), live: live(&first) };
    let mut failing = false;
    while let Some(Ok(())) = drain.unless_draining(snapshots.changed()).await {
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
    down: BTreeMap<NodeId, bool>,
    live: BTreeMap<ChannelId, Option<Live>>,
}

impl Keeper {
    async fn keep(&mut self, snapshot: &Snapshot) -> Result<()> {
        let (down, live) = (down(snapshot), live(snapshot));
        for (id, now) in &down {
            if self.down.get(id) != Some(now) {
                self.store.set_node_down(id, *now).await?;
                self.down.insert(id.clone(), *now);
                let change = if *now { "down" } else { "up" };
                tracing::info!(node = %id, "node is {change}");
            }
        }
        for (id, now) in &live {
            if self.live.get(id) != Some(now) {
                self.store.set_live(id, now.as_ref()).await?;
                self.live.insert(id.clone(), now.clone());
                match now {
                    Some(Live { origin, broadcast, .. }) => {
                        tracing::info!(channel = %id, %origin, %broadcast, "channel is live");
                    }
                    None => tracing::info!(channel = %id, "channel is not live"),
                }
            }
        }
        self.down.retain(|id, _| down.contains_key(id));
        self.live.retain(|id, _| live.contains_key(id));
        Ok(())
    }
}

fn down(snapshot: &Snapshot) -> BTreeMap<NodeId, bool> {
    snapshot.nodes.iter().map(|(id, node)| (id.clone(), node.status == Status::Down)).collect()
}

fn live(snapshot: &Snapshot) -> BTreeMap<ChannelId, Option<Live>> {
    snapshot.channels.iter().map(|(id, channel)| (id.clone(), channel.live.clone())).collect()
}
