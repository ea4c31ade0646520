//! Timed metadata: from an operator's program to the origin of a live channel.

use std::sync::{MutexGuard, PoisonError};
use std::time::Instant;

use nearcast_api::metadata::{Command, Metadata};
use nearcast_api::{BroadcastId, ChannelId, NodeId};

use super::{Plane, unix_millis};
use crate::error::{Error, Result};
use crate::keys;
use crate::metadata::{self, Full, LIFE, MAX_WAITING, Outbox};

impl Plane {
    /// Queues metadata for the channel's broadcast; returns its id and the broadcast's.
    pub async fn announce(
        &self,
        channel: &ChannelId,
        mut metadata: Metadata,
    ) -> Result<(String, BroadcastId)> {
        metadata::check(&metadata, unix_millis())?;
        let snapshot = self.lock().snapshot();
        let live = &snapshot.channels.get(channel).ok_or_else(|| Error::NoChannel(channel.clone()))?.live;
        let live = live.as_ref().ok_or_else(|| Error::NotLive(channel.clone()))?;
        if metadata.id.is_empty() {
            metadata.id = keys::random_id();
        }
        let (id, broadcast) = (metadata.id.clone(), live.broadcast.clone());
        let to = (channel.clone(), broadcast.clone());
        if self.store.is_shared() {
            self.leave(&live.origin, to, metadata).await?;
        } else {
            self.outbox().push(&live.origin, to, metadata, Instant::now())?;
        }
        Ok((id, broadcast))
    }

    /// For the instance that the origin talks to, which may be this one.
    async fn leave(&self, origin: &NodeId, to: (ChannelId, BroadcastId), metadata: Metadata) -> Result<()> {
        let (channel, broadcast) = to;
        let command = Command { number: 0, channel, broadcast, metadata };
        match self.store.send_command(origin, &command, MAX_WAITING).await? {
            true => Ok(()),
            false => Err(Full(origin.clone()).into()),
        }
    }

    /// Takes what was left for the nodes that talk to this instance.
    pub(super) async fn collect(&self) -> Result<()> {
        let life = u64::try_from(LIFE.as_millis()).unwrap_or(u64::MAX);
        for (node, Command { channel, broadcast, metadata, .. }) in self.store.take_commands(life).await? {
            if let Err(full) = self.outbox().push(&node, (channel, broadcast), metadata, Instant::now()) {
                tracing::warn!("metadata was given up: {full}");
            }
        }
        Ok(())
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
