//! Origins that lie: viewers get a clean answer or a stale one, and memory never holds half of one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use http::{Method, StatusCode};
use http_body_util::{BodyExt, Limited};

use super::status;
use crate::testing::Edge;
use crate::testing::foreign::{Foreign, Step, head, reply};

type Lie = fn() -> Vec<Step>;

const KEPT: &[(&str, &str)] = &[("cache-control", "max-age=60")];

/// Each is told once, and then the truth.
const LIES: &[(&str, Lie)] = &[
    ("shorter than said", || vec![head(200, KEPT, Some(100)), Step::Send("half".into()), Step::Close]),
    ("cut in a chunk", || vec![head(200, KEPT, None), Step::Send("64\r\nhalf".into()), Step::Close]),
    ("cut between chunks", || vec![head(200, KEPT, None), Step::Send("4\r\nhalf\r\n".into()), Step::Close]),
    ("cut while large", || {
        vec![head(200, KEPT, Some(900_000)), Step::Send("x".repeat(500_000).into()), Step::Close]
    }),
    ("stalls in its body", || vec![head(200, KEPT, Some(100)), Step::Send("half".into()), Step::Stall]),
    ("stalls in its head", || vec![Step::Send("HTTP/1.1 200 OK\r\ncache-con".into()), Step::Stall]),
    ("never ends", || vec![head(200, KEPT, None), Step::Endless]),
    ("hangs up", || vec![Step::Close]),
    ("no HTTP", || vec![Step::Send("SSH-2.0-OpenSSH\r\n\r\n".into()), Step::Close]),
    ("a part that was not asked for", || {
        reply(206, &[("cache-control", "max-age=60"), ("content-range", "bytes 0-3/9")], "half")
    }),
    ("unchanged, but nothing was there", || reply(304, KEPT, "")),
    ("headers without end", || {
        vec![Step::Send(format!("HTTP/1.1 200 OK\r\nx: {}\r\n", "y".repeat(1 << 20)).into()), Step::Stall]
    }),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lie_is_an_error_once_and_never_kept() {
    for (name, lie) in LIES {
        let lied = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&lied);
        let origin = Foreign::start(move |_| {
            // A retry is lied to as well: that it may be is not the point here.
            if flag.load(Ordering::Relaxed) { reply(200, KEPT, "the truth") } else { lie() }
        })
        .await;
        let edge = Edge::with_route(&origin, |route| {
            (route.idle_timeout, route.answer_timeout) = (1, 1);
            route.max_object = "4MiB".parse().unwrap();
        })
        .await;
        let crowd = join_all((0..5).map(|_| async {
            let response = edge.try_send(Method::GET, "/a", &[], "".into()).await.ok()?;
            let status = response.status();
            // Who comes after an answer was found to be too long to keep is sent it for as long as they want it.
            Limited::new(response.into_body(), 8 << 20).collect().await.ok().map(|_| status)
        }));
        // Cut short is fine, for a client notices.
        for status in crowd.await.into_iter().flatten() {
            assert!(status.is_server_error(), "{name}: {status}");
        }
        lied.store(true, Ordering::Relaxed);
        let answer = loop {
            match edge.try_send(Method::GET, "/a", &[], "".into()).await {
                Ok(answer) if answer.status() == StatusCode::OK => break answer,
                // The breaker may stand between, which only time opens again; and a connection that is being cut for the
                // lie may have been taken for this.
                _ => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        };
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body, "the truth", "{name}");
    }
}

const FAILURES: &[(&str, Lie)] = &[
    ("503", || reply(503, &[], "down")),
    ("500", || reply(500, &[], "down")),
    ("gone", || vec![Step::Close]),
];

/// Where something was there, one of these says that it still holds, one is refused, and of one so much comes that it must
/// be sent on before its end.
const NO_FAILURES: [&str; 3] =
    ["unchanged, but nothing was there", "a part that was not asked for", "never ends"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_good_stands_in_for_a_lie() {
    for (name, lie) in LIES.iter().chain(FAILURES).filter(|(name, _)| !NO_FAILURES.contains(name)) {
        let origin = Foreign::start(move |asked| match asked.count {
            0 => reply(200, &[("cache-control", "max-age=1, stale-if-error=60"), ("etag", "\"v\"")], "good"),
            _ => lie(),
        })
        .await;
        let edge =
            Edge::with_route(&origin, |route| (route.idle_timeout, route.answer_timeout) = (1, 1)).await;
        assert_eq!(edge.get("/a").await.text(), "good");
        // Only time makes it old: what is old from the first is asked for by each alone.
        tokio::time::sleep(Duration::from_millis(1100)).await;
        let crowd = join_all((0..10).map(|_| edge.get("/a"))).await;
        for answer in &crowd {
            assert_eq!((answer.status, answer.text()), (StatusCode::OK, "good"), "{name}");
            assert!(status(answer).contains("stale-if-error"), "{}", status(answer));
        }
        let asked = origin.count();
        edge.get("/a").await;
        assert_eq!(origin.count(), asked, "{name}: an origin that just failed is not asked at once");
    }
}

#[tokio::test]
async fn a_crowd_does_not_wait_for_what_may_be_a_little_old() {
    let origin = Foreign::start(|asked| match asked.count {
        0 => reply(200, &[("cache-control", "max-age=0, stale-while-revalidate=60")], "old"),
        _ => {
            vec![Step::Gate, head(200, &[("cache-control", "max-age=60")], Some(3)), Step::Send("new".into())]
        }
    })
    .await;
    let edge = Edge::with_route(&origin, |_| {}).await;
    edge.get("/a").await;
    for answer in join_all((0..20).map(|_| edge.get("/a"))).await {
        assert_eq!(answer.text(), "old");
        assert_eq!(status(&answer), "eu-1; hit; ttl=0; detail=stale-while-revalidate");
    }
    origin.open_gate();
    // It was fetched for nobody in particular, so that nobody is told.
    while edge.get("/a").await.text() != "new" {}
    assert_eq!(origin.count(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_failures_reaches_the_origin_once_per_wave() {
    let origin = Foreign::start(|_| {
        let mut steps = vec![Step::Gate];
        steps.extend(reply(502, &[], "bad gateway"));
        steps
    })
    .await;
    let edge = Edge::with_route(&origin, |_| {}).await;
    let crowd = join_all((0..100).map(|_| edge.get("/a")));
    let opened = async {
        edge.until("nearcast_routes_waiting_requests", |waiting| waiting == 100.0).await;
        origin.open_gate();
    };
    let (crowd, ()) = tokio::join!(crowd, opened);
    assert!(crowd.iter().all(|answer| answer.status == StatusCode::BAD_GATEWAY));
    assert_eq!(origin.count(), 1);
}

#[tokio::test]
async fn the_next_url_is_asked_where_one_is_down() {
    let origin = Foreign::start(|_| reply(200, KEPT, "up")).await;
    let bad = Foreign::start(|_| reply(503, &[], "down")).await;
    let urls = vec!["http://127.0.0.1:9".to_owned(), bad.url(), origin.url()];
    for upstreams in [urls.clone(), urls[1..].to_vec(), vec![urls[0].clone(), urls[2].clone()]] {
        let down_twice = upstreams.len() == 3;
        let edge = Edge::with_route(&origin, |route| route.upstreams = upstreams).await;
        let answer = edge.get("/a").await;
        // One retry is what a request gets.
        let want = if down_twice { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
        assert_eq!(answer.status, want);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_stays_inside_its_budget_whatever_comes() {
    let origin = Foreign::start(|_| reply(200, KEPT, &"x".repeat(100_000))).await;
    let edge = Edge::start_with(&[origin.url()], |config| {
        config.cache.memory = "16MiB".parse().unwrap();
        let route = crate::proxy::Config {
            name: "o".into(),
            upstreams: vec![origin.url()],
            max_object: "1MiB".parse().unwrap(),
            ..Default::default()
        };
        config.routes.push(route);
    })
    .await;
    for batch in 0..25 {
        join_all(
            (0..20)
                .map(|n| async move { format!("/{batch}/{n}") })
                .map(|path| async { edge.get(&path.await).await }),
        )
        .await;
    }
    // What is too much goes in passing, at the latest when it is looked at again.
    edge.until("nearcast_cache_bytes", |bytes| bytes <= f64::from(16 << 20)).await;
    let bytes = edge.metric("nearcast_cache_bytes");
    assert!(bytes > f64::from(8 << 20), "{bytes}");
    // Which of the newest had to go when all came at once is the cache's choice; most of them stay.
    let mut said = Vec::new();
    for n in 0..20 {
        said.push(edge.get(&format!("/24/{n}")).await.header("cache-status").to_owned());
    }
    let kept = said.iter().filter(|said| said.split(';').nth(1) == Some(" hit")).count();
    assert!(kept > 10, "{kept} of the last 20 are there: {said:?}");
}
