//! The edge: media from the nearest memory.
//!
//! ```text
//! viewer -> serve -> cache -> upstream -> origin        media: one fetch per object, whatever the crowd
//!              \---> follow --^                         playlists: one chain per rendition, answered from memory
//!               \--> proxy --------> any HTTP origin    other paths and hosts, as `[[routes]]` say
//! ```
//!
//! [`run`] binds, starts the control-plane client, puts the parts together and serves until the drain.

pub mod access;
pub mod audience;
pub mod cache;
pub mod config;
pub mod error;
pub mod follow;
pub mod metrics;
pub mod proxy;
pub mod purge;
pub mod serve;
pub mod upstream;

mod fleet;
#[cfg(test)]
mod testing;

use std::net::SocketAddr;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};

use nearcast_service::control;
use nearcast_service::daemon::Daemon;
use nearcast_service::http::Server;

pub use config::Config;
pub use error::{Error, Result};

use access::Access;
use access::fleet::{Nodes, Pass};
use audience::Audience;
use cache::Cache;
use fleet::{House, Load};
use follow::Followers;
use metrics::Metrics;
use proxy::{Proxy, Shares};
use purge::Purger;
use purge::log::Log;
use serve::{Door, Edge, respond};
use upstream::Upstream;

/// Where a started edge listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addresses {
    pub secure: Option<SocketAddr>,
    pub plain: Option<SocketAddr>,
}

/// Starts an edge and returns; it serves until `daemon` drains.
///
/// # Errors
/// An address cannot be bound, a certificate or authority file is unusable, or the control plane's URL is none.
pub async fn run(mut config: Config, daemon: Daemon) -> Result<Addresses> {
    // HTTP/3 gets nearly twice as far on one core as in the pool (benches/results/edge.md).
    let cores = || {
        std::thread::available_parallelism().map_or(1, |cores| u8::try_from(cores.get()).unwrap_or(u8::MAX))
    };
    config.http.workers.get_or_insert_with(cores);
    let mut server = Server::bind(&config.http, &config.tls, &daemon).await?;
    let addresses = Addresses { secure: server.secure_address(), plain: server.plain_address() };
    let metrics = Metrics::register(&daemon.metrics);

    // The heartbeats begin before there is something to report.
    let load = Arc::new(OnceLock::<Load>::new());
    let beat = fleet::heartbeat(Arc::clone(&load));
    let is_told = !config.control.url.is_empty();
    let control = control::Client::start(&config.control, config.node.spec(), beat, &daemon)?;

    let node = config.node.id.as_str();
    let via = respond::via(node);
    let pass = Pass::new(&config.control.token);
    let nodes = Nodes { fleet: control.fleet().clone(), pass };
    server.admit_nodes(nodes.fleet.clone());
    let upstream = Arc::new(Upstream::new(config.upstream, nodes.clone(), via, metrics.upstream)?);
    let log = Arc::<Log>::default();
    let disk = config.cache.open_disk(&config.node.id, &log, &daemon.drain, metrics.disk)?;
    let drain = daemon.drain.clone();
    let keeping = Arc::clone(&upstream).keep_tier(config.node.spec(), drain.clone());
    daemon.drain.spawn("tier above", keeping);
    let lookups = metrics.cache.clone();
    let cache = Cache::new(&config.cache, upstream, Arc::clone(&log), disk, drain, metrics.cache);
    let followers = Followers::new(config.follow, Arc::clone(&cache), daemon.drain.clone(), metrics.follow);
    let purges = Purger::new(Arc::clone(&cache), &control.current(), metrics.purges);
    let shares = Shares {
        store: cache.store().clone(),
        log,
        cache: config.cache,
        drain: daemon.drain.clone(),
        metrics: metrics.proxy,
    };
    let proxy = Proxy::new(&config.routes, node, respond::via(node), shares)?;
    let access = Arc::new(Access::new(&config.access, control.watch(), is_told)?);
    let following = Arc::clone(&access).follow(daemon.drain.clone());
    daemon.drain.spawn("access rules", following);
    let audience = Arc::new(Audience::new(metrics.audience));
    let (full, full_at) = (Arc::<AtomicBool>::default(), config.access.full_at);
    let door = Door {
        access,
        audience: Arc::clone(&audience),
        nodes,
        cookie_origins: config.access.cookie_origins,
        full: Arc::clone(&full),
        metrics: metrics.access,
    };
    let edge =
        Edge::new(node, Arc::clone(&cache), followers, Arc::clone(&proxy), door, metrics.serve.clone());

    let sent = server.metrics().sent_bytes.clone();
    load.get_or_init(|| Load::new(Arc::clone(&audience), sent, lookups, Arc::clone(&purges)));
    daemon.drain.spawn("purges", purge::run(purges, proxy, control, daemon.drain.clone()));
    let house = House { cache, audience, metrics: metrics.serve, full, full_at };
    daemon.drain.spawn("housekeeping", house.keep(daemon.drain.clone()));
    server.serve(edge)?;
    tracing::info!(node = %config.node.id, ?addresses.secure, ?addresses.plain, "serving viewers");
    Ok(addresses)
}
