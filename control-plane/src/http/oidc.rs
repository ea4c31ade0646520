//! Browsers on their way to the identity provider, and back.

use std::sync::Arc;

use axum::extract::{Extension, State};
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, LOCATION, SET_COOKIE};
use http::{HeaderMap, StatusCode};
use nearcast_api::Problem;
use nearcast_service::http::Peer;
use serde::Deserialize;

use super::{Shared, client, cookie, extract, sessions};
use crate::access::Actor;
use crate::error::{Error, Result};
use crate::keys;
use crate::oidc::Provider;

/// What the provider sends a browser back with (RFC 6749 section 4.1.2, RFC 9207).
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Answer {
    #[serde(default)]
    state: String,
    /// What the tokens are had for.
    code: Option<String>,
    /// Why there is none.
    error: Option<String>,
    /// Who the provider is.
    iss: Option<String>,
}

/// Sign in by the identity provider
///
/// A browser that comes here is sent there.
#[utoipa::path(get, operation_id = "beginOidcLogin", path = "/oidc/login", tag = "access", security(()),
    responses((status = 302, description = "To the provider"),
        (status = 404, body = Problem, content_type = Problem::CONTENT_TYPE, description = "None is set up"),
        (status = 502, body = Problem, content_type = Problem::CONTENT_TYPE, description = "It does not answer"),
        (status = "4XX", body = Problem, content_type = Problem::CONTENT_TYPE)))]
pub(super) async fn login(
    Extension(peer): Extension<Peer>,
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
) -> Result<Response> {
    let departure = provider(&shared)?.depart().await?;
    shared.plane.go_to_provider(&departure.state, departure.nonce, departure.verifier).await?;
    let secure = client::is_secure(&peer, &headers, &shared.trusted_proxies);
    let cookie = cookie::set(STATE, &departure.state, STATE_REST, STATE_SECONDS, secure);
    let headers =
        [(LOCATION, departure.location), (SET_COOKIE, cookie), (CACHE_CONTROL, "no-store".to_owned())];
    Ok((StatusCode::FOUND, headers).into_response())
}

/// Come back from the identity provider
///
/// Where it sends browsers to. They get the session's cookie, and go on to the web pages.
#[utoipa::path(get, operation_id = "finishOidcLogin", path = "/oidc/callback", tag = "access", params(Answer), security(()),
    responses((status = 302, description = "To the pages, signed in"),
        (status = 400, body = Problem, content_type = Problem::CONTENT_TYPE, description = "It was not begun in this browser, took too long, or was finished already"),
        (status = 403, body = Problem, content_type = Problem::CONTENT_TYPE, description = "Who signed in there is nobody here"),
        (status = 502, body = Problem, content_type = Problem::CONTENT_TYPE, description = "The provider does not answer"),
        (status = "4XX", body = Problem, content_type = Problem::CONTENT_TYPE)))]
pub(super) async fn callback(
    extract::Query(answer): extract::Query<Answer>,
    Extension(peer): Extension<Peer>,
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
) -> Result<Response> {
    let address = client::address(peer.address.ip(), &headers, &shared.trusted_proxies);
    let by = Actor { name: "oidc".to_owned(), address: Some(address) };
    let came = async {
        let provider = provider(&shared)?;
        // Somebody else's link must not sign this browser in (RFC 6749 section 10.12).
        let own = cookie::get(&headers, STATE).is_some_and(|own| keys::same(own, &answer.state));
        if !own {
            return Err(Error::OidcState);
        }
        let login = shared.plane.back_from_provider(&answer.state).await?;
        if answer.iss.as_deref().is_some_and(|issuer| issuer != provider.issuer()) {
            return Err(Error::OidcRefused("it is another one".to_owned()));
        }
        let Some(code) = answer.code else {
            let why = answer.error.unwrap_or_else(|| "it sent no code".to_owned());
            return Err(Error::OidcRefused(why.chars().filter(|c| !c.is_control()).take(100).collect()));
        };
        let who = provider.arrive(&code, &login).await?;
        shared.plane.sign_in_by_provider(&by, who, provider.brings_new(), shared.sign_ins.life()).await
    };
    let began = match came.await {
        Ok(began) => began,
        Err(why) => {
            shared.plane.not_signed_in(&by, &why).await;
            return Err(why);
        }
    };
    let secure = client::is_secure(&peer, &headers, &shared.trusted_proxies);
    let lines = [
        (SET_COOKIE, sessions::set_cookie(&shared, &peer, &headers, &began.token)),
        (SET_COOKIE, cookie::set(STATE, "", STATE_REST, 0, secure)),
    ];
    let mut response = (StatusCode::FOUND, [(LOCATION, "/"), (CACHE_CONTROL, "no-store")]).into_response();
    for (name, line) in lines {
        // Made of a token's characters and ours.
        if let Ok(line) = line.parse() {
            response.headers_mut().append(name, line);
        }
    }
    Ok(response)
}

fn provider(shared: &Shared) -> Result<&Provider> {
    shared.oidc.as_ref().ok_or(Error::NoOidc)
}

/// Which sign-in this browser has begun. It comes back from another site, so that `Strict` would keep the cookie away.
const STATE: &str = "nearcast_oidc";
const STATE_REST: &str = "Path=/api/v1/oidc; SameSite=Lax";
const STATE_SECONDS: u64 = 600;
