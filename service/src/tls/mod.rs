//! The one TLS set-up of the house: aws-lc-rs, AES-128-GCM first, tickets, certificates that are read again.

pub mod acme;
#[cfg(test)]
pub(crate) mod authority;
mod client;
mod leaf;
mod names;
mod pair;
mod resolver;
mod watch;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::WebPkiClientVerifier;
use rustls::{CipherSuite, RootCertStore, ServerConfig};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde::{Deserialize, Serialize};

use crate::daemon::Daemon;
use crate::log::Chain;
use crate::{Error, Result};

pub use client::{ClientCertificate, Identity};
pub(crate) use leaf::fingerprint;
pub use pair::Pair;

use acme::Acme;
use pair::{Source, self_signed};
use resolver::Resolver;

/// `[tls]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// PEM file of the certificate and its intermediates, leaf first. Empty, with `key`, for a self-signed
    /// one made at start.
    pub certificate: PathBuf,
    /// PEM file of the private key.
    pub key: PathBuf,
    /// Names and addresses of a self-signed certificate.
    pub names: Vec<String>,
    /// More certificates, for clients that ask for a DNS name in one of them (RFC 6066 section 3). All others get
    /// the one above.
    pub certificates: Vec<Pair>,
    pub acme: acme::Config,
}

/// Certificates that can change while connections are served.
#[derive(Debug, Clone)]
pub struct Tls {
    /// What is in files, by slot.
    sources: Arc<[(usize, Source)]>,
    acme: Option<Acme>,
    resolver: Arc<Resolver>,
    /// Authorities of the certificates that clients are asked for; none where they are not asked.
    clients: Option<Arc<RootCertStore>>,
}

impl Default for Config {
    fn default() -> Self {
        let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec();
        Self {
            certificate: PathBuf::new(),
            key: PathBuf::new(),
            names,
            certificates: Vec::new(),
            acme: acme::Config::default(),
        }
    }
}

impl Config {
    /// Says what cannot work, if anything, where HTTPS is served at `listen`.
    pub fn check(&self, listen: Option<SocketAddr>) -> Result<(), String> {
        self.acme.check()?;
        if self.acme.is_on() && listen.is_none() {
            return Err("`tls.acme` needs `http.listen`, at which the ACME server looks for its proof".into());
        }
        let read = |(_, source): (usize, Source)| {
            source.read().map(drop).map_err(|error| format!("[tls]: {}", Chain(&error)))
        };
        self.sources().try_for_each(read)
    }

    /// True when neither files nor ACME give a certificate, so that one is made at start.
    pub fn makes_its_own(&self) -> bool {
        self.is_self_signed() && !self.acme.is_on()
    }

    fn is_self_signed(&self) -> bool {
        self.certificate.as_os_str().is_empty() && self.key.as_os_str().is_empty()
    }

    /// What is in files. Slot 0 is the default's, whether it is or not.
    fn sources(&self) -> impl Iterator<Item = (usize, Source)> {
        let own = Pair { certificate: self.certificate.clone(), key: self.key.clone() };
        let default = (!self.is_self_signed()).then_some((0, Source { pair: own, is_default: true }));
        let others = self.certificates.iter().cloned().map(|pair| Source { pair, is_default: false });
        default.into_iter().chain((1..).zip(others))
    }
}

impl Tls {
    /// Reads the files, or makes a self-signed ECDSA P-256 certificate when none are named.
    ///
    /// # Errors
    /// A file cannot be read or holds no PEM of its kind, or the two do not belong together.
    pub fn load(config: &Config) -> Result<Self> {
        let sources: Arc<[_]> = config.sources().collect();
        let mut read = sources.iter().map(|(_, source)| source.read()).collect::<Result<Vec<_>>>()?;
        let default = match config.is_self_signed() {
            true => self_signed(&config.names, Vec::new())?,
            false => read.remove(0),
        };
        let others = read.len();
        let resolver = Resolver::new(default, read);
        let mut kind = if config.is_self_signed() { "self-signed" } else { "configured" };
        let mut acme = None;
        if config.acme.is_on() {
            // Where there would be one that is self-signed, or after all that are in files.
            let slot = if config.is_self_signed() { 0 } else { others + 1 };
            let (wanted, kept) = Acme::load(&config.acme, slot)?;
            if let Some(kept) = kept {
                resolver.put(slot, kept);
                kind = if slot == 0 { "ACME" } else { kind };
            }
            acme = Some(wanted);
        }
        let this = Self { sources, acme, resolver: Arc::new(resolver), clients: None };
        tracing::info!(spki = this.spki(), kind, others, "TLS certificate loaded");
        Ok(this)
    }

    /// From now on the default is this chain, leaf first, with its key, in PEM.
    ///
    /// # Errors
    /// One is missing, or they do not belong together.
    pub fn put_default(&self, pem: &str) -> Result<()> {
        self.resolver.put(0, pair::from_pem(pem.as_bytes()).map_err(Error::Issued)?);
        tracing::info!(spki = self.spki(), kind = "issued", "TLS certificate loaded");
        Ok(())
    }

    /// Asks clients for a certificate of this authority, in PEM. Who has none is served as well; what others show is
    /// [`ClientCertificate`] in their requests' extensions.
    ///
    /// # Errors
    /// It is no certificate.
    pub fn ask_clients(&mut self, authority: &str) -> Result<()> {
        let mut roots = RootCertStore::empty();
        let read = CertificateDer::from_pem_slice(authority.as_bytes());
        let certificate = read.map_err(|error| Error::Issued(std::io::Error::other(error)))?;
        roots.add(certificate).map_err(Error::Tls)?;
        self.clients = Some(Arc::new(roots));
        Ok(())
    }

    /// What a server needs; later reloads show in it. `alpn` best first.
    ///
    /// Its workers share it, and with it the keys of its session tickets: those change every 6 hours, and a ticket
    /// is good for 12 at most. A ticket is no good for another name than the one it was given for, so that a client
    /// sees each name's own certificate (RFC 6066 section 3).
    pub fn server_config(&self, alpn: &[&[u8]]) -> Result<ServerConfig> {
        let builder = ServerConfig::builder_with_provider(provider());
        let builder = builder.with_safe_default_protocol_versions().map_err(Error::Tls)?;
        let clients = match &self.clients {
            None => WebPkiClientVerifier::no_client_auth(),
            Some(roots) => WebPkiClientVerifier::builder_with_provider(roots.clone(), provider())
                .allow_unauthenticated()
                .build()
                .map_err(|error| Error::Tls(rustls::Error::General(error.to_string())))?,
        };
        let mut config = builder.with_client_cert_verifier(clients).with_cert_resolver(self.resolver.clone());
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        if self.acme.is_some() && alpn.contains(&b"http/1.1".as_slice()) {
            config.alpn_protocols.push(acme::PROTOCOL.to_vec());
        }
        config.ignore_client_order = true;
        config.ticketer = aws_lc_rs::Ticketer::new().map_err(Error::Tls)?;
        Ok(config)
    }

    /// Base64 of the SHA-256 of the default certificate's SubjectPublicKeyInfo (RFC 7469 section 2.4), for pinning.
    pub fn spki(&self) -> String {
        let certified = self.resolver.default();
        let spki = certified.key.public_key().map(|key| key.as_ref().to_vec()).unwrap_or_default();
        BASE64.encode(::aws_lc_rs::digest::digest(&::aws_lc_rs::digest::SHA256, &spki))
    }

    /// The default's leaf certificate in DER, for clients that trust exactly this one.
    pub fn certificate(&self) -> Option<CertificateDer<'static>> {
        self.resolver.default().cert.first().cloned()
    }

    /// Reloads when files change and on SIGHUP, until draining begins. A certificate whose files are unusable stays
    /// as it is in use, and the others are reloaded. Nothing to do where there are no files. A certificate by ACME is
    /// asked for when it is time.
    pub fn watch(&self, daemon: &Daemon) {
        if let Some(acme) = &self.acme {
            acme.clone().start(self.resolver.clone(), daemon);
        }
        if self.sources.is_empty() {
            return;
        }
        let (tls, drain) = (self.clone(), daemon.drain.clone());
        let following = async move { drain.unless_draining(watch::follow(tls)).await };
        daemon.drain.spawn("certificate watch", following);
    }

    /// Reads the files of one source again. What was in use stays when they are unusable.
    fn reload_one(&self, index: usize) -> Result<()> {
        let Some((slot, source)) = self.sources.get(index) else { return Ok(()) };
        self.resolver.put(*slot, source.read()?);
        let certificate = source.pair.certificate.display();
        tracing::info!(
            spki = self.spki(),
            kind = "configured",
            "TLS certificate reloaded from {certificate}"
        );
        Ok(())
    }
}

/// aws-lc-rs with AES-128-GCM first: with AES instructions it is the fastest suite, and its strength is P-256's.
pub fn provider() -> Arc<CryptoProvider> {
    let mut provider = aws_lc_rs::default_provider();
    provider.cipher_suites.sort_by_key(|suite| match suite.suite() {
        CipherSuite::TLS13_AES_128_GCM_SHA256 => 0,
        CipherSuite::TLS13_AES_256_GCM_SHA384 | CipherSuite::TLS13_CHACHA20_POLY1305_SHA256 => 1,
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 => 2,
        _ => 3,
    });
    Arc::new(provider)
}

#[cfg(test)]
mod tests;
