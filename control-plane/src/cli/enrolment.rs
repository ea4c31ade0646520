//! The commands with which an operator lets new nodes in.

use std::time::Duration;

use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Value, json};

use super::commands::{Parts, Shape, duration, part};
use super::table;

/// `node enrol`
#[derive(Debug, Args)]
pub(super) struct Enrol {
    /// What the node has to be called; left out for any name.
    id: Option<String>,
    /// What it has to be: edge, origin or control.
    #[arg(long)]
    role: Option<String>,
    /// Where it has to be.
    #[arg(long)]
    region: Option<String>,
    /// For people: which machine, for whom.
    #[arg(long, default_value = "")]
    label: String,
    /// When the token ends, such as 30m, 12h or 7d from now, which is the most.
    #[arg(long, value_parser = duration, default_value = "1h")]
    expires_in: Duration,
}

/// `enrolment`
#[derive(Debug, Subcommand)]
pub(super) enum Enrolment {
    /// All of them, and what became of them.
    List,
    /// Take one away that was not used.
    Delete { id: String },
}

impl Enrol {
    pub(super) fn plan(self) -> Parts {
        let Self { id, role, region, label, expires_in } = self;
        let mut body = json!({ "label": label, "expires_in": expires_in.as_secs() });
        for (name, value) in [("node", id), ("role", role), ("region", region)] {
            if let Some(value) = value {
                body[name] = value.into();
            }
        }
        (Method::POST, "/enrolments".into(), Some(body), Shape::Configuration)
    }
}

impl Enrolment {
    pub(super) fn plan(self) -> Parts {
        const COLUMNS: &[&str] =
            &["id", "node", "role", "region", "label", "expires_at", "used_by", "used_at"];
        match self {
            Self::List => (Method::GET, "/enrolments".into(), None, Shape::List("enrolments", COLUMNS)),
            Self::Delete { id } => (Method::DELETE, format!("/enrolments/{}", part(&id)), None, Shape::One),
        }
    }
}

/// What to put into the configuration of the node that a new token is for.
pub(super) fn configuration(created: &Value, url: &str) -> String {
    let text = |field: &str| created[field].as_str().unwrap_or_default();
    let node = created["node"].as_str().map(|node| format!(" {node}")).unwrap_or_default();
    // Who stands beside the control plane asks it without TLS; nodes cannot.
    let (url, hint) = match url.starts_with("https://") {
        true => (url, ""),
        false => ("https://CONTROL-PLANE", "# CONTROL-PLANE is how the node reaches it, over TLS.\n"),
    };
    format!(
        "# For the configuration of node{node}, which uses it once, until {}. It is not shown again.\n\
         {hint}[control]\nurl = \"{url}\"\nenrolment_token = \"{}\"\n",
        table::cell(created, "expires_at"),
        text("token"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_is_configuration() {
        let created = json!({ "node": "us-2", "token": "nce_a.b", "expires_at": 1_800_000_000_000_u64 });
        let text = configuration(&created, "https://control.example.net");
        let table: toml::Table = text.parse().unwrap();
        assert_eq!(table["control"]["url"].as_str(), Some("https://control.example.net"));
        assert_eq!(table["control"]["enrolment_token"].as_str(), Some("nce_a.b"));
        assert!(text.contains("node us-2") && text.contains("2027"), "{text}");
        assert!(configuration(&created, "http://127.0.0.1:8080").contains("https://CONTROL-PLANE"));
    }
}
