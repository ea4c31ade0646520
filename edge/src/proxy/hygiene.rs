//! Which headers go on: to the origin only those that its answer may depend on, to viewers none that belong to one hop
//! (RFC 9110 §7.6.1) or to caches.

use http::header::{
    ACCEPT, ACCEPT_ENCODING, ACCEPT_LANGUAGE, AGE, ALT_SVC, AUTHORIZATION, CONNECTION, CONTENT_LENGTH,
    COOKIE, EXPECT, HOST, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
    USER_AGENT, VIA,
};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::tags::{CACHE_TAG, SURROGATE_KEY};

/// What the origin gets of a GET or HEAD: little, so that a header that is not part of the name of an answer cannot
/// change it for others.
pub fn for_origin(viewer: &HeaderMap, more: &[HeaderName], credentials: bool) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let listed = listed(viewer);
    let own = [&ACCEPT, &ACCEPT_LANGUAGE];
    let secrets = [&AUTHORIZATION, &COOKIE].into_iter().filter(|_| credentials);
    for name in own.into_iter().chain(more).chain(secrets).filter(|name| !listed.contains(name)) {
        for value in viewer.get_all(name) {
            headers.append(name, value.clone());
        }
    }
    if let Some(codings) = codings(viewer) {
        headers.insert(ACCEPT_ENCODING, codings);
    }
    headers
}

/// What the origin gets of a request that is passed on as it is.
pub fn for_passing(viewer: &HeaderMap, credentials: bool) -> HeaderMap {
    let listed = listed(viewer);
    let ours = |name: &HeaderName| {
        [HOST, VIA, EXPECT, CONTENT_LENGTH, USER_AGENT].contains(name)
            || !credentials && [COOKIE, AUTHORIZATION].contains(name)
            // Who a viewer claims to be asking for is not known to be true.
            || name.as_str().starts_with("x-forwarded-")
            || name.as_str() == "forwarded"
            || name.as_str() == "x-real-ip"
    };
    let pairs = viewer.iter().filter(|(name, _)| !ours(name) && !is_hop(name) && !listed.contains(*name));
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(name.clone(), value.clone());
    }
    headers
}

/// What viewers get of an origin's headers.
pub fn for_viewers(origin: &HeaderMap) -> HeaderMap {
    let listed = listed(origin);
    let ours = |name: &HeaderName| [AGE, CONTENT_LENGTH, ALT_SVC, SURROGATE_KEY, CACHE_TAG].contains(name);
    let pairs = origin.iter().filter(|(name, _)| !ours(name) && !is_hop(name) && !listed.contains(*name));
    let mut headers = HeaderMap::with_capacity(origin.len());
    for (name, value) in pairs {
        headers.append(name.clone(), value.clone());
    }
    headers.remove("surrogate-control");
    headers
}

/// Headers of one connection alone.
pub fn is_hop(name: &HeaderName) -> bool {
    [CONNECTION, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE]
        .contains(name)
        || matches!(name.as_str(), "keep-alive" | "proxy-connection" | "proxy-authentication-info")
}

/// The headers that `Connection` makes a hop's own.
fn listed(headers: &HeaderMap) -> Vec<HeaderName> {
    let lines = headers.get_all(CONNECTION).iter();
    let names = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    names.filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok()).collect()
}

/// What a viewer can decode, in one spelling for each set, so that there are few versions of an answer.
fn codings(viewer: &HeaderMap) -> Option<HeaderValue> {
    let lines = viewer.get_all(ACCEPT_ENCODING).iter();
    let members = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    let (mut br, mut gzip) = (false, false);
    for member in members {
        let mut parts = member.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
        let coding = parts.next().unwrap_or_default();
        let refused = parts.any(|weight| {
            let digits = weight.strip_prefix(b"q=").or_else(|| weight.strip_prefix(b"Q="));
            digits.is_some_and(|digits| digits.iter().all(|byte| matches!(byte, b'0' | b'.')))
        });
        br |= !refused && coding.eq_ignore_ascii_case(b"br");
        gzip |= !refused && (coding.eq_ignore_ascii_case(b"gzip") || coding.eq_ignore_ascii_case(b"x-gzip"));
    }
    match (br, gzip) {
        (true, true) => Some(HeaderValue::from_static("br, gzip")),
        (true, false) => Some(HeaderValue::from_static("br")),
        (false, true) => Some(HeaderValue::from_static("gzip")),
        (false, false) => None,
    }
}

/// Runs over any bytes: nothing of one hop goes on.
pub fn fuzz(data: &[u8]) {
    let Ok(value) = HeaderValue::from_bytes(data) else { return };
    let names = [CONNECTION, ACCEPT_ENCODING, TE, COOKIE];
    let headers: HeaderMap = names.into_iter().map(|name| (name, value.clone())).collect();
    for sent in [for_origin(&headers, &[TE], false), for_passing(&headers, false), for_viewers(&headers)] {
        assert!(!sent.contains_key(CONNECTION));
    }
    assert!(
        !for_passing(&headers, false).contains_key(COOKIE) && !for_passing(&headers, true).contains_key(TE)
    );
}

/// A viewer's headers as far as they ask for a part, or for nothing new.
pub(super) fn own_conditions(viewer: &HeaderMap) -> HeaderMap {
    let names = ["range", "if-range", "if-none-match", "if-modified-since"];
    let mut headers = HeaderMap::new();
    for name in names {
        for value in viewer.get_all(name) {
            headers.append(name, value.clone());
        }
    }
    headers
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn the_origin_sees_what_the_route_says() {
        let viewer = headers(&[
            ("accept", "a"),
            ("accept", "b"),
            ("accept-encoding", "GZIP;q=0.5, deflate, br;q=0.0"),
            ("cookie", "c"),
            ("authorization", "d"),
            ("x-forwarded-host", "evil"),
            ("x-mine", "1"),
            ("x-hop", "1"),
            ("connection", "x-hop, keep-alive"),
            ("range", "bytes=0-1"),
            ("if-none-match", "*"),
        ]);
        let more = [HeaderName::from_static("x-mine"), HeaderName::from_static("x-hop")];
        let sent = for_origin(&viewer, &more, false);
        let want = headers(&[("accept", "a"), ("accept", "b"), ("x-mine", "1"), ("accept-encoding", "gzip")]);
        assert_eq!(sent, want);
        let sent = for_origin(&viewer, &[], true);
        assert!(sent.contains_key("cookie") && sent.contains_key("authorization"));
        let passed = for_passing(&viewer, false);
        let names: Vec<_> = passed.keys().map(HeaderName::as_str).collect();
        assert_eq!(passed.get_all("accept").iter().count(), 2);
        assert!(names.contains(&"x-mine") && names.contains(&"range"));
        assert!(
            ["cookie", "authorization", "x-forwarded-host", "x-hop", "connection"]
                .iter()
                .all(|gone| !names.contains(gone))
        );
    }

    #[test]
    fn viewers_see_nothing_of_one_hop_and_nothing_for_caches() {
        let origin = headers(&[
            ("connection", "close, x-internal"),
            ("x-internal", "1"),
            ("keep-alive", "1"),
            ("transfer-encoding", "chunked"),
            ("surrogate-key", "t"),
            ("cache-tag", "t"),
            ("surrogate-control", "max-age=1"),
            ("alt-svc", "h3=\":443\""),
            ("age", "3"),
            ("link", "a"),
            ("link", "b"),
            ("cache-control", "max-age=1"),
        ]);
        let want = headers(&[("link", "a"), ("link", "b"), ("cache-control", "max-age=1")]);
        assert_eq!(for_viewers(&origin), want);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..40), text in "[a-z,;=0-9. -]{0,40}") {
            fuzz(&bytes);
            fuzz(text.as_bytes());
        }
    }
}
