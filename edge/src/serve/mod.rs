//! The viewers' side: one handler for HTTP/1.1, 2 and 3.

pub mod range;
pub mod respond;
pub mod viewers;

mod live;

#[cfg(test)]
mod tests;

use std::hash::RandomState;
use std::sync::Arc;
use std::time::Duration;

use http::header::{USER_AGENT, VIA};
use http::request::Parts;
use http::{HeaderValue, Method};
use nearcast_service::http::{Handler, Peer, Protocol, Request, Response};
use nearcast_service::metrics::Counter;

use self::live::Live;
use self::respond::Responder;
use self::viewers::Viewers;
use crate::cache::Cache;
use crate::error::Error;
use crate::follow::Followers;
use crate::metrics::{self, ProtocolLabel};
use crate::proxy::Proxy;
use crate::upstream;

/// The handler. Clones are the same handler.
#[derive(Debug, Clone)]
pub struct Edge(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    live: Live,
    proxy: Arc<Proxy>,
    viewers: Arc<Viewers<RandomState>>,
    bytes: [Counter; 3],
}

impl Edge {
    /// Serves what `cache`, `followers` and `proxy` have, in the name of `node`.
    pub fn new(
        node: &str,
        cache: Arc<Cache>,
        followers: Arc<Followers>,
        proxy: Arc<Proxy>,
        metrics: metrics::Serve,
    ) -> Self {
        let bytes = [Protocol::H1, Protocol::H2, Protocol::H3].map(|protocol| {
            let label = ProtocolLabel { protocol: protocol.as_str() };
            metrics.response_bytes.get_or_create(&label).clone()
        });
        let live = Live { cache, followers, responder: Responder::new(node), metrics };
        Self(Arc::new(Inner { live, proxy, viewers: Arc::default(), bytes }))
    }

    /// Who has been watching.
    pub fn viewers(&self) -> &Arc<Viewers> {
        &self.0.viewers
    }

    async fn answer(&self, request: Request) -> Response {
        let responder = &self.0.live.responder;
        // Parents that are each other's would ask in circles.
        if request.headers().get_all(VIA).iter().any(|via| responder.is_own(via)) {
            return responder.error(&Error::Loop, LOOP_LIFE);
        }
        // Only other origins have use for a body.
        let (request, body) = request.into_parts();
        if let Some(route) = self.0.proxy.routes().of(&request) {
            if request.method == Method::OPTIONS && !route.takes(&Method::OPTIONS) {
                return responder.preflight();
            }
            let answer = self.0.proxy.answer(route, Request::from_parts(request, body)).await;
            return answer.unwrap_or_else(|error| responder.error(&error, FAILURE_LIFE));
        }
        self.answer_ours(&request).await
    }

    async fn answer_ours(&self, request: &Parts) -> Response {
        let responder = &self.0.live.responder;
        match request.method {
            Method::GET | Method::HEAD => self.0.live.answer(request).await,
            Method::OPTIONS => responder.preflight(),
            _ => responder.error(&Error::Method, METHOD_LIFE),
        }
    }
}

impl Handler for Edge {
    async fn handle(&self, request: Request) -> Response {
        let peer = request.extensions().get::<Peer>().copied();
        if let Some(peer) = peer {
            let agent = request.headers().get(USER_AGENT).map(HeaderValue::as_bytes);
            // Edges below count their own.
            if agent.is_none_or(|agent| !agent.starts_with(upstream::PRODUCT.as_bytes())) {
                self.0.viewers.saw((peer.address.ip(), agent));
            }
        }
        let response = self.answer(request).await;
        if let (Some(peer), Some(length)) = (peer, response.body().len()) {
            let index = match peer.protocol {
                Protocol::H1 => 0,
                Protocol::H2 => 1,
                Protocol::H3 => 2,
            };
            self.0.bytes[index].inc_by(length);
        }
        response
    }
}

/// Somebody has to change a configuration first.
const LOOP_LIFE: Duration = Duration::from_secs(1);
/// What a route refuses may be allowed by its next configuration.
const FAILURE_LIFE: Duration = Duration::from_secs(1);
/// Methods do not change their meaning.
const METHOD_LIFE: Duration = Duration::from_secs(3600);
