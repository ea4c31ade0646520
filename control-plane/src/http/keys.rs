//! Stream keys of a channel: made (shown once), listed, replaced, switched off and on, deleted.

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
    /// It opens nothing.
    disabled: bool,
    /// Until when the key before the last rotation counts as well, in milliseconds since the Unix epoch; left out where there
    /// is none, and it may be over.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    old_ends_at: Option<u64>,
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
    /// As for a key that is listed.
    disabled: bool,
    /// As for a key that is listed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    old_ends_at: Option<u64>,
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

/// What becomes of the old key.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RotateStreamKey)]
pub(super) struct Rotate {
    /// It stops at once, and its encoder is sent away; true when left out.
    #[serde(default)]
    kick: Option<bool>,
    /// With `kick: false`: for how many seconds it counts beside the new one, 1 to 86400, an hour when left out. Then its
    /// encoder is sent away.
    #[serde(default)]
    grace: Option<u64>,
}

/// What changes; what is left out stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ChangeStreamKey)]
pub(super) struct Change {
    /// Whether it opens nothing. The encoder of a key that is switched off is sent away.
    #[serde(default)]
    disabled: Option<bool>,
    /// For people, at most 100 characters.
    #[serde(default)]
    label: Option<String>,
}

impl From<StoredKey> for View {
    fn from(StoredKey { id, label, backup, created_at, disabled, old, .. }: StoredKey) -> Self {
        Self { id, label, backup, created_at, disabled, old_ends_at: old.map(|old| old.until) }
    }
}

impl Created {
    fn new(key: String, stored: StoredKey) -> Self {
        let View { id, label, backup, created_at, disabled, old_ends_at } = stored.into();
        Self { id, key, label, backup, created_at, disabled, old_ends_at }
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
    check_label(&label)?;
    let key = match key {
        Some(key) => check(key)?,
        None => keys::random(),
    };
    let (stored, added) = shared.plane.add_key(&by, &channel, &key, label, backup).await?;
    let status = if added { StatusCode::CREATED } else { StatusCode::OK };
    Ok(shown(status, key, stored))
}

/// Replace a stream key
///
/// The body may be left out. It keeps its id, label and rank. The old key stops at once, or counts for a time beside the new one, so
/// that an encoder can be given that while it is live; a key that was old before counts no more in any case.
#[utoipa::path(post, operation_id = "rotateStreamKey", path = "/channels/{channel}/keys/{key}/rotate", tag = "stream keys",
    params(("channel" = ChannelId, Path), ("key" = String, Path, description = "The key's id")),
    request_body = Option<Rotate>, security(("token" = ["publisher"])),
    responses((status = 200, body = Created), (status = "4XX", body = Problem, content_type = Problem::CONTENT_TYPE)))]
pub(super) async fn rotate(
    Publisher(by): Publisher,
    extract::Path((channel, key)): extract::Path<(ChannelId, String)>,
    State(shared): State<Arc<Shared>>,
    extract::OptionalJson(Rotate { kick, grace }): extract::OptionalJson<Rotate>,
) -> Result<Response> {
    let invalid = |problem: String| Err(Error::Invalid { field: "grace", problem });
    let grace = match (kick.unwrap_or(true), grace) {
        (true, None) => None,
        (true, Some(_)) => {
            return invalid("the old key stops at once: send `\"kick\": false` with it".to_owned());
        }
        (false, grace) => Some(grace.unwrap_or(GRACE)),
    };
    if grace.is_some_and(|grace| !(1..=MAX_GRACE).contains(&grace)) {
        return invalid(format!("use 1 to {MAX_GRACE} seconds"));
    }
    let (key, stored) = shared.plane.rotate_key(&by, &channel, &key, grace).await?;
    Ok(shown(StatusCode::OK, key, stored))
}

/// Switch a stream key off or on, or change its label
#[utoipa::path(patch, operation_id = "changeStreamKey", path = "/channels/{channel}/keys/{key}", tag = "stream keys",
    params(("channel" = ChannelId, Path), ("key" = String, Path, description = "The key's id")), request_body = Change,
    security(("token" = ["publisher"])),
    responses((status = 200, body = View), (status = "4XX", body = Problem, content_type = Problem::CONTENT_TYPE)))]
pub(super) async fn change(
    Publisher(by): Publisher,
    extract::Path((channel, key)): extract::Path<(ChannelId, String)>,
    State(shared): State<Arc<Shared>>,
    extract::Json(Change { disabled, label }): extract::Json<Change>,
) -> Result<Json<View>> {
    label.as_deref().map(check_label).transpose()?;
    Ok(Json(shared.plane.change_key(&by, &channel, &key, label, disabled).await?.into()))
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

/// With its secret: for no cache, not even the browser's own.
fn shown(status: StatusCode, key: String, stored: StoredKey) -> Response {
    (status, [(CACHE_CONTROL, "no-store")], Json(Created::new(key, stored))).into_response()
}

fn check_label(label: &str) -> Result<()> {
    let problem = extract::check_text(label, MAX_LABEL);
    problem.map_err(|problem| Error::Invalid { field: "label", problem })
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
/// Seconds: time to change an encoder.
const GRACE: u64 = 3600;
const MAX_GRACE: u64 = 24 * 3600;
