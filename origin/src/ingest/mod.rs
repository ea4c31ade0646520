//! Publishers in: accepts RTMP connections, checks stream keys, and feeds each broadcast its frames.

pub mod access;
mod connection;
mod publisher;
pub mod tracks;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use nearcast_service::backoff::Backoff;
use nearcast_service::control;
use nearcast_service::drain::Drain;
use nearcast_service::log::Chain;
use serde::{Deserialize, Serialize};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use crate::error::Result;
use crate::metrics::Ingest as Metrics;
use crate::package::Channels;
use connection::Connection;

/// `[rtmp]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where publishers connect: `rtmp://ADDRESS/live` with the stream key as the stream's name.
    pub listen: SocketAddr,
    /// Connections at once; more are closed as they come.
    pub max_connections: usize,
    /// Seconds from connecting to publishing.
    pub handshake_timeout: u64,
    /// Seconds without a frame after which a publisher is taken for gone.
    pub idle_timeout: u64,
    /// Seconds without a frame after which another publisher with the channel's key takes over: an encoder whose
    /// line has failed comes back long before its old connection is known to be dead.
    pub takeover_after: u64,
}

/// The bound RTMP listener.
#[derive(Debug)]
pub struct Ingest {
    listener: TcpListener,
    config: Config,
}

/// What every connection needs.
#[derive(Debug)]
struct Context {
    config: Config,
    control: control::Client,
    channels: Channels,
    metrics: Metrics,
    drain: Drain,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 1935).into(),
            max_connections: 1_000,
            handshake_timeout: 10,
            idle_timeout: 30,
            takeover_after: 4,
        }
    }
}

impl Config {
    fn handshake_timeout(&self) -> Duration {
        Duration::from_secs(self.handshake_timeout)
    }

    fn idle_timeout(&self) -> Duration {
        Duration::from_secs(self.idle_timeout)
    }

    fn takeover_after(&self) -> Duration {
        Duration::from_secs(self.takeover_after)
    }
}

impl Ingest {
    /// Binds the listener.
    ///
    /// # Errors
    /// [`nearcast_service::Error::Listen`] when the address is in use or not ours.
    pub async fn bind(config: &Config) -> Result<Self> {
        let listener = TcpListener::bind(config.listen).await;
        let listener = listener.map_err(|source| nearcast_service::Error::Listen {
            address: config.listen,
            transport: "tcp",
            key: "rtmp.listen",
            source,
        })?;
        Ok(Self { listener, config: config.clone() })
    }

    /// Where publishers connect; the real port when the configured one was 0.
    pub fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap_or(self.config.listen)
    }

    /// Starts accepting publishers and returns. Draining ends their broadcasts.
    pub fn serve(self, control: control::Client, channels: Channels, metrics: Metrics, drain: &Drain) {
        let Self { listener, config } = self;
        let permits = Arc::new(Semaphore::new(config.max_connections.min(Semaphore::MAX_PERMITS)));
        let context = Arc::new(Context { config, control, channels, metrics, drain: drain.clone() });
        drain.spawn("rtmp listener", async move {
            let mut backoff = Backoff::new(FIRST_DELAY, LONGEST_DELAY);
            let drain = context.drain.clone();
            while let Some(accepted) = drain.unless_draining(listener.accept()).await {
                match accepted {
                    Ok((stream, peer)) => {
                        backoff.reset();
                        context.clone().welcome(stream, peer, &permits);
                    }
                    Err(error) => {
                        // Out of files or memory passes; spinning on it would not help.
                        tracing::warn!("cannot accept an RTMP connection: {}", Chain(&error));
                        drain.unless_draining(tokio::time::sleep(backoff.delay())).await;
                    }
                }
            }
        });
    }
}

impl Context {
    fn welcome(self: Arc<Self>, stream: TcpStream, peer: SocketAddr, permits: &Arc<Semaphore>) {
        let Ok(permit) = permits.clone().try_acquire_owned() else {
            self.metrics.rejected_connections.inc();
            tracing::warn!(%peer, "too many publishers are connected, see rtmp.max_connections");
            return;
        };
        self.drain.clone().spawn("publisher", async move {
            self.metrics.connections.inc();
            Connection::new(&self, peer).run(stream).await;
            self.metrics.connections.dec();
            drop(permit);
        });
    }
}

const FIRST_DELAY: Duration = Duration::from_millis(10);
const LONGEST_DELAY: Duration = Duration::from_secs(1);
