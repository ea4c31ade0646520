//! A server on free ports and one client per protocol.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderMap, Method, StatusCode, Version};
use http_body_util::BodyExt;
use rustls::RootCertStore;
use tokio::task::JoinHandle;

use super::super::{Body, BoxError, Config, Handler, Metrics, Protocol, Server};
use crate::client::{self, Http};
use crate::daemon::Daemon;
use crate::quic::{self, OpenStreams, Payload};
use crate::tls;

/// A server and its clients.
pub(crate) struct World {
    pub daemon: Daemon,
    pub metrics: Metrics,
    pub plain: SocketAddr,
    pub secure: SocketAddr,
    pub roots: RootCertStore,
    pub(crate) http: Http,
    pub h3: h3::client::SendRequest<OpenStreams, Payload>,
    h3_driver: JoinHandle<h3::error::ConnectionError>,
    pub endpoint: quinn::Endpoint,
}

/// A response, read whole.
pub(crate) struct Answer {
    pub version: Version,
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

pub(crate) fn text(answer: &Answer) -> &str {
    std::str::from_utf8(&answer.body).unwrap()
}

impl World {
    pub(crate) async fn start(handler: impl Handler) -> Self {
        Self::start_with(Config::default(), handler).await
    }

    pub(crate) async fn start_with(config: Config, handler: impl Handler) -> Self {
        let loopback = Some("127.0.0.1:0".parse().unwrap());
        let config = Config { listen: loopback, plain_listen: loopback, ..config };
        let daemon = Daemon::new();
        let server = Server::bind(&config, &tls::Config::default(), &daemon).await.unwrap();
        let certificate = server.tls().unwrap().certificate().unwrap();
        let (plain, secure) = (server.plain_address().unwrap(), server.secure_address().unwrap());
        let metrics = server.metrics().clone();
        server.serve(handler).unwrap();

        let mut roots = RootCertStore::empty();
        roots.add(certificate.clone()).unwrap();
        let http = Http::with_roots(&client::Config::default(), roots.clone()).unwrap();
        let endpoint = client_endpoint(&roots);
        let (h3, h3_driver) = connect(&endpoint, secure).await;
        Self { daemon, metrics, plain, secure, roots, http, h3, h3_driver, endpoint }
    }

    pub(crate) async fn get(&self, protocol: Protocol, path: &str) -> Result<Answer, BoxError> {
        self.send(protocol, Method::GET, path, "").await
    }

    pub(crate) async fn send(
        &self,
        protocol: Protocol,
        method: Method,
        path: &str,
        body: &str,
    ) -> Result<Answer, BoxError> {
        let base = match protocol {
            Protocol::H1 => format!("http://{}", self.plain),
            Protocol::H2 | Protocol::H3 => format!("https://{}", self.secure),
        };
        let request = http::Request::builder().method(method).uri(format!("{base}{path}"));
        match protocol {
            Protocol::H3 => over_h3(self.h3.clone(), request.body(())?, Bytes::from(body.to_owned())).await,
            Protocol::H1 | Protocol::H2 => {
                let response = self.http.request(request.body(Body::from(body.to_owned()))?).await?;
                let (parts, body) = response.into_parts();
                let body = body.collect().await?.to_bytes();
                Ok(Answer { version: parts.version, status: parts.status, headers: parts.headers, body })
            }
        }
    }

    /// Drains, and fails when a task is left.
    pub(crate) async fn stop(self) {
        self.daemon.drain.begin();
        assert_eq!(self.daemon.drain.wait(Duration::from_secs(10)).await, Ok(()));
        assert_eq!(self.metrics.connections.get(), 0);
        drop(self.h3);
        self.h3_driver.await.unwrap();
    }
}

pub(crate) fn client_endpoint(roots: &RootCertStore) -> quinn::Endpoint {
    let mut endpoint = quinn::Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
    let tls = client::client_config(roots.clone()).unwrap();
    endpoint.set_default_client_config(quic::client_config(tls).unwrap());
    endpoint
}

type H3 = (h3::client::SendRequest<OpenStreams, Payload>, JoinHandle<h3::error::ConnectionError>);

pub(crate) async fn connect(endpoint: &quinn::Endpoint, server: SocketAddr) -> H3 {
    let connection = endpoint.connect(server, "localhost").unwrap().await.unwrap();
    let (mut driver, h3) = quic::client(connection).await.unwrap();
    // The test's own task: it must outlive the drain under test.
    let driver = tokio::runtime::Handle::current().spawn(async move { driver.wait_idle().await });
    (h3, driver)
}

pub(crate) async fn over_h3(
    mut h3: h3::client::SendRequest<OpenStreams, Payload>,
    request: http::Request<()>,
    body: Bytes,
) -> Result<Answer, BoxError> {
    let mut stream = h3.send_request(request).await?;
    if !body.is_empty() {
        stream.send_data(body.into()).await?;
    }
    stream.finish().await?;
    let (parts, ()) = stream.recv_response().await?.into_parts();
    let mut whole = BytesMut::new();
    while let Some(mut chunk) = stream.recv_data().await? {
        whole.extend_from_slice(&chunk.copy_to_bytes(chunk.remaining()));
    }
    Ok(Answer { version: parts.version, status: parts.status, headers: parts.headers, body: whole.freeze() })
}
