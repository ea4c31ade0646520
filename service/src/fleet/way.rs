//! The handshake with one node, and what to think of it when it fails.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustls::{AlertDescription, Error as TlsError};
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
    /// It did not show its certificate, so that it is asked as any server is.
    is_unproven: AtomicBool,
}

/// Whoever has stolen its key must not be taken for it.
#[derive(Debug, thiserror::Error)]
#[error("the certificate of {name} was taken away")]
struct Revoked {
    name: String,
}

impl Way {
    pub(super) fn new(name: ServerName<'static>, tls: TlsConnector, fleet: Fleet) -> Self {
        Self { name, tls, fleet, is_unproven: AtomicBool::new(false) }
    }

    /// Whether the node has to show its certificate on the next connection.
    pub(crate) fn is_proven(&self) -> bool {
        !self.is_unproven.load(Ordering::Relaxed)
    }

    /// Shakes hands for `patience` at most. `None` where the node cannot show its certificate, and may be asked without.
    pub(crate) async fn shake(
        &self,
        stream: TcpStream,
        patience: Duration,
    ) -> Result<Option<TlsStream<TcpStream>>, BoxError> {
        let shaking = self.tls.connect(self.name.clone(), stream);
        let error: BoxError = match tokio::time::timeout(patience, shaking).await {
            Ok(Ok(stream)) => return self.not_revoked(stream).map(Some),
            Ok(Err(error)) if !is_about_names(&error) => return Err(error.into()),
            Ok(Err(error)) => error.into(),
            // Something before it that drops what it does not know.
            Err(elapsed) => elapsed.into(),
        };
        if self.fleet.is_strict() {
            return Err(error);
        }
        self.is_unproven.store(true, Ordering::Relaxed);
        let name = self.name.to_str();
        tracing::debug!(%name, "a node does not show its certificate: {}", Chain(&*error));
        Ok(None)
    }

    fn not_revoked(&self, stream: TlsStream<TcpStream>) -> Result<TlsStream<TcpStream>, BoxError> {
        let shown = stream.get_ref().1.peer_certificates().and_then(ClientCertificate::of);
        if shown.is_some_and(|shown| self.fleet.is_revoked(&shown.serial)) {
            return Err(Revoked { name: self.name.to_str().into_owned() }.into());
        }
        Ok(stream)
    }
}

/// Whether one side does not have the certificate that the other wants; all else may be otherwise the next time.
fn is_about_names(error: &io::Error) -> bool {
    let error = error.get_ref().and_then(|error| error.downcast_ref::<TlsError>());
    matches!(
        error,
        Some(
            TlsError::InvalidCertificate(_)
                | TlsError::NoCertificatesPresented
                | TlsError::AlertReceived(
                    AlertDescription::UnrecognisedName
                        | AlertDescription::HandshakeFailure
                        | AlertDescription::AccessDenied
                )
        )
    )
}

impl std::fmt::Debug for Way {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Way").field("name", &self.name).finish_non_exhaustive()
    }
}
