//! Asking other nodes: each by the name in its certificate, with this node's own.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use http::uri::Scheme;
use hyper::body::Incoming;
use nearcast_api::NodeId;
use nearcast_api::snapshot::{RevokedNode, Snapshot};
use rustls::sign::SingleCertAndKey;
use rustls_pki_types::ServerName;
use tokio_rustls::TlsConnector;

use super::Fleet;
use super::way::Way;
use crate::client::{Common, Config, Http, RequestError, client_config};
use crate::http::Body;
use crate::log::Chain;
use crate::metrics::Counter;
use crate::tls::Identity;
use crate::{Error, Result};

/// The client for what other nodes have. Clones share the pools.
///
/// A node that has no certificate, or no way to show it, is asked as any server is, by the name or address in its URL; where
/// the fleet is strict, it is not asked at all.
#[derive(Debug, Clone)]
pub struct FleetHttp(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    fleet: Fleet,
    /// HTTP/2 is offered.
    http2: bool,
    common: Common,
    ordinary: Http,
    nodes: Mutex<Nodes>,
}

/// The clients for nodes, all with the same certificate.
#[derive(Debug, Default)]
struct Nodes {
    identity: Option<Identity>,
    /// The one that was looked at last.
    snapshot: Arc<Snapshot>,
    proof: Option<Proof>,
    known: HashMap<NodeId, Known>,
    /// What was said not to be asked.
    refused: HashSet<String>,
}

#[derive(Debug, Clone)]
struct Known {
    http: Http,
    way: Arc<Way>,
    /// When it was last tried by its name.
    tried: Instant,
}

/// How this node shows itself, and the domain of the others' names.
#[derive(Clone)]
struct Proof {
    tls: TlsConnector,
    domain: Arc<str>,
}

/// Why a node gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    #[error("this node has no certificate to show, and `control.mutual_tls` is on: enrol it")]
    NoIdentity,
    #[error(
        "nobody proves who is at {url}, and `control.mutual_tls` is on: ask enrolled nodes, at https:// URLs"
    )]
    NoProof { url: String },
    #[error(transparent)]
    Request(#[from] RequestError),
}

impl FleetError {
    /// Whether the request was never sent.
    pub fn is_connect(&self) -> bool {
        match self {
            Self::NoIdentity | Self::NoProof { .. } => true,
            Self::Request(error) => error.is_connect(),
        }
    }
}

impl FleetHttp {
    /// Reads the authorities that are trusted beside the fleet's own; connects to nothing yet. `opened` counts TCP
    /// connections.
    ///
    /// # Errors
    /// `ca` is set and unusable.
    pub fn new(fleet: Fleet, config: &Config, opened: Counter) -> Result<Self> {
        let common = Common::read(config, opened)?;
        let ordinary = common.http(None);
        Ok(Self(Arc::new(Inner { fleet, http2: config.http2, common, ordinary, nodes: Mutex::default() })))
    }

    /// As [`Http::request`], to a URL of `node`; none where nobody knows whose it is.
    pub async fn request(
        &self,
        node: Option<&NodeId>,
        request: http::Request<Body>,
    ) -> Result<http::Response<Incoming>, FleetError> {
        let Inner { fleet, ordinary, .. } = &*self.0;
        let is_secure = request.uri().scheme() == Some(&Scheme::HTTPS);
        if let Some(node) = node.filter(|_| is_secure)
            && let Some((known, before)) = self.to(node)
        {
            let answer = known.http.request(request).await?;
            if let Some(before) = before.filter(|_| known.way.is_by_name())
                // It may have been sent away meanwhile, or this node has another certificate.
                && let Some(place) = self.nodes().known.get_mut(node)
                && Arc::ptr_eq(&place.way, &before)
            {
                *place = known;
            }
            return Ok(answer);
        }
        if !fleet.is_strict() {
            return Ok(ordinary.request(request).await?);
        }
        if self.nodes().proof.is_none() {
            return Err(FleetError::NoIdentity);
        }
        let (scheme, place) = (request.uri().scheme_str(), request.uri().authority());
        let url = format!("{}://{}", scheme.unwrap_or(""), place.map_or("", |place| place.as_str()));
        let mut nodes = self.nodes();
        if nodes.refused.len() < MAX_KNOWN && nodes.refused.insert(url.clone()) {
            let node = node.map_or("", NodeId::as_str);
            tracing::warn!(
                node,
                url,
                "not asked, for nobody proves who is there and `control.mutual_tls` is on: give the node https:// URLs in its `node.urls`"
            );
        }
        Err(FleetError::NoProof { url })
    }

    /// The client for a node; `None` where it cannot be asked by its name. With the way before where the name is tried again:
    /// one without a certificate may have got it meanwhile, and one request finds out, while the others go on.
    fn to(&self, node: &NodeId) -> Option<(Known, Option<Arc<Way>>)> {
        let Inner { fleet, common, .. } = &*self.0;
        let mut nodes = self.nodes();
        let mut before = None;
        if let Some(known) = nodes.known.get_mut(node) {
            if known.way.is_by_name() || known.tried.elapsed() < UNPROVEN {
                return Some((known.clone(), None));
            }
            known.tried = Instant::now();
            before = Some(Arc::clone(&known.way));
        }
        let Proof { tls, domain } = nodes.proof.clone()?;
        // A label that ends with a hyphen is none.
        let name = ServerName::try_from(format!("{node}.{domain}")).ok()?;
        let way = Arc::new(Way::new(name, tls, fleet.clone()));
        let known = Known { http: common.http(Some(Arc::clone(&way))), way, tried: Instant::now() };
        if before.is_none() {
            if nodes.known.len() >= MAX_KNOWN {
                nodes.known.clear();
            }
            nodes.known.insert(node.clone(), known.clone());
        }
        Some((known, before))
    }

    /// What there is with this node's newest certificate, and without connections to nodes whose own was taken away. What is
    /// on its way goes on over connections from before.
    fn nodes(&self) -> MutexGuard<'_, Nodes> {
        let Inner { fleet, http2, nodes, .. } = &*self.0;
        let mut nodes = nodes.lock().unwrap_or_else(PoisonError::into_inner);
        let snapshot = fleet.snapshot.borrow().clone();
        if !Arc::ptr_eq(&snapshot, &nodes.snapshot) {
            let before = std::mem::replace(&mut nodes.snapshot, Arc::clone(&snapshot));
            for (serial, RevokedNode { node, .. }) in &snapshot.revoked_nodes {
                if !before.revoked_nodes.contains_key(serial) {
                    nodes.known.remove(node);
                }
            }
        }
        let now = SystemTime::now();
        let newest = fleet.identity.borrow().clone().filter(|newest| newest.period().contains(&now));
        let is_newest = match (&newest, &nodes.identity) {
            (Some(newest), Some(used)) => newest.is(used),
            (newest, used) => newest.is_none() && used.is_none(),
        };
        if !is_newest {
            let proof = newest.as_ref().map(|newest| Proof::new(newest, *http2)).transpose();
            nodes.proof = proof.unwrap_or_else(|error| {
                tracing::warn!("this node's certificate cannot be shown to others: {}", Chain(&error));
                None
            });
            nodes.identity = newest;
            nodes.known.clear();
        }
        nodes
    }
}

#[cfg(test)]
impl FleetHttp {
    /// As after a minute.
    pub(super) fn may_try_names_again(&self) {
        for known in self.nodes().known.values_mut() {
            known.tried = known.tried.checked_sub(UNPROVEN).unwrap();
        }
    }
}

impl Proof {
    fn new(identity: &Identity, http2: bool) -> Result<Self> {
        let mut tls = client_config(identity.roots().map_err(Error::Tls)?)?;
        tls.alpn_protocols.retain(|protocol| http2 || protocol != b"h2");
        tls.client_auth_cert_resolver = Arc::new(SingleCertAndKey::from(identity.certified.clone()));
        Ok(Self { tls: Arc::new(tls).into(), domain: identity.domain().into() })
    }
}

impl std::fmt::Debug for Proof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Proof").field("domain", &self.domain).finish_non_exhaustive()
    }
}

/// For so long a node that has not shown a certificate is not tried by its name again.
const UNPROVEN: Duration = Duration::from_secs(60);
/// Far more than a fleet has origins and shields.
const MAX_KNOWN: usize = 1024;
