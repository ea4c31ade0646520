//! What nodes live from: the newest snapshot, or what changed since the one they have.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use nearcast_api::Problem;
use nearcast_api::snapshot::Update;
use serde::Deserialize;

use super::auth::Node;
use super::{Shared, extract};
use crate::error::Result;

/// What the node has, and its patience.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
pub(super) struct Query {
    /// The version the node has; 0 or left out for none.
    #[serde(default)]
    since: u64,
    /// Seconds to wait for a newer version, at most 30.
    #[serde(default)]
    wait: u64,
}

/// What changed since a version
///
/// Waits until there is something newer. 204 when there was nothing within the wait.
#[utoipa::path(get, operation_id = "snapshot", path = "/snapshot", tag = "nodes", params(Query), security(("node" = []), ("token" = ["admin"])),
    responses((status = 200, body = Update), (status = 204, description = "Nothing newer"),
        (status = "4XX", body = Problem, content_type = Problem::CONTENT_TYPE)))]
pub(super) async fn show(
    node: Node,
    extract::Query(Query { since, wait }): extract::Query<Query>,
    State(shared): State<Arc<Shared>>,
) -> Result<Response> {
    let mut snapshots = shared.plane.subscribe();
    let newer = async {
        loop {
            // Marked as seen before the fleet is asked, so that a change in between ends the wait.
            snapshots.borrow_and_update();
            if let Some(update) = shared.plane.update_since(since) {
                return Some(update);
            }
            snapshots.changed().await.ok()?;
        }
    };
    let patience = Duration::from_secs(wait).min(MAX_WAIT);
    let waited = shared.drain.unless_draining(tokio::time::timeout(patience, newer)).await;
    // What ended the wait may be that the node was sent away.
    node.check(&shared)?;
    Ok(match waited {
        Some(Ok(Some(update))) => Json(update).into_response(),
        _ => StatusCode::NO_CONTENT.into_response(),
    })
}

const MAX_WAIT: Duration = Duration::from_secs(30);
