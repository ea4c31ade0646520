//! Who is there, how they are and what is live: the control plane's memory. No IO and no clock: `now` is an argument.
//!
//! Something happens (`register`, `heartbeat`, `put_channel`, …) or time passes ([`Fleet::expire`], due at
//! [`Fleet::poll_timeout`]); when nodes should know of it there is a new [`Fleet::snapshot`] with the next version.

mod health;
mod history;
mod live;
mod member;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nearcast_api::node::{Broadcast, Heartbeat, HeartbeatAck, Spec};
use nearcast_api::playback::{Key, Revocation};
use nearcast_api::purge::Purges;
use nearcast_api::snapshot::{Channel, Live, RevokedNode, Snapshot, Update};
use nearcast_api::topology::{Topology, Window};
use nearcast_api::{ChannelId, NodeId};
use serde::{Deserialize, Serialize};

use health::Health;
use history::History;

pub use member::Member;

/// `[fleet]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Seconds without a heartbeat after which a node is down.
    pub down_after: u64,
    /// Heartbeats in a row, each within `down_after` of the last, that bring a node up again.
    pub up_after: u32,
    /// Seconds for which the broadcasts of an origin that has fallen silent are still called live.
    pub live_linger: u64,
}

/// The state. One writer; readers hold the snapshot.
#[derive(Debug)]
pub struct Fleet {
    config: Config,
    members: BTreeMap<NodeId, Member>,
    snapshot: Arc<Snapshot>,
    history: History,
    /// The maintenance windows that are open.
    open: Vec<Window>,
}

/// What a node was when the control plane last stopped.
#[derive(Debug, Clone, PartialEq)]
pub struct Known {
    pub spec: Spec,
    pub drain: bool,
    pub down: bool,
}

/// A node the control plane has never heard of, or was told to forget.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no node {0} is registered")]
pub struct UnknownNode(pub NodeId);

/// Why a heartbeat counts for nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unheard {
    #[error(transparent)]
    Unknown(#[from] UnknownNode),
    /// Two processes have one name, and this is the one that started first.
    #[error("a process that started later is called {0} too")]
    Shared(NodeId),
}

impl Fleet {
    /// What was known at the last stop. The version of `snapshot`, whose nodes count for nothing, must be greater than that of
    /// any handed out before. What was live stays so until its origin is heard or has been silent for too long.
    pub fn restore(
        config: Config,
        snapshot: Snapshot,
        nodes: impl IntoIterator<Item = Known>,
        now: Instant,
    ) -> Self {
        let mut members: BTreeMap<NodeId, Member> = BTreeMap::new();
        for Known { spec, drain, down } in nodes {
            let health = Health::restored(down, now);
            let member = Member::new(spec, drain, Heartbeat::default(), health);
            members.insert(member.spec.id.clone(), member);
        }
        for (channel, Live { origin, broadcast, started_at, taken_over_at }) in
            snapshot.channels.iter().filter_map(|(id, channel)| Some((id, channel.live.clone()?)))
        {
            if let Some(member) = members.get_mut(&origin) {
                let broadcast = Broadcast {
                    channel: channel.clone(),
                    id: broadcast,
                    started_at,
                    taken_over_at,
                    health: None,
                };
                member.beat.broadcasts.push(broadcast);
            }
        }
        let (history, snapshot) = (History::default(), Arc::new(snapshot));
        let mut fleet = Self { config, members, snapshot, history, open: Vec::new() };
        fleet.refresh();
        fleet
    }

    /// The newest snapshot.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.clone()
    }

    /// What brings a node from `version` to the newest; `None` when it has that.
    pub fn update_since(&self, version: u64) -> Option<Update> {
        if version == self.snapshot.version {
            return None;
        }
        let delta = self.history.since(version, self.snapshot.version).map(Update::Delta);
        Some(delta.unwrap_or_else(|| Update::Full(Snapshot::clone(&self.snapshot))))
    }

    /// All nodes.
    pub fn members(&self) -> &BTreeMap<NodeId, Member> {
        &self.members
    }

    /// A node says who it is. A new one joins, and is ready as soon as it says so; one that is known keeps its health and
    /// its drain.
    /// `started_at` is when its process started, as in [`Heartbeat::started_at`].
    pub fn register(&mut self, spec: Spec, started_at: u64, now: Instant) {
        let id = spec.id.clone();
        match self.members.get_mut(&id) {
            Some(member) => {
                member.spec = spec;
                member.beat.started_at = started_at;
            }
            None => {
                let beat = Heartbeat { started_at, joining: true, ..Heartbeat::default() };
                self.members.insert(id, Member::new(spec, false, beat, Health::new(now)));
            }
        }
        self.refresh();
    }

    /// Whether a process that started later than `started_at` is called `id` too, and is heard.
    pub fn is_shared(&self, id: &NodeId, started_at: u64, now: Instant) -> bool {
        self.members.get(id).is_some_and(|member| {
            started_at < member.beat.started_at && member.silence(now) < self.config.down_after()
        })
    }

    /// A node says how it is.
    pub fn heartbeat(
        &mut self,
        id: &NodeId,
        mut beat: Heartbeat,
        now: Instant,
    ) -> Result<HeartbeatAck, Unheard> {
        if self.is_shared(id, beat.started_at, now) {
            return Err(Unheard::Shared(id.clone()));
        }
        let member = self.members.get_mut(id).ok_or_else(|| UnknownNode(id.clone()))?;
        if beat.started_at < member.beat.started_at {
            // The other has gone, and this one has to say again who it is.
            return Err(UnknownNode(id.clone()).into());
        }
        let news = !member.credible
            || member.beat.draining != beat.draining
            || member.beat.joining != beat.joining
            || !live::same_broadcasts(&member.beat.broadcasts, &beat.broadcasts);
        live::keep_health(&member.beat.broadcasts, &mut beat.broadcasts);
        member.beat = beat;
        member.credible = true;
        let changed = member.health.on_heartbeat(now, &self.config) | member.measure();
        if news || changed {
            self.refresh();
        }
        Ok(HeartbeatAck { snapshot: self.snapshot.version, at: 0, events: None, metadata: Vec::new() })
    }

    /// A node said how it is to another instance, at `at`.
    pub fn heard_elsewhere(&mut self, id: &NodeId, beat: Heartbeat, at: Instant) {
        if self.members.get(id).is_some_and(|member| member.health.heard() < at) {
            // One of two processes with one name is unheard by all.
            let _unheard = self.heartbeat(id, beat, at);
        }
    }

    /// What all instances share is as in `state` and `nodes`; what nodes say of themselves stays.
    pub fn reload(&mut self, state: Snapshot, nodes: impl IntoIterator<Item = Known>, now: Instant) {
        let mut old = std::mem::take(&mut self.members);
        for Known { spec, drain, down } in nodes {
            let id = spec.id.clone();
            let member = match old.remove(&id) {
                Some(member) => Member { spec, drain, ..member },
                None => {
                    let beat = Heartbeat { joining: true, ..Heartbeat::default() };
                    Member::new(spec, drain, beat, Health::restored(down, now))
                }
            };
            self.members.insert(id, member);
        }
        self.publish(|snapshot| {
            let Snapshot { version, zone, nodes, .. } = std::mem::take(snapshot);
            *snapshot = Snapshot { version, zone, nodes, ..state };
        });
    }

    /// An operator starts or ends a drain.
    pub fn set_drain(&mut self, id: &NodeId, drain: bool) -> Result<(), UnknownNode> {
        let member = self.members.get_mut(id).ok_or_else(|| UnknownNode(id.clone()))?;
        member.drain = drain;
        self.refresh();
        Ok(())
    }

    /// Forgets a node. One that is alive will register again.
    pub fn remove(&mut self, id: &NodeId) -> Result<(), UnknownNode> {
        self.members.remove(id).ok_or_else(|| UnknownNode(id.clone()))?;
        self.refresh();
        Ok(())
    }

    /// Adds or changes a channel.
    pub fn put_channel(&mut self, id: ChannelId, channel: Channel) {
        self.publish(|snapshot| {
            snapshot.channels.insert(id, channel);
        });
    }

    /// Takes a channel away; its origin ends the broadcast on it.
    pub fn remove_channel(&mut self, id: &ChannelId) {
        self.publish(|snapshot| {
            snapshot.channels.remove(id);
        });
    }

    /// What playback tokens are verified with.
    pub fn set_playback_keys(&mut self, keys: BTreeMap<String, Key>) {
        self.publish(|snapshot| snapshot.playback_keys = keys);
    }

    /// Who was sent away.
    pub fn set_revocations(&mut self, revocations: BTreeMap<String, Revocation>) {
        self.publish(|snapshot| snapshot.revocations = revocations);
    }

    /// How the network is to be.
    pub fn set_topology(&mut self, topology: Topology) {
        self.publish(|snapshot| snapshot.topology = topology);
    }

    /// Maintenance windows open and close at `unix_millis`.
    pub fn keep_windows(&mut self, unix_millis: u64) {
        let open = self.snapshot.topology.open_windows(unix_millis);
        if !open.eq(&self.open) {
            self.open = self.snapshot.topology.open_windows(unix_millis).cloned().collect();
            self.refresh();
        }
    }

    /// Whose certificates were taken away.
    pub fn set_revoked_nodes(&mut self, revoked: BTreeMap<String, RevokedNode>) {
        self.publish(|snapshot| snapshot.revoked_nodes = revoked);
    }

    /// Revocations that are over at `unix_millis` leave.
    pub fn let_in_again(&mut self, unix_millis: u64) {
        let is_over = |until: u64| until <= unix_millis;
        let Snapshot { revocations, revoked_nodes, .. } = &*self.snapshot;
        if revocations.values().any(|one| is_over(one.until))
            || revoked_nodes.values().any(|one| is_over(one.until))
        {
            self.publish(|snapshot| {
                snapshot.revocations.retain(|_, one| !is_over(one.until));
                snapshot.revoked_nodes.retain(|_, one| !is_over(one.until));
            });
        }
    }

    /// Time has passed: nodes that missed their heartbeats go down, broadcasts of those long silent end.
    pub fn expire(&mut self, now: Instant) {
        let mut changed = false;
        for member in self.members.values_mut() {
            changed |= member.health.expire(now, &self.config);
            if member.credible && now >= member.health.heard() + self.config.live_linger() {
                member.credible = false;
                changed = true;
            }
        }
        if changed {
            self.refresh();
        }
    }

    /// When [`Fleet::expire`] may next have something to do.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let due = |member: &Member| {
            let silent = member.credible.then(|| member.health.heard() + self.config.live_linger());
            member.health.poll_timeout(&self.config).into_iter().chain(silent).min()
        };
        self.members.values().filter_map(due).min()
    }

    /// What edges are to forget.
    pub fn set_purges(&mut self, purges: Purges) {
        self.publish(|snapshot| snapshot.purges = purges);
    }

    fn refresh(&mut self) {
        self.publish(|_| ());
    }

    /// Makes the next version, if it is another one: with `change`, and with what the members say.
    fn publish(&mut self, change: impl FnOnce(&mut Snapshot)) {
        let old = &self.snapshot;
        let mut new = Snapshot { version: old.version + 1, ..Snapshot::clone(old) };
        change(&mut new);
        let mut live = live::by_channel(self.members.values());
        for (id, channel) in &mut new.channels {
            channel.live = live.remove(id);
        }
        let open: Vec<_> = self.open.iter().collect();
        for member in self.members.values_mut() {
            member.follow(&new.topology, &open);
        }
        new.nodes = self.members.iter().map(|(id, member)| (id.clone(), member.node())).collect();
        let delta = new.since(old);
        if !delta.is_empty() {
            self.history.push(delta);
            self.snapshot = Arc::new(new);
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self { down_after: 5, up_after: 2, live_linger: 30 }
    }
}

impl Config {
    /// One line on what cannot work.
    pub fn check(&self) -> Result<(), String> {
        if self.down_after < 2 {
            return Err("fleet.down_after is below 2: nodes send a heartbeat every second".to_owned());
        }
        if self.live_linger < self.down_after {
            return Err("fleet.live_linger is below fleet.down_after: make it at least as long".to_owned());
        }
        Ok(())
    }

    fn down_after(&self) -> Duration {
        Duration::from_secs(self.down_after)
    }

    fn live_linger(&self) -> Duration {
        Duration::from_secs(self.live_linger)
    }
}

#[cfg(test)]
mod tests;
