//! Playback tokens: where a request has one, whether it is genuine, and whether it is for this request.

use std::net::IpAddr;
use std::sync::Arc;

use http::HeaderMap;
use http::header::{AUTHORIZATION, COOKIE};
use jsonwebtoken::Validation;
use nearcast_api::playback::{Claims, Country, LONGEST_TOKEN};

use super::rules::{Key, Rules};
use crate::error::{Error, Result};

/// A token with a good signature.
#[derive(Debug)]
pub struct Verified {
    pub claims: Claims,
    pub key: Arc<Key>,
    /// By which one without a name is told from others.
    signature: Box<str>,
}

/// Whose a token is: all tokens of one subject are one viewer's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Holder<'a> {
    Subject { key: &'a str, sub: &'a str },
    Token { key: &'a str, jti: &'a str },
    Bearer { signature: &'a str },
}

/// A path without the token that it may begin with: `/~TOKEN/live/…`. Players keep it, because playlists and manifests
/// name everything relative to themselves.
pub fn split(path: &str) -> (Option<&str>, &str) {
    // Some players spell the tilde so (RFC 3986 §2.3 has them mean the same).
    let rest =
        path.strip_prefix("/~").or_else(|| path.strip_prefix("/%7E")).or_else(|| path.strip_prefix("/%7e"));
    let Some(rest) = rest else { return (None, path) };
    match rest.find('/') {
        Some(end) => (Some(&rest[..end]), &rest[end..]),
        None => (Some(rest), "/"),
    }
}

/// The token of a request: in its path, as a bearer token (RFC 6750 §2.1), or in a cookie.
pub fn find<'a>(in_path: Option<&'a str>, headers: &'a HeaderMap) -> Option<&'a str> {
    in_path.or_else(|| bearer(headers)).or_else(|| cookie(headers))
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find_map(|(name, value)| (name == COOKIE_NAME).then_some(value))
}

/// Checks a token's signature against the key that it names.
///
/// # Errors
/// [`Error::BadToken`] says what is wrong with it.
pub fn verify(token: &str, rules: &Rules) -> Result<Verified> {
    let bad = |why| Error::BadToken { why };
    if token.len() > LONGEST_TOKEN {
        return Err(bad("it is longer than 4096 bytes"));
    }
    let header = jsonwebtoken::decode_header(token).map_err(|_| bad("it is no JWT (RFC 7519)"))?;
    let kid = header.kid.ok_or(bad("its header has no `kid`, which names the playback key"))?;
    if header.crit.is_some() {
        return Err(bad("its header has `crit`, and nothing that it may name is known here"));
    }
    let key = rules.key(&kid).ok_or(bad("its `kid` names no playback key of this network"))?;
    if header.alg != key.algorithm {
        return Err(bad("its `alg` is not that of the playback key"));
    }
    // The times are looked at with every request, and the audience is the channels.
    let mut validation = Validation::new(key.algorithm);
    (validation.validate_exp, validation.validate_nbf, validation.validate_aud) = (false, false, false);
    match jsonwebtoken::decode::<Claims>(token, &key.decoding, &validation) {
        Ok(data) => {
            let signature = token.rsplit('.').next().unwrap_or_default().into();
            Ok(Verified { claims: data.claims, key: Arc::clone(key), signature })
        }
        Err(error) => Err(bad(match error.kind() {
            jsonwebtoken::errors::ErrorKind::InvalidSignature => "its signature is wrong",
            jsonwebtoken::errors::ErrorKind::Base64(_) => {
                "a part of it is no base64url: it may have been cut"
            }
            _ => "its claims cannot be read: `exp` and `channels` are needed",
        })),
    }
}

impl Verified {
    /// Whose it is.
    pub fn holder(&self) -> Holder<'_> {
        let key = self.key.id.as_str();
        match (&self.claims.sub, &self.claims.jti) {
            (Some(sub), _) => Holder::Subject { key, sub },
            (None, Some(jti)) => Holder::Token { key, jti },
            (None, None) => Holder::Bearer { signature: &self.signature },
        }
    }

    /// Whether it opens `channel` for a viewer at `address`. `now` is in seconds since the Unix epoch.
    ///
    /// # Errors
    /// Says which claim it fails by.
    pub fn check(
        &self,
        channel: &str,
        address: IpAddr,
        now: u64,
        country: impl FnOnce() -> Option<Country>,
    ) -> Result<()> {
        let Claims { exp, nbf, channels, networks, countries, .. } = &self.claims;
        if now >= *exp {
            return Err(Error::BadToken { why: "it has expired" });
        }
        if nbf.is_some_and(|begin| now.saturating_add(SKEW) < begin) {
            return Err(Error::BadToken { why: "it does not count yet" });
        }
        let may = &self.key.stated.channels;
        if !channels.iter().any(|open| open == channel || open == "*")
            || !may.is_empty() && !may.iter().any(|open| open.as_str() == channel)
        {
            return Err(Error::Forbidden { why: "the token is not for this channel" });
        }
        if networks.as_ref().is_some_and(|list| !list.iter().any(|network| network.contains(&address))) {
            return Err(Error::Forbidden { why: "the token is not for this network" });
        }
        if let Some(list) = countries
            && !country().is_some_and(|country| list.contains(&country))
        {
            return Err(Error::Forbidden { why: "the token is not for this country" });
        }
        Ok(())
    }
}

/// Any bytes as a request's path and headers and as a token: nothing panics, and nothing is believed.
pub fn fuzz(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (token, rest) = split(text);
    assert!(token.unwrap_or_default().len() + rest.len() <= text.len() + 1, "a path has grown");
    let mut headers = HeaderMap::new();
    if let Ok(value) = http::HeaderValue::from_str(text) {
        headers.insert(AUTHORIZATION, value.clone());
        headers.insert(COOKIE, value);
    }
    let key = nearcast_api::playback::Key {
        algorithm: nearcast_api::playback::Algorithm::Hs256,
        key: "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA".into(),
        channels: Vec::new(),
    };
    let snapshot = nearcast_api::snapshot::Snapshot {
        playback_keys: [("k".to_owned(), key)].into(),
        ..Default::default()
    };
    let rules = Rules::new(Arc::new(snapshot), None);
    for token in [Some(text), find(token, &headers)].into_iter().flatten() {
        assert!(verify(token, &rules).is_err(), "a made-up token is believed");
    }
}

/// The cookie's name.
const COOKIE_NAME: &str = "nearcast_token";
/// Seconds that the clock of whoever signed may be ahead.
const SKEW: u64 = 30;
