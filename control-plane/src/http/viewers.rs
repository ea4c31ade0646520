//! Who watches: what edges tell with their heartbeats, by channel and region.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use nearcast_api::audience::Qoe;
use nearcast_api::node::Status;
use nearcast_api::{ChannelId, Problem, Region};
use serde::Serialize;
use utoipa::ToSchema;

use super::Shared;
use super::auth::Reader;
use crate::fleet::Member;

/// All channels that are watched.
#[derive(Debug, Default, Serialize, ToSchema)]
#[schema(as = ViewerList)]
pub(super) struct List {
    /// All of them together.
    viewers: u64,
    channels: BTreeMap<ChannelId, Channel>,
}

/// A channel's viewers.
#[derive(Debug, Default, Serialize, ToSchema)]
#[schema(as = ChannelViewers)]
pub(super) struct Channel {
    viewers: u64,
    regions: BTreeMap<Region, InRegion>,
}

/// A channel's viewers at the edges of one region. What is summed up begins with each edge's process.
#[derive(Debug, Default, Serialize, ToSchema)]
#[schema(as = RegionViewers)]
pub(super) struct InRegion {
    /// Players with a request in the last ten seconds that ask for playlists.
    hls: u64,
    /// Those that ask for manifests.
    dash: u64,
    /// Those of whom only media requests were seen.
    other: u64,
    viewer_seconds: u64,
    bytes: u64,
    qoe: Qoe,
}

/// Who watches what, and how well it plays
///
/// An edge tells of its 500 channels with the most viewers.
#[utoipa::path(get, operation_id = "viewers", path = "/viewers", tag = "channels", security(("token" = ["read-only"])),
    responses((status = 200, body = List), (status = "4XX", body = Problem, content_type = Problem::CONTENT_TYPE)))]
pub(super) async fn show(_: Reader, State(shared): State<Arc<Shared>>) -> Json<List> {
    Json(add_up(&shared.plane.members()))
}

fn add_up(members: &[Member]) -> List {
    let mut list = List::default();
    for member in members.iter().filter(|member| member.status() != Status::Down) {
        for told in &member.beat.audience {
            let viewers = told.viewers();
            list.viewers += viewers;
            let channel = list.channels.entry(told.channel.clone()).or_default();
            channel.viewers += viewers;
            let region = channel.regions.entry(member.spec.region.clone()).or_default();
            region.hls += u64::from(told.hls);
            region.dash += u64::from(told.dash);
            region.other += u64::from(told.other);
            region.viewer_seconds = region.viewer_seconds.saturating_add(told.viewer_seconds);
            region.bytes = region.bytes.saturating_add(told.bytes);
            region.qoe.add(&told.qoe);
        }
    }
    list
}
