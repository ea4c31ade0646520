//! Changes to a channel's settings: merged, read strictly and checked before anything is stored.

use nearcast_api::channel::Settings;
use serde_json::Value;

use crate::error::{Error, Result};
use crate::patch;

/// `settings` after a merge patch (RFC 7396).
///
/// # Errors
/// [`Error::Invalid`] names the setting that is unknown or cannot be, and says what can.
pub(crate) fn merge(settings: &Settings, patch: Value) -> Result<Settings> {
    let invalid = |problem: String| Error::Invalid { field: "settings", problem };
    let merged = patch::merge(settings, patch).map_err(invalid)?;
    merged.check().map_err(invalid)?;
    Ok(merged)
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
        assert!(error(json!({ "dvr": 3601 })).contains("`dvr` is 30 to 3600"));
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
