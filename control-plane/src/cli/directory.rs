//! Commands about the directory and its categories.

use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Value, json};

use super::commands::{Parts, Shape, part, query};

#[derive(Debug, Subcommand)]
pub(super) enum Category {
    /// All of them.
    List {
        /// The language of their names, such as pt-BR.
        #[arg(long)]
        language: Option<String>,
    },
    /// Make one.
    Create {
        /// Lower-case letters, digits and hyphens.
        id: String,
        /// A name in a language: en=Music; again for more, English is needed.
        #[arg(long = "name", required = true, value_parser = name)]
        names: Vec<(String, Option<String>)>,
    },
    /// Change some of its names.
    Change {
        id: String,
        /// A name in a language: de=Musik, or de= for none; again for more.
        #[arg(long = "name", required = true, value_parser = name)]
        names: Vec<(String, Option<String>)>,
    },
    /// Delete one that no channel has.
    Delete { id: String },
}

/// What to find.
#[derive(Debug, Default, Args)]
pub(super) struct Wishes {
    /// Words in title, description or tags.
    #[arg(long)]
    query: Option<String>,
    /// Only of this category.
    #[arg(long)]
    category: Option<String>,
    /// Only in this language; es finds es-MX, too.
    #[arg(long)]
    language: Option<String>,
    /// Only with this tag.
    #[arg(long)]
    tag: Option<String>,
    /// Only what may be watched in this country, such as DE.
    #[arg(long)]
    country: Option<String>,
    /// Only what is watched in this country now, who has the most viewers there first.
    #[arg(long)]
    watched_in: Option<String>,
    /// Mature ones, too.
    #[arg(long)]
    mature: bool,
    /// All public ones, whether or not they are live.
    #[arg(long)]
    all: bool,
    /// At most so many.
    #[arg(long)]
    limit: Option<usize>,
    /// `next` of the page before.
    #[arg(long)]
    cursor: Option<String>,
}

impl Category {
    pub(super) fn plan(self) -> Parts {
        const COLUMNS: &[&str] = &["id", "name", "language"];
        let category = |id: &str| format!("/categories/{}", part(id));
        let names = |names: Vec<(String, Option<String>)>| {
            names.into_iter().map(|(language, name)| (language, Value::from(name))).collect::<Value>()
        };
        match self {
            Self::List { language } => {
                let path = query("/categories", [("language", language)]);
                (Method::GET, path, None, Shape::List("categories", COLUMNS))
            }
            Self::Create { id, names: given } => {
                let body = json!({ "id": id, "names": names(given) });
                (Method::POST, "/categories".into(), Some(body), Shape::One)
            }
            Self::Change { id, names: given } => {
                (Method::PATCH, category(&id), Some(json!({ "names": names(given) })), Shape::One)
            }
            Self::Delete { id } => (Method::DELETE, category(&id), None, Shape::One),
        }
    }
}

impl Wishes {
    /// Those with these words, live or not.
    pub(super) fn search(words: String, mature: bool) -> Self {
        Self { query: Some(words), mature, all: true, ..Self::default() }
    }

    pub(super) fn plan(self) -> Parts {
        const COLUMNS: &[&str] =
            &["id", "title", "viewers", "category.name", "language", "tags", "mature", "live.started_at"];
        let path = query(
            "/directory",
            [
                ("q", self.query),
                ("category", self.category),
                ("language", self.language),
                ("tag", self.tag),
                ("country", self.country),
                ("watched_in", self.watched_in),
                ("mature", self.mature.then(|| "true".to_owned())),
                ("live", self.all.then(|| "false".to_owned())),
                ("limit", self.limit.map(|limit| limit.to_string())),
                ("cursor", self.cursor),
            ],
        );
        (Method::GET, path, None, Shape::List("channels", COLUMNS))
    }
}

fn name(text: &str) -> Result<(String, Option<String>), String> {
    let (language, name) = text.split_once('=').ok_or("use LANGUAGE=NAME, such as en=Music")?;
    Ok((language.to_owned(), Some(name.to_owned()).filter(|name| !name.is_empty())))
}
