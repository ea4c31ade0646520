//! One UDP port for several owners: the workers of a process, and the process that takes over from it. Whoever receives a
//! packet of another's connection passes it on. Connection ids begin with the owner that made them (RFC 9000 §5.1 leaves
//! them to the server), and each owner has a Unix socket in the abstract namespace for what others receive for it.

use std::fmt;
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as UnixAddress, UnixDatagram as StdUnixDatagram};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use quinn::udp::{EcnCodepoint, RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, ConnectionId, ConnectionIdGenerator, Runtime, TokioRuntime, UdpPoller};
use rand::RngExt;
use tokio::io::ReadBuf;
use tokio::net::UnixDatagram;

use crate::sockets::Sockets;

/// A process (three bytes) and its worker, as its connection ids name it.
pub(crate) type Owner = [u8; 4];

/// The port as one owner sees it.
pub(crate) struct Socket {
    udp: Arc<dyn AsyncUdpSocket>,
    owner: Owner,
    port: u16,
    /// What others have received for this owner; none where there can be no such socket.
    inbox: Option<UnixDatagram>,
    /// For packets of others; none where there are none.
    outbox: Option<StdUnixDatagram>,
    sockets: Sockets,
}

/// Makes connection ids of one owner.
pub(crate) struct Ids(pub(crate) Owner);

/// A worker of this process.
pub(crate) fn worker(index: u8) -> Owner {
    // Linux has at most 2^22 processes.
    let [a, b, c, _] = std::process::id().to_le_bytes();
    [a, b, c, index]
}

impl Socket {
    /// Takes the bound `udp`, which other processes may have too; `sockets` knows when it is this one's turn to receive.
    /// `alone` says that this process has no other socket at its port.
    pub(crate) fn new(
        udp: std::net::UdpSocket,
        owner: Owner,
        alone: bool,
        sockets: &Sockets,
    ) -> io::Result<Self> {
        let port = udp.local_addr()?.port();
        let udp = TokioRuntime.wrap_udp_socket(udp)?;
        let bound = name(port, owner).and_then(|name| StdUnixDatagram::bind_addr(&name)).and_then(|inbox| {
            inbox.set_nonblocking(true)?;
            UnixDatagram::from_std(inbox)
        });
        let outbox = || {
            let outbox = StdUnixDatagram::unbound()?;
            outbox.set_nonblocking(true)?;
            io::Result::Ok(outbox)
        };
        // Without them connections end when another process takes over, and that is all.
        let outbox = if !alone || sockets.is_successor() { outbox().ok() } else { None };
        Ok(Self { udp, owner, port, inbox: bound.ok(), outbox, sockets: sockets.clone() })
    }

    /// Takes out what belongs to another owner, and passes it on.
    fn sort(&self, buffer: &mut [u8], meta: &mut RecvMeta) {
        if self.outbox.is_none() {
            return;
        }
        let stride = meta.stride.max(1);
        let foreign = |packet: &[u8]| owner(packet).filter(|owner| *owner != self.owner);
        // Packets that the kernel has put together are of one connection, as a rule.
        if !buffer[..meta.len].chunks(stride).any(|packet| foreign(packet).is_some()) {
            return;
        }
        let mut kept = 0;
        for start in (0..meta.len).step_by(stride) {
            let end = (start + stride).min(meta.len);
            let passed = foreign(&buffer[start..end])
                .is_some_and(|owner| self.pass_on(owner, &buffer[start..end], meta.addr, meta.ecn));
            if !passed {
                buffer.copy_within(start..end, kept);
                kept += end - start;
            }
        }
        meta.len = kept;
    }

    /// False when there is no such owner: then the packet is for whoever answers those that are lost.
    fn pass_on(&self, owner: Owner, packet: &[u8], from: SocketAddr, ecn: Option<EcnCodepoint>) -> bool {
        let (Some(outbox), Ok(to)) = (&self.outbox, name(self.port, owner)) else { return false };
        let mut message = Vec::with_capacity(HEAD + packet.len());
        let address = match from.ip() {
            IpAddr::V4(address) => address.to_ipv6_mapped(),
            IpAddr::V6(address) => address,
        };
        message.extend_from_slice(&address.octets());
        message.extend_from_slice(&from.port().to_be_bytes());
        message.push(u8::from(from.is_ipv4()));
        message.push(ecn.map_or(0, |ecn| ecn as u8));
        message.extend_from_slice(packet);
        match outbox.send_to_addr(&message, &to) {
            // One that has no room loses a packet, as networks do.
            Err(error) => error.kind() == io::ErrorKind::WouldBlock,
            Ok(_) => true,
        }
    }

    /// What others have received for this owner.
    fn poll_inbox(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let (Some(inbox), Some(buffer), Some(meta)) = (&self.inbox, bufs.first_mut(), meta.first_mut())
        else {
            return Poll::Pending;
        };
        // Almost always there is nothing, and then nothing is made ready for it.
        if std::task::ready!(inbox.poll_recv_ready(cx)).is_err() {
            return Poll::Pending;
        }
        let mut message = [0; HEAD + MAX_PACKET];
        loop {
            let mut read = ReadBuf::new(&mut message);
            if std::task::ready!(inbox.poll_recv(cx, &mut read)).is_err() {
                return Poll::Pending;
            }
            let Some((from, ecn, packet)) = unpack(read.filled()) else { continue };
            let Some(room) = buffer.get_mut(..packet.len()) else { continue };
            room.copy_from_slice(packet);
            *meta = RecvMeta::default();
            (meta.addr, meta.len, meta.stride, meta.ecn) = (from, packet.len(), packet.len(), ecn);
            return Poll::Ready(Ok(1));
        }
    }
}

impl AsyncUdpSocket for Socket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Arc::clone(&self.udp).create_io_poller()
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.udp.try_send(transmit)
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        if let Poll::Ready(received) = self.poll_inbox(cx, bufs, meta) {
            return Poll::Ready(received);
        }
        if !self.sockets.poll_turn(cx) {
            return Poll::Pending;
        }
        let count = std::task::ready!(self.udp.poll_recv(cx, bufs, meta))?;
        for (buffer, meta) in bufs.iter_mut().zip(meta).take(count) {
            self.sort(buffer, meta);
        }
        Poll::Ready(Ok(count))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.udp.local_addr()
    }

    fn max_transmit_segments(&self) -> usize {
        self.udp.max_transmit_segments()
    }

    fn max_receive_segments(&self) -> usize {
        self.udp.max_receive_segments()
    }

    fn may_fragment(&self) -> bool {
        self.udp.may_fragment()
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socket").field("udp", &self.udp).field("owner", &self.owner).finish_non_exhaustive()
    }
}

impl ConnectionIdGenerator for Ids {
    fn generate_cid(&mut self) -> ConnectionId {
        let mut id = [0; ID];
        let (owner, rest) = id.split_at_mut(self.0.len());
        owner.copy_from_slice(&self.0);
        rand::rng().fill(rest);
        ConnectionId::new(&id)
    }

    fn cid_len(&self) -> usize {
        ID
    }

    fn cid_lifetime(&self) -> Option<std::time::Duration> {
        None
    }
}

/// The owner that a packet's connection id names, if it is as long as ours. A client's own, which begins a connection,
/// may be as long: then it names nobody.
fn owner(packet: &[u8]) -> Option<Owner> {
    let id = match packet.first()? & LONG {
        // RFC 9000 §17.3.
        0 => packet.get(1..)?,
        // RFC 8999 §5.1: version, and then the id with its length before it.
        _ if usize::from(*packet.get(5)?) == ID => packet.get(6..)?,
        _ => return None,
    };
    id.get(..ID)?.first_chunk().copied()
}

fn unpack(message: &[u8]) -> Option<(SocketAddr, Option<EcnCodepoint>, &[u8])> {
    let (head, packet) = message.split_at_checked(HEAD)?;
    let address = Ipv6Addr::from(*head.first_chunk::<16>()?);
    let port = u16::from_be_bytes([head[16], head[17]]);
    let address = match head[18] {
        1 => IpAddr::V4(address.to_ipv4_mapped()?),
        _ => IpAddr::V6(address),
    };
    Some((SocketAddr::new(address, port), EcnCodepoint::from_bits(head[19]), packet))
}

fn name(port: u16, owner: Owner) -> io::Result<UnixAddress> {
    let [a, b, c, worker] = owner;
    let process = u32::from_le_bytes([a, b, c, 0]);
    UnixAddress::from_abstract_name(format!("nearcast-quic-{port}-{process}-{worker}"))
}

/// Fuzz body: nothing that comes in, from the network or from another owner, can end in a panic.
pub fn fuzz(data: &[u8]) {
    let _any = owner(data);
    if let Some((_, _, packet)) = unpack(data) {
        assert_eq!(packet.len() + HEAD, data.len());
    }
}

/// Bytes of a connection id: four for the owner, the rest is random.
const ID: usize = 10;
const LONG: u8 = 0x80;
/// Bytes before a packet that is passed on: address, port, family, ECN.
const HEAD: usize = 20;
/// Larger than any packet that comes in.
const MAX_PACKET: usize = 2_048;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_packet_belongs_to_the_owner_that_made_its_connection_id() {
        let id = Ids([7, 8, 9, 1]).generate_cid();
        let short = [&[0x40][..], &id, &[1, 2, 3]].concat();
        assert_eq!(owner(&short), Some([7, 8, 9, 1]));
        let long = |first: u8, id: &[u8]| {
            let length = u8::try_from(id.len()).unwrap();
            [&[first, 0, 0, 0, 1, length][..], id, &[0]].concat()
        };
        assert_eq!(owner(&long(0xe0, &id)), Some([7, 8, 9, 1]), "Handshake");
        // What a client sends with its Finished begins with an Initial packet that has the server's id already.
        assert_eq!(owner(&long(0xc0, &id)), Some([7, 8, 9, 1]), "Initial");
        // A client's first packets have ids of its own.
        assert_eq!(owner(&long(0xc0, &[1; 8])), None);
        assert_eq!(owner(&long(0xc0, &[1; 20])), None);
        assert_eq!(owner(&short[..5]), None);
    }

    proptest! {
        #[test]
        fn no_bytes_can_break_it(data: Vec<u8>) {
            fuzz(&data);
        }
    }
}
