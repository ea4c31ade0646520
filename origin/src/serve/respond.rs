//! Responses and their headers: the only place where failures become a status.

use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use nearcast_api::Problem;
use nearcast_media::hls::request::BadRequest;
use nearcast_media::{dash, hls, path, vtt};
use nearcast_service::http::{Body, Response};

use crate::package::is_audio;
use crate::thumbs::Absent;

/// Why a request gets no media.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error("{0}")]
    NoRoute(path::Invalid),
    #[error("the channel is not live here; a broadcast begins when a publisher does")]
    NotLive,
    #[error("the channel has no such broadcast any more; read its index.m3u8 again")]
    NoBroadcast,
    #[error("another origin has taken the broadcast over; the control plane says which")]
    Moved,
    #[error("the broadcast has no such rendition; read the channel's index.m3u8 again")]
    NoRendition,
    #[error("the rendition has no such file: it is too old, or too far ahead of the playlist")]
    NoMedia,
    #[error("{0}")]
    Directives(BadRequest),
    #[error("what was asked for did not come in time; the publisher may be stuck")]
    TooLate,
    #[error("the origin cannot read its disk; play nearer to live, or try again")]
    Disk,
    #[error("{0}")]
    NoPicture(Absent),
    #[error("use GET or HEAD")]
    Method,
    #[error(
        "this origin answers nodes that show their certificates alone (`control.mutual_tls`): viewers ask an edge, and nodes \
         enrol"
    )]
    NoNode,
    #[error("the certificate of the node that asks does not count any more: it has to enrol again")]
    Dismissed,
}

impl Refusal {
    fn status(&self) -> StatusCode {
        match self {
            Self::NoRoute(_)
            | Self::NotLive
            | Self::NoBroadcast
            | Self::NoRendition
            | Self::NoMedia
            | Self::NoPicture(_) => StatusCode::NOT_FOUND,
            Self::Directives(_) => StatusCode::BAD_REQUEST,
            Self::Dismissed => StatusCode::FORBIDDEN,
            // RFC 9110 §15.5.20.
            Self::Moved | Self::NoNode => StatusCode::MISDIRECTED_REQUEST,
            Self::TooLate | Self::Disk => StatusCode::SERVICE_UNAVAILABLE,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
        }
    }

    /// The answer, which may be cached for `life`.
    pub(super) fn respond(&self, life: Duration) -> Response {
        let status = self.status();
        let problem = Problem {
            status: status.as_u16(),
            title: status.canonical_reason().unwrap_or("Error").to_owned(),
            detail: self.to_string(),
        };
        // Three fields of text and number always become JSON.
        let body = serde_json::to_vec(&problem).unwrap_or_default();
        let mut response = shared(status, Problem::CONTENT_TYPE, max_age(life), body.into());
        match self {
            Self::Method => {
                response.headers_mut().insert(ALLOW, HeaderValue::from_static(METHODS));
            }
            Self::TooLate | Self::Disk => {
                response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
            }
            _ => {}
        }
        response
    }
}

/// A playlist, which may be cached for `life`.
pub(super) fn playlist(text: Bytes, life: Duration) -> Response {
    shared(StatusCode::OK, hls::CONTENT_TYPE, max_age(life), text.into())
}

/// A DASH manifest, which may be cached for `life`.
pub(super) fn manifest(text: Bytes, life: Duration) -> Response {
    shared(StatusCode::OK, dash::CONTENT_TYPE, max_age(life), text.into())
}

/// Bytes that never change.
pub(super) fn immutable(rendition: &str, body: Body) -> Response {
    let kind = if is_audio(rendition) { "audio/mp4" } else { "video/mp4" };
    shared(StatusCode::OK, kind, FOREVER, body)
}

/// A small picture that never changes.
pub(super) fn picture(file: Bytes) -> Response {
    shared(StatusCode::OK, JPEG, FOREVER, file.into())
}

/// The newest picture, which may be cached for `life`.
pub(super) fn poster(file: Bytes, life: Duration) -> Response {
    shared(StatusCode::OK, JPEG, max_age(life), file.into())
}

/// The list of pictures, which may be cached for `life`.
pub(super) fn cues(text: Bytes, life: Duration) -> Response {
    shared(StatusCode::OK, vtt::CONTENT_TYPE, max_age(life), text.into())
}

/// What a browser asks before it lets a page ask.
pub(super) fn preflight() -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    allow_all(headers);
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(METHODS));
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("*, Authorization"));
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
    response
}

fn shared(status: StatusCode, kind: &'static str, cache: HeaderValue, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, cache);
    allow_all(headers);
    response
}

/// Media is public to every page: who may watch is decided by tokens, not by where a player was loaded from.
fn allow_all(headers: &mut HeaderMap) {
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("*"));
    headers.insert(TIMING_ALLOW_ORIGIN, HeaderValue::from_static("*"));
}

fn max_age(life: Duration) -> HeaderValue {
    // In whole seconds, of which none is no use to any cache: two that ask in one second get one answer.
    let seconds = life.as_secs().max(1);
    HeaderValue::try_from(format!("public, max-age={seconds}"))
        .unwrap_or(HeaderValue::from_static("no-cache"))
}

const TIMING_ALLOW_ORIGIN: HeaderName = HeaderName::from_static("timing-allow-origin");
const FOREVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
const JPEG: &str = "image/jpeg";
const METHODS: &str = "GET, HEAD, OPTIONS";
