//! A whole control plane in this process, on ports of its own, for tests that speak to it as clients do.

pub(crate) mod postgres;
pub(crate) mod receiver;

use std::net::SocketAddr;
use std::path::Path;

use http::header::AUTHORIZATION;
use http::{HeaderMap, Method, StatusCode};
use nearcast_api::Problem;
use nearcast_service::client::Http;
use nearcast_service::daemon::Daemon;
use nearcast_service::http::{Body, read_limited};
use serde_json::{Value, json};

use crate::{Config, Running};

pub(crate) const ADMIN: &str = "admin-token-of-the-tests";
pub(crate) const NODE: &str = "node-token-of-the-tests";

/// A running control plane and a client for it.
pub(crate) struct World {
    pub(crate) daemon: Daemon,
    running: Running,
    client: Http,
}

/// An answer that has been read.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl World {
    /// With the development world's configuration, its data in `directory`.
    pub(crate) async fn start(directory: &Path) -> Self {
        Self::start_with(directory, |_| ()).await
    }

    pub(crate) async fn start_with(directory: &Path, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config { data_dir: directory.to_owned(), ..Config::default() };
        config.http.plain_listen = Some(([127, 0, 0, 1], 0).into());
        config.dns.listen = ([127, 0, 0, 1], 0).into();
        config.api.admin_token = ADMIN.to_owned();
        config.api.node_token = NODE.to_owned();
        // Tests ask faster than anybody; those of the limits set them.
        config.api.limits = crate::limits::Config::none();
        change(&mut config);
        let daemon = Daemon::new();
        let running = crate::run(config, daemon.clone()).await.unwrap();
        let client = Http::new(&nearcast_service::client::Config::default()).unwrap();
        Self { daemon, running, client }
    }

    pub(crate) fn http(&self) -> SocketAddr {
        self.running.plain.unwrap()
    }

    pub(crate) fn https(&self) -> SocketAddr {
        self.running.secure.unwrap()
    }

    pub(crate) fn dns(&self) -> SocketAddr {
        self.running.dns.unwrap()
    }

    /// `path` is below `/api/v1` unless it is a page's.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        token: &str,
        body: impl Into<Vec<u8>>,
    ) -> Answer {
        self.send_with(method, path, token, &[], body).await
    }

    pub(crate) async fn send_with(
        &self,
        method: Method,
        path: &str,
        token: &str,
        headers: &[(&str, &str)],
        body: impl Into<Vec<u8>>,
    ) -> Answer {
        let base = self.running.plain.unwrap();
        let request = http::Request::builder().method(method).uri(format!("http://{base}{path}"));
        let request =
            if token.is_empty() { request } else { request.header(AUTHORIZATION, format!("Bearer {token}")) };
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let request = request.body(Body::from(body.into())).unwrap();
        let (parts, body) = self.client.request(request).await.unwrap().into_parts();
        let body = read_limited(body, 16 << 20).await.unwrap().to_vec();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, &format!("/api/v1{path}"), ADMIN, "").await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(Method::POST, &format!("/api/v1{path}"), ADMIN, body.to_string()).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, &format!("/api/v1{path}"), ADMIN, "").await
    }

    pub(crate) async fn register(&self, spec: &Value) -> Answer {
        let path = format!("/api/v1/nodes/{}", spec["id"].as_str().unwrap());
        self.send(Method::PUT, &path, NODE, spec.to_string()).await
    }

    pub(crate) async fn beat(&self, node: &str, beat: Value) -> Answer {
        let path = format!("/api/v1/nodes/{node}/heartbeat");
        self.send(Method::POST, &path, NODE, beat.to_string()).await
    }

    /// The two edges and the origin of the development world.
    pub(crate) async fn populate(&self) {
        for (id, role, region, address) in [
            ("eu-1", "edge", "eu", "127.0.0.1"),
            ("us-1", "edge", "us", "127.0.0.2"),
            ("origin-1", "origin", "eu", "127.0.0.3"),
        ] {
            let answer = self.register(&spec(id, role, region, &[address])).await;
            assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
            let load = json!({ "cpu": 0.1, "viewers": 0, "egress_bps": 0 });
            assert_eq!(self.beat(id, json!({ "load": load })).await.status, StatusCode::OK);
        }
    }
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("not JSON: {}", self.text()))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The answer as the failure it has to be.
    pub(crate) fn problem(&self) -> Problem {
        assert_eq!(self.headers["content-type"], Problem::CONTENT_TYPE, "{} {}", self.status, self.text());
        let problem: Problem = serde_json::from_slice(&self.body).unwrap();
        assert_eq!(problem.status, self.status.as_u16());
        problem
    }
}

pub(crate) fn spec(id: &str, role: &str, region: &str, addresses: &[&str]) -> Value {
    let urls = [format!("https://{}:8443", addresses[0]), format!("http://{}:8081", addresses[0])];
    json!({ "id": id, "role": role, "region": region, "addresses": addresses, "urls": urls, "version": "0.1.0" })
}
