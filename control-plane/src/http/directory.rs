//! Which channels there are to watch. Open to everybody, from any page.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, State};
use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use http::header::{ACCEPT_LANGUAGE, ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, VARY};
use nearcast_api::playback::Country;
use nearcast_api::{BroadcastId, ChannelId, Problem};
use nearcast_service::http::Peer;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Shared, client, extract, page};
use crate::category::Category;
use crate::directory::{Entry, Filter, Position};
use crate::error::{Error, Result};
use crate::language::{self, Range, Tag};
use crate::profile;

/// Channels: those with the most viewers first, or for a search the most relevant.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Directory)]
pub(super) struct List {
    channels: Vec<View>,
    /// For `cursor` of the next request; left out when there are no more.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next: Option<String>,
}

/// A channel as the directory shows it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DirectoryChannel)]
pub(super) struct View {
    id: ChannelId,
    title: String,
    description: String,
    /// What is spoken (BCP 47).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    language: Option<Tag>,
    tags: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    category: Option<InCategory>,
    /// Not for everybody.
    mature: bool,
    /// Left out while it is not live.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    live: Option<OnAir>,
    /// Who watches now, a second or two old.
    viewers: u64,
}

/// A channel's category.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DirectoryCategory)]
pub(super) struct InCategory {
    id: String,
    /// In the language that suits `Accept-Language` best.
    name: String,
}

/// What is live.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DirectoryLive)]
pub(super) struct OnAir {
    /// Milliseconds since the Unix epoch.
    started_at: u64,
    broadcast: BroadcastId,
}

/// Which channels.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Query {
    /// Words that stand in title, description or tags, the last one perhaps unfinished; at most 200 characters. Of those who
    /// have them, the 1000 most relevant are looked at.
    q: Option<String>,
    /// Only of this category.
    category: Option<String>,
    /// Only in this language: `es` finds `es-MX`, too (RFC 4647 §3.3.1).
    #[param(value_type = Option<String>)]
    language: Option<Range>,
    /// Only with this tag.
    tag: Option<String>,
    /// Only what may be watched in this country (ISO 3166-1 alpha-2); the caller's when left out, if that is known.
    #[param(value_type = Option<String>)]
    country: Option<Country>,
    /// Only what is watched in this country (ISO 3166-1 alpha-2) now; without `q` those with the most viewers there first. Of
    /// each channel an edge tells of the ten countries with the most viewers, as far as it knows where they are.
    #[param(value_type = Option<String>)]
    watched_in: Option<Country>,
    /// Mature channels, too.
    #[serde(default)]
    mature: bool,
    /// False for all public channels, whether or not they are live.
    #[param(default = true)]
    live: Option<bool>,
    /// `next` of the page before; left out for the first one.
    cursor: Option<String>,
    /// At most so many, 1 to 500.
    #[param(default = 100)]
    limit: Option<usize>,
}

/// Live channels, and others
///
/// Only those whose `visibility` is `public`. Pages are cut where the one before ended: a channel whose viewers come or go
/// meanwhile may be on two of them, or on none.
#[utoipa::path(get, operation_id = "directory", path = "/directory", tag = "viewers", params(Query), security(()),
    responses((status = 200, body = List),
        (status = 429, body = Problem, content_type = Problem::CONTENT_TYPE, description = "Too many search at once"),
        (status = "4XX", body = Problem, content_type = Problem::CONTENT_TYPE)))]
pub(super) async fn show(
    extract::Query(query): extract::Query<Query>,
    Extension(peer): Extension<Peer>,
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
) -> Result<Response> {
    let Query { q, category, language, tag, country, watched_in, mature, live, cursor, limit } = query;
    let invalid = |field, problem: String| Error::Invalid { field, problem };
    let limit = page::limit(limit)?;
    let after = cursor.map(|cursor| cursor.parse::<Position>()).transpose();
    let after = after.map_err(|problem| invalid("cursor", problem))?;
    let categories = shared.plane.categories();
    if let Some(category) = category.as_ref().filter(|id| !categories.contains_key(*id)) {
        return Err(Error::NoCategory(category.chars().take(64).collect()));
    }
    // Shared caches have one answer for all where nobody's address matters.
    let is_personal = country.is_none() && shared.locator.knows_countries();
    let address = || client::address(peer.address.ip(), &headers, &shared.trusted_proxies);
    let country = country.or_else(|| shared.locator.country(address()));
    let tag = tag.map(|tag| profile::tag(&tag));
    let filter = Filter { category, language, tag, country, watched_in, mature, live: live.unwrap_or(true) };

    let q = q.filter(|q| !q.trim().is_empty());
    if q.as_ref().is_some_and(|q| q.chars().count() > MAX_QUERY) {
        return Err(invalid("q", format!("at most {MAX_QUERY} characters")));
    }
    let hits = match q {
        Some(q) => Some(shared.plane.search(&q).await?),
        None => None,
    };
    let ranking = shared.plane.directory();
    let (entries, next) = match hits {
        Some(hits) => ranking.by_relevance(&hits, &filter, after.as_ref(), limit),
        None => ranking.by_viewers(&filter, after.as_ref(), limit),
    };
    let wanted = accepted(&headers);
    let view = |entry| view(entry, |id| categories.get(id), &wanted);
    let list =
        List { channels: entries.into_iter().map(view).collect(), next: next.map(|next| next.to_string()) };
    let caching = if is_personal { "private, max-age=5" } else { "public, max-age=5" };
    let headers = [(CACHE_CONTROL, caching), (VARY, "accept-language"), (ACCESS_CONTROL_ALLOW_ORIGIN, "*")];
    Ok((headers, Json(list)).into_response())
}

/// The languages that the caller prefers, best first.
pub(super) fn accepted(headers: &HeaderMap) -> Vec<Range> {
    let lines = headers.get_all(ACCEPT_LANGUAGE).iter().filter_map(|line| line.to_str().ok());
    language::accepted(&lines.collect::<Vec<_>>().join(","))
}

fn view<'a>(entry: &Entry, category: impl Fn(&str) -> Option<&'a Category>, wanted: &[Range]) -> View {
    let (channel, profile) = (&entry.channel, &entry.channel.profile);
    let category = profile.category.as_deref().and_then(category);
    View {
        id: channel.id.clone(),
        title: channel.title.clone(),
        description: profile.description.clone(),
        language: profile.language.clone(),
        tags: profile.tags.clone(),
        category: category
            .map(|category| InCategory { id: category.id.clone(), name: category.name(wanted).1.to_owned() }),
        mature: profile.mature,
        live: entry
            .live
            .as_ref()
            .map(|live| OnAir { started_at: live.started_at, broadcast: live.broadcast.clone() }),
        viewers: entry.viewers,
    }
}

const MAX_QUERY: usize = 200;
