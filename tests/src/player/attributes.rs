//! Attribute lists of tags (RFC 8216bis section 4.2), read strictly.

use anyhow::{Context as _, Result, ensure};

/// `NAME=value,NAME="value"` (section 4.2).
pub(super) struct Attributes<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Attributes<'a> {
    pub(super) fn parse(mut rest: &'a str) -> Result<Self> {
        let mut all: Vec<(&str, &str)> = Vec::new();
        while !rest.is_empty() {
            let (name, value) = rest.split_once('=').context("an attribute without value")?;
            ensure!(
                !name.is_empty() && name.bytes().all(|b| matches!(b, b'A'..=b'Z' | b'0'..=b'9' | b'-')),
                "{name:?} is no attribute name"
            );
            ensure!(all.iter().all(|(seen, _)| *seen != name), "{name} appears twice");
            let end = match value.strip_prefix('"') {
                Some(quoted) => quoted.find('"').context("a quote that does not end")? + 2,
                None => value.find(',').unwrap_or(value.len()),
            };
            let (value, after) = value.split_at(end);
            ensure!(!value.is_empty(), "{name} is empty");
            ensure!(after.is_empty() || after.starts_with(','), "{name}: no comma after the value");
            ensure!(after != ",", "a comma ends the list");
            all.push((name, value));
            rest = after.strip_prefix(',').unwrap_or(after);
        }
        Ok(Self(all))
    }

    /// An unquoted value.
    pub(super) fn word(&self, name: &str) -> Option<&'a str> {
        self.raw(name).filter(|value| !value.starts_with('"'))
    }

    /// A quoted value, without its quotes.
    pub(super) fn quoted(&self, name: &str) -> Option<String> {
        let value = self.raw(name)?;
        Some(value.strip_prefix('"')?.strip_suffix('"')?.to_owned())
    }

    pub(super) fn text(&self, name: &str) -> Result<String> {
        self.quoted(name).with_context(|| format!("{name} must be there, in quotes"))
    }

    pub(super) fn number(&self, name: &str) -> Result<u64> {
        let value = self.word(name).with_context(|| format!("{name} must be there"))?;
        value.parse().with_context(|| format!("{name}={value} is no integer"))
    }

    pub(super) fn float(&self, name: &str) -> Result<f64> {
        self.optional_float(name)?.with_context(|| format!("{name} must be there"))
    }

    pub(super) fn optional_float(&self, name: &str) -> Result<Option<f64>> {
        let parse = |value: &str| value.parse().with_context(|| format!("{name}={value} is no number"));
        self.word(name).map(parse).transpose()
    }

    pub(super) fn raw(&self, name: &str) -> Option<&'a str> {
        self.0.iter().find(|(seen, _)| *seen == name).map(|(_, value)| *value)
    }
}
