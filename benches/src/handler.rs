//! An edge's handler without sockets: what a request costs beside the protocols.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use futures_util::FutureExt as _;
use http::HeaderValue;
use http_body_util::BodyExt as _;
use nearcast_api::snapshot::Snapshot;
use nearcast_edge::access::Access;
use nearcast_edge::access::fleet::Nodes;
use nearcast_edge::audience::Audience;
use nearcast_edge::cache::Cache;
use nearcast_edge::follow::Followers;
use nearcast_edge::metrics::Metrics;
use nearcast_edge::proxy::{Proxy, Shares};
use nearcast_edge::serve::{Door, Edge};
use nearcast_edge::upstream::Upstream;
use nearcast_edge::{Config, upstream};
use nearcast_service::drain::Drain;
use nearcast_service::http::{Handler as _, Peer, Protocol, Request, RequestBody, Response};
use nearcast_service::metrics::Registry;
use nearcast_tests::ports::Ports;
use tokio::runtime::Runtime;
use tokio::sync::watch;

use crate::feeder::Feeder;
use crate::site::local;

/// The handler, its origin and the runtime of both.
#[derive(Debug)]
pub struct Handler {
    edge: Edge,
    runtime: Runtime,
    _feeder: Feeder,
    _ports: Ports,
}

impl Handler {
    /// An edge that has nothing yet.
    pub fn new() -> Result<Self> {
        let runtime = Runtime::new()?;
        let ports = Ports::claim()?;
        let feeder = runtime.block_on(Feeder::start(local(ports.take()?)))?;
        let metrics = Metrics::register(&Registry::new());
        let (config, drain) = (Config::default(), Drain::new());
        let origins = vec![format!("http://{}", feeder.address)];
        let (_, snapshot) = watch::channel(Arc::new(Snapshot::default()));
        let via = HeaderValue::from_static("1.1 bench");
        let upstream = upstream::Config { origins, ..Default::default() };
        let nodes = Nodes::unknown(snapshot.clone());
        let door = Door {
            access: Arc::new(Access::new(&config.access, snapshot, false)?),
            audience: Arc::new(Audience::new(metrics.audience)),
            nodes: nodes.clone(),
            cookie_origins: Vec::new(),
            full: Arc::default(),
            metrics: metrics.access,
        };
        let upstream = Arc::new(Upstream::new(upstream, nodes, via.clone(), metrics.upstream)?);
        let cache = Cache::new(&config.cache, upstream, Arc::default(), None, drain.clone(), metrics.cache);
        let shares = Shares {
            store: cache.store().clone(),
            log: Arc::clone(cache.purges()),
            cache: config.cache,
            drain: drain.clone(),
            metrics: metrics.proxy,
        };
        let proxy = Proxy::new(&[], "bench", via, shares)?;
        let followers = Followers::new(config.follow, Arc::clone(&cache), drain, metrics.follow);
        let edge = Edge::new("bench", cache, followers, proxy, door, metrics.serve);
        Ok(Self { edge, runtime, _feeder: feeder, _ports: ports })
    }

    /// Asks until the edge has it. Who has read an answer while it arrived may ask again before it is kept.
    pub fn warm(&self, url: &str) -> Result<()> {
        self.runtime.block_on(async {
            loop {
                let response = self.edge.handle(request(url)?).await;
                anyhow::ensure!(response.status().is_success(), "{url} is answered {}", response.status());
                let hit = response.headers().get("cache-status").is_some_and(|status| status == "bench; hit");
                response.into_body().collect().await.map_err(anyhow::Error::from_boxed)?;
                if hit {
                    return Ok(());
                }
                tokio::task::yield_now().await;
            }
        })
    }

    /// The answer to a request that need not wait.
    ///
    /// # Errors
    /// It has to.
    pub fn hit(&self, request: Request) -> Result<Response> {
        self.edge.handle(request).now_or_never().context("it was no hit")
    }
}

/// What a player asks.
pub fn request(url: &str) -> Result<Request> {
    let address = ([198, 51, 100, 7], 4242).into();
    Ok(http::Request::get(url)
        .header("host", "edge.nearcast.test")
        .header("user-agent", "bench/1.0")
        .extension(Peer { address, protocol: Protocol::H2, secure: true })
        .body(RequestBody::empty())?)
}
