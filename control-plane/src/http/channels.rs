//! Channels: made, shown, changed, deleted.

mod body;

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::{ETAG, LOCATION};
use http::{HeaderName, StatusCode};
use nearcast_api::channel::Settings;
use nearcast_api::snapshot::Live;
use nearcast_api::{ChannelId, Problem};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use self::body::{Change, Create};
use super::auth::{Limited, Publisher, Reader};
use super::page::Page;
use super::{Shared, extract};
use crate::access::Scope;
use crate::error::{Error, Result};
use crate::language::Tag;
use crate::plane::IfMatch;
use crate::profile::{Profile, Visibility};
use crate::settings;
use crate::store::StoredChannel;

/// A channel.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ChannelState)]
pub(super) struct View {
    id: ChannelId,
    title: String,
    /// Milliseconds since the Unix epoch.
    created_at: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    live: Option<Live>,
    /// Whose it is; it gives nobody a right.
    #[serde(skip_serializing_if = "String::is_empty")]
    owner: String,
    description: String,
    /// What is spoken (BCP 47).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    language: Option<Tag>,
    tags: Vec<String>,
    /// A category's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    category: Option<String>,
    /// Not for everybody.
    mature: bool,
    visibility: Visibility,
    settings: Settings,
}

/// Channels by id.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ChannelList)]
pub(super) struct List {
    channels: Vec<View>,
    /// For `cursor` of the next request; left out when there are no more.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next: Option<String>,
}

impl From<StoredChannel> for View {
    fn from(StoredChannel { id, title, created_at, live, profile, settings }: StoredChannel) -> Self {
        let Profile { owner, description, language, tags, category, mature, visibility } = profile;
        Self {
            id,
            title,
            created_at,
            live,
            owner,
            description,
            language,
            tags,
            category,
            mature,
            visibility,
            settings,
        }
    }
}

/// All channels, or those that the token is limited to
#[utoipa::path(get, operation_id = "listChannels", path = "/channels", tag = "channels", params(Page), security(("token" = ["read-only"])),
    responses((status = 200, body = List), (status = "4XX", body = Problem, content_type = Problem::CONTENT_TYPE)))]
pub(super) async fn list(
    Limited(caller): Limited,
    extract::Query(page): extract::Query<Page>,
    State(shared): State<Arc<Shared>>,
) -> Result<Json<List>> {
    let mut channels = shared.plane.channels().await?;
    channels.retain(|channel| caller.check(Scope::ReadOnly, Some(channel.id.as_str())).is_ok());
    let (channels, next) = page.of(channels, |channel| channel.id.to_string())?;
    Ok(Json(List { channels: channels.into_iter().map(View::from).collect(), next }))
}

/// Make a channel
#[utoipa::path(post, operation_id = "createChannel", path = "/channels", tag = "channels", request_body = Create, security(("token" = ["publisher"])),
    responses((status = 201, body = View),
        (status = 409, body = Problem, content_type = Problem::CONTENT_TYPE, description = "It exists"),
        (status = "4XX", body = Problem, content_type = Problem::CONTENT_TYPE)))]
pub(super) async fn create(
    Publisher(by): Publisher,
    State(shared): State<Arc<Shared>>,
    extract::Json(body): extract::Json<Create>,
) -> Result<Response> {
    let id = body.id.clone();
    let (title, profile, settings) = body.into_parts();
    let profile = Profile::default().patched(profile)?;
    let title = title.unwrap_or_else(|| id.to_string());
    check(&title)?;
    let settings = settings::merge(&Settings::default(), settings.unwrap_or_else(|| json!({})))?;
    let channel = shared.plane.create_channel(&by, &id, &title, &profile, &settings).await?;
    let location = [(LOCATION, format!("{}/channels/{id}", super::PREFIX))];
    Ok((StatusCode::CREATED, location, tagged(channel)).into_response())
}

/// One channel
#[utoipa::path(get, operation_id = "showChannel", path = "/channels/{channel}", tag = "channels", params(("channel" = ChannelId, Path)),
    security(("token" = ["read-only"])),
    responses((status = 200, body = View), (status = "4XX", body = Problem, content_type = Problem::CONTENT_TYPE)))]
pub(super) async fn show(
    _: Reader,
    extract::Path(id): extract::Path<ChannelId>,
    State(shared): State<Arc<Shared>>,
) -> Result<Tagged> {
    Ok(tagged(shared.plane.channel(&id).await?))
}

/// Change a channel
///
/// With `If-Match`, only if its `ETag` is still that one.
#[utoipa::path(patch, operation_id = "changeChannel", path = "/channels/{channel}", tag = "channels", params(("channel" = ChannelId, Path), ("If-Match" = Option<String>, Header)),
    request_body = Change, security(("token" = ["publisher"])),
    responses((status = 200, body = View), (status = "4XX", body = Problem, content_type = Problem::CONTENT_TYPE)))]
pub(super) async fn change(
    Publisher(by): Publisher,
    extract::Path(id): extract::Path<ChannelId>,
    only: IfMatch,
    State(shared): State<Arc<Shared>>,
    extract::Json(body): extract::Json<Change>,
) -> Result<Tagged> {
    let (title, profile, settings) = body.into_parts();
    if let Some(title) = &title {
        check(title)?;
    }
    Ok(tagged(shared.plane.change_channel(&by, &id, &only, title, profile, settings).await?))
}

/// Delete a channel and its stream keys
///
/// What is live on it ends. With `If-Match`, only if its `ETag` is still that one.
#[utoipa::path(delete, operation_id = "deleteChannel", path = "/channels/{channel}", tag = "channels", params(("channel" = ChannelId, Path)),
    security(("token" = ["publisher"])),
    responses((status = 204), (status = "4XX", body = Problem, content_type = Problem::CONTENT_TYPE)))]
pub(super) async fn delete(
    Publisher(by): Publisher,
    extract::Path(id): extract::Path<ChannelId>,
    only: IfMatch,
    State(shared): State<Arc<Shared>>,
) -> Result<StatusCode> {
    shared.plane.delete_channel(&by, &id, &only).await?;
    Ok(StatusCode::NO_CONTENT)
}

type Tagged = ([(HeaderName, String); 1], Json<View>);

/// With its tag, for `If-Match` of a later change.
fn tagged(channel: StoredChannel) -> Tagged {
    ([(ETAG, channel.etag())], Json(channel.into()))
}

fn check(title: &str) -> Result<()> {
    extract::check_text(title, MAX_TITLE).map_err(|problem| Error::Invalid { field: "title", problem })
}

const MAX_TITLE: usize = 200;
