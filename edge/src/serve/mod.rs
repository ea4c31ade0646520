//! The viewers' side: one handler for HTTP/1.1, 2 and 3.

pub mod range;
pub mod respond;

mod live;
mod tally;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use http::header::{ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_REQUEST_HEADERS, ALLOW, ORIGIN, VARY, VIA};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use nearcast_media::path::directory;
use nearcast_service::fleet::Caller;
use nearcast_service::http::{Handler, Peer, Protocol, Request, RequestBody, Response};
use nearcast_service::metrics::Counter;

use self::live::Live;
use self::respond::Responder;
use crate::access::fleet::Nodes;
use crate::access::{Access, token};
use crate::audience::{Audience, cmsd};
use crate::cache::Cache;
use crate::error::{Error, Result};
use crate::follow::Followers;
use crate::metrics::{self, ProtocolLabel};
use crate::proxy::{Proxy, Route};

/// The handler. Clones are the same handler.
#[derive(Debug, Clone)]
pub struct Edge(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    node: String,
    live: Live,
    proxy: Arc<Proxy>,
    door: Door,
    bytes: [Counter; 3],
}

/// Who comes in.
#[derive(Debug)]
pub struct Door {
    pub access: Arc<Access>,
    pub audience: Arc<Audience>,
    pub nodes: Nodes,
    /// Pages that may send cookies.
    pub cookie_origins: Vec<String>,
    /// Nobody new is let in.
    pub full: Arc<AtomicBool>,
    pub metrics: metrics::Access,
}

impl Edge {
    /// Serves what `cache`, `followers` and `proxy` have to whom `door` lets in, in the name of `node`.
    pub fn new(
        node: &str,
        cache: Arc<Cache>,
        followers: Arc<Followers>,
        proxy: Arc<Proxy>,
        door: Door,
        metrics: metrics::Serve,
    ) -> Self {
        let bytes = [Protocol::H1, Protocol::H2, Protocol::H3].map(|protocol| {
            let label = ProtocolLabel { protocol: protocol.as_str() };
            metrics.response_bytes.get_or_create(&label).clone()
        });
        let live = Live { cache, followers, responder: Responder::new(node), metrics };
        Self(Arc::new(Inner { node: node.to_owned(), live, proxy, door, bytes }))
    }

    async fn answer(&self, request: &Parts, body: RequestBody) -> Response {
        let Inner { live, proxy, .. } = &*self.0;
        // Parents that are each other's would ask in circles.
        if request.headers.get_all(VIA).iter().any(|via| live.responder.is_own(via)) {
            return live.responder.error(&Error::Loop, Duration::ZERO);
        }
        if let Some(route) = proxy.routes().of(request) {
            return match self.answer_for(route, request, body).await {
                Ok(response) => response,
                Err(error) => live.responder.error(&error, FAILURE_LIFE),
            };
        }
        let mut response = self.ours(request).await;
        self.allow_cookies(&request.headers, &mut response);
        response
    }

    /// What is not a route's.
    async fn ours(&self, request: &Parts) -> Response {
        let Inner { live, door, .. } = &*self.0;
        match request.method {
            Method::GET | Method::HEAD => {}
            Method::OPTIONS => return live.responder.preflight(),
            _ => return live.responder.error(&Error::Method, Duration::ZERO),
        }
        let (token, path) = token::split(request.uri.path());
        let query = request.uri.query();
        match door.nodes.caller(request) {
            // Edges below have asked for whom they let in, and count their own viewers.
            Caller::Node => return live.answer(path, query, &request.headers).await,
            Caller::Dismissed => {
                door.metrics.count(&Error::Dismissed);
                return live.responder.error(&Error::Dismissed, Duration::ZERO);
            }
            Caller::Unknown => {}
        }
        self.let_in(path, token, request).await.unwrap_or_else(|error| {
            door.metrics.count(&error);
            // Nobody may keep it: another token, or another moment, gets another answer.
            live.responder.error(&error, Duration::ZERO)
        })
    }

    /// The answer of an origin that is not ours, to whom the limits of addresses let in.
    async fn answer_for(&self, route: &Arc<Route>, request: &Parts, body: RequestBody) -> Result<Response> {
        let Inner { live, proxy, door, .. } = &*self.0;
        if let Some(peer) = request.extensions.get::<Peer>() {
            door.access
                .admit(None, None, &request.headers, *peer)
                .inspect_err(|error| door.metrics.count(error))?;
        }
        if request.method == Method::OPTIONS && !route.takes(&Method::OPTIONS) {
            return Ok(with_methods(live.responder.preflight(), route));
        }
        match proxy.answer(route, request, body).await {
            Err(error @ Error::Method) => {
                Ok(with_methods(live.responder.error(&error, Duration::ZERO), route))
            }
            answered => answered,
        }
    }

    /// The answer for a viewer, counted.
    ///
    /// # Errors
    /// Why they may not have any.
    async fn let_in(&self, path: &str, token: Option<&str>, request: &Parts) -> Result<Response> {
        let Inner { node, live, door, .. } = &*self.0;
        let (query, headers) = (request.uri.query(), &request.headers);
        let Some(peer) = request.extensions.get::<Peer>().copied() else {
            return Ok(live.answer(path, query, headers).await);
        };
        let channel = channel_of(path);
        let admitted = door.access.admit(channel, token, headers, peer)?;
        let Some(channel) = channel else { return Ok(live.answer(path, query, headers).await) };
        let full = door.full.load(Ordering::Relaxed);
        let visit = door.audience.visit(channel, &admitted, peer, query, headers, full)?;
        let blocks = query.is_some_and(|query| query.contains("_HLS_msn"));
        let _place = blocks.then(|| door.access.wait(directory(path), peer)).transpose()?;
        let asked = visit.reports().then(Instant::now);
        let mut response = live.answer(path, query, headers).await;
        if (response.status().is_success() || response.status() == StatusCode::NOT_MODIFIED)
            && let Some(seat) =
                door.audience.served(&visit, channel, path, || door.access.counted_country(peer.address.ip()))
            && request.method != Method::HEAD
        {
            response = tally::count(response, move |bytes| seat.sent(bytes));
        }
        if admitted.private {
            live.responder.make_private(&mut response);
        }
        if let Some(asked) = asked {
            cmsd::tell(response.headers_mut(), node, path, asked.elapsed(), full);
        }
        Ok(response)
    }

    fn allow_cookies(&self, request: &HeaderMap, response: &mut Response) {
        let allowed = &self.0.door.cookie_origins;
        if allowed.is_empty() {
            return;
        }
        // Also where it is not answered to: a browser may ask for the same from another page.
        response.headers_mut().append(VARY, HeaderValue::from_static("Origin"));
        let Some(origin) = request.get(ORIGIN) else { return };
        if allowed.iter().any(|allowed| allowed.as_bytes() == origin.as_bytes()) {
            let asked = request.get(ACCESS_CONTROL_REQUEST_HEADERS);
            self.0.live.responder.allow_cookies(response, origin, asked);
        }
    }
}

impl Handler for Edge {
    async fn handle(&self, request: Request) -> Response {
        let (request, body) = request.into_parts();
        let response = self.answer(&request, body).await;
        let Some(peer) = request.extensions.get::<Peer>().filter(|_| request.method != Method::HEAD) else {
            return response;
        };
        let index = match peer.protocol {
            Protocol::H1 => 0,
            Protocol::H2 => 1,
            Protocol::H3 => 2,
        };
        let sent = self.0.bytes[index].clone();
        tally::count(response, move |bytes| _ = sent.inc_by(bytes))
    }
}

/// A response that says which methods a route takes.
fn with_methods(mut response: Response, route: &Route) -> Response {
    let methods =
        ["GET", "HEAD", "OPTIONS"].into_iter().chain(route.config.methods.iter().map(String::as_str));
    let methods: Vec<_> = methods.collect();
    if let Ok(value) = HeaderValue::try_from(methods.join(", ")) {
        let headers = response.headers_mut();
        headers.insert(ALLOW, value.clone());
        if headers.contains_key(ACCESS_CONTROL_ALLOW_METHODS) {
            headers.insert(ACCESS_CONTROL_ALLOW_METHODS, value);
        }
    }
    response
}

/// The channel that a path belongs to, if it is one of a channel at all.
fn channel_of(path: &str) -> Option<&str> {
    let (channel, _) = path.strip_prefix("/live/")?.split_once('/')?;
    Some(channel).filter(|channel| !channel.is_empty())
}

/// What a route refuses may be allowed by its next configuration.
const FAILURE_LIFE: Duration = Duration::from_secs(1);
