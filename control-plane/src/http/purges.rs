//! Purges: ordered, and looked at until every edge has carried them out.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::LOCATION;
use nearcast_api::purge::{Order, Purge, Target};
use nearcast_api::{ChannelId, NodeId, Problem};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::auth::{Operator, Reader};
use super::{Shared, extract};
use crate::error::{Error, Result};
use crate::plane::Progress;

/// What is to be forgotten: one of `url`, `prefix`, `tag` and `channel`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CreatePurge)]
pub(super) struct Create {
    /// One URL as viewers write it, `https://HOST/PATH?QUERY`, or `/PATH?QUERY` for every host.
    url: Option<String>,
    /// All URLs that begin with this one; `/` for everything.
    prefix: Option<String>,
    /// All answers whose `Surrogate-Key` or `Cache-Tag` has this tag.
    tag: Option<String>,
    /// All that is cached of a channel.
    channel: Option<ChannelId>,
    /// Stale instead of gone: asked for again before it is sent, and sent when the origin fails.
    #[serde(default)]
    soft: bool,
}

/// A purge and how far it is.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PurgeState)]
pub(super) struct View {
    #[serde(flatten)]
    purge: Purge,
    /// Every edge that can be reached has carried it out.
    done: bool,
    /// Edges that have carried it out.
    applied: Vec<NodeId>,
    /// Edges that have not said so yet.
    pending: Vec<NodeId>,
    /// Edges that cannot be reached. They carry it out as soon as they can be.
    down: Vec<NodeId>,
}

/// The newest purges.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PurgeList)]
pub(super) struct List {
    purges: Vec<View>,
}

/// The caller's patience.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Patience {
    /// Seconds to wait until all edges have carried it out, at most 30.
    #[param(default = 2)]
    wait: Option<u64>,
}

impl View {
    fn new((purge, progress): (Purge, Progress)) -> Self {
        let Progress { applied, pending, down } = progress;
        Self { purge, done: pending.is_empty(), applied, pending, down }
    }
}

/// Make caches forget
///
/// Answered when every edge that can be reached has carried it out (200) or the wait is over (202).
#[utoipa::path(post, operation_id = "createPurge", path = "/purges", tag = "purges", params(Patience), request_body = Create,
    security(("token" = ["operator"])),
    responses((status = 200, body = View), (status = 202, body = View, description = "Some edges have not carried it out yet"),
        (status = "4XX", body = Problem, content_type = Problem::CONTENT_TYPE)))]
pub(super) async fn create(
    Operator(by): Operator,
    extract::Query(Patience { wait }): extract::Query<Patience>,
    State(shared): State<Arc<Shared>>,
    extract::Json(create): extract::Json<Create>,
) -> Result<Response> {
    let order = create.order()?;
    let purge = shared.plane.purge(&by, order).await?;
    let patience = Duration::from_secs(wait.unwrap_or(WAIT).min(MAX_WAIT));
    let waited = shared.drain.unless_draining(shared.plane.purged(purge.id, patience)).await;
    let progress = match waited {
        Some(progress) => progress,
        None => shared.plane.purged(purge.id, Duration::ZERO).await,
    };
    let location = [(LOCATION, format!("{}/purges/{}", super::PREFIX, purge.id))];
    let view = View::new((purge, progress));
    let status = if view.done { StatusCode::OK } else { StatusCode::ACCEPTED };
    Ok((status, location, Json(view)).into_response())
}

/// The newest purges
#[utoipa::path(get, operation_id = "listPurges", path = "/purges", tag = "purges", security(("token" = ["read-only"])),
    responses((status = 200, body = List), (status = "4XX", body = Problem, content_type = Problem::CONTENT_TYPE)))]
pub(super) async fn list(_: Reader, State(shared): State<Arc<Shared>>) -> Json<List> {
    Json(List { purges: shared.plane.purges().into_iter().map(View::new).collect() })
}

/// One purge
#[utoipa::path(get, operation_id = "showPurge", path = "/purges/{purge}", tag = "purges", params(("purge" = u64, Path)),
    security(("token" = ["read-only"])),
    responses((status = 200, body = View), (status = "4XX", body = Problem, content_type = Problem::CONTENT_TYPE)))]
pub(super) async fn show(
    _: Reader,
    extract::Path(id): extract::Path<u64>,
    State(shared): State<Arc<Shared>>,
) -> Result<Json<View>> {
    Ok(Json(View::new(shared.plane.purge_by_id(id)?)))
}

impl Create {
    fn order(self) -> Result<Order> {
        let Self { url, prefix, tag, channel, soft } = self;
        let targets = [
            url.map(Target::Url),
            prefix.map(Target::Prefix),
            tag.map(Target::Tag),
            channel.map(Target::Channel),
        ];
        let mut targets = targets.into_iter().flatten();
        match (targets.next(), targets.next()) {
            (Some(target), None) => Ok(Order { target, soft }),
            _ => Err(Error::Invalid {
                field: "url, prefix, tag, channel",
                problem: "give exactly one of them".to_owned(),
            }),
        }
    }
}

const WAIT: u64 = 2;
const MAX_WAIT: u64 = 30;
