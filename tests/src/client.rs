//! HTTP clients that share no code with our servers: hyper for H1 and H2, h3 over h3-quinn for H3.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use bytes::{Buf as _, Bytes, BytesMut};
use http::{HeaderMap, Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// How a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1, plain or in TLS as the URL says.
    H1,
    /// HTTP/2 in TLS.
    H2,
    /// HTTP/3.
    H3,
}

/// A client of one server. Requests may run side by side: H1 opens as many connections as that takes.
pub struct Client {
    base: Uri,
    /// What stands before every path.
    prefix: String,
    address: SocketAddr,
    tls: Arc<rustls::ClientConfig>,
    kind: Kind,
    drivers: Mutex<JoinSet<()>>,
}

type H1 = http1::SendRequest<Full<Bytes>>;

enum Kind {
    H1(Mutex<Vec<H1>>),
    H2(http2::SendRequest<Full<Bytes>>),
    H3(h3::client::SendRequest<h3_quinn::OpenStreams, Bytes>, quinn::Endpoint),
}

/// A whole answer and when it came.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// From the request's first byte to the answer's header.
    pub first_byte: Duration,
    /// From the request's first byte to the answer's last.
    pub total: Duration,
}

impl Client {
    /// Connects to `base` (`https://127.0.0.1:8443`), trusting only what `tls` trusts.
    ///
    /// The host of `base` is an address or a name that `tls` trusts; names are taken to be on 127.0.0.1.
    pub async fn connect(base: &str, protocol: Protocol, roots: &rustls::RootCertStore) -> Result<Self> {
        let base: Uri = base.parse().with_context(|| format!("{base} is not a URL"))?;
        let host = base.host().unwrap_or_default();
        let port = base.port_u16().context("a base URL needs a port")?;
        let address = SocketAddr::new(host.parse().unwrap_or([127, 0, 0, 1].into()), port);
        let tls = Arc::new(tls_config(protocol, roots)?);
        let mut drivers = JoinSet::new();
        let what = || format!("connecting to {base} with {protocol:?}");
        let kind = match protocol {
            Protocol::H1 => Kind::H1(Mutex::default()),
            Protocol::H2 => Kind::H2(h2(address, host, &tls, &mut drivers).await.with_context(what)?),
            Protocol::H3 => {
                let (send, endpoint) = h3(address, host, &tls, &mut drivers).await.with_context(what)?;
                Kind::H3(send, endpoint)
            }
        };
        Ok(Self { base, prefix: String::new(), address, tls, kind, drivers: Mutex::new(drivers) })
    }

    /// Asks for everything under `prefix`, as a player does whose first URL was under it.
    pub fn under(mut self, prefix: &str) -> Self {
        self.prefix = prefix.to_owned();
        self
    }

    /// Gets `path` (with its query) and reads the whole answer, whatever its status.
    pub async fn get(&self, path: &str) -> Result<Reply> {
        self.send(Method::GET, path, &[], Bytes::new()).await
    }

    /// Any request, with headers and a body.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Result<Reply> {
        let what = format!("{method} {path} at {}", self.base);
        let request = self.request(method, path, headers, body)?;
        let reply = match &self.kind {
            Kind::H1(idle) => self.send_h1(idle, request).await,
            Kind::H2(send) => {
                let start = Instant::now();
                match send.clone().send_request(request).await {
                    Ok(response) => read(start, response).await,
                    Err(error) => Err(error.into()),
                }
            }
            Kind::H3(send, _) => send_h3(send.clone(), request).await,
        };
        reply.context(what)
    }

    async fn send_h1(&self, idle: &Mutex<Vec<H1>>, request: Request<Full<Bytes>>) -> Result<Reply> {
        let waiting = idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut send = match waiting {
            Some(send) if !send.is_closed() => send,
            _ => self.connect_h1().await?,
        };
        let start = Instant::now();
        let response = send.send_request(request).await?;
        let reply = read(start, response).await?;
        if send.ready().await.is_ok() {
            idle.lock().unwrap_or_else(PoisonError::into_inner).push(send);
        }
        Ok(reply)
    }

    async fn connect_h1(&self) -> Result<H1> {
        let tcp = TcpStream::connect(self.address).await?;
        tcp.set_nodelay(true)?;
        let mut drivers = JoinSet::new();
        let send = if self.base.scheme_str() == Some("https") {
            let stream = handshake(tcp, self.base.host().unwrap_or_default(), &self.tls).await?;
            let (send, driver) = http1::handshake(TokioIo::new(stream)).await?;
            drivers.spawn(async move { drop(driver.await) });
            send
        } else {
            let (send, driver) = http1::handshake(TokioIo::new(tcp)).await?;
            drivers.spawn(async move { drop(driver.await) });
            send
        };
        // One set owns every driver, so that dropping the client closes its connections.
        let mut all = self.drivers.lock().unwrap_or_else(PoisonError::into_inner);
        all.spawn(async move { while drivers.join_next().await.is_some() {} });
        Ok(send)
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Result<Request<Full<Bytes>>> {
        let authority = self.base.authority().context("a base URL needs a host")?;
        // HTTP/1.1 names the host in a header, the others in the target.
        let target = match self.kind {
            Kind::H1(_) => format!("{}{path}", self.prefix),
            Kind::H2(_) | Kind::H3(..) => format!("https://{authority}{}{path}", self.prefix),
        };
        let mut request = Request::builder().method(method).uri(target);
        if matches!(self.kind, Kind::H1(_)) {
            request = request.header("host", authority.as_str());
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Ok(request.body(Full::new(body))?)
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        if let Kind::H3(_, endpoint) = &self.kind {
            // H3_NO_ERROR, so that the server does not wait for an idle timeout.
            endpoint.close(0x100_u32.into(), b"");
        }
    }
}

/// A TLS connection to `base` that agreed on `protocol`, for what no client would send.
pub async fn raw(
    base: SocketAddr,
    protocol: Protocol,
    roots: &rustls::RootCertStore,
) -> Result<tokio_rustls::client::TlsStream<TcpStream>> {
    let tcp = TcpStream::connect(base).await?;
    handshake(tcp, &base.ip().to_string(), &Arc::new(tls_config(protocol, roots)?)).await
}

impl Reply {
    /// A header's value, or "" when it is absent or not text.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The body as text.
    pub fn text(&self) -> Result<&str> {
        std::str::from_utf8(&self.body).context("the body is not UTF-8")
    }

    /// The reply itself if it has this status; otherwise an error that shows what the server said.
    pub fn expect(self, status: u16) -> Result<Self> {
        if self.status.as_u16() != status {
            bail!("expected {status}, got {}: {}", self.status, String::from_utf8_lossy(&self.body));
        }
        Ok(self)
    }
}

async fn read(start: Instant, response: http::Response<hyper::body::Incoming>) -> Result<Reply> {
    let first_byte = start.elapsed();
    let (parts, body) = response.into_parts();
    let body = body.collect().await?.to_bytes();
    let total = start.elapsed();
    Ok(Reply { status: parts.status, headers: parts.headers, body, first_byte, total })
}

async fn send_h3(
    mut send: h3::client::SendRequest<h3_quinn::OpenStreams, Bytes>,
    request: Request<Full<Bytes>>,
) -> Result<Reply> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let start = Instant::now();
    let mut stream = send.send_request(Request::from_parts(parts, ())).await?;
    if !body.is_empty() {
        stream.send_data(body).await?;
    }
    stream.finish().await?;
    let response = stream.recv_response().await?;
    let first_byte = start.elapsed();
    let mut body = BytesMut::new();
    while let Some(mut chunk) = stream.recv_data().await? {
        while chunk.has_remaining() {
            let piece = chunk.chunk();
            body.extend_from_slice(piece);
            let len = piece.len();
            chunk.advance(len);
        }
    }
    let (parts, ()) = response.into_parts();
    let (body, total) = (body.freeze(), start.elapsed());
    Ok(Reply { status: parts.status, headers: parts.headers, body, first_byte, total })
}

async fn h2(
    address: SocketAddr,
    host: &str,
    tls: &Arc<rustls::ClientConfig>,
    drivers: &mut JoinSet<()>,
) -> Result<http2::SendRequest<Full<Bytes>>> {
    let tcp = TcpStream::connect(address).await?;
    tcp.set_nodelay(true)?;
    let stream = handshake(tcp, host, tls).await?;
    if stream.get_ref().1.alpn_protocol() != Some(b"h2") {
        bail!("the server did not choose h2");
    }
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder.initial_stream_window_size(4 << 20).initial_connection_window_size(16 << 20);
    let (send, driver) = builder.handshake(TokioIo::new(stream)).await?;
    drivers.spawn(async move { drop(driver.await) });
    Ok(send)
}

async fn h3(
    address: SocketAddr,
    host: &str,
    tls: &Arc<rustls::ClientConfig>,
    drivers: &mut JoinSet<()>,
) -> Result<(h3::client::SendRequest<h3_quinn::OpenStreams, Bytes>, quinn::Endpoint)> {
    let crypto = quinn::crypto::rustls::QuicClientConfig::try_from(Arc::clone(tls))?;
    let mut endpoint = quinn::Endpoint::client(([127, 0, 0, 1], 0).into())?;
    endpoint.set_default_client_config(quinn::ClientConfig::new(Arc::new(crypto)));
    let connection = endpoint.connect(address, host)?.await?;
    let (mut driver, send) = h3::client::new(h3_quinn::Connection::new(connection)).await?;
    drivers.spawn(async move { drop(std::future::poll_fn(|cx| driver.poll_close(cx)).await) });
    Ok((send, endpoint))
}

async fn handshake(
    tcp: TcpStream,
    host: &str,
    tls: &Arc<rustls::ClientConfig>,
) -> Result<tokio_rustls::client::TlsStream<TcpStream>> {
    let name = rustls::pki_types::ServerName::try_from(host.to_owned())?;
    Ok(tokio_rustls::TlsConnector::from(Arc::clone(tls)).connect(name, tcp).await?)
}

fn tls_config(protocol: Protocol, roots: &rustls::RootCertStore) -> Result<rustls::ClientConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots.clone())
        .with_no_client_auth();
    let alpn: &[u8] = match protocol {
        Protocol::H1 => b"http/1.1",
        Protocol::H2 => b"h2",
        Protocol::H3 => b"h3",
    };
    config.alpn_protocols = vec![alpn.to_vec()];
    Ok(config)
}
