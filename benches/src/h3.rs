//! Load over HTTP/3 in an open loop: requests fall due at a fixed rate, whatever becomes of those before.
//!
//! It is made of quinn's streams and frames written once, so that an answer costs less here than at any server. A request
//! that falls due when its connection has no place for it is not made.

mod frames;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use http::Uri;
use quinn::crypto::rustls::QuicClientConfig;
use rustls::crypto::aws_lc_rs;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use self::frames::Answer;
use crate::load::{Done, Target};
use crate::report::percentile;

/// How much is asked.
#[derive(Debug, Clone, Copy)]
pub struct Rate {
    /// Requests that fall due in a second: more than any server can answer.
    pub offered: usize,
    pub connections: usize,
    /// Places for requests on each of them.
    pub streams: usize,
}

/// A connection, which ends when this is dropped, and its places.
struct Connection {
    quic: quinn::Connection,
    places: Arc<Semaphore>,
    endpoint: quinn::Endpoint,
    _control: quinn::SendStream,
}

/// Asks at this rate for `time`, and waits for what is still to come.
pub(crate) async fn run(target: Target<'_>, rate: Rate, time: Duration) -> Result<Done> {
    let uri: Uri = format!("{}{}", target.base, target.path).parse()?;
    let authority = uri.authority().context("no host")?.as_str();
    let request = Bytes::from(frames::get(authority, target.path)?);
    let (config, size) = (config(target)?, target.size as u64);
    let mut connections = Vec::new();
    for _ in 0..rate.connections {
        connections.push(connect(authority, &config, rate.streams).await?);
    }
    let (mut asking, mut answers, mut late) = (JoinSet::new(), 0, Vec::new());
    let (mut due, begin) = (0, Instant::now());
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let planned = tick.tick().await.into_std();
        late.push(planned.elapsed().as_secs_f64() * 1000.0);
        let elapsed = begin.elapsed();
        if elapsed >= time {
            break;
        }
        while let Some(answer) = asking.try_join_next() {
            answer??;
            answers += 1;
        }
        let until = (elapsed.as_secs_f64() * rate.offered as f64) as usize;
        for connection in connections.iter().cycle().skip(due % rate.connections).take(until - due) {
            if let Ok(place) = Arc::clone(&connection.places).try_acquire_owned() {
                asking.spawn(ask(connection.quic.clone(), request.clone(), size, place));
            }
        }
        due = until;
    }
    while let Some(answer) = asking.join_next().await {
        answer??;
        answers += 1;
    }
    for connection in &connections {
        // H3_NO_ERROR: nobody has to wait for an idle timeout.
        connection.quic.close(0x100_u32.into(), b"");
        connection.endpoint.wait_idle().await;
    }
    Ok(Done { answers: f64::from(answers), late: Some(percentile(&late, 99.0)) })
}

async fn ask(quic: quinn::Connection, request: Bytes, size: u64, _place: OwnedSemaphorePermit) -> Result<()> {
    let (mut send, mut receive) = quic.open_bi().await?;
    send.write_chunk(request).await?;
    send.finish()?;
    let mut answer = Answer::default();
    let mut chunks: [Bytes; 32] = Default::default();
    while let Some(count) = receive.read_chunks(&mut chunks).await? {
        chunks.iter().take(count).for_each(|chunk| answer.read(chunk));
    }
    ensure!(answer.good && answer.length == size, "a bad answer, or one of {} bytes", answer.length);
    Ok(())
}

async fn connect(authority: &str, config: &quinn::ClientConfig, streams: usize) -> Result<Connection> {
    let address: std::net::SocketAddr = authority.parse()?;
    let mut endpoint = quinn::Endpoint::client(([127, 0, 0, 1], 0).into())?;
    endpoint.set_default_client_config(config.clone());
    let connecting = endpoint.connect(address, &address.ip().to_string())?;
    let quic = connecting.await.with_context(|| format!("connecting to {authority} over QUIC"))?;
    let mut control = quic.open_uni().await?;
    control.write_all(frames::CONTROL).await?;
    Ok(Connection { quic, places: Arc::new(Semaphore::new(streams)), endpoint, _control: control })
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

const TICK: Duration = Duration::from_millis(1);
