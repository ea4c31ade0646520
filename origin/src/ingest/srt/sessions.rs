//! Who is connected over the one socket: by the socket id that each was given.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use srt_protocol::packet::{Packet, SocketId};
use tokio::sync::mpsc;

/// By the socket id that we gave each.
#[derive(Clone, Default)]
pub(super) struct Sessions(Arc<Mutex<HashMap<u32, Session>>>);

struct Session {
    peer: SocketAddr,
    /// Its own socket id.
    remote: SocketId,
    packets: mpsc::Sender<Packet>,
    /// Sent again when it did not arrive.
    response: Bytes,
}

/// An entry in [`Sessions`], until it is dropped.
pub(super) struct Entry(Sessions, u32);

/// A caller that is let in.
pub(super) struct New {
    pub(super) peer: SocketAddr,
    /// Its own socket id.
    pub(super) remote: SocketId,
    /// What it is answered.
    pub(super) response: Bytes,
}

impl Sessions {
    /// Hands a packet to the connection that it names.
    pub(super) fn deliver(&self, packet: Packet, from: SocketAddr) {
        let sessions = self.all();
        if let Some(session) = sessions.get(&packet.dest_sockid().0).filter(|session| session.peer == from) {
            // A full queue loses packets, as a line does; SRT asks for them again.
            let _lost = session.packets.try_send(packet);
        }
    }

    /// What a caller was answered that asks again.
    pub(super) fn again(&self, peer: SocketAddr, remote: SocketId) -> Option<Bytes> {
        let sessions = self.all();
        let known = sessions.values().find(|session| session.peer == peer && session.remote == remote);
        known.map(|session| session.response.clone())
    }

    /// A socket id that nobody has; 0 is for handshakes.
    pub(super) fn free_id(&self) -> SocketId {
        let sessions = self.all();
        let random =
            std::iter::repeat_with(random_id).take(64).find(|id| *id != 0 && !sessions.contains_key(id));
        SocketId(random.unwrap_or(1))
    }

    /// Gives a caller its place; what comes for it is in the queue from now on.
    pub(super) fn insert(&self, id: SocketId, new: New) -> (Entry, mpsc::Receiver<Packet>) {
        let New { peer, remote, response } = new;
        let (packets, queue) = mpsc::channel(QUEUE);
        self.all().insert(id.0, Session { peer, remote, packets, response });
        (Entry(self.clone(), id.0), queue)
    }

    fn all(&self) -> MutexGuard<'_, HashMap<u32, Session>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.0.all().remove(&self.1);
    }
}

fn random_id() -> u32 {
    let mut bytes = [0; 4];
    match aws_lc_rs::rand::fill(&mut bytes) {
        // Thirty bits, as other implementations have it.
        Ok(()) => u32::from_be_bytes(bytes) & 0x3fff_ffff,
        Err(_) => 1,
    }
}

/// Packets that wait for one connection: a second at 10 Mb/s.
const QUEUE: usize = 1_024;
