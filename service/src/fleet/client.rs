//! Asking other nodes: each under the name in its certificate, with this node's own.

use std::sync::Arc;

use arc_swap::ArcSwap;
use http::Uri;
use hyper::body::Incoming;
use rustls::RootCertStore;
use rustls::sign::SingleCertAndKey;
use rustls_pki_types::ServerName;
use tokio_rustls::TlsConnector;

use super::Fleet;
use crate::client::{Config, Http, RequestError, client_config};
use crate::http::Body;
use crate::log::Chain;
use crate::metrics::Counter;
use crate::tls::Identity;
use crate::{Error, Result};

/// The client for what other nodes have. Clones share the pool.
///
/// A node that has no certificate, or no way to show it, is asked as any server is, by a name or address in a URL; where
/// the fleet is strict, it is not asked at all.
#[derive(Debug, Clone)]
pub struct FleetHttp(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    fleet: Fleet,
    config: Config,
    opened: Counter,
    current: ArcSwap<Current>,
}

/// Connections with one certificate.
#[derive(Debug)]
struct Current {
    identity: Option<Identity>,
    http: Http,
}

/// How a connection finds out whether it leads to another node.
pub(crate) struct Fellows {
    fleet: Fleet,
    /// How this node shows itself, and the domain of the others' names.
    proof: Option<(TlsConnector, Arc<str>)>,
}

/// How to connect to a URI.
pub(crate) enum Way {
    /// As to any server.
    Ordinary,
    /// To a node, by its name. If it cannot show its certificate, `or_ordinary`.
    Node { name: ServerName<'static>, tls: TlsConnector, or_ordinary: bool },
}

/// Nothing is asked of whoever may be nobody's node.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unproven {
    #[error("this node has no certificate to show, and `control.mutual_tls` is on: enrol it")]
    Own,
    #[error(
        "{0} is not the https URL of a node that the control plane knows, and `control.mutual_tls` is on"
    )]
    Other(String),
}

impl FleetHttp {
    /// Reads the authorities that are trusted beside the fleet's own; connects to nothing yet. `opened` counts TCP
    /// connections.
    ///
    /// # Errors
    /// `ca` is set and unusable.
    pub fn new(fleet: Fleet, config: &Config, opened: Counter) -> Result<Self> {
        let current = Current::new(&fleet, config, &opened)?;
        let current = ArcSwap::from_pointee(current);
        Ok(Self(Arc::new(Inner { fleet, config: config.clone(), opened, current })))
    }

    /// See [`Http::request`].
    pub async fn request(
        &self,
        request: http::Request<Body>,
    ) -> Result<http::Response<Incoming>, RequestError> {
        self.newest().http.request(request).await
    }

    /// With this node's newest certificate. What is on its way goes on over connections with the one before.
    fn newest(&self) -> Arc<Current> {
        let Inner { fleet, config, opened, current } = &*self.0;
        let now = current.load_full();
        let is_newest = match (&*fleet.identity.borrow(), &now.identity) {
            (Some(newest), Some(used)) => newest.is(used),
            (newest, used) => newest.is_none() && used.is_none(),
        };
        if is_newest {
            return now;
        }
        match Current::new(fleet, config, opened) {
            Ok(newer) => {
                let newer = Arc::new(newer);
                current.store(Arc::clone(&newer));
                newer
            }
            Err(error) => {
                tracing::warn!("this node's new certificate cannot be shown to others: {}", Chain(&error));
                now
            }
        }
    }
}

impl Current {
    fn new(fleet: &Fleet, config: &Config, opened: &Counter) -> Result<Self> {
        let identity = fleet.identity.borrow().clone();
        let proof = identity.as_ref().map(|identity| proof(identity, config)).transpose()?;
        let fellows = Fellows { fleet: fleet.clone(), proof };
        Ok(Self { identity, http: Http::among(config, opened.clone(), fellows)? })
    }
}

fn proof(identity: &Identity, config: &Config) -> Result<(TlsConnector, Arc<str>)> {
    let mut roots = RootCertStore::empty();
    for authority in identity.authorities() {
        roots.add(authority.clone()).map_err(Error::Tls)?;
    }
    let mut tls = client_config(roots)?;
    tls.alpn_protocols.retain(|protocol| config.http2 || protocol != b"h2");
    tls.client_auth_cert_resolver = Arc::new(SingleCertAndKey::from(identity.certified.clone()));
    Ok((Arc::new(tls).into(), identity.domain().into()))
}

impl Fellows {
    /// How to connect to `uri`.
    pub(crate) fn way(&self, uri: &Uri) -> Result<Way, Unproven> {
        let Self { fleet, proof } = self;
        let node = fleet.node_at(uri);
        match (proof, node) {
            (Some((tls, domain)), Some(node)) => {
                let name = ServerName::try_from(format!("{node}.{domain}"));
                let name = name.map_err(|_| Unproven::Other(uri.to_string()))?;
                Ok(Way::Node { name, tls: tls.clone(), or_ordinary: !fleet.is_strict })
            }
            _ if !fleet.is_strict => Ok(Way::Ordinary),
            (None, _) => Err(Unproven::Own),
            (Some(_), None) => Err(Unproven::Other(uri.to_string())),
        }
    }
}

impl std::fmt::Debug for Fellows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fellows").field("fleet", &self.fleet).finish_non_exhaustive()
    }
}
