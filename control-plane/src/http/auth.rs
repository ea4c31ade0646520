//! Who calls, as arguments that a handler cannot forget: [`Admin`] to [`Reader`] for people and their programs, [`Node`].
//!
//! Where the path has a `{channel}`, a token that is limited to channels has to have it; elsewhere such a token is refused,
//! but by [`Limited`] and [`LimitedPublisher`], whose handler has to look itself.

use std::sync::Arc;

use axum::RequestPartsExt;
use axum::extract::{FromRequestParts, RawPathParams};
use http::header::AUTHORIZATION;
use http::request::Parts;
use nearcast_service::http::Peer;

use super::{Shared, client};
use crate::access::{Actor, Grant, Scope};
use crate::error::Error;
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
    grant: Grant,
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
        let token = presented(parts)?;
        let address = parts
            .extensions
            .get::<Peer>()
            .map(|peer| client::address(peer.address.ip(), &parts.headers, &shared.trusted_proxies));
        let call = format!("{} {}", parts.method, parts.uri.path().trim_start_matches('/'));
        let (name, grant) = match (shared.tokens.holder(token), shared.plane.token(token)) {
            (Some(Holder::Admin), _) => ("admin-token".to_owned(), Ok(Grant::all())),
            (Some(Holder::Node), _) => ("node-token".to_owned(), Err(Error::NotANodes)),
            (None, Some((token, true))) => (format!("token:{}", token.id), Ok(token.grant.clone())),
            (None, Some((token, false))) => (format!("token:{}", token.id), Err(Error::WrongToken)),
            // Nobody's: counted with the answers, and of no use in a log that is kept.
            (None, None) => return Err(Error::WrongToken),
        };
        let actor = Actor { name, address };
        match grant {
            Ok(grant) => Ok(Self(Caller { actor, grant, call })),
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

impl FromRequestParts<Arc<Shared>> for Node {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, shared: &Arc<Shared>) -> Result<Self, Error> {
        match shared.tokens.holder(presented(parts)?) {
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

fn presented(parts: &Parts) -> Result<&str, Error> {
    let value = parts.headers.get(AUTHORIZATION).ok_or(Error::NoToken)?;
    let (scheme, token) = value.to_str().ok().and_then(|text| text.split_once(' ')).ok_or(Error::NoToken)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(Error::NoToken);
    }
    Ok(token.trim())
}
