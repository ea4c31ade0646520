//! The edge in front of an HTTP origin that is not ours, and that does not always behave.

mod faults;
mod limits;
mod purges;

use futures_util::future::join_all;
use http::{Method, StatusCode};
use http_body_util::BodyExt;

use crate::testing::foreign::{Asked, Foreign, Step, head, reply};
use crate::testing::{Answer, Edge};

const GZIP: &[(&str, &str)] = &[("accept-encoding", "gzip")];

fn status(answer: &Answer) -> &str {
    answer.header("cache-status")
}

/// Answers that name their number, cacheable for a minute.
fn counted(asked: &Asked) -> Vec<Step> {
    reply(200, &[("cache-control", "max-age=60"), ("etag", "\"v\"")], &format!("answer {}", asked.count))
}

#[tokio::test]
async fn an_answer_is_kept_and_says_how_it_came() {
    let origin = Foreign::start(|asked| {
        let date = "Thu, 01 Jan 2026 00:00:00 GMT";
        let headers = [
            ("cache-control", "max-age=60"),
            ("age", "7"),
            ("etag", "\"v\""),
            ("last-modified", date),
            ("surrogate-key", "t"),
            ("connection", "x-hop"),
            ("x-hop", "1"),
            ("x-kept", "a"),
            ("x-kept", "b"),
            ("via", "1.1 packager"),
        ];
        reply(200, &headers, &format!("{} 0123456789", asked.count))
    })
    .await;
    let edge = Edge::with_route(&origin, |_| {}).await;
    let first = edge.get("/vod/a.mp4?x=1").await;
    assert_eq!((first.status, first.text()), (StatusCode::OK, "0 0123456789"));
    assert_eq!(status(&first), "eu-1; fwd=uri-miss; fwd-status=200; ttl=53; stored");
    let hit = edge.get("/vod/a.mp4?x=1").await;
    assert_eq!((status(&hit), hit.header("age"), hit.text()), ("eu-1; hit; ttl=53", "7", "0 0123456789"));
    let via: Vec<_> = hit.headers.get_all("via").iter().collect();
    assert_eq!(via, ["1.1 packager", "1.1 eu-1"]);
    assert_eq!(hit.headers.get_all("x-kept").iter().count(), 2);
    assert!(["surrogate-key", "x-hop", "connection"].iter().all(|name| !hit.headers.contains_key(*name)));
    assert_eq!((hit.header("access-control-allow-origin"), hit.header("accept-ranges")), ("*", "bytes"));

    let head = edge.ask(Method::HEAD, "/vod/a.mp4?x=1", &[]).await;
    assert_eq!((head.body.len(), head.header("content-length"), head.header("etag")), (0, "12", "\"v\""));
    let same = edge.ask(Method::GET, "/vod/a.mp4?x=1", &[("if-none-match", "W/\"v\"")]).await;
    assert_eq!((same.status, same.body.len(), same.header("etag")), (StatusCode::NOT_MODIFIED, 0, "\"v\""));
    let part =
        edge.ask(Method::GET, "/vod/a.mp4?x=1", &[("range", "bytes=2-4"), ("if-range", "\"v\"")]).await;
    assert_eq!(
        (part.status, part.text(), part.header("content-range")),
        (StatusCode::PARTIAL_CONTENT, "012", "bytes 2-4/12")
    );
    let past = edge.ask(Method::GET, "/vod/a.mp4?x=1", &[("range", "bytes=12-")]).await;
    assert_eq!(
        (past.status, past.header("content-range")),
        (StatusCode::RANGE_NOT_SATISFIABLE, "bytes */12")
    );
    assert_eq!(origin.count(), 1);
    assert_eq!(edge.get("/vod/a.mp4?x=2").await.text(), "1 0123456789", "the query is part of the name");
    assert!(edge.metric("nearcast_cache_bytes") > 1000.0, "one budget holds it");
}

#[tokio::test]
async fn the_origin_is_asked_as_the_route_says() {
    let origin = Foreign::start(counted).await;
    let edge = Edge::with_route(&origin, |route| {
        (route.path, route.strip_path) = ("/vod".into(), true);
        route.host_header = "packager.example.net".into();
        route.forward_headers = vec!["X-Device".into()];
    })
    .await;
    let viewer = [
        ("cookie", "secret=1"),
        ("authorization", "Bearer x"),
        ("x-forwarded-host", "evil"),
        ("x-device", "tv"),
        ("cache-control", "no-cache"),
        ("accept-encoding", "br;q=1, gzip"),
    ];
    let answer = edge.ask(Method::GET, "/vod/a/b?c=d", &viewer).await;
    assert_eq!(answer.status, StatusCode::OK);
    let asked = origin.asked().remove(0);
    assert_eq!((asked.target.as_str(), asked.header("host")), ("/a/b?c=d", "packager.example.net"));
    assert_eq!((asked.header("via"), asked.header("x-device")), ("1.1 eu-1", "tv"));
    assert_eq!(asked.header("accept-encoding"), "br, gzip");
    let gone = ["cookie", "authorization", "x-forwarded-host", "cache-control", "range"];
    assert!(gone.iter().all(|name| !asked.headers.contains_key(*name)), "{asked:?}");
    assert_eq!(edge.get("/vodka").await.status, StatusCode::NOT_FOUND);
    assert_eq!(edge.get("/vod/%2e%2e/admin").await.status, StatusCode::NOT_FOUND);
    assert_eq!(edge.get(&format!("/vod/{}", "x".repeat(9000))).await.status, StatusCode::URI_TOO_LONG);
    let looped = edge.ask(Method::GET, "/vod/z", &[("via", "1.1 eu-1")]).await;
    assert_eq!((looped.status, origin.count()), (StatusCode::LOOP_DETECTED, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_costs_one_fetch_and_watches_it_arrive() {
    let origin = Foreign::start(|_| {
        let half = "x".repeat(300_000);
        vec![
            head(200, &[("cache-control", "max-age=60")], Some(600_000)),
            Step::Send(half.clone().into()),
            Step::Gate,
            Step::Send(half.into()),
        ]
    })
    .await;
    let edge = Edge::with_route(&origin, |_| {}).await;
    let mut crowd = join_all((0..200).map(|_| edge.open(Method::GET, "/big", &[]))).await;
    for response in &mut crowd {
        // The first half is here though the second is not sent.
        assert!(response.frame().await.unwrap().unwrap().into_data().unwrap().len() <= 300_000);
    }
    let range = edge.open(Method::GET, "/big", &[("range", "bytes=1000-1999")]).await;
    assert_eq!(range.status(), StatusCode::PARTIAL_CONTENT);
    assert_eq!(
        range.into_body().collect().await.unwrap().to_bytes().len(),
        1000,
        "a part that is here is not waited for"
    );
    origin.open_gate();
    for response in crowd {
        let rest = response.into_body().collect().await.unwrap().to_bytes();
        assert!(rest.len() >= 300_000 && rest.len() < 600_000, "{}", rest.len());
    }
    assert_eq!(origin.count(), 1);
    assert!(status(&edge.get("/big").await).starts_with("eu-1; hit"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_somebodys_own_goes_to_nobody_else() {
    let own: [&[(&str, &str)]; 4] = [
        &[("cache-control", "private, max-age=60")],
        &[("cache-control", "public, max-age=60"), ("set-cookie", "a=b")],
        &[("cache-control", "no-store")],
        &[("cache-control", "max-age=60"), ("vary", "*")],
    ];
    for headers in own {
        let origin = Foreign::start(move |asked| reply(200, headers, &format!("for {}", asked.count))).await;
        let edge = Edge::with_route(&origin, |_| {}).await;
        let answers = join_all((0..50).map(|_| edge.get("/mine"))).await;
        let mut bodies: Vec<_> = answers.iter().map(|answer| answer.text().to_owned()).collect();
        bodies.sort_unstable();
        bodies.dedup();
        assert_eq!((bodies.len(), origin.count()), (50, 50), "{headers:?}");
        let next = edge.get("/mine").await;
        assert!(status(&next).contains("detail=hit-for-miss"), "{}", status(&next));
        assert_eq!(
            next.header("set-cookie").is_empty(),
            !headers.iter().any(|(name, _)| *name == "set-cookie")
        );
    }
}

#[tokio::test]
async fn each_version_goes_to_those_who_can_read_it() {
    let origin = Foreign::start(|asked| {
        let coding = asked.header("accept-encoding").to_owned();
        let headers = [("cache-control", "max-age=60"), ("vary", "Accept-Encoding")];
        reply(200, &headers, &format!("[{coding}] {}", asked.count))
    })
    .await;
    let edge = Edge::with_route(&origin, |_| {}).await;
    assert_eq!(edge.get("/a").await.text(), "[] 0");
    let other = edge.ask(Method::GET, "/a", GZIP).await;
    assert_eq!(
        (other.text(), status(&other)),
        ("[gzip] 1", "eu-1; fwd=vary-miss; fwd-status=200; ttl=60; stored")
    );
    assert_eq!(edge.get("/a").await.text(), "[] 0");
    assert_eq!(edge.ask(Method::GET, "/a", GZIP).await.text(), "[gzip] 1");
    // Of a crowd of two kinds each gets its own, though nobody knew that there are two.
    let kinds = (0..40).map(|n| edge.ask(Method::GET, "/b", if n % 2 == 0 { &[] } else { GZIP }));
    for (n, answer) in join_all(kinds).await.iter().enumerate() {
        assert!(answer.text().starts_with(["[]", "[gzip]"][n % 2]), "{n} {}", answer.text());
    }
    assert_eq!(origin.count(), 4);
}

#[tokio::test]
async fn what_is_stale_is_asked_about_and_not_fetched_again() {
    let origin = Foreign::start(|asked| {
        let headers =
            [("cache-control", "max-age=0"), ("etag", "\"v\""), ("x-count", &*asked.count.to_string())];
        match asked.header("if-none-match") {
            "\"v\"" => reply(304, &headers, ""),
            _ => reply(200, &headers, "body"),
        }
    })
    .await;
    let edge = Edge::with_route(&origin, |_| {}).await;
    edge.get("/a").await;
    let again = edge.get("/a").await;
    assert_eq!((again.text(), again.status), ("body", StatusCode::OK));
    assert_eq!(origin.asked()[1].header("if-none-match"), "\"v\"");
    let own = edge.ask(Method::GET, "/a", &[("if-none-match", "\"v\"")]).await;
    assert_eq!((own.status, own.body.len()), (StatusCode::NOT_MODIFIED, 0));
    let crowd = join_all((0..20).map(|_| edge.get("/a"))).await;
    assert!(crowd.iter().all(|answer| answer.text() == "body"));
    assert_eq!(origin.asked().iter().filter(|asked| asked.header("if-none-match").is_empty()).count(), 1);
}

#[tokio::test]
async fn a_304_brings_a_new_lifetime_and_new_headers() {
    let origin = Foreign::start(|asked| match asked.count {
        0 => reply(
            200,
            &[("cache-control", "max-age=0"), ("last-modified", "Thu, 01 Jan 2026 00:00:00 GMT")],
            "body",
        ),
        _ => reply(304, &[("cache-control", "max-age=60"), ("x-new", "1")], ""),
    })
    .await;
    let edge = Edge::with_route(&origin, |_| {}).await;
    edge.get("/a").await;
    edge.get("/a").await;
    let answer = edge.get("/a").await;
    assert_eq!((answer.text(), answer.header("x-new")), ("body", "1"));
    assert_eq!(status(&answer), "eu-1; hit; ttl=60");
    assert_eq!(origin.asked()[1].header("if-modified-since"), "Thu, 01 Jan 2026 00:00:00 GMT");
}

#[tokio::test]
async fn a_far_part_of_a_large_answer_does_not_wait_for_the_whole() {
    let origin = Foreign::start(|asked| match asked.header("range") {
        "" => vec![
            head(200, &[("cache-control", "max-age=60")], Some(30_000_000)),
            Step::Send("x".repeat(500_000).into()),
            Step::Gate,
            Step::Send("y".repeat(29_500_000).into()),
        ],
        "bytes=20000000-20000004" => {
            reply(206, &[("content-range", "bytes 20000000-20000004/30000000")], "yyyyy")
        }
        other => panic!("{other}"),
    })
    .await;
    let edge = Edge::with_route(&origin, |_| {}).await;
    let far = edge.ask(Method::GET, "/big", &[("range", "bytes=20000000-20000004")]).await;
    assert_eq!((far.status, far.text()), (StatusCode::PARTIAL_CONTENT, "yyyyy"));
    assert_eq!(status(&far), "eu-1; fwd=partial; fwd-status=206");
    let near = edge.ask(Method::GET, "/big", &[("range", "bytes=100-104")]).await;
    assert_eq!(
        (near.status, near.text(), near.header("content-range")),
        (StatusCode::PARTIAL_CONTENT, "xxxxx", "bytes 100-104/30000000")
    );
    origin.open_gate();
    let whole = edge.get("/big").await;
    assert_eq!(whole.body.len(), 30_000_000);
    let far = edge.ask(Method::GET, "/big", &[("range", "bytes=20000000-20000004")]).await;
    assert!(far.text() == "yyyyy" && status(&far).starts_with("eu-1; hit"), "{}", status(&far));
    assert_eq!(origin.count(), 2, "one for the whole, one for the part that was far away");
}

#[tokio::test]
async fn what_is_too_large_to_keep_is_passed_in_parts() {
    let origin = Foreign::start(|asked| match asked.header("range") {
        "" => reply(200, &[("cache-control", "max-age=60")], &"x".repeat(2 << 20)),
        _ => reply(206, &[("content-range", "bytes 0-1/2097152")], "xx"),
    })
    .await;
    let edge = Edge::with_route(&origin, |route| route.max_object = "1MiB".parse().unwrap()).await;
    assert_eq!(edge.get("/big").await.body.len(), 2 << 20);
    let part = edge.ask(Method::GET, "/big", &[("range", "bytes=0-1")]).await;
    assert_eq!((part.status, part.text()), (StatusCode::PARTIAL_CONTENT, "xx"));
    assert_eq!(origin.asked()[1].header("range"), "bytes=0-1");
}

#[tokio::test]
async fn a_change_is_passed_on_and_what_it_changes_is_forgotten() {
    let origin = Foreign::start(|asked| match asked.method.as_str() {
        "POST" => reply(201, &[("location", "/list")], &String::from_utf8_lossy(&asked.body)),
        _ => counted(asked),
    })
    .await;
    let edge = Edge::with_route(&origin, |route| {
        route.methods = vec!["POST".into()];
        route.max_request_body = "1KiB".parse().unwrap();
    })
    .await;
    for path in ["/item", "/list", "/other"] {
        edge.get(path).await;
    }
    let response = edge
        .send(Method::POST, "/item", &[("content-type", "text/plain"), ("cookie", "a")], "hello".into())
        .await;
    assert_eq!(
        (response.status(), response.headers()["cache-status"].to_str().unwrap()),
        (StatusCode::CREATED, "eu-1; fwd=method; fwd-status=201")
    );
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "hello");
    let posted = origin.asked().remove(3);
    assert_eq!((posted.header("content-type"), posted.header("cookie")), ("text/plain", ""));
    assert_eq!(edge.get("/item").await.text(), "answer 4");
    assert_eq!(edge.get("/list").await.text(), "answer 5");
    assert_eq!(edge.get("/other").await.text(), "answer 2");
    let large = edge.send(Method::POST, "/item", &[], "x".repeat(1025).into()).await;
    assert_eq!(large.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(edge.ask(Method::DELETE, "/item", &[]).await.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(edge.ask(Method::OPTIONS, "/item", &[]).await.status, StatusCode::NO_CONTENT);
    assert_eq!(origin.count(), 6);
}

#[tokio::test]
async fn redirects_and_missing_names_are_the_viewers_to_see() {
    let origin = Foreign::start(|asked| match asked.target.as_str() {
        "/moved" => reply(302, &[("location", "/elsewhere")], ""),
        _ => reply(404, &[], "none"),
    })
    .await;
    let edge = Edge::with_route(&origin, |_| {}).await;
    let moved = edge.get("/moved").await;
    assert_eq!((moved.status, moved.header("location")), (StatusCode::FOUND, "/elsewhere"));
    assert_eq!(edge.get("/none").await.status, StatusCode::NOT_FOUND);
    let again = edge.get("/none").await;
    assert_eq!((again.text(), status(&again)), ("none", "eu-1; hit; ttl=1"));
    assert_eq!(origin.count(), 2);
}
