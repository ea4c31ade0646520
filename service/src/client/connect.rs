//! How a client connection comes to be: name, TCP, and TLS for `https://`.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use hickory_resolver::TokioResolver;
use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tower_service::Service;

use crate::fleet::{Shaken, Way};
use crate::http::BoxError;
use crate::log::Chain;
use crate::metrics::Counter;

/// Connects to a URI's host.
#[derive(Debug, Clone)]
pub(super) struct Connector {
    tcp: HttpConnector<Dns>,
    tls: TlsConnectorDebug,
    handshake: Duration,
    opened: Counter,
    allows: Allows,
    /// To one node; none as the URI says.
    way: Option<Arc<Way>>,
}

/// Whether an address may be connected to.
pub(super) type Allows = fn(IpAddr) -> bool;

/// Where a URL leads is no place to connect to.
#[derive(Debug, thiserror::Error)]
#[error("{host} leads to {address}, which this client does not connect to")]
struct Refused {
    host: String,
    address: IpAddr,
}

/// A connection, with or without TLS.
pub(super) enum Stream {
    Plain(TokioIo<TcpStream>),
    Tls(Box<TokioIo<TlsStream<TcpStream>>>),
}

/// Names to addresses with the system's name servers and hosts file.
#[derive(Debug, Clone)]
struct Dns {
    resolver: Result<TokioResolver, String>,
    allows: Allows,
}

#[derive(Clone)]
struct TlsConnectorDebug(TlsConnector);

impl Connector {
    pub(super) fn new(tls: Arc<ClientConfig>, connect: Duration, opened: Counter, allows: Allows) -> Self {
        let mut tcp = HttpConnector::new_with_resolver(Dns::of_system(allows));
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(connect));
        tcp.set_keepalive(Some(Duration::from_secs(15)));
        Self { tcp, tls: TlsConnectorDebug(tls.into()), handshake: connect, opened, allows, way: None }
    }

    /// The same, connecting to a node.
    pub(super) fn by(self, way: Option<Arc<Way>>) -> Self {
        Self { way, ..self }
    }
}

impl Dns {
    /// Where /etc/resolv.conf is unusable, addresses in URLs still work; names fail with the reason.
    fn of_system(allows: Allows) -> Self {
        let resolver = TokioResolver::builder_tokio().and_then(|builder| builder.build());
        let unusable = |error| format!("the system's DNS configuration is unusable: {}", Chain(&error));
        Self { resolver: resolver.map_err(unusable), allows }
    }
}

impl Service<Name> for Dns {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let Self { resolver, allows } = self.clone();
        async move {
            let found = resolver?.lookup_ip(name.as_str()).await?;
            let (allowed, refused): (Vec<_>, Vec<_>) = found.iter().partition(|ip| allows(*ip));
            if let ([], Some(address)) = (&*allowed, refused.first()) {
                return Err(Refused { host: name.as_str().to_owned(), address: *address }.into());
            }
            // The connector puts the URI's port in.
            let addresses: Vec<_> = allowed.into_iter().map(|ip| SocketAddr::new(ip, 0)).collect();
            Ok(addresses.into_iter())
        }
        .boxed()
    }
}

impl Service<Uri> for Connector {
    type Response = Stream;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Stream, BoxError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.tcp.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let secure = uri.scheme_str() == Some("https");
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        // An address in the URI is connected to without asking the resolver.
        if let Some(address) = host.parse().ok().filter(|address| !(self.allows)(*address)) {
            return async move { Err(Refused { host, address }.into()) }.boxed();
        }
        let tcp = self.tcp.call(uri.clone());
        let mut this = self.clone();
        async move {
            let mut stream = tcp.await?;
            this.opened.inc();
            if !secure {
                return Ok(Stream::Plain(stream));
            }
            let mut by_name = None;
            if let Some(way) = this.way.as_ref().filter(|way| way.is_by_name()) {
                match way.shake(stream.into_inner(), this.handshake).await? {
                    Shaken::Hands(stream) => return Ok(Stream::Tls(Box::new(TokioIo::new(*stream)))),
                    Shaken::Not(error) => by_name = Some((way.clone(), error)),
                }
                stream = this.tcp.call(uri).await?;
                this.opened.inc();
            }
            let name = ServerName::try_from(host)?;
            let shaking = this.tls.0.connect(name, stream.into_inner());
            let shaken = tokio::time::timeout(this.handshake, shaking).await;
            match (shaken, by_name) {
                (Ok(Ok(stream)), by_name) => {
                    if let Some((way, _)) = by_name {
                        way.goes_by_url();
                    }
                    Ok(Stream::Tls(Box::new(TokioIo::new(stream))))
                }
                (_, Some((_, error))) => Err(error),
                (Ok(Err(error)), None) => Err(error.into()),
                (Err(elapsed), None) => Err(elapsed.into()),
            }
        }
        .boxed()
    }
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        match self {
            Self::Plain(stream) => stream.connected(),
            Self::Tls(stream) => {
                let (tcp, tls) = stream.inner().get_ref();
                let connected = tcp.connected();
                if tls.alpn_protocol() == Some(b"h2") { connected.negotiated_h2() } else { connected }
            }
        }
    }
}

impl Read for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl Write for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }
}

impl std::fmt::Debug for TlsConnectorDebug {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TlsConnector")
    }
}
