//! Timed metadata: from an operator's program to the origin of a live channel.

use std::sync::{MutexGuard, PoisonError};
use std::time::Instant;

use nearcast_api::metadata::{Command, Metadata};
use nearcast_api::{BroadcastId, ChannelId, NodeId};

use super::{Plane, unix_millis};
use crate::error::{Error, Result};
use crate::keys;
use crate::metadata::{self, Outbox};

impl Plane {
    /// Queues metadata for the channel's broadcast; returns its id and the broadcast's.
    pub fn announce(&self, channel: &ChannelId, mut metadata: Metadata) -> Result<(String, BroadcastId)> {
        metadata::check(&metadata, unix_millis())?;
        let snapshot = self.lock().snapshot();
        let live = &snapshot.channels.get(channel).ok_or_else(|| Error::NoChannel(channel.clone()))?.live;
        let live = live.as_ref().ok_or_else(|| Error::NotLive(channel.clone()))?;
        if metadata.id.is_empty() {
            metadata.id = keys::random_id();
        }
        let (id, broadcast) = (metadata.id.clone(), live.broadcast.clone());
        self.outbox().push(&live.origin, (channel.clone(), broadcast.clone()), metadata, Instant::now())?;
        Ok((id, broadcast))
    }

    /// What a node has heard leaves its queue; what is left is its next answer.
    pub(super) fn hand_over(&self, node: &NodeId, received: &[u64]) -> Vec<Command> {
        let mut outbox = self.outbox();
        outbox.acknowledge(node, received);
        let (pending, expired) = outbox.pending(node, Instant::now());
        if expired > 0 {
            tracing::warn!(%node, expired, "metadata was given up: the origin did not take it in time");
        }
        pending
    }

    fn outbox(&self) -> MutexGuard<'_, Outbox> {
        self.outbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
