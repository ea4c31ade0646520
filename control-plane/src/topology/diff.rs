//! What differs between two documents, value by value.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// One value that is another one now.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = TopologyDifference)]
pub struct Difference {
    /// A JSON pointer (RFC 6901), such as `/nodes/eu-1/weight`.
    pub path: String,
    /// Left out where it is new.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub before: Option<Value>,
    /// Left out where it is gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub after: Option<Value>,
}

/// All differences by path. Lists differ as a whole: what stands where in them matters.
pub(super) fn differences(before: &Value, after: &Value) -> Vec<Difference> {
    let mut found = Vec::new();
    compare(String::new(), Some(before), Some(after), &mut found);
    found
}

fn compare(path: String, before: Option<&Value>, after: Option<&Value>, found: &mut Vec<Difference>) {
    if before == after {
        return;
    }
    let (Some(Value::Object(old)), Some(Value::Object(new))) = (before, after) else {
        found.push(Difference { path, before: before.cloned(), after: after.cloned() });
        return;
    };
    for name in old.keys().chain(new.keys()).collect::<BTreeSet<_>>() {
        let escaped = name.replace('~', "~0").replace('/', "~1");
        compare(format!("{path}/{escaped}"), old.get(name), new.get(name), found);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_value_that_differs_is_named_once() {
        let before = json!({ "nodes": { "a": { "weight": 1, "x/y": 2 }, "b": {} }, "routes": [1, 2] });
        let after = json!({ "nodes": { "a": { "weight": 3, "x/y": 2 }, "c": 4 }, "routes": [2, 1] });
        let found = differences(&before, &after);
        let paths: Vec<_> = found.iter().map(|one| one.path.as_str()).collect();
        assert_eq!(paths, ["/nodes/a/weight", "/nodes/b", "/nodes/c", "/routes"]);
        assert_eq!((&found[0].before, &found[0].after), (&Some(json!(1)), &Some(json!(3))));
        assert_eq!((&found[1].after, &found[2].before), (&None, &None));
        assert!(differences(&before, &before).is_empty());
    }
}
