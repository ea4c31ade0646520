//! API tokens: made (shown once), listed, taken away.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::CACHE_CONTROL;
use nearcast_api::{ChannelId, Problem};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::auth::Admin;
use super::{Shared, extract, grant};
use crate::access::{Grant, Scope};
use crate::error::{Error, Result};
use crate::store::StoredToken;

/// An API token without the token itself, which is not kept.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ApiToken)]
pub(super) struct View {
    id: String,
    scopes: Vec<Scope>,
    /// Only what is below these channels; none for all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    channels: Vec<ChannelId>,
    label: String,
    /// Milliseconds since the Unix epoch.
    created_at: u64,
    /// The same; left out for never.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    expires_at: Option<u64>,
}

/// All API tokens, oldest first.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ApiTokenList)]
pub(super) struct List {
    tokens: Vec<View>,
}

/// An API token, for the only time.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CreatedApiToken)]
pub(super) struct Created {
    #[serde(flatten)]
    view: View,
    /// For `Authorization: Bearer TOKEN`. It is shown this once.
    token: String,
}

/// An API token to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CreateApiToken)]
pub(super) struct Create {
    /// What it may do, at least one.
    scopes: Vec<Scope>,
    /// Only what is below these channels, at most 100; left out for all. It then opens nothing that belongs to no channel.
    #[serde(default)]
    channels: Vec<ChannelId>,
    /// For people, at most 100 characters: whose it is, what uses it.
    #[serde(default)]
    label: String,
    /// Seconds from now, at most a year; left out for never.
    #[serde(default)]
    expires_in: Option<u64>,
}

impl From<StoredToken> for View {
    fn from(StoredToken { id, grant, label, created_at, expires_at, .. }: StoredToken) -> Self {
        let Grant { scopes, channels } = grant;
        Self { id, scopes, channels, label, created_at, expires_at }
    }
}

/// All API tokens
#[utoipa::path(get, operation_id = "listApiTokens", path = "/api-tokens", tag = "access", security(("token" = ["admin"])),
    responses((status = 200, body = List), (status = "4XX", body = Problem, content_type = Problem::CONTENT_TYPE)))]
pub(super) async fn list(_: Admin, State(shared): State<Arc<Shared>>) -> Result<Json<List>> {
    let tokens = shared.plane.tokens().await?;
    Ok(Json(List { tokens: tokens.into_iter().map(View::from).collect() }))
}

/// Make an API token
#[utoipa::path(post, operation_id = "createApiToken", path = "/api-tokens", tag = "access", request_body = Create,
    security(("token" = ["admin"])),
    responses((status = 201, body = Created), (status = "4XX", body = Problem, content_type = Problem::CONTENT_TYPE)))]
pub(super) async fn create(
    Admin(by): Admin,
    State(shared): State<Arc<Shared>>,
    extract::Json(Create { scopes, channels, label, expires_in }): extract::Json<Create>,
) -> Result<Response> {
    let problem = extract::check_text(&label, MAX_LABEL);
    problem.map_err(|problem| Error::Invalid { field: "label", problem })?;
    let grant = grant::check(scopes, channels)?;
    if expires_in.is_some_and(|seconds| !(1..=YEAR).contains(&seconds)) {
        let problem = "use 1 to 31622400 seconds, or leave it out".to_owned();
        return Err(Error::Invalid { field: "expires_in", problem });
    }
    let (token, stored) = shared.plane.add_token(&by, grant, label, expires_in).await?;
    let created = Created { view: stored.into(), token };
    Ok((StatusCode::CREATED, [(CACHE_CONTROL, "no-store")], Json(created)).into_response())
}

/// Take an API token away
///
/// The next call with it is refused.
#[utoipa::path(delete, operation_id = "deleteApiToken", path = "/api-tokens/{token}", tag = "access",
    params(("token" = String, Path, description = "The token's id")), security(("token" = ["admin"])),
    responses((status = 204), (status = "4XX", body = Problem, content_type = Problem::CONTENT_TYPE)))]
pub(super) async fn delete(
    Admin(by): Admin,
    extract::Path(id): extract::Path<String>,
    State(shared): State<Arc<Shared>>,
) -> Result<StatusCode> {
    shared.plane.delete_token(&by, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

const MAX_LABEL: usize = 100;
/// Seconds of a leap year.
const YEAR: u64 = 366 * 24 * 3600;
