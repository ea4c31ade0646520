//! Who may watch: a channel's rules, the tokens that viewers bring, the keys that sign them, and who is sent away.

use std::fmt;
use std::str::FromStr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::ChannelId;

/// Who may watch a channel. What is left out lets everybody.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct Playback {
    /// Only who brings a token for the channel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<bool>,
    /// Only viewers in these countries; nobody whose country is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub countries: Option<Vec<Country>>,
    /// No viewers in these countries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blocked_countries: Option<Vec<Country>>,
}

/// Two capital letters of ISO 3166-1 alpha-2.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "schema", schema(value_type = String, example = "DE"))]
#[serde(try_from = "String", into = "String")]
pub struct Country([u8; 2]);

/// What a playback token says: a JWT (RFC 7519) of one of the fleet's playback keys, which `kid` in its header names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "schema", schema(as = PlaybackClaims))]
pub struct Claims {
    /// Seconds since the Unix epoch at which it is over.
    pub exp: u64,
    /// Seconds since the Unix epoch before which it does not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nbf: Option<u64>,
    /// Its own name, by which it can be revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jti: Option<String>,
    /// The viewer, who can be sent away by this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sub: Option<String>,
    /// The channels it opens; `*` for all that its key may open.
    pub channels: Vec<String>,
    /// Networks it can be used from, such as `198.51.100.0/24`; left out for any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<Vec<String>>))]
    pub networks: Option<Vec<IpNet>>,
    /// Countries it can be used in; left out for any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub countries: Option<Vec<Country>>,
    /// How many players may use it, or others of the same `sub`, at one edge at a time; left out for any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sessions: Option<u32>,
}

/// A key that playback tokens are verified with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "schema", schema(as = PlaybackVerifyingKey))]
pub struct Key {
    pub algorithm: Algorithm,
    /// The public key (32 bytes, RFC 8032) or the secret, in base64url without padding.
    pub key: String,
    /// The channels that its tokens can open; empty for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub channels: Vec<ChannelId>,
}

/// How playback tokens are signed (RFC 8037, RFC 7518 §3.2).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "schema", schema(as = PlaybackAlgorithm))]
pub enum Algorithm {
    /// Ed25519: edges have the public half only.
    #[default]
    #[serde(rename = "EdDSA")]
    EdDsa,
    /// HMAC with SHA-256: edges have the secret.
    #[serde(rename = "HS256")]
    Hs256,
}

/// Viewers who may not watch any more: those that match everything it names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Revocation {
    /// A token's `jti`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// A viewer: a token's `sub`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Where they are, such as `198.51.100.7/32`; it works without tokens, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>))]
    pub network: Option<IpNet>,
    /// Only on this channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<ChannelId>,
    /// When they may again, in milliseconds since the Unix epoch.
    pub until: u64,
}

/// Text that is no country.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a country: use two capital letters of ISO 3166-1, such as DE")]
pub struct InvalidCountry(String);

impl Playback {
    /// Whether a token is needed.
    pub fn needs_token(&self) -> bool {
        self.token.unwrap_or(false)
    }

    /// Whether a viewer there may watch.
    pub fn lets(&self, country: Option<Country>) -> bool {
        let named = |list: &Vec<Country>| country.is_some_and(|country| list.contains(&country));
        self.countries.as_ref().is_none_or(named) && !self.blocked_countries.as_ref().is_some_and(named)
    }

    /// Whether it matters in which country a viewer is.
    pub fn asks_country(&self) -> bool {
        self.countries.is_some() || self.blocked_countries.is_some()
    }

    /// Says what cannot be, if anything, and what can.
    pub fn check(&self) -> Result<(), String> {
        if self.countries.as_ref().is_some_and(Vec::is_empty) {
            return Err(
                "playback.countries is empty, so nobody could watch: name some, or null for all".into()
            );
        }
        Ok(())
    }
}

impl Country {
    /// That of somebody of whom nobody knows in which one they are (CLDR, "Unknown Region"; user-assigned in ISO 3166-1).
    pub const UNKNOWN: Self = Self(*b"ZZ");

    pub fn as_str(&self) -> &str {
        // Two ASCII letters, by construction.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl FromStr for Country {
    type Err = InvalidCountry;

    fn from_str(text: &str) -> Result<Self, InvalidCountry> {
        match text.as_bytes() {
            [a @ b'A'..=b'Z', b @ b'A'..=b'Z'] => Ok(Self([*a, *b])),
            _ => Err(InvalidCountry(text.chars().take(20).collect())),
        }
    }
}

impl TryFrom<String> for Country {
    type Error = InvalidCountry;

    fn try_from(text: String) -> Result<Self, InvalidCountry> {
        text.parse()
    }
}

impl From<Country> for String {
    fn from(country: Country) -> Self {
        country.as_str().to_owned()
    }
}

impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Bytes of a token that edges read.
pub const LONGEST_TOKEN: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    fn countries(list: &[&str]) -> Option<Vec<Country>> {
        Some(list.iter().map(|country| country.parse().unwrap()).collect())
    }

    #[test]
    fn a_list_of_countries_keeps_out_whose_country_is_not_known() {
        let country = |text: &str| Some(text.parse().unwrap());
        let only = Playback { countries: countries(&["DE", "FR"]), ..Playback::default() };
        assert!(only.lets(country("DE")) && !only.lets(country("US")) && !only.lets(None));
        let not = Playback { blocked_countries: countries(&["US"]), ..Playback::default() };
        assert!(not.lets(country("DE")) && !not.lets(country("US")) && not.lets(None));
        assert!(Playback::default().lets(None));
        assert!(Playback { countries: Some(Vec::new()), ..Playback::default() }.check().is_err());
    }

    #[test]
    fn a_country_is_two_capital_letters() {
        for wrong in ["", "D", "de", "DEU", "D1", "ÄÖ"] {
            assert!(wrong.parse::<Country>().is_err(), "{wrong}");
        }
        assert_eq!(serde_json::to_string(&"DE".parse::<Country>().unwrap()).unwrap(), "\"DE\"");
    }
}
