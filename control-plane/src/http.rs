//! The API under `/api/v1` and the pages, as a handler of the service's HTTP server.
//!
//! Every route is registered together with its description, so the OpenAPI document has them all. Every failure is a
//! [`nearcast_api::Problem`]; `respond.rs` alone maps errors to statuses.

mod api_tokens;
mod audience;
mod audit;
mod auth;
mod categories;
mod channels;
mod client;
mod cookie;
mod directory;
mod enrol;
mod enrolments;
mod extract;
mod forecast;
mod grant;
mod idempotency;
mod ingest;
mod keys;
mod limit;
mod me;
mod metadata;
mod nodes;
mod oidc;
mod openapi;
mod page;
mod pages;
mod playback;
mod purges;
mod respond;
mod revocations;
mod sessions;
mod snapshot;
mod steer;
mod topology;
mod users;
mod viewers;
mod webhook_deliveries;
mod webhook_events;
mod webhooks;

use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::StatusCode;
use ipnet::IpNet;
use nearcast_geo::Locator;
use nearcast_service::drain::Drain;
use nearcast_service::http::{Body, Handler};
use tower_service::Service;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::error::Error;
use crate::limits::Limits;
use crate::metrics::{ApiLabels, Metrics};
use crate::oidc::Provider;
use crate::plane::Plane;
use crate::sign_in::SignIns;
use crate::tokens::Tokens;

/// What the routes need.
#[derive(Debug)]
pub struct App {
    pub plane: Arc<Plane>,
    pub tokens: Tokens,
    pub locator: Arc<Locator>,
    pub trusted_proxies: Vec<IpNet>,
    pub webhooks: crate::webhooks::Config,
    pub limits: Limits,
    pub sign_ins: SignIns,
    pub oidc: Option<Provider>,
    pub metrics: Metrics,
    pub drain: Drain,
}

/// What handlers see of [`App`], and the document that describes them.
#[derive(Debug)]
pub(crate) struct Shared {
    app: App,
    openapi: OnceLock<Bytes>,
    kinds: OnceLock<limit::Kinds>,
}

impl std::ops::Deref for Shared {
    type Target = App;

    fn deref(&self) -> &App {
        &self.app
    }
}

/// All routes behind the service's handler interface.
#[derive(Debug, Clone)]
pub struct Api {
    router: Router,
}

impl Api {
    pub fn new(app: App) -> Self {
        let shared = Arc::new(Shared { app, openapi: OnceLock::new(), kinds: OnceLock::new() });
        let (router, mut document) = routes().split_for_parts();
        idempotency::describe(&mut document);
        // It cannot have been set: the state is new.
        let _unset = shared.kinds.set(limit::Kinds::of(&document));
        let _unset = shared.openapi.set(openapi::render(document));
        let router = router
            .fallback(pages::serve)
            .method_not_allowed_fallback(method_not_allowed)
            .layer(middleware::from_fn_with_state(shared.clone(), idempotency::layer))
            .layer(middleware::from_fn_with_state(shared.clone(), finish))
            .layer(middleware::from_fn_with_state(shared.clone(), limit::limit))
            .layer(middleware::from_fn_with_state(shared.clone(), count))
            .with_state(shared);
        Self { router }
    }
}

impl Handler for Api {
    async fn handle(&self, request: nearcast_service::http::Request) -> nearcast_service::http::Response {
        // The router is always ready and never fails.
        let Ok(response) = self.router.clone().call(request).await;
        response.map(Body::wrap)
    }
}

fn routes() -> OpenApiRouter<Arc<Shared>> {
    let api = OpenApiRouter::new()
        .routes(routes!(nodes::list))
        .routes(routes!(nodes::show, nodes::register, nodes::forget))
        .routes(routes!(nodes::heartbeat))
        .routes(routes!(nodes::drain))
        .routes(routes!(nodes::undrain))
        .routes(routes!(enrol::renew))
        .routes(routes!(enrol::revoke))
        .routes(routes!(enrol::enrol))
        .routes(routes!(enrol::authority))
        .routes(routes!(enrolments::list, enrolments::create))
        .routes(routes!(enrolments::delete))
        .routes(routes!(snapshot::show))
        .routes(routes!(topology::show))
        .routes(routes!(topology::list))
        .routes(routes!(topology::version))
        .routes(routes!(topology::roll_back))
        .routes(routes!(
            topology::show_draft,
            topology::replace_draft,
            topology::change_draft,
            topology::discard_draft
        ))
        .routes(routes!(topology::validate))
        .routes(routes!(topology::publish))
        .routes(routes!(channels::list, channels::create))
        .routes(routes!(channels::show, channels::change, channels::delete))
        .routes(routes!(ingest::show))
        .routes(routes!(ingest::events))
        .routes(routes!(metadata::announce))
        .routes(routes!(keys::list, keys::create))
        .routes(routes!(keys::change, keys::delete))
        .routes(routes!(keys::rotate))
        .routes(routes!(playback::list, playback::create))
        .routes(routes!(playback::delete))
        .routes(routes!(playback::issue))
        .routes(routes!(revocations::list, revocations::create))
        .routes(routes!(revocations::delete))
        .routes(routes!(purges::list, purges::create))
        .routes(routes!(purges::show))
        .routes(routes!(api_tokens::list, api_tokens::create))
        .routes(routes!(api_tokens::delete))
        .routes(routes!(webhooks::list, webhooks::create))
        .routes(routes!(webhooks::show, webhooks::change, webhooks::delete))
        .routes(routes!(webhooks::rotate_secret))
        .routes(routes!(webhooks::test))
        .routes(routes!(webhook_deliveries::list))
        .routes(routes!(webhook_deliveries::retry))
        .routes(routes!(users::list, users::create))
        .routes(routes!(users::show, users::change, users::delete))
        .routes(routes!(users::set_password))
        .routes(routes!(sessions::list, sessions::sign_in))
        .routes(routes!(sessions::delete))
        .routes(routes!(sessions::sign_out))
        .routes(routes!(me::show))
        .routes(routes!(oidc::login))
        .routes(routes!(oidc::callback))
        .routes(routes!(audit::list))
        .routes(routes!(audit::export))
        .routes(routes!(categories::list, categories::create))
        .routes(routes!(categories::change, categories::delete))
        .routes(routes!(directory::show))
        .routes(routes!(steer::show))
        .routes(routes!(viewers::show))
        .routes(routes!(audience::show))
        .routes(routes!(audience::top::channels))
        .routes(routes!(audience::top::countries))
        .routes(routes!(forecast::show))
        .routes(routes!(openapi::show));
    OpenApiRouter::with_openapi(openapi::base()).nest(PREFIX, api)
}

const PREFIX: &str = "/api/v1";

async fn method_not_allowed(request: Request) -> Error {
    Error::MethodNotAllowed(request.method().clone())
}

/// Carries out to its end what changes something, also when the caller's line breaks: between what is written and what is
/// in force there is no stopping.
async fn finish(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    // A heartbeat writes nothing, and there are many.
    let is_beat = request.uri().path().ends_with("/heartbeat");
    if request.method().is_safe() || is_beat {
        return next.run(request).await;
    }
    let finished = shared.drain.spawn("call of the API", next.run(request)).await;
    finished.unwrap_or_else(|_panicked| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}

async fn count(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().map_or("pages", MatchedPath::as_str).to_owned();
    let response = next.run(request).await;
    let labels = ApiLabels { route, status: response.status().as_u16() };
    shared.metrics.api_requests.get_or_create(&labels).inc();
    response
}

#[cfg(test)]
mod tests;
