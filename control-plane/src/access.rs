//! Who may do what with the API: scopes, and the channels that a token is limited to. Pure.

mod buckets;
mod lockout;
mod refusals;

use std::fmt;
use std::net::IpAddr;

use clap::ValueEnum;
use nearcast_api::ChannelId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use buckets::{Buckets, Rate};
pub use lockout::{FORGOTTEN, Lockout};
pub use refusals::Refusals;

/// A part of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// Everything, tokens, playback keys and the audit log among it.
    Admin,
    /// Nodes, purges, and what publishers and moderators may.
    Operator,
    /// Channels, their stream keys, metadata and playback tokens.
    Publisher,
    /// Sending viewers away.
    Moderator,
    /// Looking at all that is no secret.
    ReadOnly,
}

/// What a token allows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    pub scopes: Vec<Scope>,
    /// Only what is below these channels; empty for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub channels: Vec<ChannelId>,
}

/// Whom a limit on addresses means: an IPv4 address, or the /64 that an IPv6 address is in, which is what one line has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Line(IpAddr);

/// Somebody who calls the API, for the audit log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// `admin-token` for the one in `data_dir`, `token:ID` for those made with the API, `user:NAME` for
    /// who has signed in (or tried to, where the action is `refused`), `node:ID` for a node with a certificate,
    /// `enrolment:ID` for one that is to get it, `nearcast-control` for itself.
    pub name: String,
    pub address: Option<IpAddr>,
}

impl Scope {
    fn includes(self, other: Self) -> bool {
        match self {
            Self::Admin => true,
            Self::Operator => other != Self::Admin,
            Self::Publisher | Self::Moderator => matches!(other, Self::ReadOnly) || self == other,
            Self::ReadOnly => self == other,
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Admin => "admin",
            Self::Operator => "operator",
            Self::Publisher => "publisher",
            Self::Moderator => "moderator",
            Self::ReadOnly => "read-only",
        };
        name.fmt(f)
    }
}

impl Grant {
    /// Everything.
    pub fn all() -> Self {
        Self { scopes: vec![Scope::Admin], channels: Vec::new() }
    }

    /// Whether it has what `scope` allows.
    pub fn has(&self, scope: Scope) -> bool {
        self.scopes.iter().any(|own| own.includes(scope))
    }

    /// Whether it opens what belongs to `channel`, or with `None` to none.
    pub fn opens(&self, channel: Option<&str>) -> bool {
        self.channels.is_empty()
            || channel.is_some_and(|channel| self.channels.iter().any(|own| own.as_str() == channel))
    }
}

impl From<IpAddr> for Line {
    fn from(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(address) => IpAddr::V6((address.to_bits() >> 64 << 64).into()),
            address @ IpAddr::V4(_) => address,
        })
    }
}

impl Actor {
    /// The control plane itself.
    pub fn own() -> Self {
        Self { name: "nearcast-control".into(), address: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_has_what_it_includes() {
        use Scope::{Admin, Moderator, Operator, Publisher, ReadOnly};
        let all = [Admin, Operator, Publisher, Moderator, ReadOnly];
        let of = |scope| {
            let grant = Grant { scopes: vec![scope], channels: Vec::new() };
            all.into_iter().filter(|other| grant.has(*other)).collect::<Vec<_>>()
        };
        assert_eq!(of(Admin), all);
        assert_eq!(of(Operator), [Operator, Publisher, Moderator, ReadOnly]);
        assert_eq!(of(Publisher), [Publisher, ReadOnly]);
        assert_eq!(of(Moderator), [Moderator, ReadOnly]);
        assert_eq!(of(ReadOnly), [ReadOnly]);
        assert!(!Grant { scopes: Vec::new(), channels: Vec::new() }.has(ReadOnly));
    }

    #[test]
    fn a_line_is_an_ipv4_address_or_64_bits_of_ipv6() {
        let same = |a: &str, b: &str| {
            let [a, b] = [a, b].map(|text| Line::from(text.parse::<IpAddr>().unwrap()));
            a == b
        };
        assert!(
            same("2001:db8:1:2::1", "2001:db8:1:2:ffff::9") && !same("2001:db8:1:2::1", "2001:db8:1:3::1")
        );
        assert!(same("198.51.100.1", "::ffff:198.51.100.1") && !same("198.51.100.1", "198.51.100.2"));
    }

    #[test]
    fn a_limited_token_opens_its_channels_and_nothing_else() {
        let grant = Grant { scopes: vec![Scope::Admin], channels: vec!["demo".parse().unwrap()] };
        assert!(grant.opens(Some("demo")));
        assert!(!grant.opens(Some("demo2")) && !grant.opens(None));
        assert!(Grant::all().opens(None) && Grant::all().opens(Some("x")));
    }
}
