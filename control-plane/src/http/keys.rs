//! Stream keys of a channel: made (shown once), listed, deleted.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::CACHE_CONTROL;
use nearcast_api::{ChannelId, Problem};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::auth::Publisher;
use super::{Shared, extract};
use crate::error::{Error, Result};
use crate::keys;
use crate::store::StoredKey;

/// A stream key without the key itself, which is not kept.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = StreamKey)]
pub(super) struct View {
    id: String,
    label: String,
    /// It is a standby encoder's: on the air only while no encoder with another key is.
    backup: bool,
    /// Milliseconds since the Unix epoch.
    created_at: u64,
}

/// A channel's stream keys, oldest first.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = StreamKeyList)]
pub(super) struct List {
    keys: Vec<View>,
}

/// A stream key, for the only time.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CreatedStreamKey)]
pub(super) struct Created {
    id: String,
    /// What the publisher enters beside `rtmp://HOST:1935/live`. It is shown this once.
    key: String,
    label: String,
    backup: bool,
    created_at: u64,
}

/// A key to be.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CreateStreamKey)]
pub(super) struct Create {
    /// 16 to 128 of `A-Z a-z 0-9 - _ . ~`; left out for a random one.
    #[serde(default)]
    key: Option<String>,
    /// For people, at most 100 characters.
    #[serde(default)]
    label: String,
    /// For a standby encoder, which goes on the air when those with other keys fail.
    #[serde(default)]
    backup: bool,
}

impl From<StoredKey> for View {
    fn from(StoredKey { id, label, backup, created_at, .. }: StoredKey) -> Self {
        Self { id, label, backup, created_at }
    }
}

/// A channel's stream keys
#[utoipa::path(get, operation_id = "listStreamKeys", path = "/channels/{channel}/keys", tag = "stream keys", params(("channel" = ChannelId, Path)),
    security(("token" = ["publisher"])),
    responses((status = 200, body = List), (status = "4XX", body = Problem, content_type = Problem::CONTENT_TYPE)))]
pub(super) async fn list(
    _: Publisher,
    extract::Path(channel): extract::Path<ChannelId>,
    State(shared): State<Arc<Shared>>,
) -> Result<Json<List>> {
    let keys = shared.plane.keys_of(&channel).await?;
    Ok(Json(List { keys: keys.into_iter().map(View::from).collect() }))
}

/// Make a stream key
///
/// The body may be left out. A key that the channel has already is answered with 200 and its first id.
#[utoipa::path(post, operation_id = "createStreamKey", path = "/channels/{channel}/keys", tag = "stream keys", params(("channel" = ChannelId, Path)),
    request_body = Option<Create>, security(("token" = ["publisher"])),
    responses((status = 201, body = Created), (status = 200, body = Created, description = "It was there already"),
        (status = 409, body = Problem, content_type = Problem::CONTENT_TYPE, description = "Another channel has it"),
        (status = "4XX", body = Problem, content_type = Problem::CONTENT_TYPE)))]
pub(super) async fn create(
    Publisher(by): Publisher,
    extract::Path(channel): extract::Path<ChannelId>,
    State(shared): State<Arc<Shared>>,
    extract::OptionalJson(Create { key, label, backup }): extract::OptionalJson<Create>,
) -> Result<Response> {
    let problem = extract::check_text(&label, MAX_LABEL);
    problem.map_err(|problem| Error::Invalid { field: "label", problem })?;
    let key = match key {
        Some(key) => check(key)?,
        None => keys::random(),
    };
    let (stored, added) = shared.plane.add_key(&by, &channel, &key, label, backup).await?;
    let status = if added { StatusCode::CREATED } else { StatusCode::OK };
    let StoredKey { id, label, backup, created_at, .. } = stored;
    // A secret: no cache, not even the browser's own.
    Ok((status, [(CACHE_CONTROL, "no-store")], Json(Created { id, key, label, backup, created_at }))
        .into_response())
}

/// Take a stream key away
///
/// Its encoder is sent away, and the broadcast waits for another one as it does when a line fails.
#[utoipa::path(delete, operation_id = "deleteStreamKey", path = "/channels/{channel}/keys/{key}", tag = "stream keys",
    params(("channel" = ChannelId, Path), ("key" = String, Path, description = "The key's id")), security(("token" = ["publisher"])),
    responses((status = 204), (status = "4XX", body = Problem, content_type = Problem::CONTENT_TYPE)))]
pub(super) async fn delete(
    Publisher(by): Publisher,
    extract::Path((channel, key)): extract::Path<(ChannelId, String)>,
    State(shared): State<Arc<Shared>>,
) -> Result<StatusCode> {
    shared.plane.delete_key(&by, &channel, &key).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// RTMP puts the key into a URL's last part, so it has to be made of what stands there as it is (RFC 3986 §2.3).
fn check(key: String) -> Result<String> {
    let safe = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~');
    if (keys::SHORTEST..=keys::LONGEST).contains(&key.len()) && key.bytes().all(safe) {
        return Ok(key);
    }
    let problem =
        format!("use {} to {} of A-Z a-z 0-9 - _ . ~, or leave it out", keys::SHORTEST, keys::LONGEST);
    Err(Error::Invalid { field: "key", problem })
}

const MAX_LABEL: usize = 100;
