//! Secrets: made, hashed, compared. Pure but for the random bytes.

use std::fmt::Write;

use aws_lc_rs::{constant_time, digest};
use nearcast_api::snapshot::KeyHash;

/// A new secret: 160 random bits as 32 characters that survive any URL, shell and person (RFC 4648 §6, lower case).
pub fn random() -> String {
    base32(&rand::random::<[u8; 20]>())
}

/// A short random name for something that is no secret.
pub fn random_id() -> String {
    base32(&rand::random::<[u8; 5]>())
}

/// What is kept of a stream key.
pub fn hash(key: &str) -> KeyHash {
    let mut hex = String::with_capacity(64);
    for byte in digest::digest(&digest::SHA256, key.as_bytes()).as_ref() {
        // Writing to a String cannot fail.
        let _infallible = write!(hex, "{byte:02x}");
    }
    KeyHash(hex)
}

/// True when both are the same, in a time that tells neither where they differ nor how long the right one is.
pub fn same(a: &str, b: &str) -> bool {
    let [a, b] = [a, b].map(|text| digest::digest(&digest::SHA256, text.as_bytes()));
    constant_time::verify_slices_are_equal(a.as_ref(), b.as_ref()).is_ok()
}

fn base32(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(5) * 8);
    for chunk in bytes.chunks(5) {
        let bits =
            chunk.iter().fold(0u64, |bits, byte| bits << 8 | u64::from(*byte)) << (40 - 8 * chunk.len());
        for at in 0..(chunk.len() * 8).div_ceil(5) {
            text.push(char::from(ALPHABET[(bits >> (35 - 5 * at)) as usize & 31]));
        }
    }
    text
}

const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// Shorter secrets than this can be guessed.
pub const SHORTEST: usize = 16;
/// Longer ones do not fit into every encoder's field.
pub const LONGEST: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base32_is_rfc_4648s() {
        for (bytes, text) in
            [("", ""), ("f", "my"), ("fo", "mzxq"), ("foob", "mzxw6yq"), ("foobar", "mzxw6ytboi")]
        {
            assert_eq!(base32(bytes.as_bytes()), text);
        }
    }

    #[test]
    fn a_secret_is_long_and_new_each_time() {
        let (a, b) = (random(), random());
        assert_eq!(a.len(), 32);
        assert_ne!(a, b);
        assert!(a.bytes().all(|byte| ALPHABET.contains(&byte)));
    }

    #[test]
    fn hash_is_sha256_in_lower_hex() {
        assert_eq!(hash("abc").0, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[test]
    fn only_the_same_text_is_the_same() {
        assert!(same("abc", "abc"));
        for other in ["", "ab", "abcd", "abd"] {
            assert!(!same("abc", other));
        }
    }
}
