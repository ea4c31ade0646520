//! Names as checked newtypes, so that a wrong string stops where it enters.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A string that is not a valid name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{kind} {value:?} is not valid: use 1 to 63 of a-z, 0-9, '-' and '_', starting with a letter or digit"
)]
pub struct InvalidId {
    kind: &'static str,
    value: String,
}

/// True for 1 to [`MAX_LEN`] bytes of `a-z 0-9 - _` that start with a letter or digit: safe in a URL
/// path, a file name, a metric label and (but for `_`) a DNS label.
pub fn is_valid(value: &str) -> bool {
    let bytes = value.as_bytes();
    bytes.len() <= MAX_LEN
        && bytes.first().is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        && bytes.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_'))
}

/// The longest DNS label is 63 bytes; names of nodes become labels, so leave no doubt about the rest.
pub const MAX_LEN: usize = 63;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $kind:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        #[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(value_type = String, pattern = "^[a-z0-9][a-z0-9_-]{0,62}$"))]
        pub struct $name(Box<str>);

        impl $name {
            /// The name as it is written.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(value: &str) -> Result<Self, InvalidId> {
                if is_valid(value) {
                    Ok(Self(value.into()))
                } else {
                    // A hostile name must not become a log line of its own size.
                    Err(InvalidId { kind: $kind, value: value.chars().take(MAX_LEN + 1).collect() })
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;

            fn try_from(value: String) -> Result<Self, InvalidId> {
                value.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0.into()
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

id!(
    /// What a publisher owns and a viewer watches: the `{channel}` of every path.
    ChannelId,
    "channel"
);
id!(
    /// One time a channel is live. Never reused, so a media name never means other bytes.
    BroadcastId,
    "broadcast"
);
id!(
    /// One rung of a broadcast's ladder: `source`, `480p`, `audio`.
    RenditionId,
    "rendition"
);
id!(
    /// A running edge, origin or control-plane instance.
    NodeId,
    "node"
);
id!(
    /// Where a node stands, in the operator's own words: `eu`, `us-east`.
    Region,
    "region"
);
id!(
    /// Somebody who signs in.
    UserId,
    "user"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked_where_they_enter() {
        for good in ["demo", "0", "eu-1", "a_b", &"x".repeat(MAX_LEN)] {
            assert_eq!(good.parse::<ChannelId>().unwrap().as_str(), good);
        }
        for bad in ["", "-a", "_a", "Demo", "a/b", "a b", "é", "..", &"x".repeat(MAX_LEN + 1)] {
            assert!(bad.parse::<ChannelId>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_error_is_bounded_and_says_what_to_do() {
        let error = "A".repeat(1 << 20).parse::<NodeId>().unwrap_err().to_string();
        assert!(error.len() < 250 && error.contains("a-z"), "{error}");
    }

    #[test]
    fn json_refuses_what_parse_refuses() {
        assert!(serde_json::from_str::<Region>("\"eu\"").is_ok());
        assert!(serde_json::from_str::<Region>("\"E U\"").is_err());
    }
}
