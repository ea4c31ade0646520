//! People who sign in: made, shown, changed, deleted, and their passwords.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::{ETAG, LOCATION};
use http::{HeaderName, StatusCode};
use nearcast_api::{ChannelId, Problem, UserId};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use super::auth::{Admin, Themselves};
use super::page::Page;
use super::{Shared, extract, grant};
use crate::access::{Grant, Scope};
use crate::error::{Error, Result};
use crate::plane::{IfMatch, NewUser, UserChange};
use crate::store::StoredUser;

/// A user.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = User)]
pub(super) struct View {
    id: UserId,
    /// For people.
    name: String,
    scopes: Vec<Scope>,
    /// Only what is below these channels; none for all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    channels: Vec<ChannelId>,
    /// Who they are at the identity provider: the `sub` of its tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    subject: Option<String>,
    /// Whether they may not sign in.
    disabled: bool,
    /// Whether they can sign in with a password.
    has_password: bool,
    /// Milliseconds since the Unix epoch.
    created_at: u64,
    /// The same; left out for never.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    last_login_at: Option<u64>,
}

/// Users by id.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = UserList)]
pub(super) struct List {
    users: Vec<View>,
    /// For `cursor` of the next request; left out when there are no more.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next: Option<String>,
}

/// A user to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CreateUser)]
pub(super) struct Create {
    id: UserId,
    /// For people, at most 200 characters; the id when left out.
    #[serde(default)]
    name: Option<String>,
    /// What they may do, at least one.
    scopes: Vec<Scope>,
    /// Only what is below these channels, at most 100; left out for all.
    #[serde(default)]
    channels: Vec<ChannelId>,
    /// 12 to 256 characters; left out for who comes by the identity provider.
    #[serde(default)]
    password: Option<String>,
    /// Who they are at the identity provider, at most 255 characters.
    #[serde(default)]
    subject: Option<String>,
    #[serde(default)]
    disabled: bool,
}

/// What changes; what is left out stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ChangeUser)]
pub(super) struct Change {
    /// At most 200 characters.
    #[serde(default)]
    name: Option<String>,
    /// At least one.
    #[serde(default)]
    scopes: Option<Vec<Scope>>,
    /// At most 100; an empty list for all.
    #[serde(default)]
    channels: Option<Vec<ChannelId>>,
    /// At most 255 characters; null takes it away.
    #[serde(default, deserialize_with = "given")]
    subject: Option<Option<String>>,
    /// True ends their sessions.
    #[serde(default)]
    disabled: Option<bool>,
}

/// A new password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SetPassword)]
pub(super) struct Password {
    /// 12 to 256 characters, neither the user's name nor among the most common.
    password: String,
    /// The one that counts until now; who changes their own has to know it.
    #[serde(default)]
    old: Option<String>,
}

impl From<StoredUser> for View {
    fn from(user: StoredUser) -> Self {
        let StoredUser { id, name, grant, subject, disabled, has_password, created_at, last_login_at } = user;
        let Grant { scopes, channels } = grant;
        Self { id, name, scopes, channels, subject, disabled, has_password, created_at, last_login_at }
    }
}

/// All users
#[utoipa::path(get, operation_id = "listUsers", path = "/users", tag = "access", params(Page), security(("token" = ["admin"])),
    responses((status = 200, body = List), (status = "4XX", body = Problem, content_type = Problem::CONTENT_TYPE)))]
pub(super) async fn list(
    _: Admin,
    extract::Query(page): extract::Query<Page>,
    State(shared): State<Arc<Shared>>,
) -> Result<Json<List>> {
    let (users, next) = page.of(shared.plane.users().await?, |user| user.id.to_string())?;
    Ok(Json(List { users: users.into_iter().map(View::from).collect(), next }))
}

/// Make a user
#[utoipa::path(post, operation_id = "createUser", path = "/users", tag = "access", request_body = Create, security(("token" = ["admin"])),
    responses((status = 201, body = View),
        (status = 409, body = Problem, content_type = Problem::CONTENT_TYPE, description = "They exist"),
        (status = "4XX", body = Problem, content_type = Problem::CONTENT_TYPE)))]
pub(super) async fn create(
    Admin(by): Admin,
    State(shared): State<Arc<Shared>>,
    extract::Json(Create { id, name, scopes, channels, password, subject, disabled }): extract::Json<Create>,
) -> Result<Response> {
    let name = name.unwrap_or_else(|| id.to_string());
    check("name", &name, MAX_NAME)?;
    check_subject(subject.as_deref())?;
    let grant = grant::check(scopes, channels)?;
    let password = match password {
        Some(password) => Some(shared.sign_ins.hash(&id, password).await?),
        None => None,
    };
    let new = NewUser { id, name, grant, subject, disabled, password };
    let user = shared.plane.create_user(&by, new).await?;
    let location = [(LOCATION, format!("{}/users/{}", super::PREFIX, user.id))];
    Ok((StatusCode::CREATED, location, tagged(user)).into_response())
}

/// One user
#[utoipa::path(get, operation_id = "showUser", path = "/users/{user}", tag = "access", params(("user" = UserId, Path)),
    security(("token" = ["admin"])),
    responses((status = 200, body = View), (status = "4XX", body = Problem, content_type = Problem::CONTENT_TYPE)))]
pub(super) async fn show(
    _: Admin,
    extract::Path(id): extract::Path<UserId>,
    State(shared): State<Arc<Shared>>,
) -> Result<Tagged> {
    Ok(tagged(shared.plane.user(&id).await?))
}

/// Change a user
///
/// What they may do changes with their next call. With `If-Match`, only if their `ETag` is still that one.
#[utoipa::path(patch, operation_id = "changeUser", path = "/users/{user}", tag = "access",
    params(("user" = UserId, Path), ("If-Match" = Option<String>, Header)), request_body = Change, security(("token" = ["admin"])),
    responses((status = 200, body = View), (status = "4XX", body = Problem, content_type = Problem::CONTENT_TYPE)))]
pub(super) async fn change(
    Admin(by): Admin,
    extract::Path(id): extract::Path<UserId>,
    only: IfMatch,
    State(shared): State<Arc<Shared>>,
    extract::Json(Change { name, scopes, channels, subject, disabled }): extract::Json<Change>,
) -> Result<Tagged> {
    if let Some(name) = &name {
        check("name", name, MAX_NAME)?;
    }
    check_subject(subject.as_ref().and_then(Option::as_deref))?;
    let scopes = scopes.map(|scopes| grant::check(scopes, Vec::new())).transpose()?.map(|grant| grant.scopes);
    // The scope stands for those that the user has.
    let channels = channels.map(|channels| grant::check(vec![Scope::ReadOnly], channels)).transpose()?;
    let channels = channels.map(|grant| grant.channels);
    let change = UserChange { name, scopes, channels, subject, disabled };
    Ok(tagged(shared.plane.change_user(&by, &id, &only, change).await?))
}

/// Delete a user
///
/// Their sessions end. With `If-Match`, only if their `ETag` is still that one.
#[utoipa::path(delete, operation_id = "deleteUser", path = "/users/{user}", tag = "access",
    params(("user" = UserId, Path), ("If-Match" = Option<String>, Header)), security(("token" = ["admin"])),
    responses((status = 204), (status = "4XX", body = Problem, content_type = Problem::CONTENT_TYPE)))]
pub(super) async fn delete(
    Admin(by): Admin,
    extract::Path(id): extract::Path<UserId>,
    only: IfMatch,
    State(shared): State<Arc<Shared>>,
) -> Result<StatusCode> {
    shared.plane.delete_user(&by, &id, &only).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Set a user's password
///
/// An admin sets anybody's; users set their own, and have to send the old one. All their sessions end.
#[utoipa::path(put, operation_id = "setPassword", path = "/users/{user}/password", tag = "access", params(("user" = UserId, Path)),
    request_body = Password, security(("token" = ["admin"]), ("session" = [])),
    responses((status = 204),
        (status = 429, body = Problem, content_type = Problem::CONTENT_TYPE, description = "Too many wrong old passwords"),
        (status = "4XX", body = Problem, content_type = Problem::CONTENT_TYPE)))]
pub(super) async fn set_password(
    Themselves { actor: by, own }: Themselves,
    extract::Path(id): extract::Path<UserId>,
    State(shared): State<Arc<Shared>>,
    extract::Json(Password { password, old }): extract::Json<Password>,
) -> Result<StatusCode> {
    let proof = match own {
        true => {
            let old = old.unwrap_or_default();
            let proven = shared.sign_ins.prove(&shared.plane, &id, old, by.address).await;
            match proven {
                Err(Error::WrongPassword) => {
                    shared.plane.not_signed_in(&by, &Error::WrongOldPassword).await;
                    return Err(Error::WrongOldPassword);
                }
                proven => Some(proven?),
            }
        }
        false => None,
    };
    let hash = shared.sign_ins.hash(&id, password).await?;
    shared.plane.set_password(&by, &id, &hash, proof.as_deref()).await?;
    Ok(StatusCode::NO_CONTENT)
}

type Tagged = ([(HeaderName, String); 1], Json<View>);

/// With its tag, for `If-Match` of a later change.
fn tagged(user: StoredUser) -> Tagged {
    ([(ETAG, user.etag())], Json(user.into()))
}

/// Null is something other than nothing.
fn given<'de, D: Deserializer<'de>>(from: D) -> std::result::Result<Option<Option<String>>, D::Error> {
    Option::<String>::deserialize(from).map(Some)
}

fn check(field: &'static str, text: &str, max: usize) -> Result<()> {
    extract::check_text(text, max).map_err(|problem| Error::Invalid { field, problem })
}

fn check_subject(subject: Option<&str>) -> Result<()> {
    let Some(subject) = subject else { return Ok(()) };
    if subject.is_empty() {
        return Err(Error::Invalid {
            field: "subject",
            problem: "it is empty: use null for none".to_owned(),
        });
    }
    check("subject", subject, MAX_SUBJECT)
}

const MAX_NAME: usize = 200;
/// OpenID Connect Core 1.0 section 2.
const MAX_SUBJECT: usize = 255;
