//! A certificate and its key: from two files, or made at start.

use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rcgen::{CertificateParams, CustomExtension, KeyPair};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde::{Deserialize, Serialize};

use super::leaf::dns_names;
use super::provider;
use crate::{Error, Result};

/// `[[tls.certificates]]`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Pair {
    /// PEM file of the certificate and its intermediates, leaf first. Clients get it that ask for one of its DNS
    /// names.
    pub certificate: PathBuf,
    /// PEM file of the private key.
    pub key: PathBuf,
}

/// A pair and where the configuration has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) pair: Pair,
    /// For clients that ask for no name that is known: `[tls]`'s own.
    pub(super) is_default: bool,
}

impl Source {
    /// Reads both files.
    ///
    /// # Errors
    /// A file cannot be read or holds no PEM of its kind, the two do not belong together, or nobody could ask for
    /// the certificate.
    pub(super) fn read(&self) -> Result<CertifiedKey> {
        let Pair { certificate, key } = &self.pair;
        let [of_certificate, of_key] = match self.is_default {
            true => ["`tls.certificate`", "`tls.key`"],
            false => ["`certificate` of [[tls.certificates]]", "`key` of [[tls.certificates]]"],
        };
        let unusable = |what, path: &Path, source| Error::Pem { what, path: path.to_owned(), source };
        let chain = CertificateDer::pem_file_iter(certificate)
            .and_then(Iterator::collect)
            .and_then(|chain: Vec<_>| match chain.is_empty() {
                true => Err(rustls_pki_types::pem::Error::NoItemsFound),
                false => Ok(chain),
            })
            .map_err(|source| unusable(of_certificate, certificate, source))?;
        let der = PrivateKeyDer::from_pem_file(key).map_err(|source| unusable(of_key, key, source))?;
        let mismatch =
            |source| Error::KeyMismatch { certificate: certificate.clone(), key: key.clone(), source };
        let certified = certify(chain, der).map_err(mismatch)?;
        if !self.is_default && dns_names(&certified).is_empty() {
            return Err(Error::NoNames { certificate: certificate.clone() });
        }
        Ok(certified)
    }

    /// When the files were written; `None` while one is missing.
    pub(super) fn changed_at(&self) -> Option<[SystemTime; 2]> {
        let modified = |path: &Path| std::fs::metadata(path)?.modified();
        let both: io::Result<_> = modified(&self.pair.certificate)
            .and_then(|certificate| Ok([certificate, modified(&self.pair.key)?]));
        both.ok()
    }
}

/// Puts a chain, leaf first, and its key together, if they belong together.
pub(super) fn certify(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<CertifiedKey, rustls::Error> {
    let certified = CertifiedKey::from_der(chain, key, &provider())?;
    certified.keys_match()?;
    Ok(certified)
}

/// A chain, leaf first, and its key, in any order.
///
/// # Errors
/// One is missing, or they do not belong together.
pub(crate) fn from_pem(pem: &[u8]) -> Result<CertifiedKey, io::Error> {
    let chain: Vec<_> =
        CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(io::Error::other)?;
    let key = PrivateKeyDer::from_pem_slice(pem).map_err(io::Error::other)?;
    certify(chain, key).map_err(io::Error::other)
}

/// Makes an ECDSA P-256 key and a certificate for these names and addresses, signed by itself.
pub(super) fn self_signed(names: &[String], extensions: Vec<CustomExtension>) -> Result<CertifiedKey> {
    let failed = |source| Error::SelfSigned { names: names.to_vec(), source };
    let mut params = CertificateParams::new(names).map_err(failed)?;
    params.custom_extensions = extensions;
    // rcgen's default key is ECDSA P-256.
    let key = KeyPair::generate().map_err(failed)?;
    let certificate = params.self_signed(&key).map_err(failed)?;
    let der = PrivateKeyDer::try_from(key.serialize_der())
        .map_err(|reason| Error::Tls(rustls::Error::General(reason.to_owned())))?;
    // rustls would read the certificate to compare the two, and it refuses critical extensions that it does not know.
    let signer = provider().key_provider.load_private_key(der).map_err(Error::Tls)?;
    Ok(CertifiedKey::new(vec![certificate.der().clone()], signer))
}
