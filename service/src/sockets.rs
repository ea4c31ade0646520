//! Listening sockets that live longer than a process: opened by systemd or by the process before this one, and handed
//! on to the one that comes after. One is used where the configuration names its address.

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{AsFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};

use socket2::{Socket, Type};

/// The sockets of a process. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Sockets(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// [`Turn`]: looked at before every receive.
    turn: AtomicU8,
    /// There was a process before this one that handed them over.
    is_successor: bool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Not asked for yet.
    inherited: Vec<Socket>,
    /// Duplicates of all that are listened on.
    open: Vec<OwnedFd>,
    /// Another process has them too, and is to take over.
    is_handing_over: bool,
    /// Who waits for this process's turn.
    waiting: Vec<Waker>,
}

/// Whose turn it is to receive from sockets that two processes have.
#[derive(Debug, Clone, Copy)]
enum Turn {
    Ours,
    /// The process before still does.
    Before,
    /// The process after does.
    After,
}

/// How a process tells the one after it of what it hands on: `UPGRADE_FDS` sockets from descriptor 3 on.
pub(crate) const COUNT: &str = "UPGRADE_FDS";
/// The first descriptor that is handed on, by systemd too (sd_listen_fds(3)).
pub(crate) const FIRST: RawFd = 3;

impl Sockets {
    /// Takes over what was handed to this process. To be called once, before any file is opened.
    pub(crate) fn inherit() -> Self {
        let handed = std::env::var(COUNT).ok().and_then(|count| count.parse().ok());
        let from_systemd = || sd_notify::listen_fds().map(|fds| fds.len()).unwrap_or(0);
        let count = handed.unwrap_or_else(from_systemd).min(MOST);
        let take = |fd: RawFd| {
            // SAFETY: whoever set the variables has opened these descriptors for this process, which is the protocol, and
            // nothing here has opened or taken one yet. One that is not open is found out by the first call on it.
            #[expect(unsafe_code, reason = "descriptors that come with a process have no owner yet")]
            let fd = unsafe { OwnedFd::from_raw_fd(fd) };
            Socket::from(fd)
        };
        let inherited = (FIRST..).take(count).map(take).filter(|socket| socket.set_cloexec(true).is_ok());
        Self::of(inherited.collect(), handed.is_some())
    }

    fn of(inherited: Vec<Socket>, is_successor: bool) -> Self {
        let turn = if is_successor { Turn::Before } else { Turn::Ours };
        let state = Mutex::new(State { inherited, ..State::default() });
        Self(Arc::new(Inner { turn: AtomicU8::new(turn as u8), is_successor, state }))
    }

    /// Those of a process that takes over from another, for tests that have both in one.
    #[cfg(test)]
    pub(crate) fn of_successor() -> Self {
        Self::of(Vec::new(), true)
    }

    /// The process before has been told to go.
    pub(crate) fn take_turn(&self) {
        self.0.turn.store(Turn::Ours as u8, Ordering::Release);
        self.state().waiting.drain(..).for_each(Waker::wake);
    }

    /// Whether this process is to receive from sockets that others have too. Where its turn is to come, the task is
    /// woken then.
    pub(crate) fn poll_turn(&self, cx: &Context<'_>) -> bool {
        let is_ours = || self.0.turn.load(Ordering::Acquire) == Turn::Ours as u8;
        if is_ours() {
            return true;
        }
        let mut state = self.state();
        if !state.waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
            state.waiting.push(cx.waker().clone());
        }
        // It may have come just before.
        is_ours()
    }

    /// Whether another process had them before.
    pub(crate) fn is_successor(&self) -> bool {
        self.0.is_successor
    }

    /// The listeners that were opened for `address`, or else new ones; `count` of them if that can be.
    pub(crate) fn tcp(&self, address: SocketAddr, count: usize) -> io::Result<Vec<TcpListener>> {
        let sockets = self.several(address, Type::STREAM, count)?;
        for socket in &sockets {
            // Also one that was handed over without: whoever comes then waits.
            socket.listen(BACKLOG)?;
            self.note(socket)?;
        }
        Ok(sockets.into_iter().map(TcpListener::from).collect())
    }

    /// The UDP sockets that were opened for `address`, or else new ones; `count` of them if that can be.
    pub(crate) fn udp(&self, address: SocketAddr, count: usize) -> io::Result<Vec<UdpSocket>> {
        let sockets = self.several(address, Type::DGRAM, count)?;
        for socket in &sockets {
            self.note(socket)?;
        }
        Ok(sockets.into_iter().map(UdpSocket::from).collect())
    }

    /// All that were handed over, and then new ones beside them, where that harms nobody. One at least.
    fn several(&self, address: SocketAddr, kind: Type, count: usize) -> io::Result<Vec<Socket>> {
        let mut sockets: Vec<Socket> = std::iter::from_fn(|| self.claim(address, kind)).collect();
        let handed_over = !sockets.is_empty();
        if !handed_over {
            // The first one asks for the address for itself, so that one in use is found out.
            sockets.push(bind(address, kind, false)?);
        }
        // Beside those that another process reads until this one's turn comes, a new one would take packets from them that
        // nobody reads.
        let shared = kind == Type::DGRAM && handed_over && self.0.is_successor;
        if sockets.len() >= count || shared {
            return Ok(sockets);
        }
        let local = sockets[0].local_addr()?.as_socket().unwrap_or(address);
        for socket in &sockets {
            socket.set_reuse_port(true)?;
        }
        while sockets.len() < count {
            match bind(local, kind, true) {
                Ok(socket) => sockets.push(socket),
                // Sockets of another user, such as systemd's, are not to be shared.
                Err(error) => {
                    tracing::warn!(%address, "only {} of {count} sockets: {error}", sockets.len());
                    break;
                }
            }
        }
        Ok(sockets)
    }

    /// Closes what nobody has asked for, and says which that was.
    pub(crate) fn unclaimed(&self) -> Vec<String> {
        let left = std::mem::take(&mut self.state().inherited);
        let name = |socket: &Socket| match socket.local_addr().ok().and_then(|address| address.as_socket()) {
            Some(address) => address.to_string(),
            None => "a descriptor that is no IP socket".to_owned(),
        };
        left.iter().map(name).collect()
    }

    /// All that are listened on, for another process that is to take over.
    pub(crate) fn hand_over(&self) -> io::Result<Vec<OwnedFd>> {
        let mut state = self.state();
        state.is_handing_over = true;
        state.open.iter().map(|fd| fd.try_clone()).collect()
    }

    /// That process has failed.
    pub(crate) fn keep(&self) {
        self.state().is_handing_over = false;
    }

    /// Whether another process is to take over.
    pub(crate) fn is_handing_over(&self) -> bool {
        self.state().is_handing_over
    }

    /// Lets go of them, as this process drains: what nobody accepts from must not look open to clients, and what
    /// another process has is for that one to receive from.
    pub(crate) fn leave(&self) {
        let mut state = self.state();
        state.open.clear();
        if state.is_handing_over {
            self.0.turn.store(Turn::After as u8, Ordering::Release);
        }
    }

    fn claim(&self, address: SocketAddr, kind: Type) -> Option<Socket> {
        let mut state = self.state();
        let fits = |socket: &Socket| {
            socket.r#type().is_ok_and(|is| is == kind)
                && socket.local_addr().ok().and_then(|local| local.as_socket()) == Some(address)
        };
        let index = state.inherited.iter().position(fits)?;
        let socket = state.inherited.swap_remove(index);
        socket.set_nonblocking(true).ok()?;
        Some(socket)
    }

    fn note(&self, socket: &Socket) -> io::Result<()> {
        self.state().open.push(socket.as_fd().try_clone_to_owned()?);
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn bind(address: SocketAddr, kind: Type, shared: bool) -> io::Result<Socket> {
    let socket = Socket::new(socket2::Domain::for_address(address), kind, None)?;
    socket.set_nonblocking(true)?;
    if kind == Type::STREAM {
        // A process that starts again must not wait for connections of its last life.
        socket.set_reuse_address(true)?;
    }
    socket.set_reuse_port(shared)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

/// Connections that wait to be accepted; the kernel lowers it to net.core.somaxconn.
const BACKLOG: i32 = 4096;
/// Far more than a program listens on.
const MOST: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn one<T>(sockets: io::Result<Vec<T>>) -> T {
        let mut sockets = sockets.unwrap();
        assert_eq!(sockets.len(), 1);
        sockets.remove(0)
    }

    #[test]
    fn several_sockets_share_an_address_that_is_nobody_elses() {
        let sockets = Sockets::default();
        let listeners = sockets.tcp("127.0.0.1:0".parse().unwrap(), 3).unwrap();
        let address = listeners[0].local_addr().unwrap();
        let datagrams = sockets.udp(address, 3).unwrap();
        assert!(listeners.iter().all(|listener| listener.local_addr().unwrap() == address));
        assert!(datagrams.iter().all(|socket| socket.local_addr().unwrap() == address));
        let other = Sockets::default();
        for count in [1, 3] {
            assert_eq!(other.tcp(address, count).unwrap_err().kind(), io::ErrorKind::AddrInUse);
            assert_eq!(other.udp(address, count).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        }
        // Each connection waits at one of them.
        let clients: Vec<_> = (0..30).map(|_| std::net::TcpStream::connect(address).unwrap()).collect();
        let accepted = |listener: &TcpListener| std::iter::from_fn(|| listener.accept().ok()).count();
        let accepted: Vec<usize> = listeners.iter().map(accepted).collect();
        assert_eq!(accepted.iter().sum::<usize>(), clients.len());
        assert!(accepted.iter().filter(|count| **count > 0).count() > 1, "{accepted:?}");

        // A process that comes after has as many as there are, however many it wants.
        let handed = sockets.hand_over().unwrap();
        let after = Sockets::of(handed.into_iter().map(Socket::from).collect(), true);
        assert_eq!(after.tcp(address, 1).unwrap().len(), 3);
        assert_eq!(
            after.udp(address, 4).unwrap().len(),
            3,
            "packets would come to one that nobody reads yet"
        );
    }

    #[test]
    fn a_socket_that_was_handed_over_is_used_for_its_address_and_kind_only() {
        let free = "127.0.0.1:0".parse().unwrap();
        let before = Sockets::default();
        let listener = one(before.tcp(free, 1));
        let address = listener.local_addr().unwrap();
        let handed = before.hand_over().unwrap();
        drop((listener, before));

        let after = Sockets::of(handed.into_iter().map(Socket::from).collect(), true);
        let udp = one(after.udp(address, 1));
        assert_eq!(udp.local_addr().unwrap(), address);
        assert_eq!(after.state().inherited.len(), 1, "a TCP socket is no UDP socket");
        // It never stopped listening: to bind anew would fail while somebody waits to be accepted.
        let _waiting = std::net::TcpStream::connect(address).unwrap();
        let listener = one(after.tcp(address, 1));
        listener.set_nonblocking(false).unwrap();
        listener.accept().unwrap();
        assert_eq!(after.unclaimed(), Vec::<String>::new());
        assert_eq!(after.hand_over().unwrap().len(), 2);
        after.leave();
        assert_eq!(after.hand_over().unwrap().len(), 0);
    }

    #[test]
    fn what_nobody_asks_for_is_named() {
        let before = Sockets::default();
        let listener = one(before.tcp("127.0.0.1:0".parse().unwrap(), 1));
        let handed = before.hand_over().unwrap();
        let after = Sockets::of(handed.into_iter().map(Socket::from).collect(), true);
        assert_eq!(after.unclaimed(), [listener.local_addr().unwrap().to_string()]);
        assert_eq!(after.unclaimed(), Vec::<String>::new());
    }

    #[test]
    fn of_two_processes_one_receives_at_a_time() {
        let cx = Context::from_waker(Waker::noop());
        let (before, after) = (Sockets::default(), Sockets::of_successor());
        assert!(before.poll_turn(&cx) && !after.poll_turn(&cx));
        // One that stops with nobody to come after it receives to its end.
        before.leave();
        assert!(before.poll_turn(&cx));
        before.hand_over().unwrap();
        before.leave();
        after.take_turn();
        assert!(!before.poll_turn(&cx) && after.poll_turn(&cx));
    }
}
