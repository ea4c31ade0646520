//! What deliveries are signed with, and the signatures (Standard Webhooks 1.0). Pure but for the random bytes.

use std::fmt;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

/// `whsec_` and 256 random bits in base64, as receivers have it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// A new one.
    pub fn random() -> Self {
        Self(format!("{PREFIX}{}", BASE64.encode(rand::random::<[u8; 32]>())))
    }

    /// One that was written down.
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// As receivers have it. It is shown once.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// A signature of the delivery of `body` under the event's `id` at `timestamp` (seconds since the Unix epoch): one of those
    /// that `webhook-signature` lists.
    pub fn sign(&self, id: &str, timestamp: u64, body: &str) -> String {
        let text = self.0.strip_prefix(PREFIX).unwrap_or(&self.0);
        // What is no base64 was written by somebody else; receivers' libraries take such a text as it is too.
        let key = BASE64.decode(text).unwrap_or_else(|_| text.as_bytes().to_vec());
        let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
        let mut context = hmac::Context::with_key(&key);
        for part in [id, ".", &timestamp.to_string(), ".", body] {
            context.update(part.as_bytes());
        }
        format!("v1,{}", BASE64.encode(context.sign()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// So that people and scanners of leaked secrets see what it is.
const PREFIX: &str = "whsec_";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_the_specifications() {
        // The example of the specification's own libraries.
        let secret = Secret::from_stored("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".into());
        let signature = secret.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_secret_is_long_new_each_time_and_in_no_log() {
        let (a, b) = (Secret::random(), Secret::random());
        assert_ne!(a, b);
        assert_eq!(BASE64.decode(a.expose().strip_prefix("whsec_").unwrap()).unwrap().len(), 32);
        assert!(!format!("{a:?}").contains(a.expose()));
    }
}
