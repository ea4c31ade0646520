//! Publishers in: accepts RTMP, RTMPS and SRT connections, checks stream keys, and feeds each broadcast its frames.

pub mod access;
pub mod bounds;
mod connection;
pub mod forward;
pub mod health;
mod limits;
mod publisher;
pub mod rtmps;
pub mod srt;
pub mod tracks;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use nearcast_api::ChannelId;
use nearcast_api::channel::Takeover;
use nearcast_api::snapshot::Snapshot;
use nearcast_service::backoff::Backoff;
use nearcast_service::control;
use nearcast_service::drain::Drain;
use nearcast_service::log::Chain;
use nearcast_service::tls::Tls;
use serde::{Deserialize, Serialize};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use crate::error::Result;
use crate::metrics::Ingest as Metrics;
use crate::package::{Channels, Claim};
use access::Pass;
use bounds::Bounds;
use connection::Connection;
use forward::{Forwarder, Inbound};
use health::{Board, Source};
use limits::Limits;
use publisher::Publisher;
use rtmps::Secure;

/// `[rtmp]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where publishers connect: `rtmp://ADDRESS/live` with the stream key as the stream's name.
    pub listen: SocketAddr,
    /// Connections at once, RTMPS included; more are refused.
    pub max_connections: usize,
    /// Connections at once from one address (IPv6: from one /64 network), RTMPS included; more are refused.
    pub per_address: usize,
    /// Seconds from connecting to publishing.
    pub handshake_timeout: u64,
    /// Seconds without a frame after which a publisher is taken for gone.
    pub idle_timeout: u64,
    /// Seconds without a frame after which another publisher with the channel's key takes over: an encoder whose
    /// line has failed comes back long before its old connection is known to be dead.
    pub takeover_after: u64,
}

/// The bound listeners.
#[derive(Debug)]
pub struct Ingest {
    plain: TcpListener,
    secure: Option<Secure>,
    srt: Option<srt::Listener>,
    config: Config,
    limits: Bounds,
}

/// What every connection needs.
#[derive(Debug)]
struct Context {
    config: Config,
    limits: Bounds,
    control: control::Client,
    channels: Channels,
    forwarder: Forwarder,
    board: Board,
    metrics: Metrics,
    drain: Drain,
    /// When somebody was last said to knock at the wrong door.
    wrong_door: Mutex<Option<Instant>>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 1935).into(),
            max_connections: 1_000,
            per_address: PER_ADDRESS,
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
    /// Binds the listeners; `tls` is what RTMPS is served with.
    ///
    /// # Errors
    /// [`nearcast_service::Error::Listen`] when an address is in use or not ours.
    pub async fn bind(
        config: &Config,
        rtmps: Option<(SocketAddr, &Tls)>,
        srt: &srt::Config,
        limits: Bounds,
    ) -> Result<Self> {
        let plain = listen(config.listen, "rtmp.listen").await?;
        let secure = match rtmps {
            Some((address, tls)) => Some(Secure::bind(address, tls).await?),
            None => None,
        };
        Ok(Self { plain, secure, srt: srt::Listener::bind(srt).await?, config: config.clone(), limits })
    }

    /// Where publishers connect; the real port when the configured one was 0.
    pub fn address(&self) -> SocketAddr {
        self.plain.local_addr().unwrap_or(self.config.listen)
    }

    /// Where they connect over TLS.
    pub fn secure_address(&self) -> Option<SocketAddr> {
        self.secure.as_ref().and_then(Secure::address)
    }

    /// Where they connect over SRT.
    pub fn srt_address(&self) -> Option<SocketAddr> {
        self.srt.as_ref().and_then(srt::Listener::address)
    }

    /// Starts accepting publishers and returns what takes those of other origins. Draining ends their broadcasts.
    pub fn serve(
        self,
        control: control::Client,
        channels: Channels,
        forwarder: Forwarder,
        board: Board,
        metrics: Metrics,
        drain: &Drain,
    ) -> Inbound {
        let Self { plain, secure, srt, config, limits } = self;
        let door = Door {
            limits: Limits::new(config.max_connections, config.per_address),
            refusals: Arc::new(Semaphore::new(MAX_REFUSALS)),
        };
        let drain = drain.clone();
        let context = Arc::new(Context {
            config,
            limits,
            control,
            channels,
            forwarder,
            board,
            metrics,
            drain,
            wrong_door: Mutex::default(),
        });
        if let Some(srt) = srt {
            srt.serve(&context);
        }
        if let Some(secure) = secure {
            secure.serve(&context, &door);
        }
        accept(plain, "rtmp listener", Arc::clone(&context), door, |stream| async move { Some(stream) });
        Inbound(context)
    }
}

/// Who is let in over RTMP, in the clear or not.
#[derive(Debug, Clone)]
struct Door {
    limits: Limits,
    /// More connections, that are only told why they are refused.
    refusals: Arc<Semaphore>,
}

/// Takes connections until the drain; `open` turns each into one that speaks RTMP.
fn accept<S, F>(
    listener: TcpListener,
    name: &'static str,
    context: Arc<Context>,
    door: Door,
    open: impl Fn(TcpStream) -> F + Send + 'static,
) where
    S: connection::Stream + 'static,
    F: Future<Output = Option<S>> + Send + 'static,
{
    context.drain.clone().spawn(name, async move {
        let mut backoff = Backoff::new(FIRST_DELAY, LONGEST_DELAY);
        let drain = context.drain.clone();
        while let Some(accepted) = drain.unless_draining(listener.accept()).await {
            match accepted {
                Ok((stream, peer)) => {
                    backoff.reset();
                    // Small answers must not wait for each other.
                    let _only_slower = stream.set_nodelay(true);
                    context.clone().welcome(open(stream), peer, &door);
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

impl Context {
    /// A publisher with the channel's own ladder, measured, and held to what the channel takes.
    fn publisher(&self, pass: Pass, claim: Claim, source: Source) -> Publisher {
        let snapshot = self.control.current();
        let channel = snapshot.channels.get(&pass.channel);
        let own = channel.map(|channel| channel.settings.clone()).unwrap_or_default();
        let limits = own.limits.map_or(self.limits, |own| self.limits.with(&own));
        let probe = self.board.open(&pass.channel, source, limits);
        Publisher::new(claim.with_ladder(own.ladder).with_dvr(own.dvr), self.forwarder.clone(), pass, probe)
    }

    /// For how long a channel's publisher must have been quiet to give way to another.
    fn quiet(&self, snapshot: &Snapshot, channel: &ChannelId) -> Duration {
        let takeover = snapshot.channels.get(channel).and_then(|channel| channel.settings.takeover);
        match takeover.unwrap_or_default() {
            Takeover::Newest => Duration::ZERO,
            Takeover::Refuse => self.config.takeover_after(),
        }
    }

    /// Says what is wrong with a connection that no publisher has begun on, once a minute: anybody may knock.
    fn wrong_door(&self, peer: Option<SocketAddr>, words: &str) {
        let now = Instant::now();
        let mut last = self.wrong_door.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_none_or(|last| now.saturating_duration_since(last) >= WRONG_DOOR) {
            *last = Some(now);
            tracing::info!(peer = peer.map(tracing::field::display), "{words}");
        }
    }

    fn welcome<S>(
        self: Arc<Self>,
        stream: impl Future<Output = Option<S>> + Send + 'static,
        peer: SocketAddr,
        door: &Door,
    ) where
        S: connection::Stream + 'static,
    {
        let place = door.limits.enter(peer.ip());
        let refusal = place.as_ref().err().copied();
        let mut told = None;
        if let Some(full) = refusal {
            self.metrics.rejected_connections.inc();
            tracing::warn!(%peer, "a connection is too many, see rtmp.{}", full.reason());
            // Those who can be are told why. It costs them a place of its own, so there are few.
            let Ok(permit) = door.refusals.clone().try_acquire_owned() else { return };
            told = Some(permit);
        }
        self.drain.clone().spawn("publisher", async move {
            self.metrics.connections.inc();
            Connection::new(&self, peer, S::PROTOCOL, refusal).run(stream).await;
            self.metrics.connections.dec();
            drop((place, told));
        });
    }
}

async fn listen(address: SocketAddr, key: &'static str) -> Result<TcpListener> {
    let listener = TcpListener::bind(address).await;
    let listening =
        listener.map_err(|source| nearcast_service::Error::Listen { address, transport: "tcp", key, source });
    Ok(listening?)
}

/// How often it is said that somebody knocks at the wrong door.
const WRONG_DOOR: Duration = Duration::from_secs(60);
/// A studio behind one address has fewer encoders, and no address can take more than a small part of the places.
const PER_ADDRESS: usize = 32;
/// Connections over the limits that are told so at once; those beyond are closed without a word.
const MAX_REFUSALS: usize = 64;
const FIRST_DELAY: Duration = Duration::from_millis(10);
const LONGEST_DELAY: Duration = Duration::from_secs(1);
