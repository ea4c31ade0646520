//! What a viewer has already (RFC 9110 §13) and which part of an answer they want (§14).

use http::header::{ETAG, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, LAST_MODIFIED, RANGE};
use http::{HeaderMap, HeaderValue};

use super::directives::members;
use super::policy::time;
use crate::serve::range::{self, Selection};

/// Whether the viewer's copy is the answer with these headers: 304.
pub fn has_copy(answer: &HeaderMap, viewer: &HeaderMap) -> bool {
    if viewer.contains_key(IF_NONE_MATCH) {
        let tags = viewer.get_all(IF_NONE_MATCH).iter().flat_map(|line| members(line.as_bytes()));
        let own = answer.get(ETAG).map(|tag| weak(tag.as_bytes()));
        return tags.into_iter().any(|tag| tag == b"*" || Some(weak(tag)) == own);
    }
    let since = viewer.get(IF_MODIFIED_SINCE).and_then(time);
    let modified = answer.get(LAST_MODIFIED).and_then(time);
    since.zip(modified).is_some_and(|(since, modified)| modified <= since)
}

/// What to send of a body of `length` bytes.
pub fn selection(answer: &HeaderMap, viewer: &HeaderMap, length: u64) -> Selection {
    match viewer.get(RANGE).filter(|_| same_version(answer, viewer)) {
        Some(range) => range::select(range.as_bytes(), length),
        None => Selection::Whole,
    }
}

/// The headers that ask whether an answer is still right (RFC 9111 §4.3.1).
pub fn validators(answer: &HeaderMap) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (from, to) in [(ETAG, IF_NONE_MATCH), (LAST_MODIFIED, IF_MODIFIED_SINCE)] {
        if let Some(value) = answer.get(from) {
            headers.insert(to, value.clone());
        }
    }
    headers
}

/// Whether a 304 speaks of the answer that was asked about (RFC 9111 §4.3.4).
pub fn is_about(answer: &HeaderMap, update: &HeaderMap) -> bool {
    let same = |name| match (answer.get(&name), update.get(&name)) {
        (Some(old), Some(new)) => weak(old.as_bytes()) == weak(new.as_bytes()),
        // It need not repeat what was asked with.
        _ => true,
    };
    same(ETAG) && (answer.contains_key(ETAG) || same(LAST_MODIFIED))
}

/// A range of another version than the viewer's would be nonsense (RFC 9110 §13.1.5): only strong validators count.
fn same_version(answer: &HeaderMap, viewer: &HeaderMap) -> bool {
    let Some(asked) = viewer.get(IF_RANGE) else { return true };
    if asked.as_bytes().starts_with(b"\"") {
        return answer.get(ETAG) == Some(asked);
    }
    let date = |value: Option<&HeaderValue>| value.and_then(time);
    date(Some(asked)).is_some_and(|asked| date(answer.get(LAST_MODIFIED)) == Some(asked))
}

fn weak(tag: &[u8]) -> &[u8] {
    tag.strip_prefix(b"W/").unwrap_or(tag)
}

/// Runs over any bytes: every choice is one that can be sent.
pub fn fuzz(data: &[u8]) {
    let Ok(value) = HeaderValue::from_bytes(data) else { return };
    let headers =
        |names: [http::HeaderName; 2]| HeaderMap::from_iter(names.map(|name| (name, value.clone())));
    let answer = headers([ETAG, LAST_MODIFIED]);
    for viewer in [headers([IF_NONE_MATCH, IF_RANGE]), headers([IF_MODIFIED_SINCE, RANGE])] {
        let _ = has_copy(&answer, &viewer);
        if let Selection::Part(part) = selection(&answer, &viewer, 10) {
            assert!(part.start < part.end && part.end <= 10);
        }
    }
    assert!(is_about(&answer, &answer));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (name.parse().unwrap(), HeaderValue::from_static(value))
        };
        pairs.iter().map(pair).collect()
    }

    const DATE: &str = "Thu, 01 Jan 2026 00:00:00 GMT";
    const LATER: &str = "Thu, 01 Jan 2026 00:00:01 GMT";

    #[test]
    fn a_viewers_copy_is_known_by_tag_then_by_date() {
        let answer = headers(&[("etag", "W/\"a\""), ("last-modified", DATE)]);
        let cases: &[(&[(&'static str, &'static str)], bool)] = &[
            (&[("if-none-match", "\"b\", \"a\"")], true),
            (&[("if-none-match", "*")], true),
            (&[("if-none-match", "\"b\""), ("if-modified-since", LATER)], false),
            (&[("if-none-match", "\"x,a\"")], false),
            (&[("if-modified-since", DATE)], true),
            (&[("if-modified-since", LATER)], true),
            (&[("if-modified-since", "Wed, 31 Dec 2025 00:00:00 GMT")], false),
            (&[("if-modified-since", "yesterday")], false),
            (&[], false),
        ];
        for (viewer, want) in cases {
            assert_eq!(has_copy(&answer, &headers(viewer)), *want, "{viewer:?}");
        }
        assert!(!has_copy(&headers(&[]), &headers(&[("if-modified-since", DATE)])));
    }

    #[test]
    fn a_range_of_another_version_is_the_whole() {
        let answer = headers(&[("etag", "\"a\""), ("last-modified", DATE)]);
        let part = Selection::Part(1..3);
        let cases: &[(&'static str, Selection)] = &[
            ("\"a\"", part.clone()),
            ("\"b\"", Selection::Whole),
            ("W/\"a\"", Selection::Whole),
            (DATE, part.clone()),
            (LATER, Selection::Whole),
            ("", Selection::Whole),
        ];
        for (if_range, want) in cases {
            let viewer = headers(&[("range", "bytes=1-2"), ("if-range", if_range)]);
            assert_eq!(selection(&answer, &viewer, 10), *want, "{if_range}");
        }
        assert_eq!(selection(&answer, &headers(&[("range", "bytes=1-2")]), 10), part);
        assert_eq!(selection(&answer, &headers(&[("range", "bytes=20-")]), 10), Selection::Unsatisfiable);
    }

    #[test]
    fn a_304_of_another_version_is_not_believed() {
        let answer = headers(&[("etag", "\"a\""), ("last-modified", DATE)]);
        assert!(is_about(&answer, &headers(&[])));
        assert!(is_about(&answer, &headers(&[("etag", "W/\"a\""), ("last-modified", LATER)])));
        assert!(!is_about(&answer, &headers(&[("etag", "\"b\"")])));
        assert!(!is_about(&headers(&[("last-modified", DATE)]), &headers(&[("last-modified", LATER)])));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..40), text in "(bytes=|W/|\")[ -~]{0,30}") {
            fuzz(&bytes);
            fuzz(text.as_bytes());
        }
    }
}
