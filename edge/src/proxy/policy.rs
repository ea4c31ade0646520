//! What may be kept of an origin's answer, and for how long (RFC 9111, RFC 5861, RFC 9213). No IO and no clock.
//!
//! [`http_cache_semantics`] says what is storable and how long it is fresh, asked once for each answer. What it gets wrong
//! in 3.0.0 it never sees: names of directives in capitals and quoted commas (`NO-STORE` is unknown to it), an `Age` that
//! makes it panic, dates of the older forms, `proxy-revalidate` (its issue 23), requests' `max-stale` (22), `Set-Cookie`
//! beside `public`, answers to POST (31), and headers of several lines, of which its update by a 304 keeps one.

use std::time::{Duration, Instant, SystemTime};

use http::header::{AGE, AUTHORIZATION, CACHE_CONTROL, COOKIE, DATE, EXPIRES, SET_COOKIE, VARY, VIA};
use http::response::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version};
use http_cache_semantics::{CacheOptions, CachePolicy};

use super::directives::Directives;
use super::vary::Vary;

/// What a route says where an origin says nothing.
#[derive(Debug, Clone, Copy)]
pub struct Defaults {
    pub lifetime: Duration,
    /// Of answers that say that there is nothing.
    pub missing_lifetime: Duration,
    pub stale_if_error: Duration,
}

/// When a request was sent and its answer came.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    pub sent: Instant,
    pub received: Instant,
    /// The wall clock at `received`.
    pub wall: SystemTime,
}

/// What may be done with an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// `None` when it must not be stored.
    pub vary: Option<Vary>,
    pub freshness: Freshness,
}

/// How long an answer serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Freshness {
    /// When it arrived.
    pub received: Instant,
    /// How old it was then (RFC 9111 §4.2.3).
    pub initial_age: Duration,
    pub lifetime: Duration,
    /// How long after its lifetime it may be sent while it is asked for again.
    pub while_revalidate: Duration,
    /// How long after its lifetime it may be sent when the origin fails.
    pub if_error: Duration,
}

/// How fresh a stored answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Fresh,
    /// Send it, and ask again meanwhile.
    Revalidate,
    /// Ask first; send it when the origin fails.
    IfError,
    /// Ask first, and send it only when the origin says that it is still right.
    Expired,
}

impl Verdict {
    /// Judges the answer to a GET that was asked with the headers `asked`.
    pub fn of(answer: &Parts, asked: &HeaderMap, times: Times, defaults: Defaults) -> Self {
        let said = Directives::of(&answer.headers);
        let freshness = freshness(answer, &said, times, defaults);
        let storable = policy(answer, asked, &said, times.wall).is_storable()
            && understood(answer.status)
            && !answer.headers.contains_key(SET_COOKIE)
            && (explicit(answer, &said) || said.public || heuristic(answer.status))
            // Cookies make answers somebody's own as much as credentials do, though no RFC says so.
            && (!asked.contains_key(COOKIE) || said.public || said.s_maxage.is_some());
        let vary = storable.then(|| Vary::of(&answer.headers, asked)).flatten();
        Self { vary, freshness }
    }

    /// True when it answers more than the request that it was made for, without another question.
    pub fn is_shared(&self) -> bool {
        self.vary.is_some() && self.freshness.initial_age < self.freshness.lifetime
    }
}

impl Freshness {
    /// How old the answer is (RFC 9111 §4.2.3).
    pub fn age(&self, now: Instant) -> Duration {
        self.initial_age.saturating_add(now.saturating_duration_since(self.received))
    }

    /// Seconds of freshness left, below 0 for what is stale: `ttl` of RFC 9211 §2.4.
    pub fn ttl(&self, now: Instant) -> i64 {
        let seconds = |time: Duration| i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
        seconds(self.lifetime) - seconds(self.age(now))
    }

    /// Whether it may be sent at `now`.
    pub fn state(&self, now: Instant) -> State {
        let age = self.age(now);
        match age.checked_sub(self.lifetime) {
            None => State::Fresh,
            Some(over) if over < self.while_revalidate => State::Revalidate,
            Some(over) if over < self.if_error => State::IfError,
            Some(_) => State::Expired,
        }
    }
}

/// The headers of a stored answer after a 304 (RFC 9111 §3.2): all lines of each header that came, but for those that
/// speak of the body.
pub fn freshened(stored: &HeaderMap, update: &HeaderMap) -> HeaderMap {
    let mut headers = stored.clone();
    for name in update.keys().filter(|name| !OF_THE_BODY.contains(&name.as_str())) {
        headers.remove(name);
        for value in update.get_all(name) {
            headers.append(name.clone(), value.clone());
        }
    }
    headers
}

fn policy(answer: &Parts, asked: &HeaderMap, said: &Directives, wall: SystemTime) -> CachePolicy {
    let mut request = Request::new(());
    *request.method_mut() = Method::GET;
    if let Some(credentials) = asked.get(AUTHORIZATION) {
        request.headers_mut().insert(AUTHORIZATION, credentials.clone());
    }
    let mut response = Response::new(());
    *response.status_mut() = answer.status;
    let headers = response.headers_mut();
    // A cache that knows the status lets `must-understand` win over `no-store` (RFC 9111 §5.2.2.3).
    let known = said.must_understand && understood(answer.status);
    let said = Directives { no_store: said.no_store && !known, ..*said };
    if let Ok(value) = HeaderValue::try_from(said.normal())
        && !value.is_empty()
    {
        headers.insert(CACHE_CONTROL, value);
    }
    if let Some(expires) = answer.headers.get(EXPIRES).filter(|_| !said.targeted) {
        headers.insert(EXPIRES, time(expires).map_or(HeaderValue::from_static("0"), http_date));
    }
    headers.insert(DATE, http_date(date(answer).unwrap_or(wall)));
    // Guesses from `Last-Modified` are a live playlist's end: the route says what holds instead.
    let options = CacheOptions { shared: true, cache_heuristic: 0.0, ..CacheOptions::default() };
    CachePolicy::new_options(&request, &response, wall, options)
}

fn freshness(answer: &Parts, said: &Directives, times: Times, defaults: Defaults) -> Freshness {
    let lifetime = if said.no_cache {
        Duration::ZERO
    } else if explicit(answer, said) {
        policy(answer, &HeaderMap::new(), said, times.wall).time_to_live(times.wall)
    } else if missing(answer.status) {
        defaults.missing_lifetime
    } else if heuristic(answer.status) || said.public {
        defaults.lifetime
    } else {
        Duration::ZERO
    };
    // RFC 9111 §4.2.4: these forbid it. What is asked for beside `s-maxage`, which implies one of them, is meant.
    let forbidden = said.no_cache || said.must_revalidate || said.proxy_revalidate;
    let stale = |said_so: Option<u32>, otherwise: Duration| match said_so {
        _ if forbidden => Duration::ZERO,
        Some(seconds) => Duration::from_secs(seconds.into()),
        None => otherwise,
    };
    let if_error = if said.s_maxage.is_some() { Duration::ZERO } else { defaults.stale_if_error };
    Freshness {
        received: times.received,
        initial_age: initial_age(answer, times),
        lifetime: lifetime.min(LONGEST),
        while_revalidate: stale(said.stale_while_revalidate, Duration::ZERO),
        if_error: stale(said.stale_if_error, if_error),
    }
}

/// RFC 9111 §4.2.3. The apparent age would take the origin's clock to be ours, and counts only where a hop speaks HTTP/1.0
/// and may not have told its age.
fn initial_age(answer: &Parts, times: Times) -> Duration {
    let said = answer.headers.get(AGE).and_then(|age| age.to_str().ok()?.trim().parse::<u64>().ok());
    let told = Duration::from_secs(said.unwrap_or(0)).min(LONGEST) + (times.received - times.sent);
    let old_hop = |via: &HeaderValue| {
        let hops = via.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
        hops.into_iter().any(|hop| hop.starts_with(b"1.0") || hop.starts_with(b"HTTP/1.0"))
    };
    if answer.version > Version::HTTP_10 && !answer.headers.get_all(VIA).iter().any(old_hop) {
        return told;
    }
    let apparent = date(answer).and_then(|date| times.wall.duration_since(date).ok());
    told.max(apparent.unwrap_or_default().min(LONGEST))
}

/// Whether the answer says how long it is fresh.
fn explicit(answer: &Parts, said: &Directives) -> bool {
    let expires = !said.targeted && answer.headers.contains_key(EXPIRES);
    said.max_age.is_some() || said.s_maxage.is_some() || expires
}

fn understood(status: StatusCode) -> bool {
    heuristic(status) || matches!(status.as_u16(), 302 | 303 | 307)
}

/// Statuses that may be kept though nothing says how long (RFC 9110 §15.1). Partial content is never kept.
fn heuristic(status: StatusCode) -> bool {
    matches!(status.as_u16(), 200 | 203 | 204 | 300 | 301 | 308) || missing(status)
}

fn missing(status: StatusCode) -> bool {
    matches!(status.as_u16(), 404 | 405 | 410 | 414 | 501)
}

fn date(answer: &Parts) -> Option<SystemTime> {
    answer.headers.get(DATE).and_then(time)
}

/// A date in any of the three forms (RFC 9110 §5.6.7).
pub(super) fn time(value: &HeaderValue) -> Option<SystemTime> {
    httpdate::parse_http_date(value.to_str().ok()?).ok()
}

pub(super) fn http_date(time: SystemTime) -> HeaderValue {
    // Later years have no such form.
    let last = SystemTime::UNIX_EPOCH + Duration::from_secs(253_402_300_799);
    let time = time.clamp(SystemTime::UNIX_EPOCH, last);
    HeaderValue::try_from(httpdate::fmt_http_date(time)).unwrap_or(HeaderValue::from_static("0"))
}

/// A year: what is older or longer is a mistake.
const LONGEST: Duration = Duration::from_secs(31_536_000);

/// What a 304 may not change, for the body is the old one.
const OF_THE_BODY: [&str; 5] =
    ["content-length", "content-encoding", "content-type", "content-range", "transfer-encoding"];

/// Runs over any bytes, as every header that is read here.
pub fn fuzz(data: &[u8]) {
    let Ok(value) = HeaderValue::from_bytes(data) else { return };
    let now = Instant::now();
    let defaults = Defaults { lifetime: LONGEST, missing_lifetime: LONGEST, stale_if_error: LONGEST };
    for wall in [SystemTime::now(), SystemTime::UNIX_EPOCH] {
        for name in [AGE, CACHE_CONTROL, DATE, EXPIRES, VARY, VIA] {
            for version in [Version::HTTP_10, Version::HTTP_11] {
                let (mut answer, ()) = Response::new(()).into_parts();
                answer.version = version;
                answer.headers.append(HeaderName::clone(&name), value.clone());
                let times = Times { sent: now, received: now, wall };
                let verdict = Verdict::of(&answer, &HeaderMap::new(), times, defaults);
                let Freshness { lifetime, initial_age, .. } = verdict.freshness;
                assert!(lifetime <= LONGEST && initial_age <= LONGEST, "{verdict:?}");
            }
        }
    }
}

#[cfg(test)]
mod tests;
