//! Timed metadata for a channel that is live.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use nearcast_api::metadata::Metadata;
use nearcast_api::{BroadcastId, ChannelId, Problem};
use serde::Serialize;
use utoipa::ToSchema;

use super::auth::Publisher;
use super::{Shared, extract};
use crate::error::Result;

/// Metadata on its way.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AcceptedMetadata)]
pub(super) struct Accepted {
    id: String,
    broadcast: BroadcastId,
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<u64>,
}

/// Say something at a moment of the broadcast
///
/// It is in the media and in every playlist about a second later. An origin that cannot be reached within half a
/// minute does not get it.
#[utoipa::path(post, operation_id = "announceMetadata", path = "/channels/{channel}/metadata", tag = "channels", params(("channel" = ChannelId, Path)),
    request_body = Metadata, security(("token" = ["publisher"])),
    responses((status = 202, body = Accepted),
        (status = 409, body = Problem, content_type = Problem::CONTENT_TYPE, description = "The channel is not live"),
        (status = 429, body = Problem, content_type = Problem::CONTENT_TYPE, description = "Too many wait already"),
        (status = "4XX", body = Problem, content_type = Problem::CONTENT_TYPE)))]
pub(super) async fn announce(
    Publisher(by): Publisher,
    extract::Path(channel): extract::Path<ChannelId>,
    State(shared): State<Arc<Shared>>,
    extract::Json(metadata): extract::Json<Metadata>,
) -> Result<Response> {
    let at = metadata.at;
    let (id, broadcast) = shared.plane.announce(&channel, metadata).await?;
    tracing::info!(actor = by.name, %channel, id, "metadata announced");
    Ok((StatusCode::ACCEPTED, Json(Accepted { id, broadcast, at })).into_response())
}
