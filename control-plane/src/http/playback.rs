//! Playback keys, and tokens made with them.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::StatusCode;
use http::header::CACHE_CONTROL;
use ipnet::IpNet;
use nearcast_api::playback::{Algorithm, Country};
use nearcast_api::{ChannelId, Problem};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::auth::{Admin, Publisher, Reader};
use super::{Shared, extract};
use crate::error::{Error, Result};
use crate::plane::{NewKey, NewToken, Token};
use crate::store::StoredPlaybackKey;

/// A playback key without what signs.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PlaybackKey)]
pub(super) struct View {
    /// What tokens name in their header as `kid`.
    id: String,
    algorithm: Algorithm,
    /// The public key in base64url; none of a secret.
    public_key: Option<String>,
    /// The channels that its tokens can open; empty for all.
    channels: Vec<ChannelId>,
    /// Whether the control plane can make tokens with it.
    signs: bool,
    label: String,
    /// Milliseconds since the Unix epoch.
    created_at: u64,
}

/// All playback keys, oldest first.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PlaybackKeyList)]
pub(super) struct List {
    keys: Vec<View>,
}

/// A playback key, with what signs for the only time.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CreatedPlaybackKey)]
pub(super) struct Created {
    #[serde(flatten)]
    view: View,
    /// What your own programs sign with, shown this once: PKCS #8 in PEM, or the secret in base64url. None of a key that
    /// you brought.
    signing_key: Option<String>,
}

/// A playback key to be.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CreatePlaybackKey)]
pub(super) struct Create {
    #[serde(default)]
    algorithm: Algorithm,
    /// Your own: the Ed25519 public key (`x` of its JWK) or the HMAC secret of 32 to 512 bytes, in base64url without
    /// padding. Left out for a new one.
    #[serde(default)]
    key: Option<String>,
    /// The channels that its tokens can open; left out for all.
    #[serde(default)]
    channels: Vec<ChannelId>,
    /// For people, at most 100 characters.
    #[serde(default)]
    label: String,
}

/// A playback token to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
#[schema(as = CreatePlaybackToken)]
pub(super) struct CreateToken {
    /// The viewer, by whom others of their tokens are counted and revoked; at most 100 characters.
    subject: Option<String>,
    /// Seconds, at most a year.
    expires_in: u64,
    /// Networks it can be used from.
    #[schema(value_type = Option<Vec<String>>)]
    networks: Option<Vec<IpNet>>,
    /// Countries it can be used in.
    countries: Option<Vec<Country>>,
    /// How many players may use it at one edge at a time.
    sessions: Option<u32>,
}

/// A playback token.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PlaybackToken)]
pub(super) struct CreatedToken {
    /// By which it can be revoked.
    id: String,
    token: String,
    /// Milliseconds since the Unix epoch.
    expires_at: u64,
    /// What a player asks an edge for; `index.mpd` instead of `index.m3u8` for DASH.
    path: String,
}

impl Default for CreateToken {
    fn default() -> Self {
        Self { subject: None, expires_in: 4 * 3600, networks: None, countries: None, sessions: None }
    }
}

impl From<StoredPlaybackKey> for View {
    fn from(StoredPlaybackKey { id, key, signing, label, created_at }: StoredPlaybackKey) -> Self {
        let public_key = (key.algorithm == Algorithm::EdDsa).then_some(key.key);
        let (algorithm, channels) = (key.algorithm, key.channels);
        Self { id, algorithm, public_key, channels, signs: signing.is_some(), label, created_at }
    }
}

/// All playback keys
#[utoipa::path(get, operation_id = "listPlaybackKeys", path = "/playback-keys", tag = "playback", security(("token" = ["read-only"])),
    responses((status = 200, body = List), (status = "4XX", body = Problem, content_type = Problem::CONTENT_TYPE)))]
pub(super) async fn list(_: Reader, State(shared): State<Arc<Shared>>) -> Result<Json<List>> {
    let keys = shared.plane.playback_keys().await?;
    Ok(Json(List { keys: keys.into_iter().map(View::from).collect() }))
}

/// Add a playback key
///
/// Edges believe its tokens within a second. To rotate, add the new one, sign with it, and delete the old one when its
/// last token is over. The body may be left out.
#[utoipa::path(post, operation_id = "createPlaybackKey", path = "/playback-keys", tag = "playback", request_body = Option<Create>,
    security(("token" = ["admin"])),
    responses((status = 201, body = Created), (status = "4XX", body = Problem, content_type = Problem::CONTENT_TYPE)))]
pub(super) async fn create(
    Admin(by): Admin,
    State(shared): State<Arc<Shared>>,
    extract::OptionalJson(new): extract::OptionalJson<Create>,
) -> Result<Response> {
    let problem = extract::check_text(&new.label, MAX_TEXT);
    problem.map_err(|problem| Error::Invalid { field: "label", problem })?;
    let Create { algorithm, key, channels, label } = new;
    let brought = key.is_some();
    let stored = shared.plane.add_playback_key(&by, NewKey { algorithm, key, channels, label }).await?;
    let signing_key = stored.signing.clone().filter(|_| !brought).map(|signing| match algorithm {
        Algorithm::EdDsa => pem(&signing),
        Algorithm::Hs256 => signing,
    });
    let created = Created { view: stored.into(), signing_key };
    Ok((StatusCode::CREATED, [(CACHE_CONTROL, "no-store")], Json(created)).into_response())
}

/// Take a playback key away
///
/// Its tokens count no more: who watches with one is refused within a second.
#[utoipa::path(delete, operation_id = "deletePlaybackKey", path = "/playback-keys/{key}", tag = "playback",
    params(("key" = String, Path, description = "The key's id")), security(("token" = ["admin"])),
    responses((status = 204), (status = "4XX", body = Problem, content_type = Problem::CONTENT_TYPE)))]
pub(super) async fn delete(
    Admin(by): Admin,
    extract::Path(key): extract::Path<String>,
    State(shared): State<Arc<Shared>>,
) -> Result<StatusCode> {
    shared.plane.delete_playback_key(&by, &key).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Make a playback token
///
/// It opens the channel at every edge, as `/~TOKEN/live/…`, as `Authorization: Bearer TOKEN` or as the cookie
/// `nearcast_token`. Your own programs can sign tokens with a playback key's `signing_key` instead. The body may be left out.
#[utoipa::path(post, operation_id = "createPlaybackToken", path = "/channels/{channel}/tokens", tag = "playback",
    params(("channel" = ChannelId, Path)), request_body = Option<CreateToken>, security(("token" = ["publisher"])),
    responses((status = 201, body = CreatedToken), (status = "4XX", body = Problem, content_type = Problem::CONTENT_TYPE)))]
pub(super) async fn issue(
    Publisher(by): Publisher,
    extract::Path(channel): extract::Path<ChannelId>,
    State(shared): State<Arc<Shared>>,
    extract::OptionalJson(new): extract::OptionalJson<CreateToken>,
) -> Result<Response> {
    let CreateToken { subject, expires_in, networks, countries, sessions } = new;
    let invalid = |field, problem: &str| Err(Error::Invalid { field, problem: problem.to_owned() });
    if let Some(Err(problem)) = subject.as_deref().map(|subject| extract::check_text(subject, MAX_TEXT)) {
        return invalid("subject", &problem);
    }
    if expires_in == 0 || expires_in > YEAR {
        return invalid("expires_in", "use 1 to 31622400 seconds");
    }
    if sessions == Some(0) {
        return invalid("sessions", "use 1 or more, or leave it out for any number");
    }
    let lengths =
        [("networks", networks.as_ref().map(Vec::len)), ("countries", countries.as_ref().map(Vec::len))];
    for (field, length) in lengths {
        if length.is_some_and(|length| !(1..=MAX_LIST).contains(&length)) {
            return invalid(field, "list 1 to 64 of them, or leave it out for any");
        }
    }
    let new = NewToken { subject, expires_in, networks, countries, sessions };
    let Token { id, token, expires_at } = shared.plane.issue_token(&by, &channel, new).await?;
    let path = format!("/~{token}/live/{channel}/index.m3u8");
    let created = CreatedToken { id, token, expires_at: expires_at.saturating_mul(1000), path };
    Ok((StatusCode::CREATED, [(CACHE_CONTROL, "no-store")], Json(created)).into_response())
}

/// PKCS #8 in the textual encoding of RFC 7468.
fn pem(base64url: &str) -> String {
    let text = STANDARD.encode(URL_SAFE_NO_PAD.decode(base64url).unwrap_or_default());
    // One line is enough for an Ed25519 key: 48 bytes.
    format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n")
}

const MAX_TEXT: usize = 100;
const MAX_LIST: usize = 64;
/// Seconds of a leap year.
const YEAR: u64 = 366 * 24 * 3600;
