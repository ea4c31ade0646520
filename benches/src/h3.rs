//! Load over HTTP/3: quinn and h3, with as little work for an answer as a client can have.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use bytes::{Buf as _, Bytes};
use http::{Request, Uri};
use quinn::crypto::rustls::QuicClientConfig;
use rustls::crypto::aws_lc_rs;
use tokio::task::JoinSet;

use crate::load::Target;

type Send = h3::client::SendRequest<h3_quinn::OpenStreams, Bytes>;

/// Keeps `streams` requests outstanding on each of `connections`; returns how many whole, good answers came in `time`.
pub(crate) async fn run(
    target: Target<'_>,
    connections: usize,
    streams: usize,
    time: Duration,
) -> Result<f64> {
    let uri: Uri = format!("{}{}", target.base, target.path).parse()?;
    let config = config(target)?;
    let (mut drivers, mut endpoints, mut asking) = (JoinSet::new(), Vec::new(), JoinSet::new());
    let end = Instant::now() + time;
    for _ in 0..connections {
        let (send, endpoint) = connect(&uri, &config, &mut drivers).await?;
        endpoints.push(endpoint);
        for _ in 0..streams {
            asking.spawn(ask(send.clone(), uri.clone(), target.size, end));
        }
    }
    let mut answers = 0;
    while let Some(one) = asking.join_next().await {
        answers += one??;
    }
    for endpoint in &endpoints {
        // H3_NO_ERROR: nobody has to wait for an idle timeout.
        endpoint.close(0x100_u32.into(), b"");
    }
    for endpoint in &endpoints {
        endpoint.wait_idle().await;
    }
    Ok(answers as f64)
}

async fn ask(mut send: Send, uri: Uri, size: usize, end: Instant) -> Result<u64> {
    let mut answers = 0;
    while Instant::now() < end {
        let mut stream = send.send_request(Request::get(uri.clone()).body(())?).await?;
        stream.finish().await?;
        let response = stream.recv_response().await?;
        ensure!(response.status() == 200, "answered {}", response.status());
        let mut length = 0;
        while let Some(chunk) = stream.recv_data().await? {
            length += chunk.remaining();
        }
        ensure!(length == size, "an answer of {length} bytes");
        answers += 1;
    }
    Ok(answers)
}

async fn connect(
    uri: &Uri,
    config: &quinn::ClientConfig,
    drivers: &mut JoinSet<()>,
) -> Result<(Send, quinn::Endpoint)> {
    let authority = uri.authority().context("no host")?;
    let mut endpoint = quinn::Endpoint::client(([127, 0, 0, 1], 0).into())?;
    endpoint.set_default_client_config(config.clone());
    let connection = endpoint.connect(authority.as_str().parse()?, authority.host())?;
    let connection = connection.await.with_context(|| format!("connecting to {uri} over QUIC"))?;
    let (mut driver, send) = h3::client::new(h3_quinn::Connection::new(connection)).await?;
    drivers.spawn(async move { drop(std::future::poll_fn(|cx| driver.poll_close(cx)).await) });
    Ok((send, endpoint))
}

fn config(target: Target<'_>) -> Result<quinn::ClientConfig> {
    let mut provider = aws_lc_rs::default_provider();
    provider.cipher_suites = vec![aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256];
    let mut tls = rustls::ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(target.certificate.roots.clone())
        .with_no_client_auth();
    tls.alpn_protocols = vec![b"h3".to_vec()];
    let mut config = quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls)?));
    let mut transport = quinn::TransportConfig::default();
    // Flow control is not to be what limits.
    transport.stream_receive_window((4_u32 << 20).into()).receive_window((32_u32 << 20).into());
    config.transport_config(Arc::new(transport));
    Ok(config)
}
