//! What a handshake for this node's own name is answered with: its certificate, and a question for the other's.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use rustls::ServerConfig;
use rustls::server::WebPkiClientVerifier;
use rustls::sign::SingleCertAndKey;

use super::Fleet;
use crate::log::Chain;
use crate::tls::{Identity, provider};
use crate::{Error, Result};

/// TLS with other nodes.
#[derive(Debug)]
pub(crate) struct NodeTls {
    fleet: Fleet,
    made: Mutex<Option<Made>>,
}

#[derive(Debug)]
struct Made {
    with: Identity,
    /// None where it cannot be used.
    config: Option<Arc<ServerConfig>>,
}

impl NodeTls {
    pub(crate) fn new(fleet: Fleet) -> Self {
        Self { fleet, made: Mutex::default() }
    }

    /// How to go on with a client that asks for `name`, if that is this node's in its certificate. One that has no
    /// certificate itself, or one of another authority, does not get in.
    pub(crate) fn config(&self, name: &str) -> Option<Arc<ServerConfig>> {
        let identity = self.fleet.identity.borrow().clone()?;
        if !name.eq_ignore_ascii_case(identity.name()) || !identity.period().contains(&SystemTime::now()) {
            return None;
        }
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(made) = made.as_ref().filter(|made| made.with.is(&identity)) {
            return made.config.clone();
        }
        let config = server_config(&identity).inspect_err(|error| {
            tracing::warn!("other nodes cannot be shown this one's certificate: {}", Chain(error))
        });
        let config = config.ok().map(Arc::new);
        *made = Some(Made { with: identity, config: config.clone() });
        config
    }
}

fn server_config(identity: &Identity) -> Result<ServerConfig> {
    let roots = Arc::new(identity.roots().map_err(Error::Tls)?);
    let nodes = WebPkiClientVerifier::builder_with_provider(roots, provider())
        .build()
        .map_err(|error| Error::Tls(rustls::Error::General(error.to_string())))?;
    let builder = ServerConfig::builder_with_provider(provider());
    let builder = builder.with_safe_default_protocol_versions().map_err(Error::Tls)?;
    let own = Arc::new(SingleCertAndKey::from(identity.certified.clone()));
    let mut config = builder.with_client_cert_verifier(nodes).with_cert_resolver(own);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config.ignore_client_order = true;
    Ok(config)
}
