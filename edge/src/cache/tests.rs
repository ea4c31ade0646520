use nearcast_api::snapshot::Snapshot;
use nearcast_service::metrics::Registry;
use tokio::sync::watch;

use super::*;
use crate::access::fleet::Nodes;
use crate::metrics::Metrics;
use crate::testing::{Origin, media};
use crate::upstream;

const PATH: &str = "/live/demo/b1/source/3.m4s";

fn cache(origin: &Origin, drain: &Drain) -> Arc<Cache> {
    let metrics = Metrics::register(&Registry::new());
    let config = upstream::Config { origins: vec![origin.url()], ..Default::default() };
    let (_, snapshot) = watch::channel(Arc::new(Snapshot::default()));
    let via = http::HeaderValue::from_static("1.1 edge");
    let upstream = Upstream::new(config, Nodes::unknown(snapshot), via, metrics.upstream).unwrap();
    Cache::new(&Config::default(), Arc::new(upstream), Arc::default(), None, drain.clone(), metrics.cache)
}

async fn body(cache: &Arc<Cache>, path: &str) -> Result<bytes::Bytes> {
    match cache.get(Resource::parse(path).unwrap(), path).await?.0 {
        Got::Whole(object) => Ok(object.body.clone()),
        Got::Growing(growing) => growing.finished().await.map(|object| object.body.clone()),
    }
}

/// Lets other tasks run until `done`.
async fn until(done: impl Fn() -> bool) {
    while !done() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_dropped_fill_is_taken_over_by_one_waiter() {
    let (origin, drain) = (Origin::start(10, 1), Drain::new());
    let cache = cache(&origin, &drain);
    body(&cache, "/live/demo/index.m3u8").await.unwrap();
    let permit = cache.flights().prefetch(PATH).unwrap();
    let fill = Fill::new(&cache, permit);
    let waiters: Vec<_> = (0..50)
        .map(|_| {
            let cache = Arc::clone(&cache);
            drain.spawn("waiter", async move { body(&cache, PATH).await })
        })
        .collect();
    until(|| cache.metrics.joins.get() == 50).await;
    drop(fill);
    for waiter in waiters {
        assert_eq!(waiter.await.unwrap().unwrap(), media(PATH));
    }
    assert_eq!(origin.hits()[PATH], 1);
    assert!(cache.flights().is_empty());
}

#[tokio::test]
async fn a_waiter_that_leaves_takes_nothing_with_it() {
    let (origin, drain) = (Origin::start(10, 1), Drain::new());
    let cache = cache(&origin, &drain);
    body(&cache, "/live/demo/index.m3u8").await.unwrap();
    let first = drain.spawn("waiter", {
        let cache = Arc::clone(&cache);
        async move { body(&cache, PATH).await }
    });
    until(|| cache.flights().contains(PATH)).await;
    first.abort();
    assert_eq!(body(&cache, PATH).await.unwrap(), media(PATH));
    assert_eq!(origin.hits()[PATH], 1, "the fill is nobody's in particular");
}

#[tokio::test]
async fn there_are_only_so_many_fetches_at_a_time() {
    let (origin, drain) = (Origin::start(10, 1), Drain::new());
    let cache = cache(&origin, &drain);
    body(&cache, "/live/demo/index.m3u8").await.unwrap();
    let permits: Vec<_> = (0..Config::default().max_fills)
        .map(|name| cache.flights().prefetch(&name.to_string()).unwrap())
        .collect();
    assert!(matches!(body(&cache, PATH).await, Err(Error::Overloaded { .. })));
    permits.into_iter().for_each(|permit| drop(Fill::new(&cache, permit)));
    assert!(body(&cache, PATH).await.is_ok());
}

#[tokio::test]
async fn what_was_asked_for_too_early_is_fetched_when_announced() {
    let (origin, drain) = (Origin::start(10, 1), Drain::new());
    let cache = cache(&origin, &drain);
    body(&cache, "/live/demo/index.m3u8").await.unwrap();
    let part = "/live/demo/b1/source/10.3.m4s";
    assert!(matches!(body(&cache, part).await, Err(Error::NotFound)));
    (0..3).for_each(|_| origin.publish());
    cache.prefetch(part);
    assert_eq!(body(&cache, part).await.unwrap(), media(part));
}

#[tokio::test]
async fn the_multivariant_playlist_outlives_its_origin_for_a_while() {
    let (mut origin, drain) = (Origin::start(10, 1), Drain::new());
    let cache = cache(&origin, &drain);
    let path = "/live/demo/index.m3u8";
    let now = Instant::now();
    let old = Object {
        body: "old".into(),
        content_type: http::HeaderValue::from_static("text/plain"),
        produced: now.checked_sub(Duration::from_secs(5)).unwrap(),
        max_age: Duration::from_secs(1),
    };
    cache.documents.insert(path, Arc::new(old));
    origin.die();
    let (got, source) = cache.get(Resource::parse(path).unwrap(), path).await.unwrap();
    assert!(matches!(got, Got::Whole(object) if object.body == "old"));
    assert_eq!(source, Source::Stale);
}
