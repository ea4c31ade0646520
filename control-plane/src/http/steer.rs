//! Where a viewer's page should go. Open to everybody, from any page.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, State};
use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL};
use nearcast_api::steer::Steering;
use nearcast_api::{ChannelId, Problem};
use nearcast_service::http::Peer;
use serde::Deserialize;

use super::auth::Limited;
use super::{Shared, client, extract};
use crate::access::Scope;
use crate::error::{Error, Result};
use crate::steer;

/// Options of a steering call.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
pub(super) struct Query {
    /// Steer this address instead of the caller's; needs a token.
    #[param(value_type = Option<String>)]
    ip: Option<IpAddr>,
}

/// Edges for the caller, best first
#[utoipa::path(get, operation_id = "steer", path = "/steer/{channel}", tag = "viewers", params(("channel" = ChannelId, Path), Query),
    security((), ("token" = ["read-only"])),
    responses((status = 200, body = Steering),
        (status = 404, body = Problem, content_type = Problem::CONTENT_TYPE, description = "No such channel"),
        (status = "4XX", body = Problem, content_type = Problem::CONTENT_TYPE)))]
pub(super) async fn show(
    caller: Result<Limited, Error>,
    extract::Path(channel): extract::Path<ChannelId>,
    extract::Query(Query { ip }): extract::Query<Query>,
    Extension(peer): Extension<Peer>,
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
) -> Result<Response> {
    let address = match ip {
        Some(address) => {
            let Limited(caller) = caller.map_err(|_| Error::NoTokenForIp)?;
            caller.insist(&shared, Scope::ReadOnly, Some(channel.as_str())).await?;
            address
        }
        None => client::address(peer.address.ip(), &headers, &shared.trusted_proxies),
    };
    let snapshot = shared.plane.subscribe().borrow().clone();
    let steering =
        steer::steer(&snapshot, &shared.locator, &channel, address).ok_or(Error::NoChannel(channel))?;
    let headers = [(CACHE_CONTROL, "no-store"), (ACCESS_CONTROL_ALLOW_ORIGIN, "*")];
    Ok((headers, Json(steering)).into_response())
}
