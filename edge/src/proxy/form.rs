//! The answer that a viewer gets: what the origin said, and what this edge has to say of it (RFC 9111 §5.1, RFC 9211).

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Instant;

use http::header::{
    ACCEPT_RANGES, ACCESS_CONTROL_ALLOW_ORIGIN, AGE, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, VIA,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use nearcast_service::http::{Body, Response};

use super::answer::Answer;
use super::conditional;
use super::hygiene;
use super::stored::{Head, Stored};
use super::window::Window;
use crate::cache::growing::Growing;
use crate::serve::range::{self, Selection};

/// Headers of this edge.
#[derive(Debug)]
pub(super) struct Form {
    node: String,
    via: HeaderValue,
}

/// How an answer came about, for `Cache-Status` (RFC 9211).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Told {
    /// Why the origin was asked; `None` when it was not.
    pub(super) forwarded: Option<&'static str>,
    /// What it said then.
    pub(super) status: Option<u16>,
    pub(super) stored: bool,
    /// Another request was first.
    pub(super) collapsed: bool,
    pub(super) detail: Option<&'static str>,
}

/// An answer that is read while it arrives.
#[derive(Debug)]
pub(super) struct Arriving {
    pub(super) head: Arc<Head>,
    pub(super) body: Arc<Growing>,
}

impl Form {
    /// Headers of the edge called `node`, whose part of `Via` is `via`.
    pub(super) fn new(node: &str, via: HeaderValue) -> Self {
        Self { node: node.to_owned(), via }
    }

    /// This edge's part of `Via`.
    pub(super) fn via(&self) -> &HeaderValue {
        &self.via
    }

    /// A stored answer, as much of it as the viewer wants.
    pub(super) fn stored(&self, stored: &Stored, viewer: &HeaderMap, told: Told, open: bool) -> Response {
        let Head { status, headers, .. } = &*stored.head;
        let length = stored.body.len() as u64;
        let plain = *status == StatusCode::OK;
        if plain && conditional::has_copy(headers, viewer) {
            let mut response =
                self.respond(StatusCode::NOT_MODIFIED, &stored.head, Body::empty(), told, open);
            response.headers_mut().remove(CONTENT_TYPE);
            return response;
        }
        let selection =
            if plain { conditional::selection(headers, viewer, length) } else { Selection::Whole };
        let (status, body, content_range) = match selection {
            Selection::Whole => (*status, Body::from(stored.body.clone()), None),
            Selection::Part(part) => {
                let text = format!("bytes {}-{}/{length}", part.start, part.end - 1);
                let body = Body::chunks(range::slice(std::slice::from_ref(&stored.body), part));
                (StatusCode::PARTIAL_CONTENT, body, Some(text))
            }
            Selection::Unsatisfiable => {
                (StatusCode::RANGE_NOT_SATISFIABLE, Body::empty(), Some(format!("bytes */{length}")))
            }
        };
        let mut response = self.respond(status, &stored.head, body, told, open);
        if plain {
            ranges(&mut response, content_range);
        }
        response
    }

    /// An answer that is still arriving; `None` when what the viewer wants of it is too far away.
    pub(super) fn arriving(
        &self,
        arriving: &Arriving,
        viewer: &HeaderMap,
        told: Told,
        open: bool,
    ) -> Option<Response> {
        let Arriving { head, body } = arriving;
        let plain = head.status == StatusCode::OK;
        if plain && conditional::has_copy(&head.headers, viewer) {
            let mut response = self.respond(StatusCode::NOT_MODIFIED, head, Body::empty(), told, open);
            response.headers_mut().remove(CONTENT_TYPE);
            return Some(response);
        }
        // Without its length, what part is meant cannot be said; §14.2 lets a server send the whole.
        let Some(length) = body.length.filter(|_| plain) else {
            return Some(self.respond(head.status, head, Body::wrap(body.reader()), told, open));
        };
        let (status, sent, reader, content_range) =
            match conditional::selection(&head.headers, viewer, length) {
                Selection::Whole => (head.status, length, Body::wrap(body.reader()), None),
                Selection::Unsatisfiable => {
                    let text = format!("bytes */{length}");
                    (StatusCode::RANGE_NOT_SATISFIABLE, 0, Body::empty(), Some(text))
                }
                Selection::Part(part) if part.start > body.arrived().saturating_add(NEAR) => return None,
                Selection::Part(part) => {
                    let text = format!("bytes {}-{}/{length}", part.start, part.end - 1);
                    let sent = part.end - part.start;
                    (
                        StatusCode::PARTIAL_CONTENT,
                        sent,
                        Body::wrap(Window::new(body.reader(), part)),
                        Some(text),
                    )
                }
            };
        let mut response = self.respond(status, head, reader, told, open);
        response.headers_mut().insert(CONTENT_LENGTH, sent.into());
        ranges(&mut response, content_range);
        Some(response)
    }

    /// An answer that only this viewer gets.
    pub(super) fn passed(&self, answer: Answer, told: Told, open: bool) -> Response {
        let Answer { head, body, .. } = answer;
        let length = head.headers.get(CONTENT_LENGTH).cloned();
        let age = head.headers.get(AGE).cloned();
        let mut headers = hygiene::for_viewers(&head.headers);
        if let Some(length) = length {
            headers.insert(CONTENT_LENGTH, length);
        }
        if let Some(age) = age {
            headers.insert(AGE, age);
        }
        let bodyless = body.length == Some(0);
        let mut response = Response::new(if bodyless { Body::empty() } else { body.pass() });
        *response.status_mut() = head.status;
        *response.headers_mut() = headers;
        self.sign(&mut response, told, None, open);
        response
    }

    fn respond(&self, status: StatusCode, head: &Head, body: Body, told: Told, open: bool) -> Response {
        let now = Instant::now();
        let mut response = Response::new(body);
        *response.status_mut() = status;
        *response.headers_mut() = head.headers.clone();
        response.headers_mut().insert(AGE, head.freshness.age(now).as_secs().into());
        self.sign(&mut response, told, Some(head.freshness.ttl(now)), open);
        response
    }

    /// What every answer gets. `open` says that pages from anywhere may read it, where the origin says nothing of that.
    fn sign(&self, response: &mut Response, told: Told, ttl: Option<i64>, open: bool) {
        let headers = response.headers_mut();
        headers.append(VIA, self.via.clone());
        if let Ok(value) = HeaderValue::try_from(told.render(&self.node, ttl)) {
            headers.append(CACHE_STATUS, value);
        }
        if open && !headers.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN) {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        }
    }
}

impl Told {
    /// The origin was asked, because of `why`, and answered with `status`.
    pub(super) fn forwarded(why: &'static str, status: impl Into<Option<u16>>) -> Self {
        Self { forwarded: Some(why), status: status.into(), ..Self::default() }
    }

    fn render(&self, node: &str, ttl: Option<i64>) -> String {
        let mut text = node.to_owned();
        match self.forwarded {
            None => text.push_str("; hit"),
            Some(why) => {
                let _ = write!(text, "; fwd={why}");
                if let Some(status) = self.status {
                    let _ = write!(text, "; fwd-status={status}");
                }
            }
        }
        if let Some(ttl) = ttl {
            let _ = write!(text, "; ttl={ttl}");
        }
        text.push_str(if self.stored { "; stored" } else { "" });
        text.push_str(if self.collapsed { "; collapsed" } else { "" });
        if let Some(detail) = self.detail {
            let _ = write!(text, "; detail={detail}");
        }
        text
    }
}

fn ranges(response: &mut Response, content_range: Option<String>) {
    let headers = response.headers_mut();
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if let Some(value) = content_range.and_then(|text| HeaderValue::try_from(text).ok()) {
        headers.insert(CONTENT_RANGE, value);
    }
}

/// A range that begins so soon after what has arrived is waited for; one further away is asked of the origin.
const NEAR: u64 = 1 << 20;
const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cache_status_is_a_list_member_of_rfc_9211() {
        let told = |told: Told, ttl| told.render("eu-1", ttl);
        assert_eq!(told(Told::default(), Some(5)), "eu-1; hit; ttl=5");
        let fetched = Told { stored: true, collapsed: true, ..Told::forwarded("uri-miss", 200) };
        assert_eq!(told(fetched, Some(60)), "eu-1; fwd=uri-miss; fwd-status=200; ttl=60; stored; collapsed");
        let stale = Told { detail: Some("stale-if-error"), ..Told::forwarded("stale", None) };
        assert_eq!(told(stale, Some(-3)), "eu-1; fwd=stale; ttl=-3; detail=stale-if-error");
    }
}
