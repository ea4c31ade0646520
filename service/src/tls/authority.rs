//! An authority whose certificates tests show each other.

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SerialNumber};

/// It gives certificates to whoever asks.
pub(crate) struct Authority {
    pub(crate) pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let (key, mut params) = (KeyPair::generate().unwrap(), CertificateParams::default());
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        let pem = params.self_signed(&key).unwrap().pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    /// A certificate for these names until the beginning of a year, that of the authority `behind` it, and the key: PEM. Its
    /// serial number ends with 07.
    pub(crate) fn give(&self, names: &[&str], serial: u8, year: i32, behind: &Self) -> String {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let (key, mut params) = (KeyPair::generate().unwrap(), CertificateParams::new(names).unwrap());
        params.serial_number = Some(SerialNumber::from_slice(&[serial, 7]));
        params.not_after = rcgen::date_time_ymd(year, 1, 1);
        let own = params.signed_by(&key, &self.issuer).unwrap();
        format!("{}{}{}", own.pem(), behind.pem, key.serialize_pem())
    }
}
