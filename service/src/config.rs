//! Configuration: a daemon's defaults, under a TOML file, under the environment; unknown keys are refused.

use std::fmt::Display;
use std::ops::Range;
use std::path::Path;
use std::str::FromStr;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use toml::{Table, Value};

use crate::{Error, Result};

/// The prefix of environment variables that are configuration: `NEARCAST_HTTP__LISTEN` is `http.listen`.
pub const ENV_PREFIX: &str = "NEARCAST_";

/// Merges `T::default()`, the file and the variables of `env` that start with [`ENV_PREFIX`], later ones win.
///
/// A key left out of the file keeps the value that `T::default()` has for it, in partly given sections too.
/// `__` in a variable's name goes one table down. A variable's value is a string where the default is one
/// and a TOML value elsewhere (`NEARCAST_ROLES='["api"]'`, `NEARCAST_DRAIN__DEADLINE=5`).
///
/// # Errors
/// The file cannot be read, is not TOML, or a key is unknown or of the wrong type: the message names the file
/// and line (or the variable), the key and what would be right.
pub fn load<T>(file: Option<&Path>, env: impl IntoIterator<Item = (String, String)>) -> Result<T>
where
    T: Default + Serialize + DeserializeOwned,
{
    let mut table = Table::try_from(T::default())
        .map_err(|error| Error::ConfigCheck(format!("the defaults are not TOML: {error}")))?;
    if let Some(path) = file {
        let text = std::fs::read_to_string(path)
            .map_err(|source| Error::ConfigFile { path: path.to_owned(), source })?;
        merge(&mut table, parse::<T>(path, &text)?);
    }
    for (name, value) in variables(env) {
        let keys: Vec<String> = name[ENV_PREFIX.len()..].split("__").map(str::to_lowercase).collect();
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        set(&mut table, &keys, &value);
        // One at a time, so that the error can name the variable.
        if let Err(error) = T::deserialize(table.clone()) {
            let key = format!("`{}`: ", keys.join("."));
            return Err(Error::ConfigValue { at: name, key, message: one_line(error.message()) });
        }
    }
    T::deserialize(table).map_err(|error| Error::ConfigCheck(one_line(error.message())))
}

/// The configuration as TOML that [`load`] reads back.
pub fn render<T: Serialize>(config: &T) -> Result<String> {
    toml::to_string_pretty(config).map_err(|error| Error::ConfigCheck(error.to_string()))
}

/// As [`render`], for people: what stands at these keys (`control.token`) is not shown.
pub fn show<T: Serialize>(config: &T, secrets: &[&str]) -> Result<String> {
    let mut table =
        Table::try_from(config).map_err(|error| Error::ConfigCheck(format!("it is not TOML: {error}")))?;
    for key in secrets {
        hide(&mut table, &key.split('.').collect::<Vec<_>>());
    }
    table.iter_mut().for_each(|(_, value)| hide_users(value));
    render(&table)
}

/// Tells only whether there is something.
fn hide(table: &mut Table, keys: &[&str]) {
    match keys {
        [] => table.iter_mut().for_each(|(_, value)| *value = Value::String(HIDDEN.to_owned())),
        [key, rest @ ..] => match table.get_mut(*key) {
            Some(Value::Table(below)) => hide(below, rest),
            Some(Value::String(text)) if !text.is_empty() => HIDDEN.clone_into(text),
            _ => {}
        },
    }
}

/// A URL may hold a name and a password (RFC 3986 §3.2.1).
fn hide_users(value: &mut Value) {
    match value {
        Value::String(text) => {
            let Some((scheme, rest)) = text.split_once("://") else { return };
            let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            if let Some((_, host)) = authority.rsplit_once('@') {
                *text = format!("{scheme}://{HIDDEN}@{host}{path}");
            }
        }
        Value::Array(values) => values.iter_mut().for_each(hide_users),
        Value::Table(table) => table.iter_mut().for_each(|(_, value)| hide_users(value)),
        _ => {}
    }
}

const HIDDEN: &str = "(hidden)";

/// For `#[serde(with = "config::optional")]`: the empty string is `None`, as TOML has no null.
pub mod optional {
    use super::*;

    /// `None` as `""`, else the value's text.
    pub fn serialize<T: Display, S: Serializer>(value: &Option<T>, to: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => to.collect_str(value),
            None => to.serialize_str(""),
        }
    }

    /// `""` as `None`, else what the text parses to.
    pub fn deserialize<'de, T, D>(from: D) -> Result<Option<T>, D::Error>
    where
        T: FromStr<Err: Display>,
        D: Deserializer<'de>,
    {
        let text = String::deserialize(from)?;
        if text.is_empty() {
            return Ok(None);
        }
        text.parse().map(Some).map_err(|error| serde::de::Error::custom(format!("{text:?}: {error}")))
    }
}

/// Reads the file's own keys against `T`, where positions are still known.
fn parse<T: DeserializeOwned>(path: &Path, text: &str) -> Result<Table> {
    let located = |message: &str, span: Option<Range<usize>>| {
        let offset = span.map_or(0, |span| span.start).min(text.len());
        let before = &text.as_bytes()[..offset];
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        let source = text.lines().nth(line - 1).unwrap_or_default();
        let key = source.split_once('=').map(|(key, _)| format!("`{}`: ", key.trim())).unwrap_or_default();
        Error::ConfigValue { at: format!("{}:{line}", path.display()), key, message: one_line(message) }
    };
    let table: Table =
        text.parse().map_err(|error: toml::de::Error| located(error.message(), error.span()))?;
    toml::from_str::<T>(text).map_err(|error| located(error.message(), error.span()))?;
    Ok(table)
}

fn variables(env: impl IntoIterator<Item = (String, String)>) -> Vec<(String, String)> {
    let mut found: Vec<_> = env.into_iter().filter(|(name, _)| name.starts_with(ENV_PREFIX)).collect();
    found.sort();
    found
}

fn merge(base: &mut Table, over: Table) {
    for (key, value) in over {
        match (base.get_mut(&key), value) {
            (Some(Value::Table(base)), Value::Table(over)) => merge(base, over),
            (_, value) => {
                base.insert(key, value);
            }
        }
    }
}

fn set(table: &mut Table, keys: &[&str], text: &str) {
    match keys {
        [] => {}
        [key] => {
            let value = match table.get(*key) {
                Some(Value::String(_)) => Value::String(text.to_owned()),
                _ => value_of(text),
            };
            table.insert((*key).to_owned(), value);
        }
        [key, rest @ ..] => {
            let below = table.entry(*key).or_insert_with(|| Value::Table(Table::new()));
            if !below.is_table() {
                *below = Value::Table(Table::new());
            }
            if let Value::Table(below) = below {
                set(below, rest, text);
            }
        }
    }
}

fn value_of(text: &str) -> Value {
    let parsed = format!("value = {text}").parse::<Table>().ok();
    // A line break could smuggle in more than the one key.
    let value = parsed.filter(|table| table.len() == 1).and_then(|mut table| table.remove("value"));
    value.unwrap_or_else(|| Value::String(text.to_owned()))
}

fn one_line(message: &str) -> String {
    message.split('\n').map(str::trim).filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;
