//! Publishers over SRT: one socket, callers let in by stream id and passphrase, a task for each connection.
//!
//! The protocol itself is `srt-protocol`'s, without IO. The shell is ours: one caller's packets never wait for
//! another's, a caller costs nothing before it has shown that it may publish, and `gate` keeps away what the library
//! cannot take.

mod connection;
mod gate;
mod handshake;
mod sessions;
mod stream_id;
#[cfg(test)]
mod tests;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use nearcast_media::splice::Rank;
use nearcast_service::backoff::Backoff;
use nearcast_service::config::optional;
use nearcast_service::log::Chain;
use rustix::net::sockopt;
use serde::{Deserialize, Serialize};
use srt_protocol::options::Passphrase;
use srt_protocol::packet::{Packet, ServerRejectReason};
use tokio::net::UdpSocket;

use super::access::Pass;
use super::health::Source;
use super::limits::{Limits, Place};
use super::{Context, access};
use crate::error::Result;
use crate::metrics::ReasonLabels;
use connection::Connection;
use gate::{Datagram, Shake, Wants};
use handshake::{Handshakes, Refusal};
use sessions::{Entry, New, Sessions};

/// `[srt]`: the deadlines of `[rtmp]` hold here too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where callers connect, over UDP: `srt://ADDRESS?streamid=KEY` with the stream key. Empty for no SRT.
    #[serde(with = "optional")]
    pub listen: Option<SocketAddr>,
    /// Milliseconds that a packet may take, the times included that it is sent again. A caller that asks for more
    /// gets more. Four round trips are enough for a line that loses 5 %.
    pub latency: u16,
    /// What every caller must have too, 10 to 79 characters; its length of the key (AES-128, 192 or 256) is the
    /// caller's choice. Empty: the stream key alone decides, and nothing is encrypted.
    pub passphrase: String,
    /// Connections at once.
    pub max_connections: usize,
    /// Connections at once from one address (IPv6: from one /64 network).
    pub per_address: usize,
}

/// The bound socket.
#[derive(Debug)]
pub(super) struct Listener {
    socket: UdpSocket,
    config: Config,
    passphrase: Option<Passphrase>,
}

/// The socket and who is connected over it.
struct Server {
    socket: Arc<UdpSocket>,
    handshakes: Handshakes,
    limits: Limits,
    sessions: Sessions,
    context: Arc<Context>,
    started: Instant,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: Some((Ipv4Addr::LOCALHOST, 8890).into()),
            latency: 120,
            passphrase: String::new(),
            max_connections: 1_000,
            per_address: super::PER_ADDRESS,
        }
    }
}

impl Config {
    /// What cannot work, in a line.
    pub fn check(&self) -> Result<(), String> {
        match self.passphrase.len() {
            0 | 10..=79 => Ok(()),
            _ => Err("`srt.passphrase` has to have 10 to 79 characters, or none for no encryption".into()),
        }
    }
}

impl Listener {
    /// Binds the socket, when there is to be one.
    pub(super) async fn bind(config: &Config) -> Result<Option<Self>> {
        let Some(address) = config.listen else { return Ok(None) };
        let socket = UdpSocket::bind(address).await.map_err(|source| nearcast_service::Error::Listen {
            address,
            transport: "udp",
            key: "srt.listen",
            source,
        })?;
        // The kernel clamps to net.core.rmem_max silently; with less, more has to be sent again.
        let _smaller = sockopt::set_socket_recv_buffer_size(&socket, UDP_BUFFER);
        let passphrase = Passphrase::try_from(config.passphrase.clone()).ok();
        Ok(Some(Self { socket, config: config.clone(), passphrase }))
    }

    pub(super) fn address(&self) -> Option<SocketAddr> {
        self.socket.local_addr().ok()
    }

    /// Takes callers until the drain.
    pub(super) fn serve(self, context: &Arc<Context>) {
        let Self { socket, config, passphrase } = self;
        let server = Server {
            socket: Arc::new(socket),
            handshakes: Handshakes::new(Duration::from_millis(config.latency.into()), passphrase),
            limits: Limits::new(config.max_connections, config.per_address),
            sessions: Sessions::default(),
            context: Arc::clone(context),
            started: Instant::now(),
        };
        let drain = context.drain.clone();
        context.drain.spawn("SRT listener", async move { drain.unless_draining(server.receive()).await });
    }
}

impl Server {
    async fn receive(self) {
        let mut backoff = Backoff::new(FIRST_DELAY, LONGEST_DELAY);
        let mut datagram = vec![0; MAX_DATAGRAM];
        loop {
            match self.socket.recv_from(&mut datagram).await {
                Ok((length, from)) => {
                    backoff.reset();
                    self.take(datagram.get(..length).unwrap_or_default(), from).await;
                }
                // A peer that has gone is told to the socket here; it says nothing of the others.
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {}
                Err(error) => {
                    tracing::warn!("cannot receive over SRT: {}", Chain(&error));
                    tokio::time::sleep(backoff.delay()).await;
                }
            }
        }
    }

    async fn take(&self, datagram: &[u8], from: SocketAddr) {
        match gate::read(datagram, from) {
            Some(Datagram::Session(packet)) => self.sessions.deliver(packet, from),
            Some(Datagram::Induction(shake)) => {
                let answer = self.handshakes.induction(shake, from, self.started.elapsed());
                self.send(&serialized(&answer), from).await;
            }
            Some(Datagram::Conclusion(shake, wants)) => self.conclude(shake, wants, from).await,
            None => {}
        }
    }

    async fn conclude(&self, shake: Shake, wants: Wants, from: SocketAddr) {
        if let Some(response) = self.sessions.again(from, shake.info.socket_id) {
            return self.send(&response, from).await;
        }
        let local = self.sessions.free_id();
        let now = (Instant::now(), self.started.elapsed());
        let admit = |stream_id: &str| {
            let place = self.limits.enter(from.ip()).map_err(|full| {
                Refusal::new(ServerRejectReason::Overload, full.reason(), full.to_string())
            })?;
            Ok((place, self.channel(stream_id)?))
        };
        let Some(accepted) = self.handshakes.conclusion((&shake, wants), (from, local), now, admit) else {
            return;
        };
        let opened = accepted.and_then(|(accepted, (place, (pass, quiet)))| {
            let claim = self.context.channels.claim(&pass.channel, pass.rank, quiet);
            let claim = claim.map_err(|busy| {
                self.context.board.refused(&pass.channel, "busy", &busy.to_string());
                Refusal::new(ServerRejectReason::Conflict, "busy", busy.to_string())
            })?;
            Ok((accepted, place, pass, claim))
        });
        match opened {
            Ok((accepted, place, pass, claim)) => {
                let (channel, backup) = (pass.channel.clone(), pass.rank == Rank::Backup);
                let latency_ms = accepted.connection.settings.recv_tsbpd_latency.as_millis();
                let encrypted = wants.key_size.is_some();
                tracing::info!(%channel, peer = %from, latency_ms, encrypted, "an SRT publisher begins");
                let response = serialized(&accepted.response);
                let new = New { peer: from, remote: shake.info.socket_id, response: response.clone() };
                let (entry, packets) = self.sessions.insert(local, new);
                let (encoder, ipv6) = (String::new(), from.is_ipv6());
                let source = Source { protocol: "srt", encoder, ipv6, backup };
                let publisher = self.context.publisher(pass, claim, source);
                let connection = Connection {
                    context: Arc::clone(&self.context),
                    channel,
                    peer: from,
                    socket: Arc::clone(&self.socket),
                    packets,
                    publisher,
                    leaves: false,
                    rtt_ms: 0.0,
                };
                self.spawn(connection, *accepted.connection, (entry, place));
                self.send(&response, from).await;
            }
            Err(refusal) => {
                let Refusal { reason, words, .. } = &refusal;
                self.context.metrics.refused.get_or_create(&ReasonLabels { reason }).inc();
                tracing::info!(peer = %from, reason, "an SRT caller is refused: {words}");
                self.send(&serialized(&refusal.packet(&shake, local)), from).await;
            }
        }
    }

    /// The channel that a stream id opens, and how quiet another publisher has to be to give way.
    fn channel(&self, stream_id: &str) -> Result<(Pass, Duration), Refusal> {
        let key = stream_id::key(stream_id).map_err(|refused| {
            let (code, reason) = match &refused {
                stream_id::Refused::Missing => (ServerRejectReason::Unauthorized, "no_key"),
                stream_id::Refused::Unreadable(_) => (ServerRejectReason::BadRequest, "stream_id"),
                stream_id::Refused::Mode(_) => (ServerRejectReason::BadMode, "mode"),
            };
            Refusal::new(code, reason, refused.to_string())
        })?;
        let snapshot = self.context.control.current();
        let pass = access::open(&snapshot, key).map_err(|denied| {
            Refusal::new(ServerRejectReason::Unauthorized, denied.reason(), denied.to_string())
        })?;
        let quiet = self.context.quiet(&snapshot, &pass.channel);
        Ok((pass, quiet))
    }

    fn spawn(
        &self,
        connection: Connection,
        accepted: srt_protocol::connection::Connection,
        held: (Entry, Place),
    ) {
        let metrics = self.context.metrics.clone();
        self.context.drain.spawn("SRT publisher", async move {
            metrics.connections.inc();
            connection.run(accepted).await;
            metrics.connections.dec();
            drop(held);
        });
    }

    async fn send(&self, datagram: &[u8], to: SocketAddr) {
        if let Err(error) = self.socket.send_to(datagram, to).await {
            tracing::debug!(peer = %to, "an SRT answer is not sent: {}", Chain(&error));
        }
    }
}

fn serialized(packet: &Packet) -> Bytes {
    let mut datagram = BytesMut::new();
    packet.serialize(&mut datagram);
    datagram.freeze()
}

/// 4 MiB: a key frame of every publisher at once.
const UDP_BUFFER: usize = 4 << 20;
/// Nobody sends more over lines of the internet.
const MAX_DATAGRAM: usize = 2_048;
const FIRST_DELAY: Duration = Duration::from_millis(10);
const LONGEST_DELAY: Duration = Duration::from_secs(1);
