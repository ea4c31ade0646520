//! Tokens with which nodes enrol: made (shown once), listed, taken away.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::CACHE_CONTROL;
use nearcast_api::node::Role;
use nearcast_api::{NodeId, Problem, Region};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::auth::Operator;
use super::page::Page;
use super::{Shared, extract};
use crate::enrolment::Limits;
use crate::error::{Error, Result};
use crate::store::StoredEnrolment;

/// A token for enrolment without the token itself, which is not kept.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Enrolment)]
pub(super) struct View {
    id: String,
    #[serde(flatten)]
    limits: Limits,
    label: String,
    /// Milliseconds since the Unix epoch.
    created_at: u64,
    /// The same.
    expires_at: u64,
    /// The same; left out while it was not used.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    used_at: Option<u64>,
    /// The node that has used it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    used_by: Option<NodeId>,
}

/// Tokens for enrolment by id.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EnrolmentList)]
pub(super) struct List {
    enrolments: Vec<View>,
    /// For `cursor` of the next request; left out when there are no more.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next: Option<String>,
}

/// A token for enrolment, for the only time.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CreatedEnrolment)]
pub(super) struct Created {
    #[serde(flatten)]
    view: View,
    /// For the node's `control.enrolment_token`. Behind its dot is the fingerprint of the authority, by which the node knows
    /// the control plane. It is shown this once.
    token: String,
}

/// A token for enrolment to be.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
#[schema(as = CreateEnrolment)]
pub(super) struct Create {
    /// What the node has to be called; left out for any name that has no certificate.
    node: Option<NodeId>,
    /// What it has to be; left out for anything.
    role: Option<Role>,
    /// Where it has to be; left out for anywhere.
    region: Option<Region>,
    /// For people, at most 100 characters: which machine, for whom.
    label: String,
    /// Seconds from now, at most a week; an hour when left out.
    expires_in: Option<u64>,
}

impl From<StoredEnrolment> for View {
    fn from(stored: StoredEnrolment) -> Self {
        let StoredEnrolment { id, limits, label, created_at, expires_at, used, .. } = stored;
        let (used_at, used_by) = used.unzip();
        Self { id, limits, label, created_at, expires_at, used_at, used_by }
    }
}

/// All tokens for enrolment
///
/// Those that have ended are there for a day more.
#[utoipa::path(get, operation_id = "listEnrolments", path = "/enrolments", tag = "enrolment", params(Page),
    security(("token" = ["operator"])),
    responses((status = 200, body = List), (status = "4XX", body = Problem, content_type = Problem::CONTENT_TYPE)))]
pub(super) async fn list(
    _: Operator,
    extract::Query(page): extract::Query<Page>,
    State(shared): State<Arc<Shared>>,
) -> Result<Json<List>> {
    let (enrolments, next) = page.of(shared.plane.enrolments().await?, |one| one.id.clone())?;
    Ok(Json(List { enrolments: enrolments.into_iter().map(View::from).collect(), next }))
}

/// Make a token for enrolment
///
/// It lets one node in, once. The body may be left out.
#[utoipa::path(post, operation_id = "createEnrolment", path = "/enrolments", tag = "enrolment", request_body = Option<Create>,
    security(("token" = ["operator"])),
    responses((status = 201, body = Created), (status = "4XX", body = Problem, content_type = Problem::CONTENT_TYPE)))]
pub(super) async fn create(
    Operator(by): Operator,
    State(shared): State<Arc<Shared>>,
    extract::OptionalJson(body): extract::OptionalJson<Create>,
) -> Result<Response> {
    let Create { node, role, region, label, expires_in } = body;
    let problem = extract::check_text(&label, MAX_LABEL);
    problem.map_err(|problem| Error::Invalid { field: "label", problem })?;
    let expires_in = expires_in.unwrap_or(HOUR);
    if !(1..=WEEK).contains(&expires_in) {
        let problem = format!("use 1 to {WEEK} seconds, or leave it out");
        return Err(Error::Invalid { field: "expires_in", problem });
    }
    let limits = Limits { node, role, region };
    let (token, stored) = shared.plane.add_enrolment(&by, limits, label, expires_in).await?;
    let created = Created { view: stored.into(), token };
    Ok((StatusCode::CREATED, [(CACHE_CONTROL, "no-store")], Json(created)).into_response())
}

/// Take a token for enrolment away
///
/// A node that has used it stays: `POST /api/v1/nodes/{node}/revoke` sends it away.
#[utoipa::path(delete, operation_id = "deleteEnrolment", path = "/enrolments/{enrolment}", tag = "enrolment",
    params(("enrolment" = String, Path, description = "The token's id")), security(("token" = ["operator"])),
    responses((status = 204), (status = "4XX", body = Problem, content_type = Problem::CONTENT_TYPE)))]
pub(super) async fn delete(
    Operator(by): Operator,
    extract::Path(id): extract::Path<String>,
    State(shared): State<Arc<Shared>>,
) -> Result<StatusCode> {
    shared.plane.delete_enrolment(&by, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

const MAX_LABEL: usize = 100;
/// Seconds.
const HOUR: u64 = 3600;
const WEEK: u64 = 7 * 24 * HOUR;
