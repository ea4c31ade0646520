//! `nearcast-control topology …`: drafted from files, explained, published, gone back from.

use std::io::Read;

use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Value, json};

use super::commands::{Parts, Shape};

#[derive(Debug, Subcommand)]
pub(super) enum Topology {
    /// What holds, or a version of before.
    Show { version: Option<u64> },
    /// All versions, the newest first.
    Versions,
    /// What is to be published next.
    Draft,
    /// Write the whole draft.
    Set {
        /// A JSON file; - for the standard input.
        #[arg(value_parser = json_file)]
        file: Value,
    },
    /// Change some of the draft, or begin one.
    Patch {
        /// A merge patch: '{"nodes": {"eu-1": {"weight": 50}}}'; null takes away.
        #[arg(value_parser = super::commands::json_value)]
        patch: Value,
    },
    /// What publishing the draft would change, and for whom.
    Validate,
    /// Make the draft hold.
    Publish(How),
    /// Publish what a version said once more.
    Rollback {
        version: u64,
        #[command(flatten)]
        how: How,
    },
    /// Throw the draft away.
    Discard,
}

#[derive(Debug, Args)]
pub(super) struct How {
    /// For people.
    #[arg(long, default_value = "")]
    note: String,
    /// The published version that you have seen, when it is not that of the draft.
    #[arg(long)]
    base: Option<u64>,
    /// Also when viewers lose the edges of their region.
    #[arg(long)]
    force: bool,
}

impl Topology {
    pub(super) fn plan(self) -> Parts {
        const COLUMNS: &[&str] = &["version", "published_at", "author", "copy_of", "note"];
        const DRAFT: &str = "/topology/draft";
        let body = |How { note, base, force }| {
            let mut body = json!({ "note": note, "force": force });
            if let Some(base) = base {
                body["base"] = Value::from(base);
            }
            Some(body)
        };
        match self {
            Self::Show { version: None } => (Method::GET, "/topology".into(), None, Shape::One),
            Self::Show { version: Some(version) } => {
                (Method::GET, format!("/topology/versions/{version}"), None, Shape::One)
            }
            Self::Versions => {
                (Method::GET, "/topology/versions".into(), None, Shape::List("versions", COLUMNS))
            }
            Self::Draft => (Method::GET, DRAFT.into(), None, Shape::One),
            Self::Set { file } => (Method::PUT, DRAFT.into(), Some(file), Shape::One),
            Self::Patch { patch } => (Method::PATCH, DRAFT.into(), Some(patch), Shape::One),
            Self::Validate => {
                let columns = &["severity", "message"];
                (Method::POST, format!("{DRAFT}/validate"), None, Shape::Report("findings", columns))
            }
            Self::Publish(how) => (Method::POST, format!("{DRAFT}/publish"), body(how), Shape::One),
            Self::Rollback { version, how } => {
                (Method::POST, format!("/topology/versions/{version}/rollback"), body(how), Shape::One)
            }
            Self::Discard => (Method::DELETE, DRAFT.into(), None, Shape::One),
        }
    }
}

fn json_file(path: &str) -> Result<Value, String> {
    let mut text = String::new();
    let read = match path {
        "-" => std::io::stdin().read_to_string(&mut text).map(|_| ()),
        path => std::fs::read_to_string(path).map(|read| text = read),
    };
    read.map_err(|error| format!("cannot read it: {error}"))?;
    super::commands::json_value(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_whole_and_what_is_wrong_with_it_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("topology.json");
        std::fs::write(&path, "{\"routes\": []}").unwrap();
        assert_eq!(json_file(path.to_str().unwrap()), Ok(json!({ "routes": [] })));
        std::fs::write(&path, "{").unwrap();
        assert!(json_file(path.to_str().unwrap()).unwrap_err().contains("no JSON"));
        assert!(json_file("/nowhere").unwrap_err().contains("cannot read"));
    }
}
