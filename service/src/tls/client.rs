//! Certificates that clients have: what a server sees of one, and what a client shows.

use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::time::SystemTime;

use rustls::RootCertStore;
use rustls::sign::CertifiedKey;
use rustls_pki_types::CertificateDer;

use super::leaf;
use super::pair::from_pem;

/// The certificate of a client, in its requests' extensions. Its authority and its times were right when the client
/// connected; whether it still counts is the handler's to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// Its number among those of its authority, in lower-case hex.
    pub serial: Arc<str>,
    /// The first DNS name that it is for, in lower case; empty where there is none.
    pub name: Arc<str>,
    /// When it ends.
    pub until: SystemTime,
}

/// A certificate with its key, for servers that ask, and the authority that has given it.
#[derive(Debug, Clone)]
pub struct Identity {
    pub(crate) certified: Arc<CertifiedKey>,
    name: Arc<str>,
    period: Range<SystemTime>,
}

impl ClientCertificate {
    /// From a chain that was verified, leaf first.
    pub(crate) fn of(chain: &[CertificateDer<'_>]) -> Option<Self> {
        let certificate = chain.first()?;
        let name = leaf::dns_names_of(certificate).into_iter().next().unwrap_or_default().into();
        let (serial, until) = (leaf::serial(certificate)?.into(), leaf::period_of(certificate)?.end);
        Some(Self { serial, name, until })
    }
}

impl Identity {
    /// From PEM: the certificate, its authority's, and the key.
    ///
    /// # Errors
    /// One is missing, or they do not belong together.
    pub fn from_pem(pem: &[u8]) -> io::Result<Self> {
        let certified = from_pem(pem)?;
        let period = leaf::period(&certified);
        let period = period.ok_or_else(|| io::Error::other("the certificate cannot be read"))?;
        if certified.cert.len() < 2 {
            return Err(io::Error::other("the authority's certificate is missing"));
        }
        let name = leaf::dns_names(&certified).into_iter().next().unwrap_or_default().into();
        Ok(Self { certified: Arc::new(certified), name, period })
    }

    /// The first DNS name that it is for, in lower case; empty where there is none.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// That name without its first label, which is the holder's own.
    pub(crate) fn domain(&self) -> &str {
        self.name.split_once('.').map_or("", |(_, domain)| domain)
    }

    /// Those authorities, to check others of theirs by.
    pub(crate) fn roots(&self) -> Result<RootCertStore, rustls::Error> {
        let mut roots = RootCertStore::empty();
        self.authorities().iter().try_for_each(|authority| roots.add(authority.clone()))?;
        Ok(roots)
    }

    /// Whether both are the same.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.certified, &other.certified)
    }

    /// When it is valid.
    pub fn period(&self) -> &Range<SystemTime> {
        &self.period
    }

    /// The authorities that it comes with.
    pub fn authorities(&self) -> &[CertificateDer<'static>] {
        self.certified.cert.get(1..).unwrap_or_default()
    }
}
