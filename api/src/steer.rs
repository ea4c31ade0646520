//! Where a viewer should go, for pages that ask over HTTP instead of DNS.

use serde::{Deserialize, Serialize};

use crate::{ChannelId, NodeId, Region};

/// Edges for one viewer, best first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Steering {
    pub channel: ChannelId,
    /// True while an origin reports the channel live; a page may still try when it is not.
    pub live: bool,
    pub edges: Vec<Edge>,
}

/// One edge and how to reach it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Edge {
    pub node: NodeId,
    pub region: Region,
    /// Base URLs, best first.
    pub urls: Vec<String>,
}
