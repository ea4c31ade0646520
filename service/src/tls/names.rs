//! Which of several certificates a client gets: by the name it asks for (RFC 6066 section 3).

use std::collections::HashMap;
use std::sync::Arc;

use rustls::sign::CertifiedKey;

use super::leaf::dns_names;

/// Certificates by the DNS names in them.
#[derive(Debug)]
pub(super) struct Certificates {
    default: Arc<CertifiedKey>,
    exact: HashMap<String, Arc<CertifiedKey>>,
    /// By what follows the first label: `example.net` for `*.example.net`.
    wildcard: HashMap<String, Arc<CertifiedKey>>,
}

impl Certificates {
    /// Clients that ask for no name, or for one that is in none, get `default`. Of two certificates with the same
    /// name the first one counts.
    pub(super) fn new(default: &Arc<CertifiedKey>, others: &[Arc<CertifiedKey>]) -> Self {
        let (mut exact, mut wildcard) = (HashMap::new(), HashMap::new());
        for certified in [default].into_iter().chain(others) {
            for name in dns_names(certified) {
                let (names, name) = match name.strip_prefix("*.") {
                    Some(parent) => (&mut wildcard, parent.to_owned()),
                    None => (&mut exact, name),
                };
                names.entry(name).or_insert_with(|| Arc::clone(certified));
            }
        }
        Self { default: Arc::clone(default), exact, wildcard }
    }

    /// What a client gets that asks for `name`, in lower case as rustls gives it. A wildcard stands for one label
    /// (RFC 9525 section 6.3), and a name that is there as it stands comes before it.
    pub(super) fn of(&self, name: Option<&str>) -> &Arc<CertifiedKey> {
        let named = |name: &str| {
            let by_parent = || self.wildcard.get(name.split_once('.')?.1);
            self.exact.get(name).or_else(by_parent)
        };
        name.and_then(named).unwrap_or(&self.default)
    }

    pub(super) fn default(&self) -> &Arc<CertifiedKey> {
        &self.default
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::pair::self_signed;

    fn with(names: &[&str]) -> Arc<CertifiedKey> {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        Arc::new(self_signed(&names, Vec::new()).unwrap())
    }

    #[test]
    fn a_name_comes_before_a_wildcard_and_a_wildcard_before_the_default() {
        let default = with(&["edge.example.net", "192.0.2.1"]);
        let wildcard = with(&["*.example.net", "example.org"]);
        let exact = with(&["EU-1.example.net", "edge.example.net"]);
        let all = Certificates::new(&default, &[wildcard.clone(), exact.clone()]);
        for (name, expected) in [
            (None, &default),
            (Some("edge.example.net"), &default),
            (Some("eu-1.example.net"), &exact),
            (Some("us-1.example.net"), &wildcard),
            (Some("example.org"), &wildcard),
            // A wildcard stands for one label, no more and no less.
            (Some("a.b.example.net"), &default),
            (Some("example.net"), &default),
            (Some("net"), &default),
            (Some("else.where"), &default),
        ] {
            assert!(Arc::ptr_eq(all.of(name), expected), "{name:?}");
        }
    }
}
