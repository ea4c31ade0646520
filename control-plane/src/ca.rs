//! The authority that nodes' certificates come from. Pure but for keys and serial numbers: `now` is an argument.

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use nearcast_api::NodeId;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DnType, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PublicKey, PublicKeyData, SanType,
    SerialNumber,
};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::error::{Error, Result};

/// `[ca]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Seconds that a node's certificate lasts, at most 30 days. It is renewed soon after half of that, so a node may be
    /// away from the control plane for two fifths of it.
    pub node_lifetime: u64,
}

/// The authority's certificate and its key.
pub struct Authority {
    zone: String,
    pem: String,
    fingerprint: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A node's certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issued {
    /// Lower-case hex.
    pub serial: String,
    pub pem: String,
    /// When it ends, in milliseconds since the Unix epoch.
    pub not_after: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self { node_lifetime: 7 * DAY }
    }
}

impl Config {
    /// One line on what cannot work.
    pub fn check(&self) -> Result<(), String> {
        if !(SHORTEST..=30 * DAY).contains(&self.node_lifetime) {
            return Err(format!("ca.node_lifetime is not {SHORTEST} to {} seconds", 30 * DAY));
        }
        Ok(())
    }
}

impl Authority {
    /// Makes one, as PEM of its certificate and its key: what [`Authority::read`] takes. `now` in milliseconds since the
    /// Unix epoch, here and below.
    pub fn make(zone: &str, now: u64) -> Result<String> {
        let key = KeyPair::generate()?;
        let mut params = params(format!("Nearcast nodes of {zone}"), now, LIFE)?;
        // Nothing that it signs may sign.
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        Ok(format!("{}{}", params.self_signed(&key)?.pem(), key.serialize_pem()))
    }

    /// The authority that was made before, for the nodes of `zone`.
    pub fn read(made: &str, zone: &str) -> Result<Self> {
        let at =
            made.find(KEY).ok_or(Error::DamagedStore { what: "the authority", value: "no key".into() })?;
        let (pem, key) = made.split_at(at);
        let key = KeyPair::from_pem(key)?;
        let hash = digest::digest(&digest::SHA256, &key.subject_public_key_info());
        let fingerprint = URL_SAFE_NO_PAD.encode(hash);
        let issuer = Issuer::from_ca_cert_pem(pem, key)?;
        Ok(Self { zone: zone.to_owned(), pem: pem.to_owned(), fingerprint, issuer })
    }

    /// Its certificate.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// SHA-256 of its public key (RFC 7469 section 2.4) in base64url: by it a new node knows it.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// A certificate for the key in `csr`, which is PKCS #10 in PEM, and for nothing else that stands there.
    ///
    /// # Errors
    /// `csr` is none, is not signed with its own key, or has a key of another kind.
    pub fn issue(&self, csr: &str, node: &NodeId, seconds: u64, now: u64) -> Result<Issued> {
        let key = public_key(csr).map_err(|problem| Error::Invalid { field: "csr", problem })?;
        if node.as_str().ends_with('-') {
            let problem = "a name that ends with a hyphen is no part of a DNS name: use another".to_owned();
            return Err(Error::Invalid { field: "node", problem });
        }
        let mut params = params(node.to_string(), now, seconds)?;
        params.subject_alt_names = vec![
            SanType::DnsName(format!("{node}.nodes.{}", self.zone).try_into()?),
            SanType::URI(format!("spiffe://{}/node/{node}", self.zone).try_into()?),
        ];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
        let serial = serial();
        params.serial_number = Some(SerialNumber::from_slice(&serial));
        let serial = serial.iter().map(|byte| format!("{byte:02x}")).collect();
        let not_after = u64::try_from(params.not_after.unix_timestamp()).unwrap_or(0) * 1000;
        Ok(Issued { serial, pem: params.signed_by(&key, &self.issuer)?.pem(), not_after })
    }

    /// A certificate with its key for the control plane itself, and the authority's behind it: PEM.
    pub fn serve(&self, names: &[String], now: u64) -> Result<String> {
        let key = KeyPair::generate()?;
        let mut params = params(format!("control plane of {}", self.zone), now, LIFE)?;
        params.subject_alt_names = CertificateParams::new(names)?.subject_alt_names;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.serial_number = Some(SerialNumber::from_slice(&serial()));
        Ok(format!("{}{}{}", params.signed_by(&key, &self.issuer)?.pem(), self.pem, key.serialize_pem()))
    }
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").field("fingerprint", &self.fingerprint).finish_non_exhaustive()
    }
}

/// The key of a signing request, once its signature is right.
fn public_key(csr: &str) -> Result<PublicKey, String> {
    let request = CertificateSigningRequestParams::from_pem(csr).map_err(|error| {
        format!("this is no signing request (PKCS #10 in PEM) for a key that signs it: {error}")
    })?;
    let key = request.public_key;
    // An uncompressed point: SHA-256 signatures are made on other curves as well.
    if *key.algorithm() != PKCS_ECDSA_P256_SHA256 || key.der_bytes().len() != 65 {
        return Err("use an ECDSA P-256 key".to_owned());
    }
    Ok(key)
}

/// What all have. It began a little ago, for nodes whose clocks are slow.
fn params(name: String, now: u64, seconds: u64) -> Result<CertificateParams> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    let out_of_range = |_| Error::Invalid { field: "now", problem: "the clock is far from right".to_owned() };
    let at = |seconds: u64| {
        OffsetDateTime::from_unix_timestamp(i64::try_from(seconds).unwrap_or(i64::MAX)).map_err(out_of_range)
    };
    let now = now / 1000;
    params.not_before = at(now.saturating_sub(SKEW.min(seconds / 10)))?;
    params.not_after = at(now + seconds)?;
    Ok(params)
}

/// 128 random bits but for the first two, so that it is positive and as long as all others (RFC 5280 section 4.1.2.2).
fn serial() -> [u8; 16] {
    let mut serial = rand::random::<[u8; 16]>();
    serial[0] = serial[0] & 0x3f | 0x40;
    serial
}

const KEY: &str = "-----BEGIN PRIVATE KEY-----";
/// Seconds.
const DAY: u64 = 24 * 3600;
/// Of the authority: ten years.
const LIFE: u64 = 3653 * DAY;
const SKEW: u64 = 3600;
/// Renewing more often than this is of no use but for tests.
const SHORTEST: u64 = 2;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: u64 = 1_800_000_000_000;

    fn authority() -> Authority {
        Authority::read(&Authority::make("nearcast.test", NOW).unwrap(), "nearcast.test").unwrap()
    }

    fn csr(names: &[&str], key: &KeyPair) -> String {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name.push(DnType::CommonName, "somebody else");
        params.serialize_request(key).unwrap().pem().unwrap()
    }

    #[test]
    fn a_certificate_says_what_the_authority_says_and_not_what_was_asked_for() {
        let (authority, key) = (authority(), KeyPair::generate().unwrap());
        let node = "eu-1".parse().unwrap();
        let issued = authority.issue(&csr(&["control.nearcast.test"], &key), &node, 60, NOW).unwrap();
        assert_eq!(issued.not_after, NOW + 60_000);
        assert_eq!(issued.serial.len(), 32);
        let bytes = |pem: &str| {
            let pem: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
            base64::engine::general_purpose::STANDARD.decode(pem).unwrap()
        };
        let der = bytes(&issued.pem);
        let has = |text: &str| der.windows(text.len()).any(|window| window == text.as_bytes());
        assert!(has("eu-1.nodes.nearcast.test") && has("spiffe://nearcast.test/node/eu-1"));
        assert!(has("Nearcast nodes of nearcast.test") && !has("control.") && !has("somebody else"));
        assert!(der.windows(65).any(|window| window == key.public_key_raw()));
        assert_ne!(authority.issue(&csr(&[], &key), &node, 60, NOW).unwrap().serial, issued.serial);
        let refused = authority.issue(&csr(&[], &key), &"eu-".parse().unwrap(), 60, NOW).unwrap_err();
        assert!(refused.to_string().contains("hyphen"), "{refused}");
    }

    #[test]
    fn what_is_no_request_for_a_key_that_is_there_is_refused() {
        let (authority, node) = (authority(), "eu-1".parse().unwrap());
        let key = KeyPair::generate().unwrap();
        let good = csr(&["a.test"], &key);
        let refused = |csr: &str| authority.issue(csr, &node, 60, NOW).unwrap_err().to_string();
        // Another key's signature: the last bytes of the body, where it stands.
        let lines: Vec<&str> = good.lines().collect();
        let at = lines.len() - 2;
        let mut forged = lines.clone();
        let other = csr(&["a.test"], &KeyPair::generate().unwrap());
        let line = other.lines().nth(at).unwrap();
        forged[at] = line;
        for wrong in ["", "nonsense", &good[..good.len() / 2], &forged.join("\n")] {
            assert!(refused(wrong).starts_with("csr: "), "{wrong}");
        }
        let large = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
        assert!(refused(&csr(&[], &large)).contains("P-256"));
    }

    #[test]
    fn the_authority_is_read_as_it_was_made() {
        let made = Authority::make("nearcast.test", NOW).unwrap();
        let [one, again] = [(); 2].map(|()| Authority::read(&made, "nearcast.test").unwrap());
        assert_eq!((one.pem(), one.fingerprint()), (again.pem(), again.fingerprint()));
        assert_eq!(one.fingerprint().len(), 43);
        assert!(!one.pem().contains("PRIVATE") && !format!("{one:?}").contains("PRIVATE"));
        assert!(Authority::read(one.pem(), "nearcast.test").is_err());
    }

    #[test]
    fn a_life_that_is_too_short_or_long_is_said() {
        assert_eq!(Config::default().check(), Ok(()));
        for wrong in [0, 1, 31 * DAY] {
            assert!(Config { node_lifetime: wrong }.check().unwrap_err().contains("ca.node_lifetime"));
        }
    }

    proptest! {
        #[test]
        fn whatever_is_sent_is_a_request_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let body = base64::engine::general_purpose::STANDARD.encode(&bytes);
            for text in [String::from_utf8_lossy(&bytes).into_owned(),
                format!("-----BEGIN CERTIFICATE REQUEST-----\n{body}\n-----END CERTIFICATE REQUEST-----\n")] {
                prop_assert!(public_key(&text).is_err());
            }
        }

        /// A good one, damaged in one place.
        #[test]
        fn a_damaged_request_is_refused(at in 0_usize..2000, to in any::<u8>()) {
            let key = KeyPair::generate().unwrap();
            let request = CertificateParams::default().serialize_request(&key).unwrap();
            let mut der = request.der().to_vec();
            let at = at % der.len();
            prop_assume!(der[at] != to);
            der[at] = to;
            let body = base64::engine::general_purpose::STANDARD.encode(&der);
            let pem = format!("-----BEGIN CERTIFICATE REQUEST-----\n{body}\n-----END CERTIFICATE REQUEST-----\n");
            let _either = public_key(&pem);
        }
    }
}
