//! How a channel's publishers do, and what happened to them.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use nearcast_api::ingest::{Event, Health};
use nearcast_api::snapshot::Live;
use nearcast_api::{BroadcastId, ChannelId, NodeId, Problem};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::auth::Reader;
use super::{Shared, extract};
use crate::error::{Error, Result};
use crate::plane;

/// Who publishes to a channel now.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = IngestState)]
pub(super) struct View {
    /// The broadcast that viewers see. While there is one and no publisher, it waits for one to come back.
    #[serde(skip_serializing_if = "Option::is_none")]
    live: Option<Live>,
    /// The one that viewers see first; none while nobody publishes.
    publishers: Vec<Publisher>,
}

/// A publisher that is connected to an origin.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Publisher {
    origin: NodeId,
    broadcast: BroadcastId,
    /// Milliseconds since the Unix epoch.
    started_at: u64,
    /// Its broadcast is the one that viewers see; it may stand by in it.
    live: bool,
    /// As the origin's last heartbeat told it.
    #[serde(skip_serializing_if = "Option::is_none")]
    health: Option<Health>,
}

/// What happened, oldest first.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EventList)]
pub(super) struct Log {
    events: Vec<Entry>,
    /// For `after` of the next request.
    last: u64,
}

/// An event in the log.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Entry {
    /// Its number in the log.
    id: u64,
    /// The origin that saw it.
    node: String,
    #[serde(flatten)]
    event: Event,
}

/// Which events.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// Events behind this number; without it the newest.
    after: Option<u64>,
    /// At most so many, 1 to 500.
    #[param(default = 100)]
    limit: Option<u32>,
}

/// How a channel's publishers do
#[utoipa::path(get, operation_id = "showIngest", path = "/channels/{channel}/ingest", tag = "channels", params(("channel" = ChannelId, Path)),
    security(("token" = ["read-only"])),
    responses((status = 200, body = View), (status = "4XX", body = Problem, content_type = Problem::CONTENT_TYPE)))]
pub(super) async fn show(
    _: Reader,
    extract::Path(id): extract::Path<ChannelId>,
    State(shared): State<Arc<Shared>>,
) -> Result<Json<View>> {
    let (live, publishers) = shared.plane.ingest(&id).await?;
    Ok(Json(View { live, publishers: publishers.into_iter().map(Publisher::from).collect() }))
}

/// What happened to a channel's publishers
///
/// Starts, ends, refusals, warnings, lines that are lost and come back, and who is on the air instead; the newest 500 are kept.
#[utoipa::path(get, operation_id = "listEvents", path = "/channels/{channel}/events", tag = "channels",
    params(("channel" = ChannelId, Path), Which), security(("token" = ["read-only"])),
    responses((status = 200, body = Log), (status = "4XX", body = Problem, content_type = Problem::CONTENT_TYPE)))]
pub(super) async fn events(
    _: Reader,
    extract::Path(id): extract::Path<ChannelId>,
    extract::Query(Which { after, limit }): extract::Query<Which>,
    State(shared): State<Arc<Shared>>,
) -> Result<Json<Log>> {
    let limit = limit.unwrap_or(DEFAULT);
    if !(1..=MOST).contains(&limit) {
        return Err(Error::Invalid { field: "limit", problem: format!("use 1 to {MOST}") });
    }
    let events = shared.plane.events(&id, after, limit).await?;
    let last = events.last().map_or(after.unwrap_or(0), |(id, ..)| *id);
    let events = events.into_iter().map(|(id, node, event)| Entry { id, node, event }).collect();
    Ok(Json(Log { events, last }))
}

impl From<plane::Ingest> for Publisher {
    fn from(ingest: plane::Ingest) -> Self {
        let plane::Ingest { origin, broadcast, started_at, live, health } = ingest;
        Self { origin, broadcast, started_at, live, health }
    }
}

const DEFAULT: u32 = 100;
const MOST: u32 = 500;
