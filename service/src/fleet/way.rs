//! The handshake with one node, and what comes of it when it fails.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::Fleet;
use crate::http::BoxError;
use crate::log::Chain;
use crate::tls::ClientCertificate;

/// How to connect to one node.
pub(crate) struct Way {
    name: ServerName<'static>,
    tls: TlsConnector,
    fleet: Fleet,
    /// It did not show its certificate, and was asked as any server is.
    is_by_url: AtomicBool,
}

/// What a handshake by name has come to.
pub(crate) enum Shaken {
    Hands(Box<TlsStream<TcpStream>>),
    /// It may be asked without a certificate. If that comes to nothing either, this is what went wrong.
    Not(BoxError),
}

/// Whoever has stolen its key must not be taken for it.
#[derive(Debug, thiserror::Error)]
#[error("the certificate of {name} was taken away")]
struct TakenAway {
    name: String,
}

impl Way {
    pub(super) fn new(name: ServerName<'static>, tls: TlsConnector, fleet: Fleet) -> Self {
        Self { name, tls, fleet, is_by_url: AtomicBool::new(false) }
    }

    /// Whether the next connection is one by name.
    pub(crate) fn is_by_name(&self) -> bool {
        !self.is_by_url.load(Ordering::Relaxed)
    }

    /// A handshake as with any server has come about where one by name did not.
    pub(crate) fn goes_by_url(&self) {
        self.is_by_url.store(true, Ordering::Relaxed);
    }

    /// Shakes hands by name, within `patience`.
    pub(crate) async fn shake(&self, stream: TcpStream, patience: Duration) -> Result<Shaken, BoxError> {
        // Something before the node may drop what it does not know, and time has to be left for the other way.
        let patience = if self.fleet.is_strict() { patience } else { patience / 2 };
        let shaking = self.tls.connect(self.name.clone(), stream);
        let error: BoxError = match tokio::time::timeout(patience, shaking).await {
            Ok(Ok(stream)) => return Ok(Shaken::Hands(Box::new(self.not_revoked(stream)?))),
            Ok(Err(error)) => error.into(),
            Err(elapsed) => elapsed.into(),
        };
        if self.fleet.is_strict() {
            return Err(error);
        }
        let name = self.name.to_str();
        tracing::debug!(%name, "a node does not show its certificate: {}", Chain(&*error));
        Ok(Shaken::Not(error))
    }

    fn not_revoked(&self, stream: TlsStream<TcpStream>) -> Result<TlsStream<TcpStream>, BoxError> {
        let shown = stream.get_ref().1.peer_certificates().and_then(ClientCertificate::of);
        if shown.is_some_and(|shown| self.fleet.is_revoked(&shown.serial)) {
            return Err(TakenAway { name: self.name.to_str().into_owned() }.into());
        }
        Ok(stream)
    }
}

impl std::fmt::Debug for Way {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Way").field("name", &self.name).finish_non_exhaustive()
    }
}
