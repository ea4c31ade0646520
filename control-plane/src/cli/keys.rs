//! Commands about stream keys.

use std::time::Duration;

use clap::Subcommand;
use http::Method;
use serde_json::json;

use super::commands::{Parts, Shape, duration, part};

#[derive(Debug, Subcommand)]
pub(super) enum Key {
    /// A channel's keys.
    List { channel: String },
    /// Make one; it is shown this once.
    Create {
        channel: String,
        /// For people: whose it is, where it is used.
        #[arg(long, default_value = "")]
        label: String,
        /// For an encoder that stands by.
        #[arg(long)]
        backup: bool,
    },
    /// Replace one; the new one is shown this once. The old one stops, and its encoder is sent away.
    Rotate {
        channel: String,
        id: String,
        /// Not at once, but after such a time: 10m, 1h, at most 1d.
        #[arg(long, value_parser = duration)]
        grace: Option<Duration>,
    },
    /// Switch one off. Its encoder is sent away.
    Disable { channel: String, id: String },
    /// Switch one on again.
    Enable { channel: String, id: String },
    /// Take one away. Its encoder is sent away.
    Delete { channel: String, id: String },
}

impl Key {
    pub(super) fn plan(self) -> Parts {
        const COLUMNS: &[&str] = &["id", "label", "backup", "disabled", "created_at", "old_ends_at"];
        let keys = |channel: &str| format!("/channels/{}/keys", part(channel));
        let key = |channel: &str, id: &str| format!("{}/{}", keys(channel), part(id));
        let switch = |channel: &str, id: &str, off: bool| {
            (Method::PATCH, key(channel, id), Some(json!({ "disabled": off })), Shape::One)
        };
        match self {
            Self::List { channel } => (Method::GET, keys(&channel), None, Shape::List("keys", COLUMNS)),
            Self::Create { channel, label, backup } => {
                let body = json!({ "label": label, "backup": backup });
                (Method::POST, keys(&channel), Some(body), Shape::One)
            }
            Self::Rotate { channel, id, grace } => {
                let body = match grace {
                    None => json!({ "kick": true }),
                    Some(grace) => json!({ "kick": false, "grace": grace.as_secs() }),
                };
                (Method::POST, format!("{}/rotate", key(&channel, &id)), Some(body), Shape::One)
            }
            Self::Disable { channel, id } => switch(&channel, &id, true),
            Self::Enable { channel, id } => switch(&channel, &id, false),
            Self::Delete { channel, id } => (Method::DELETE, key(&channel, &id), None, Shape::One),
        }
    }
}
