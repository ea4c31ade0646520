//! The topology: shown, drafted, validated, published, and gone back from.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::{ETAG, LOCATION};
use http::{HeaderName, StatusCode};
use nearcast_api::Problem;
use nearcast_api::topology::Topology;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::auth::{Operator, Reader};
use super::page::Page;
use super::{Shared, extract};
use crate::error::{Error, Result};
use crate::plane::{Edit, IfMatch, Publish};
use crate::store::{Draft, Published};
use crate::topology::Report;

/// A version of the topology.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TopologyVersion)]
pub(super) struct View {
    /// 0 for the empty one that every network begins with.
    version: u64,
    topology: Topology,
    /// What whoever published it said of it.
    note: String,
    /// Who published it, as in the audit log; empty for version 0.
    author: String,
    /// Milliseconds since the Unix epoch; 0 for version 0.
    published_at: u64,
    /// The version that it is a copy of, where somebody went back.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    copy_of: Option<u64>,
}

/// Versions, the newest first.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TopologyVersionList)]
pub(super) struct List {
    versions: Vec<View>,
    /// For `cursor` of the next request; left out when there are no more.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next: Option<String>,
}

/// What is to be published next.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TopologyDraft)]
pub(super) struct DraftView {
    /// The version that was published when it was begun.
    base: u64,
    topology: Topology,
    /// Who changed it last.
    author: String,
    /// Milliseconds since the Unix epoch.
    changed_at: u64,
}

/// How to publish.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PublishTopology)]
pub(super) struct How {
    /// For people, at most 200 characters.
    #[serde(default)]
    note: String,
    /// The published version that you have seen; left out, that with which the draft was begun. Any other is refused.
    #[serde(default)]
    base: Option<u64>,
    /// Also when viewers lose the edges of their region.
    #[serde(default)]
    force: bool,
}

impl From<Published> for View {
    fn from(Published { version, topology, note, author, at, copy_of }: Published) -> Self {
        Self { version, topology, note, author, published_at: at, copy_of }
    }
}

impl TryFrom<How> for Publish {
    type Error = Error;

    fn try_from(How { note, base, force }: How) -> Result<Self> {
        let problem = extract::check_text(&note, MAX_NOTE);
        problem.map_err(|problem| Error::Invalid { field: "note", problem })?;
        Ok(Self { note, base, force })
    }
}

/// The topology that holds
#[utoipa::path(get, operation_id = "showTopology", path = "/topology", tag = "topology", security(("token" = ["read-only"])),
    responses((status = 200, body = View), (status = "4XX", body = Problem, content_type = Problem::CONTENT_TYPE)))]
pub(super) async fn show(_: Reader, State(shared): State<Arc<Shared>>) -> Result<Tagged<View>> {
    Ok(published(shared.plane.topology().await?))
}

/// All versions that one can go back to, the newest first
#[utoipa::path(get, operation_id = "listTopologyVersions", path = "/topology/versions", tag = "topology", params(Page), security(("token" = ["read-only"])),
    responses((status = 200, body = List), (status = "4XX", body = Problem, content_type = Problem::CONTENT_TYPE)))]
pub(super) async fn list(
    _: Reader,
    extract::Query(page): extract::Query<Page>,
    State(shared): State<Arc<Shared>>,
) -> Result<Json<List>> {
    let (before, limit) = (page.before()?, page.limit()?);
    // One more, to know whether there are more.
    let versions = shared.plane.topologies(before, limit + 1).await?;
    let next = versions.get(limit).and_then(|_| versions.get(limit - 1)).map(|last| last.version.to_string());
    Ok(Json(List { versions: versions.into_iter().take(limit).map(View::from).collect(), next }))
}

/// One version
#[utoipa::path(get, operation_id = "showTopologyVersion", path = "/topology/versions/{version}", tag = "topology",
    params(("version" = u64, Path)), security(("token" = ["read-only"])),
    responses((status = 200, body = View), (status = "4XX", body = Problem, content_type = Problem::CONTENT_TYPE)))]
pub(super) async fn version(
    _: Reader,
    extract::Path(version): extract::Path<u64>,
    State(shared): State<Arc<Shared>>,
) -> Result<Tagged<View>> {
    Ok(published(shared.plane.topology_version(version).await?))
}

/// Go back to a version
///
/// What it said is published once more, under the next number. The draft stays as it is.
#[utoipa::path(post, operation_id = "rollBackTopology", path = "/topology/versions/{version}/rollback", tag = "topology",
    params(("version" = u64, Path)), request_body = How, security(("token" = ["operator"])),
    responses((status = 201, body = View),
        (status = 409, body = Problem, content_type = Problem::CONTENT_TYPE, description = "Another version was published, or viewers would lose their edges"),
        (status = "4XX", body = Problem, content_type = Problem::CONTENT_TYPE)))]
pub(super) async fn roll_back(
    Operator(by): Operator,
    extract::Path(version): extract::Path<u64>,
    State(shared): State<Arc<Shared>>,
    extract::OptionalJson(how): extract::OptionalJson<How>,
) -> Result<Response> {
    let atlas = shared.locator.atlas();
    Ok(created(shared.plane.roll_back(&by, version, how.try_into()?, atlas).await?))
}

/// What is to be published next
#[utoipa::path(get, operation_id = "showTopologyDraft", path = "/topology/draft", tag = "topology", security(("token" = ["read-only"])),
    responses((status = 200, body = DraftView),
        (status = 404, body = Problem, content_type = Problem::CONTENT_TYPE, description = "There is no draft"),
        (status = "4XX", body = Problem, content_type = Problem::CONTENT_TYPE)))]
pub(super) async fn show_draft(_: Reader, State(shared): State<Arc<Shared>>) -> Result<Tagged<DraftView>> {
    Ok(draft(shared.plane.draft().await?))
}

/// Write the whole draft
///
/// It is begun anew from what is published now. With `If-Match`, only if its `ETag` is still that one.
#[utoipa::path(put, operation_id = "replaceTopologyDraft", path = "/topology/draft", tag = "topology",
    params(("If-Match" = Option<String>, Header)), request_body = Topology, security(("token" = ["operator"])),
    responses((status = 200, body = DraftView), (status = "4XX", body = Problem, content_type = Problem::CONTENT_TYPE)))]
pub(super) async fn replace_draft(
    Operator(by): Operator,
    only: IfMatch,
    State(shared): State<Arc<Shared>>,
    extract::LargeJson(whole): extract::LargeJson<Value>,
) -> Result<Tagged<DraftView>> {
    Ok(draft(shared.plane.edit_draft(&by, &only, Edit::Replace(whole)).await?))
}

/// Change some of the draft
///
/// A merge patch (RFC 7396): null takes away, lists are replaced as a whole. Without a draft one is begun from what is
/// published. With `If-Match`, only if its `ETag` is still that one.
#[utoipa::path(patch, operation_id = "changeTopologyDraft", path = "/topology/draft", tag = "topology",
    params(("If-Match" = Option<String>, Header)), request_body = Topology, security(("token" = ["operator"])),
    responses((status = 200, body = DraftView), (status = "4XX", body = Problem, content_type = Problem::CONTENT_TYPE)))]
pub(super) async fn change_draft(
    Operator(by): Operator,
    only: IfMatch,
    State(shared): State<Arc<Shared>>,
    extract::LargeJson(patch): extract::LargeJson<Value>,
) -> Result<Tagged<DraftView>> {
    Ok(draft(shared.plane.edit_draft(&by, &only, Edit::Patch(patch)).await?))
}

/// Throw the draft away
#[utoipa::path(delete, operation_id = "discardTopologyDraft", path = "/topology/draft", tag = "topology",
    params(("If-Match" = Option<String>, Header)), security(("token" = ["operator"])),
    responses((status = 204), (status = "4XX", body = Problem, content_type = Problem::CONTENT_TYPE)))]
pub(super) async fn discard_draft(
    Operator(by): Operator,
    only: IfMatch,
    State(shared): State<Arc<Shared>>,
) -> Result<StatusCode> {
    shared.plane.discard_draft(&by, &only).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What publishing the draft would change
///
/// Nothing is changed by asking.
#[utoipa::path(post, operation_id = "validateTopologyDraft", path = "/topology/draft/validate", tag = "topology", security(("token" = ["read-only"])),
    responses((status = 200, body = Report),
        (status = 404, body = Problem, content_type = Problem::CONTENT_TYPE, description = "There is no draft"),
        (status = "4XX", body = Problem, content_type = Problem::CONTENT_TYPE)))]
pub(super) async fn validate(_: Reader, State(shared): State<Arc<Shared>>) -> Result<Json<Report>> {
    Ok(Json(shared.plane.validate_draft(shared.locator.atlas()).await?))
}

/// Publish the draft
///
/// It holds at once, and nodes have it within a second. With `If-Match`, only if the draft's `ETag` is still that one.
#[utoipa::path(post, operation_id = "publishTopology", path = "/topology/draft/publish", tag = "topology",
    params(("If-Match" = Option<String>, Header)), request_body = How, security(("token" = ["operator"])),
    responses((status = 201, body = View),
        (status = 409, body = Problem, content_type = Problem::CONTENT_TYPE, description = "Another version was published, or viewers would lose their edges"),
        (status = "4XX", body = Problem, content_type = Problem::CONTENT_TYPE)))]
pub(super) async fn publish(
    Operator(by): Operator,
    only: IfMatch,
    State(shared): State<Arc<Shared>>,
    extract::OptionalJson(how): extract::OptionalJson<How>,
) -> Result<Response> {
    let atlas = shared.locator.atlas();
    Ok(created(shared.plane.publish_draft(&by, &only, how.try_into()?, atlas).await?))
}

type Tagged<T> = ([(HeaderName, String); 1], Json<T>);

fn published(version: Published) -> Tagged<View> {
    ([(ETAG, version.etag())], Json(version.into()))
}

fn created(version: Published) -> Response {
    let location = format!("{}/topology/versions/{}", super::PREFIX, version.version);
    (StatusCode::CREATED, [(LOCATION, location)], published(version)).into_response()
}

fn draft(draft: Draft) -> Tagged<DraftView> {
    let etag = draft.etag();
    let Draft { base, topology, author, at } = draft;
    ([(ETAG, etag)], Json(DraftView { base, topology, author, changed_at: at }))
}

const MAX_NOTE: usize = 200;
