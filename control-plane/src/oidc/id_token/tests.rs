use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::KeyPair as _;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{EncodingKey, Header};
use serde_json::json;

use super::*;

/// A key of a provider, made for a test.
pub(crate) struct Signer {
    pub(crate) algorithm: Algorithm,
    key: EncodingKey,
    pub(crate) public: Value,
}

impl Signer {
    pub(crate) fn rsa(kid: &str) -> Self {
        let pair = KeyPair::generate(KeySize::Rsa2048).unwrap();
        let public = pair.public_key();
        let part = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let (n, e) = (
            part(public.modulus().big_endian_without_leading_zero()),
            part(public.exponent().big_endian_without_leading_zero()),
        );
        let der: Pkcs8V1Der<'_> = pair.as_der().unwrap();
        Self {
            algorithm: Algorithm::RS256,
            // PKCS #1, which is what stands in PKCS #8 behind 26 bytes that say so.
            key: EncodingKey::from_rsa_der(&der.as_ref()[26..]),
            public: json!({ "kty": "RSA", "kid": kid, "use": "sig", "alg": "RS256", "n": n, "e": e }),
        }
    }

    fn ec(kid: &str) -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let point = pair.public_key().as_ref();
        let (x, y) = (URL_SAFE_NO_PAD.encode(&point[1..33]), URL_SAFE_NO_PAD.encode(&point[33..]));
        Self {
            algorithm: Algorithm::ES256,
            key: EncodingKey::from_ec_der(pair.to_pkcs8v1().unwrap().as_ref()),
            public: json!({ "kty": "EC", "kid": kid, "crv": "P-256", "x": x, "y": y }),
        }
    }

    fn ed(kid: &str) -> Self {
        let pair = Ed25519KeyPair::generate().unwrap();
        Self {
            algorithm: Algorithm::EdDSA,
            key: EncodingKey::from_ed_der(pair.to_pkcs8v1().unwrap().as_ref()),
            public: json!({ "kty": "OKP", "kid": kid, "crv": "Ed25519", "x": URL_SAFE_NO_PAD.encode(pair.public_key()) }),
        }
    }

    pub(crate) fn sign(&self, kid: Option<&str>, claims: &Value) -> String {
        let header = Header { kid: kid.map(str::to_owned), ..Header::new(self.algorithm) };
        jsonwebtoken::encode(&header, claims, &self.key).unwrap()
    }
}

const NOW: u64 = 1_700_000_000;
const EXPECTED: Expected<'static> =
    Expected { issuer: "https://id.example.net", client_id: "nearcast", nonce: "n-1", now: NOW };

fn claims() -> Value {
    json!({ "iss": "https://id.example.net", "aud": "nearcast", "sub": "7", "nonce": "n-1", "iat": NOW, "exp": NOW + 300 })
}

fn keys(signers: &[&Signer]) -> Vec<Jwk> {
    signers.iter().map(|signer| serde_json::from_value(signer.public.clone()).unwrap()).collect()
}

fn why(verified: Result<Map<String, Value>, Doubt>) -> String {
    match verified {
        Err(Doubt::Wrong(why)) => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_token_of_each_algorithm_is_believed_and_a_changed_one_is_not() {
    let signers = [Signer::rsa("r"), Signer::ec("c"), Signer::ed("d")];
    let keys = keys(&signers.each_ref());
    for (signer, kid) in signers.iter().zip(["r", "c", "d"]) {
        let token = signer.sign(Some(kid), &claims());
        assert_eq!(verify(&token, &keys, &EXPECTED).unwrap()["sub"], "7", "{kid}");
        assert_eq!(verify(&signer.sign(Some("other"), &claims()), &keys, &EXPECTED), Err(Doubt::UnknownKey));
        why(verify(&signer.sign(None, &claims()), &keys, &EXPECTED));
        let alone =
            std::slice::from_ref(keys.iter().find(|key| key.common.key_id.as_deref() == Some(kid)).unwrap());
        verify(&signer.sign(None, &claims()), alone, &EXPECTED).unwrap();
        // Another's body under its signature.
        let mut admin = claims();
        admin["sub"] = json!("1");
        let other = signer.sign(Some(kid), &admin);
        let (ours, others): (Vec<_>, Vec<_>) = (token.split('.').collect(), other.split('.').collect());
        why(verify(&[ours[0], others[1], ours[2]].join("."), &keys, &EXPECTED));
        // The right name, another's key.
        let wrong = if kid == "r" { "c" } else { "r" };
        why(verify(&signer.sign(Some(wrong), &claims()), &keys, &EXPECTED));
    }
    let encrypts = Jwk {
        common: jsonwebtoken::jwk::CommonParameters {
            public_key_use: Some(PublicKeyUse::Encryption),
            ..keys[0].common.clone()
        },
        ..keys[0].clone()
    };
    assert_eq!(
        verify(&signers[0].sign(Some("r"), &claims()), &[encrypts], &EXPECTED),
        Err(Doubt::UnknownKey)
    );
}

#[test]
fn a_token_that_nobody_or_everybody_could_have_signed_is_not_believed() {
    let signer = Signer::rsa("r");
    let keys = keys(&[&signer]);
    let body = URL_SAFE_NO_PAD.encode(claims().to_string());
    let none = format!("{}.{body}.", URL_SAFE_NO_PAD.encode(r#"{"alg":"none","kid":"r"}"#));
    why(verify(&none, &keys, &EXPECTED));
    // The public key as a shared secret.
    let secret = EncodingKey::from_secret(signer.public["n"].as_str().unwrap().as_bytes());
    let header = Header { kid: Some("r".into()), ..Header::new(Algorithm::HS256) };
    let shared = jsonwebtoken::encode(&header, &claims(), &secret).unwrap();
    assert!(why(verify(&shared, &keys, &EXPECTED)).contains("RS256"));
    for nonsense in ["", "a", "a.b.c", "....", &"x".repeat(100_000)] {
        why(verify(nonsense, &keys, &EXPECTED));
    }
}

#[test]
fn every_claim_has_to_fit() {
    let signer = Signer::ed("d");
    let keys = keys(&[&signer]);
    let with = |changes: Value| {
        let mut claims = claims();
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        verify(&signer.sign(Some("d"), &claims), &keys, &EXPECTED)
    };
    for good in [
        json!({ "aud": ["nearcast"] }),
        json!({ "aud": ["nearcast", "other"], "azp": "nearcast" }),
        json!({ "azp": "nearcast" }),
        json!({ "exp": NOW - 59 }),
        json!({ "iat": NOW + 60 }),
        json!({ "nbf": NOW }),
    ] {
        with(good.clone()).unwrap_or_else(|doubt| panic!("{good}: {doubt:?}"));
    }
    for (bad, says) in [
        (json!({ "iss": "https://evil.example" }), "Issuer"),
        (json!({ "iss": null }), "iss"),
        (json!({ "aud": "other" }), "Audience"),
        (json!({ "aud": ["other"] }), "Audience"),
        (json!({ "aud": null }), "aud"),
        (json!({ "aud": ["nearcast", "other"] }), "several"),
        (json!({ "azp": "other" }), "another client"),
        (json!({ "azp": 5 }), "another client"),
        (json!({ "sub": null }), "sub"),
        (json!({ "exp": NOW - 60 }), "over"),
        (json!({ "exp": null }), "exp"),
        (json!({ "exp": "tomorrow" }), "exp"),
        (json!({ "iat": NOW + 61 }), "future"),
        (json!({ "iat": null }), "future"),
        (json!({ "nbf": NOW + 61 }), "yet"),
        (json!({ "nonce": "n-2" }), "this sign-in"),
        (json!({ "nonce": null }), "this sign-in"),
    ] {
        let why = why(with(bad.clone()));
        assert!(why.contains(says), "{bad}: {why}");
    }
}
