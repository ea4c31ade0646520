//! The commands for people: users, their sessions, signing in.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Value, json};

use super::commands::{Command, Parts, Shape, part};
use super::terminal;
use crate::access::Scope;

#[derive(Debug, Subcommand)]
pub(super) enum User {
    /// All of them.
    List,
    /// One of them.
    Show { id: String },
    /// Make one. The password is asked for, or read from standard input.
    Create {
        id: String,
        /// What they may do; again for more.
        #[arg(long = "scope", required = true)]
        scopes: Vec<Scope>,
        #[command(flatten)]
        fields: Fields,
        /// They come by the identity provider only.
        #[arg(long)]
        no_password: bool,
        #[arg(skip)]
        password: Option<String>,
    },
    /// Change what they may do, or whether they may sign in.
    Change {
        id: String,
        /// What they may do from now on; again for more.
        #[arg(long = "scope")]
        scopes: Option<Vec<Scope>>,
        #[command(flatten)]
        fields: Fields,
        /// Let them open all channels again.
        #[arg(long, conflicts_with = "channels")]
        all_channels: bool,
        /// Sign them out, and let them in no more.
        #[arg(long)]
        disable: bool,
        /// Let them in again.
        #[arg(long, conflicts_with = "disable")]
        enable: bool,
    },
    /// Delete one. Their sessions end.
    Delete { id: String },
    /// Set a password, which is asked for, or read from standard input. All the user's sessions end.
    Password {
        id: String,
        /// It is one's own: ask for the old one too, which comes first.
        #[arg(long)]
        own: bool,
        #[arg(skip)]
        old: Option<String>,
        #[arg(skip)]
        password: Option<String>,
    },
}

#[derive(Debug, Args)]
pub(super) struct Fields {
    /// For people.
    #[arg(long)]
    name: Option<String>,
    /// Only what is below this channel; again for more.
    #[arg(long = "channel")]
    channels: Vec<String>,
    /// Who they are at the identity provider.
    #[arg(long)]
    subject: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Session {
    /// One's own, or everybody's for admins.
    List {
        /// Only this user's.
        #[arg(long)]
        user: Option<String>,
    },
    /// End one; `current` for the one of this call.
    Delete { id: String },
}

#[derive(Debug, Args)]
pub(super) struct Login {
    user: String,
    /// Write the token to this file, for --token-file, instead of showing it.
    #[arg(long)]
    save: Option<PathBuf>,
    #[arg(skip)]
    password: Option<String>,
}

impl Command {
    /// Asks for the secrets that a command needs. They are never arguments: others see those.
    pub(super) fn ask(&mut self) -> Result<(), String> {
        match self {
            Self::User(User::Create { no_password: false, password, .. }) => {
                *password = Some(terminal::secret("Their password", true)?);
            }
            Self::User(User::Password { own, old, password, .. }) => {
                if *own {
                    *old = Some(terminal::secret("Old password", false)?);
                }
                *password = Some(terminal::secret("New password", true)?);
            }
            Self::Login(Login { password, .. }) => *password = Some(terminal::secret("Password", false)?),
            _ => {}
        }
        Ok(())
    }

    /// Whether it is for who has no token yet.
    pub(super) fn is_open(&self) -> bool {
        matches!(self, Self::Login(_))
    }
}

impl User {
    pub(super) fn plan(self) -> Parts {
        const COLUMNS: &[&str] =
            &["id", "name", "scopes", "channels", "disabled", "has_password", "created_at", "last_login_at"];
        match self {
            Self::List => (Method::GET, "/users?limit=500".into(), None, Shape::List("users", COLUMNS)),
            Self::Show { id } => (Method::GET, path(&id), None, Shape::One),
            Self::Create { id, scopes, fields: Fields { name, channels, subject }, password, .. } => {
                let given = [
                    ("name", name.map(Value::from)),
                    ("subject", subject.map(Value::from)),
                    ("password", password.map(Value::from)),
                ];
                let mut body = body(given);
                body["id"] = id.into();
                body["scopes"] = json!(scopes);
                body["channels"] = json!(channels);
                (Method::POST, "/users".into(), Some(body), Shape::One)
            }
            Self::Change {
                id,
                scopes,
                fields: Fields { name, channels, subject },
                all_channels,
                disable,
                enable,
            } => {
                let given = [
                    ("name", name.map(Value::from)),
                    ("subject", subject.map(Value::from)),
                    ("scopes", scopes.map(|scopes| json!(scopes))),
                    ("channels", (all_channels || !channels.is_empty()).then(|| json!(channels))),
                    ("disabled", (disable || enable).then_some(json!(disable))),
                ];
                (Method::PATCH, path(&id), Some(body(given)), Shape::One)
            }
            Self::Delete { id } => (Method::DELETE, path(&id), None, Shape::One),
            Self::Password { id, old, password, .. } => {
                let body = body([("old", old.map(Value::from)), ("password", password.map(Value::from))]);
                (Method::PUT, format!("{}/password", path(&id)), Some(body), Shape::One)
            }
        }
    }
}

impl Session {
    pub(super) fn plan(self) -> Parts {
        const COLUMNS: &[&str] = &["id", "user", "address", "created_at", "expires_at"];
        match self {
            Self::List { user } => {
                let user = user.map(|user| format!("&user={}", part(&user))).unwrap_or_default();
                (Method::GET, format!("/sessions?limit=500{user}"), None, Shape::List("sessions", COLUMNS))
            }
            Self::Delete { id } => (Method::DELETE, format!("/sessions/{}", part(&id)), None, Shape::One),
        }
    }
}

impl Login {
    pub(super) fn plan(self) -> Parts {
        let body = json!({ "user": self.user, "password": self.password });
        (Method::POST, "/sessions".into(), Some(body), Shape::Token(self.save))
    }
}

/// Who the caller is.
pub(super) fn whoami() -> Parts {
    (Method::GET, "/me".into(), None, Shape::One)
}

fn path(id: &str) -> String {
    format!("/users/{}", part(id))
}

/// What is given.
fn body<const N: usize>(fields: [(&str, Option<Value>); N]) -> Value {
    let given = fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(given.collect())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::Cli;
    use super::*;

    #[test]
    fn a_command_is_a_call_and_a_password_is_no_argument() {
        for (line, method, path, body) in [
            ("x user list", "GET", "/users?limit=500", Value::Null),
            (
                "x user create anna --scope publisher --channel demo --name Anna",
                "POST",
                "/users",
                json!({ "id": "anna", "name": "Anna", "scopes": ["publisher"], "channels": ["demo"] }),
            ),
            ("x user change anna --disable", "PATCH", "/users/anna", json!({ "disabled": true })),
            (
                "x user change anna --enable --all-channels",
                "PATCH",
                "/users/anna",
                json!({ "disabled": false, "channels": [] }),
            ),
            ("x user change a/b --scope admin", "PATCH", "/users/a%2Fb", json!({ "scopes": ["admin"] })),
            ("x session list --user anna", "GET", "/sessions?limit=500&user=anna", Value::Null),
            ("x session delete current", "DELETE", "/sessions/current", Value::Null),
            ("x whoami", "GET", "/me", Value::Null),
        ] {
            let plan = Cli::try_parse_from(line.split(' ')).unwrap().command.plan().unwrap();
            let made = (plan.method.as_str(), plan.path.as_str(), plan.body.unwrap_or_default());
            assert_eq!(made, (method, path, body), "{line}");
        }
        for wrong in [
            "x user create anna",
            "x user create anna --scope admin --password secret",
            "x user password anna secret",
            "x login anna secret",
            "x user change anna --enable --disable",
        ] {
            assert!(Cli::try_parse_from(wrong.split(' ')).is_err(), "{wrong}");
        }
    }
}
