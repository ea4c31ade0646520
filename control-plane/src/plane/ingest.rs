//! How publishers do and what happened to them.

use nearcast_api::ingest::{Acknowledged, Event, Health};
use nearcast_api::node::{Broadcast, Heartbeat, HeartbeatAck, Status};
use nearcast_api::snapshot::Live;
use nearcast_api::{BroadcastId, ChannelId, NodeId};
use nearcast_service::log::Chain;

use super::Plane;
use crate::error::Result;

/// A publisher of a channel on one origin.
#[derive(Debug, Clone, PartialEq)]
pub struct Ingest {
    pub origin: NodeId,
    pub broadcast: BroadcastId,
    /// Milliseconds since the Unix epoch.
    pub started_at: u64,
    /// Its broadcast is the one that viewers see.
    pub live: bool,
    /// As its origin's last heartbeat told it.
    pub health: Option<Health>,
}

impl Plane {
    /// A node says how it is, and what happened there. Events are acknowledged when the store has them: one that takes
    /// no writes gets them again later, and the node is as alive as before.
    pub async fn report(&self, id: &NodeId, mut beat: Heartbeat) -> Result<HeartbeatAck> {
        let events = beat.events.take();
        let ack = self.heartbeat(id, beat)?;
        let Some(events) = events.filter(|events| !events.events.is_empty()) else { return Ok(ack) };
        let last = events.events.iter().map(|event| event.seq).max().unwrap_or(0);
        match self.store.add_events(id, &events).await {
            Ok(()) => {
                Ok(HeartbeatAck { events: Some(Acknowledged { epoch: events.epoch, seq: last }), ..ack })
            }
            Err(error) => {
                tracing::warn!(node = %id, "events wait at their origin: {}", Chain(&error));
                Ok(ack)
            }
        }
    }

    /// What is live on a channel, and who publishes to it and how that goes; the one that viewers see first. An origin
    /// that has fallen silent tells of nobody.
    pub async fn ingest(&self, channel: &ChannelId) -> Result<(Option<Live>, Vec<Ingest>)> {
        let live = self.channel(channel).await?.live;
        let mut found = Vec::new();
        let fleet = self.lock();
        for (origin, member) in fleet.members().iter().filter(|(_, member)| member.status() != Status::Down) {
            for broadcast in member.beat.broadcasts.iter().filter(|one| one.channel == *channel) {
                let Broadcast { id, started_at, health, .. } = broadcast.clone();
                let live = live.as_ref().is_some_and(|live| live.origin == *origin && live.broadcast == id);
                let one = Ingest { origin: origin.clone(), broadcast: id, started_at, live, health: None };
                match health {
                    Some(health) => {
                        found.extend(
                            health.into_iter().map(|health| Ingest { health: Some(health), ..one.clone() }),
                        );
                    }
                    // Too young to be told of.
                    None => found.push(one),
                }
            }
        }
        drop(fleet);
        found.sort_by_key(|one| !one.live);
        Ok((live, found))
    }

    /// See [`crate::store::Store::events`].
    pub async fn events(
        &self,
        channel: &ChannelId,
        after: Option<u64>,
        limit: u32,
    ) -> Result<Vec<(u64, String, Event)>> {
        self.store.channel(channel).await?;
        self.store.events(channel, after, limit).await
    }
}
