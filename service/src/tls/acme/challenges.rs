//! Proof that a name leads here: certificates for the ACME server's eyes only (TLS-ALPN-01, RFC 8737).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rcgen::CustomExtension;
use rustls::server::ClientHello;
use rustls::sign::CertifiedKey;

use crate::Result;
use crate::tls::pair::self_signed;

/// The protocol that an ACME server asks for, and nobody else (RFC 8737 section 3).
pub(crate) const PROTOCOL: &[u8] = b"acme-tls/1";

/// What is to be proven now: at most one certificate for each configured name.
#[derive(Debug, Default)]
pub(in crate::tls) struct Challenges(Mutex<HashMap<String, Arc<CertifiedKey>>>);

/// Forgets all proofs when it is dropped.
#[derive(Debug)]
pub(super) struct Proving<'a>(&'a Challenges);

impl Challenges {
    /// True when a client wants a proof and nothing else.
    pub(in crate::tls) fn is_asked(hello: &ClientHello<'_>) -> bool {
        hello.alpn().is_some_and(|offered| offered.eq([PROTOCOL]))
    }

    /// The proof for a name, in lower case, if one is expected.
    pub(in crate::tls) fn of(&self, name: &str) -> Option<Arc<CertifiedKey>> {
        self.proofs().get(name).cloned()
    }

    /// Proofs may be given until the returned value is dropped.
    pub(super) fn open(&self) -> Proving<'_> {
        Proving(self)
    }

    fn proofs(&self) -> MutexGuard<'_, HashMap<String, Arc<CertifiedKey>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Proving<'_> {
    /// Gives a proof: `digest` is the SHA-256 of the challenge's key authorization.
    pub(super) fn prove(&self, name: &str, digest: &[u8; 32]) -> Result<()> {
        let extension = CustomExtension::new_acme_identifier(digest);
        let proof = self_signed(&[name.to_owned()], vec![extension])?;
        self.0.proofs().insert(name.to_ascii_lowercase(), Arc::new(proof));
        Ok(())
    }
}

impl Drop for Proving<'_> {
    fn drop(&mut self) {
        self.0.proofs().clear();
    }
}
