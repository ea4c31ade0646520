//! How quinn is set up: bounded memory per connection, packets as large as paths allow.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{
    ClientConfig, Endpoint, EndpointConfig, IdleTimeout, MtuDiscoveryConfig, ServerConfig, TokioRuntime,
    TransportConfig, VarInt,
};

use super::handover;
use crate::sockets::Sockets;
use crate::{Error, Result};

/// quinn's configuration for a server; `tls` as [`Tls::server_config`](crate::tls::Tls::server_config) gives it with
/// ALPN `h3`.
pub fn server_config(tls: rustls::ServerConfig) -> Result<ServerConfig> {
    let crypto = QuicServerConfig::try_from(tls).map_err(Error::QuicTls)?;
    let mut config = ServerConfig::with_crypto(Arc::new(crypto));
    config.transport_config(Arc::new(transport_config()));
    Ok(config)
}

/// A server on a socket at a port that other owners have sockets at too, if not `alone`; `sockets` knows when it is this
/// process's turn.
pub(crate) fn endpoint(
    socket: std::net::UdpSocket,
    server: ServerConfig,
    owner: handover::Owner,
    alone: bool,
    sockets: &Sockets,
) -> io::Result<Endpoint> {
    let socket = Arc::new(handover::Socket::new(socket, owner, alone, sockets)?);
    let mut config = EndpointConfig::default();
    config.cid_generator(move || Box::new(handover::Ids(owner)));
    Endpoint::new_with_abstract_socket(config, Some(server), socket, Arc::new(TokioRuntime))
}

/// quinn's configuration for a client with ALPN `h3`; `tls` needs no more than its authorities.
pub fn client_config(mut tls: rustls::ClientConfig) -> Result<ClientConfig> {
    tls.alpn_protocols = vec![b"h3".to_vec()];
    let crypto = QuicClientConfig::try_from(tls).map_err(Error::QuicTls)?;
    let mut config = ClientConfig::new(Arc::new(crypto));
    let mut transport = transport_config();
    // A client receives media where a server receives requests.
    transport.stream_receive_window(CLIENT_WINDOW).receive_window(CLIENT_WINDOW);
    config.transport_config(Arc::new(transport));
    Ok(config)
}

/// What both sides share.
pub fn transport_config() -> TransportConfig {
    let mut config = TransportConfig::default();
    let mut discovery = MtuDiscoveryConfig::default();
    discovery.upper_bound(MAX_MTU);
    config
        .max_concurrent_bidi_streams(MAX_STREAMS)
        .max_concurrent_uni_streams(MAX_UNI_STREAMS)
        .stream_receive_window(STREAM_WINDOW)
        .receive_window(CONNECTION_WINDOW)
        .send_window(SEND_WINDOW)
        .max_idle_timeout(Some(IdleTimeout::from(VarInt::from_u32(IDLE_MS))))
        .initial_mtu(INITIAL_MTU)
        .mtu_discovery_config(Some(discovery))
        .datagram_receive_buffer_size(None)
        .keep_alive_interval(None::<Duration>);
    config
}

/// Requests at once: a player has under ten in flight.
const MAX_STREAMS: VarInt = VarInt::from_u32(128);

/// Control, QPACK encoder and decoder (RFC 9114 section 6.2), and room for reserved types.
const MAX_UNI_STREAMS: VarInt = VarInt::from_u32(8);

/// Request headers and small uploads.
const STREAM_WINDOW: VarInt = VarInt::from_u32(64 << 10);

const CONNECTION_WINDOW: VarInt = VarInt::from_u32(256 << 10);

/// 16 MiB: 1 Gb/s at 130 ms.
const CLIENT_WINDOW: VarInt = VarInt::from_u32(16 << 20);

/// Bytes unacknowledged per connection, quinn's memory for a slow viewer; 10 MB by default. 2 MiB is 160 Mb/s at 100 ms.
const SEND_WINDOW: u64 = 2 << 20;

/// RFC 9308 section 3.2: middle boxes forget a silent UDP flow after about as long.
const IDLE_MS: u32 = 30_000;

/// The smallest IPv6 path that carries QUIC at all has 1,280 bytes: 1,232 after IPv6 and UDP headers. Discovery goes on from
/// here; starting above would lose the handshakes of viewers behind tunnels.
const INITIAL_MTU: u16 = 1_232;

/// Ethernet less IPv6 and UDP headers.
const MAX_MTU: u16 = 1_452;
