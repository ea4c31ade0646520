//! Ports that no other test has: claimed by a locked file each, outside what the kernel hands out.

use std::fs::File;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicU16, Ordering};

use anyhow::{Context as _, Result};

/// A block of neighbouring ports, given back when dropped.
#[derive(Debug)]
pub struct Ports {
    next: AtomicU16,
    end: u16,
    _claim: File,
}

impl Ports {
    /// Claims a block whose ports are all free, for TCP and UDP on every loopback address.
    pub fn claim() -> Result<Self> {
        let folder = std::env::temp_dir().join("nearcast-ports");
        std::fs::create_dir_all(&folder)?;
        let start = rand::random_range(0..BLOCKS);
        for block in (start..BLOCKS).chain(0..start) {
            let claim = File::create(folder.join(block.to_string()))?;
            let first = FIRST + block * SIZE;
            if claim.try_lock().is_ok() && (first..first + SIZE).all(free) {
                return Ok(Self { next: AtomicU16::new(first), end: first + SIZE, _claim: claim });
            }
        }
        anyhow::bail!("no block of {SIZE} free ports between {FIRST} and {}", FIRST + BLOCKS * SIZE)
    }

    /// The next one on loopback.
    pub fn local(&self) -> Result<SocketAddr> {
        Ok(([127, 0, 0, 1], self.take()?).into())
    }

    /// The next port of the block.
    pub fn take(&self) -> Result<u16> {
        let port = self.next.fetch_add(1, Ordering::Relaxed);
        (port < self.end).then_some(port).context("the block of ports is used up: enlarge SIZE")
    }
}

fn free(port: u16) -> bool {
    TcpListener::bind(("0.0.0.0", port)).is_ok() && UdpSocket::bind(("0.0.0.0", port)).is_ok()
}

/// Linux takes ports of outgoing connections from 32768 up: nothing lands here by accident.
const FIRST: u16 = 20_000;
const SIZE: u16 = 24;
const BLOCKS: u16 = 500;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_claims_never_share_a_port() {
        let (one, two) = (Ports::claim().unwrap(), Ports::claim().unwrap());
        let of = |ports: &Ports| (0..SIZE).map(|_| ports.take().unwrap()).collect::<Vec<_>>();
        let (first, second) = (of(&one), of(&two));
        assert!(first.iter().all(|port| !second.contains(port)));
        assert!(one.take().is_err(), "a block has an end");
    }
}
