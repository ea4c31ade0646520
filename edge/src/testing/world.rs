//! A started edge on loopback and the requests of its viewers.

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use nearcast_service::client::{self, Http};
use nearcast_service::daemon::Daemon;
use nearcast_service::http::Body;

use super::Foreign;
use crate::config::Config;
use crate::proxy;

/// An edge that knows the given origins and no control plane.
pub(crate) struct Edge {
    url: String,
    client: Http,
    daemon: Daemon,
}

/// A whole answer.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Edge {
    pub(crate) async fn start(origins: &[String]) -> Self {
        Self::start_with(origins, |_| {}).await
    }

    /// The same with a route to `origin`.
    pub(crate) async fn with_route(origin: &Foreign, change: impl FnOnce(&mut proxy::Config)) -> Self {
        let mut route =
            proxy::Config { name: "other".into(), upstreams: vec![origin.url()], ..proxy::Config::default() };
        change(&mut route);
        Self::start_with(&[origin.url()], |config| config.routes.push(route)).await
    }

    /// The same with other settings.
    pub(crate) async fn start_with(origins: &[String], change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::default();
        change(&mut config);
        config.http.listen = None;
        // On the test's own threads.
        config.http.workers = Some(0);
        config.http.plain_listen = Some(([127, 0, 0, 1], 0).into());
        config.control.url = String::new();
        config.control.snapshot = std::path::PathBuf::new();
        config.upstream.origins = origins.to_vec();
        assert_eq!(nearcast_service::daemon::Config::check(&config), Ok(()));
        let daemon = Daemon::new();
        let addresses = crate::run(config, daemon.clone()).await.unwrap();
        let client = Http::new(&client::Config::default()).unwrap();
        Self { url: format!("http://{}", addresses.plain.unwrap()), client, daemon }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.ask(Method::GET, path, &[]).await
    }

    pub(crate) async fn ask(&self, method: Method, path: &str, headers: &[(&str, &str)]) -> Answer {
        let (head, body) = self.open(method, path, headers).await.into_parts();
        // Nothing that a test asks for is longer.
        let body = Limited::new(body, 64 << 20).collect().await.unwrap().to_bytes();
        Answer { status: head.status, headers: head.headers, body }
    }

    /// The response as soon as its headers are in.
    pub(crate) async fn open(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
    ) -> http::Response<Incoming> {
        self.send(method, path, headers, Body::empty()).await
    }

    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Body,
    ) -> http::Response<Incoming> {
        self.try_send(method, path, headers, body).await.unwrap()
    }

    /// The same, when the edge may break off.
    pub(crate) async fn try_send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Body,
    ) -> Result<http::Response<Incoming>, client::RequestError> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.client.request(request.body(body).unwrap()).await
    }

    /// The value of a metric, summed over its labels.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let text = self.daemon.metrics.render();
        let lines = text
            .lines()
            .filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{'])));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }

    /// Returns once a metric is as wanted. Nobody is told of metrics, so that it is looked at again and again.
    pub(crate) async fn until(&self, name: &str, wanted: impl Fn(f64) -> bool) {
        while !wanted(self.metric(name)) {
            tokio::task::yield_now().await;
        }
    }

    pub(crate) fn daemon(&self) -> &Daemon {
        &self.daemon
    }
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}
