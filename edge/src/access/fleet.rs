//! How edges know edges: those that ask this one for others show that they have the same node's token.

use aws_lc_rs::{constant_time, hmac};
use http::{HeaderMap, HeaderName, HeaderValue};

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
    use super::*;

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
