//! Clients that take too little of what they asked for: they hold memory, and places at origins, for ever.
//!
//! A window of nothing is legal in HTTP/2, and pings are answered meanwhile, so neither the kernel nor hyper ends such a
//! connection. Here what is on its way is counted beside what the socket took.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What one connection does.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// Bytes of bodies that were given to the protocol and have not left it.
    waiting: AtomicU64,
    /// Bytes that the socket took.
    written: AtomicU64,
}

impl Pace {
    /// Completes when the client has taken hardly anything of what waits for it.
    pub(super) async fn too_slow(&self) {
        loop {
            let (waited, before) = (self.waits(), self.written.load(Ordering::Relaxed));
            // A rate is of a time; nothing tells that a client does nothing.
            tokio::time::sleep(PERIOD).await;
            let taken = self.written.load(Ordering::Relaxed) - before;
            if waited && self.waits() && taken < LEAST {
                return;
            }
        }
    }

    fn waits(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }
}

/// A piece of a body, counted until it is sent or dropped.
#[derive(Debug)]
pub(super) struct Piece {
    rest: Bytes,
    counted: Option<(Arc<Pace>, u64)>,
}

impl Piece {
    /// A piece on its way through a connection; one without a `pace` is not counted.
    pub(super) fn new(rest: Bytes, pace: Option<&Arc<Pace>>) -> Self {
        let length = rest.len() as u64;
        let counted = pace.map(|pace| {
            pace.waiting.fetch_add(length, Ordering::Relaxed);
            (Arc::clone(pace), length)
        });
        Self { rest, counted }
    }

    /// The bytes, no longer counted.
    pub(super) fn into_bytes(mut self) -> Bytes {
        std::mem::take(&mut self.rest)
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        if let Some((pace, length)) = &self.counted {
            pace.waiting.fetch_sub(*length, Ordering::Relaxed);
        }
    }
}

impl Buf for Piece {
    fn remaining(&self) -> usize {
        self.rest.len()
    }

    fn chunk(&self) -> &[u8] {
        &self.rest
    }

    fn advance(&mut self, count: usize) {
        self.rest.advance(count);
    }

    fn copy_to_bytes(&mut self, length: usize) -> Bytes {
        self.rest.copy_to_bytes(length)
    }
}

/// A connection whose writes are counted.
#[derive(Debug)]
pub(super) struct Metered<S> {
    pub(super) stream: S,
    pub(super) pace: Arc<Pace>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, into)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        let taken = ready!(Pin::new(&mut self.stream).poll_write(cx, from))?;
        self.pace.written.fetch_add(taken as u64, Ordering::Relaxed);
        Poll::Ready(Ok(taken))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let taken = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, from))?;
        self.pace.written.fetch_add(taken as u64, Ordering::Relaxed);
        Poll::Ready(Ok(taken))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// How long a client may take next to nothing. A phone in a tunnel comes back sooner or not at all.
pub(crate) const PERIOD: Duration = Duration::from_secs(30);
/// Half a kilobyte a second: nobody watches anything at that.
pub(crate) const LEAST: u64 = 16 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    async fn is_cut(written: u64, waiting: bool) -> bool {
        let pace = Arc::new(Pace::default());
        let piece = Piece::new(Bytes::from_static(b"abc"), Some(&pace));
        assert!(pace.waits());
        let piece = waiting.then_some(piece);
        let taking = async {
            // In virtual time, in the middle of what is looked at.
            tokio::time::sleep(PERIOD / 2).await;
            pace.written.fetch_add(written, Ordering::Relaxed);
        };
        let watching = tokio::time::timeout(PERIOD * 3 / 2, pace.too_slow());
        let cut = tokio::join!(watching, taking).0.is_ok();
        drop(piece);
        assert!(!pace.waits());
        cut
    }

    #[tokio::test(start_paused = true)]
    async fn only_who_takes_next_to_nothing_of_what_waits_is_cut() {
        assert!(is_cut(0, true).await && is_cut(LEAST - 1, true).await);
        assert!(!is_cut(LEAST, true).await);
        assert!(!is_cut(0, false).await, "who has all it asked for may be silent");
    }
}
