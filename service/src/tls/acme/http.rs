//! An ACME server's answers, over the client of the house: bounded in time and size.

use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use http::header::RETRY_AFTER;
use http_body_util::BodyExt;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};

use crate::client::Http;
use crate::http::{Body, read_limited};

/// Sends what instant-acme asks for.
#[derive(Debug, Clone)]
pub(super) struct Client(pub(super) Http);

type Request = http::Request<BodyWrapper<Bytes>>;

impl HttpClient for Client {
    fn request(
        &self,
        request: Request,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let http = self.0.clone();
        Box::pin(async move {
            let answered = tokio::time::timeout(DEADLINE, exchange(&http, request)).await;
            answered.unwrap_or_else(|_| {
                Err(Error::Other(format!("no answer within {} s", DEADLINE.as_secs()).into()))
            })
        })
    }
}

async fn exchange(http: &Http, request: Request) -> Result<BytesResponse, Error> {
    let (parts, body) = request.into_parts();
    let Ok(body) = body.collect().await;
    let request = http::Request::from_parts(parts, Body::from(body.to_bytes()));
    let response = http.request(request).await.map_err(other)?;
    let (mut parts, body) = response.into_parts();
    // instant-acme adds the seconds to the clock, which panics when they are too many.
    let patience = parts.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if patience.is_none_or(|seconds| seconds > PATIENCE) {
        parts.headers.remove(RETRY_AFTER);
    }
    let body = read_limited(body, LARGEST).await.map_err(other)?;
    Ok(BytesResponse { parts, body: Box::new(body) })
}

fn other(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::Other(Box::new(error))
}

/// For one answer.
const DEADLINE: Duration = Duration::from_secs(30);
/// Chains are a few kilobytes.
const LARGEST: usize = 1 << 20;
/// Seconds that a server may ask to be left alone for between two questions about one order.
const PATIENCE: u64 = 60;
