//! The whole edge against a real HTTP origin.

mod playlists;

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use http::{Method, StatusCode};
use http_body_util::BodyExt;

use crate::testing::{Answer, Edge, Fault, Origin, media};

mod dash;
mod thumbs;

const BASE: &str = "/live/demo/b1/source";

fn path(file: &str) -> String {
    format!("{BASE}/{file}")
}

fn problem(answer: &Answer) -> nearcast_api::Problem {
    assert_eq!(answer.header("content-type"), nearcast_api::Problem::CONTENT_TYPE);
    let problem: nearcast_api::Problem = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(problem.status, answer.status.as_u16());
    problem
}

/// What a low-latency player does: multivariant, playlist, init, then each next playlist with its part.
async fn watch(edge: &Edge, parts: &[(u64, u32)]) -> Vec<Answer> {
    let mut answers = vec![edge.get("/live/demo/index.m3u8").await, edge.get(&path("media.m3u8")).await];
    answers.push(edge.get(&path("init.mp4")).await);
    answers.push(edge.get(&path("3.m4s")).await);
    for (msn, part) in parts {
        let (playlist, part) = (
            path(&format!("media.m3u8?_HLS_msn={msn}&_HLS_part={part}")),
            path(&format!("{msn}.{part}.m4s")),
        );
        let (playlist, part) = tokio::join!(edge.get(&playlist), edge.get(&part));
        answers.extend([playlist, part]);
    }
    answers
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_viewers_cause_one_request_per_object() {
    let origin = Origin::start(10, 1);
    let edge = Edge::start(&[origin.url()]).await;
    let parts = [(10, 1), (10, 2), (10, 3), (11, 0), (11, 1)];
    let viewers = join_all((0..200).map(|_| watch(&edge, &parts)));
    let publisher = async {
        for (msn, part) in parts {
            origin.publish();
            // The next one comes when this one has been seen.
            edge.get(&path(&format!("media.m3u8?_HLS_msn={msn}&_HLS_part={part}"))).await;
        }
    };
    let (viewers, ()) = tokio::join!(viewers, publisher);
    for answers in &viewers {
        assert!(answers.iter().all(|answer| answer.status == StatusCode::OK));
        for ((msn, part), pair) in parts.iter().zip(answers[4..].chunks(2)) {
            let name = format!("{msn}.{part}.m4s");
            assert!(pair[0].text().contains(&format!("URI=\"{name}\"")), "{}", pair[0].text());
            assert_eq!(pair[1].body, media(&path(&name)));
        }
    }
    let hits = origin.hits();
    for (name, count) in &hits {
        let refetched = name.ends_with("index.m3u8") || name.ends_with("media.m3u8");
        assert!(*count == 1 || refetched && *count <= 2, "{name} was fetched {count} times");
    }
    let objects = hits.keys().filter(|name| name.ends_with(".m4s") || name.ends_with(".mp4")).count();
    assert_eq!(objects, 2 + parts.len() + 1, "init, a segment, the parts and the hinted one: {hits:?}");
    assert_eq!(edge.metric("nearcast_follow_blocked_requests"), 0.0);
    assert_eq!(edge.metric("nearcast_follow_renditions"), 1.0);
}

#[tokio::test]
async fn what_a_viewer_gets_says_where_it_is_from_and_how_long_it_holds() {
    let origin = Origin::start(10, 1);
    let edge = Edge::start(&[origin.url()]).await;
    origin.set(&path("3.m4s"), Some(Fault::Aged(7)));
    origin.set(&path("media.m3u8"), Some(Fault::Aged(1)));

    let answer = edge.get("/live/demo/index.m3u8").await;
    assert_eq!(answer.header("cache-control"), "public, max-age=60");
    assert_eq!(answer.header("content-type"), "application/vnd.apple.mpegurl");
    assert_eq!(answer.header("cache-status"), "eu-1; fwd=miss; stored");
    assert_eq!(edge.get("/live/demo/index.m3u8").await.header("cache-status"), "eu-1; hit");

    let answer = edge.get(&path("media.m3u8")).await;
    assert_eq!((answer.header("cache-control"), answer.header("age")), ("public, max-age=1", "1"));
    let answer = edge.get(&path("media.m3u8?_HLS_msn=10&_HLS_part=0")).await;
    assert_eq!(answer.header("cache-control"), "public, max-age=12");
    let delta = edge.get(&path("media.m3u8?_HLS_skip=YES&CMCD=bl%3D2000")).await;
    assert!(delta.text().contains("#EXT-X-SKIP:") && delta.body.len() < answer.body.len());

    let answer = edge.get(&path("3.m4s?CMCD=bl%3D1000")).await;
    assert_eq!(answer.header("cache-control"), "public, max-age=31536000, immutable");
    assert_eq!((answer.header("via"), answer.header("content-type")), ("1.1 eu-1", "video/mp4"));
    assert!(["7", "8"].contains(&answer.header("age")), "{}", answer.header("age"));
    assert_eq!(answer.header("access-control-allow-origin"), "*");
    assert_eq!(answer.header("timing-allow-origin"), "*");
    assert!(answer.header("access-control-expose-headers").contains("Via"));
    assert_eq!(origin.hits()[&path("3.m4s")], 1, "queries are not part of a media object's name");
    assert_eq!(edge.get(&path("3.m4s?other=1")).await.body, answer.body);
    assert_eq!(origin.hits()[&path("3.m4s")], 1);
}

#[tokio::test]
async fn ranges_validators_and_methods() {
    let origin = Origin::start(10, 1);
    let edge = Edge::start(&[origin.url()]).await;
    let (name, whole) = (path("3.m4s"), media(&path("3.m4s")));
    // Through the first fetch as well as from the cache.
    for _ in 0..2 {
        let answer = edge.ask(Method::GET, &name, &[("range", "bytes=10-19")]).await;
        assert_eq!((answer.status, &answer.body), (StatusCode::PARTIAL_CONTENT, &whole.slice(10..20)));
        assert_eq!(answer.header("content-range"), format!("bytes 10-19/{}", whole.len()));
    }
    let answer = edge.ask(Method::GET, &name, &[("range", "bytes=99999999-")]).await;
    assert_eq!(answer.status, StatusCode::RANGE_NOT_SATISFIABLE);
    assert_eq!(answer.header("content-range"), format!("bytes */{}", whole.len()));
    let answer = edge.ask(Method::GET, &name, &[("range", "bytes=0-1"), ("if-range", "\"other\"")]).await;
    assert_eq!((answer.status, answer.body.len()), (StatusCode::OK, whole.len()));

    let tag = edge.get(&name).await.header("etag").to_owned();
    let answer = edge.ask(Method::GET, &name, &[("if-none-match", &tag)]).await;
    assert_eq!((answer.status, answer.body.len()), (StatusCode::NOT_MODIFIED, 0));
    let answer = edge.ask(Method::HEAD, &name, &[]).await;
    assert_eq!((answer.status, answer.body.len()), (StatusCode::OK, 0));
    assert_eq!(answer.header("content-length"), whole.len().to_string());

    let answer = edge.ask(Method::OPTIONS, &name, &[("origin", "http://page")]).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    assert_eq!(answer.header("access-control-allow-methods"), "GET, HEAD, OPTIONS");
    assert_eq!(answer.header("access-control-allow-headers"), "*, Authorization");
    let answer = edge.ask(Method::POST, &name, &[]).await;
    assert_eq!(
        (answer.status, answer.header("allow")),
        (StatusCode::METHOD_NOT_ALLOWED, "GET, HEAD, OPTIONS")
    );
    problem(&answer);
}

#[tokio::test]
async fn what_cannot_be_answered_gets_the_right_status_in_words() {
    let origin = Origin::start(10, 1);
    let edge = Edge::start(&[origin.url()]).await;
    for (asked, status) in [
        ("/", 404),
        ("/live/demo/../secret", 404),
        ("/~token/live/", 404),
        ("/~token", 404),
        ("/live/other/index.m3u8", 404),
        ("/live/other/b1/source/media.m3u8", 404),
        ("/live/other/b1/source/1.m4s", 404),
        ("/live/demo/b2/source/media.m3u8", 404),
        ("/live/demo/b1/source/9999999.m4s", 404),
        ("/live/demo/b1/source/media.m3u8?_HLS_part=1", 400),
        ("/live/demo/b1/source/media.m3u8?_HLS_msn=x", 400),
        ("/live/demo/b1/source/media.m3u8?_HLS_msn=14", 400),
        ("/live/demo/b1/source/media.m3u8?_HLS_msn=10&_HLS_part=99", 400),
    ] {
        let answer = edge.get(asked).await;
        assert_eq!(answer.status, status, "{asked}: {}", answer.text());
        let problem = problem(&answer);
        assert!(!problem.detail.is_empty() && answer.header("cache-control").starts_with("public, max-age="));
    }
    for (msn, status, want, cached) in
        [(1, 500, 502, "no-store"), (2, 503, 503, "no-store"), (3, 403, 502, "no-store")]
    {
        let name = path(&format!("{msn}.m4s"));
        origin.set(&name, Some(Fault::Status(status)));
        let answer = edge.get(&name).await;
        assert_eq!((answer.status.as_u16(), answer.header("cache-control")), (want, cached));
    }
}

#[tokio::test]
async fn a_segment_is_read_while_it_is_fetched() {
    let origin = Origin::start(10, 1);
    let edge = Edge::start(&[origin.url()]).await;
    let (name, whole) = (path("3.m4s"), media(&path("3.m4s")));
    origin.set(&name, Some(Fault::Gate));
    let mut bodies = Vec::new();
    for _ in 0..20 {
        let response = edge.open(Method::GET, &name, &[]).await;
        assert_eq!(response.headers()["content-length"], whole.len().to_string());
        let mut body = response.into_body();
        let mut got = Vec::new();
        while got.len() < whole.len() / 2 {
            got.extend_from_slice(&body.frame().await.unwrap().unwrap().into_data().unwrap());
        }
        bodies.push((got, body));
    }
    origin.open_gate();
    for (mut got, body) in bodies {
        got.extend_from_slice(&body.collect().await.unwrap().to_bytes());
        assert_eq!(got, whole);
    }
    assert_eq!(origin.hits()[&name], 1);
    assert_eq!(edge.get(&name).await.header("cache-status"), "eu-1; hit");
}

#[tokio::test]
async fn a_body_that_breaks_off_breaks_off_for_the_viewer_and_is_never_kept() {
    let origin = Origin::start(10, 1);
    let edge = Edge::start(&[origin.url()]).await;
    let (segment, part) = (path("3.m4s"), path("9.0.m4s"));
    origin.set(&segment, Some(Fault::Cut));
    origin.set(&part, Some(Fault::Cut));

    let mut body = edge.open(Method::GET, &segment, &[]).await.into_body();
    assert!(body.frame().await.unwrap().is_ok());
    origin.open_gate();
    assert!(body.collect().await.is_err(), "the viewer sees that it is not whole");
    origin.open_gate();
    origin.open_gate();
    let answer = edge.get(&part).await;
    assert_eq!(answer.status, StatusCode::BAD_GATEWAY, "a part is sent whole or not at all");
    assert_eq!(problem(&answer).title, "origin failed");

    origin.set(&segment, None);
    origin.set(&part, None);
    for name in [segment, part] {
        let answer = until_ok(&edge, &name).await;
        assert_eq!(answer.body, media(&name));
    }
}

#[tokio::test]
async fn a_whole_segment_is_made_of_its_parts_without_a_fetch() {
    let origin = Origin::start(10, 0);
    let edge = Edge::start(&[origin.url()]).await;
    edge.get(&path("media.m3u8")).await;
    for (msn, part) in [(10, 0), (10, 1), (10, 2), (10, 3), (11, 0)] {
        origin.publish();
        edge.get(&path(&format!("media.m3u8?_HLS_msn={msn}&_HLS_part={part}"))).await;
        edge.get(&path(&format!("{msn}.{part}.m4s"))).await;
    }
    let answer = edge.get(&path("10.m4s")).await;
    let parts: Vec<_> = (0..4).map(|part| media(&path(&format!("10.{part}.m4s")))).collect();
    assert_eq!(answer.body, parts.concat());
    assert!(!origin.hits().contains_key(&path("10.m4s")));
    let edges = parts[0].len() as u64;
    let range = format!("bytes={}-{}", edges - 2, edges + 1);
    let answer = edge.ask(Method::GET, &path("10.m4s"), &[("range", &range)]).await;
    assert_eq!(answer.body, [&parts[0][parts[0].len() - 2..], &parts[1][..2]].concat());
    assert_eq!(edge.metric("nearcast_cache_assembled_segments_total"), 2.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn viewers_ride_out_an_origin_that_dies_and_returns() {
    let mut origin = Origin::start(10, 1);
    let edge = Edge::start(&[origin.url()]).await;
    edge.get("/live/demo/index.m3u8").await;
    edge.get(&path("media.m3u8")).await;
    let cached = edge.get(&path("3.m4s")).await;

    let next = path("media.m3u8?_HLS_msn=10&_HLS_part=1");
    let (held, ()) = tokio::join!(edge.get(&next), async {
        origin.die();
        assert_eq!(edge.get("/live/demo/index.m3u8").await.status, StatusCode::OK);
        assert_eq!(edge.get(&path("media.m3u8")).await.status, StatusCode::OK, "the last playlist");
        assert_eq!(edge.get(&path("3.m4s")).await.body, cached.body);
        let answer = edge.get(&path("4.m4s")).await;
        assert_eq!(answer.status, StatusCode::BAD_GATEWAY);
        assert!(!problem(&answer).detail.contains(&origin.url()), "viewers see where origins are");
        origin.revive();
        origin.publish();
    });
    assert_eq!(held.status, StatusCode::OK, "{}", held.text());
    assert!(held.text().contains("URI=\"10.1.m4s\""));
    assert_eq!(until_ok(&edge, &path("4.m4s")).await.body, media(&path("4.m4s")));
}

#[tokio::test]
async fn a_channel_is_found_at_whichever_origin_has_it() {
    let (empty, full) = (Origin::start(10, 1), Origin::start(10, 1));
    empty.set("/live/demo/index.m3u8", Some(Fault::Status(404)));
    let edge = Edge::start(&[empty.url(), full.url()]).await;
    // Straight to the media, as a player does that was moved here.
    assert_eq!(edge.get(&path("3.m4s")).await.body, media(&path("3.m4s")));
    assert_eq!(edge.get(&path("media.m3u8")).await.status, StatusCode::OK);
    let asked: usize = empty.hits().values().sum();
    assert_eq!(asked, 1, "only whether it has the channel: {:?}", empty.hits());

    let nowhere = Edge::start(&["http://127.0.0.1:1".into()]).await;
    let answer = nowhere.get("/live/demo/index.m3u8").await;
    assert_eq!(answer.status, StatusCode::BAD_GATEWAY, "it may exist: {}", answer.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_unknown_names_costs_neither_memory_nor_the_origin() {
    let origin = Origin::start(10, 1);
    let edge = Edge::start(&[origin.url()]).await;
    edge.get(&path("media.m3u8")).await;
    let held = edge.metric("nearcast_cache_bytes");
    let one = join_all((0..200).map(|_| edge.get("/live/nobody/b1/source/media.m3u8"))).await;
    assert!(one.iter().all(|answer| answer.status == StatusCode::NOT_FOUND));
    assert!(origin.hits()["/live/nobody/index.m3u8"] <= 2, "one question for all, and one a second later");
    for round in 0..10 {
        let names = (0..100).map(|name| format!("/live/n{round}x{name}/index.m3u8"));
        let names = names.chain((0..100).map(|name| format!("/live/demo/{round}-{name}/source/media.m3u8")));
        let answers = join_all(names.map(|name| get_owned(&edge, name))).await;
        assert!(answers.iter().all(|answer| answer.status == StatusCode::NOT_FOUND));
    }
    assert_eq!(edge.metric("nearcast_cache_bytes"), held);
    assert_eq!(edge.metric("nearcast_follow_renditions"), 1.0);
}

#[tokio::test]
async fn an_ended_broadcast_is_served_to_its_end() {
    let origin = Origin::start(10, 1);
    let edge = Edge::start(&[origin.url()]).await;
    edge.get(&path("media.m3u8")).await;
    origin.end();
    let answer = edge.get(&path("media.m3u8?_HLS_msn=10&_HLS_part=1")).await;
    assert!(answer.text().ends_with("#EXT-X-ENDLIST\n"), "{}", answer.text());
    assert_eq!(edge.get(&path("media.m3u8?_HLS_msn=99")).await.body, answer.body, "nothing to wait for");
}

#[tokio::test]
async fn draining_answers_who_waits_and_ends() {
    let origin = Origin::start(10, 1);
    let edge = Edge::start(&[origin.url()]).await;
    edge.get(&path("media.m3u8")).await;
    let next = path("media.m3u8?_HLS_msn=10&_HLS_part=1");
    let (answer, drained) = tokio::join!(edge.get(&next), async {
        edge.daemon().drain.begin();
        origin.publish();
        edge.daemon().drain.wait(Duration::from_secs(10)).await
    });
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(drained, Ok(()));
}

async fn get_owned(edge: &Edge, name: String) -> Answer {
    edge.get(&name).await
}

/// Asks until what failed is no longer remembered as failing.
async fn until_ok(edge: &Edge, name: &str) -> Answer {
    let begun = Instant::now();
    loop {
        let answer = edge.get(name).await;
        if answer.status == StatusCode::OK {
            return answer;
        }
        assert_eq!(answer.status, StatusCode::BAD_GATEWAY);
        assert!(begun.elapsed() < Duration::from_secs(10), "it never recovered: {}", answer.text());
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_storm_of_unknown_channels_does_not_reach_the_origins() {
    let origin = Origin::start(10, 1);
    let edge = Edge::start(&[origin.url()]).await;
    let start = Instant::now();
    for name in 0..900 {
        assert_eq!(edge.get(&format!("/live/c{name}/index.m3u8")).await.status, StatusCode::NOT_FOUND);
    }
    // Three seconds' worth at once, and then two hundred a second.
    let asked = origin.hits().len();
    let most = 601 + 200 * usize::try_from(start.elapsed().as_secs() + 1).unwrap();
    assert!((600..most).contains(&asked), "the origin was asked {asked} times");
}

#[tokio::test]
async fn one_address_may_have_so_many_requests_waiting() {
    let origin = Origin::start(10, 1);
    let edge = Edge::start_with(&[origin.url()], |config| config.access.address_waiting = 20).await;
    let next = path("media.m3u8?_HLS_msn=10&_HLS_part=1");
    assert_eq!(edge.get(&path("media.m3u8")).await.status, StatusCode::OK);
    let waiting = join_all((0..30).map(|_| edge.get(&next)));
    let publish = async {
        edge.until("nearcast_access_refused_total", |refused| refused >= 10.0).await;
        origin.publish();
    };
    let (answers, ()) = tokio::join!(waiting, publish);
    let refused = answers.iter().filter(|answer| answer.status == StatusCode::TOO_MANY_REQUESTS);
    assert!(refused.clone().all(|answer| answer.header("retry-after") == "1"));
    assert_eq!(refused.count(), 10);
    // Other renditions have their own, and places are given back.
    assert_eq!(edge.get(&next).await.status, StatusCode::OK);
}

#[tokio::test]
async fn what_memory_has_no_room_for_is_found_on_disk_also_after_a_restart() {
    let origin = Origin::start(1000, 1);
    let folder = tempfile::tempdir().unwrap();
    let small = |config: &mut crate::Config| {
        config.cache.memory = "16MiB".parse().unwrap();
        config.cache.disk = folder.path().join("{node.id}");
    };
    let segment = |msn: usize| path(&format!("{}.m4s", 990 - msn));
    let edge = Edge::start_with(&[origin.url()], small).await;
    for msn in 0..600 {
        assert_eq!(edge.get(&segment(msn)).await.status, StatusCode::OK);
    }
    while edge.metric("nearcast_disk_written_total") < 1e7 {
        edge.get(&segment(0)).await;
    }
    edge.daemon().drain.begin();
    edge.daemon().drain.wait(Duration::from_secs(10)).await.unwrap();

    let edge = Edge::start_with(&[origin.url()], small).await;
    edge.until("nearcast_disk_bytes", |bytes| bytes >= 1e7).await;
    let before = origin.hits();
    for msn in 1..100 {
        let kept = edge.get(&segment(msn)).await;
        assert_eq!(
            (&kept.body, kept.header("cache-status")),
            (&media(&segment(msn)), "eu-1; hit; detail=disk")
        );
    }
    let after = origin.hits();
    assert!((1..100).all(|msn| before[&segment(msn)] == after[&segment(msn)]), "the origin was asked again");
    assert_eq!(edge.metric("nearcast_disk_hits_total"), 99.0);
}
