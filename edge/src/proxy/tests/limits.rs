//! What viewers and origins may draw out, and what that says of the others.

use bytes::Bytes;
use futures_util::stream;
use http::{Method, StatusCode};
use http_body_util::BodyExt;
use nearcast_service::http::Body;

use super::status;
use crate::testing::Edge;
use crate::testing::foreign::{Foreign, Step, head, reply};

#[tokio::test]
async fn what_viewers_do_wrong_says_nothing_of_the_origin() {
    let origin = Foreign::start(|asked| match asked.method.as_str() {
        "POST" => vec![Step::Stall],
        _ => reply(200, &[], "well"),
    })
    .await;
    let edge = Edge::with_route(&origin, |route| {
        route.methods = vec!["POST".into()];
        route.max_request_body = "1KiB".parse().unwrap();
    })
    .await;
    // More than open its breaker.
    for _ in 0..8 {
        let body = Body::stream(stream::iter([Ok::<_, &str>(Bytes::from_static(&[7; 2000]))]));
        let refused = edge.send(Method::POST, "/a", &[], body).await;
        assert_eq!(refused.status(), StatusCode::PAYLOAD_TOO_LARGE);
    }
    assert_eq!(edge.get("/b").await.text(), "well");
}

#[tokio::test]
async fn what_streams_to_its_asker_alone_is_asked_for_by_each() {
    let origin = Foreign::start(|_| {
        let chunk = "1\r\na\r\n0\r\n\r\n";
        vec![head(200, &[("cache-control", "no-cache")], None), Step::Send(chunk.into())]
    })
    .await;
    let edge = Edge::with_route(&origin, |_| {}).await;
    assert!(status(&edge.get("/a").await).contains("fwd=uri-miss"));
    for _ in 0..2 {
        let next = edge.get("/a").await;
        assert!(status(&next).contains("detail=hit-for-miss"), "{}", status(&next));
    }
}

#[tokio::test]
async fn what_is_longer_than_may_be_kept_is_cut_for_one_and_whole_for_the_next() {
    let origin = Foreign::start(|_| {
        let chunk = format!("100000\r\n{}\r\n", "x".repeat(1 << 20));
        let long = [head(200, &[("cache-control", "max-age=60")], None)].into_iter();
        let chunks = long.chain(std::iter::repeat_n(Step::Send(chunk.into()), 3));
        chunks.chain([Step::Send("0\r\n\r\n".into())]).collect()
    })
    .await;
    let edge = Edge::with_route(&origin, |route| route.max_object = "2MiB".parse().unwrap()).await;
    let cut = edge.open(Method::GET, "/a", &[]).await;
    assert!(cut.into_body().collect().await.is_err());
    for _ in 0..2 {
        assert_eq!(edge.get("/a").await.body.len(), 3 << 20);
    }
}

#[tokio::test]
async fn a_route_says_which_methods_it_takes() {
    let origin = Foreign::start(|_| reply(200, &[], "")).await;
    let edge = Edge::with_route(&origin, |route| route.methods = vec!["POST".into()]).await;
    let preflight = edge.ask(Method::OPTIONS, "/a", &[]).await;
    let refused = edge.ask(Method::DELETE, "/a", &[]).await;
    assert_eq!(refused.status, StatusCode::METHOD_NOT_ALLOWED);
    for said in [preflight.header("access-control-allow-methods"), refused.header("allow")] {
        assert_eq!(said, "GET, HEAD, OPTIONS, POST");
    }
}

#[tokio::test]
async fn pages_that_may_send_our_cookie_may_not_read_what_an_origin_keeps_from_them() {
    let origin =
        Foreign::start(|_| reply(200, &[("access-control-allow-origin", "https://own.test")], "")).await;
    let edge = Edge::start_with(&[origin.url()], |config| {
        config.access.cookie_origins = vec!["https://page.test".into()];
        let upstreams = vec![origin.url()];
        config.routes.push(super::super::Config { name: "o".into(), upstreams, ..Default::default() });
    })
    .await;
    let page = [("origin", "https://page.test")];
    let theirs = edge.ask(Method::GET, "/account", &page).await;
    assert_eq!(theirs.header("access-control-allow-origin"), "https://own.test");
    assert_eq!(theirs.header("access-control-allow-credentials"), "");
    let ours = edge.ask(Method::GET, "/live/none/index.m3u8", &page).await;
    assert_eq!(ours.header("access-control-allow-origin"), "https://page.test");
    for headers in [&page[..], &[]] {
        assert_eq!(edge.ask(Method::GET, "/live/none/index.m3u8", headers).await.header("vary"), "Origin");
    }
}
