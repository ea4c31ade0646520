//! Purges at one edge: what they take, what they leave, and what was on its way when they came.

use std::sync::Arc;

use http::{HeaderValue, Method, Request as HttpRequest};
use http_body_util::BodyExt;
use nearcast_api::purge::{Order, Purge, Target};
use nearcast_api::snapshot::Snapshot;
use nearcast_service::drain::Drain;
use nearcast_service::http::{Request, RequestBody};
use nearcast_service::metrics::Registry;
use tokio::sync::watch;

use crate::access::fleet::Nodes;
use crate::cache::{self, Cache};
use crate::metrics::Metrics;
use crate::proxy::{Config, Proxy, Shares};
use crate::purge::Purger;
use crate::testing::foreign::{Asked, Foreign, Step, head, reply};
use crate::upstream::{self, Upstream};

/// A proxy, what purges it, and the purges so far.
struct World {
    proxy: Arc<Proxy>,
    purger: Arc<Purger>,
    snapshot: Snapshot,
}

impl World {
    fn new(origin: &Foreign) -> Self {
        let metrics = Metrics::register(&Registry::new());
        let config = upstream::Config { origins: vec![origin.url()], ..Default::default() };
        let (_, snapshot) = watch::channel(Arc::<Snapshot>::default());
        let via = HeaderValue::from_static("1.1 edge");
        let drain = Drain::new();
        let upstream =
            Arc::new(Upstream::new(config, Nodes::unknown(snapshot), via.clone(), metrics.upstream).unwrap());
        let cache = Cache::new(
            &cache::Config::default(),
            upstream,
            Arc::default(),
            None,
            drain.clone(),
            metrics.cache,
        );
        let purger = Purger::new(Arc::clone(&cache), &Snapshot::default(), metrics.purges);
        let route = |name: &str, hosts: &[&str]| Config {
            name: name.into(),
            hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
            upstreams: vec![origin.url()],
            ..Config::default()
        };
        let shares = Shares {
            store: cache.store().clone(),
            log: Arc::clone(cache.purges()),
            cache: cache::Config::default(),
            drain,
            metrics: metrics.proxy,
        };
        let routes = [route("any", &[]), route("site", &["www.example.net"])];
        let proxy = Proxy::new(&routes, "edge", via, shares).unwrap();
        Self { proxy, purger, snapshot: Snapshot { version: 1, ..Snapshot::default() } }
    }

    fn request(&self, host: &str, path: &str) -> impl Future<Output = (String, String)> + Send + 'static {
        let proxy = Arc::clone(&self.proxy);
        let request = HttpRequest::builder().method(Method::GET).uri(path).header("host", host);
        let request: Request = request.body(RequestBody::empty()).unwrap();
        async move {
            let (head, body) = request.into_parts();
            let route = Arc::clone(proxy.routes().of(&head).unwrap());
            let response = proxy.answer(&route, &head, body).await.unwrap();
            let status = response.headers()["cache-status"].to_str().unwrap().to_owned();
            let body = response.into_body().collect().await.unwrap().to_bytes();
            (String::from_utf8(body.to_vec()).unwrap(), status)
        }
    }

    async fn get(&self, path: &str) -> String {
        self.request("www.example.net", path).await.0
    }

    fn purge(&mut self, target: Target, soft: bool) {
        let id = self.snapshot.purges.newest() + 10;
        self.snapshot.purges.push(Purge { id, order: Order { target, soft } });
        assert!(self.purger.apply(&self.snapshot, self.proxy.routes()));
        assert!(!self.purger.apply(&self.snapshot, self.proxy.routes()), "once each");
        assert_eq!(self.purger.applied(), id);
    }
}

fn tagged(asked: &Asked) -> Vec<Step> {
    let tag = asked.target[1..2].to_owned();
    let headers =
        [("cache-control", "max-age=60, stale-if-error=60"), ("surrogate-key", &*tag), ("etag", "\"v\"")];
    reply(200, &headers, &asked.count.to_string())
}

#[tokio::test]
async fn a_purge_takes_what_it_names_and_nothing_else() {
    let origin = Foreign::start(tagged).await;
    let mut world = World::new(&origin);
    let paths = ["/a/1", "/a/1?q", "/a/2", "/b/1"];
    let targets: [(Target, [bool; 4]); 8] = [
        (Target::Url("/a/1".into()), [true, false, false, false]),
        (Target::Url("https://www.example.net/a/1?q".into()), [false, true, false, false]),
        (Target::Url("https://other.example.net/a/1".into()), [false; 4]),
        (Target::Prefix("/a/".into()), [true, true, true, false]),
        (Target::Prefix("https://www.example.net:8443/b".into()), [false, false, false, true]),
        (Target::Prefix("/".into()), [true; 4]),
        (Target::Tag("a".into()), [true, true, true, false]),
        (Target::Channel("a".parse().unwrap()), [false; 4]),
    ];
    for (target, taken) in targets {
        let before = [
            world.get(paths[0]).await,
            world.get(paths[1]).await,
            world.get(paths[2]).await,
            world.get(paths[3]).await,
        ];
        world.purge(target.clone(), false);
        for (n, path) in paths.iter().enumerate() {
            assert_eq!(world.get(path).await != before[n], taken[n], "{target:?} {path}");
        }
    }
}

#[tokio::test]
async fn what_is_purged_softly_is_asked_for_and_stands_in_for_a_failing_origin() {
    let failing = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let fails = Arc::clone(&failing);
    let origin = Foreign::start(move |asked| match fails.load(std::sync::atomic::Ordering::Relaxed) {
        true => reply(503, &[], ""),
        false => tagged(asked),
    })
    .await;
    let mut world = World::new(&origin);
    assert_eq!((world.get("/a").await, world.get("/b").await), ("0".into(), "1".into()));
    world.purge(Target::Tag("a".into()), true);
    assert_eq!(world.get("/a").await, "2");
    assert_eq!(origin.asked()[2].header("if-none-match"), "\"v\"");
    failing.store(true, std::sync::atomic::Ordering::Relaxed);
    world.purge(Target::Url("/a".into()), true);
    let (body, status) = world.request("www.example.net", "/a").await;
    assert!(body == "2" && status.contains("stale-if-error"), "{status}");
    world.purge(Target::Url("/a".into()), false);
    let (body, _) = world.request("www.example.net", "/a").await;
    assert_eq!(body, "", "what is purged hard is gone");
    assert_eq!(world.get("/b").await, "1");
}

#[tokio::test]
async fn what_was_on_its_way_when_the_purge_came_is_not_kept_and_not_joined() {
    for target in [Target::Url("/a".into()), Target::Prefix("/".into()), Target::Tag("t".into())] {
        let origin = Foreign::start(|asked| {
            let mut steps = if asked.count == 0 { vec![Step::Gate] } else { Vec::new() };
            let body = if asked.count == 0 { "old" } else { "new" };
            steps.push(head(200, &[("cache-control", "max-age=60"), ("cache-tag", "t")], Some(3)));
            steps.push(Step::Send(body.into()));
            steps
        })
        .await;
        let mut world = World::new(&origin);
        let early = Drain::new().spawn("early", world.request("www.example.net", "/a"));
        origin.until_asked(1).await;
        world.purge(target.clone(), false);
        assert_eq!(world.get("/a").await, "new", "{target:?}");
        origin.open_gate();
        assert_eq!(early.await.unwrap().0, "old", "asked for before the purge");
        assert_eq!(world.get("/a").await, "new", "{target:?}");
        assert_eq!(origin.count(), 2);
    }
}

#[tokio::test]
async fn who_missed_a_purge_forgets_everything() {
    let origin = Foreign::start(tagged).await;
    let mut world = World::new(&origin);
    world.purge(Target::Url("/z".into()), false);
    assert_eq!((world.get("/a").await, world.get("/a").await), ("0".into(), "0".into()));
    for id in 0..300 {
        world
            .snapshot
            .purges
            .push(Purge { id: 1000 + id, order: Order { target: Target::Url("/z".into()), soft: true } });
    }
    assert!(world.purger.apply(&world.snapshot, world.proxy.routes()));
    assert_eq!(world.get("/a").await, "1");
    assert_eq!(world.purger.applied(), 1299);
}
