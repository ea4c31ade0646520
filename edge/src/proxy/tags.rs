//! The tags by which an origin groups its answers for purges: `Surrogate-Key`, parted by spaces, and `Cache-Tag`, parted by
//! commas. Both are meant for caches, and viewers do not see them.

use http::{HeaderMap, HeaderName};

use crate::purge::log::MORE_TAGS;

/// Both headers' tags, the first [`MAX_TAGS`] of them; [`MORE_TAGS`] stands for the others, for longer ones than [`MAX_TAG`]
/// bytes and for such as are no text.
pub fn of(headers: &HeaderMap) -> Box<[Box<str>]> {
    let lines = |name, ends: &'static [u8]| {
        let lines = headers.get_all(name).iter();
        lines.flat_map(move |line| line.as_bytes().split(move |byte| ends.contains(byte)))
    };
    let all = lines(SURROGATE_KEY, b" \t").chain(lines(CACHE_TAG, b","));
    let some = all.map(<[u8]>::trim_ascii).filter(|tag| !tag.is_empty());
    let noted = some.enumerate().map(|(index, tag)| match std::str::from_utf8(tag) {
        Ok(tag) if index < MAX_TAGS && tag.len() <= MAX_TAG => tag.into(),
        _ => MORE_TAGS.into(),
    });
    let mut tags: Vec<Box<str>> = noted.take(MAX_TAGS + 1).collect();
    tags.sort_unstable();
    tags.dedup();
    tags.into()
}

pub(super) const SURROGATE_KEY: HeaderName = HeaderName::from_static("surrogate-key");
pub(super) const CACHE_TAG: HeaderName = HeaderName::from_static("cache-tag");
const MAX_TAGS: usize = 256;
const MAX_TAG: usize = 1024;

/// Runs over any bytes: what is read can be purged by.
pub fn fuzz(data: &[u8]) {
    let Ok(value) = http::HeaderValue::from_bytes(data) else { return };
    for name in [SURROGATE_KEY, CACHE_TAG] {
        let tags = of(&HeaderMap::from_iter([(name, value.clone())]));
        assert!(tags.len() <= MAX_TAGS + 1 && tags.iter().all(|tag| tag.len() <= MAX_TAG));
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn both_headers_are_read() {
        let mut headers = HeaderMap::new();
        headers.append(SURROGATE_KEY, HeaderValue::from_static("match-7  season,2026"));
        headers.append(SURROGATE_KEY, HeaderValue::from_static("match-7"));
        headers.append(CACHE_TAG, HeaderValue::from_static("the final, match-7,,"));
        assert_eq!(
            &*of(&headers),
            ["match-7".into(), "season,2026".into(), "the final".into()] as [Box<str>; 3]
        );
        headers.insert(CACHE_TAG, HeaderValue::try_from("t,".repeat(9_000)).unwrap());
        assert!(of(&headers).len() <= 4);
        let many: Vec<_> = (0..300).map(|number| number.to_string()).collect();
        headers.insert(CACHE_TAG, HeaderValue::try_from(many.join(",")).unwrap());
        assert!(of(&headers).contains(&MORE_TAGS.into()));
        headers.insert(CACHE_TAG, HeaderValue::try_from("t".repeat(MAX_TAG + 1)).unwrap());
        assert!(of(&headers).contains(&MORE_TAGS.into()));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            fuzz(&bytes);
        }
    }
}
