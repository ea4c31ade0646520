//! What the control plane knows, as numbered versions that every node keeps on disk and lives from.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::channel::Settings;
use crate::node::{Spec, Status};
use crate::playback::{Key, Revocation};
use crate::purge::{Purge, Purges};
use crate::topology::{NORMAL_WEIGHT, Topology};
use crate::{BroadcastId, ChannelId, NodeId};

/// Everything a node needs to work without the control plane.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Snapshot {
    /// Grows by one with every change.
    pub version: u64,
    /// The operator's DNS zone, without a trailing dot.
    pub zone: String,
    pub nodes: BTreeMap<NodeId, Node>,
    pub channels: BTreeMap<ChannelId, Channel>,
    /// What playback tokens are verified with, by `kid`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub playback_keys: BTreeMap<String, Key>,
    /// Who was sent away, by id.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub revocations: BTreeMap<String, Revocation>,
    /// Certificates of nodes that count no more, by serial number in lower-case hex.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub revoked_nodes: BTreeMap<String, RevokedNode>,
    #[serde(default, skip_serializing_if = "Purges::is_empty")]
    pub purges: Purges,
    #[serde(default)]
    pub topology: Topology,
}

/// A node's certificate that was taken away before its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct RevokedNode {
    pub node: NodeId,
    /// When it has ended by every clock, in milliseconds since the Unix epoch.
    pub until: u64,
}

/// A registered node and its health.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Node {
    pub spec: Spec,
    pub status: Status,
    /// See [`NodePlan::weight`](crate::topology::NodePlan::weight).
    #[serde(default = "normal_weight", skip_serializing_if = "is_normal_weight")]
    pub weight: u16,
    /// It does what it can: new viewers go elsewhere.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub full: bool,
}

/// A channel, who may publish to it and where it is live.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Channel {
    pub title: String,
    /// Stream keys that may publish here.
    pub keys: Vec<KeyHash>,
    /// Stream keys of encoders that stand by for those that publish with `keys`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub backup_keys: Vec<KeyHash>,
    #[serde(default)]
    pub settings: Settings,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub live: Option<Live>,
}

/// A channel that is live.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Live {
    pub origin: NodeId,
    pub broadcast: BroadcastId,
    /// Milliseconds since the Unix epoch.
    pub started_at: u64,
    /// When the origin took it over from another that was lost, in milliseconds since the Unix epoch; none where it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(nullable = false))]
    pub taken_over_at: Option<u64>,
}

impl Node {
    /// A node of normal weight that has room.
    pub fn new(spec: Spec, status: Status) -> Self {
        Self { spec, status, weight: NORMAL_WEIGHT, full: false }
    }
}

impl Live {
    /// As [`Broadcast::since`](crate::node::Broadcast::since).
    pub fn since(&self) -> u64 {
        self.taken_over_at.unwrap_or(self.started_at)
    }
}

/// SHA-256 of a stream key, lower-case hex. Keys are 160 random bits, so no salt or stretching is needed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(transparent)]
pub struct KeyHash(pub String);

/// What brings a node from the version it has to the newest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Update {
    /// The control plane no longer has the node's version, or the node has none.
    Full(Snapshot),
    Delta(Delta),
}

/// The difference between two versions.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Delta {
    pub from: u64,
    pub to: u64,
    /// Null for what is gone.
    #[cfg_attr(feature = "schema", schema(value_type = BTreeMap<NodeId, Node>))]
    pub nodes: BTreeMap<NodeId, Option<Node>>,
    /// Null for what is gone.
    #[cfg_attr(feature = "schema", schema(value_type = BTreeMap<ChannelId, Channel>))]
    pub channels: BTreeMap<ChannelId, Option<Channel>>,
    /// Null for what is gone.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[cfg_attr(feature = "schema", schema(value_type = BTreeMap<String, Key>))]
    pub playback_keys: BTreeMap<String, Option<Key>>,
    /// Null for what is gone.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[cfg_attr(feature = "schema", schema(value_type = BTreeMap<String, Revocation>))]
    pub revocations: BTreeMap<String, Option<Revocation>>,
    /// Null for what is over.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[cfg_attr(feature = "schema", schema(value_type = BTreeMap<String, RevokedNode>))]
    pub revoked_nodes: BTreeMap<String, Option<RevokedNode>>,
    /// Those that are new.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub purges: Vec<Purge>,
    /// When it is another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(nullable = false))]
    pub topology: Option<Topology>,
}

/// A delta that does not start where the snapshot is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the delta starts at snapshot {from}, this node has {have}: ask for a full one")]
pub struct WrongVersion {
    from: u64,
    have: u64,
}

impl Snapshot {
    /// What turns `old` into `self`. `None` marks what is gone.
    pub fn since(&self, old: &Self) -> Delta {
        Delta {
            from: old.version,
            to: self.version,
            nodes: difference(&old.nodes, &self.nodes),
            channels: difference(&old.channels, &self.channels),
            playback_keys: difference(&old.playback_keys, &self.playback_keys),
            revocations: difference(&old.revocations, &self.revocations),
            revoked_nodes: difference(&old.revoked_nodes, &self.revoked_nodes),
            purges: self.purges.since(old.purges.newest()).unwrap_or_default().to_vec(),
            topology: (self.topology != old.topology).then(|| self.topology.clone()),
        }
    }

    /// Brings the snapshot up to date, or leaves it as it was.
    pub fn apply(&mut self, update: Update) -> Result<(), WrongVersion> {
        match update {
            Update::Full(snapshot) => *self = snapshot,
            Update::Delta(delta) => {
                if delta.from != self.version {
                    return Err(WrongVersion { from: delta.from, have: self.version });
                }
                self.version = delta.to;
                patch(&mut self.nodes, delta.nodes);
                patch(&mut self.channels, delta.channels);
                patch(&mut self.playback_keys, delta.playback_keys);
                patch(&mut self.revocations, delta.revocations);
                patch(&mut self.revoked_nodes, delta.revoked_nodes);
                delta.purges.into_iter().for_each(|purge| self.purges.push(purge));
                self.topology = delta.topology.unwrap_or_else(|| std::mem::take(&mut self.topology));
            }
        }
        Ok(())
    }
}

impl Delta {
    /// Brings nothing new.
    pub fn is_empty(&self) -> bool {
        let Self {
            from: _,
            to: _,
            nodes,
            channels,
            playback_keys,
            revocations,
            revoked_nodes,
            purges,
            topology,
        } = self;
        nodes.is_empty()
            && channels.is_empty()
            && playback_keys.is_empty()
            && revocations.is_empty()
            && revoked_nodes.is_empty()
            && purges.is_empty()
            && topology.is_none()
    }

    /// Takes in the one that follows.
    pub fn extend(&mut self, next: Self) {
        let Self {
            from: _,
            to,
            nodes,
            channels,
            playback_keys,
            revocations,
            revoked_nodes,
            purges,
            topology,
        } = next;
        self.to = to;
        self.nodes.extend(nodes);
        self.channels.extend(channels);
        self.playback_keys.extend(playback_keys);
        self.revocations.extend(revocations);
        self.revoked_nodes.extend(revoked_nodes);
        self.purges.extend(purges);
        self.topology = topology.or_else(|| self.topology.take());
    }
}

fn normal_weight() -> u16 {
    NORMAL_WEIGHT
}

fn is_normal_weight(weight: &u16) -> bool {
    *weight == NORMAL_WEIGHT
}

fn difference<K: Ord + Clone, V: PartialEq + Clone>(
    old: &BTreeMap<K, V>,
    new: &BTreeMap<K, V>,
) -> BTreeMap<K, Option<V>> {
    let gone = old.keys().filter(|key| !new.contains_key(key)).map(|key| (key.clone(), None));
    let changed = new.iter().filter(|(key, value)| old.get(key) != Some(value));
    gone.chain(changed.map(|(key, value)| (key.clone(), Some(value.clone())))).collect()
}

fn patch<K: Ord, V>(map: &mut BTreeMap<K, V>, changes: BTreeMap<K, Option<V>>) {
    for (key, value) in changes {
        match value {
            Some(value) => map.insert(key, value),
            None => map.remove(&key),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::NodePlan;

    fn snapshot(version: u64, channels: &[(&str, &str)]) -> Snapshot {
        let channel = |title: &&str| Channel { title: (*title).to_owned(), ..Channel::default() };
        let channels = channels.iter().map(|(id, title)| (id.parse().unwrap(), channel(title))).collect();
        Snapshot { version, zone: "nearcast.test".into(), channels, ..Snapshot::default() }
    }

    #[test]
    fn a_delta_carries_only_what_changed_and_leads_to_the_same_snapshot() {
        let old = snapshot(4, &[("same", "a"), ("changed", "b"), ("gone", "c")]);
        let mut new = snapshot(7, &[("same", "a"), ("changed", "d"), ("added", "e")]);
        new.topology.nodes.insert("eu-1".parse().unwrap(), NodePlan::default());
        let delta = new.since(&old);
        assert_eq!(delta.channels.len(), 3);

        let json = serde_json::to_string(&Update::Delta(delta)).unwrap();
        let mut node = old;
        node.apply(serde_json::from_str(&json).unwrap()).unwrap();
        assert_eq!(node, new);
    }

    #[test]
    fn a_delta_from_elsewhere_changes_nothing() {
        let mut node = snapshot(3, &[("a", "b")]);
        let before = node.clone();
        let delta = Delta { from: 4, to: 5, ..Delta::default() };
        assert!(node.apply(Update::Delta(delta)).is_err());
        assert_eq!(node, before);
    }
}
