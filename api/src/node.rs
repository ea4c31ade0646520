//! What a node says of itself: who it is ([`Spec`]) and how it is ([`Heartbeat`]).

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::audience::{Audience, InCountry};
use crate::{BroadcastId, ChannelId, NodeId, Region, ingest, metadata};

/// Who a node is. Sent once at start and again when the control plane has forgotten it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Spec {
    pub id: NodeId,
    pub role: Role,
    pub region: Region,
    /// Where it stands, for distance; without it only the region decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<Location>,
    /// What DNS answers for it.
    #[cfg_attr(feature = "schema", schema(value_type = Vec<String>))]
    pub addresses: Vec<IpAddr>,
    /// Base URLs, no trailing slash, best first, at which others reach this node's media: viewers an
    /// edge's (`https://eu-1.example.net`), edges an origin's.
    pub urls: Vec<String>,
    /// The software's version.
    pub version: String,
}

/// What a node does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Role {
    Edge,
    Origin,
    Control,
}

/// Degrees, WGS 84.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Location {
    pub latitude: f64,
    pub longitude: f64,
}

/// How a node is, every second. An origin's lists all it has live, so a lost one heals itself. Fields that only newer
/// nodes send are skipped: nodes are upgraded one by one.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Heartbeat {
    pub load: Load,
    /// When the process started, in milliseconds since the Unix epoch: it tells two that share a name apart.
    #[serde(default)]
    pub started_at: u64,
    /// The node finishes what it has and wants nothing new.
    #[serde(default)]
    pub draining: bool,
    #[serde(default)]
    pub broadcasts: Vec<Broadcast>,
    /// An edge's channels with the most viewers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub audience: Vec<Audience>,
    /// The countries with the most of an edge's viewers, `ZZ` for those of whom nobody knows; empty where it cannot know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub countries: Vec<InCountry>,
    /// What happened to publishers and has not been acknowledged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events: Option<ingest::Events>,
    /// Numbers of the [`metadata::Command`]s of the last answer that it has taken in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub received: Vec<u64>,
    /// The newest [`purge::Purge`](crate::purge::Purge) that an edge has carried out, with all before it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub purged: u64,
    /// The node has begun and is not ready: it waits for a snapshot or a certificate.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub joining: bool,
    /// How far the node's clock is ahead of the control plane's, in milliseconds, as its last heartbeat showed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(nullable = false))]
    pub clock_offset_ms: Option<i64>,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Load over the last heartbeat interval.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Load {
    /// Share of all cores in use by the process, 0 to 1.
    pub cpu: f32,
    /// Viewers with a request in the last ten seconds.
    pub viewers: u32,
    /// Bits per second sent to viewers.
    pub egress_bps: u64,
    /// Share of an edge's requests for media that needed no fetch of their own, 0 to 1; left out when there were none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(nullable = false))]
    pub cache_ratio: Option<f32>,
}

/// A broadcast that is live on an origin.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Broadcast {
    pub channel: ChannelId,
    pub id: BroadcastId,
    /// Milliseconds since the Unix epoch.
    pub started_at: u64,
    /// When the origin took it over from another that was lost, in milliseconds since the Unix epoch; none where it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(nullable = false))]
    pub taken_over_at: Option<u64>,
    /// How its publishers do, the one that viewers see first; none while it waits for one. An origin with very many broadcasts tells it of some at a time: the last one holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(nullable = false))]
    pub health: Option<Vec<ingest::Health>>,
}

impl Broadcast {
    /// Since when it is at this origin, in milliseconds since the Unix epoch. Of two origins that have a channel live,
    /// the one that has it since later counts.
    pub fn since(&self) -> u64 {
        self.taken_over_at.unwrap_or(self.started_at)
    }
}

/// What the control plane thinks of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It has begun, and nobody is sent to it yet.
    Joining,
    Ready,
    /// Gets no new work: an operator or a maintenance window says so, or the node itself.
    Draining,
    /// Missed its heartbeats.
    Down,
}

/// Answer to a heartbeat.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct HeartbeatAck {
    /// The newest snapshot's version.
    pub snapshot: u64,
    /// The control plane's time, in milliseconds since the Unix epoch; 0 where it was not told.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub at: u64,
    /// What need not be sent again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events: Option<ingest::Acknowledged>,
    /// What the origin has not said yet that it has.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub metadata: Vec<metadata::Command>,
}
