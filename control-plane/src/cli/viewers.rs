//! Commands about viewers: who may watch, who was sent away, and where a viewer is steered.

use std::net::IpAddr;
use std::time::Duration;

use clap::{ArgGroup, Args, Subcommand, ValueEnum};
use http::Method;
use serde_json::{Value, json};

use super::commands::{Parts, Shape, duration, part};

#[derive(Debug, Subcommand)]
pub(super) enum PlaybackKey {
    /// All of them.
    List,
    /// Make one; what signs with it is shown this once.
    Create {
        #[arg(long, value_enum, default_value_t = Algorithm::Eddsa)]
        algorithm: Algorithm,
        /// Only for this channel; again for more.
        #[arg(long = "channel")]
        channels: Vec<String>,
        /// One that you have: the Ed25519 public key or the HMAC secret, in base64url.
        #[arg(long)]
        key: Option<String>,
        /// For people.
        #[arg(long, default_value = "")]
        label: String,
    },
    /// Take one away. Its tokens count no more.
    Delete { id: String },
}

/// How tokens are signed.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Algorithm {
    Eddsa,
    Hs256,
}

#[derive(Debug, Args)]
pub(super) struct PlaybackToken {
    channel: String,
    /// The viewer, by whom others of their tokens are counted and revoked.
    #[arg(long)]
    subject: Option<String>,
    /// For how long, such as 4h or 90d.
    #[arg(long, value_parser = duration, default_value = "4h")]
    expires_in: Duration,
    /// Only from this network; again for more.
    #[arg(long = "network")]
    networks: Vec<String>,
    /// Only in this country, by its two letters; again for more.
    #[arg(long = "country")]
    countries: Vec<String>,
    /// How many players may use it at one edge at a time.
    #[arg(long)]
    sessions: Option<u32>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Revocation {
    /// Those that are not over.
    List,
    /// Send somebody away: who matches everything that is named.
    Create(Whom),
    /// Let them in again.
    Delete { id: String },
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("whom").required(true).multiple(true))]
pub(super) struct Whom {
    /// A token, by its id.
    #[arg(long = "playback-token", group = "whom")]
    token_id: Option<String>,
    /// A viewer.
    #[arg(long, group = "whom")]
    subject: Option<String>,
    /// Where they are, such as 198.51.100.7/32.
    #[arg(long, group = "whom")]
    network: Option<String>,
    /// Only on this channel.
    #[arg(long)]
    channel: Option<String>,
    /// For how long.
    #[arg(long = "for", value_parser = duration, default_value = "1d")]
    span: Duration,
}

#[derive(Debug, Args)]
pub(super) struct Steer {
    channel: String,
    /// A viewer's address; your own when left out.
    #[arg(long)]
    ip: Option<IpAddr>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Snapshot {
    /// All that nodes are told, as JSON.
    Show,
}

impl PlaybackKey {
    pub(super) fn plan(self) -> Parts {
        const COLUMNS: &[&str] = &["id", "algorithm", "signs", "channels", "label", "created_at"];
        match self {
            Self::List => (Method::GET, "/playback-keys".into(), None, Shape::List("keys", COLUMNS)),
            Self::Create { algorithm, channels, key, label } => {
                let algorithm = match algorithm {
                    Algorithm::Eddsa => "EdDSA",
                    Algorithm::Hs256 => "HS256",
                };
                let body =
                    json!({ "algorithm": algorithm, "channels": channels, "key": key, "label": label });
                (Method::POST, "/playback-keys".into(), Some(body), Shape::One)
            }
            Self::Delete { id } => {
                (Method::DELETE, format!("/playback-keys/{}", part(&id)), None, Shape::One)
            }
        }
    }
}

impl PlaybackToken {
    pub(super) fn plan(self) -> Parts {
        let Self { channel, subject, expires_in, networks, countries, sessions } = self;
        let list = |names: Vec<String>| if names.is_empty() { Value::Null } else { names.into() };
        let body = json!({
            "subject": subject,
            "expires_in": expires_in.as_secs(),
            "networks": list(networks),
            "countries": list(countries),
            "sessions": sessions,
        });
        (Method::POST, format!("/channels/{}/tokens", part(&channel)), Some(body), Shape::One)
    }
}

impl Revocation {
    pub(super) fn plan(self) -> Parts {
        const COLUMNS: &[&str] = &["id", "token", "subject", "network", "channel", "until", "created_at"];
        match self {
            Self::List => (Method::GET, "/revocations".into(), None, Shape::List("revocations", COLUMNS)),
            Self::Create(Whom { token_id, subject, network, channel, span }) => {
                let body = json!({
                    "token": token_id,
                    "subject": subject,
                    "network": network,
                    "channel": channel,
                    "seconds": span.as_secs(),
                });
                (Method::POST, "/revocations".into(), Some(body), Shape::One)
            }
            Self::Delete { id } => (Method::DELETE, format!("/revocations/{}", part(&id)), None, Shape::One),
        }
    }
}

impl Steer {
    pub(super) fn plan(self) -> Parts {
        let query = self.ip.map(|ip| format!("?ip={ip}")).unwrap_or_default();
        (Method::GET, format!("/steer/{}{query}", part(&self.channel)), None, Shape::One)
    }
}

impl Snapshot {
    pub(super) fn plan(self) -> Parts {
        match self {
            Self::Show => (Method::GET, "/snapshot".into(), None, Shape::Lines),
        }
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
            (
                "x playback-key create --algorithm hs256 --channel demo",
                "POST",
                "/playback-keys",
                json!({ "algorithm": "HS256", "channels": ["demo"], "key": null, "label": "" }),
            ),
            (
                "x playback-token demo --subject anna --country DE",
                "POST",
                "/channels/demo/tokens",
                json!({ "subject": "anna", "expires_in": 14_400, "networks": null, "countries": ["DE"], "sessions": null }),
            ),
            (
                "x revocation create --subject bert --network 198.51.100.7/32 --for 2h",
                "POST",
                "/revocations",
                json!({ "token": null, "subject": "bert", "network": "198.51.100.7/32", "channel": null, "seconds": 7200 }),
            ),
            ("x revocation delete r1", "DELETE", "/revocations/r1", Value::Null),
            ("x steer demo --ip 2001:db8::1", "GET", "/steer/demo?ip=2001:db8::1", Value::Null),
            ("x snapshot show", "GET", "/snapshot", Value::Null),
        ] {
            let plan = Cli::try_parse_from(line.split(' ')).unwrap().command.plan().unwrap();
            let made = (plan.method.as_str(), plan.path.as_str(), plan.body.unwrap_or_default());
            assert_eq!(made, (method, path, body), "{line}");
        }
        assert!(Cli::try_parse_from("x revocation create --channel demo".split(' ')).is_err(), "everybody?");
    }
}
