//! HTTP/1.1, HTTP/2 and HTTP/3 on one address, with limits, drain and one handler for all three.

mod answer;
mod body;
mod connection;
mod h3;
mod handshake;
mod listen;
mod server;
pub(crate) mod slow;

use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::optional;

pub use answer::Metrics;
pub use body::{Body, BoxError, ReadError, RequestBody, read_limited, read_start};
pub use server::Server;

/// What a handler gets. Extensions carry the [`Peer`], and the [`ClientCertificate`](crate::tls::ClientCertificate) where
/// the client was asked for one and has it.
pub type Request = http::Request<RequestBody>;

/// What a handler gives.
pub type Response = http::Response<Body>;

/// `[http]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where HTTP/1.1 and HTTP/2 over TLS (TCP) and HTTP/3 (UDP, same port) are served; empty for nowhere.
    #[serde(with = "optional")]
    pub listen: Option<SocketAddr>,
    /// Where HTTP/1.1 without TLS is served; empty for nowhere.
    #[serde(with = "optional")]
    pub plain_listen: Option<SocketAddr>,
    /// Threads that serve, each with a runtime and listening sockets of its own (`SO_REUSEPORT`); 0 for one pool of as many
    /// threads as there are cores, which take work from each other. Left out, an edge has one for each core, others the pool.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workers: Option<u8>,
    /// Serve HTTP/3, and announce it with Alt-Svc.
    pub h3: bool,
    /// Connections of all protocols together; more are closed as they come.
    pub max_connections: usize,
    /// Seconds without a complete request after which a connection is closed: idle ones, and those that
    /// trickle their headers.
    pub idle_timeout: u64,
}

/// Who asks, and over what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    pub address: SocketAddr,
    pub protocol: Protocol,
    /// True over TLS and QUIC.
    pub secure: bool,
}

/// An HTTP version on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    H1,
    H2,
    H3,
}

/// Answers requests. A panic inside is the request's 500, not the process's end.
///
/// Closures `Fn(Request) -> impl Future<Output = Response>` are handlers.
pub trait Handler: Send + Sync + 'static {
    /// Answers one request. The future is dropped when the client goes away, so work that others wait for
    /// belongs in a task of its own.
    fn handle(&self, request: Request) -> impl Future<Output = Response> + Send;
}

impl<F, R> Handler for F
where
    F: Fn(Request) -> R + Send + Sync + 'static,
    R: Future<Output = Response> + Send,
{
    fn handle(&self, request: Request) -> impl Future<Output = Response> + Send {
        self(request)
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: None,
            plain_listen: None,
            workers: None,
            h3: true,
            max_connections: 20_000,
            idle_timeout: 30,
        }
    }
}

impl Config {
    fn idle_timeout(&self) -> Duration {
        Duration::from_secs(self.idle_timeout)
    }
}

impl Protocol {
    /// `h1`, `h2` or `h3`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::H1 => "h1",
            Self::H2 => "h2",
            Self::H3 => "h3",
        }
    }
}

#[cfg(test)]
mod tests;
