//! Bodies: responses that are slices of shared memory, requests that are read up to a limit.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Incoming;

/// Any failure of a body.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A response's body. Its bytes are never copied on the way to the socket's write.
#[derive(Default)]
pub struct Body(Kind);

/// A request's body.
pub struct RequestBody(Origin);

/// Why a request's body was not read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("the request's body is longer than {max} bytes")]
    TooLarge { max: usize },
    #[error("the request's body did not arrive within {} s", READ_DEADLINE.as_secs())]
    TooSlow,
    #[error("the request's body broke off")]
    Broken(#[source] BoxError),
}

/// Reads a body to its end, holding at most `max` bytes.
///
/// # Errors
/// [`ReadError::TooLarge`] (answer 413), [`ReadError::TooSlow`] (408) or [`ReadError::Broken`] (400).
pub async fn read_limited<B>(body: B, max: usize) -> Result<Bytes, ReadError>
where
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>>,
{
    if body.size_hint().lower() > max as u64 {
        return Err(ReadError::TooLarge { max });
    }
    let read = async {
        let mut body = std::pin::pin!(body);
        let mut whole = Bytes::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| ReadError::Broken(error.into()))?;
            let Ok(data) = frame.into_data() else { continue };
            if whole.len() + data.len() > max {
                return Err(ReadError::TooLarge { max });
            }
            whole = if whole.is_empty() { data } else { join(whole, &data) };
        }
        Ok(whole)
    };
    tokio::time::timeout(READ_DEADLINE, read).await.map_err(|_| ReadError::TooSlow)?
}

/// The first `max` bytes of a body, or fewer where it ends or breaks off before that. The rest is not read, and there is no
/// deadline: the caller has one.
pub async fn read_start<B>(body: B, max: usize) -> Bytes
where
    B: http_body::Body<Data = Bytes>,
{
    let mut body = std::pin::pin!(body);
    let mut start = Bytes::new();
    while let Some(Ok(frame)) = body.frame().await {
        let Ok(data) = frame.into_data() else { continue };
        start = if start.is_empty() { data } else { join(start, &data) };
        if start.len() >= max {
            break;
        }
    }
    start.slice(..start.len().min(max))
}

/// Requests to us are small; one that takes longer is trickled on purpose.
const READ_DEADLINE: Duration = Duration::from_secs(30);

fn join(first: Bytes, second: &[u8]) -> Bytes {
    // Unique after the first join, so a body of many chunks grows in place.
    let mut whole = first.try_into_mut().unwrap_or_else(|first| BytesMut::from(&first[..]));
    whole.extend_from_slice(second);
    whole.freeze()
}

#[derive(Default)]
enum Kind {
    #[default]
    Empty,
    One(Bytes),
    Chunks {
        chunks: VecDeque<Bytes>,
        left: u64,
    },
    Boxed(UnsyncBoxBody<Bytes, BoxError>),
}

enum Origin {
    Full(Bytes),
    Hyper(Incoming),
    Boxed(UnsyncBoxBody<Bytes, BoxError>),
}

impl Body {
    /// No bytes.
    pub fn empty() -> Self {
        Self(Kind::Empty)
    }

    /// Slices sent one after the other; the length is known.
    pub fn chunks(chunks: Vec<Bytes>) -> Self {
        let chunks: VecDeque<Bytes> = chunks.into_iter().filter(|chunk| !chunk.is_empty()).collect();
        let left = chunks.iter().map(|chunk| chunk.len() as u64).sum();
        Self(if chunks.is_empty() { Kind::Empty } else { Kind::Chunks { chunks, left } })
    }

    /// Bytes as they come, of unknown length. An error cuts the response short, so that the client notices.
    pub fn stream<S, E>(stream: S) -> Self
    where
        S: Stream<Item = Result<Bytes, E>> + Send + 'static,
        E: Into<BoxError> + 'static,
    {
        Self::wrap(StreamBody::new(stream.map(|chunk| chunk.map(Frame::data))))
    }

    /// Any other body, boxed.
    pub fn wrap<B>(body: B) -> Self
    where
        B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        Self(Kind::Boxed(body.map_err(Into::into).boxed_unsync()))
    }

    /// The length in bytes where it is known.
    pub fn len(&self) -> Option<u64> {
        self.size_hint().exact()
    }

    /// True when it is known to have no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == Some(0)
    }
}

impl RequestBody {
    /// No bytes.
    pub fn empty() -> Self {
        Self(Origin::Full(Bytes::new()))
    }

    pub(crate) fn wrap<B>(body: B) -> Self
    where
        B: http_body::Body<Data = Bytes, Error = BoxError> + Send + 'static,
    {
        Self(Origin::Boxed(body.boxed_unsync()))
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self(if bytes.is_empty() { Kind::Empty } else { Kind::One(bytes) })
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        Bytes::from(text).into()
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Bytes::from(bytes).into()
    }
}

impl From<&'static str> for Body {
    fn from(text: &'static str) -> Self {
        Bytes::from_static(text.as_bytes()).into()
    }
}

impl From<Bytes> for RequestBody {
    fn from(bytes: Bytes) -> Self {
        Self(Origin::Full(bytes))
    }
}

impl From<Incoming> for RequestBody {
    fn from(body: Incoming) -> Self {
        Self(Origin::Hyper(body))
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut self.0 {
            Kind::Empty => Poll::Ready(None),
            Kind::One(bytes) => {
                let bytes = std::mem::take(bytes);
                self.0 = Kind::Empty;
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Kind::Chunks { chunks, left } => Poll::Ready(chunks.pop_front().map(|chunk| {
                *left -= chunk.len() as u64;
                Ok(Frame::data(chunk))
            })),
            Kind::Boxed(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Empty => true,
            Kind::One(_) => false,
            Kind::Chunks { left, .. } => *left == 0,
            Kind::Boxed(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Empty => SizeHint::with_exact(0),
            Kind::One(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Kind::Chunks { left, .. } => SizeHint::with_exact(*left),
            Kind::Boxed(body) => body.size_hint(),
        }
    }
}

impl http_body::Body for RequestBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut self.0 {
            Origin::Full(bytes) => {
                let bytes = std::mem::take(bytes);
                Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))))
            }
            Origin::Hyper(body) => {
                let frame = ready!(Pin::new(body).poll_frame(cx));
                Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
            }
            Origin::Boxed(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Origin::Full(bytes) => bytes.is_empty(),
            Origin::Hyper(body) => body.is_end_stream(),
            Origin::Boxed(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Origin::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Origin::Hyper(body) => body.size_hint(),
            Origin::Boxed(body) => body.size_hint(),
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body").field("len", &self.len()).finish()
    }
}

impl fmt::Debug for RequestBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestBody").field("len", &self.size_hint().exact()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(text: &'static str) -> Bytes {
        Bytes::from_static(text.as_bytes())
    }

    #[tokio::test]
    async fn chunks_are_handed_on_as_the_same_memory() {
        let chunks = vec![chunk("moof"), Bytes::new(), chunk("mdat")];
        let addresses = [chunks[0].as_ptr(), chunks[2].as_ptr()];
        let mut body = Body::chunks(chunks);
        assert_eq!(body.len(), Some(8));
        for address in addresses {
            let data = body.frame().await.unwrap().unwrap().into_data().unwrap();
            assert_eq!(data.as_ptr(), address);
        }
        assert!(body.is_end_stream() && body.frame().await.is_none());
    }

    #[tokio::test]
    async fn reading_stops_at_the_limit() {
        let stream = || {
            Body::stream(futures_util::stream::iter(["ab", "cd", "e"].map(|s| Ok::<_, BoxError>(chunk(s)))))
        };
        assert_eq!(read_limited(stream(), 5).await.unwrap(), "abcde");
        assert!(matches!(read_limited(stream(), 4).await, Err(ReadError::TooLarge { max: 4 })));
        assert!(matches!(read_limited(Body::from("abcde"), 4).await, Err(ReadError::TooLarge { .. })));
        assert_eq!(read_limited(RequestBody::empty(), 0).await.unwrap(), "");
        assert_eq!(read_start(stream(), 3).await, "abc");
        assert_eq!(read_start(stream(), 9).await, "abcde");
        let endless = Body::stream(futures_util::stream::repeat_with(|| Ok::<_, BoxError>(chunk("x"))));
        assert_eq!(read_start(endless, 3).await, "xxx");
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_never_comes_is_given_up() {
        let never = Body::stream(futures_util::stream::pending::<Result<Bytes, BoxError>>());
        assert!(matches!(read_limited(never, 4).await, Err(ReadError::TooSlow)));
    }
}
