//! The name server of the operator's zone: each viewer gets the edge, each publisher the origin, that is nearest.
//!
//! `zone` compiles a snapshot into records, `client` says who asks (RFC 7871), `answer` picks, `handler` is the shell
//! around hickory-server, which does UDP, TCP and the message format.

mod answer;
mod client;
mod handler;
mod zone;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use hickory_proto::rr::Name;
use nearcast_api::snapshot::Snapshot;
use nearcast_geo::Locator;
use nearcast_service::daemon::Daemon;
use serde::{Deserialize, Serialize};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::watch;

use crate::error::{Error, Result};
use crate::metrics::Metrics;

use handler::Handler;
pub use handler::fuzz;
use zone::Zone;

/// `[dns]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// UDP and TCP.
    pub listen: SocketAddr,
    /// Seconds for which resolvers keep an answer, 5 to 30: how long a viewer may still go to an edge that is down.
    pub ttl: u32,
    /// Nodes per answer, best first, 1 to 8.
    pub answers: usize,
    /// The zone's name servers (NS); the first is its primary. Empty for `ns.ZONE`.
    pub name_servers: Vec<String>,
    /// Addresses of `ns.ZONE`.
    pub addresses: Vec<IpAddr>,
    /// UDP sockets, between which the kernel spreads clients; 0 for one per core.
    pub sockets: usize,
}

/// Names of the zone's own, which no node may have.
pub const RESERVED: [&str; 4] = [EDGE, INGEST, "chat", NAME_SERVER];

const EDGE: &str = "edge";
const INGEST: &str = "ingest";
const NAME_SERVER: &str = "ns";

/// Bound sockets that nobody is answered on yet.
#[derive(Debug)]
pub struct Server {
    config: Config,
    zone: String,
    address: SocketAddr,
    tcp: TcpListener,
    udp: Vec<UdpSocket>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: ([127, 0, 0, 1], 5300).into(),
            ttl: 10,
            answers: 1,
            name_servers: Vec::new(),
            addresses: vec![[127, 0, 0, 1].into()],
            sockets: 0,
        }
    }
}

impl Config {
    /// One line on what cannot work.
    pub fn check(&self, zone: &str) -> Result<(), String> {
        if !(5..=30).contains(&self.ttl) {
            return Err(format!(
                "dns.ttl is {}: use 5 to 30 seconds, so that viewers leave a dead edge soon",
                self.ttl
            ));
        }
        if !(1..=8).contains(&self.answers) {
            return Err(format!("dns.answers is {}: use 1 to 8", self.answers));
        }
        if self.sockets > MAX_SOCKETS {
            return Err(format!("dns.sockets is {}: use 0 to {MAX_SOCKETS}", self.sockets));
        }
        Zone::compile(&Snapshot { zone: zone.to_owned(), ..Snapshot::default() }, self)
            .map(drop)
            .map_err(|error| error.to_string())
    }

    fn name_servers(&self, zone: &Name) -> Result<Vec<Name>> {
        if self.name_servers.is_empty() {
            return Ok(vec![
                zone.prepend_label(NAME_SERVER).map_err(|_| not_a_name("zone", &zone.to_string()))?,
            ]);
        }
        self.name_servers.iter().map(|name| parse_name("dns.name_servers", name)).collect()
    }
}

impl Server {
    /// Binds TCP and as many UDP sockets as configured, for `zone` until a snapshot says otherwise.
    ///
    /// # Errors
    /// The address is in use or not ours.
    pub async fn bind(config: &Config, zone: &str) -> Result<Self> {
        let failed = |transport, address| move |source| Error::ListenDns { address, transport, source };
        // TCP first: the UDP sockets share their port, so only TCP notices that another process has it.
        let (tcp, first) =
            bind_pair(config.listen).await.map_err(|(what, source)| failed(what, config.listen)(source))?;
        let address = tcp.local_addr().map_err(failed("tcp", config.listen))?;
        let count = match config.sockets {
            0 => std::thread::available_parallelism().map_or(1, |cores| cores.get().min(MAX_SOCKETS)),
            count => count,
        };
        let mut udp = vec![first];
        for _ in 1..count {
            udp.push(bind_udp(address).map_err(failed("udp", address))?);
        }
        Ok(Self { config: config.clone(), zone: zone.to_owned(), address, tcp, udp })
    }

    /// Where it is bound; the real port when the configured one was 0.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers from the newest snapshot until the drain, and returns at once.
    pub fn serve(
        self,
        mut snapshots: watch::Receiver<Arc<Snapshot>>,
        locator: Arc<Locator>,
        metrics: Metrics,
        daemon: &Daemon,
    ) -> Result<()> {
        let mut first = Snapshot::clone(&snapshots.borrow_and_update());
        // A process that has not heard from the control plane yet knows no nodes, but its zone.
        first.zone = self.zone;
        let first = Zone::compile(&first, &self.config)?;
        let zone = Arc::new(ArcSwap::from_pointee(first));
        let handler = Handler { zone: zone.clone(), locator, answers: self.config.answers, metrics };

        let mut server = hickory_server::Server::new(handler);
        for socket in self.udp {
            server.register_socket(socket);
        }
        server.register_listener(self.tcp, TCP_IDLE, TCP_ANSWERS);
        let whole = daemon.clone();
        daemon.drain.spawn("dns server", async move {
            let served = match whole.drain.unless_draining(server.block_until_done()).await {
                Some(ended) => ended,
                None => server.shutdown_gracefully().await,
            };
            if let Err(error) = served {
                whole.fail(&Error::Dns(error));
            }
        });

        let (config, drain) = (self.config, daemon.drain.clone());
        daemon.drain.spawn("dns zone", async move {
            while let Some(Ok(())) = drain.unless_draining(snapshots.changed()).await {
                let snapshot = snapshots.borrow_and_update().clone();
                match Zone::compile(&snapshot, &config) {
                    Ok(newest) => zone.store(Arc::new(newest)),
                    Err(error) => tracing::error!("keeping the last DNS records: {error}"),
                }
            }
        });
        Ok(())
    }
}

/// One UDP socket and the TCP listener on the same port.
async fn bind_pair(address: SocketAddr) -> Result<(TcpListener, UdpSocket), (&'static str, io::Error)> {
    let mut tries = 0;
    loop {
        let tcp = TcpListener::bind(address).await.map_err(|error| ("tcp", error))?;
        let bound = tcp.local_addr().map_err(|error| ("tcp", error))?;
        match bind_udp(bound) {
            Ok(udp) => return Ok((tcp, udp)),
            // The system chose a TCP port whose UDP twin is taken: let it choose again.
            Err(_) if address.port() == 0 && tries < 16 => tries += 1,
            Err(error) => return Err(("udp", error)),
        }
    }
}

fn bind_udp(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.set_recv_buffer_size(UDP_BUFFER)?;
    socket.bind(&address.into())?;
    UdpSocket::from_std(socket.into())
}

fn parse_name(key: &'static str, text: &str) -> Result<Name> {
    let name = Name::from_ascii(text).map_err(|_| not_a_name(key, text))?;
    if text.is_empty() || name.is_root() {
        return Err(not_a_name(key, text));
    }
    let mut name = name.to_lowercase();
    name.set_fqdn(true);
    Ok(name)
}

fn not_a_name(key: &'static str, value: &str) -> Error {
    Error::DnsName { key, value: value.to_owned() }
}

const MAX_SOCKETS: usize = 64;
/// A burst of queries while the process is busy elsewhere; the kernel takes what it allows.
const UDP_BUFFER: usize = 1 << 20;
/// Resolvers that want more ask again on a new connection (RFC 7766 §6.2.3 wants seconds).
const TCP_IDLE: Duration = Duration::from_secs(5);
/// Answers in flight on one TCP connection.
const TCP_ANSWERS: usize = 16;

#[cfg(test)]
mod tests;
