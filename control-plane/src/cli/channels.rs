//! Commands about channels.

use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Value, json};

use super::commands::{Parts, Shape, json_value, part};
use super::directory::Wishes;
use crate::profile::Visibility;

#[derive(Debug, Subcommand)]
pub(super) enum Channel {
    /// All of them, and what is live.
    List,
    /// One of them.
    Show { id: String },
    /// Make one.
    Create {
        id: String,
        #[command(flatten)]
        fields: Fields,
        #[command(flatten)]
        profile: Profile,
    },
    /// Change its title or some of its settings.
    Change {
        id: String,
        #[command(flatten)]
        fields: Fields,
    },
    /// Change what it says of itself. An empty text takes away what was said.
    Set {
        id: String,
        /// For people.
        #[arg(long)]
        title: Option<String>,
        #[command(flatten)]
        profile: Profile,
    },
    /// Find public ones by words in title, description or tags, live or not.
    Search {
        words: String,
        /// Mature ones, too.
        #[arg(long)]
        mature: bool,
    },
    /// Delete it with its keys. What is live on it ends.
    Delete { id: String },
}

#[derive(Debug, Args)]
pub(super) struct Fields {
    /// For people.
    #[arg(long)]
    title: Option<String>,
    /// The settings that change, as JSON: '{"record": true}'; null for the default.
    #[arg(long, value_parser = json_value)]
    settings: Option<Value>,
}

/// What a channel says of itself.
#[derive(Debug, Args)]
pub(super) struct Profile {
    /// The user or organisation it belongs to; it gives nobody a right.
    #[arg(long)]
    owner: Option<String>,
    /// What it is about.
    #[arg(long)]
    description: Option<String>,
    /// What is spoken, such as es-MX.
    #[arg(long)]
    language: Option<String>,
    /// A word to be found by, instead of those before; again for more.
    #[arg(long = "tag", conflicts_with = "no_tags")]
    tags: Vec<String>,
    /// Without any tags.
    #[arg(long)]
    no_tags: bool,
    /// The id of one of `category list`.
    #[arg(long)]
    category: Option<String>,
    /// Whether it is not for everybody.
    #[arg(long)]
    mature: Option<bool>,
    /// Whether the directory lists it.
    #[arg(long)]
    visibility: Option<Visibility>,
}

impl Channel {
    pub(super) fn plan(self) -> Parts {
        const COLUMNS: &[&str] = &[
            "id",
            "title",
            "visibility",
            "category",
            "language",
            "live.origin",
            "live.started_at",
            "created_at",
        ];
        let patch =
            |id: &str, body| (Method::PATCH, format!("/channels/{}", part(id)), Some(body), Shape::One);
        match self {
            Self::List => (Method::GET, "/channels".into(), None, Shape::List("channels", COLUMNS)),
            Self::Show { id } => (Method::GET, format!("/channels/{}", part(&id)), None, Shape::One),
            Self::Create { id, fields, profile } => {
                let fields = fields.said().into_iter().chain(profile.said());
                let body = fields.chain([("id", id.into())]);
                (Method::POST, "/channels".into(), Some(object(body)), Shape::One)
            }
            Self::Change { id, fields } => patch(&id, object(fields.said())),
            Self::Set { id, title, profile } => {
                let title = title.map(|title| ("title", title.into()));
                patch(&id, object(title.into_iter().chain(profile.said())))
            }
            Self::Search { words, mature } => Wishes::search(words, mature).plan(),
            Self::Delete { id } => (Method::DELETE, format!("/channels/{}", part(&id)), None, Shape::One),
        }
    }
}

impl Fields {
    fn said(self) -> Vec<(&'static str, Value)> {
        let fields = [("title", self.title.map(Value::from)), ("settings", self.settings)];
        fields.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }
}

impl Profile {
    fn said(self) -> Vec<(&'static str, Value)> {
        let Self { owner, description, language, tags, no_tags, category, mature, visibility } = self;
        let text = |text: String| if text.is_empty() { Value::Null } else { text.into() };
        let fields = [
            ("owner", owner.map(text)),
            ("description", description.map(text)),
            ("language", language.map(text)),
            ("tags", (no_tags || !tags.is_empty()).then(|| json!(tags))),
            ("category", category.map(text)),
            ("mature", mature.map(Value::from)),
            ("visibility", visibility.map(|visibility| json!(visibility))),
        ];
        fields.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }
}

fn object(fields: impl IntoIterator<Item = (&'static str, Value)>) -> Value {
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
