//! Sends those away who call too often: by who they are, or where they are, and what they ask for.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::Method;
use nearcast_service::http::Peer;
use utoipa::openapi::OpenApi;

use super::{Shared, auth, client};
use crate::error::{Error, seconds};
use crate::limits::Caller;

/// What the document says of each operation, by method and path.
#[derive(Debug)]
pub(super) struct Kinds(HashMap<(Method, String), Kind>);

/// Whom an operation is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Nodes have to get through, most of all when much goes on.
    Nodes,
    Viewers,
    Others,
}

impl Kinds {
    /// Read from the document, so that none is forgotten.
    pub(super) fn of(document: &OpenApi) -> Self {
        let mut kinds = HashMap::new();
        // The document's types have a form for each method; its JSON has one for all.
        let document = serde_json::to_value(document).unwrap_or_default();
        for (path, item) in document["paths"].as_object().into_iter().flatten() {
            for (method, operation) in item.as_object().into_iter().flatten() {
                let Ok(method) = method.to_uppercase().parse() else { continue };
                let security = operation["security"].as_array().map_or(&[][..], Vec::as_slice);
                let open = security.iter().any(|one| one.as_object().is_some_and(serde_json::Map::is_empty));
                let kind = if security.iter().any(|one| one.get("node").is_some()) {
                    Kind::Nodes
                } else if open && operation["tags"][0] != "access" {
                    Kind::Viewers
                } else {
                    Kind::Others
                };
                kinds.insert((method, path.clone()), kind);
            }
        }
        Self(kinds)
    }

    fn get(&self, method: &Method, path: &str) -> Kind {
        let method = if *method == Method::HEAD { &Method::GET } else { method };
        self.0.get(&(method.clone(), path.to_owned())).copied().unwrap_or(Kind::Others)
    }
}

/// Lets a call through, or not.
pub(super) async fn limit(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let caller = caller(&shared, &request);
    match caller.map_or(Ok(()), |caller| shared.limits.take(&caller, Instant::now())) {
        Ok(()) => next.run(request).await,
        Err(wait) => Error::TooManyCalls { seconds: seconds(wait) }.into_response(),
    }
}

/// Who counts; none for whom there is no limit.
fn caller(shared: &Shared, request: &Request) -> Option<Caller> {
    // Pages are files, and not the API.
    let path = request.extensions().get::<MatchedPath>()?;
    let peer = request.extensions().get::<Peer>()?;
    let address = client::address(peer.address.ip(), request.headers(), &shared.trusted_proxies);
    match shared.kinds.get().map_or(Kind::Others, |kinds| kinds.get(request.method(), path.as_str())) {
        Kind::Nodes => None,
        Kind::Viewers => Some(Caller::Viewer(address)),
        Kind::Others => match auth::known(shared, request.headers()) {
            // The way in that is always there.
            Some(name) if name == auth::ADMIN => None,
            Some(name) => Some(Caller::Known(name)),
            // So does who shows a credential that is none: it may be a guess.
            None => Some(Caller::Stranger(address)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_have_no_limit_and_what_is_open_has_the_viewers_but_for_signing_in() {
        let (_, document) = super::super::routes().split_for_parts();
        let kinds = Kinds::of(&document);
        for (method, path, kind) in [
            (Method::POST, "/nodes/{node}/heartbeat", Kind::Nodes),
            (Method::GET, "/snapshot", Kind::Nodes),
            (Method::PUT, "/nodes/{node}", Kind::Nodes),
            (Method::GET, "/nodes/{node}", Kind::Others),
            (Method::GET, "/steer/{channel}", Kind::Viewers),
            (Method::POST, "/sessions", Kind::Others),
            (Method::GET, "/oidc/login", Kind::Others),
            (Method::GET, "/channels", Kind::Others),
        ] {
            assert_eq!(kinds.get(&method, &format!("/api/v1{path}")), kind, "{method} {path}");
        }
    }
}
