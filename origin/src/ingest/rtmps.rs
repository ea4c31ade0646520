//! RTMP inside TLS: the same connections behind a handshake.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use nearcast_service::config::optional;
use nearcast_service::log::Chain;
use nearcast_service::tls::Tls;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::{Context, Door, accept, listen};
use crate::error::Result;
use crate::metrics::ReasonLabels;

/// `[rtmps]`: limits and deadlines are those of `[rtmp]`, which both share; the certificate is `[tls]`'s.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where publishers connect over TLS: `rtmps://ADDRESS/live` with the stream key as the stream's name. Empty for
    /// no RTMPS.
    #[serde(with = "optional")]
    pub listen: Option<SocketAddr>,
}

/// The bound listener.
#[derive(Debug)]
pub(super) struct Secure {
    listener: TcpListener,
    tls: TlsConfig,
}

type TlsConfig = Arc<tokio_rustls::rustls::ServerConfig>;

impl Default for Config {
    fn default() -> Self {
        Self { listen: Some((Ipv4Addr::LOCALHOST, 1936).into()) }
    }
}

impl Secure {
    pub(super) async fn bind(address: SocketAddr, tls: &Tls) -> Result<Self> {
        let listener = listen(address, "rtmps.listen").await?;
        Ok(Self { listener, tls: Arc::new(tls.server_config(&[])?) })
    }

    pub(super) fn address(&self) -> Option<SocketAddr> {
        self.listener.local_addr().ok()
    }

    pub(super) fn serve(self, context: &Arc<Context>, door: &Door) {
        let acceptor = TlsAcceptor::from(self.tls);
        let shaken = Arc::clone(context);
        accept(self.listener, "rtmps listener", Arc::clone(context), door.clone(), move |stream| {
            let (acceptor, context) = (acceptor.clone(), Arc::clone(&shaken));
            async move {
                let peer = stream.peer_addr().ok();
                match acceptor.accept(stream).await {
                    Ok(stream) => Some(stream),
                    Err(error) => {
                        context.metrics.failed.get_or_create(&ReasonLabels { reason: "tls" }).inc();
                        let cause = error.get_ref().and_then(|inner| inner.downcast_ref());
                        if let Some(tokio_rustls::rustls::Error::InvalidMessage(_)) = cause {
                            context.wrong_door(peer, NO_TLS);
                        }
                        tracing::debug!(
                            peer = peer.map(tracing::field::display),
                            "no TLS comes about: {}",
                            Chain(&error)
                        );
                        None
                    }
                }
            }
        });
    }
}

const NO_TLS: &str =
    "a connection to `rtmps.listen` does not speak TLS: rtmp:// is for the port of `rtmp.listen`";
