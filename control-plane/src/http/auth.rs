//! Who calls, as arguments that a handler cannot forget: [`Admin`], [`Node`], [`MaybeAdmin`].

use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::header::AUTHORIZATION;
use http::request::Parts;

use super::Shared;
use crate::error::Error;
use crate::tokens::Scope;

/// The caller has the admin token.
#[derive(Debug)]
pub(super) struct Admin;

/// The caller has a node's token, or the admin token.
#[derive(Debug)]
pub(super) struct Node;

/// True when the caller has the admin token; nobody is turned away.
#[derive(Debug)]
pub(super) struct MaybeAdmin(pub(super) bool);

impl FromRequestParts<Arc<Shared>> for Admin {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, shared: &Arc<Shared>) -> Result<Self, Error> {
        match scope(parts, shared)? {
            Scope::Admin => Ok(Self),
            Scope::Node => Err(Error::NotAdmin),
        }
    }
}

impl FromRequestParts<Arc<Shared>> for Node {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, shared: &Arc<Shared>) -> Result<Self, Error> {
        scope(parts, shared).map(|_| Self)
    }
}

impl FromRequestParts<Arc<Shared>> for MaybeAdmin {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, shared: &Arc<Shared>) -> Result<Self, Error> {
        Ok(Self(matches!(scope(parts, shared), Ok(Scope::Admin))))
    }
}

fn scope(parts: &Parts, shared: &Shared) -> Result<Scope, Error> {
    let value = parts.headers.get(AUTHORIZATION).ok_or(Error::NoToken)?;
    let (scheme, token) = value.to_str().ok().and_then(|text| text.split_once(' ')).ok_or(Error::NoToken)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(Error::NoToken);
    }
    shared.tokens.scope(token.trim()).ok_or(Error::WrongToken)
}
