//! A bad line: a proxy for datagrams that loses some of them, each way, and delays the rest.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Result;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

/// A running line. Dropping it cuts it.
#[derive(Debug)]
pub struct Lossy {
    /// Where its near end is.
    pub address: SocketAddr,
    lost: Arc<AtomicU64>,
    _tasks: JoinSet<()>,
}

/// How bad it is.
#[derive(Debug, Clone, Copy)]
pub struct Line {
    /// Of 100 datagrams, so many are lost, each way.
    pub loss_percent: f64,
    /// One way.
    pub delay: Duration,
    /// The same seed loses the same ones.
    pub seed: u64,
}

impl Lossy {
    /// A line on loopback to `far`.
    pub async fn start(far: SocketAddr, line: Line) -> Result<Self> {
        let near = Arc::new(UdpSocket::bind("127.0.0.1:0").await?);
        let address = near.local_addr()?;
        let lost = Arc::new(AtomicU64::new(0));
        let mut tasks = JoinSet::new();
        tasks.spawn(forward(near, far, line, Arc::clone(&lost)));
        Ok(Self { address, lost, _tasks: tasks })
    }

    /// Datagrams that it has lost so far.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

/// Gives every client a socket of its own towards the far end, as a NAT does.
async fn forward(near: Arc<UdpSocket>, far: SocketAddr, line: Line, lost: Arc<AtomicU64>) {
    let mut random = StdRng::seed_from_u64(line.seed);
    let mut clients: BTreeMap<SocketAddr, mpsc::Sender<(Instant, Vec<u8>)>> = BTreeMap::new();
    let mut tasks = JoinSet::new();
    let mut buffer = vec![0; 2_048];
    while let Ok((length, client)) = near.recv_from(&mut buffer).await {
        let there = match clients.entry(client) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => {
                let Ok(socket) = UdpSocket::bind("127.0.0.1:0").await else { return };
                let socket = Arc::new(socket);
                let (there, there_queue) = mpsc::channel(QUEUE);
                tasks.spawn(deliver(there_queue, Arc::clone(&socket), far));
                tasks.spawn(back(socket, Arc::clone(&near), client, line, Arc::clone(&lost)));
                new.insert(there)
            }
        };
        pass(&buffer[..length], line, &mut random, &lost, there);
    }
}

/// From the far end to one client.
async fn back(
    socket: Arc<UdpSocket>,
    near: Arc<UdpSocket>,
    client: SocketAddr,
    line: Line,
    lost: Arc<AtomicU64>,
) {
    let mut random = StdRng::seed_from_u64(line.seed ^ u64::from(client.port()));
    let (queue, delivered) = mpsc::channel(QUEUE);
    let mut tasks = JoinSet::new();
    tasks.spawn(deliver(delivered, near, client));
    let mut buffer = vec![0; 2_048];
    while let Ok(length) = socket.recv(&mut buffer).await {
        pass(&buffer[..length], line, &mut random, &lost, &queue);
    }
}

fn pass(
    datagram: &[u8],
    line: Line,
    random: &mut StdRng,
    lost: &AtomicU64,
    queue: &mpsc::Sender<(Instant, Vec<u8>)>,
) {
    let due = Instant::now() + line.delay;
    if random.random_bool(line.loss_percent / 100.0) || queue.try_send((due, datagram.to_vec())).is_err() {
        lost.fetch_add(1, Ordering::Relaxed);
    }
}

async fn deliver(mut queue: mpsc::Receiver<(Instant, Vec<u8>)>, socket: Arc<UdpSocket>, to: SocketAddr) {
    while let Some((due, datagram)) = queue.recv().await {
        sleep_until(due).await;
        let _ = socket.send_to(&datagram, to).await;
    }
}

/// Datagrams on their way: seconds of any broadcast.
const QUEUE: usize = 8_192;
