//! The one TLS set-up of the house: aws-lc-rs, AES-128-GCM first, tickets, certificates that are read again.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{CipherSuite, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde::{Deserialize, Serialize};
use tokio::signal::unix::{SignalKind, signal};

use crate::daemon::Daemon;
use crate::log::Chain;
use crate::{Error, Result};

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
}

/// A certificate that can change while connections are served.
#[derive(Debug, Clone)]
pub struct Tls {
    config: Config,
    current: Arc<Current>,
}

#[derive(Debug)]
struct Current(ArcSwap<CertifiedKey>);

impl Default for Config {
    fn default() -> Self {
        let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec();
        Self { certificate: PathBuf::new(), key: PathBuf::new(), names }
    }
}

impl Config {
    /// Says what cannot work, if anything.
    pub fn check(&self) -> Result<(), String> {
        if self.is_self_signed() {
            return Ok(());
        }
        from_files(self).map(drop).map_err(|error| format!("[tls]: {}", Chain(&error)))
    }

    fn is_self_signed(&self) -> bool {
        self.certificate.as_os_str().is_empty() && self.key.as_os_str().is_empty()
    }
}

impl Tls {
    /// Reads the files, or makes a self-signed ECDSA P-256 certificate when none are named.
    ///
    /// # Errors
    /// A file cannot be read or holds no PEM of its kind, or the two do not belong together.
    pub fn load(config: &Config) -> Result<Self> {
        let certified =
            if config.is_self_signed() { self_signed(&config.names)? } else { from_files(config)? };
        let this =
            Self { config: config.clone(), current: Arc::new(Current(ArcSwap::from_pointee(certified))) };
        let kind = if config.is_self_signed() { "self-signed" } else { "configured" };
        tracing::info!(spki = this.spki(), kind, "TLS certificate loaded");
        Ok(this)
    }

    /// What a server needs; later reloads show in it. `alpn` best first.
    pub fn server_config(&self, alpn: &[&[u8]]) -> Result<ServerConfig> {
        let builder = ServerConfig::builder_with_provider(provider());
        let builder = builder.with_safe_default_protocol_versions().map_err(Error::Tls)?;
        let mut config = builder.with_no_client_auth().with_cert_resolver(self.current.clone());
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        config.ignore_client_order = true;
        config.ticketer = aws_lc_rs::Ticketer::new().map_err(Error::Tls)?;
        Ok(config)
    }

    /// Base64 of the SHA-256 of the public key's SubjectPublicKeyInfo (RFC 7469 section 2.4), for pinning.
    pub fn spki(&self) -> String {
        let certified = self.current.0.load();
        let spki = certified.key.public_key().map(|key| key.as_ref().to_vec()).unwrap_or_default();
        BASE64.encode(::aws_lc_rs::digest::digest(&::aws_lc_rs::digest::SHA256, &spki))
    }

    /// The leaf certificate in DER, for clients that trust exactly this one.
    pub fn certificate(&self) -> Option<CertificateDer<'static>> {
        self.current.0.load().cert.first().cloned()
    }

    /// Reads the files again. What was in use stays when they are unusable.
    pub fn reload(&self) -> Result<()> {
        self.current.0.store(Arc::new(from_files(&self.config)?));
        tracing::info!(spki = self.spki(), kind = "configured", "TLS certificate reloaded");
        Ok(())
    }

    /// Reloads when the files change and on SIGHUP, until draining begins. Nothing to do when self-signed.
    pub fn watch(&self, daemon: &Daemon) {
        if self.config.is_self_signed() {
            return;
        }
        let (tls, drain) = (self.clone(), daemon.drain.clone());
        daemon.drain.spawn("certificate watch", async move { drain.unless_draining(tls.follow()).await });
    }

    async fn follow(self) {
        let mut hangup = match signal(SignalKind::hangup()) {
            Ok(hangup) => hangup,
            Err(error) => return tracing::warn!("certificates are not reloaded: {}", Chain(&error)),
        };
        let mut seen = self.changed_at();
        loop {
            let asked = tokio::select! {
                _ = hangup.recv() => true,
                () = tokio::time::sleep(POLL) => false,
            };
            let now = self.changed_at();
            // A file that is missing is being replaced; its next version counts.
            if !asked && (now == seen || now.is_none()) {
                continue;
            }
            seen = now;
            if let Err(error) = self.reload() {
                tracing::warn!("the TLS certificate in use stays: {}", Chain(&error));
            }
        }
    }

    fn changed_at(&self) -> Option<[SystemTime; 2]> {
        let modified = |path: &Path| std::fs::metadata(path)?.modified();
        let both: io::Result<_> = modified(&self.config.certificate)
            .and_then(|certificate| Ok([certificate, modified(&self.config.key)?]));
        both.ok()
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

/// How soon a renewed certificate is in use.
const POLL: Duration = Duration::from_secs(10);

fn self_signed(names: &[String]) -> Result<CertifiedKey> {
    let failed = |source| Error::SelfSigned { names: names.to_vec(), source };
    // rcgen's default key is ECDSA P-256.
    let made = rcgen::generate_simple_self_signed(names).map_err(failed)?;
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der())
        .map_err(|reason| Error::Tls(rustls::Error::General(reason.to_owned())))?;
    CertifiedKey::from_der(vec![made.cert.der().clone()], key, &provider()).map_err(Error::Tls)
}

fn from_files(config: &Config) -> Result<CertifiedKey> {
    let Config { certificate, key, .. } = config;
    let unusable = |what, path: &Path, source| Error::Pem { what, path: path.to_owned(), source };
    let chain: Vec<_> =
        CertificateDer::pem_file_iter(certificate)
            .and_then(Iterator::collect)
            .and_then(|chain: Vec<_>| {
                if chain.is_empty() { Err(rustls_pki_types::pem::Error::NoItemsFound) } else { Ok(chain) }
            })
            .map_err(|source| unusable("`tls.certificate`", certificate, source))?;
    let der = PrivateKeyDer::from_pem_file(key).map_err(|source| unusable("`tls.key`", key, source))?;
    let mismatch = |source| Error::KeyMismatch { certificate: certificate.clone(), key: key.clone(), source };
    let certified = CertifiedKey::from_der(chain, der, &provider()).map_err(mismatch)?;
    certified.keys_match().map_err(mismatch)?;
    Ok(certified)
}

impl ResolvesServerCert for Current {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(dir: &Path, name: &str) -> Config {
        let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        let config = Config {
            certificate: dir.join("certificate.pem"),
            key: dir.join("key.pem"),
            ..Config::default()
        };
        std::fs::write(&config.certificate, made.cert.pem()).unwrap();
        std::fs::write(&config.key, made.signing_key.serialize_pem()).unwrap();
        config
    }

    #[test]
    fn a_self_signed_certificate_has_a_pin() {
        let tls = Tls::load(&Config::default()).unwrap();
        assert_eq!(BASE64.decode(tls.spki()).unwrap().len(), 32);
        assert_ne!(tls.spki(), Tls::load(&Config::default()).unwrap().spki());
    }

    #[test]
    fn a_reload_takes_the_new_files_and_keeps_the_old_ones_when_they_are_broken() {
        let dir = tempfile::tempdir().unwrap();
        let tls = Tls::load(&write(dir.path(), "a.test")).unwrap();
        let first = tls.spki();
        let config = write(dir.path(), "b.test");
        tls.reload().unwrap();
        let second = tls.spki();
        assert_ne!(first, second);

        std::fs::write(&config.key, "not a key").unwrap();
        let error = tls.reload().unwrap_err().to_string();
        assert!(error.contains("`tls.key`") && error.contains("key.pem"), "{error}");
        assert_eq!(tls.spki(), second);
    }

    #[tokio::test(start_paused = true)]
    async fn changed_files_and_a_hangup_are_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let stamp = |config: &Config, seconds| {
            let file = std::fs::File::options().append(true).open(&config.key).unwrap();
            file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)).unwrap();
            let file = std::fs::File::options().append(true).open(&config.certificate).unwrap();
            file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)).unwrap();
        };
        stamp(&write(dir.path(), "a.test"), 1);
        let daemon = Daemon::new();
        let tls = Tls::load(&write(dir.path(), "a.test")).unwrap();
        tls.watch(&daemon);
        let change_from = async |old: &str| {
            while tls.spki() == old {
                tokio::time::sleep(POLL).await;
            }
            tls.spki()
        };
        let first = tls.spki();
        tokio::time::sleep(POLL * 2).await;
        stamp(&write(dir.path(), "b.test"), 2);
        let second = change_from(&first).await;

        stamp(&write(dir.path(), "c.test"), 2);
        let told =
            std::process::Command::new("kill").args(["-HUP", &std::process::id().to_string()]).status();
        assert!(told.unwrap().success());
        assert_ne!(change_from(&second).await, first);
        daemon.drain.begin();
        daemon.drain.wait(POLL).await.unwrap();
    }

    #[test]
    fn a_key_of_another_certificate_is_refused() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut config = write(one.path(), "a.test");
        config.key = write(two.path(), "b.test").key;
        assert!(matches!(Tls::load(&config), Err(Error::KeyMismatch { .. })));
    }

    #[test]
    fn a_missing_file_is_named() {
        let config = Config {
            certificate: "/nowhere/a.pem".into(),
            key: "/nowhere/b.pem".into(),
            ..Config::default()
        };
        assert!(Tls::load(&config).unwrap_err().to_string().contains("/nowhere/a.pem"));
    }
}
