//! Nodes: they register and report, operators look, drain and forget.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use nearcast_api::node::{Broadcast, Heartbeat, HeartbeatAck, Load, Spec, Status};
use nearcast_api::topology::NodePlan;
use nearcast_api::{NodeId, Problem};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::auth::{Node, Operator, Reader};
use super::page::Page;
use super::{Shared, extract};
use crate::access::Actor;
use crate::dns;
use crate::error::{Error, Result};
use crate::fleet::Member;

/// A node as operators see it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = NodeState)]
pub(super) struct View {
    spec: Spec,
    status: Status,
    /// Why it gets no new work, or less; left out when nothing keeps it from its work.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    reason: Option<String>,
    /// An operator asked it to drain.
    drain: bool,
    load: Load,
    /// What the topology has it do.
    plan: NodePlan,
    /// It does what `plan.capacity` says that it can.
    full: bool,
    /// How far its clock is ahead of the control plane's, in milliseconds; media is late or early by so much.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    clock_offset_ms: Option<i64>,
    /// Live on this origin.
    broadcasts: Vec<Broadcast>,
    /// Milliseconds since the last heartbeat.
    silent_ms: u64,
    /// When its certificate ends, in milliseconds since the Unix epoch: it renews it long before. Left out where it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    certificate_ends_at: Option<u64>,
}

/// Nodes by id.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = NodeList)]
pub(super) struct List {
    nodes: Vec<View>,
    /// For `cursor` of the next request; left out when there are no more.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next: Option<String>,
}

impl View {
    fn new(member: Member, now: Instant, shared: &Shared) -> Self {
        Self {
            certificate_ends_at: shared.plane.certificate_ends_at(&member.spec.id),
            status: member.status(),
            reason: member.reason(now),
            drain: member.drain,
            silent_ms: u64::try_from(member.silence(now).as_millis()).unwrap_or(u64::MAX),
            spec: member.spec,
            load: member.beat.load,
            plan: member.plan,
            full: member.full,
            clock_offset_ms: member.beat.clock_offset_ms,
            broadcasts: member.beat.broadcasts,
        }
    }
}

/// All nodes
#[utoipa::path(get, operation_id = "listNodes", path = "/nodes", tag = "nodes", params(Page), security(("token" = ["read-only"])),
    responses((status = 200, body = List), (status = "4XX", body = Problem, content_type = Problem::CONTENT_TYPE)))]
pub(super) async fn list(
    _: Reader,
    extract::Query(page): extract::Query<Page>,
    State(shared): State<Arc<Shared>>,
) -> Result<Json<List>> {
    let now = Instant::now();
    let (members, next) = page.of(shared.plane.members(), |member| member.spec.id.to_string())?;
    Ok(Json(List {
        nodes: members.into_iter().map(|member| View::new(member, now, &shared)).collect(),
        next,
    }))
}

/// One node
#[utoipa::path(get, operation_id = "showNode", path = "/nodes/{node}", tag = "nodes", params(("node" = NodeId, Path)), security(("token" = ["read-only"])),
    responses((status = 200, body = View), (status = "4XX", body = Problem, content_type = Problem::CONTENT_TYPE)))]
pub(super) async fn show(
    _: Reader,
    extract::Path(id): extract::Path<NodeId>,
    State(shared): State<Arc<Shared>>,
) -> Result<Json<View>> {
    Ok(Json(View::new(shared.plane.member(&id)?, Instant::now(), &shared)))
}

/// Which process of a node.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Process {
    /// When it started, in milliseconds since the Unix epoch: of two with one name the later one is heard.
    started_at: Option<u64>,
}

/// A node says who it is
///
/// Sent at start, and again when a heartbeat is answered with 404.
#[utoipa::path(put, operation_id = "registerNode", path = "/nodes/{node}", tag = "nodes", params(("node" = NodeId, Path), Process), request_body = Spec,
    security(("node" = []), ("token" = ["admin"])),
    responses((status = 200, body = HeartbeatAck),
        (status = 409, body = Problem, content_type = Problem::CONTENT_TYPE, description = "A process that started later has this name too"),
        (status = "4XX", body = Problem, content_type = Problem::CONTENT_TYPE)))]
pub(super) async fn register(
    node: Node,
    extract::Path(id): extract::Path<NodeId>,
    extract::Query(Process { started_at }): extract::Query<Process>,
    State(shared): State<Arc<Shared>>,
    extract::Json(spec): extract::Json<Spec>,
) -> Result<Json<HeartbeatAck>> {
    if spec.id != id {
        return Err(Error::OtherNode { path: id, body: spec.id });
    }
    check(&spec)?;
    if let Node::Certified(certificate, _) = &node {
        certificate.limits.check(&id, spec.role, &spec.region)?;
    }
    Ok(Json(shared.plane.register(spec, started_at.unwrap_or(0)).await?))
}

/// A node says how it is, every second
#[utoipa::path(post, operation_id = "heartbeat", path = "/nodes/{node}/heartbeat", tag = "nodes", params(("node" = NodeId, Path)),
    request_body = Heartbeat, security(("node" = []), ("token" = ["admin"])),
    responses((status = 200, body = HeartbeatAck),
        (status = 404, body = Problem, content_type = Problem::CONTENT_TYPE, description = "Register again"),
        (status = 409, body = Problem, content_type = Problem::CONTENT_TYPE, description = "A process that started later has this name too"),
        (status = "4XX", body = Problem, content_type = Problem::CONTENT_TYPE)))]
pub(super) async fn heartbeat(
    _: Node,
    extract::Path(id): extract::Path<NodeId>,
    State(shared): State<Arc<Shared>>,
    extract::LargeJson(beat): extract::LargeJson<Heartbeat>,
) -> Result<Json<HeartbeatAck>> {
    Ok(Json(shared.plane.report(&id, beat).await?))
}

/// Send a node no new work
#[utoipa::path(post, operation_id = "drainNode", path = "/nodes/{node}/drain", tag = "nodes", params(("node" = NodeId, Path)),
    security(("token" = ["operator"])),
    responses((status = 200, body = View), (status = "4XX", body = Problem, content_type = Problem::CONTENT_TYPE)))]
pub(super) async fn drain(
    Operator(by): Operator,
    extract::Path(id): extract::Path<NodeId>,
    State(shared): State<Arc<Shared>>,
) -> Result<Json<View>> {
    set_drain(&shared, &by, &id, true).await
}

/// End a drain
#[utoipa::path(post, operation_id = "undrainNode", path = "/nodes/{node}/undrain", tag = "nodes", params(("node" = NodeId, Path)),
    security(("token" = ["operator"])),
    responses((status = 200, body = View), (status = "4XX", body = Problem, content_type = Problem::CONTENT_TYPE)))]
pub(super) async fn undrain(
    Operator(by): Operator,
    extract::Path(id): extract::Path<NodeId>,
    State(shared): State<Arc<Shared>>,
) -> Result<Json<View>> {
    set_drain(&shared, &by, &id, false).await
}

/// Forget a node
///
/// One that is alive registers again with its next heartbeat.
#[utoipa::path(delete, operation_id = "forgetNode", path = "/nodes/{node}", tag = "nodes", params(("node" = NodeId, Path)), security(("token" = ["operator"])),
    responses((status = 204), (status = "4XX", body = Problem, content_type = Problem::CONTENT_TYPE)))]
pub(super) async fn forget(
    Operator(by): Operator,
    extract::Path(id): extract::Path<NodeId>,
    State(shared): State<Arc<Shared>>,
) -> Result<StatusCode> {
    shared.plane.remove_node(&by, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn set_drain(shared: &Shared, by: &Actor, id: &NodeId, drain: bool) -> Result<Json<View>> {
    shared.plane.set_drain(by, id, drain).await?;
    Ok(Json(View::new(shared.plane.member(id)?, Instant::now(), shared)))
}

/// What the types do not say.
fn check(spec: &Spec) -> Result<()> {
    let invalid = |field, problem: String| Err(Error::Invalid { field, problem });
    if dns::RESERVED.contains(&spec.id.as_str()) {
        return invalid("id", format!("{} is a name of the zone's own; choose another", spec.id));
    }
    let mut seen = BTreeMap::new();
    for url in &spec.urls {
        let usable = url.parse::<http::Uri>().is_ok_and(|uri| {
            matches!(uri.scheme_str(), Some("http" | "https"))
                && uri.host().is_some_and(|host| !host.is_empty())
        });
        if !usable || url.ends_with('/') || url.len() > MAX_URL {
            return invalid(
                "urls",
                "use http://HOST:PORT or https://HOST:PORT, without a slash at the end".to_owned(),
            );
        }
        if seen.insert(url, ()).is_some() {
            return invalid("urls", "one is listed twice".to_owned());
        }
    }
    if spec.urls.len() > MAX_LIST || spec.addresses.len() > MAX_LIST {
        return invalid("urls and addresses", format!("at most {MAX_LIST} of each"));
    }
    if spec.addresses.iter().any(|address| address.is_unspecified() || address.is_multicast()) {
        return invalid(
            "addresses",
            "name addresses that others can reach, not 0.0.0.0 or a multicast group".to_owned(),
        );
    }
    if spec.version.len() > MAX_VERSION {
        return invalid("version", format!("at most {MAX_VERSION} bytes"));
    }
    if spec.location.is_some_and(|at| !(at.latitude.abs() <= 90.0 && at.longitude.abs() <= 180.0)) {
        return invalid("location", "latitude is -90 to 90, longitude -180 to 180 (degrees)".to_owned());
    }
    Ok(())
}

/// A DNS answer holds this many IPv6 addresses in one packet.
const MAX_LIST: usize = 16;
const MAX_URL: usize = 512;
const MAX_VERSION: usize = 64;
