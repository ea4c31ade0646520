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

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http_body_util::BodyExt;

    use super::*;
    use crate::client::{self, Http};

    async fn get(base: &str, path: &str) -> (u16, Bytes) {
        let request = http::Request::get(format!("{base}{path}")).body(Body::empty()).unwrap();
        let response = Http::new(&client::Config::default()).unwrap().request(request).await.unwrap();
        (response.status().as_u16(), response.into_body().collect().await.unwrap().to_bytes())
    }

    #[tokio::test]
    async fn operators_see_health_readiness_and_metrics() {
        let daemon = Daemon::new();
        let hold = daemon.ready.hold();
        let config = Config { listen: "127.0.0.1:0".parse().ok() };
        let base = format!("http://{}", serve(&config, &daemon).await.unwrap().unwrap());
        assert_eq!(get(&base, "/healthz").await, (200, "ok\n".into()));
        assert_eq!(get(&base, "/readyz").await, (503, "starting\n".into()));
        drop(hold);
        assert_eq!(get(&base, "/readyz").await, (200, "ready\n".into()));
        daemon.metrics.register("x", "A counter", metrics::Counter::<u64>::default());
        let (status, text) = get(&base, "/metrics").await;
        assert_eq!((status, text.ends_with(b"# EOF\n")), (200, true));
        assert!(String::from_utf8_lossy(&text).contains("nearcast_x_total 0"));
        assert_eq!(get(&base, "/").await.0, 404);
    }

    #[tokio::test]
    async fn no_address_is_no_port() {
        assert_eq!(serve(&Config::default(), &Daemon::new()).await.unwrap(), None);
    }
}
