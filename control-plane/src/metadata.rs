//! Timed metadata on its way to origins: what may be said, and what has not been heard yet.

mod outbox;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use nearcast_api::metadata::{Attribute, Message, Metadata};

use crate::error::{Error, Result};
pub use outbox::{Full, LIFE, MAX_WAITING, Outbox};

/// Refuses what no playlist or message could hold. `now` is in milliseconds since the Unix epoch.
pub fn check(metadata: &Metadata, now: u64) -> Result<()> {
    let Metadata { id, at, duration, class, attributes, id3, scheme } = metadata;
    let id_char = |char: char| char.is_ascii_alphanumeric() || matches!(char, '.' | '_' | ':' | '-');
    require(id.len() <= MAX_ID && id.chars().all(id_char), "id", || {
        format!("use 1 to {MAX_ID} of A-Z a-z 0-9 . _ : -, or leave it out")
    })?;
    let near = |at: u64| (now.saturating_sub(PAST_MS)..=now.saturating_add(FUTURE_MS)).contains(&at);
    require(at.is_none_or(near), "at", || {
        "media time is in milliseconds since the Unix epoch, up to an hour ago and a day ahead; leave it out for now"
            .to_owned()
    })?;
    require(duration.is_none_or(|seconds| (0.0..=MAX_DURATION).contains(&seconds)), "duration", || {
        format!("seconds from 0 to {MAX_DURATION}")
    })?;
    let class_char = |char: char| char.is_ascii_alphanumeric() || matches!(char, '.' | '-' | '_' | ':' | '/');
    let class_fits = |class: &String| (1..=MAX_CLASS).contains(&class.len()) && class.chars().all(class_char);
    require(class.as_ref().is_none_or(class_fits), "class", || {
        format!("a reverse DNS name like com.example.goal, at most {MAX_CLASS} characters")
    })?;
    require(attributes.len() <= MAX_ATTRIBUTES, "attributes", || format!("at most {MAX_ATTRIBUTES}"))?;
    for (name, value) in attributes {
        attribute(name, value)?;
    }
    if let Some(message) = id3 {
        check_message(message)?;
    }
    let scheme_fits = |scheme: &String| {
        (1..=MAX_SCHEME).contains(&scheme.len())
            && scheme.contains(':')
            && scheme.bytes().all(|b| b.is_ascii_graphic())
    };
    require(scheme.as_ref().is_none_or(scheme_fits), "scheme", || {
        format!("a URI like urn:example:events, at most {MAX_SCHEME} characters")
    })
}

fn attribute(name: &str, value: &Attribute) -> Result<()> {
    let rest = name.strip_prefix("X-").unwrap_or_default();
    let simple = rest.bytes().all(|b| matches!(b, b'A'..=b'Z' | b'0'..=b'9' | b'-'));
    require(simple && (1..=MAX_NAME).contains(&rest.len()), "attributes", || {
        format!("names are X- and 1 to {MAX_NAME} of A-Z 0-9 -, like X-TEAM")
    })?;
    let fits = match value {
        Attribute::Number(number) => number.abs() <= MAX_NUMBER,
        Attribute::Text(text) => {
            text.chars().count() <= MAX_TEXT && !text.chars().any(|char| char == '"' || char.is_control())
        }
    };
    require(fits, "attributes", || {
        format!(
            "values are numbers up to {MAX_NUMBER:e}, or at most {MAX_TEXT} characters without quotes and line breaks"
        )
    })
}

fn check_message(message: &Message) -> Result<()> {
    match message {
        Message::Data(data) => require(
            data.len() <= MAX_DATA * 4 / 3 + 4
                && BASE64.decode(data).is_ok_and(|data| data.len() <= MAX_DATA),
            "id3",
            || {
                format!(
                    "text is base64 of at most {MAX_DATA} bytes; for ID3 frames use an object like {{\"TIT2\": \"Goal\"}}"
                )
            },
        ),
        Message::Frames(frames) => {
            let named = |name: &str| {
                let (kind, description) =
                    name.split_once(':').map_or((name, None), |(kind, rest)| (kind, Some(rest)));
                let text_frame = kind.len() == 4
                    && kind.starts_with('T')
                    && kind.bytes().all(|b| matches!(b, b'A'..=b'Z' | b'0'..=b'9'));
                text_frame && (kind == "TXXX") == description.is_some()
            };
            let fits = |text: &str| text.chars().count() <= MAX_TEXT && !text.contains('\0');
            let all = frames.iter().all(|(name, text)| named(name) && fits(name) && fits(text));
            require(all && (1..=MAX_FRAMES).contains(&frames.len()), "id3", || {
                format!(
                    "1 to {MAX_FRAMES} text frames like TIT2, or TXXX: and a description, each of at most {MAX_TEXT} \
                     characters"
                )
            })
        }
    }
}

fn require(fits: bool, field: &'static str, problem: impl FnOnce() -> String) -> Result<()> {
    if fits { Ok(()) } else { Err(Error::Invalid { field, problem: problem() }) }
}

const MAX_ID: usize = 64;
const MAX_CLASS: usize = 128;
const MAX_SCHEME: usize = 256;
const MAX_NAME: usize = 60;
const MAX_TEXT: usize = 512;
const MAX_ATTRIBUTES: usize = 32;
const MAX_FRAMES: usize = 16;
/// A message is in front of a part that every viewer gets.
const MAX_DATA: usize = 8 << 10;
/// Whole numbers stay exact.
const MAX_NUMBER: f64 = 1e15;
const MAX_DURATION: f64 = 86_400.0;
const PAST_MS: u64 = 3_600_000;
const FUTURE_MS: u64 = 86_400_000;

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const NOW: u64 = 1_785_585_600_000;

    fn checked(body: Value) -> Result<Metadata> {
        let metadata = serde_json::from_value(body).map_err(|error| Error::BadBody(error.to_string()))?;
        check(&metadata, NOW).map(|()| metadata)
    }

    #[test]
    fn what_can_be_said_is_taken_and_comes_back_from_json() {
        for body in [
            json!({}),
            json!({ "id": "goal-1", "at": NOW + 500, "duration": 5, "class": "com.example.goal" }),
            json!({ "attributes": { "X-TEAM": "home", "X-SCORE": 2.5 } }),
            json!({ "id3": { "TIT2": "Goal", "TXXX:team": "home" } }),
            json!({ "id3": "SUQz", "scheme": "urn:example:events" }),
        ] {
            let metadata = checked(body).unwrap();
            let again = serde_json::from_str(&serde_json::to_string(&metadata).unwrap());
            assert_eq!(again.ok(), Some(metadata));
        }
    }

    #[test]
    fn what_cannot_be_said_is_refused_with_what_to_do() {
        for (body, says) in [
            (json!({ "id": "a b" }), "id: use 1 to 64"),
            (json!({ "id": "x".repeat(65) }), "id: use 1 to 64"),
            (json!({ "at": 5 }), "at: media time"),
            (json!({ "at": NOW + 2 * FUTURE_MS }), "at: media time"),
            (json!({ "at": -1 }), "invalid value"),
            (json!({ "duration": -0.5 }), "duration: seconds"),
            (json!({ "duration": 1e9 }), "duration: seconds"),
            (json!({ "class": "a\"b" }), "class: a reverse DNS name"),
            (json!({ "attributes": { "TEAM": "x" } }), "X-TEAM"),
            (json!({ "attributes": { "X-": "x" } }), "X-TEAM"),
            (json!({ "attributes": { "X-team": "x" } }), "X-TEAM"),
            (json!({ "attributes": { "X-A": "a\nb" } }), "without quotes"),
            (json!({ "attributes": { "X-A": "\"" } }), "without quotes"),
            (json!({ "attributes": { "X-A": 1e300 } }), "numbers up to"),
            (json!({ "attributes": { "X-A": [1] } }), "did not match"),
            (json!({ "id3": {} }), "id3: 1 to 16"),
            (json!({ "id3": { "WXXX": "x" } }), "id3: 1 to 16"),
            (json!({ "id3": { "TXXX": "x" } }), "id3: 1 to 16"),
            (json!({ "id3": { "TIT2:x": "x" } }), "id3: 1 to 16"),
            (json!({ "id3": { "TIT2": "a\0b" } }), "id3: 1 to 16"),
            (json!({ "id3": "not base64" }), "id3: text is base64"),
            (json!({ "id3": "A".repeat(16_000) }), "id3: text is base64"),
            (json!({ "scheme": "no uri" }), "scheme: a URI"),
            (json!({ "when": 1 }), "unknown field"),
        ] {
            let error = checked(body.clone()).unwrap_err().to_string();
            assert!(error.contains(says), "{body}: {error}");
        }
        let many = (0..33).map(|n| (format!("X-{n}"), json!(1))).collect::<serde_json::Map<_, _>>();
        assert!(checked(json!({ "attributes": many })).unwrap_err().to_string().contains("at most 32"));
    }
}
