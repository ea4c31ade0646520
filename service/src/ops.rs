//! The port for operators, never the public one: `/healthz`, `/readyz`, `/metrics`.

use std::net::SocketAddr;

use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Method, StatusCode};
use serde::{Deserialize, Serialize};

use crate::Result;
use crate::config::optional;
use crate::daemon::Daemon;
use crate::http::{Body, Request, Response, Server};
use crate::metrics;

/// `[ops]`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where; empty for nowhere.
    #[serde(with = "optional")]
    pub listen: Option<SocketAddr>,
}

/// Binds and serves until the drain is over. Gives the real address, as the port may have been 0.
pub async fn serve(config: &Config, daemon: &Daemon) -> Result<Option<SocketAddr>> {
    let Some(address) = config.listen else { return Ok(None) };
    let server = Server::bind_plain_unseen(address, "ops.listen", daemon).await?;
    let address = server.plain_address();
    let daemon = daemon.clone();
    server.serve(move |request: Request| {
        let response = answer(&request, &daemon);
        async { response }
    })?;
    Ok(address)
}

fn answer(request: &Request, daemon: &Daemon) -> Response {
    const TEXT: &str = "text/plain; charset=utf-8";
    let (status, kind, body) = match (request.method(), request.uri().path()) {
        (&(Method::GET | Method::HEAD), "/healthz") => (StatusCode::OK, TEXT, "ok\n".into()),
        (&(Method::GET | Method::HEAD), "/readyz") if daemon.ready.is_ready() => {
            (StatusCode::OK, TEXT, "ready\n".into())
        }
        (&(Method::GET | Method::HEAD), "/readyz") => {
            let why = if daemon.drain.is_draining() { "draining\n" } else { "starting\n" };
            (StatusCode::SERVICE_UNAVAILABLE, TEXT, why.into())
        }
        (&(Method::GET | Method::HEAD), "/metrics") => {
            (StatusCode::OK, metrics::CONTENT_TYPE, Body::from(daemon.metrics.render()))
        }
        (_, "/healthz" | "/readyz" | "/metrics") => {
            (StatusCode::METHOD_NOT_ALLOWED, TEXT, "use GET\n".into())
        }
        _ => (StatusCode::NOT_FOUND, TEXT, "here are /healthz, /readyz and /metrics\n".into()),
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
