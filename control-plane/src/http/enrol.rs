//! Nodes get certificates by a token, then by the certificate before, until an operator sends them away.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use nearcast_api::enrol::{Issued, Renewal, Request};
use nearcast_api::{NodeId, Problem};

use super::auth::{Address, Enrolled, Operator};
use super::{Shared, extract};
use crate::access::Actor;
use crate::dns;
use crate::error::{Error, Result};

/// The authority's certificate
///
/// Nodes' certificates are signed by it, and so is the control plane's own where it has no other.
#[utoipa::path(get, operation_id = "authority", path = "/ca.pem", tag = "enrolment", security(()),
    responses((status = 200, body = String, content_type = PEM), (status = "4XX", body = Problem, content_type = Problem::CONTENT_TYPE)))]
pub(super) async fn authority(State(shared): State<Arc<Shared>>) -> Response {
    ([(CONTENT_TYPE, PEM)], shared.plane.authority().pem().to_owned()).into_response()
}

/// Get a node's first certificate
///
/// The token of `POST /api/v1/enrolments` is good for one. Of the request only the key is taken.
#[utoipa::path(post, operation_id = "enrolNode", path = "/enrol", tag = "enrolment", request_body = Request, security(()),
    responses((status = 200, body = Issued),
        (status = 409, body = Problem, content_type = Problem::CONTENT_TYPE, description = "The token was used, or the name is another's"),
        (status = "4XX", body = Problem, content_type = Problem::CONTENT_TYPE)))]
pub(super) async fn enrol(
    Address(address): Address,
    State(shared): State<Arc<Shared>>,
    extract::Json(request): extract::Json<Request>,
) -> Result<Json<Issued>> {
    if dns::RESERVED.contains(&request.node.as_str()) {
        let problem = format!("{} is a name of the zone's own; choose another", request.node);
        return Err(Error::Invalid { field: "node", problem });
    }
    let nobody = Actor { name: String::new(), address };
    Ok(Json(shared.plane.enrol(nobody, &request).await?))
}

/// Get a node's next certificate
///
/// With the one it has. Those before count until they end.
#[utoipa::path(post, operation_id = "renewCertificate", path = "/nodes/{node}/certificate", tag = "enrolment",
    params(("node" = NodeId, Path)), request_body = Renewal, security(("node" = []), ("token" = ["admin"])),
    responses((status = 200, body = Issued), (status = "4XX", body = Problem, content_type = Problem::CONTENT_TYPE)))]
pub(super) async fn renew(
    Enrolled(by, has): Enrolled,
    extract::Path(id): extract::Path<NodeId>,
    State(shared): State<Arc<Shared>>,
    extract::Json(Renewal { csr }): extract::Json<Renewal>,
) -> Result<Json<Issued>> {
    Ok(Json(shared.plane.renew(&by, &id, has.as_deref(), &csr).await?))
}

/// Send a node away
///
/// Its certificates count no more, what it waits for ends, and it is forgotten. A new token for its
/// name lets it in again.
#[utoipa::path(post, operation_id = "revokeNode", path = "/nodes/{node}/revoke", tag = "enrolment", params(("node" = NodeId, Path)),
    security(("token" = ["operator"])),
    responses((status = 204), (status = "4XX", body = Problem, content_type = Problem::CONTENT_TYPE)))]
pub(super) async fn revoke(
    Operator(by): Operator,
    extract::Path(id): extract::Path<NodeId>,
    State(shared): State<Arc<Shared>>,
) -> Result<StatusCode> {
    shared.plane.revoke_node(&by, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// RFC 8555 section 9.1.
const PEM: &str = "application/pem-certificate-chain";
