//! How an edge knows nodes that ask it for others: by their certificates, or by a proof that they have the same node's token.

use std::sync::Arc;

use aws_lc_rs::{constant_time, hmac};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue};
use nearcast_api::snapshot::Snapshot;
use nearcast_service::fleet::{Caller, Fleet};
use tokio::sync::watch;

/// What tells nodes from viewers.
#[derive(Debug, Clone)]
pub struct Nodes {
    pub fleet: Fleet,
    /// What those show that have no certificate; none where there can be none.
    pub pass: Option<Pass>,
}

impl Nodes {
    /// Of a fleet in which nobody can show anything.
    pub fn unknown(snapshot: watch::Receiver<Arc<Snapshot>>) -> Self {
        Self { fleet: Fleet::new(watch::channel(None).1, snapshot, false), pass: None }
    }

    /// Who makes a request.
    pub fn caller(&self, request: &Parts) -> Caller {
        let Self { fleet, pass } = self;
        let caller = fleet.caller(&request.extensions);
        let passes = |pass: &Pass| !fleet.is_strict() && pass.is_shown(&request.headers);
        match caller {
            Caller::Unknown if pass.as_ref().is_some_and(passes) => Caller::Node,
            caller => caller,
        }
    }
}

/// What an edge shows its parents: a proof of the token that opens the control plane to nodes, not the token itself.
#[derive(Clone)]
pub struct Pass(HeaderValue);

impl Pass {
    /// The pass of whoever has `token`; none without one, for then everybody could make it.
    pub fn new(token: &str) -> Option<Self> {
        if token.is_empty() {
            return None;
        }
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, token.as_bytes()), PURPOSE);
        let hex = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let mut value = HeaderValue::try_from(hex).ok()?;
        value.set_sensitive(true);
        Some(Self(value))
    }

    /// Shows it.
    pub fn add_to(&self, headers: &mut HeaderMap) {
        headers.insert(HEADER, self.0.clone());
    }

    /// Whether somebody shows the same one.
    pub fn is_shown(&self, headers: &HeaderMap) -> bool {
        let shown = headers.get(HEADER);
        shown.is_some_and(|shown| {
            constant_time::verify_slices_are_equal(shown.as_bytes(), self.0.as_bytes()).is_ok()
        })
    }
}

impl std::fmt::Debug for Pass {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pass")
    }
}

const HEADER: HeaderName = HeaderName::from_static("nearcast-edge");
/// Changed when what it allows changes.
const PURPOSE: &[u8] = b"nearcast: an edge asks an edge";

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use nearcast_api::snapshot::RevokedNode;
    use nearcast_service::tls::ClientCertificate;

    use super::*;

    #[test]
    fn nodes_are_known_by_a_certificate_or_where_that_may_be_by_the_pass() {
        let revoked = RevokedNode { node: "eu-2".parse().unwrap(), until: u64::MAX };
        let snapshot = Snapshot { revoked_nodes: [("02".to_owned(), revoked)].into(), ..Snapshot::default() };
        let snapshot = watch::channel(Arc::new(snapshot)).1;
        let pass = Pass::new("a-node-token");
        let caller = |is_strict, passes: bool, serial: Option<&str>| {
            let fleet = Fleet::new(watch::channel(None).1, snapshot.clone(), is_strict);
            let (mut request, ()) = http::Request::new(()).into_parts();
            if passes {
                pass.as_ref().unwrap().add_to(&mut request.headers);
            }
            if let Some(serial) = serial {
                let until = SystemTime::now() + Duration::from_secs(60);
                request.extensions.insert(ClientCertificate {
                    serial: serial.into(),
                    name: "eu-2.nodes.test".into(),
                    until,
                });
            }
            Nodes { fleet, pass: pass.clone() }.caller(&request)
        };
        for is_strict in [false, true] {
            assert_eq!(caller(is_strict, false, None), Caller::Unknown);
            assert_eq!(caller(is_strict, false, Some("01")), Caller::Node);
            // Who was sent away shows in vain that it has the token.
            assert_eq!(caller(is_strict, true, Some("02")), Caller::Dismissed);
        }
        assert_eq!(caller(false, true, None), Caller::Node);
        assert_eq!(caller(true, true, None), Caller::Unknown);
    }

    #[test]
    fn only_who_has_the_token_has_the_pass() {
        let pass = Pass::new("a-node-token").unwrap();
        let mut headers = HeaderMap::new();
        assert!(!pass.is_shown(&headers));
        Pass::new("another").unwrap().add_to(&mut headers);
        assert!(!pass.is_shown(&headers));
        Pass::new("a-node-token").unwrap().add_to(&mut headers);
        assert!(pass.is_shown(&headers));
        assert!(Pass::new("").is_none());
    }
}
