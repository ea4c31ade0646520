//! What DASH players need of an edge beside what HLS players do.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_that_wants_the_manifest_is_one_request() {
    let origin = Origin::start(10, 1);
    let edge = Edge::start(&[origin.url()]).await;
    let name = "/live/demo/index.mpd";
    let answers = join_all((0..200).map(|_| edge.get(name))).await;
    assert!(answers.iter().all(|answer| answer.status == StatusCode::OK && answer.text() == "<MPD/>"));
    assert_eq!(answers[0].header("content-type"), "application/dash+xml");
    assert_eq!(answers[0].header("cache-control"), "public, max-age=60");
    assert_eq!(origin.hits(), [(name.into(), 1)].into(), "it is found without another question");

    // Players set their clocks by this.
    let head = edge.ask(Method::HEAD, name, &[]).await;
    let date = httpdate::parse_http_date(head.header("date")).unwrap();
    assert!(date.elapsed().is_ok_and(|elapsed| elapsed < Duration::from_secs(3)), "{date:?}");
    assert!(head.header("access-control-expose-headers").contains("Date"));
}

#[tokio::test]
async fn a_manifest_is_asked_for_again_when_it_is_too_old() {
    let mut origin = Origin::start(10, 1);
    let edge = Edge::start(&[origin.url()]).await;
    let name = "/live/demo/index.mpd";
    origin.set(name, Some(Fault::Aged(59)));
    let first = edge.get(name).await;
    assert_eq!(first.header("age"), "59");
    origin.set(name, None);
    let begun = Instant::now();
    let mut second = edge.get(name).await;
    while second.header("cache-status") == "eu-1; hit" && begun.elapsed() < Duration::from_secs(5) {
        tokio::task::yield_now().await;
        second = edge.get(name).await;
    }
    assert_eq!((second.header("age"), second.header("cache-status")), ("0", "eu-1; fwd=miss; stored"));
    origin.die();
    assert_eq!(edge.get(name).await.header("cache-status"), "eu-1; hit");
}

#[tokio::test]
async fn a_segment_that_is_being_made_is_handed_on_as_it_grows() {
    let origin = Origin::start(10, 1);
    let edge = Edge::start(&[origin.url()]).await;
    let (name, whole) = (path("3.m4s"), media(&path("3.m4s")));
    origin.set(&name, Some(Fault::Grow { cut: false }));
    let mut bodies = Vec::new();
    for _ in 0..20 {
        let response = edge.open(Method::GET, &name, &[]).await;
        assert!(!response.headers().contains_key("content-length"), "nobody knows it yet");
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
    let later = edge.get(&name).await;
    assert_eq!((later.header("cache-status"), &later.body), ("eu-1; hit", &whole));
    assert_eq!(later.header("content-length"), whole.len().to_string());
}

#[tokio::test]
async fn a_segment_that_never_becomes_whole_is_never_kept() {
    let origin = Origin::start(10, 1);
    let edge = Edge::start(&[origin.url()]).await;
    let name = path("3.m4s");
    origin.set(&name, Some(Fault::Grow { cut: true }));
    let mut body = edge.open(Method::GET, &name, &[]).await.into_body();
    assert!(body.frame().await.unwrap().is_ok());
    origin.open_gate();
    assert!(body.collect().await.is_err(), "the viewer sees that it is not whole");
    origin.set(&name, None);
    assert_eq!(until_ok(&edge, &name).await.body, media(&name));
}
