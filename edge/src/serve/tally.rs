//! What is sent of an answer: counted at once where its length is known, else as it goes.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use nearcast_service::http::{Body, BoxError, Response};

/// The response, whose bytes are told to `sent`.
pub(super) fn count(response: Response, sent: impl Fn(u64) + Send + Unpin + 'static) -> Response {
    match response.body().len() {
        Some(length) => {
            sent(length);
            response
        }
        None => response.map(|body| Body::wrap(Tally { body, sent })),
    }
}

struct Tally<F> {
    body: Body,
    sent: F,
}

impl<F: Fn(u64) + Unpin> http_body::Body for Tally<F> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx)?);
        if let Some(data) = frame.as_ref().and_then(Frame::data_ref) {
            (self.sent)(data.len() as u64);
        }
        Poll::Ready(frame.map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
