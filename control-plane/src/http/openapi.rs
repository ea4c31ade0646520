//! The document that describes the API, made from the handlers themselves.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use utoipa::OpenApi;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};

use super::{Shared, webhook_events};
use crate::webhooks::event;

/// The document before any route is in it.
pub(super) fn base() -> utoipa::openapi::OpenApi {
    let mut document = Base::openapi();
    document.webhooks = Some(webhook_events::describe());
    let components = document.components.get_or_insert_default();
    let bearer = |text| {
        SecurityScheme::Http(
            HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(text)).build(),
        )
    };
    let token = "The admin token of `data_dir`, or one of `POST /api/v1/api-tokens` with one of the scopes named, or one that \
                 includes it: admin has all, operator has publisher and moderator, and those have read-only.";
    components.add_security_scheme("token", bearer(token));
    components.add_security_scheme(
        "session",
        bearer(
            "A user's session: `POST /api/v1/sessions` begins one. It does wherever a token \
        does, with the user's scopes, and as the cookie `nearcast_session` too.",
        ),
    );
    components.add_security_scheme("node", bearer("A node's token: register, heartbeat, snapshot."));
    components.add_security_scheme("node", bearer("A node: by its certificate (mutual TLS), which opens only its own path, or the token that all nodes share."));
    document
}

/// The document as it is sent.
pub(super) fn render(document: utoipa::openapi::OpenApi) -> Bytes {
    // Made of strings and maps; there is always a JSON form.
    document.to_json().unwrap_or_default().into()
}

/// This document
#[utoipa::path(get, operation_id = "openapi", path = "/openapi.json", tag = "about", security(()),
    responses((status = 200, description = "OpenAPI 3.1", content_type = "application/json")))]
pub(super) async fn show(State(shared): State<Arc<Shared>>) -> Response {
    let document = shared.openapi.get().cloned().unwrap_or_default();
    ([(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-cache")], document).into_response()
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Nearcast control plane",
        description = "Nodes, channels, stream keys, snapshots and steering. Every failure is a problem document \
                       (RFC 9457) whose `detail` says what to do.",
        license(name = "MIT OR Apache-2.0")
    ),
    components(schemas(nearcast_api::Problem, event::Broadcast, event::Channel, event::Key, event::Node, event::Test)),
    tags(
        (name = "nodes", description = "Edges, origins and control-plane instances"),
        (name = "topology", description = "How operators want the network: regions, tiers, weights, capacities, routes, maintenance"),
        (name = "enrolment", description = "How nodes get certificates of their own, and lose them"),
        (name = "channels", description = "What publishers own and viewers watch"),
        (name = "stream keys", description = "Who may publish to a channel"),
        (name = "playback", description = "Who may watch"),
        (name = "purges", description = "What caches are to forget"),
        (name = "webhooks", description = "Who is told what happens, and whether they were"),
        (name = "audience", description = "Who watched, and who will"),
        (name = "access", description = "Who may call this API, and what they have changed"),
        (name = "viewers", description = "Open to everybody"),
        (name = "about", description = "The API itself")
    )
)]
struct Base;
