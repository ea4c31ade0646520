//! JSON for people: columns, or names and values. Pure.

use std::collections::BTreeSet;

use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A line for each, with what stands in these columns; dots lead into objects.
pub(super) fn list(rows: &[Value], columns: &[&str]) -> String {
    let last = |column: &str| column.rsplit('.').next().unwrap_or(column).to_owned();
    let head = columns.iter().map(|column| {
        // Two that end alike are told apart by all of their name.
        let is_alone = columns.iter().filter(|other| last(other) == last(column)).count() == 1;
        if is_alone { last(column).to_uppercase() } else { column.to_uppercase() }
    });
    let mut lines = vec![head.collect::<Vec<_>>()];
    for row in rows {
        lines.push(columns.iter().map(|column| cell(row, column)).collect());
    }
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    let line = |cells: &Vec<String>| {
        let padded = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        format!("{}\n", padded.collect::<Vec<_>>().join("  ").trim_end())
    };
    lines.iter().map(line).collect()
}

/// A line for each field; what is deeper as JSON.
pub(super) fn one(value: &Value) -> String {
    let Some(fields) = value.as_object() else { return format!("{value}\n") };
    let width = fields.keys().map(String::len).max().unwrap_or(0);
    let line = |name: &String| format!("{name:width$}  {}\n", cell(value, name));
    fields.keys().map(line).collect()
}

/// What has many of a kind as a table each, the rest as [`one`].
pub(super) fn report(value: &Value) -> String {
    let (mut rest, mut tables) = (serde_json::Map::new(), String::new());
    for (name, field) in value.as_object().into_iter().flatten() {
        match rows(name, field) {
            Some((rows, columns)) => {
                let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
                tables += &format!("\n{}", list(&rows, &columns));
            }
            None => _ = rest.insert(name.clone(), field.clone()),
        }
    }
    one(&Value::Object(rest)) + &tables
}

/// Several objects, and all fields that they have; those that have names with these before them.
fn rows(name: &str, field: &Value) -> Option<(Vec<Value>, Vec<String>)> {
    let rows: Vec<Value> = match field {
        Value::Array(rows) => rows.clone(),
        Value::Object(named) => {
            let named_row = |(own, row): (&String, &Value)| {
                let mut row = row.as_object()?.clone();
                row.insert(name.to_owned(), own.clone().into());
                Some(Value::Object(row))
            };
            named.iter().map(named_row).collect::<Option<_>>()?
        }
        _ => return None,
    };
    let mut columns = BTreeSet::new();
    for row in &rows {
        columns.extend(row.as_object()?.keys().filter(|key| *key != name).cloned());
    }
    if columns.is_empty() {
        return None;
    }
    let own = field.is_object().then(|| name.to_owned());
    Some((rows, own.into_iter().chain(columns).collect()))
}

pub(super) fn cell(row: &Value, column: &str) -> String {
    let name = column.rsplit('.').next().unwrap_or(column);
    let value = column.split('.').fold(row, |value, name| &value[name]);
    match value {
        Value::Null => String::new(),
        Value::String(text) => plain(text),
        Value::Number(number) if name == "at" || name.ends_with("_at") => {
            number.as_u64().and_then(date).unwrap_or_else(|| number.to_string())
        }
        Value::Number(number) if number.is_f64() => format!("{:.2}", number.as_f64().unwrap_or_default()),
        Value::Array(values) if values.iter().all(Value::is_string) => {
            let texts = values.iter().filter_map(Value::as_str).map(plain);
            texts.collect::<Vec<_>>().join(" ")
        }
        other => plain(&other.to_string()),
    }
}

/// Somebody's title must not steer the terminal.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// From milliseconds since the Unix epoch, to the second.
fn date(millis: u64) -> Option<String> {
    let seconds = i64::try_from(millis / 1000).ok()?;
    OffsetDateTime::from_unix_timestamp(seconds).ok()?.format(&Rfc3339).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn rows_are_columns_and_what_is_missing_is_empty() {
        let rows = [
            json!({ "id": "demo", "live": { "origin": "origin-1" }, "created_at": 1_700_000_000_123_u64 }),
            json!({ "id": "a", "title": "\u{1b}[31mred", "scopes": ["admin", "read-only"], "cpu": 0.0049 }),
        ];
        let text = list(&rows, &["id", "title", "live.origin", "scopes", "created_at", "cpu"]);
        let expected = "ID    TITLE     ORIGIN    SCOPES           CREATED_AT            CPU\n\
                        demo            origin-1                   2023-11-14T22:13:20Z\n\
                        a     \u{fffd}[31mred            admin read-only                        0.00\n";
        assert_eq!(text, expected);
        assert_eq!(list(&[], &["id"]), "ID\n");
    }

    #[test]
    fn a_report_has_a_table_for_what_there_is_many_of() {
        let text = report(&json!({
            "published": 3,
            "moves": [],
            "regions": { "eu": { "edges": 2, "viewers": 7 }, "us": { "edges": 1, "viewers": 0 } },
            "differences": [{ "path": "/nodes/eu-1", "after": { "weight": 5 } }],
        }));
        let expected = "moves      \npublished  3\n\n\
                        AFTER         PATH\n{\"weight\":5}  /nodes/eu-1\n\n\
                        REGIONS  EDGES  VIEWERS\neu       2      7\nus       1      0\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn one_is_names_and_values() {
        let text = one(&json!({ "id": "demo", "settings": { "record": true } }));
        assert_eq!(text, "id        demo\nsettings  {\"record\":true}\n");
    }
}
