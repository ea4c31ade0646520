//! One attempt at a delivery: a signed request, and what came of it.

use std::time::Duration;

use http::header::{CONTENT_TYPE, RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, Request};
use nearcast_service::client::{self, Http};
use nearcast_service::http::{Body, read_start};
use nearcast_service::log::Chain;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

use super::{Config, is_public};
use crate::error::Result;
use crate::store::{Delivery, StoredWebhook};

/// Sends requests to receivers.
#[derive(Debug, Clone)]
pub struct Post {
    http: Http,
}

/// What came of an attempt.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answered {
    /// None where there was no answer.
    pub status: Option<u16>,
    /// How long the receiver wants to be left alone, in milliseconds.
    pub retry_after: Option<u64>,
    /// What went wrong, in words; none when nothing did.
    pub error: Option<String>,
    /// How the answer's body begins.
    pub answer: String,
}

impl Post {
    /// Reads the trusted authorities; connects to nothing yet.
    pub fn new(Config { ca, private_addresses, .. }: &Config) -> Result<Self> {
        let config = client::Config { ca: ca.clone(), idle_timeout: 30, ..client::Config::default() };
        let http = if *private_addresses { Http::new(&config)? } else { Http::guarded(&config, is_public)? };
        Ok(Self { http })
    }

    /// Makes an attempt at `now` (milliseconds since the Unix epoch). Redirects are not followed.
    pub async fn send(&self, to: &StoredWebhook, delivery: &Delivery, now: u64) -> Answered {
        let Delivery { event, body, .. } = delivery;
        let timestamp = now / 1000;
        let signatures: Vec<_> = to.secrets(now).map(|secret| secret.sign(event, timestamp, body)).collect();
        let request = Request::post(&to.spec.url)
            .header(CONTENT_TYPE, "application/json")
            .header(USER_AGENT, AGENT)
            .header("webhook-id", event)
            .header("webhook-timestamp", timestamp)
            .header("webhook-signature", signatures.join(" "))
            .body(Body::from(body.clone()));
        let Ok(request) = request else { return failed("its URL is not one that can be asked".to_owned()) };
        let started = tokio::time::Instant::now();
        let response = match tokio::time::timeout(PATIENCE, self.http.request(request)).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return failed(format!("it cannot be reached: {}", Chain(&error))),
            Err(_late) => return failed(format!("it did not answer within {} s", PATIENCE.as_secs())),
        };
        let (head, body) = response.into_parts();
        // The status says it all; a body that does not come is none.
        let left = PATIENCE.saturating_sub(started.elapsed());
        let start = tokio::time::timeout(left, read_start(body, MAX_ANSWER)).await.unwrap_or_default();
        let status = head.status;
        Answered {
            status: Some(status.as_u16()),
            retry_after: retry_after(&head.headers, now),
            error: (!status.is_success()).then(|| match status.is_redirection() {
                true => format!("it answered {status}, and redirects are not followed: change the URL"),
                false => format!("it answered {status}"),
            }),
            // PostgreSQL's texts have no zero bytes.
            answer: String::from_utf8_lossy(&start).replace('\0', "\u{fffd}"),
        }
    }
}

fn failed(why: String) -> Answered {
    Answered { error: Some(why.chars().take(MAX_ERROR).collect()), ..Answered::default() }
}

/// Milliseconds from `now`: the header has seconds or a date (RFC 9110 section 10.2.3).
fn retry_after(headers: &HeaderMap, now: u64) -> Option<u64> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(seconds.saturating_mul(1000));
    }
    let date = OffsetDateTime::parse(text, &Rfc2822).ok()?.unix_timestamp();
    Some(u64::try_from(date).ok()?.saturating_mul(1000).saturating_sub(now))
}

const AGENT: &str = concat!("nearcast-control/", env!("CARGO_PKG_VERSION"));
/// For the answer's head and what is read of its body together.
const PATIENCE: Duration = Duration::from_secs(10);
/// Enough for people to see what a receiver says.
const MAX_ANSWER: usize = 1024;
const MAX_ERROR: usize = 500;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_busy_says_so_in_seconds_or_with_a_date() {
        let now = 1_445_412_420_000;
        for (text, wait) in [
            ("120", Some(120_000)),
            (" 7 ", Some(7000)),
            ("Wed, 21 Oct 2015 07:28:00 GMT", Some(60_000)),
            ("Wed, 21 Oct 2015 07:26:00 GMT", Some(0)),
            ("99999999999999999999999", None),
            ("18446744073709551615", Some(u64::MAX)),
            ("-1", None),
            ("soon", None),
        ] {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, text.parse().unwrap())]);
            assert_eq!(retry_after(&headers, now), wait, "{text}");
        }
    }
}
