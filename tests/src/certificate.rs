//! A certificate authority for one world, so that clients check certificates as they do outside.

use std::path::{Path, PathBuf};

use anyhow::Result;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, PublicKeyData as _,
};

/// A server's certificate and who trusts it.
#[derive(Debug, Clone)]
pub struct Certificate {
    /// PEM files for `[tls]`.
    pub certificate: PathBuf,
    pub key: PathBuf,
    /// PEM file of the authority.
    pub authority: PathBuf,
    /// What clients trust.
    pub roots: rustls::RootCertStore,
    /// Base64 of the SHA-256 of the public key, for browsers' pins.
    pub spki: String,
}

impl Certificate {
    /// Makes an authority and one certificate for `names` (DNS names and addresses), in `folder`.
    pub fn create(folder: &Path, names: &[&str]) -> Result<Self> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "Nearcast test authority");
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;

        let key = KeyPair::generate()?;
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let certificate = CertificateParams::new(names)?.signed_by(&key, &authority)?;

        let mut roots = rustls::RootCertStore::empty();
        roots.add(authority.der().clone())?;
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &key.subject_public_key_info());
        let files = Self {
            certificate: folder.join("certificate.pem"),
            key: folder.join("key.pem"),
            authority: folder.join("authority.pem"),
            roots,
            spki: BASE64_STANDARD.encode(digest),
        };
        std::fs::write(&files.certificate, certificate.pem())?;
        std::fs::write(&files.key, key.serialize_pem())?;
        std::fs::write(&files.authority, authority.pem())?;
        Ok(files)
    }
}
