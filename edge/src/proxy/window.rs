//! A part of a body that is still arriving: what comes before it is skipped, what comes after is not waited for.

use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::cache::growing::Reader;
use crate::error::Error;

/// The bytes of a range, as they arrive.
#[derive(Debug)]
pub(super) struct Window {
    reader: Reader,
    skip: u64,
    left: u64,
}

impl Window {
    /// `part` of what `reader` reads from the beginning.
    pub(super) fn new(reader: Reader, part: Range<u64>) -> Self {
        Self { reader, skip: part.start, left: part.end - part.start }
    }
}

impl Body for Window {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        while self.left > 0 {
            let frame = ready!(Pin::new(&mut self.reader).poll_frame(cx));
            let Some(frame) = frame else { return Poll::Ready(None) };
            let Ok(mut data) = frame?.into_data() else { continue };
            let length = data.len() as u64;
            if length <= self.skip {
                self.skip -= length;
                continue;
            }
            // Both are less than the chunk's length, which is memory's.
            data = data.split_off(self.skip as usize);
            self.skip = 0;
            data.truncate(usize::try_from(self.left).unwrap_or(usize::MAX));
            self.left -= data.len() as u64;
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Instant;

    use http::HeaderValue;
    use http_body_util::BodyExt;

    use super::*;
    use crate::cache::growing::Growing;

    #[tokio::test]
    async fn a_part_ends_where_it_ends_though_more_is_to_come() {
        let growing = Arc::new(Growing::new(Some(9), HeaderValue::from_static("a/b"), Instant::now()));
        for chunk in ["abc", "def"] {
            growing.push(Bytes::from_static(chunk.as_bytes()));
        }
        for (part, want) in [(0..1, "a"), (2..4, "cd"), (3..6, "def"), (0..6, "abcdef")] {
            let window = Window::new(growing.reader(), part);
            assert_eq!(window.collect().await.unwrap().to_bytes(), want);
        }
        growing.finish(Err(Error::Draining));
        assert!(Window::new(growing.reader(), 5..8).collect().await.is_err());
    }
}
