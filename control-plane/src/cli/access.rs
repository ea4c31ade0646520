//! The commands that say who may call, and tell who has changed what.

use std::time::Duration;

use clap::Subcommand;
use http::Method;
use serde_json::json;

use super::commands::{Parts, Shape, duration, part};
use crate::access::Scope;

#[derive(Debug, Subcommand)]
pub(super) enum Token {
    /// All of them.
    List,
    /// Make one; it is shown this once.
    Create {
        /// What it may do; again for more.
        #[arg(long = "scope", required = true)]
        scopes: Vec<Scope>,
        /// Only what is below this channel; again for more.
        #[arg(long = "channel")]
        channels: Vec<String>,
        /// For people: whose it is, what uses it.
        #[arg(long, default_value = "")]
        label: String,
        /// When it ends, such as 90d, 12h or 30m from now; never when left out.
        #[arg(long, value_parser = duration)]
        expires_in: Option<Duration>,
    },
    /// Take one away.
    Delete { id: String },
}

#[derive(Debug, Subcommand)]
pub(super) enum Audit {
    /// The newest changes.
    List {
        /// Only by this one, such as token:abcdefgh.
        #[arg(long, default_value = "")]
        actor: String,
        /// Only of this and what is below it, such as channels/demo.
        #[arg(long, default_value = "")]
        target: String,
        /// Only these, such as deleteChannel.
        #[arg(long, default_value = "")]
        action: String,
        /// At most so many.
        #[arg(long, default_value_t = 50)]
        limit: u32,
    },
    /// All changes, a line of JSON for each.
    Export {
        /// Those after this one.
        #[arg(long, default_value_t = 0)]
        after: u64,
    },
}

impl Token {
    pub(super) fn plan(self) -> Parts {
        const COLUMNS: &[&str] = &["id", "label", "scopes", "channels", "created_at", "expires_at"];
        match self {
            Self::List => (Method::GET, "/api-tokens".into(), None, Shape::List("tokens", COLUMNS)),
            Self::Create { scopes, channels, label, expires_in } => {
                let mut body = json!({ "scopes": scopes, "channels": channels, "label": label });
                if let Some(expires_in) = expires_in {
                    body["expires_in"] = expires_in.as_secs().into();
                }
                (Method::POST, "/api-tokens".into(), Some(body), Shape::One)
            }
            Self::Delete { id } => (Method::DELETE, format!("/api-tokens/{}", part(&id)), None, Shape::One),
        }
    }
}

impl Audit {
    pub(super) fn plan(self) -> Parts {
        const COLUMNS: &[&str] = &["id", "at", "actor", "address", "action", "target"];
        match self {
            Self::List { actor, target, action, limit } => {
                let query = url::form_urlencoded::Serializer::new(String::new())
                    .append_pair("actor", &actor)
                    .append_pair("target", &target)
                    .append_pair("action", &action)
                    .append_pair("limit", &limit.to_string())
                    .finish();
                (Method::GET, format!("/audit?{query}"), None, Shape::List("entries", COLUMNS))
            }
            Self::Export { after } => {
                (Method::GET, format!("/audit/export?after={after}"), None, Shape::Lines)
            }
        }
    }
}
