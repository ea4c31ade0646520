//! A body that many read while it is being fetched: an append-only list of chunks.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use http::HeaderValue;
use http_body::{Body, Frame, SizeHint};

use super::object::Object;
use crate::error::Error;
use crate::proxy::room::Reservation;

/// The shared body. One task appends, any number of [`Reader`]s follow at their own pace.
#[derive(Debug)]
pub struct Growing {
    /// Its length, where the origin said it.
    pub length: Option<u64>,
    pub content_type: HeaderValue,
    /// When the origin produced it.
    pub produced: Instant,
    state: Mutex<State>,
}

/// One client's way through the body.
#[derive(Debug)]
pub struct Reader {
    body: Arc<Growing>,
    id: u64,
    next: usize,
    /// Bytes already read.
    read: u64,
}

#[derive(Debug, Default)]
struct State {
    /// Empty when all is here.
    chunks: Vec<Bytes>,
    arrived: u64,
    /// Its share of what may be arriving, as long as there are chunks.
    _room: Option<Arc<Reservation>>,
    end: Option<Result<Arc<Object>, Error>>,
    wakers: BTreeMap<u64, Waker>,
    readers: u64,
}

impl Growing {
    /// A body of which nothing has arrived.
    pub fn new(length: Option<u64>, content_type: HeaderValue, produced: Instant) -> Self {
        Self { length, content_type, produced, state: Mutex::default() }
    }

    /// The same, with its share of what may be arriving.
    pub(crate) fn holding(self, room: Arc<Reservation>) -> Self {
        self.state()._room = Some(room);
        self
    }

    /// Adds what has arrived.
    pub fn push(&self, chunk: Bytes) {
        self.change(|state| {
            state.arrived += chunk.len() as u64;
            state.chunks.push(chunk);
        });
    }

    /// Bytes that have arrived.
    pub fn arrived(&self) -> u64 {
        self.state().arrived
    }

    /// All chunks as one piece of memory of exactly their size. Chunks are slices of larger read buffers, which
    /// they would keep alive for as long as they are cached.
    pub fn joined(&self) -> Bytes {
        let state = self.state();
        let mut whole = BytesMut::with_capacity(state.chunks.iter().map(Bytes::len).sum());
        state.chunks.iter().for_each(|chunk| whole.extend_from_slice(chunk));
        whole.freeze()
    }

    /// Nothing more will come: everything is here, or the readers' responses are cut.
    pub fn finish(&self, end: Result<Arc<Object>, Error>) {
        self.change(|state| {
            // Who is still reading goes on in the joined body.
            if state.end.get_or_insert(end).is_ok() {
                (state.chunks, state._room) = (Vec::new(), None);
            }
        });
    }

    /// Waits for the end.
    pub async fn finished(self: &Arc<Self>) -> Result<Arc<Object>, Error> {
        let reader = self.reader();
        poll_fn(|cx| {
            let mut state = self.state();
            match &state.end {
                Some(end) => Poll::Ready(end.clone()),
                None => {
                    state.wakers.insert(reader.id, cx.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }

    /// Reads from the beginning.
    pub fn reader(self: &Arc<Self>) -> Reader {
        let mut state = self.state();
        state.readers += 1;
        Reader { body: Arc::clone(self), id: state.readers, next: 0, read: 0 }
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let wakers = {
            let mut state = self.state();
            change(&mut state);
            std::mem::take(&mut state.wakers)
        };
        wakers.into_values().for_each(Waker::wake);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Body for Reader {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = self.get_mut();
        let mut state = this.body.state();
        if let Some(chunk) = state.chunks.get(this.next) {
            this.next += 1;
            this.read += chunk.len() as u64;
            return Poll::Ready(Some(Ok(Frame::data(chunk.clone()))));
        }
        match &state.end {
            Some(Ok(whole)) => {
                // Below the length of what is in memory.
                let rest = whole.body.slice(this.read as usize..);
                this.read += rest.len() as u64;
                Poll::Ready((!rest.is_empty()).then_some(Ok(Frame::data(rest))))
            }
            Some(Err(error)) => Poll::Ready(Some(Err(error.clone()))),
            None => {
                state.wakers.insert(this.id, cx.waker().clone());
                Poll::Pending
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        self.body
            .length
            .map_or_else(SizeHint::new, |length| SizeHint::with_exact(length.saturating_sub(self.read)))
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.body.state().wakers.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    fn growing() -> Arc<Growing> {
        Arc::new(Growing::new(Some(6), HeaderValue::from_static("video/mp4"), Instant::now()))
    }

    fn object(body: Bytes) -> Arc<Object> {
        let content_type = HeaderValue::from_static("video/mp4");
        Arc::new(Object { body, content_type, produced: Instant::now(), max_age: Default::default() })
    }

    #[tokio::test]
    async fn early_and_late_readers_get_every_byte_as_it_comes() {
        let body = growing();
        let mut early = body.reader();
        assert_eq!(early.size_hint().exact(), Some(6));
        let first = tokio::join!(early.frame(), async { body.push(Bytes::from_static(b"abc")) }).0;
        assert_eq!(first.unwrap().unwrap().into_data().unwrap(), "abc");
        let late = body.reader();
        body.push(Bytes::from_static(b"def"));
        body.finish(Ok(object(body.joined())));
        assert_eq!(early.collect().await.unwrap().to_bytes(), "def");
        assert_eq!(late.collect().await.unwrap().to_bytes(), "abcdef");
        assert_eq!(body.finished().await.unwrap().body, "abcdef");
    }

    #[tokio::test]
    async fn a_broken_body_ends_in_an_error_after_what_arrived() {
        let body = growing();
        body.push(Bytes::from_static(b"abc"));
        body.finish(Err(Error::Draining));
        let mut reader = body.reader();
        assert!(reader.frame().await.unwrap().is_ok());
        assert!(matches!(reader.frame().await, Some(Err(Error::Draining))));
        assert!(body.finished().await.is_err());
    }

    #[tokio::test]
    async fn a_reader_that_leaves_leaves_nothing_behind() {
        let body = growing();
        let mut reader = body.reader();
        assert!(futures_poll(&mut reader).is_pending());
        assert_eq!(body.state().wakers.len(), 1);
        drop(reader);
        assert!(body.state().wakers.is_empty());
    }

    fn futures_poll(reader: &mut Reader) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        Pin::new(reader).poll_frame(&mut Context::from_waker(Waker::noop()))
    }
}
