//! What a certificate says of itself: the names it is for, and from when to when.

use std::ops::Range;
use std::time::{Duration, SystemTime};

use aws_lc_rs::digest;
use rustls::sign::CertifiedKey;
use rustls_pki_types::{CertificateDer, UnixTime};
use webpki::{EndEntityCert, KeyUsage};

/// The DNS names that the first of a chain is for, in lower case; none where it cannot be read or has none.
pub(super) fn dns_names(certified: &CertifiedKey) -> Vec<String> {
    certified.cert.first().map(dns_names_of).unwrap_or_default()
}

/// The DNS names that a certificate is for, in lower case; none where it cannot be read or has none.
pub(super) fn dns_names_of(certificate: &CertificateDer<'_>) -> Vec<String> {
    let leaf = EndEntityCert::try_from(certificate).ok();
    leaf.iter().flat_map(|leaf| leaf.valid_dns_names()).map(str::to_ascii_lowercase).collect()
}

/// When the first of a chain is valid; `None` where it cannot be read.
pub(super) fn period(certified: &CertifiedKey) -> Option<Range<SystemTime>> {
    certified.cert.first().and_then(period_of)
}

/// When a certificate is valid; `None` where it cannot be read.
pub(super) fn period_of(certificate: &CertificateDer<'_>) -> Option<Range<SystemTime>> {
    let leaf = EndEntityCert::try_from(certificate).ok()?;
    // webpki tells the period where a time is outside of it: before everything else it looks at that.
    let wrong_at = |seconds| {
        let time = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        leaf.verify_for_usage(&[], &[], &[], time, KeyUsage::server_auth(), None, None).err()
    };
    match (wrong_at(0)?, wrong_at(u64::MAX)?) {
        (webpki::Error::CertNotValidYet { not_before, .. }, webpki::Error::CertExpired { not_after, .. }) => {
            Some(system(not_before)..system(not_after))
        }
        _ => None,
    }
}

/// The serial number in lower-case hex.
pub(super) fn serial(certificate: &CertificateDer<'_>) -> Option<String> {
    let certificate = EndEntityCert::try_from(certificate).ok()?;
    Some(certificate.serial().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// SHA-256 of the SubjectPublicKeyInfo (RFC 7469 section 2.4).
pub(crate) fn fingerprint(certificate: &CertificateDer<'_>) -> Option<[u8; 32]> {
    let certificate = EndEntityCert::try_from(certificate).ok()?;
    let hash = digest::digest(&digest::SHA256, &certificate.subject_public_key_info());
    hash.as_ref().try_into().ok()
}

fn system(time: UnixTime) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(time.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::pair::self_signed;

    #[test]
    fn a_certificate_says_its_names_and_its_period() {
        let certified = self_signed(&["a.test".to_owned(), "*.B.test".to_owned()], Vec::new()).unwrap();
        assert_eq!(dns_names(&certified), ["a.test", "*.b.test"]);
        // What rcgen gives to certificates that nobody has thought about.
        let year = |year| SystemTime::from(rcgen::date_time_ymd(year, 1, 1));
        assert_eq!(period(&certified), Some(year(1975)..year(4096)));
    }

    #[test]
    fn a_certificate_that_cannot_be_read_says_nothing() {
        let mut certified = self_signed(&["a.test".to_owned()], Vec::new()).unwrap();
        certified.cert = vec![vec![0x30, 0x03].into()];
        assert!(dns_names(&certified).is_empty() && period(&certified).is_none());
        certified.cert.clear();
        assert!(dns_names(&certified).is_empty() && period(&certified).is_none());
    }
}
