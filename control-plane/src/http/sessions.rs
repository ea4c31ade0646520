//! Signing in and out, and who is signed in.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, FromRequestParts, Request, State};
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, SET_COOKIE};
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use nearcast_api::{ChannelId, Problem, UserId};
use nearcast_service::http::Peer;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::auth::Limited;
use super::page::Page;
use super::{Shared, client, cookie, extract};
use crate::access::Scope;
use crate::error::{Error, Result};
use crate::plane::Began;
use crate::store::StoredSession;

/// A session without its token, which is not kept.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Session)]
pub(super) struct View {
    id: String,
    user: UserId,
    /// Where it began.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    address: Option<String>,
    /// Milliseconds since the Unix epoch.
    created_at: u64,
    /// The same.
    expires_at: u64,
}

/// Sessions by id.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SessionList)]
pub(super) struct List {
    sessions: Vec<View>,
    /// For `cursor` of the next request; left out when there are no more.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next: Option<String>,
}

/// A session that has just begun.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SignedIn)]
pub(super) struct Created {
    #[serde(flatten)]
    view: View,
    /// For `Authorization: Bearer TOKEN`. It is shown this once, and not at all where it is in the cookie.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    token: Option<String>,
    /// What the user may do now; what counts is what they may do at each call.
    scopes: Vec<Scope>,
    /// Only what is below these channels; none for all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    channels: Vec<ChannelId>,
}

/// Who wants in.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SignIn)]
pub(super) struct SignIn {
    user: String,
    password: String,
    /// For pages: the token comes as the cookie `nearcast_session`, which no script can read, and not in the answer. Calls with
    /// it that change something have to come from pages of this control plane (`Sec-Fetch-Site: same-origin`, or an `Origin`
    /// that is the `Host`), this one among them.
    #[serde(default)]
    cookie: bool,
}

/// Whose sessions.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Filter {
    /// This user's, for admins; one's own when left out.
    #[param(value_type = Option<UserId>)]
    user: Option<UserId>,
    /// `next` of the page before; left out for the first one.
    cursor: Option<String>,
    /// At most so many, 1 to 500.
    #[param(default = 100)]
    limit: Option<usize>,
}

/// What is known of a browser before its body is read.
pub(super) struct Browser {
    same_origin: bool,
}

impl<S: Send + Sync> FromRequestParts<S> for Browser {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> std::result::Result<Self, Self::Rejection> {
        Ok(Self { same_origin: cookie::is_same_origin(parts) })
    }
}

impl From<StoredSession> for View {
    fn from(StoredSession { id, user, address, created_at, expires_at, .. }: StoredSession) -> Self {
        Self { id, user, address, created_at, expires_at }
    }
}

/// Sign in
///
/// After five wrong passwords in a quarter of an hour the account waits a minute, and twice as long with each further one, up to
/// an hour; an address may send ten wrong ones a minute. That is so for names that nobody has, too.
#[utoipa::path(post, operation_id = "signIn", path = "/sessions", tag = "access", request_body = SignIn, security(()),
    responses((status = 201, body = Created),
        (status = 401, body = Problem, content_type = Problem::CONTENT_TYPE, description = "Wrong name or password"),
        (status = 429, body = Problem, content_type = Problem::CONTENT_TYPE, description = "Too many wrong ones; `Retry-After` says how long to wait"),
        (status = 503, body = Problem, content_type = Problem::CONTENT_TYPE, description = "Too many sign in at this moment"),
        (status = "4XX", body = Problem, content_type = Problem::CONTENT_TYPE)))]
pub(super) async fn sign_in(
    Extension(peer): Extension<Peer>,
    Browser { same_origin }: Browser,
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    extract::Json(SignIn { user, password, cookie }): extract::Json<SignIn>,
) -> Result<Response> {
    // Or another site could sign somebody in as somebody else.
    if cookie && !same_origin {
        return Err(Error::CrossSite);
    }
    let address = client::address(peer.address.ip(), &headers, &shared.trusted_proxies);
    let began = shared.sign_ins.with_password(&shared.plane, &user, password, Some(address)).await?;
    let set = cookie.then(|| set_cookie(&shared, &peer, &headers, &began.token));
    let Began { token, session, user } = began;
    let token = (!cookie).then_some(token);
    let created =
        Created { view: session.into(), token, scopes: user.grant.scopes, channels: user.grant.channels };
    let headers = set.map(|line| [(SET_COOKIE, line)]);
    Ok((StatusCode::CREATED, [(CACHE_CONTROL, "no-store")], headers, Json(created)).into_response())
}

/// Who is signed in
///
/// Users see their own sessions, admins everybody's, or with `user` those of one.
#[utoipa::path(get, operation_id = "listSessions", path = "/sessions", tag = "access", params(Filter),
    security(("token" = ["admin"]), ("session" = [])),
    responses((status = 200, body = List), (status = "4XX", body = Problem, content_type = Problem::CONTENT_TYPE)))]
pub(super) async fn list(
    Limited(caller): Limited,
    extract::Query(Filter { user, cursor, limit }): extract::Query<Filter>,
    State(shared): State<Arc<Shared>>,
) -> Result<Json<List>> {
    let own = caller.signed_in.as_ref().map(|signed_in| &signed_in.user.id);
    // A user who is an admin asks for their own with their own name.
    let is_own = user
        .as_ref()
        .map_or_else(|| own.is_some() && caller.check(Scope::Admin, None).is_err(), |user| own == Some(user));
    if !is_own {
        caller.insist(&shared, Scope::Admin, None).await?;
    }
    let user = if is_own { own } else { user.as_ref() };
    let mut sessions = shared.plane.sessions().await?;
    sessions.retain(|session| user.is_none_or(|user| session.user == *user));
    let (sessions, next) = Page::new(cursor, limit).of(sessions, |session| session.id.clone())?;
    Ok(Json(List { sessions: sessions.into_iter().map(View::from).collect(), next }))
}

/// End a session
///
/// One's own, or anybody's for admins. The next call with it is refused.
#[utoipa::path(delete, operation_id = "deleteSession", path = "/sessions/{session}", tag = "access",
    params(("session" = String, Path, description = "The session's id")), security(("token" = ["admin"]), ("session" = [])),
    responses((status = 204), (status = "4XX", body = Problem, content_type = Problem::CONTENT_TYPE)))]
pub(super) async fn delete(
    Limited(caller): Limited,
    extract::Path(id): extract::Path<String>,
    State(shared): State<Arc<Shared>>,
) -> Result<StatusCode> {
    let own = caller.signed_in.as_ref().map(|signed_in| &signed_in.user.id);
    let sessions = shared.plane.sessions().await?;
    let is_own = sessions.iter().any(|session| session.id == id && Some(&session.user) == own);
    if !is_own {
        caller.insist(&shared, Scope::Admin, None).await?;
    }
    shared.plane.end_session(&caller.actor, "deleteSession", &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Sign out
///
/// Ends the session that the call is made with, and takes its cookie away.
#[utoipa::path(delete, operation_id = "signOut", path = "/sessions/current", tag = "access", security(("token" = []), ("session" = [])),
    responses((status = 204),
        (status = 404, body = Problem, content_type = Problem::CONTENT_TYPE, description = "The call is not made with a session"),
        (status = "4XX", body = Problem, content_type = Problem::CONTENT_TYPE)))]
pub(super) async fn sign_out(
    Limited(caller): Limited,
    Extension(peer): Extension<Peer>,
    State(shared): State<Arc<Shared>>,
    request: Request,
) -> Result<Response> {
    let Some(signed_in) = &caller.signed_in else { return Err(Error::NoOwnSession) };
    shared.plane.end_session(&caller.actor, "signOut", &signed_in.session.id).await?;
    let secure = client::is_secure(&peer, request.headers(), &shared.trusted_proxies);
    let gone = cookie::set(cookie::SESSION, "", cookie::SESSION_REST, 0, secure);
    Ok((StatusCode::NO_CONTENT, [(SET_COOKIE, gone)]).into_response())
}

/// The line that gives a browser its session.
pub(super) fn set_cookie(shared: &Shared, peer: &Peer, headers: &HeaderMap, token: &str) -> String {
    let secure = client::is_secure(peer, headers, &shared.trusted_proxies);
    cookie::set(cookie::SESSION, token, cookie::SESSION_REST, shared.sign_ins.life() / 1000, secure)
}
