//! A webhook's receiver on loopback, which answers as it is told.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use http::{HeaderMap, StatusCode};
use nearcast_service::daemon::Daemon;
use nearcast_service::http::{Body, Config, Request, Response, Server, read_limited};
use nearcast_service::tls;
use serde_json::Value;
use tokio::sync::mpsc;

/// A running one.
pub(crate) struct Receiver {
    pub(crate) url: String,
    port: u16,
    answers: Arc<Mutex<VecDeque<Reply>>>,
    received: mpsc::Receiver<Received>,
    _daemon: Daemon,
}

/// What it was sent.
pub(crate) struct Received {
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

/// What it answers.
#[derive(Clone, Default)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) header: Option<(&'static str, String)>,
    pub(crate) body: String,
    /// It never does.
    pub(crate) silent: bool,
}

impl Receiver {
    pub(crate) async fn start() -> Self {
        let daemon = Daemon::new();
        let listen = Config { plain_listen: Some(([127, 0, 0, 1], 0).into()), ..Config::default() };
        let server = Server::bind(&listen, &tls::Config::default(), &daemon).await.unwrap();
        let port = server.plain_address().unwrap().port();
        let answers: Arc<Mutex<VecDeque<Reply>>> = Arc::default();
        let (send, received) = mpsc::channel(64);
        let handler = {
            let answers = answers.clone();
            move |request: Request| answer(request, answers.clone(), send.clone())
        };
        server.serve(handler).unwrap();
        Self { url: format!("http://127.0.0.1:{port}/hook"), port, answers, received, _daemon: daemon }
    }

    /// The same place by another name of its host.
    pub(crate) fn at(&self, host: &str) -> String {
        format!("http://{host}:{}/hook", self.port)
    }

    /// What comes next is answered so, and what comes after all that with 200.
    pub(crate) fn answers(&self, replies: impl IntoIterator<Item = Reply>) {
        self.answers.lock().unwrap().extend(replies);
    }

    /// The next delivery.
    pub(crate) async fn next(&mut self) -> Received {
        let next = tokio::time::timeout(std::time::Duration::from_secs(20), self.received.recv()).await;
        next.expect("nothing was delivered").unwrap()
    }

    /// The next delivery's body.
    pub(crate) async fn next_event(&mut self) -> Value {
        serde_json::from_str(&self.next().await.body).unwrap()
    }

    /// Whether nothing has come that was not asked for.
    pub(crate) fn is_idle(&mut self) -> bool {
        self.received.try_recv().is_err()
    }
}

impl Reply {
    pub(crate) fn status(status: u16) -> Self {
        Self { status: status.try_into().unwrap(), ..Self::default() }
    }
}

async fn answer(
    request: Request,
    answers: Arc<Mutex<VecDeque<Reply>>>,
    received: mpsc::Sender<Received>,
) -> Response {
    let (head, body) = request.into_parts();
    let body = String::from_utf8(read_limited(body, 1 << 20).await.unwrap().to_vec()).unwrap();
    let reply = answers.lock().unwrap().pop_front().unwrap_or_default();
    received.send(Received { headers: head.headers, body }).await.unwrap();
    if reply.silent {
        std::future::pending::<()>().await;
    }
    let response = http::Response::builder().status(reply.status);
    let response = match reply.header {
        Some((name, value)) => response.header(name, value),
        None => response,
    };
    response.body(Body::from(reply.body)).unwrap()
}
