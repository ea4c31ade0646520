//! Requests that are passed on for one viewer: what may not be shared, parts of what is not here, methods that change
//! something.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::FutureExt;
use http::header::{CONTENT_LENGTH, CONTENT_LOCATION, LOCATION, RANGE};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use http_body::{Body as _, Frame, SizeHint};
use nearcast_service::http::{Body, RequestBody, Response};
use tokio::time::Sleep;

use super::conditional::{is_about, validators};
use super::fill::{Ask, serves_on_error};
use super::form::Told;
use super::policy::Verdict;
use super::route::Question;
use super::stored::Stored;
use super::{Own, Proxy, hygiene, keeping, names};
use crate::error::{Error, Result};

impl Proxy {
    /// Asks for one viewer alone. `old` is what is kept, and must be asked about.
    pub(super) async fn pass(
        &self,
        ask: &Ask,
        viewer: &Parts,
        old: Option<Arc<Stored>>,
        told: Told,
    ) -> Result<Response> {
        self.count(ask, "pass");
        let open = !ask.route.config.credentials;
        let mut own = hygiene::own_conditions(&viewer.headers);
        // A part is asked for as it is; else our own copy is asked about, and the viewer's then compared with it.
        let old = old.filter(|_| !own.contains_key(RANGE));
        if let Some(old) = &old {
            own = validators(&old.head.headers);
        }
        let mut headers = ask.headers.clone();
        headers.extend(own);
        let question = Question {
            method: &viewer.method,
            path_and_query: &ask.path_and_query,
            headers,
            via: self.form.via(),
        };
        let answer = ask.route.ask(&question, &self.metrics).await;
        let status = answer.as_ref().ok().map(|answer| answer.head.status);
        let failed = status.is_none_or(|status| matches!(status.as_u16(), 500 | 502..=504));
        if let Some(old) = old.as_ref().filter(|old| failed && serves_on_error(old)) {
            let told = Told::forwarded("stale", status.map(|status| status.as_u16()));
            return Ok(self.stale(ask, old, viewer, told));
        }
        let answer = answer.inspect_err(|_| self.count(ask, "failed"))?;
        let told = Told { status: status.map(|status| status.as_u16()), ..told };
        if let Some(old) = old
            && answer.head.status == StatusCode::NOT_MODIFIED
        {
            if is_about(&old.head.headers, &answer.head.headers) {
                let stored = match keeping::freshened(ask, answer, &old) {
                    Some((head, shared)) => {
                        if shared {
                            self.own.remove(&self.spelled(ask));
                        }
                        self.keep(&head, old.body.clone(), ask.began)
                    }
                    None => {
                        self.store.forget(&old);
                        old
                    }
                };
                return Ok(self.form.stored(&stored, &viewer.headers, told, open));
            }
            self.store.forget(&old);
            let origin = Arc::clone(&answer.body.origin);
            return Err(Error::Status { origin, status: StatusCode::NOT_MODIFIED.as_u16() });
        }
        if viewer.method == Method::GET && status == Some(StatusCode::OK) {
            let defaults = ask.route.config.defaults();
            let verdict = Verdict::of(&answer.head, &ask.headers, answer.times, defaults);
            let fits = match answer.body.length {
                Some(length) => length <= ask.route.config.max_object.0,
                // Only its end would say whether it is shorter this time.
                None => self.own.get(&self.spelled(ask), Instant::now()) != Some(Own::Large),
            };
            if verdict.is_shared() && fits {
                // It may be kept after all: the next one asks for everybody.
                self.own.remove(&self.spelled(ask));
            }
        }
        Ok(self.form.passed(answer, told, open))
    }

    /// Passes on a request whose method is not for reading. What it may have changed is forgotten (RFC 9111 §4.4).
    pub(super) async fn forward(&self, ask: &Ask, viewer: &Parts, body: RequestBody) -> Result<Response> {
        self.count(ask, "pass");
        let config = &ask.route.config;
        let mut headers = hygiene::for_passing(&viewer.headers, config.credentials);
        let (max, idle) = (config.max_request_body.0, Duration::from_secs(config.idle_timeout));
        let said = viewer.headers.get(CONTENT_LENGTH);
        let length = body.size_hint().exact().or_else(|| said?.to_str().ok()?.parse().ok());
        if length.is_some_and(|length| length > max) {
            return Err(Error::LargeRequest { max });
        }
        let fault = Arc::<Fault>::default();
        let body = if body.is_end_stream() || length == Some(0) {
            Body::empty()
        } else {
            if let Some(length) = length {
                headers.insert(CONTENT_LENGTH, length.into());
            }
            Body::wrap(Upload { body, left: max, length, idle, waiting: None, fault: Arc::clone(&fault) })
        };
        let question = Question {
            method: &viewer.method,
            path_and_query: &ask.path_and_query,
            headers,
            via: self.form.via(),
        };
        let viewers = || match fault.0.load(Ordering::Relaxed) {
            TOO_LARGE => Some(Error::LargeRequest { max }),
            TOO_SLOW => Some(Error::SlowRequest),
            _ => None,
        };
        let answer = ask.route.send(&question, body, &self.metrics, &viewers).await;
        let answer = answer.inspect_err(|_| self.count(ask, "failed"))?;
        if !viewer.method.is_safe()
            && (answer.head.status.is_success() || answer.head.status.is_redirection())
        {
            self.forget(ask, viewer, &answer.head.headers);
        }
        let told = Told::forwarded("method", answer.head.status.as_u16());
        Ok(self.form.passed(answer, told, !config.credentials))
    }

    /// What was asked to change, and what the origin says has changed with it, on this host.
    fn forget(&self, ask: &Ask, viewer: &Parts, answer: &HeaderMap) {
        let host = names::host(viewer);
        let also = [LOCATION, CONTENT_LOCATION].into_iter().filter_map(|name| answer.get(name));
        let also = also.filter_map(|value| beside(value, host, &ask.path_and_query));
        let names: Vec<String> =
            also.flat_map(|path| self.routes.names_of(Some(host), &path)).chain([ask.name.clone()]).collect();
        names.iter().for_each(|name| self.log.changed(name));
        self.store.purge_names(names.iter().map(String::as_str), false);
    }
}

/// The path and query of a reference on the same host, as far as it needs no more than its base's directory.
fn beside(reference: &HeaderValue, host: &str, base: &str) -> Option<String> {
    let text = reference.to_str().ok()?;
    if text.starts_with('/') {
        return (!text.starts_with("//")).then(|| text.to_owned());
    }
    if let Ok(uri) = text.parse::<Uri>()
        && uri.scheme().is_some()
        && let Some(authority) = uri.authority()
    {
        let same = names::without_port(authority.as_str()).eq_ignore_ascii_case(host);
        return same.then(|| uri.path_and_query().map_or("/", |path| path.as_str()).to_owned());
    }
    let path = base.split('?').next()?;
    let directory = &path[..=path.rfind('/')?];
    (!text.is_empty() && !names::has_dots(text) && !text.contains(':')).then(|| format!("{directory}{text}"))
}

/// A viewer's body on its way to the origin, with limits.
struct Upload {
    body: RequestBody,
    left: u64,
    length: Option<u64>,
    idle: Duration,
    /// How long the viewer may still take for the next piece; `None` while it is the origin that does not read.
    waiting: Option<Pin<Box<Sleep>>>,
    fault: Arc<Fault>,
}

/// Whose fault it is that an upload ended.
#[derive(Debug, Default)]
struct Fault(AtomicU8);

const TOO_LARGE: u8 = 1;
const TOO_SLOW: u8 = 2;

impl http_body::Body for Upload {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let fault = Arc::clone(&self.fault);
        let fail = |why, error| {
            fault.0.store(why, Ordering::Relaxed);
            Poll::Ready(Some(Err(error)))
        };
        loop {
            let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) else {
                // The viewer's time for the next piece.
                let idle = self.idle;
                let waiting = self.waiting.get_or_insert_with(|| Box::pin(tokio::time::sleep(idle)));
                ready!(waiting.poll_unpin(cx));
                return fail(TOO_SLOW, Error::SlowRequest);
            };
            self.waiting = None;
            let Some(frame) = frame else {
                // Less than was announced: the origin would wait for the rest.
                return match self.length {
                    Some(1..) => fail(TOO_SLOW, Error::SlowRequest),
                    _ => Poll::Ready(None),
                };
            };
            let Ok(frame) = frame else { return fail(TOO_SLOW, Error::SlowRequest) };
            let Ok(data) = frame.into_data() else { continue };
            let Some(left) = self.left.checked_sub(data.len() as u64) else {
                return fail(TOO_LARGE, Error::LargeRequest { max: self.left });
            };
            self.left = left;
            self.length = self.length.map(|length| length.saturating_sub(data.len() as u64));
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
    }

    fn size_hint(&self) -> SizeHint {
        self.length.map_or_else(SizeHint::new, SizeHint::with_exact)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_references_on_the_same_host_are_followed() {
        let cases = [
            ("/x?y", Some("/x?y")),
            ("http://a.example:81/x", Some("/x")),
            ("https://A.example", Some("/")),
            ("http://b.example/x", None),
            ("//b.example/x", None),
            ("x", Some("/d/x")),
            ("../x", None),
            ("", None),
        ];
        for (reference, want) in cases {
            let value = HeaderValue::from_static(reference);
            assert_eq!(beside(&value, "a.example", "/d/e?f").as_deref(), want, "{reference}");
        }
    }
}
