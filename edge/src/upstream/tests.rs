use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use nearcast_service::metrics::Registry;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

const PATH: &str = "/live/demo/b1/source/3.m4s";

fn upstream(origin: &str) -> Upstream {
    let (_, snapshot) = watch::channel(Arc::new(Snapshot::default()));
    let metrics = metrics::Metrics::register(&Registry::new()).upstream;
    let config = Config { origins: vec![origin.to_owned()], answer_timeout: 1, ..Config::default() };
    let upstream =
        Upstream::new(config, Nodes::unknown(snapshot), HeaderValue::from_static("1.1 edge"), metrics)
            .unwrap();
    let parent = Parent::new(&[origin.to_owned()]);
    upstream.learned.insert(&Snapshot::default(), "demo", &parent);
    upstream
}

/// Answers every connection with these bytes and closes it.
async fn canned(response: &'static [u8]) -> Upstream {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    nearcast_service::drain::Drain::new().spawn("canned answers", async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 4096];
            let _read = stream.read(&mut request).await;
            let _sent = stream.write_all(response).await;
        }
    });
    upstream(&url)
}

async fn fetch(upstream: &Upstream) -> Result<Bytes> {
    upstream.open(Resource::parse(PATH).unwrap(), PATH).await?.collect().await
}

#[tokio::test]
async fn a_body_shorter_than_said_is_an_error() {
    let upstream = canned(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this").await;
    assert!(matches!(fetch(&upstream).await, Err(Error::BrokeOff { .. } | Error::Truncated { .. })));
}

#[tokio::test]
async fn a_chunked_body_without_its_last_chunk_is_an_error() {
    let upstream = canned(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nmoof\r\n").await;
    assert!(matches!(fetch(&upstream).await, Err(Error::BrokeOff { .. })));
    let upstream =
        canned(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nmoof\r\n0\r\n\r\n").await;
    assert_eq!(fetch(&upstream).await.unwrap(), "moof");
}

#[tokio::test]
async fn a_body_that_ends_with_its_connection_is_not_trusted() {
    let upstream = canned(b"HTTP/1.0 200 OK\r\n\r\nmaybe all").await;
    assert!(matches!(fetch(&upstream).await, Err(Error::Unbounded { .. })));
}

#[tokio::test]
async fn a_body_that_is_too_large_is_not_read() {
    let upstream = canned(b"HTTP/1.1 200 OK\r\nContent-Length: 999999999999\r\n\r\n").await;
    assert!(matches!(fetch(&upstream).await, Err(Error::TooLarge { .. })));
}

#[tokio::test]
async fn garbage_is_an_error_and_a_failure_in_a_row_opens_the_breaker() {
    let upstream = canned(b"SSH-2.0-nothing\r\n").await;
    let mut errors = Vec::new();
    for _ in 0..8 {
        errors.push(fetch(&upstream).await.unwrap_err());
    }
    assert!(matches!(errors[0], Error::BrokeOff { .. }), "{:?}", errors[0]);
    assert!(matches!(errors[7], Error::Broken { .. }), "{:?}", errors[7]);
    assert!(upstream.metrics.retries.get() > 0);
}

#[tokio::test]
async fn an_origin_that_says_nothing_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = upstream(&format!("http://{}", listener.local_addr().unwrap()));
    let path = "/live/demo/b1/source/init.mp4";
    let answer = upstream.open(Resource::parse(path).unwrap(), path).await;
    assert!(matches!(answer, Err(Error::Timeout { .. })));
}

#[tokio::test]
async fn the_next_url_of_a_parent_is_tried_when_one_is_unreachable() {
    let working = canned(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nmoof").await;
    let url = working.learned.recall("demo").unwrap().urls[0].to_string();
    let parent = Parent::new(&["http://127.0.0.1:1".into(), url]);
    working.learned.insert(&Snapshot::default(), "demo", &parent);
    assert_eq!(fetch(&working).await.unwrap(), "moof");
}

#[tokio::test]
async fn parts_that_do_not_come_do_not_make_an_origin_ill() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url: Arc<str> = format!("http://{}", listener.local_addr().unwrap()).into();
    let mut upstream = upstream(&url);
    (upstream.config.hold_timeout, upstream.config.answer_timeout) = (0, 0);
    // Segments and parts wait for the publisher, an init segment does not.
    let init = "/live/demo/b1/source/init.mp4";
    for (path, opens) in [("/live/demo/b1/source/4.0.m4s", false), (PATH, false), (init, true)] {
        for _ in 0..10 {
            let answer = upstream.open(Resource::parse(path).unwrap(), path).await;
            assert!(matches!(answer, Err(Error::Timeout { .. } | Error::Broken { .. })));
        }
        let open = upstream.breaker(&url, |breaker| !breaker.admit(Instant::now()));
        assert_eq!(open, opens, "{path}");
    }
}

#[tokio::test]
async fn an_origin_whose_probe_was_dropped_is_asked_again_at_once() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url: Arc<str> = format!("http://{}", listener.local_addr().unwrap()).into();
    let mut upstream = upstream(&url);
    upstream.config.hold_timeout = 0;
    let before = Instant::now() - Duration::from_secs(60);
    let fail = |breaker: &mut Breaker| (0..5).any(|_| breaker.on_failure(before));
    for path in ["/live/demo/b1/source/init.mp4", "/live/demo/b1/source/4.0.m4s"] {
        assert!(upstream.breaker(&url, fail), "five failures open it");
        let probe = upstream.open(Resource::parse(path).unwrap(), path);
        // The client leaves in one case; in the other the part does not come, which is no verdict.
        let _dropped = tokio::time::timeout(Duration::from_millis(50), probe).await;
        assert!(upstream.breaker(&url, |breaker| breaker.admit(Instant::now())), "{path}");
        upstream.breaker(&url, Breaker::on_success);
    }
}

/// A parent that answers everything with `body`, and how often it was asked.
async fn parent(body: &'static str) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    nearcast_service::drain::Drain::new().spawn("parent", async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 4096];
            let _read = stream.read(&mut request).await;
            counted.fetch_add(1, Ordering::Relaxed);
            let answer = format!(
                "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
            let _sent = stream.write_all(answer.as_bytes()).await;
        }
    });
    (url, asked)
}

fn count(asked: &AtomicUsize) -> usize {
    asked.load(Ordering::Relaxed)
}

fn below(parents: &[&str], origin: &str) -> Upstream {
    let mut upstream = upstream(origin);
    let parents = parents.iter().map(|url| Parent::new(&[(*url).to_owned()]));
    upstream.tier = ArcSwap::from_pointee(Tier::new(parents));
    upstream
}

#[tokio::test]
async fn all_of_a_rendition_is_asked_of_one_parent_and_nothing_of_the_origin() {
    let (one, asked_one) = parent("shield").await;
    let (two, asked_two) = parent("shield").await;
    let (origin, asked_origin) = parent("origin").await;
    let upstream = below(&[&one, &two], &origin);
    for msn in 0..6 {
        let path = format!("/live/demo/b1/source/{msn}.m4s");
        let opened = upstream.open(Resource::parse(&path).unwrap(), &path).await.unwrap();
        assert_eq!(opened.collect().await.unwrap(), "shield");
    }
    let count = |asked: &Arc<AtomicUsize>| asked.load(Ordering::Relaxed);
    let mut counts = [count(&asked_one), count(&asked_two)];
    counts.sort_unstable();
    assert_eq!((counts, count(&asked_origin)), ([0, 6], 0));
}

#[tokio::test]
async fn a_parent_that_is_down_leaves_its_share_to_the_others() {
    let (alive, asked) = parent("shield").await;
    let (origin, asked_origin) = parent("origin").await;
    // Nobody listens at the discard port.
    let upstream = below(&["http://127.0.0.1:9", &alive], &origin);
    for rendition in 0..60 {
        let path = format!("/live/demo/b1/r{rendition}/3.m4s");
        let opened = upstream.open(Resource::parse(&path).unwrap(), &path).await.unwrap();
        assert_eq!(opened.collect().await.unwrap(), "shield");
    }
    assert_eq!((count(&asked), count(&asked_origin)), (60, 0));
}

#[tokio::test]
async fn without_a_parent_the_origin_is_asked() {
    let (origin, _) = parent("origin").await;
    let upstream = below(&["http://127.0.0.1:9", "http://127.0.0.2:9"], &origin);
    assert_eq!(fetch(&upstream).await.unwrap(), "origin");
    assert!(upstream.knows("anything"), "a parent may know it");
}

#[tokio::test]
async fn a_parent_that_is_slow_is_not_waited_for_where_the_answer_exists_already() {
    let slow = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = format!("http://{}", slow.local_addr().unwrap());
    let (quick, asked) = parent("shield").await;
    let (origin, asked_origin) = parent("origin").await;
    let mut upstream = below(&[&silent, &quick], &origin);
    upstream.config.hedge_ms = 20;
    // The first rendition of which the slow one is asked first.
    let directories = (0..).map(|rendition| format!("/live/demo/b1/r{rendition}"));
    let is_slow = |directory: &String| *upstream.tier.load().rank(directory)[0].parent.urls[0] == silent;
    let path = directories.into_iter().find(is_slow).unwrap() + "/init.mp4";
    let opened = upstream.open(Resource::parse(&path).unwrap(), &path).await.unwrap();
    assert_eq!(opened.collect().await.unwrap(), "shield");
    assert_eq!((upstream.metrics.hedges.get(), count(&asked), count(&asked_origin)), (1, 1, 0));
}
