//! Viewers who are sent away, by token, name or network.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use ipnet::IpNet;
use nearcast_api::playback::Revocation;
use nearcast_api::{ChannelId, Problem};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::auth::Limited;
use super::{Shared, extract};
use crate::access::Scope;
use crate::error::{Error, Result};
use crate::store::StoredRevocation;

/// A revocation.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RevocationState)]
pub(super) struct View {
    id: String,
    #[serde(flatten)]
    revocation: Revocation,
    /// Milliseconds since the Unix epoch.
    created_at: u64,
}

/// All revocations that are not over, oldest first.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RevocationList)]
pub(super) struct List {
    revocations: Vec<View>,
}

/// Whom to send away: who matches everything that is named. One of `token`, `subject` and `network` is needed.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CreateRevocation)]
pub(super) struct Create {
    /// A token's id (`jti`).
    #[serde(default)]
    token: Option<String>,
    /// A viewer: the `subject` of their tokens (`sub`).
    #[serde(default)]
    subject: Option<String>,
    /// Where they are, such as `198.51.100.7/32`; it works without tokens, too.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    network: Option<IpNet>,
    /// Only on this channel.
    #[serde(default)]
    channel: Option<ChannelId>,
    /// For how long, at most a year: for a token, until it is over.
    #[serde(default = "day")]
    seconds: u64,
}

fn day() -> u64 {
    24 * 3600
}

impl From<StoredRevocation> for View {
    fn from(StoredRevocation { id, revocation, created_at }: StoredRevocation) -> Self {
        Self { id, revocation, created_at }
    }
}

/// Who is sent away
#[utoipa::path(get, operation_id = "listRevocations", path = "/revocations", tag = "playback", security(("token" = ["read-only"])),
    responses((status = 200, body = List), (status = "4XX", body = Problem, content_type = Problem::CONTENT_TYPE)))]
pub(super) async fn list(Limited(caller): Limited, State(shared): State<Arc<Shared>>) -> Result<Json<List>> {
    let mut revocations = shared.plane.revocations().await?;
    revocations.retain(|stored| caller.check(Scope::ReadOnly, channel_of(stored)).is_ok());
    Ok(Json(List { revocations: revocations.into_iter().map(View::from).collect() }))
}

/// Send viewers away
///
/// Edges refuse them within a second; a player that waits for the next part still gets it.
#[utoipa::path(post, operation_id = "createRevocation", path = "/revocations", tag = "playback", request_body = Create,
    security(("token" = ["moderator"])),
    responses((status = 201, body = View), (status = "4XX", body = Problem, content_type = Problem::CONTENT_TYPE)))]
pub(super) async fn create(
    Limited(caller): Limited,
    State(shared): State<Arc<Shared>>,
    extract::Json(Create { token, subject, network, channel, seconds }): extract::Json<Create>,
) -> Result<(StatusCode, Json<View>)> {
    caller.insist(&shared, Scope::Moderator, channel.as_ref().map(ChannelId::as_str)).await?;
    let invalid = |field, problem: &str| Err(Error::Invalid { field, problem: problem.to_owned() });
    if token.is_none() && subject.is_none() && network.is_none() {
        return invalid("token", "name a token, a subject or a network: this would send everybody away");
    }
    for (field, text) in [("token", &token), ("subject", &subject)] {
        if text.as_ref().is_some_and(|text| text.is_empty() || text.len() > MAX_TEXT) {
            return invalid(field, "use 1 to 400 bytes");
        }
    }
    if seconds == 0 || seconds > YEAR {
        return invalid("seconds", "use 1 to 31622400");
    }
    let revocation = Revocation { token, subject, network, channel, until: 0 };
    let stored = shared.plane.revoke(&caller.actor, revocation, seconds).await?;
    Ok((StatusCode::CREATED, Json(stored.into())))
}

/// Let them in again
#[utoipa::path(delete, operation_id = "deleteRevocation", path = "/revocations/{revocation}", tag = "playback",
    params(("revocation" = String, Path, description = "Its id")), security(("token" = ["moderator"])),
    responses((status = 204), (status = "4XX", body = Problem, content_type = Problem::CONTENT_TYPE)))]
pub(super) async fn delete(
    Limited(caller): Limited,
    extract::Path(id): extract::Path<String>,
    State(shared): State<Arc<Shared>>,
) -> Result<StatusCode> {
    let revocations = shared.plane.revocations().await?;
    let stored = revocations.iter().find(|stored| stored.id == id);
    caller.insist(&shared, Scope::Moderator, stored.and_then(channel_of)).await?;
    shared.plane.delete_revocation(&caller.actor, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn channel_of(stored: &StoredRevocation) -> Option<&str> {
    stored.revocation.channel.as_ref().map(ChannelId::as_str)
}

const MAX_TEXT: usize = 400;
/// Seconds of a leap year.
const YEAR: u64 = 366 * 24 * 3600;
