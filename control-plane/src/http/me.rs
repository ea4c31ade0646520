//! Who the caller is.

use axum::Json;
use nearcast_api::{ChannelId, Problem, UserId};
use serde::Serialize;
use utoipa::ToSchema;

use super::auth::Limited;
use crate::access::{Grant, Scope};

/// Whoever calls.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Me {
    /// As the audit log calls them: `admin-token`, `token:ID` or `user:NAME`.
    actor: String,
    scopes: Vec<Scope>,
    /// Only what is below these channels; none for all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    channels: Vec<ChannelId>,
    /// Where it is a user.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    user: Option<UserId>,
    /// What people call the user.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    name: Option<String>,
    /// The session's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    session: Option<String>,
    /// When the session ends, in milliseconds since the Unix epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    expires_at: Option<u64>,
}

/// Who you are, and what you may do
///
/// With any token or session; a node's token is nobody's.
#[utoipa::path(get, operation_id = "me", path = "/me", tag = "access", security(("token" = []), ("session" = [])),
    responses((status = 200, body = Me), (status = "4XX", body = Problem, content_type = Problem::CONTENT_TYPE)))]
pub(super) async fn show(Limited(caller): Limited) -> Json<Me> {
    let Grant { scopes, channels } = caller.grant;
    let signed_in = caller.signed_in.as_ref();
    Json(Me {
        actor: caller.actor.name,
        scopes,
        channels,
        user: signed_in.map(|signed_in| signed_in.user.id.clone()),
        name: signed_in.map(|signed_in| signed_in.user.name.clone()),
        session: signed_in.map(|signed_in| signed_in.session.id.clone()),
        expires_at: signed_in.map(|signed_in| signed_in.session.expires_at),
    })
}
