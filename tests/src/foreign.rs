//! An HTTP origin that is not ours: it counts what it is asked, tags what it says, and can be told to fail.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// A running origin. Dropping it closes its connections.
#[derive(Debug)]
pub struct Foreign {
    address: SocketAddr,
    state: Arc<State>,
    _tasks: JoinSet<()>,
}

#[derive(Debug, Default)]
struct State {
    asked: Mutex<BTreeMap<String, usize>>,
    /// Answers are 503.
    down: AtomicBool,
    /// Bodies break off in the middle.
    cut: AtomicBool,
}

type Body = UnsyncBoxBody<Bytes, std::io::Error>;

impl Foreign {
    /// Listens on a port of its own, plain HTTP/1.1.
    ///
    /// The body of `/{tag}/{size}/…` is `size` bytes that begin with how often the path was asked for; it is fresh for an
    /// hour, or for a second where the path ends in `.m3u8`.
    pub async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let state = Arc::<State>::default();
        let shared = Arc::clone(&state);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let state = Arc::clone(&shared);
                let service = service_fn(move |request: Request<Incoming>| {
                    let answer = state.answer(&request);
                    async move { Ok::<_, Infallible>(answer) }
                });
                let connection = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service);
                connections.spawn(async move { drop(connection.await) });
            }
        });
        Ok(Self { address, state, _tasks: tasks })
    }

    /// Its base URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How often a path was asked for.
    pub fn count(&self, path: &str) -> usize {
        self.state.asked().get(path).copied().unwrap_or(0)
    }

    /// From now on it answers 503, or no longer.
    pub fn set_down(&self, down: bool) {
        self.state.down.store(down, Ordering::Relaxed);
    }

    /// From now on its bodies break off in the middle, or no longer.
    pub fn set_cut(&self, cut: bool) {
        self.state.cut.store(cut, Ordering::Relaxed);
    }
}

impl State {
    fn answer(&self, request: &Request<Incoming>) -> Response<Body> {
        let path = request.uri().path().to_owned();
        let count = {
            let mut asked = self.asked();
            let count = asked.entry(path.clone()).or_default();
            *count += 1;
            *count
        };
        let mut parts = path.split('/').skip(1);
        let (tag, size) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let mut text = format!("{count};").into_bytes();
        text.resize(size.parse().unwrap_or(text.len()).max(text.len()), b'.');
        let (status, text) =
            if self.down.load(Ordering::Relaxed) { (503, b"down".to_vec()) } else { (200, text) };
        let life = if path.ends_with(".m3u8") { "max-age=1" } else { "max-age=3600" };
        let length = text.len();
        let body = if self.cut.load(Ordering::Relaxed) {
            let half = Bytes::copy_from_slice(&text[..length / 2]);
            let broken = stream::once(async { Err(std::io::Error::other("cut")) });
            StreamBody::new(stream::iter([Ok(Frame::data(half))]).chain(broken)).boxed_unsync()
        } else {
            Full::new(Bytes::from(text)).map_err(|never| match never {}).boxed_unsync()
        };
        let mut response = Response::new(body);
        *response.status_mut() = http::StatusCode::from_u16(status).unwrap_or_default();
        let headers = response.headers_mut();
        if status == 200 {
            headers.insert("cache-control", http::HeaderValue::from_static(life));
            if let Ok(tag) = http::HeaderValue::from_str(tag) {
                headers.insert("surrogate-key", tag);
            }
        }
        headers.insert("content-length", length.into());
        response
    }

    fn asked(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, usize>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
