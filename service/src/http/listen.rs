//! Sockets, bound before anything else starts so that a port in use is an error at once.

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

use crate::sockets::Sockets;
use crate::{Error, Result};

/// Listens on TCP with `count` sockets. `key` is the configuration key to change when that fails.
pub(super) fn tcp(
    sockets: &Sockets,
    address: SocketAddr,
    count: usize,
    key: &'static str,
) -> Result<Vec<TcpListener>> {
    let listeners = sockets.tcp(address, count);
    listeners.map_err(|source| Error::Listen { address, transport: "tcp", key, source })
}

/// Listens on TCP and, when `with_udp`, UDP at the same port, with `count` sockets each. Port 0 is one that is free in
/// both.
pub(super) fn pair(
    sockets: &Sockets,
    address: SocketAddr,
    with_udp: bool,
    count: usize,
    key: &'static str,
) -> Result<(Vec<TcpListener>, Vec<UdpSocket>)> {
    let mut tries = if address.port() == 0 { FREE_PORT_TRIES } else { 1 };
    loop {
        let listeners = tcp(sockets, address, count, key)?;
        if !with_udp {
            return Ok((listeners, Vec::new()));
        }
        let local = listeners.first().map_or(Ok(address), TcpListener::local_addr);
        let local = local.map_err(|source| Error::Listen { address, transport: "tcp", key, source })?;
        tries -= 1;
        match udp(sockets, local, count, key) {
            Ok(datagrams) => return Ok((listeners, datagrams)),
            Err(_) if tries > 0 => {}
            Err(error) => return Err(error),
        }
    }
}

/// Binds UDP with buffers that hold a burst of QUIC packets.
fn udp(sockets: &Sockets, address: SocketAddr, count: usize, key: &'static str) -> Result<Vec<UdpSocket>> {
    let bind = || {
        let sockets = sockets.udp(address, count)?;
        for socket in &sockets {
            let options = SockRef::from(socket);
            // The kernel clamps to net.core.{r,w}mem_max silently; less than asked is slower, not wrong.
            options.set_recv_buffer_size(UDP_BUFFER)?;
            options.set_send_buffer_size(UDP_BUFFER)?;
        }
        Ok(sockets)
    };
    bind().map_err(|source| Error::Listen { address, transport: "udp", key, source })
}

/// Sets what every accepted connection needs.
pub(super) fn tune(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let options = SockRef::from(stream);
    options.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE))?;
    options.set_tcp_user_timeout(Some(STALLED))
}

/// An IPv4 address as such, also where a socket for both families shows it inside an IPv6 one.
pub(super) fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// True for failures of the one connection, not of the listener.
pub(super) fn is_connections_own(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// The kernel gives ports that are free in TCP; in UDP nearly all are.
const FREE_PORT_TRIES: u32 = 16;

/// 4 MiB: 30 ms at 1 Gb/s, ten times the default ("QUIC on the Highway", arXiv 2309.16395).
const UDP_BUFFER: usize = 4 << 20;

/// Finds peers that vanished without a word.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// A viewer that takes no byte for this long has left; its buffers are worth more elsewhere.
const STALLED: Duration = Duration::from_secs(60);
