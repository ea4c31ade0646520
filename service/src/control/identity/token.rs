//! The one-time token that a new node is given: what the control plane takes it by, and how the node knows the control plane.

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;

/// `nce_SECRET`, or `nce_SECRET.FINGERPRINT`: the SHA-256 of the public key (RFC 7469 section 2.4) of the authority that
/// has signed the control plane's own certificate, in base64url.
#[derive(Clone)]
pub(in crate::control) struct Token {
    pub(super) text: String,
    pub(super) pin: Option<[u8; 32]>,
}

impl Token {
    /// Says what is wrong with it, if anything.
    pub(in crate::control) fn parse(text: &str) -> Result<Self, String> {
        let (secret, pin) = text.split_once('.').map_or((text, None), |(secret, pin)| (secret, Some(pin)));
        if !secret.starts_with(PREFIX) || !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(format!("a token for enrolment begins with {PREFIX}: copy it as it was shown"));
        }
        let bytes = |pin| BASE64.decode(pin).ok()?.try_into().ok();
        let pin =
            pin.map(|pin| bytes(pin).ok_or("the part behind the dot is damaged: copy all of the token"));
        Ok(Self { text: text.to_owned(), pin: pin.transpose()? })
    }

    /// What is kept of it once it was used.
    pub(super) fn hash(&self) -> String {
        let hash = digest::digest(&digest::SHA256, self.text.as_bytes());
        hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token")
    }
}

const PREFIX: &str = "nce_";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_token_may_say_whom_to_believe() {
        assert_eq!(Token::parse("nce_abc").unwrap().pin, None);
        let text = format!("nce_abc.{}", BASE64.encode([7; 32]));
        let token = Token::parse(&text).unwrap();
        assert_eq!((token.pin, token.text.as_str()), (Some([7; 32]), text.as_str()));
        for wrong in ["", "abc", "nca_abc", "nce_a b", "nce_abc.", "nce_abc.AAAA", &text[..text.len() - 1]] {
            assert!(Token::parse(wrong).is_err(), "{wrong}");
        }
        assert!(!format!("{token:?}").contains("abc"));
    }

    proptest! {
        #[test]
        fn whatever_stands_in_the_configuration_is_read_or_refused(text in "(nce_)?\\PC{0,80}") {
            let _either = Token::parse(&text);
        }
    }
}
