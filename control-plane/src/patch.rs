//! Merge patches (RFC 7396), and JSON read so strictly that a misspelt name does not look as if it worked.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// `old` after a merge patch; null for the whole is null for each.
///
/// # Errors
/// One line that names what is unknown or cannot be.
pub(crate) fn merge<T: Serialize + DeserializeOwned>(old: &T, patch: Value) -> Result<T, String> {
    let mut merged = serde_json::to_value(old).map_err(|error| error.to_string())?;
    match patch {
        Value::Null => merged = Value::Object(Map::new()),
        Value::Object(_) => apply(&mut merged, patch),
        _ => return Err("use an object, or null for the defaults".to_owned()),
    }
    read(merged)
}

/// What `value` says, if every name in it is known.
pub(crate) fn read<T: DeserializeOwned>(value: Value) -> Result<T, String> {
    if !value.is_object() {
        // Serde would take the list of a struct's fields as well.
        return Err("use an object".to_owned());
    }
    let mut unknown = None;
    let read = serde_ignored::deserialize(value, |path| {
        // It writes a question mark for every value that may be left out.
        unknown = Some(path.to_string().replace(".?", ""));
    });
    let read = read.map_err(|error: serde_json::Error| error.to_string())?;
    unknown.map_or(Ok(read), |name| Err(format!("there is no {name:?}")))
}

/// RFC 7396 §2.
fn apply(target: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Some(target) = target.as_object_mut() else { return };
    for (name, value) in patch {
        if value.is_null() {
            target.remove(&name);
        } else {
            apply(target.entry(name).or_insert(Value::Null), value);
        }
    }
}
