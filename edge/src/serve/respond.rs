//! What is put into a response beside its body: the one place that gives errors their status and answers their
//! headers.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{
    ACCEPT_RANGES, ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS,
    ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS,
    ACCESS_CONTROL_MAX_AGE, AGE, ALLOW, CACHE_CONTROL, CONTENT_TYPE, ETAG, RETRY_AFTER, VIA,
    WWW_AUTHENTICATE,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use nearcast_api::Problem;
use nearcast_media::hls;
use nearcast_service::http::{Body, Response};
use nearcast_service::log::Chain;

use crate::cache::Source;
use crate::cache::object::Object;
use crate::error::Error;

/// Prepared headers: a response clones a map instead of building one.
#[derive(Debug)]
pub struct Responder {
    every: HeaderMap,
    immutable: HeaderMap,
    preflight: HeaderMap,
    status: CacheStatus,
    /// `Cache-Control` of the short lifetimes, by seconds.
    lifetimes: Box<[HeaderValue]>,
}

/// `Cache-Status` of this node (RFC 9211), spelled once.
#[derive(Debug)]
struct CacheStatus {
    hit: HeaderValue,
    disk: HeaderValue,
    miss: HeaderValue,
    collapsed: HeaderValue,
    stale: HeaderValue,
}

impl Responder {
    /// Headers of the edge called `node`.
    pub fn new(node: &str) -> Self {
        let mut every = HeaderMap::with_capacity(16);
        every.insert(VIA, via(node));
        every.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        every.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
        every.insert(TIMING_ALLOW_ORIGIN, HeaderValue::from_static("*"));

        let mut immutable = every.clone();
        immutable.insert(
            CACHE_CONTROL,
            HeaderValue::from_bytes(IMMUTABLE).unwrap_or(HeaderValue::from_static(PRIVATE_IMMUTABLE)),
        );
        immutable.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        immutable.insert(ETAG, IMMUTABLE_TAG);

        let mut preflight = every.clone();
        preflight.insert(ALLOW, HeaderValue::from_static(METHODS));
        preflight.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(METHODS));
        // The star means every header but this one (Fetch, CORS protocol).
        preflight.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("*, Authorization"));
        preflight.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
        let lifetimes = (0..=60).map(lifetime).collect();
        Self { every, immutable, preflight, status: CacheStatus::new(node), lifetimes }
    }

    /// An immutable object, or as much of it as `body` is.
    pub fn immutable(&self, content_type: &HeaderValue, age: u64, source: Source, body: Body) -> Response {
        let mut response = Response::new(body);
        *response.headers_mut() = self.immutable.clone();
        self.describe(&mut response, content_type, age, source);
        response
    }

    /// A media playlist that may be kept for `max_age`.
    pub fn playlist(&self, text: Bytes, max_age: Duration, age: u64, source: Source) -> Response {
        self.kept(text, &PLAYLIST_TYPE, max_age, age, source)
    }

    /// A document that was asked of an origin, with the lifetime it has there.
    pub fn document(&self, object: &Object, now: Instant, source: Source) -> Response {
        self.kept(object.body.clone(), &object.content_type, object.max_age, object.age(now), source)
    }

    fn kept(&self, text: Bytes, kind: &HeaderValue, max_age: Duration, age: u64, source: Source) -> Response {
        let mut response = Response::new(Body::from(text));
        *response.headers_mut() = self.every.clone();
        response.headers_mut().insert(CACHE_CONTROL, self.cacheable(max_age));
        self.describe(&mut response, kind, age, source);
        response
    }

    /// 304, with the headers that its 200 would have.
    pub fn not_modified(&self, age: u64, source: Source) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        *response.headers_mut() = self.immutable.clone();
        self.stamp(&mut response, age, source);
        response
    }

    /// Whether a `Via` header names this node.
    pub fn is_own(&self, via: &HeaderValue) -> bool {
        let own = self.every.get(VIA).map(HeaderValue::as_bytes);
        via.as_bytes().split(|byte| *byte == b',').any(|entry| Some(entry.trim_ascii()) == own)
    }

    /// Lets nobody but whoever asked keep an answer.
    pub fn make_private(&self, response: &mut Response) {
        let Some(value) = response.headers_mut().get_mut(CACHE_CONTROL) else { return };
        *value = match value.as_bytes() {
            IMMUTABLE => HeaderValue::from_static(PRIVATE_IMMUTABLE),
            public => {
                // What nobody may keep stays so.
                let Some(rest) = public.strip_prefix(b"public") else { return };
                HeaderValue::from_bytes(&[b"private", rest].concat())
                    .unwrap_or(HeaderValue::from_static("no-store"))
            }
        };
    }

    /// Lets a page of `origin` send cookies (Fetch, CORS protocol).
    pub fn allow_cookies(&self, response: &mut Response, origin: &HeaderValue, asked: Option<&HeaderValue>) {
        let headers = response.headers_mut();
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        // With cookies a star means a star.
        if let Some(asked) = asked {
            headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
        }
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
    }

    /// 204: what browsers may ask for from any page.
    pub fn preflight(&self) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        *response.headers_mut() = self.preflight.clone();
        response
    }

    /// A failure, in words. `keep` is how long its like may be cached when the fault is the request's.
    pub fn error(&self, error: &Error, keep: Duration) -> Response {
        let (status, title, retry_after) = status(error);
        // Where origins are is no viewer's business.
        let detail = match error.is_parents() {
            true => {
                tracing::debug!("a viewer is told that an origin failed: {}", Chain(error));
                "an origin cannot be reached, or sent nothing that can be used: ask again".to_owned()
            }
            false => Chain(error).to_string(),
        };
        let problem = Problem { status: status.as_u16(), title: title.into(), detail };
        let body = serde_json::to_vec(&problem).unwrap_or_default();
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        *headers = self.every.clone();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(Problem::CONTENT_TYPE));
        // Only what is the same for everybody and for a while may be kept: an outage is over when it is over.
        let lasting = matches!(status, StatusCode::NOT_FOUND | StatusCode::BAD_REQUEST) && !keep.is_zero();
        let keep = if lasting { self.cacheable(keep) } else { HeaderValue::from_static("no-store") };
        headers.insert(CACHE_CONTROL, keep);
        if status == StatusCode::UNAUTHORIZED {
            let challenge = match error {
                Error::BadToken { .. } => "Bearer realm=\"nearcast\", error=\"invalid_token\"",
                _ => "Bearer realm=\"nearcast\"",
            };
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        if status == StatusCode::METHOD_NOT_ALLOWED {
            headers.insert(ALLOW, HeaderValue::from_static(METHODS));
        }
        if let Some(seconds) = retry_after {
            headers.insert(RETRY_AFTER, seconds.into());
        }
        response
    }

    fn describe(&self, response: &mut Response, content_type: &HeaderValue, age: u64, source: Source) {
        response.headers_mut().insert(CONTENT_TYPE, content_type.clone());
        self.stamp(response, age, source);
    }

    fn cacheable(&self, max_age: Duration) -> HeaderValue {
        let seconds = max_age.as_secs();
        let prepared = usize::try_from(seconds).ok().and_then(|seconds| self.lifetimes.get(seconds));
        prepared.cloned().unwrap_or_else(|| lifetime(seconds))
    }

    fn stamp(&self, response: &mut Response, age: u64, source: Source) {
        let headers = response.headers_mut();
        headers.insert(AGE, seconds(age));
        headers.insert(CACHE_STATUS, self.status.of(source));
    }
}

impl CacheStatus {
    fn new(node: &str) -> Self {
        let value = |what: &str| header(&format!("{node}; {what}"));
        Self {
            hit: value("hit"),
            disk: value("hit; detail=disk"),
            miss: value("fwd=miss; stored"),
            collapsed: value("fwd=miss; collapsed"),
            stale: value("fwd=stale; detail=stale-if-error"),
        }
    }

    fn of(&self, source: Source) -> HeaderValue {
        match source {
            Source::Hit => self.hit.clone(),
            Source::Disk => self.disk.clone(),
            Source::Miss => self.miss.clone(),
            Source::Collapsed => self.collapsed.clone(),
            Source::Stale => self.stale.clone(),
        }
    }
}

/// This node's part of `Via`.
pub fn via(node: &str) -> HeaderValue {
    header(&format!("1.1 {node}"))
}

/// True when the client's copy is the object: any copy is, since a name never means other bytes.
pub fn has_copy(if_none_match: &HeaderValue) -> bool {
    let tags = if_none_match.to_str().unwrap_or_default().split(',').map(str::trim);
    tags.map(|tag| tag.strip_prefix("W/").unwrap_or(tag)).any(|tag| tag == "*" || tag == IMMUTABLE_TAG)
}

/// The entity tag of every immutable object. A tag need only differ between versions of one resource, and these
/// have one.
pub const IMMUTABLE_TAG: HeaderValue = HeaderValue::from_static("\"immutable\"");

/// Status, title and `Retry-After` of an error.
fn status(error: &Error) -> (StatusCode, &'static str, Option<u64>) {
    match error {
        Error::Directives(_) => (StatusCode::BAD_REQUEST, "bad request", None),
        Error::NotFound | Error::NoRoute => (StatusCode::NOT_FOUND, "not found", None),
        Error::Method => (StatusCode::METHOD_NOT_ALLOWED, "method not allowed", None),
        Error::LongPath { .. } => (StatusCode::URI_TOO_LONG, "URI too long", None),
        Error::LargeRequest { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "content too large", None),
        Error::SlowRequest => (StatusCode::REQUEST_TIMEOUT, "request timeout", None),
        Error::Status { status: 400, .. } => (StatusCode::BAD_REQUEST, "bad request", None),
        Error::HeldTooLong { .. } => (StatusCode::SERVICE_UNAVAILABLE, "nothing new", Some(1)),
        Error::Status { status: 503, .. } | Error::Overloaded { .. } => {
            (StatusCode::SERVICE_UNAVAILABLE, "overloaded", Some(2))
        }
        Error::Draining => (StatusCode::SERVICE_UNAVAILABLE, "going away", Some(1)),
        Error::NoSnapshot => (StatusCode::SERVICE_UNAVAILABLE, "not ready", Some(1)),
        Error::Loop => (StatusCode::LOOP_DETECTED, "loop detected", None),
        Error::Timeout { .. } => (StatusCode::GATEWAY_TIMEOUT, "origin timed out", None),
        Error::NoOrigin
        | Error::Connect { .. }
        | Error::Broken { .. }
        | Error::BrokeOff { .. }
        | Error::Truncated { .. }
        | Error::Unbounded { .. }
        | Error::TooLarge { .. }
        | Error::Status { .. }
        | Error::Playlist { .. }
        | Error::Regressed { .. } => (StatusCode::BAD_GATEWAY, "origin failed", None),
        Error::NoToken | Error::BadToken { .. } => (StatusCode::UNAUTHORIZED, "no valid token", None),
        Error::Forbidden { .. }
        | Error::Country { .. }
        | Error::SentAway
        | Error::Dismissed
        | Error::TooManySessions => (StatusCode::FORBIDDEN, "not allowed", None),
        Error::TooManyRequests { .. } => (StatusCode::TOO_MANY_REQUESTS, "too many requests", Some(1)),
        Error::Start(_) | Error::Countries { .. } | Error::Disk { .. } => {
            (StatusCode::INTERNAL_SERVER_ERROR, "internal error", None)
        }
    }
}

fn lifetime(seconds: u64) -> HeaderValue {
    header(&format!("public, max-age={seconds}"))
}

/// Ages are small and asked for with every request.
fn seconds(age: u64) -> HeaderValue {
    match age {
        0 => HeaderValue::from_static("0"),
        1 => HeaderValue::from_static("1"),
        2 => HeaderValue::from_static("2"),
        3 => HeaderValue::from_static("3"),
        4 => HeaderValue::from_static("4"),
        _ => age.into(),
    }
}

fn header(text: &str) -> HeaderValue {
    // Names of nodes are checked to be plain letters, digits, '-' and '_'.
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""))
}

const PLAYLIST_TYPE: HeaderValue = HeaderValue::from_static(hls::CONTENT_TYPE);
const IMMUTABLE: &[u8] = b"public, max-age=31536000, immutable";
const PRIVATE_IMMUTABLE: &str = "private, max-age=31536000, immutable";
const METHODS: &str = "GET, HEAD, OPTIONS";
/// What a page may read: where it was served from, how old it is, how much of it there is.
const EXPOSED: &str = "Age, CMSD-Dynamic, CMSD-Static, Cache-Status, Content-Length, Content-Range, Date, ETag, Retry-After, Via";
const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");
const TIMING_ALLOW_ORIGIN: HeaderName = HeaderName::from_static("timing-allow-origin");
