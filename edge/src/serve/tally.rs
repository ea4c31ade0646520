//! What is sent of an answer: counted at once where its length is known, else as it goes.

use bytes::Bytes;
use http_body::Frame;
use http_body_util::BodyExt;
use nearcast_service::http::{Body, Response};

/// The response, whose bytes are told to `sent`.
pub(super) fn count(response: Response, sent: impl Fn(u64) + Send + 'static) -> Response {
    if let Some(length) = response.body().len() {
        sent(length);
        return response;
    }
    let tell = move |frame: Frame<Bytes>| {
        if let Some(data) = frame.data_ref() {
            sent(data.len() as u64);
        }
        frame
    };
    response.map(|body| Body::wrap(body.map_frame(tell)))
}
