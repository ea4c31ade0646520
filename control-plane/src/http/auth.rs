//! Who calls, as arguments that a handler cannot forget: [`Admin`] to [`Reader`] for people and their programs, [`Node`].
//!
//! Where the path has a `{channel}`, a token that is limited to channels has to have it; elsewhere such a token is refused,
//! but by [`Limited`] and [`LimitedPublisher`], whose handler has to look itself. A user's session is as good as a token, with
//! what the user may do now.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;

use axum::RequestPartsExt;
use axum::extract::{FromRequestParts, RawPathParams};
use http::HeaderMap;
use http::header::AUTHORIZATION;
use http::request::Parts;
use nearcast_api::NodeId;
use nearcast_service::http::Peer;
use nearcast_service::tls::ClientCertificate;

use super::{Shared, client, cookie};
use crate::access::{Actor, Grant, Scope};
use crate::error::Error;
use crate::plane::SignedIn;
use crate::store::StoredCertificate;
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

/// A node, or somebody who may do everything. Where the path has a `{node}`, a node's certificate has to be that one's.
#[derive(Debug)]
pub(super) enum Node {
    /// It has shown a certificate that counts.
    Certified(Arc<StoredCertificate>, Actor),
    /// It has the token that all nodes share.
    Shared,
    Admin(Actor),
}

/// A node with a certificate, or who may do everything: not one with the token that all share.
#[derive(Debug)]
pub(super) struct Enrolled(pub(super) Actor, pub(super) Option<Arc<StoredCertificate>>);

/// Where a call that is open to everybody comes from.
#[derive(Debug)]
pub(super) struct Address(pub(super) Option<IpAddr>);

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
        let (address, call) = (address(parts, shared), call(parts));
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

impl FromRequestParts<Arc<Shared>> for Address {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, shared: &Arc<Shared>) -> Result<Self, Infallible> {
        Ok(Self(address(parts, shared)))
    }
}

impl Node {
    /// Refuses a node that was sent away since it called.
    pub(super) fn check(&self, shared: &Shared) -> Result<(), Error> {
        match self {
            Self::Certified(certificate, _) => match shared.plane.certificate(&certificate.serial) {
                Err(why @ Error::RevokedNode(_)) => Err(why),
                // One that has ended since then was good for this call.
                _ => Ok(()),
            },
            Self::Shared | Self::Admin(_) => Ok(()),
        }
    }
}

impl FromRequestParts<Arc<Shared>> for Node {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, shared: &Arc<Shared>) -> Result<Self, Error> {
        let params = parts.extract::<RawPathParams>().await.ok();
        let named = params.as_ref().and_then(|params| params.iter().find(|(name, _)| *name == "node"));
        let named = named.and_then(|(_, node)| node.parse::<NodeId>().ok());
        if let Some(ClientCertificate { serial, .. }) = parts.extensions.get() {
            match shared.plane.certificate(serial) {
                Ok(certificate) => return certified(parts, shared, certificate, named).await,
                // As one without: it may have a token.
                Err(Error::UnknownCertificate) if parts.headers.contains_key(AUTHORIZATION) => {}
                Err(why) => return Err(refuse(parts, shared, why).await),
            }
        }
        match shared.tokens.holder(presented(&parts.headers)?) {
            Some(Holder::Node) if !shared.tokens.node_counts => Err(Error::NodeTokensOff),
            Some(Holder::Node) => {
                // A node that was sent away has nothing else to show that it is another.
                match named.as_ref().map_or(Ok(()), |node| shared.plane.check_not_revoked(node)) {
                    Ok(()) => Ok(Self::Shared),
                    Err(why) => Err(refuse(parts, shared, why).await),
                }
            }
            _ => Admin::from_request_parts(parts, shared).await.map(|Admin(actor)| Self::Admin(actor)),
        }
    }
}

impl FromRequestParts<Arc<Shared>> for Enrolled {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, shared: &Arc<Shared>) -> Result<Self, Error> {
        match Node::from_request_parts(parts, shared).await? {
            Node::Certified(certificate, actor) => Ok(Self(actor, Some(certificate))),
            Node::Admin(actor) => Ok(Self(actor, None)),
            Node::Shared => Err(Error::NotANodes),
        }
    }
}

async fn certified(
    parts: &Parts,
    shared: &Shared,
    certificate: Arc<StoredCertificate>,
    named: Option<NodeId>,
) -> Result<Node, Error> {
    let actor = Actor { name: format!("node:{}", certificate.node), address: address(parts, shared) };
    if named.is_some_and(|named| named != certificate.node) {
        let why = Error::OtherNodesPath { own: certificate.node.clone() };
        shared.plane.refused(&actor, &call(parts), &why).await;
        return Err(why);
    }
    Ok(Node::Certified(certificate, actor))
}

/// Notes that a node was refused.
async fn refuse(parts: &Parts, shared: &Shared, why: Error) -> Error {
    if let Error::RevokedNode(node) = &why {
        let actor = Actor { name: format!("node:{node}"), address: address(parts, shared) };
        shared.plane.refused(&actor, &call(parts), &why).await;
    }
    why
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

/// What is asked for, as the audit log calls it.
fn call(parts: &Parts) -> String {
    format!("{} {}", parts.method, parts.uri.path().trim_start_matches('/'))
}

/// The token in the header, else the session in the cookie.
pub(super) fn presented(headers: &HeaderMap) -> Result<&str, Error> {
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
