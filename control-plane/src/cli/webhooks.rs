//! The commands that are about webhooks.

use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Value, json};

use super::commands::{Parts, Shape, part};

#[derive(Debug, Subcommand)]
pub(super) enum Webhook {
    /// All of them.
    List,
    /// One of them.
    Show { id: String },
    /// Make one; its secret is shown this once.
    Create {
        /// Its receiver's URL: https://HOST/PATH.
        receiver: String,
        #[command(flatten)]
        fields: Fields,
    },
    /// Change it; what is left out stays.
    Change {
        id: String,
        /// Its receiver's URL.
        #[arg(long)]
        receiver: Option<String>,
        #[command(flatten)]
        fields: Fields,
        /// Let it send again, or nothing more.
        #[arg(long)]
        enabled: Option<bool>,
    },
    /// Give it a new secret, shown this once; the old one signs for a day as well.
    Rotate { id: String },
    /// Send its receiver a test.
    Test { id: String },
    /// Delete it with its deliveries.
    Delete { id: String },
    /// What its receiver was told, and how that went, newest first.
    Deliveries {
        id: String,
        /// Only these: waiting, delivered or dead.
        #[arg(long, value_parser = ["waiting", "delivered", "dead"])]
        state: Option<String>,
        /// At most so many.
        #[arg(long, default_value_t = 50)]
        limit: u32,
    },
    /// Try a delivery again, at once.
    Retry { id: String, delivery: String },
}

#[derive(Debug, Args)]
pub(super) struct Fields {
    /// For people.
    #[arg(long)]
    label: Option<String>,
    /// What it is told, such as channel.live; again for more, everything when left out.
    #[arg(long = "event")]
    events: Vec<String>,
    /// Only what happens to this channel; again for more.
    #[arg(long = "channel")]
    channels: Vec<String>,
}

impl Webhook {
    pub(super) fn plan(self) -> Parts {
        const COLUMNS: &[&str] =
            &["id", "url", "label", "events", "channels", "enabled", "disabled_because", "created_at"];
        const DELIVERIES: &[&str] = &[
            "id",
            "type",
            "state",
            "attempts",
            "created_at",
            "next_attempt_at",
            "done_at",
            "status",
            "error",
        ];
        let of = |id: &str| format!("/webhooks/{}", part(id));
        match self {
            Self::List => (Method::GET, "/webhooks".into(), None, Shape::List("webhooks", COLUMNS)),
            Self::Show { id } => (Method::GET, of(&id), None, Shape::One),
            Self::Create { receiver, fields } => {
                let body = fields.with([("url", Some(receiver.into()))]);
                (Method::POST, "/webhooks".into(), Some(body), Shape::One)
            }
            Self::Change { id, receiver, fields, enabled } => {
                let body =
                    fields.with([("url", receiver.map(Value::from)), ("enabled", enabled.map(Value::from))]);
                (Method::PATCH, of(&id), Some(body), Shape::One)
            }
            Self::Rotate { id } => (Method::POST, format!("{}/rotate-secret", of(&id)), None, Shape::One),
            Self::Test { id } => (Method::POST, format!("{}/test", of(&id)), None, Shape::One),
            Self::Delete { id } => (Method::DELETE, of(&id), None, Shape::One),
            Self::Deliveries { id, state, limit } => {
                let state = state.map(|state| format!("&state={state}")).unwrap_or_default();
                let path = format!("{}/deliveries?limit={limit}{state}", of(&id));
                (Method::GET, path, None, Shape::List("deliveries", DELIVERIES))
            }
            Self::Retry { id, delivery } => {
                (Method::POST, format!("{}/deliveries/{}/retry", of(&id), part(&delivery)), None, Shape::One)
            }
        }
    }
}

impl Fields {
    /// What was given, with more.
    fn with<const N: usize>(self, more: [(&str, Option<Value>); N]) -> Value {
        let Self { label, events, channels } = self;
        let list = |names: Vec<String>| (!names.is_empty()).then(|| json!(names));
        let own = [("label", label.map(Value::from)), ("events", list(events)), ("channels", list(channels))];
        own.into_iter().chain(more).filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::Cli;
    use super::*;

    #[test]
    fn a_command_is_a_call() {
        for (line, method, path, body) in [
            ("webhook list", "GET", "/webhooks", Value::Null),
            (
                "webhook create https://a/b --event channel.live --event channel.ended --channel demo",
                "POST",
                "/webhooks",
                json!({ "url": "https://a/b", "events": ["channel.live", "channel.ended"], "channels": ["demo"] }),
            ),
            ("webhook change w --enabled false", "PATCH", "/webhooks/w", json!({ "enabled": false })),
            ("webhook change w --receiver https://b", "PATCH", "/webhooks/w", json!({ "url": "https://b" })),
            ("webhook rotate w", "POST", "/webhooks/w/rotate-secret", Value::Null),
            (
                "webhook deliveries w --state dead",
                "GET",
                "/webhooks/w/deliveries?limit=50&state=dead",
                Value::Null,
            ),
            ("webhook retry w evt_1", "POST", "/webhooks/w/deliveries/evt_1/retry", Value::Null),
        ] {
            let line = format!("x {line}");
            let plan = Cli::try_parse_from(line.split(' ')).unwrap().command.plan().unwrap();
            let made = (plan.method.as_str(), plan.path.as_str(), plan.body.unwrap_or_default());
            assert_eq!(made, (method, path, body), "{line}");
        }
        assert!(Cli::try_parse_from("x webhook deliveries w --state lost".split(' ')).is_err());
    }
}
