//! The commands, and what each asks of the API.

use std::path::PathBuf;
use std::time::Duration;

use clap::Subcommand;
use clap_complete::Shell;
use http::Method;
use serde_json::Value;

use super::access::{Audit, Token};
use super::audience::{Audience, Forecast};
use super::backup::{self, Work};
use super::channels::Channel;
use super::directory::{Category, Wishes};
use super::enrolment;
use super::keys::Key;
use super::network::{Node, Purge};
use super::topology::Topology;
use super::users;
use super::viewers;
use super::webhooks::Webhook;

/// What to do.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Edges, origins and other instances.
    #[command(subcommand)]
    Node(Node),
    /// Regions, tiers, weights, capacities, routes and maintenance.
    #[command(subcommand)]
    Topology(Topology),
    /// Tokens with which new nodes get their certificates; `node enrol` makes them.
    #[command(subcommand)]
    Enrolment(enrolment::Enrolment),
    /// What publishers own and viewers watch.
    #[command(subcommand)]
    Channel(Channel),
    /// Stream keys: who may publish.
    #[command(subcommand)]
    Key(Key),
    /// What channels are about.
    #[command(subcommand)]
    Category(Category),
    /// Public channels as viewers find them: live ones by their viewers.
    Directory(Wishes),
    /// API tokens: who may call.
    #[command(subcommand)]
    Token(Token),
    /// What caches are to forget.
    #[command(subcommand)]
    Purge(Purge),
    /// Who is told what happens.
    #[command(subcommand)]
    Webhook(Webhook),
    /// Playback keys: what playback tokens are signed with.
    #[command(subcommand)]
    PlaybackKey(viewers::PlaybackKey),
    /// Make a playback token: who has it may watch a channel.
    PlaybackToken(viewers::PlaybackToken),
    /// Viewers who were sent away.
    #[command(subcommand)]
    Revocation(viewers::Revocation),
    /// Where a viewer is sent.
    Steer(viewers::Steer),
    /// What nodes live from.
    #[command(subcommand)]
    Snapshot(viewers::Snapshot),
    /// Who has changed what.
    #[command(subcommand)]
    Audit(Audit),
    /// Write all that the configured database holds to a file, while the control plane runs or not.
    Backup(backup::Backup),
    /// Fill the configured database from a backup, while no control plane runs.
    Restore(backup::Restore),
    /// Who watched, how much and how well.
    Audience(Audience),
    /// How many viewers a region will have, and how sure that is.
    Forecast(Forecast),
    /// People who sign in.
    #[command(subcommand)]
    User(users::User),
    /// Who is signed in.
    #[command(subcommand)]
    Session(users::Session),
    /// Sign in: the password is asked for, or read from standard input.
    Login(users::Login),
    /// Who you are, and what you may do.
    Whoami,
    /// Print completions for a shell.
    Completion { shell: Shell },
}

/// What is no call of the API.
#[derive(Debug)]
pub(super) enum Other {
    Completions(Shell),
    Database(Work),
}

/// A call of the API, and what of its answer people want to see.
#[derive(Debug, PartialEq)]
pub(super) struct Plan {
    pub(super) method: Method,
    /// Below `/api/v1`.
    pub(super) path: String,
    pub(super) body: Option<Value>,
    pub(super) shape: Shape,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// A table of what stands in a field, by the names of columns; dots lead into objects.
    List(&'static str, &'static [&'static str]),
    /// The same, and before it names and values of the rest.
    Report(&'static str, &'static [&'static str]),
    /// Names and values.
    One,
    /// As it comes.
    Lines,
    /// A token alone, or in this file.
    Token(Option<PathBuf>),
    /// What to configure at a node.
    Configuration,
}

impl Command {
    /// What it asks for.
    pub(super) fn plan(self) -> Result<Plan, Other> {
        let (method, path, body, shape) = match self {
            Self::Node(node) => node.plan(),
            Self::Topology(topology) => topology.plan(),
            Self::Enrolment(enrolment) => enrolment.plan(),
            Self::Channel(channel) => channel.plan(),
            Self::Key(key) => key.plan(),
            Self::Category(category) => category.plan(),
            Self::Directory(wishes) => wishes.plan(),
            Self::Token(token) => token.plan(),
            Self::Purge(purge) => purge.plan(),
            Self::Webhook(webhook) => webhook.plan(),
            Self::PlaybackKey(key) => key.plan(),
            Self::PlaybackToken(token) => token.plan(),
            Self::Revocation(revocation) => revocation.plan(),
            Self::Steer(steer) => steer.plan(),
            Self::Snapshot(snapshot) => snapshot.plan(),
            Self::Audit(audit) => audit.plan(),
            Self::Backup(backup) => return Err(Other::Database(Work::Backup(backup))),
            Self::Restore(restore) => return Err(Other::Database(Work::Restore(restore))),
            Self::Completion { shell } => return Err(Other::Completions(shell)),
            Self::Audience(audience) => audience.plan(),
            Self::Forecast(forecast) => forecast.plan(),
            Self::User(user) => user.plan(),
            Self::Session(session) => session.plan(),
            Self::Login(login) => login.plan(),
            Self::Whoami => users::whoami(),
        };
        Ok(Plan { method, path, body, shape })
    }
}

pub(super) type Parts = (Method, String, Option<Value>, Shape);

/// One part of a path, whatever is in it.
pub(super) fn part(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
}

/// A path with what is given.
pub(super) fn query<const N: usize>(path: &str, fields: [(&str, Option<String>); N]) -> String {
    let given = fields.into_iter().filter_map(|(name, value)| Some((name, value?)));
    let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(given).finish();
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}

pub(super) fn json_value(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| format!("this is no JSON: {error}"))
}

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 24 * 3600,
        _ => return Err("use a number and s, m, h or d, such as 90d".to_owned()),
    };
    let number: u64 = number.parse().map_err(|_| "use a number and s, m, h or d, such as 90d".to_owned())?;
    Ok(Duration::from_secs(number.saturating_mul(seconds)))
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use serde_json::json;

    use super::super::Cli;
    use super::*;

    fn plan(line: &str) -> Plan {
        Cli::try_parse_from(line.split(' ')).unwrap().command.plan().unwrap()
    }

    #[test]
    fn a_command_is_a_call() {
        for (line, method, path, body) in [
            ("x node drain eu-1", "POST", "/nodes/eu-1/drain", Value::Null),
            ("x node show a/b", "GET", "/nodes/a%2Fb", Value::Null),
            ("x node revoke eu-1", "POST", "/nodes/eu-1/revoke", Value::Null),
            (
                "x node enrol us-2 --role edge --expires-in 2d",
                "POST",
                "/enrolments",
                json!({ "node": "us-2", "role": "edge", "label": "", "expires_in": 172_800 }),
            ),
            ("x enrolment delete e1", "DELETE", "/enrolments/e1", Value::Null),
            (
                r#"x channel create demo --title Demo --settings {"record":true}"#,
                "POST",
                "/channels",
                json!({ "id": "demo", "title": "Demo", "settings": { "record": true } }),
            ),
            ("x channel change demo --title New", "PATCH", "/channels/demo", json!({ "title": "New" })),
            (
                "x key create demo --backup",
                "POST",
                "/channels/demo/keys",
                json!({ "label": "", "backup": true }),
            ),
            (
                "x channel set demo --language es-MX --owner= --tag a --tag b --mature true --visibility unlisted",
                "PATCH",
                "/channels/demo",
                json!({ "language": "es-MX", "owner": null, "tags": ["a", "b"], "mature": true, "visibility": "unlisted" }),
            ),
            ("x channel set demo --no-tags", "PATCH", "/channels/demo", json!({ "tags": [] })),
            (
                "x channel search a&b --mature",
                "GET",
                "/directory?q=a%26b&mature=true&live=false",
                Value::Null,
            ),
            ("x directory --language es --limit 5", "GET", "/directory?language=es&limit=5", Value::Null),
            (
                "x category change music --name de=Musik --name fr=",
                "PATCH",
                "/categories/music",
                json!({ "names": { "de": "Musik", "fr": null } }),
            ),
            ("x key rotate demo k1", "POST", "/channels/demo/keys/k1/rotate", json!({ "kick": true })),
            (
                "x key rotate demo k1 --grace 10m",
                "POST",
                "/channels/demo/keys/k1/rotate",
                json!({ "kick": false, "grace": 600 }),
            ),
            ("x key disable demo k1", "PATCH", "/channels/demo/keys/k1", json!({ "disabled": true })),
            (
                "x token create --scope publisher --scope read-only --channel demo --expires-in 2d",
                "POST",
                "/api-tokens",
                json!({ "scopes": ["publisher", "read-only"], "channels": ["demo"], "label": "", "expires_in": 172_800 }),
            ),
            (
                "x topology publish --note go --force",
                "POST",
                "/topology/draft/publish",
                json!({ "note": "go", "force": true }),
            ),
            (
                "x topology rollback 3 --base 5",
                "POST",
                "/topology/versions/3/rollback",
                json!({ "note": "", "force": false, "base": 5 }),
            ),
            ("x topology show 3", "GET", "/topology/versions/3", Value::Null),
            (
                r#"x topology patch {"nodes":{"a":null}}"#,
                "PATCH",
                "/topology/draft",
                json!({ "nodes": { "a": null } }),
            ),
            (
                "x audit list --target channels/demo --limit 5",
                "GET",
                "/audit?actor=&target=channels%2Fdemo&action=&limit=5",
                Value::Null,
            ),
        ] {
            let plan = plan(line);
            let made = (plan.method.as_str(), plan.path.as_str(), plan.body.unwrap_or_default());
            assert_eq!(made, (method, path, body), "{line}");
        }
        for wrong in [
            "x purge create",
            "x purge create --tag a --object /b",
            "x token create",
            "x channel create a --settings {",
            "x channel set demo --tag a --no-tags",
            "x category create a --name Musik",
        ] {
            assert!(Cli::try_parse_from(wrong.split(' ')).is_err(), "{wrong}");
        }
        assert!(duration("90").is_err() && duration("d").is_err() && duration("5 d").is_err());
    }
}
