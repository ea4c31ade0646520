//! Categories of channels, and their names in several languages. Pure.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::error::{Error, Result};
use crate::language::{self, Range, Tag};

/// A category: data, which operators change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Category {
    /// Lower-case letters, digits and hyphens.
    pub id: String,
    /// English among them.
    pub names: BTreeMap<Tag, String>,
}

/// Changes to names by language; `None` takes one away.
pub type Patch = BTreeMap<String, Option<String>>;

impl Category {
    /// A new one.
    ///
    /// # Errors
    /// [`Error::Invalid`] says what cannot be.
    pub fn new(id: String, names: Patch) -> Result<Self> {
        let safe = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let edges = id.starts_with('-') || id.ends_with('-');
        if !(1..=MAX_ID).contains(&id.len()) || !id.bytes().all(safe) || edges {
            let problem = format!("use 1 to {MAX_ID} of a-z 0-9 -, with no hyphen at its ends");
            return Err(Error::Invalid { field: "id", problem });
        }
        Self { id, names: BTreeMap::new() }.patched(names)
    }

    /// With some names changed.
    ///
    /// # Errors
    /// [`Error::Invalid`] says what cannot be.
    pub fn patched(mut self, names: Patch) -> Result<Self> {
        let invalid = |problem: String| Error::Invalid { field: "names", problem };
        for (language, name) in names {
            let tag: Tag = language.parse().map_err(|error: language::Invalid| invalid(error.to_string()))?;
            let Some(name) = name else {
                self.names.remove(&tag);
                continue;
            };
            let name = name.trim();
            if !(1..=MAX_NAME).contains(&name.chars().count()) || name.chars().any(char::is_control) {
                let problem = format!("each has 1 to {MAX_NAME} characters, and no line break");
                return Err(invalid(problem));
            }
            self.names.insert(tag, name.to_owned());
        }
        if !self.names.keys().any(is_default) {
            return Err(invalid("one of them is `en`, for whom no other suits".to_owned()));
        }
        if self.names.len() > MAX_NAMES {
            return Err(invalid(format!("at most {MAX_NAMES}")));
        }
        Ok(self)
    }

    /// Its name in the language that suits best, and which one that is.
    pub fn name(&self, wanted: &[Range]) -> (&str, &str) {
        let own =
            || self.names.iter().find(|(tag, _)| is_default(tag)).map(|(tag, name)| (tag, name.as_str()));
        let found = language::lookup(wanted, &self.names).or_else(own);
        // There always is an English one; what somebody wrote into the database by hand still has its id.
        found.map_or((DEFAULT, &self.id), |(tag, name)| (tag.as_str(), name))
    }
}

fn is_default(tag: &Tag) -> bool {
    tag.as_str() == DEFAULT
}

/// For whoever has no other preference.
const DEFAULT: &str = "en";
const MAX_ID: usize = 64;
const MAX_NAME: usize = 100;
/// More than any network is translated into.
const MAX_NAMES: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[(&str, Option<&str>)]) -> Patch {
        names.iter().map(|(tag, name)| ((*tag).to_owned(), name.map(str::to_owned))).collect()
    }

    #[test]
    fn a_name_is_in_the_language_that_suits_best() {
        let given = [("en", Some("Music")), ("DE", Some(" Musik ")), ("pt-br", Some("Música"))];
        let music = Category::new("music".into(), names(&given)).unwrap();
        let name = |header: &str| music.name(&language::accepted(header));
        assert_eq!(name("de-AT, en"), ("de", "Musik"));
        assert_eq!(name("pt-BR"), ("pt-BR", "Música"));
        assert_eq!((name("ja"), name("")), (("en", "Music"), ("en", "Music")));
        let music = music.patched(names(&[("de", None), ("fr", Some("Musique"))])).unwrap();
        assert_eq!(music.names.keys().map(Tag::as_str).collect::<Vec<_>>(), ["en", "fr", "pt-BR"]);
    }

    #[test]
    fn what_cannot_be_is_named() {
        let error = |id: &str, given: &[(&str, Option<&str>)]| {
            Category::new(id.into(), names(given)).unwrap_err().to_string()
        };
        let en = ("en", Some("X"));
        for wrong in ["", "Music", "-a", "a-", "a b", "é", &"a".repeat(65)] {
            assert!(error(wrong, &[en]).starts_with("id: use 1 to 64"), "{wrong}");
        }
        assert!(error("a", &[("de", Some("X"))]).contains("`en`"));
        assert!(error("a", &[en, ("german", Some("X"))]).contains("german"));
        assert!(error("a", &[("en", Some(" "))]).contains("1 to 100"));
        assert!(error("a", &[("en", Some("a\nb"))]).contains("line break"));
    }
}
