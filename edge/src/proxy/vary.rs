//! Which requests a stored response answers beside its own: those whose listed headers are the same (RFC 9111 §4.1).

use http::header::VARY;
use http::{HeaderMap, HeaderName, HeaderValue};

/// The headers that a response depends on, and what they were.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Vary {
    names: Box<[HeaderName]>,
    values: Box<[Option<Box<[u8]>>]>,
}

impl Vary {
    /// What a response says of the request that it answers, as this edge sent it. `None` when nothing tells which other
    /// requests it answers: for `*`, for a list that cannot be read and for one of more than [`MAX_NAMES`].
    pub fn of(response: &HeaderMap, asked: &HeaderMap) -> Option<Self> {
        let mut names = Vec::new();
        for value in response.get_all(VARY) {
            for name in value.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
                if name == b"*" {
                    return None;
                }
                if !name.is_empty() {
                    names.push(HeaderName::from_bytes(name).ok()?);
                }
            }
        }
        names.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
        names.dedup();
        let values = names.iter().map(|name| value(asked, name)).collect();
        (names.len() <= MAX_NAMES).then(|| Self { names: names.into(), values })
    }

    /// Whether the response answers this request.
    pub fn matches(&self, asked: &HeaderMap) -> bool {
        self.names.iter().zip(&self.values).all(|(name, want)| value(asked, name) == *want)
    }

    /// A text that is the same for two requests when this list sees no difference between them.
    pub fn spell(&self, asked: &HeaderMap, into: &mut String) {
        for name in &self.names {
            into.push('\n');
            if let Some(value) = value(asked, name) {
                into.push('=');
                into.push_str(&String::from_utf8_lossy(&value));
            }
        }
    }

    /// Bytes in memory, about.
    pub fn weight(&self) -> usize {
        let values = self.values.iter().flatten().map(|value| value.len()).sum::<usize>();
        values + self.names.len() * 64
    }
}

/// All lines of a header as one, without spaces around commas; `None` where it is absent.
fn value(headers: &HeaderMap, name: &HeaderName) -> Option<Box<[u8]>> {
    let mut lines = headers.get_all(name).iter().peekable();
    lines.peek()?;
    let members = lines.flat_map(|line: &HeaderValue| line.as_bytes().split(|byte| *byte == b','));
    let members: Vec<&[u8]> = members.map(<[u8]>::trim_ascii).collect();
    Some(members.join(&b","[..]).into())
}

/// No list in good faith is longer.
const MAX_NAMES: usize = 16;

/// Runs over any bytes: what is read matches its own request.
pub fn fuzz(data: &[u8]) {
    let Ok(list) = HeaderValue::from_bytes(data) else { return };
    let asked = HeaderMap::from_iter([(http::header::ACCEPT_ENCODING, list.clone())]);
    let response = HeaderMap::from_iter([(VARY, list)]);
    if let Some(vary) = Vary::of(&response, &asked) {
        assert!(vary.matches(&asked));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn a_response_answers_requests_with_the_same_listed_headers() {
        let br = headers(&[("accept-encoding", "br, gzip"), ("accept", "a")]);
        let vary = Vary::of(&headers(&[("vary", "Accept-Encoding"), ("vary", "x-y,,")]), &br).unwrap();
        let cases: &[(&[(&'static str, &'static str)], bool)] = &[
            (&[("accept-encoding", "br,gzip"), ("accept", "b")], true),
            (&[("accept-encoding", "br"), ("accept-encoding", "gzip")], true),
            (&[("accept-encoding", "gzip")], false),
            (&[], false),
            (&[("accept-encoding", "br, gzip"), ("x-y", "")], false),
        ];
        for (asked, want) in cases {
            let asked = headers(asked);
            assert_eq!(vary.matches(&asked), *want, "{asked:?}");
            let (mut one, mut two) = (String::new(), String::new());
            vary.spell(&br, &mut one);
            vary.spell(&asked, &mut two);
            assert_eq!(one == two, *want);
        }
    }

    #[test]
    fn what_varies_by_everything_answers_one_request() {
        let none = HeaderMap::new();
        for list in ["*", "accept, *", "a b", "\u{e9}"] {
            let response = HeaderMap::from_iter([(VARY, HeaderValue::from_bytes(list.as_bytes()).unwrap())]);
            assert_eq!(Vary::of(&response, &none), None, "{list}");
        }
        assert_eq!(Vary::of(&none, &none), Some(Vary::default()));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..60),
            text in "[a-zA-Z*, -]{0,40}",
        ) {
            fuzz(&bytes);
            fuzz(text.as_bytes());
        }
    }
}
