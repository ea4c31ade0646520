//! Changes to a channel's settings: merged, read strictly and checked before anything is stored.

use nearcast_api::channel::Settings;
use serde_json::Value;

use crate::error::{Error, Result};

/// `settings` after a merge patch (RFC 7396).
///
/// # Errors
/// [`Error::Invalid`] names the setting that is unknown or cannot be, and says what can.
pub(crate) fn merge(settings: &Settings, patch: Value) -> Result<Settings> {
    let invalid = |problem: String| Error::Invalid { field: "settings", problem };
    if !patch.is_object() && !patch.is_null() {
        return Err(invalid("use an object of settings, or null for the origin's defaults".into()));
    }
    let mut merged = serde_json::to_value(settings).map_err(|error| invalid(error.to_string()))?;
    // Null for the whole is null for each.
    if patch.is_null() {
        merged = Value::Object(serde_json::Map::new())
    } else {
        apply(&mut merged, patch)
    }
    let mut unknown = None;
    // Nodes skip what they do not know; here a misspelt setting must not look as if it worked.
    let read = serde_ignored::deserialize(merged, |path| {
        // It writes a question mark for every setting that may be left out.
        unknown = Some(path.to_string().replace(".?", ""));
    });
    let merged: Settings = read.map_err(|error| invalid(error.to_string()))?;
    if let Some(name) = unknown {
        return Err(invalid(format!("there is no setting {name:?}")));
    }
    merged.check().map_err(invalid)?;
    Ok(merged)
}

/// RFC 7396 §2.
fn apply(target: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = Value::Object(serde_json::Map::new());
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

#[cfg(test)]
mod tests {
    use nearcast_api::channel::Takeover;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_patch_changes_what_it_names_and_null_goes_back_to_the_default() {
        let newest = merge(&Settings::default(), json!({ "takeover": "newest" })).unwrap();
        assert_eq!(newest.takeover, Some(Takeover::Newest));
        assert_eq!(merge(&newest, json!({})).unwrap(), newest);
        assert_eq!(merge(&newest, json!({ "takeover": null })).unwrap(), Settings::default());
        assert_eq!(merge(&newest, json!(null)).unwrap(), Settings::default());
    }

    #[test]
    fn what_is_unknown_or_cannot_be_is_named() {
        let error = |patch| match merge(&Settings::default(), patch) {
            Err(Error::Invalid { problem, .. }) => problem,
            other => panic!("{other:?}"),
        };
        assert!(error(json!({ "takover": "newest" })).contains("takover"));
        assert!(error(json!({ "takeover": "oldest" })).contains("oldest"));
        assert!(error(json!([])).contains("object"));
        assert!(error(json!({ "limits": { "bitrat": 1_000_000 } })).contains("limits.bitrat"));
        assert!(error(json!({ "limits": { "bitrate": 5 } })).contains("`limits.bitrate` is below 64000"));
        let step = |name: &str, height: u32| json!({ "name": name, "height": height, "bitrate": 500_000 });
        let ladder = |step| json!({ "ladder": { "steps": [step] } });
        assert!(merge(&Settings::default(), ladder(step("480p", 480))).is_ok());
        assert!(error(ladder(step("source", 480))).contains("taken"));
        assert!(
            error(ladder(step("480p", 4))).contains("the height of \"480p\" is 4, it must be 64 to 2304")
        );
        assert!(error(json!({ "ladder": { "stops": [] } })).contains("ladder.stops"));
    }
}
