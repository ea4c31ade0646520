//! Listeners of one daemon: bound first, then served until the drain.

use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use http::HeaderValue;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::task::TaskTracker;

use super::answer::{Answerer, Metrics};
use super::connection::Connections;
use super::h3::Http3;
use super::handshake::Handshake;
use super::{Config, Handler, listen};
use crate::backoff::Backoff;
use crate::daemon::Daemon;
use crate::drain::Drain;
use crate::fleet::{Fleet, NodeTls};
use crate::log::Chain;
use crate::quic::{self, handover};
use crate::sockets::Sockets;
use crate::tls::{self, Tls};
use crate::workers::Workers;
use crate::{Error, Result};

/// Bound listeners that nobody is served on yet.
#[derive(Debug)]
pub struct Server {
    config: Config,
    metrics: Metrics,
    drain: Drain,
    sockets: Sockets,
    workers: Workers,
    plain: Vec<TcpListener>,
    secure: Option<Secure>,
}

#[derive(Debug)]
struct Secure {
    listeners: Vec<TcpListener>,
    address: SocketAddr,
    tls: Tls,
    nodes: Option<Arc<NodeTls>>,
    /// For QUIC, at the same port; none when HTTP/3 is off.
    datagrams: Vec<UdpSocket>,
}

impl Server {
    /// Binds what the configuration names and loads the certificate if one is needed.
    ///
    /// # Errors
    /// An address is in use or not ours, or the certificate is unusable; see [`Error`].
    pub async fn bind(config: &Config, tls: &tls::Config, daemon: &Daemon) -> Result<Self> {
        Self::bind_with(config, tls, Metrics::register(&daemon.metrics), daemon, KEYS).await
    }

    /// As [`Server::bind`], for a second server of the same daemon whose numbers are not shown.
    pub(crate) async fn bind_plain_unseen(
        address: SocketAddr,
        key: &'static str,
        daemon: &Daemon,
    ) -> Result<Self> {
        let config = Config { plain_listen: Some(address), ..Config::default() };
        let unseen = Metrics::register(&crate::metrics::Registry::new());
        Self::bind_with(&config, &tls::Config::default(), unseen, daemon, [key, key]).await
    }

    async fn bind_with(
        config: &Config,
        tls: &tls::Config,
        metrics: Metrics,
        daemon: &Daemon,
        keys: [&'static str; 2],
    ) -> Result<Self> {
        let workers = Workers::start(config.workers.unwrap_or(0), &daemon.drain).map_err(Error::Runtime)?;
        let count = workers.sockets();
        let plain = match config.plain_listen {
            Some(address) => listen::tcp(&daemon.sockets, address, count, keys[0])?,
            None => Vec::new(),
        };
        let secure = match config.listen {
            Some(address) => {
                let (listeners, datagrams) =
                    listen::pair(&daemon.sockets, address, config.h3, count, keys[1])?;
                let address = local(&listeners, address, keys[1])?;
                let tls = Tls::load(tls)?;
                tls.watch(daemon);
                Some(Secure { listeners, address, tls, nodes: None, datagrams })
            }
            None => None,
        };
        let (drain, sockets) = (daemon.drain.clone(), daemon.sockets.clone());
        Ok(Self { config: config.clone(), metrics, drain, sockets, workers, plain, secure })
    }

    /// Where HTTPS is served; the real port when the configured one was 0.
    pub fn secure_address(&self) -> Option<SocketAddr> {
        self.secure.as_ref().map(|secure| secure.address)
    }

    /// Where plain HTTP is served; the real port when the configured one was 0.
    pub fn plain_address(&self) -> Option<SocketAddr> {
        self.plain.first().and_then(|listener| listener.local_addr().ok())
    }

    /// The certificate in use, where HTTPS is served.
    pub fn tls(&self) -> Option<&Tls> {
        self.secure.as_ref().map(|secure| &secure.tls)
    }

    /// Asks clients for a certificate, where HTTPS is served; see [`Tls::ask_clients`].
    ///
    /// # Errors
    /// `authority` is no certificate in PEM.
    pub fn ask_clients(&mut self, authority: &str) -> Result<()> {
        self.secure.as_mut().map_or(Ok(()), |secure| secure.tls.ask_clients(authority))
    }

    /// Lets nodes of the fleet prove who they are, over HTTP/1.1 and HTTP/2 where HTTPS is served: who asks for this node
    /// by the name in its certificate has to show one as well; see [`Fleet::caller`]. Nobody else is asked.
    pub fn admit_nodes(&mut self, fleet: Fleet) {
        if let Some(secure) = &mut self.secure {
            secure.nodes = Some(Arc::new(NodeTls::new(fleet)));
        }
    }

    /// What this server counts, shared with the registry.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Starts serving and returns. Draining lets requests finish and tells clients to go elsewhere: GOAWAY on
    /// HTTP/2 and HTTP/3, `Connection: close` on HTTP/1.1.
    pub fn serve<H: Handler>(self, handler: H) -> Result<()> {
        let Self { config, metrics, drain, sockets, workers, plain, secure } = self;
        let alt_svc = secure.as_ref().filter(|secure| !secure.datagrams.is_empty()).and_then(alt_svc);
        let answerer =
            Arc::new(Answerer { handler, alt_svc, metrics: metrics.clone(), drain: drain.clone() });
        let connections = Arc::new(Connections::new(answerer.clone(), config.idle_timeout(), drain.clone()));
        let door = Door::new(config.max_connections, metrics, drain.clone());

        for (index, listener) in plain.into_iter().enumerate() {
            let connections = connections.clone();
            let accepting = door.clone().accept(listener, move |stream, peer| {
                let connections = connections.clone();
                async move { connections.plain(stream, peer).await }
            });
            drain.spawn_on(workers.of(index), "plain listener", accepting);
        }
        let Some(Secure { listeners, address, tls, nodes, datagrams }) = secure else { return Ok(()) };
        let handshake = Handshake { config: Arc::new(tls.server_config(&[b"h2", b"http/1.1"])?), nodes };
        for (index, listener) in listeners.into_iter().enumerate() {
            let (connections, handshake) = (connections.clone(), handshake.clone());
            let accepting = door.clone().accept(listener, move |stream, peer| {
                let (connections, handshake) = (connections.clone(), handshake.clone());
                async move { connections.secure(stream, peer, handshake).await }
            });
            drain.spawn_on(workers.of(index), "TLS listener", accepting);
        }
        let quic = quic::server_config(tls.server_config(&[b"h3"])?)?;
        let http3 = Arc::new(Http3 {
            answerer,
            door,
            idle_timeout: config.idle_timeout(),
            connections: TaskTracker::new(),
        });
        let alone = datagrams.len() == 1;
        for (index, socket) in datagrams.into_iter().enumerate() {
            let runtime = workers.of(index);
            // Its socket and its task belong to the worker.
            let _entered = runtime.enter();
            // There are fewer sockets than a byte counts, unless more were handed over: then some share a name.
            let owner = handover::worker(index as u8);
            let endpoint = quic::endpoint(socket, quic.clone(), owner, alone, &sockets);
            let endpoint = endpoint.map_err(|source| Error::Listen {
                address,
                transport: "udp",
                key: KEYS[1],
                source,
            })?;
            drain.spawn_on(runtime, "QUIC listener", http3.clone().serve(endpoint));
        }
        Ok(())
    }
}

/// Lets connections in, as many as configured.
#[derive(Clone)]
pub(super) struct Door {
    permits: Arc<Semaphore>,
    /// How many there are when nobody is in.
    capacity: usize,
    pub(super) metrics: Metrics,
    pub(super) drain: Drain,
}

/// A connection's place; counted while it lives.
pub(super) struct Place {
    metrics: Metrics,
    _permit: OwnedSemaphorePermit,
}

impl Door {
    fn new(capacity: usize, metrics: Metrics, drain: Drain) -> Self {
        let capacity = capacity.min(Semaphore::MAX_PERMITS);
        Self { permits: Arc::new(Semaphore::new(capacity)), capacity, metrics, drain }
    }

    /// True when more than half of the places are taken.
    pub(super) fn is_crowded(&self) -> bool {
        self.permits.available_permits() < self.capacity / 2
    }

    /// A place for one more connection, or `None` (and counted) when full.
    pub(super) fn enter(&self) -> Option<Place> {
        match self.permits.clone().try_acquire_owned() {
            Ok(permit) => {
                self.metrics.connections.inc();
                Some(Place { metrics: self.metrics.clone(), _permit: permit })
            }
            Err(_) => {
                self.metrics.rejected_connections.inc();
                None
            }
        }
    }

    async fn accept<S, F>(self, listener: TcpListener, serve: S)
    where
        S: Fn(TcpStream, SocketAddr) -> F,
        F: Future<Output = ()> + Send + 'static,
    {
        // On the runtime that serves what it accepts.
        let listener = match tokio::net::TcpListener::from_std(listener) {
            Ok(listener) => listener,
            Err(error) => return tracing::error!("cannot accept connections: {}", Chain(&error)),
        };
        let mut backoff = Backoff::new(Duration::from_millis(10), Duration::from_secs(1));
        let mut failing = false;
        while let Some(accepted) = self.drain.unless_draining(listener.accept()).await {
            match accepted {
                Ok((stream, peer)) => {
                    (failing, _) = (false, backoff.reset());
                    self.take(stream, peer, &serve);
                }
                Err(error) if listen::is_connections_own(&error) => {}
                Err(error) => {
                    self.metrics.failed_accepts.inc();
                    if !failing {
                        tracing::warn!(
                            "cannot accept connections, trying on: {}; is the open file limit high enough?",
                            Chain(&error)
                        );
                    }
                    failing = true;
                    // Out of files: the ones that are open must get their turn to close.
                    tokio::time::sleep(backoff.delay()).await;
                }
            }
        }
        // These clients were told by the kernel that they are connected: closing the listener would reset them.
        while let Some(Ok((stream, peer))) = listener.accept().now_or_never() {
            self.take(stream, peer, &serve);
        }
    }

    fn take<S, F>(&self, stream: TcpStream, peer: SocketAddr, serve: &S)
    where
        S: Fn(TcpStream, SocketAddr) -> F,
        F: Future<Output = ()> + Send + 'static,
    {
        let Some(place) = self.enter() else { return };
        if let Err(error) = listen::tune(&stream) {
            return tracing::debug!(%peer, "a connection broke before it began: {}", Chain(&error));
        }
        let served = serve(stream, listen::canonical(peer));
        self.drain.spawn("HTTP connection", async move {
            served.await;
            drop(place);
        });
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.metrics.connections.dec();
    }
}

/// The configuration keys of the plain and the secure listener.
const KEYS: [&str; 2] = ["http.plain_listen", "http.listen"];

fn local(listeners: &[TcpListener], address: SocketAddr, key: &'static str) -> Result<SocketAddr> {
    let local = listeners.first().map_or(Ok(address), TcpListener::local_addr);
    local.map_err(|source| Error::Listen { address, transport: "tcp", key, source })
}

/// RFC 7838: the same host, this UDP port, for a day.
fn alt_svc(secure: &Secure) -> Option<HeaderValue> {
    HeaderValue::try_from(format!("h3=\":{}\"; ma=86400", secure.address.port())).ok()
}
