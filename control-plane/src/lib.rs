//! The control plane: topology, channels, steering and geo-DNS.
//!
//! A process runs any set of roles. `api` keeps the state ([`plane`]: the pure [`fleet`] over the [`store`]) and serves it
//! ([`http`]); `dns` answers for the zone ([`dns`]) from snapshots, its own when it is both, else those of another process
//! like any node. Nothing here is on the path of media: when it is away, nodes go on from their last snapshot.

pub mod access;
pub mod audience;
pub mod audit;
pub mod ca;
pub mod category;
pub mod cli;
pub mod config;
pub mod directory;
pub mod dns;
pub mod enrolment;
pub mod error;
pub mod fleet;
pub mod forecast;
pub mod http;
pub mod keys;
pub mod language;
pub mod limits;
pub mod metadata;
pub mod metrics;
pub mod oidc;
pub mod passwords;
mod patch;
pub mod plane;
pub mod profile;
mod settings;
pub mod sign_in;
pub mod steer;
pub mod store;
pub mod tokens;
pub mod topology;
pub mod webhooks;

#[cfg(test)]
mod testing;

use std::net::SocketAddr;
use std::sync::Arc;

use nearcast_api::node::{Heartbeat, Role as NodeRole, Spec};
use nearcast_api::snapshot::Snapshot;
use nearcast_geo::{Database, Locator};
use nearcast_service::daemon::Daemon;
use nearcast_service::{control, http as service_http, load};
use tokio::sync::watch;

pub use config::{Config, Role};
pub use error::{Error, Result};

use metrics::Metrics;
use plane::Plane;
use store::Store;
use tokens::Tokens;

/// Where a running control plane is reached; the real ports when those configured were 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Running {
    pub plain: Option<SocketAddr>,
    pub secure: Option<SocketAddr>,
    pub dns: Option<SocketAddr>,
}

/// Binds everything but the ops port (the daemon's own), starts the configured roles and returns; they end with the daemon's drain.
///
/// # Errors
/// Anything that keeps it from starting: an address in use, an unusable data directory, a damaged geo database.
pub async fn run(config: Config, daemon: Daemon) -> Result<Running> {
    let metrics = Metrics::register(&daemon.metrics);
    let locator = Arc::new(locator(&config.geo)?);
    let server = match config.has(Role::Api) {
        true => Some(service_http::Server::bind(&config.http, &config.tls, &daemon).await?),
        false => None,
    };
    let dns = match config.has(Role::Dns) {
        true => Some(dns::Server::bind(&config.dns, &config.zone).await?),
        false => None,
    };
    let running = Running {
        plain: server.as_ref().and_then(service_http::Server::plain_address),
        secure: server.as_ref().and_then(service_http::Server::secure_address),
        dns: dns.as_ref().map(dns::Server::address),
    };

    let snapshots = match server {
        Some(server) => serve_api(&config, server, locator.clone(), &metrics, &daemon).await?,
        None => follow(&config, &daemon)?,
    };
    if let Some(dns) = dns {
        dns.serve(snapshots, locator, metrics, &daemon)?;
    }
    for (scheme, address) in [("http", running.plain), ("https", running.secure)] {
        if let Some(address) = address {
            tracing::info!("API and pages at {scheme}://{address}");
        }
    }
    if let Some(address) = running.dns {
        tracing::info!("DNS for {} at {address}", config.zone);
    }
    Ok(running)
}

/// The role `api`: gives the snapshots it makes.
async fn serve_api(
    config: &Config,
    mut server: service_http::Server,
    locator: Arc<Locator>,
    metrics: &Metrics,
    daemon: &Daemon,
) -> Result<watch::Receiver<Arc<Snapshot>>> {
    let database = config.database();
    let database = database.map_err(|problem| Error::Invalid { field: "database", problem })?;
    let store = Store::open(&database).await?;
    let tokens = Tokens::load(&config.api, &config.data_dir, &store).await?;
    webhooks::start(&config.webhooks, store.clone(), daemon)?;
    let (fleet, audience) = (config.fleet.clone(), config.audience.clone());
    let plane = Plane::open(fleet, audience, &config.ca, config.zone.clone(), store).await?;
    plane.spawn(daemon, metrics);
    let keeping = audit::keep(plane.clone(), config.audit.clone(), daemon.drain.clone());
    daemon.drain.spawn("audit log's keeper", keeping);
    server.ask_clients(plane.authority().pem())?;
    if let Some(tls) = server.tls().filter(|_| config.tls.makes_its_own()) {
        // New nodes know the authority by their tokens, so that nobody has to carry a certificate to them.
        tls.put_default(&plane.authority().serve(&config.tls.names, plane::unix_millis())?)?;
    }
    let snapshots = plane.subscribe();
    let api = http::Api::new(http::App {
        plane,
        tokens,
        locator,
        trusted_proxies: config.api.trusted_proxies.clone(),
        webhooks: config.webhooks.clone(),
        limits: limits::Limits::new(&config.api.limits),
        sign_ins: sign_in::SignIns::new(&config.api.limits, config.api.session_hours),
        oidc: oidc::Provider::new(&config.api.oidc)?,
        metrics: metrics.clone(),
        drain: daemon.drain.clone(),
    });
    server.serve(api)?;
    Ok(snapshots)
}

/// Only the role `dns`: a node like any other, with the snapshots of another process.
fn follow(config: &Config, daemon: &Daemon) -> Result<watch::Receiver<Arc<Snapshot>>> {
    let invalid =
        |error: nearcast_api::id::InvalidId| Error::Invalid { field: "[node]", problem: error.to_string() };
    let spec = Spec {
        id: config.node.id.parse().map_err(invalid)?,
        role: NodeRole::Control,
        region: config.node.region.parse().map_err(invalid)?,
        location: None,
        addresses: config.dns.addresses.clone(),
        urls: Vec::new(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let mut sampler = load::Sampler::new();
    let heartbeat = move || {
        let load = nearcast_api::node::Load { cpu: sampler.cpu(), ..Default::default() };
        Heartbeat { load, ..Heartbeat::default() }
    };
    let client = control::Client::start(&config.control(), spec, heartbeat, daemon)?;
    Ok(client.watch())
}

fn locator(config: &nearcast_geo::Config) -> Result<Locator> {
    let database = match config.database.as_os_str().is_empty() {
        true => None,
        false => {
            let bytes = std::fs::read(&config.database)
                .map_err(|source| Error::ReadGeo { path: config.database.clone(), source })?;
            Some(Database::parse(bytes).map_err(Error::Geo)?)
        }
    };
    Locator::new(config, database).map_err(Error::Geo)
}
