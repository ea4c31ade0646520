//! The origin: one publisher in, every rendition out.
//!
//! ```text
//! publisher -> ingest -> package -> serve -> edges
//!                 \-> transcode -^
//! ```
//!
//! [`run`] binds, starts the control-plane client, puts the parts together and serves until the drain: then
//! publishers are sent away, their broadcasts end, and requests finish.

pub mod config;
mod disk;
pub mod dvr;
pub mod error;
mod fleet;
pub mod ingest;
mod metadata;
pub mod metrics;
pub mod package;
pub mod record;
pub mod serve;
pub mod thumbs;
pub mod transcode;

use std::net::SocketAddr;

use nearcast_service::control;
use nearcast_service::daemon::Daemon;
use nearcast_service::http::Server;
use nearcast_service::tls::Tls;

pub use config::Config;
pub use error::{Error, Result};

use dvr::Dvr;
use ingest::Ingest;
use ingest::forward::Forwarder;
use ingest::health::Board;
use metrics::Metrics;
use package::slate::Slates;
use package::{Channels, Stores};
use record::Recorder;
use serve::Site;
use thumbs::Studio;

/// Where a started origin listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addresses {
    pub rtmp: SocketAddr,
    pub rtmps: Option<SocketAddr>,
    pub srt: Option<SocketAddr>,
    pub plain: Option<SocketAddr>,
    pub secure: Option<SocketAddr>,
}

/// Starts an origin and returns; it serves until `daemon` drains.
///
/// # Errors
/// An address cannot be bound, a certificate is unusable, or the control plane's URL is none.
pub async fn run(config: Config, daemon: Daemon) -> Result<Addresses> {
    let mut server = Server::bind(&config.http, &config.tls, &daemon).await?;
    let tls = match (config.rtmps.listen, server.tls()) {
        (Some(address), Some(tls)) => Some((address, tls.clone())),
        (Some(address), None) => {
            let tls = Tls::load(&config.tls)?;
            tls.watch(&daemon);
            Some((address, tls))
        }
        (None, _) => None,
    };
    let rtmps = tls.as_ref().map(|(address, tls)| (*address, tls));
    let ingest = Ingest::bind(&config.rtmp, rtmps, &config.srt, config.limits).await?;
    let addresses = Addresses {
        rtmp: ingest.address(),
        rtmps: ingest.secure_address(),
        srt: ingest.srt_address(),
        plain: server.plain_address(),
        secure: server.secure_address(),
    };

    let metrics = Metrics::register(&daemon.metrics);
    let drain = daemon.drain.clone();
    let folder = config.folder();
    let dvr = Dvr::open(&config.dvr, &folder, metrics.dvr.clone(), &drain);
    let node = config.node.id.as_str();
    let recorder = Recorder::open(config.record, &folder, node, metrics.record.clone(), &drain)?;
    let studio = Studio::open(config.thumbnails, &config.transcode, metrics.thumbnails.clone(), &drain);
    let slates = Slates::open(&config.failover.slate, &config.transcode, &drain)?;
    let stores = Stores { dvr, recorder: recorder.clone(), studio, slates };
    let encoder = transcode::probe::encoder(&config.transcode).await;
    let channels = Channels::new(
        config.package,
        config.transcode,
        encoder,
        config.failover,
        stores,
        metrics.clone(),
        drain.clone(),
    );
    let board = Board::new(metrics.publisher);
    let heartbeat =
        fleet::Reporter::new(channels.clone(), board.clone(), server.metrics().sent_bytes.clone());
    let control = control::Client::start(&config.control, config.node.spec(), heartbeat, &daemon)?;
    recorder.heed(control.clone());
    let fleet = control.fleet().clone();
    server.admit_nodes(fleet.clone());

    if let Some(commands) = control.metadata() {
        drain.spawn("metadata", metadata::deliver(channels.clone(), commands, drain.clone()));
    }
    drain
        .spawn("announcer", fleet::announce(channels.clone(), board.clone(), control.clone(), drain.clone()));
    drain.spawn("ingest health", board.clone().run(drain.clone()));
    let forwarded = metrics.ingest.forwarded.clone();
    let (id, ca) = (config.node.id.clone(), &config.control.ca);
    let forwarder = Forwarder::new(id, ca, control.clone(), channels.clone(), forwarded, drain.clone())?;
    drain.spawn("takeovers", forwarder.clone().heed());
    let inbound = ingest.serve(control, channels.clone(), forwarder, board, metrics.ingest, &drain);
    server.serve(Site::new(channels, inbound, fleet, metrics.serve))?;
    tracing::info!(
        node = %config.node.id,
        rtmp = %addresses.rtmp,
        rtmps = addresses.rtmps.map(tracing::field::display),
        srt = addresses.srt.map(tracing::field::display),
        http = addresses.plain.map(tracing::field::display),
        https = addresses.secure.map(tracing::field::display),
        "taking publishers and serving edges"
    );
    Ok(addresses)
}
