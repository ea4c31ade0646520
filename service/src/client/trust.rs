//! Whom a client believes beside the authorities that every client of this system believes.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, Error as TlsError, RootCertStore, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use crate::tls::{self, fingerprint};
use crate::{Error, Result};

/// More authorities.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    /// Their certificates.
    pub authorities: Vec<CertificateDer<'static>>,
    /// SHA-256 of the public key (RFC 7469 section 2.4) of one whose certificate is not here. A server shows it behind
    /// its own.
    pub pin: Option<[u8; 32]>,
}

/// Verifies servers by authorities that are known, else by the one that is pinned.
#[derive(Debug)]
pub(super) struct Verifier {
    /// None where no authority is known at all.
    known: Option<Arc<WebPkiServerVerifier>>,
    pin: Option<[u8; 32]>,
}

impl Verifier {
    pub(super) fn new(mut roots: RootCertStore, trust: &Trust) -> Result<Self> {
        for authority in &trust.authorities {
            roots.add(authority.clone()).map_err(Error::Tls)?;
        }
        let known = if roots.is_empty() { None } else { Some(by(roots).map_err(Error::Tls)?) };
        Ok(Self { known, pin: trust.pin })
    }

    /// The pinned authority, if the server shows it.
    fn pinned(&self, shown: &[CertificateDer<'_>]) -> Option<RootCertStore> {
        let pin = self.pin?;
        let authority = shown.iter().find(|certificate| fingerprint(certificate) == Some(pin))?;
        let mut roots = RootCertStore::empty();
        roots.add(authority.clone().into_owned()).ok()?;
        Some(roots)
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        let by_known = match &self.known {
            Some(known) => known.verify_server_cert(leaf, others, name, ocsp, now),
            None => Err(CertificateError::UnknownIssuer.into()),
        };
        // Whatever is wrong with it to those: an authority that was made anew has the name of the one before.
        match (&by_known, self.pinned(others)) {
            (Err(_), Some(roots)) => by(roots)?.verify_server_cert(leaf, &[], name, ocsp, now),
            _ => by_known,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        let algorithms = &tls::provider().signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        let algorithms = &tls::provider().signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        tls::provider().signature_verification_algorithms.supported_schemes()
    }
}

fn by(roots: RootCertStore) -> Result<Arc<WebPkiServerVerifier>, TlsError> {
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), tls::provider())
        .build()
        .map_err(|error| TlsError::General(error.to_string()))
}
