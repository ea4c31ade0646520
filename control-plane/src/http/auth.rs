//! Who calls, as arguments that a handler cannot forget: [`Admin`] to [`Reader`] for people and their programs, [`Node`].
//!
//! Where the path has a `{channel}`, a token that is limited to channels has to have it; elsewhere such a token is refused,
//! but by [`Limited`] and [`LimitedPublisher`], whose handler has to look itself. A user's session is as good as a token, with
//! what the user may do now.

use std::net::IpAddr;
use std::sync::Arc;

use axum::RequestPartsExt;
use axum::extract::{FromRequestParts, RawPathParams};
use http::HeaderMap;
use http::header::AUTHORIZATION;
use http::request::Parts;
use nearcast_service::http::Peer;

use super::{Shared, client, cookie};
use crate::access::{Actor, Grant, Scope};
use crate::error::Error;
use crate::plane::SignedIn;
use crate::tokens::Holder;

macro_rules! callers {
    ($($(#[$doc:meta])* $name:ident: $scope:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        pub(super) struct $name(pub(super) Actor);

        impl FromRequestParts<Arc<Shared>> for $name {
            type Rejection = Error;

            async fn from_request_parts(parts: &mut Parts, shared: &Arc<Shared>) -> Result<Self, Error> {
                admit(parts, shared, $scope).await.map(Self)
            }
        }
    )*};
}

callers! {
    /// May do everything.
    Admin: Scope::Admin;
    /// May look after the network.
    Operator: Scope::Operator;
    /// May look after channels, or those it is limited to.
    Publisher: Scope::Publisher;
}

/// May look at everything, or what belongs to its channels.
#[derive(Debug)]
pub(super) struct Reader;

/// The caller has a node's token, or may do everything.
#[derive(Debug)]
pub(super) struct Node;

/// The user that the path names, or somebody who may do everything.
#[derive(Debug)]
pub(super) struct Themselves {
    pub(super) actor: Actor,
    /// It is the user, by a session.
    pub(super) own: bool,
}

/// Somebody with a token, whose rights the handler has to look at: [`Caller::insist`].
#[derive(Debug)]
pub(super) struct Limited(pub(super) Caller);

/// May look after channels; which ones, the handler has to look at: [`Caller::check`].
#[derive(Debug)]
pub(super) struct LimitedPublisher(pub(super) Caller);

/// Somebody with a token.
#[derive(Debug)]
pub(super) struct Caller {
    pub(super) actor: Actor,
    pub(super) grant: Grant,
    /// Where it is a user's session.
    pub(super) signed_in: Option<SignedIn>,
    /// What is asked for, as the audit log calls it.
    call: String,
}

impl Caller {
    /// As [`Caller::check`]; a refusal is noted.
    pub(super) async fn insist(
        &self,
        shared: &Shared,
        scope: Scope,
        channel: Option<&str>,
    ) -> Result<(), Error> {
        self.noted(shared, self.check(scope, channel)).await
    }

    /// What was decided about this caller; a refusal is noted.
    pub(super) async fn noted(&self, shared: &Shared, checked: Result<(), Error>) -> Result<(), Error> {
        if let Err(why) = &checked {
            shared.plane.refused(&self.actor, &self.call, why).await;
        }
        checked
    }

    fn check_scope(&self, scope: Scope) -> Result<(), Error> {
        if self.grant.has(scope) { Ok(()) } else { Err(Error::WrongScope { needs: scope }) }
    }

    /// Refuses who has not the scope, or not for this channel; `None` for what belongs to no channel.
    pub(super) fn check(&self, scope: Scope, channel: Option<&str>) -> Result<(), Error> {
        self.check_scope(scope)?;
        if !self.grant.opens(channel) {
            return Err(Error::OtherChannel { channels: self.grant.channels.clone() });
        }
        Ok(())
    }
}

impl FromRequestParts<Arc<Shared>> for Reader {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, shared: &Arc<Shared>) -> Result<Self, Error> {
        admit(parts, shared, Scope::ReadOnly).await.map(|_| Self)
    }
}

impl FromRequestParts<Arc<Shared>> for Limited {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, shared: &Arc<Shared>) -> Result<Self, Error> {
        let token = presented(&parts.headers)?;
        let address = address(parts, shared);
        let call = format!("{} {}", parts.method, parts.uri.path().trim_start_matches('/'));
        let mut signed_in = None;
        let (name, grant) = match (shared.tokens.holder(token), shared.plane.token(token)) {
            (Some(Holder::Admin), _) => (ADMIN.to_owned(), Ok(Grant::all())),
            (Some(Holder::Node), _) => ("node-token".to_owned(), Err(Error::NotANodes)),
            (None, Some((token, true))) => (format!("token:{}", token.id), Ok(token.grant.clone())),
            (None, Some((token, false))) => (format!("token:{}", token.id), Err(Error::WrongToken)),
            (None, None) => match shared.plane.signed_in(token) {
                Some(Ok(found)) => {
                    let user = Arc::clone(&found.user);
                    signed_in = Some(found);
                    (format!("user:{}", user.id), Ok(user.grant.clone()))
                }
                Some(Err(over)) => (format!("user:{}", over.user.id), Err(Error::SessionOver)),
                // Nobody's: counted with the answers, and of no use in a log that is kept.
                None => return Err(Error::WrongToken),
            },
        };
        let actor = Actor { name, address };
        let grant = if is_cookie(&parts.headers) { cookie::check_site(parts).and(grant) } else { grant };
        match grant {
            Ok(grant) => Ok(Self(Caller { actor, grant, signed_in, call })),
            Err(why) => {
                shared.plane.refused(&actor, &call, &why).await;
                Err(why)
            }
        }
    }
}

impl FromRequestParts<Arc<Shared>> for LimitedPublisher {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, shared: &Arc<Shared>) -> Result<Self, Error> {
        let Limited(caller) = Limited::from_request_parts(parts, shared).await?;
        caller.noted(shared, caller.check_scope(Scope::Publisher)).await?;
        Ok(Self(caller))
    }
}

impl FromRequestParts<Arc<Shared>> for Themselves {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, shared: &Arc<Shared>) -> Result<Self, Error> {
        let Limited(caller) = Limited::from_request_parts(parts, shared).await?;
        let params = parts.extract::<RawPathParams>().await.ok();
        let named = params.as_ref().and_then(|params| params.iter().find(|(name, _)| *name == "user"));
        let own =
            named.zip(caller.signed_in.as_ref()).is_some_and(|((_, user), own)| own.user.id.as_str() == user);
        if !own {
            caller.insist(shared, Scope::Admin, None).await?;
        }
        Ok(Self { actor: caller.actor, own })
    }
}

impl FromRequestParts<Arc<Shared>> for Node {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, shared: &Arc<Shared>) -> Result<Self, Error> {
        match shared.tokens.holder(presented(&parts.headers)?) {
            Some(Holder::Node) => Ok(Self),
            _ => Admin::from_request_parts(parts, shared).await.map(|_| Self),
        }
    }
}

/// Who calls, if they may: with the scope, and for the channel that the path names.
async fn admit(parts: &mut Parts, shared: &Arc<Shared>, scope: Scope) -> Result<Actor, Error> {
    let Limited(caller) = Limited::from_request_parts(parts, shared).await?;
    let params = parts.extract::<RawPathParams>().await.ok();
    let named = params.as_ref().and_then(|params| params.iter().find(|(name, _)| *name == "channel"));
    caller.insist(shared, scope, named.map(|(_, channel)| channel)).await?;
    Ok(caller.actor)
}

/// The name that [`Limited`] finds for a credential that counts; none for one that is none.
pub(super) fn known(shared: &Shared, headers: &HeaderMap) -> Option<String> {
    let token = presented(headers).ok()?;
    match (shared.tokens.holder(token), shared.plane.token(token)) {
        (Some(Holder::Admin), _) => Some(ADMIN.to_owned()),
        (Some(Holder::Node), _) => Some("node-token".to_owned()),
        (None, Some((token, true))) => Some(format!("token:{}", token.id)),
        (None, Some((_, false))) => None,
        (None, None) => Some(format!("user:{}", shared.plane.signed_in(token)?.ok()?.user.id)),
    }
}

/// Where a call comes from.
pub(super) fn address(parts: &Parts, shared: &Shared) -> Option<IpAddr> {
    let peer = parts.extensions.get::<Peer>()?;
    Some(client::address(peer.address.ip(), &parts.headers, &shared.trusted_proxies))
}

fn is_cookie(headers: &HeaderMap) -> bool {
    !headers.contains_key(AUTHORIZATION)
}

/// The token in the header, else the session in the cookie.
fn presented(headers: &HeaderMap) -> Result<&str, Error> {
    let Some(value) = headers.get(AUTHORIZATION) else {
        return cookie::get(headers, cookie::SESSION).ok_or(Error::NoToken);
    };
    let (scheme, token) = value.to_str().ok().and_then(|text| text.split_once(' ')).ok_or(Error::NoToken)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(Error::NoToken);
    }
    Ok(token.trim())
}

/// The actor with the token of `data_dir`.
pub(super) const ADMIN: &str = "admin-token";
