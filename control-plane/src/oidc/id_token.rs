//! Whether an ID token can be believed (OpenID Connect Core 1.0 section 3.1.3.7). Pure: keys and `now` are arguments.

use jsonwebtoken::jwk::{Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::{Map, Value};

/// What a token has to fit.
#[derive(Debug)]
pub(super) struct Expected<'a> {
    pub(super) issuer: &'a str,
    pub(super) client_id: &'a str,
    pub(super) nonce: &'a str,
    /// Seconds since the Unix epoch.
    pub(super) now: u64,
}

/// Why a token is not believed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Doubt {
    /// Its key is none of those: perhaps one of newer ones.
    UnknownKey,
    Wrong(String),
}

/// The claims of a token that can be believed.
pub(super) fn verify(
    token: &str,
    keys: &[Jwk],
    expected: &Expected<'_>,
) -> Result<Map<String, Value>, Doubt> {
    let wrong = |why: &str| Doubt::Wrong(why.to_owned());
    let header = jsonwebtoken::decode_header(token).map_err(|error| Doubt::Wrong(error.to_string()))?;
    // Neither `none` nor one with a shared secret, whatever the token says of itself.
    if !ALGORITHMS.contains(&header.alg) {
        return Err(wrong("it is not signed with RS256, ES256 or EdDSA"));
    }
    let signs =
        |key: &&Jwk| key.common.public_key_use.as_ref().is_none_or(|used| *used == PublicKeyUse::Signature);
    let key = match &header.kid {
        Some(kid) => keys.iter().filter(signs).find(|key| key.common.key_id.as_ref() == Some(kid)),
        // Without a name it can only be the only one.
        None if keys.len() == 1 => keys.iter().find(signs),
        None => return Err(wrong("it does not say which key it is signed with")),
    };
    let key =
        DecodingKey::from_jwk(key.ok_or(Doubt::UnknownKey)?).map_err(|_| wrong("its key cannot be used"))?;
    let mut validation = Validation::new(header.alg);
    // Times are judged below, by the `now` that is given.
    validation.validate_exp = false;
    validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    validation.set_issuer(&[expected.issuer]);
    validation.set_audience(&[expected.client_id]);
    let decoded = jsonwebtoken::decode::<Map<String, Value>>(token, &key, &validation);
    let claims = decoded.map_err(|error| Doubt::Wrong(error.to_string()))?.claims;

    let time = |name: &str| claims.get(name).and_then(Value::as_u64);
    if time("exp").is_none_or(|expires| expires.saturating_add(SKEW) <= expected.now) {
        return Err(wrong("it is over"));
    }
    if time("iat").is_none_or(|issued| issued > expected.now.saturating_add(SKEW)) {
        return Err(wrong("it is of the future: do the clocks here and there agree?"));
    }
    if claims.get("nbf").is_some() && time("nbf").is_none_or(|from| from > expected.now.saturating_add(SKEW))
    {
        return Err(wrong("it does not count yet"));
    }
    let several = claims.get("aud").and_then(Value::as_array).is_some_and(|all| all.len() > 1);
    match claims.get("azp") {
        Some(party) if party.as_str() != Some(expected.client_id) => {
            return Err(wrong("it was made for another client"));
        }
        None if several => return Err(wrong("it is for several, and does not say who asked for it")),
        _ => {}
    }
    if claims.get("nonce").and_then(Value::as_str) != Some(expected.nonce) {
        return Err(wrong("it was not made for this sign-in"));
    }
    Ok(claims)
}

const ALGORITHMS: [Algorithm; 3] = [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA];
/// Seconds that clocks may differ by.
const SKEW: u64 = 60;

#[cfg(test)]
pub(crate) mod tests;
