//! A reverse proxy that counts: it stands before an origin and knows what was asked of it, and how often.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// A running proxy. Dropping it closes its connections.
#[derive(Debug)]
pub struct Proxy {
    asked: Asked,
    _tasks: JoinSet<()>,
}

type Asked = Arc<Mutex<BTreeMap<String, usize>>>;

impl Proxy {
    /// Listens on `listen` (plain HTTP/1.1) and passes everything on to `upstream`.
    pub async fn start(listen: SocketAddr, upstream: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind(listen).await?;
        let asked = Asked::default();
        let client: Client<_, Incoming> = Client::builder(TokioExecutor::new()).build(HttpConnector::new());
        let mut tasks = JoinSet::new();
        let counts = Arc::clone(&asked);
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (client, counts) = (client.clone(), Arc::clone(&counts));
                let service = service_fn(move |request: Request<Incoming>| {
                    let (client, counts) = (client.clone(), Arc::clone(&counts));
                    async move { pass(&client, &counts, upstream, request).await }
                });
                let server = hyper::server::conn::http1::Builder::new();
                let connection = server.serve_connection(TokioIo::new(stream), service);
                connections.spawn(async move {
                    let _ = connection.await;
                });
            }
        });
        Ok(Self { asked, _tasks: tasks })
    }

    /// How often each path (with its query) was asked for since the start or the last call.
    pub fn take(&self) -> BTreeMap<String, usize> {
        std::mem::take(&mut *self.asked.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

async fn pass(
    client: &Client<HttpConnector, Incoming>,
    asked: &Asked,
    upstream: SocketAddr,
    mut request: Request<Incoming>,
) -> Result<http::Response<Incoming>> {
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str()).to_owned();
    *asked.lock().unwrap_or_else(PoisonError::into_inner).entry(path.clone()).or_default() += 1;
    *request.uri_mut() = format!("http://{upstream}{path}").parse()?;
    Ok(client.request(request).await?)
}
