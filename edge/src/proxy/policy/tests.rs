use proptest::prelude::*;

use super::*;

const DEFAULTS: Defaults = Defaults {
    lifetime: Duration::from_secs(2),
    missing_lifetime: Duration::from_secs(1),
    stale_if_error: Duration::from_secs(60),
};
/// 2026-01-01 00:00:00.
const WALL: u64 = 1_767_225_600;

type Pairs<'a> = &'a [(&'static str, &'a str)];

fn headers(pairs: Pairs<'_>) -> HeaderMap {
    let pair = |(name, value): &(&'static str, &str)| {
        (HeaderName::from_static(name), HeaderValue::try_from(*value).unwrap())
    };
    let mut headers = HeaderMap::new();
    pairs.iter().map(pair).for_each(|(name, value)| {
        headers.append(name, value);
    });
    headers
}

fn judge(status: u16, pairs: Pairs<'_>, asked: Pairs<'_>) -> Verdict {
    let (mut answer, ()) = Response::new(()).into_parts();
    answer.status = StatusCode::from_u16(status).unwrap();
    answer.headers = headers(pairs);
    let now = Instant::now();
    let wall = SystemTime::UNIX_EPOCH + Duration::from_secs(WALL);
    Verdict::of(&answer, &headers(asked), Times { sent: now, received: now, wall }, DEFAULTS)
}

/// Seconds of lifetime, `None` when it is not stored.
fn lifetime(status: u16, pairs: Pairs<'_>) -> Option<u64> {
    let verdict = judge(status, pairs, &[]);
    verdict.vary.map(|_| verdict.freshness.lifetime.as_secs())
}

#[test]
fn what_is_stored_and_for_how_long() {
    let cases: &[(u16, Pairs<'_>, Option<u64>)] = &[
        // RFC 9111 §4.2.1: s-maxage before max-age before Expires.
        (200, &[("cache-control", "max-age=60")], Some(60)),
        (200, &[("cache-control", "max-age=60, s-maxage=5")], Some(5)),
        (200, &[("cache-control", "max-age=60"), ("expires", "Thu, 01 Jan 2026 00:00:05 GMT")], Some(60)),
        (200, &[("expires", "Thu, 01 Jan 2026 00:00:05 GMT")], Some(5)),
        (200, &[("expires", "Thursday, 01-Jan-26 00:00:05 GMT")], Some(5)),
        (200, &[("expires", "Thu Jan  1 00:00:05 2026")], Some(5)),
        (
            200,
            &[("expires", "Thu, 01 Jan 2026 00:00:05 GMT"), ("date", "Wed, 31 Dec 2025 23:59:55 GMT")],
            Some(10),
        ),
        (200, &[("expires", "0")], Some(0)),
        (200, &[("expires", "Wed, 31 Dec 2025 23:00:00 GMT")], Some(0)),
        (200, &[("cache-control", "max-age=99999999999999999999")], Some(31_536_000)),
        (200, &[("cache-control", "max-age=soon")], Some(0)),
        // §5.2.2.
        (200, &[("cache-control", "no-store, max-age=60")], None),
        (200, &[("cache-control", "NO-STORE")], None),
        (200, &[("cache-control", "private, max-age=60")], None),
        (200, &[("cache-control", "Private=\"x-user\"")], None),
        (200, &[("cache-control", "no-cache, max-age=60")], Some(0)),
        (200, &[("cache-control", "proxy-revalidate, max-age=60")], Some(60)),
        (200, &[("cache-control", "must-understand, no-store, max-age=60")], Some(60)),
        (299, &[("cache-control", "must-understand, no-store, max-age=60")], None),
        (200, &[("pragma", "no-cache")], Some(2)),
        // Nothing is said.
        (200, &[], Some(2)),
        (200, &[("last-modified", "Thu, 01 Jan 2015 00:00:00 GMT")], Some(2)),
        (404, &[], Some(1)),
        (410, &[], Some(1)),
        (404, &[("cache-control", "max-age=60")], Some(60)),
        (301, &[], Some(2)),
        (302, &[], None),
        (302, &[("cache-control", "max-age=60")], Some(60)),
        (403, &[], None),
        (500, &[], None),
        (503, &[], None),
        (206, &[("cache-control", "max-age=60")], None),
        (416, &[("cache-control", "max-age=60")], None),
        // Somebody's own.
        (200, &[("cache-control", "public, max-age=60"), ("set-cookie", "a=b")], None),
        (200, &[("vary", "*"), ("cache-control", "max-age=60")], None),
        (200, &[("vary", "accept"), ("vary", "*"), ("cache-control", "max-age=60")], None),
        // RFC 9213: the targeted field alone counts.
        (200, &[("cdn-cache-control", "max-age=9"), ("cache-control", "no-store")], Some(9)),
        (200, &[("cdn-cache-control", "no-store"), ("cache-control", "max-age=60")], None),
        (200, &[("cdn-cache-control", "private"), ("expires", "Thu, 01 Jan 2027 00:00:00 GMT")], None),
        (200, &[("cdn-cache-control", "max-age='9'"), ("cache-control", "max-age=60")], Some(60)),
    ];
    for (status, pairs, want) in cases {
        assert_eq!(lifetime(*status, pairs), *want, "{status} {pairs:?}");
    }
}

#[test]
fn answers_to_credentials_are_shared_only_when_the_origin_says_so() {
    let cases: &[(Pairs<'_>, &str, bool)] = &[
        (&[("authorization", "Basic x")], "max-age=60", false),
        (&[("authorization", "Basic x")], "public, max-age=60", true),
        (&[("authorization", "Basic x")], "s-maxage=60", true),
        (&[("authorization", "Basic x")], "must-revalidate, max-age=60", true),
        (&[("cookie", "a=b")], "max-age=60", false),
        (&[("cookie", "a=b")], "public, max-age=60", true),
    ];
    for (asked, said, want) in cases {
        let verdict = judge(200, &[("cache-control", said)], asked);
        assert_eq!(verdict.is_shared(), *want, "{asked:?} {said}");
    }
}

#[test]
fn ages_are_told_or_found_out() {
    let age = |version, pairs: Pairs<'_>| {
        let (mut answer, ()) = Response::new(()).into_parts();
        (answer.version, answer.headers) = (version, headers(pairs));
        let sent = Instant::now();
        let received = sent + Duration::from_secs(1);
        let wall = SystemTime::UNIX_EPOCH + Duration::from_secs(WALL);
        initial_age(&answer, Times { sent, received, wall }).as_secs()
    };
    let old = "Wed, 31 Dec 2025 23:59:20 GMT";
    assert_eq!(age(Version::HTTP_11, &[("age", "7")]), 8, "the time it took counts");
    assert_eq!(age(Version::HTTP_11, &[("age", "7"), ("date", old)]), 8, "the origin's clock does not");
    assert_eq!(age(Version::HTTP_10, &[("age", "7"), ("date", old)]), 40);
    assert_eq!(age(Version::HTTP_11, &[("via", "1.1 a, 1.0 b"), ("date", old)]), 40);
    assert_eq!(age(Version::HTTP_11, &[("age", "18446744073709551615")]), LONGEST.as_secs() + 1);
    assert_eq!(age(Version::HTTP_11, &[("age", "x")]), 1);
}

#[test]
fn stale_answers_serve_as_far_as_the_origin_allows() {
    let states = |said: &str| {
        let Freshness { received, .. } = judge(200, &[], &[]).freshness;
        let freshness = Freshness { received, ..judge(200, &[("cache-control", said)], &[]).freshness };
        [5, 15, 40, 75, 200].map(|seconds| freshness.state(received + Duration::from_secs(seconds)))
    };
    use State::{Expired, Fresh, IfError, Revalidate};
    assert_eq!(states("max-age=10"), [Fresh, IfError, IfError, Expired, Expired]);
    assert_eq!(states("max-age=10, stale-if-error=0"), [Fresh, Expired, Expired, Expired, Expired]);
    assert_eq!(
        states("max-age=10, stale-while-revalidate=20, stale-if-error=100"),
        [Fresh, Revalidate, IfError, IfError, Expired]
    );
    assert_eq!(states("s-maxage=10"), [Fresh, Expired, Expired, Expired, Expired]);
    assert_eq!(
        states("s-maxage=10, stale-while-revalidate=20"),
        [Fresh, Revalidate, Expired, Expired, Expired]
    );
    for strict in ["must-revalidate", "proxy-revalidate"] {
        let said = format!("max-age=10, stale-while-revalidate=99, stale-if-error=99, {strict}");
        assert_eq!(states(&said), [Fresh, Expired, Expired, Expired, Expired]);
    }
    assert_eq!(states("no-cache, stale-while-revalidate=99"), [Expired; 5]);
}

#[test]
fn a_304_brings_every_line_of_its_headers_and_none_of_the_body() {
    let stored = headers(&[("vary", "a"), ("vary", "b"), ("etag", "\"1\""), ("content-type", "x/y")]);
    let update = headers(&[
        ("vary", "c"),
        ("vary", "d"),
        ("cache-control", "max-age=1"),
        ("content-length", "0"),
        ("content-type", "text/html"),
    ]);
    let fresh = freshened(&stored, &update);
    let vary: Vec<_> = fresh.get_all("vary").iter().collect();
    assert_eq!(vary, ["c", "d"]);
    assert!(fresh["etag"] == "\"1\"" && fresh["content-type"] == "x/y");
    assert!(fresh["cache-control"] == "max-age=1" && !fresh.contains_key("content-length"));
}

proptest! {
    #[test]
    fn any_header_is_judged_without_a_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..40),
        text in "(max-age=|Thu, 0|1.0 |)[ -~]{0,30}",
        number in any::<u64>(),
    ) {
        fuzz(&bytes);
        fuzz(text.as_bytes());
        fuzz(number.to_string().as_bytes());
        fuzz(format!("max-age={number}, s-maxage={number}").as_bytes());
    }

    /// The library, asked as it stands, says the same wherever it reads the headers right.
    #[test]
    fn lifetimes_are_those_of_the_library(max_age in prop::option::of(0u32..9_000_000), shared in prop::option::of(0u32..9_000_000), public: bool) {
        let mut said: Vec<String> = max_age.map(|seconds| format!("max-age={seconds}")).into_iter().collect();
        said.extend(shared.map(|seconds| format!("s-maxage={seconds}")));
        prop_assume!(!said.is_empty());
        if public { said.push("public".into()); }
        let said = said.join(", ");
        let response = Response::builder().header("cache-control", &said).body(()).unwrap();
        let library = CachePolicy::new(&Request::new(()), &response);
        prop_assert_eq!(lifetime(200, &[("cache-control", &said)]), Some(library.time_to_live(SystemTime::UNIX_EPOCH).as_secs()));
    }
}
