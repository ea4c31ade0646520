//! The commands that look after nodes and caches.

use clap::{ArgGroup, Args, Subcommand};
use http::Method;
use serde_json::json;

use super::commands::{Parts, Shape, part};
use super::enrolment;

#[derive(Debug, Subcommand)]
pub(super) enum Node {
    /// All of them, and how they are.
    List,
    /// One of them.
    Show { id: String },
    /// Send it no new work.
    Drain { id: String },
    /// End a drain.
    Undrain { id: String },
    /// Forget one that is gone; one that runs comes back by itself, and is sent away with `revoke`.
    Forget { id: String },
    /// Make a token with which a new one gets its certificate, and print what to configure there.
    Enrol(enrolment::Enrol),
    /// Send one away: its certificates count no more.
    Revoke { id: String },
}

#[derive(Debug, Subcommand)]
pub(super) enum Purge {
    /// The newest, and how far they are.
    List,
    /// Make caches forget something, and wait until they have.
    Create(Target),
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("target").required(true))]
pub(super) struct Target {
    /// One URL as viewers write it, or a path for every host.
    #[arg(long, group = "target")]
    object: Option<String>,
    /// All URLs that begin so.
    #[arg(long, group = "target")]
    prefix: Option<String>,
    /// All answers with this tag.
    #[arg(long, group = "target")]
    tag: Option<String>,
    /// All that is cached of a channel.
    #[arg(long, group = "target")]
    channel: Option<String>,
    /// Stale instead of gone.
    #[arg(long)]
    soft: bool,
}

impl Node {
    pub(super) fn plan(self) -> Parts {
        const COLUMNS: &[&str] = &[
            "spec.id",
            "spec.role",
            "spec.region",
            "status",
            "reason",
            "spec.version",
            "load.viewers",
            "load.egress_bps",
            "load.cpu",
        ];
        match self {
            Self::List => (Method::GET, "/nodes".into(), None, Shape::List("nodes", COLUMNS)),
            Self::Show { id } => (Method::GET, format!("/nodes/{}", part(&id)), None, Shape::One),
            Self::Drain { id } => (Method::POST, format!("/nodes/{}/drain", part(&id)), None, Shape::One),
            Self::Undrain { id } => (Method::POST, format!("/nodes/{}/undrain", part(&id)), None, Shape::One),
            Self::Forget { id } => (Method::DELETE, format!("/nodes/{}", part(&id)), None, Shape::One),
            Self::Enrol(enrol) => enrol.plan(),
            Self::Revoke { id } => (Method::POST, format!("/nodes/{}/revoke", part(&id)), None, Shape::One),
        }
    }
}

impl Purge {
    pub(super) fn plan(self) -> Parts {
        const COLUMNS: &[&str] =
            &["id", "url", "prefix", "tag", "channel", "soft", "done", "applied", "pending", "down"];
        match self {
            Self::List => (Method::GET, "/purges".into(), None, Shape::List("purges", COLUMNS)),
            Self::Create(Target { object, prefix, tag, channel, soft }) => {
                let body =
                    json!({ "url": object, "prefix": prefix, "tag": tag, "channel": channel, "soft": soft });
                (Method::POST, "/purges".into(), Some(body), Shape::One)
            }
        }
    }
}
