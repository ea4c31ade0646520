//! What a channel says of itself beside its title, and how that is changed. Pure.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::error::{Error, Result};
use crate::language::Tag;

/// All of it; what is left out is not said.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Profile {
    /// The user or organisation it belongs to. It is for people, and gives nobody a right.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub owner: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub language: Option<Tag>,
    /// In lower case, each once.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// A category's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    pub mature: bool,
    pub visibility: Visibility,
}

/// Whether a channel is found. Who may watch it is said by `settings.playback`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Visibility {
    /// The directory lists it.
    #[default]
    Public,
    /// Only who knows its id finds it.
    Unlisted,
}

/// A change: what is `None` stays, `Some(None)` goes back to what it is at first.
#[derive(Debug, Clone, Default)]
pub struct Patch {
    pub owner: Option<Option<String>>,
    pub description: Option<Option<String>>,
    pub language: Option<Option<String>>,
    pub tags: Option<Option<Vec<String>>>,
    pub category: Option<Option<String>>,
    pub mature: Option<Option<bool>>,
    pub visibility: Option<Option<Visibility>>,
}

impl Visibility {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Unlisted => "unlisted",
        }
    }

    /// The one of this name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Public, Self::Unlisted].into_iter().find(|one| one.as_str() == name)
    }
}

impl Profile {
    /// The profile after a change. Whether there is such a category is not looked at.
    ///
    /// # Errors
    /// [`Error::Invalid`] names the field that cannot be, and says what can.
    pub fn patched(mut self, patch: Patch) -> Result<Self> {
        let Patch { owner, description, language, tags, category, mature, visibility } = patch;
        if let Some(owner) = owner {
            self.owner = text("owner", owner.unwrap_or_default(), MAX_OWNER, |_| false)?;
        }
        if let Some(description) = description {
            let description = description.unwrap_or_default().replace("\r\n", "\n");
            self.description = text("description", description, MAX_DESCRIPTION, |c| c == '\n')?;
        }
        if let Some(language) = language {
            // A form's empty field is none.
            let language = language.filter(|language| !language.is_empty());
            let language = language.map(|language| language.parse()).transpose();
            self.language =
                language.map_err(|error: crate::language::Invalid| invalid("language", error.to_string()))?;
        }
        if let Some(tags) = tags {
            self.tags = self::tags(tags.unwrap_or_default())?;
        }
        if let Some(category) = category {
            self.category = category.filter(|category| !category.is_empty());
        }
        if let Some(mature) = mature {
            self.mature = mature.unwrap_or_default();
        }
        if let Some(visibility) = visibility {
            self.visibility = visibility.unwrap_or_default();
        }
        Ok(self)
    }
}

/// A tag as it is kept and compared.
pub fn tag(text: &str) -> String {
    text.trim().to_lowercase()
}

fn tags(given: Vec<String>) -> Result<Vec<String>> {
    let mut tags: Vec<String> = Vec::new();
    for given in given {
        let tag = tag(&given);
        if tag.is_empty() {
            return Err(invalid("tags", "each has 1 to 32 characters".to_owned()));
        }
        let tag = text("tags", tag, MAX_TAG, |_| false)?;
        if !tags.contains(&tag) {
            tags.push(tag);
        }
    }
    if tags.len() > MAX_TAGS {
        return Err(invalid("tags", format!("at most {MAX_TAGS}")));
    }
    Ok(tags)
}

fn text(field: &'static str, text: String, max: usize, allowed: fn(char) -> bool) -> Result<String> {
    if text.chars().count() > max {
        return Err(invalid(field, format!("at most {max} characters")));
    }
    if text.chars().any(|c| c.is_control() && !allowed(c)) {
        let but = if allowed('\n') { " but line breaks" } else { ", line breaks among them" };
        return Err(invalid(field, format!("no control characters{but}")));
    }
    Ok(text)
}

fn invalid(field: &'static str, problem: String) -> Error {
    Error::Invalid { field, problem }
}

const MAX_OWNER: usize = 64;
const MAX_DESCRIPTION: usize = 2000;
const MAX_TAGS: usize = 10;
const MAX_TAG: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    fn set<T>(value: T) -> Option<Option<T>> {
        Some(Some(value))
    }

    #[test]
    fn a_patch_changes_what_it_names_and_null_goes_back() {
        let patch = Patch {
            owner: set("org-7".into()),
            description: set("One.\r\nTwo.".into()),
            language: set("ES-mx".into()),
            tags: set([" Chess", "chess", "ÉCHECS "].map(str::to_owned).to_vec()),
            category: set("juegos".into()),
            mature: set(true),
            visibility: set(Visibility::Unlisted),
        };
        let profile = Profile::default().patched(patch).unwrap();
        assert_eq!(profile.language.as_ref().unwrap().as_str(), "es-MX");
        assert_eq!(profile.tags, ["chess", "échecs"]);
        assert_eq!(profile.description, "One.\nTwo.");
        assert_eq!(profile.clone().patched(Patch::default()).unwrap(), profile);
        let back = Patch {
            owner: Some(None),
            description: Some(None),
            language: Some(None),
            tags: Some(None),
            category: Some(None),
            mature: Some(None),
            visibility: Some(None),
        };
        assert_eq!(profile.patched(back).unwrap(), Profile::default());
    }

    #[test]
    fn what_cannot_be_is_named() {
        let error = |patch| Profile::default().patched(patch).unwrap_err().to_string();
        let many = (0..11).map(|n| n.to_string()).collect::<Vec<_>>();
        for (patch, says) in [
            (Patch { owner: set("x".repeat(65)), ..Patch::default() }, "owner: at most 64"),
            (Patch { owner: set("a\nb".into()), ..Patch::default() }, "line breaks among them"),
            (Patch { description: set("é".repeat(2001)), ..Patch::default() }, "at most 2000"),
            (Patch { description: set("a\u{7}".into()), ..Patch::default() }, "but line breaks"),
            (Patch { language: set("english".into()), ..Patch::default() }, "es-MX"),
            (Patch { tags: set(vec![" ".into()]), ..Patch::default() }, "1 to 32"),
            (Patch { tags: set(vec!["x".repeat(33)]), ..Patch::default() }, "at most 32"),
            (Patch { tags: set(many.clone()), ..Patch::default() }, "at most 10"),
        ] {
            let error = error(patch);
            assert!(error.contains(says), "{error}");
        }
        let ten = Patch { tags: set([&many[..10], &many[..10]].concat()), ..Patch::default() };
        assert_eq!(Profile::default().patched(ten).unwrap().tags.len(), 10);
    }
}
