//! TLS on an accepted connection: other nodes by the name in this one's certificate, everybody else as configured.

use std::io;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::server::Acceptor;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

use crate::fleet::NodeTls;

/// How connections begin. Clones are the same.
#[derive(Debug, Clone)]
pub(super) struct Handshake {
    pub(super) config: Arc<ServerConfig>,
    /// Where nodes are admitted.
    pub(super) nodes: Option<Arc<NodeTls>>,
}

impl Handshake {
    /// Shakes hands.
    pub(super) async fn shake<S>(&self, stream: S) -> io::Result<TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let hello = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
        let name = hello.client_hello();
        let of_nodes = name.server_name().zip(self.nodes.as_ref());
        let of_nodes = of_nodes.and_then(|(name, nodes)| nodes.config(name));
        hello.into_stream(of_nodes.unwrap_or_else(|| Arc::clone(&self.config))).await
    }
}
