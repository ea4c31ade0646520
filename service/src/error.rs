//! What can go wrong in the shell of a daemon, in words that say what to do.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// A failure of the shell. `Display` says what was attempted; the cause is the source, see
/// [`log::Chain`](crate::log::Chain).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("cannot read the configuration file {}: check the path and its permissions", path.display())]
    ConfigFile { path: PathBuf, source: io::Error },
    /// `at` is `FILE:LINE` or the environment variable's name; `key` is empty where none is known.
    #[error("{at}: {key}{message}; correct it, or remove it to use the default")]
    ConfigValue { at: String, key: String, message: String },
    #[error("the configuration cannot work: {0}")]
    ConfigCheck(String),
    #[error("cannot listen on {address} ({transport}): {}", listen_advice(source, key))]
    Listen { address: SocketAddr, transport: &'static str, key: &'static str, source: io::Error },
    #[error("cannot use {what} in {}", path.display())]
    Pem { what: &'static str, path: PathBuf, source: rustls_pki_types::pem::Error },
    #[error("the key in {} does not fit the certificate in {}", key.display(), certificate.display())]
    KeyMismatch { certificate: PathBuf, key: PathBuf, source: rustls::Error },
    #[error(
        "the certificate in {} has no DNS name that a client could ask for: use it as `tls.certificate`, or leave \
         it out", certificate.display()
    )]
    NoNames { certificate: PathBuf },
    #[error("cannot {what} {}: check `tls.acme.folder` and its permissions", path.display())]
    AcmeFolder { what: &'static str, path: PathBuf, source: io::Error },
    #[error("the ACME server at {directory} did not give {what}")]
    Acme { directory: String, what: &'static str, source: Box<instant_acme::Error> },
    #[error(
        "the ACME server could not verify all names ({reasons}); each of `tls.acme.names` has to lead to this node \
         and no other, and its port 443 to `http.listen`"
    )]
    AcmeNames { reasons: String },
    #[error("the certificate that the ACME server gave cannot be used: {reason}")]
    AcmeCertificate { reason: String },
    #[error("the certificate that was given out cannot be used")]
    Issued(#[source] io::Error),
    #[error("cannot set up TLS")]
    Tls(#[source] rustls::Error),
    #[error("cannot make a self-signed certificate for {names:?}: check `tls.names`")]
    SelfSigned { names: Vec<String>, source: rcgen::Error },
    #[error("the TLS configuration has no cipher suite that QUIC can start with")]
    QuicTls(#[source] quinn::crypto::rustls::NoInitialCipherSuite),
    #[error("{url:?} is not a base URL: use http://HOST:PORT or https://HOST:PORT")]
    BaseUrl { url: String },
    #[error("cannot start the runtime")]
    Runtime(#[source] io::Error),
}

/// The result of most of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

fn listen_advice(error: &io::Error, key: &str) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            format!("the address is in use; stop the process that has it, or change `{key}`")
        }
        io::ErrorKind::AddrNotAvailable => {
            format!("this machine has no such address; change `{key}` to one of its own")
        }
        io::ErrorKind::PermissionDenied => {
            format!("not permitted; ports below 1024 need CAP_NET_BIND_SERVICE, or change `{key}`")
        }
        _ => format!("the system refused; check `{key}`"),
    }
}
