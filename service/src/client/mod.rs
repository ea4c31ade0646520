//! The HTTP client of the house: pooled HTTP/1.1 and HTTP/2 to `http://` and `https://`, names by hickory.

mod connect;
mod trust;

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::sign::SingleCertAndKey;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde::{Deserialize, Serialize};

use crate::fleet::Way;
use crate::http::Body;
use crate::metrics::Counter;
use crate::tls::Identity;
use crate::{Error, Result, tls};

pub use hyper_util::client::legacy::Error as RequestError;
pub use trust::Trust;

use connect::{Allows, Connector};
use trust::Verifier;

/// How to reach others: a section of the daemon that asks, `[upstream]` at an edge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// PEM file of the authorities to trust in `https://`; empty for the system's.
    pub ca: PathBuf,
    /// Milliseconds for one TCP connection.
    pub connect_timeout_ms: u64,
    /// Seconds an unused connection is kept.
    pub idle_timeout: u64,
    /// Offer HTTP/2 in TLS.
    pub http2: bool,
}

/// A client and its pool. Clones share the pool; make one per daemon.
#[derive(Debug, Clone)]
pub struct Http {
    client: Client<Connector, Body>,
}

/// What several clients have in common: names and authorities are read once.
#[derive(Debug)]
pub(crate) struct Common {
    connector: Connector,
    idle: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self { ca: PathBuf::new(), connect_timeout_ms: 3000, idle_timeout: 60, http2: true }
    }
}

impl Http {
    /// Reads the trusted authorities; connects to nothing yet.
    ///
    /// # Errors
    /// `ca` is set and unusable. A system without authorities is no error: every `https://` is refused then.
    pub fn new(config: &Config) -> Result<Self> {
        Ok(Common::read(config, Counter::default())?.http(None))
    }

    /// As [`Http::new`], connecting only to addresses that `allows` says yes to, whether the URI has them or a name leads to
    /// them. It is asked before each connection, so a name that leads elsewhere later is no way around it.
    pub fn guarded(config: &Config, allows: fn(IpAddr) -> bool) -> Result<Self> {
        Self::build(config, client_config(roots(config)?)?, Counter::default(), allows)
    }

    /// As [`Http::new`], trusting `roots` alone.
    pub fn with_roots(config: &Config, roots: RootCertStore) -> Result<Self> {
        Self::build(config, client_config(roots)?, Counter::default(), |_| true)
    }

    /// As [`Http::new`], trusting `trust` as well, and showing `identity` to servers that ask.
    ///
    /// # Errors
    /// As [`Http::new`], or an authority of `trust` is none.
    pub fn mutual(config: &Config, trust: &Trust, identity: Option<&Identity>) -> Result<Self> {
        let mut tls = client_config(RootCertStore::empty())?;
        tls.dangerous().set_certificate_verifier(Arc::new(Verifier::new(roots(config)?, trust)?));
        if let Some(identity) = identity {
            tls.client_auth_cert_resolver = Arc::new(SingleCertAndKey::from(identity.certified.clone()));
        }
        Self::build(config, tls, Counter::default(), |_| true)
    }

    fn build(config: &Config, tls: ClientConfig, opened: Counter, allows: Allows) -> Result<Self> {
        Ok(Common::new(config, tls, opened, allows).http(None))
    }

    /// Sends a request and gives the response once its headers are in. The URI must be absolute. There is no
    /// deadline: the caller knows whether this is a long poll.
    ///
    /// # Errors
    /// No connection, or it broke before the headers were in. A request that was never sent on a stale
    /// connection is sent again on another one by itself.
    pub async fn request(
        &self,
        request: http::Request<Body>,
    ) -> Result<http::Response<Incoming>, RequestError> {
        self.client.request(request).await
    }
}

impl Common {
    /// Reads the trusted authorities. `opened` counts TCP connections, so that beside the requests it is seen how well they are
    /// used again.
    pub(crate) fn read(config: &Config, opened: Counter) -> Result<Self> {
        Ok(Self::new(config, client_config(roots(config)?)?, opened, |_| true))
    }

    fn new(config: &Config, mut tls: ClientConfig, opened: Counter, allows: Allows) -> Self {
        let connect = Duration::from_millis(config.connect_timeout_ms);
        tls.alpn_protocols.retain(|protocol| config.http2 || protocol != b"h2");
        let connector = Connector::new(Arc::new(tls), connect, opened, allows);
        Self { connector, idle: Duration::from_secs(config.idle_timeout) }
    }

    /// A client with a pool of its own; one for a node connects in its way.
    pub(crate) fn http(&self, way: Option<Arc<Way>>) -> Http {
        let client = Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(self.idle)
            // Media is fetched in pieces up to megabytes over long paths: 4 MiB at 100 ms is 320 Mb/s.
            .http2_initial_stream_window_size(4 << 20)
            .http2_initial_connection_window_size(8 << 20)
            .http2_keep_alive_interval(Duration::from_secs(10))
            .build(self.connector.clone().by(way));
        Http { client }
    }
}

/// Whether a request failed because nobody here knows the authority that has given the server its certificate.
pub fn is_untrusted(error: &(dyn std::error::Error + 'static)) -> bool {
    std::iter::successors(Some(error), |error| error.source()).any(|error| {
        let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        let tls = error.downcast_ref().or_else(|| inner.and_then(|inner| inner.downcast_ref()));
        matches!(
            tls,
            Some(rustls::Error::InvalidCertificate(
                rustls::CertificateError::UnknownIssuer | rustls::CertificateError::BadSignature
            ))
        )
    })
}

/// TLS for clients: the server is checked against `roots`, HTTP/2 is asked for.
pub fn client_config(roots: RootCertStore) -> Result<ClientConfig> {
    let builder = ClientConfig::builder_with_provider(tls::provider());
    let builder = builder.with_safe_default_protocol_versions().map_err(Error::Tls)?;
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

fn roots(config: &Config) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    if config.ca.as_os_str().is_empty() {
        if let Some(bundle) = SYSTEM_BUNDLES.iter().find_map(|path| std::fs::read(path).ok()) {
            // A system's bundle may hold a few that webpki does not accept; the others count.
            roots.add_parsable_certificates(CertificateDer::pem_slice_iter(&bundle).flatten());
        }
        return Ok(roots);
    }
    let unusable = |source| Error::Pem { what: "`ca`", path: config.ca.clone(), source };
    for certificate in CertificateDer::pem_file_iter(&config.ca).map_err(unusable)? {
        roots.add(certificate.map_err(unusable)?).map_err(Error::Tls)?;
    }
    if roots.is_empty() {
        return Err(unusable(rustls_pki_types::pem::Error::NoItemsFound));
    }
    Ok(roots)
}

/// Debian and Alpine; Fedora and its kin; SUSE.
const SYSTEM_BUNDLES: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem"];

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD as BASE64;

    use super::*;
    use crate::daemon::Daemon;
    use crate::http::{Response, Server};
    use crate::log::Chain;

    #[tokio::test]
    async fn a_name_is_resolved_and_its_certificate_checked() {
        let daemon = Daemon::new();
        let listen =
            crate::http::Config { listen: "127.0.0.1:0".parse().ok(), h3: false, ..Default::default() };
        let server = Server::bind(&listen, &tls::Config::default(), &daemon).await.unwrap();
        let port = server.secure_address().unwrap().port();
        let certificate = BASE64.encode(server.tls().unwrap().certificate().unwrap());
        server.serve(|_| async { Response::new("ok".into()) }).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let ca = dir.path().join("ca.pem");
        std::fs::write(
            &ca,
            format!("-----BEGIN CERTIFICATE-----\n{certificate}\n-----END CERTIFICATE-----\n"),
        )
        .unwrap();

        let get = async |config: &Config| {
            let uri = format!("https://localhost:{port}/");
            let request = http::Request::get(uri).body(Body::empty()).unwrap();
            Http::new(config).unwrap().request(request).await
        };
        let response = get(&Config { ca, ..Config::default() }).await.unwrap();
        assert_eq!((response.status().as_u16(), response.version()), (200, http::Version::HTTP_2));
        let refused = get(&Config::default()).await.unwrap_err();
        assert!(Chain(&refused).to_string().contains("invalid peer certificate"), "{}", Chain(&refused));
    }

    #[tokio::test]
    async fn what_is_not_allowed_is_not_connected_to_whether_by_address_or_by_name() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let http =
            Http::guarded(&Config::default(), |address| !address.to_canonical().is_loopback()).unwrap();
        for host in ["127.0.0.1", "localhost", "LOCALHOST.", "[::1]", "[::ffff:127.0.0.1]"] {
            let request = http::Request::get(format!("http://{host}:{port}/")).body(Body::empty()).unwrap();
            let refused = Chain(&http.request(request).await.unwrap_err()).to_string();
            assert!(refused.contains("does not connect to"), "{host}: {refused}");
        }
        let nobody = std::future::poll_fn(|context| std::task::Poll::Ready(listener.poll_accept(context)));
        assert!(nobody.await.is_pending(), "somebody connected");
    }

    #[tokio::test]
    async fn a_file_without_authorities_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let ca = dir.path().join("empty.pem");
        std::fs::write(&ca, "").unwrap();
        let error = Http::new(&Config { ca, ..Config::default() }).unwrap_err().to_string();
        assert!(error.contains("empty.pem") && error.contains("`ca`"), "{error}");
    }
}
