//! One publisher's connection: drives the RTMP session over a socket, and the broadcast behind it.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use nearcast_api::ladder::MAX_STEPS;
use nearcast_media::splice::Rank;
use nearcast_media::{Event, flv, rtmp};
use nearcast_service::log::Chain;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::server::TlsStream;

use super::bounds::Breach;
use super::health::Source;
use super::limits::Full;
use super::publisher::Publisher;
use super::{Context, access};
use crate::metrics::{ReasonLabels, TrackLabels};

/// A connection and what it publishes.
pub(super) struct Connection<'a> {
    context: &'a Context,
    peer: SocketAddr,
    protocol: &'static str,
    session: rtmp::Session,
    publishing: Option<Publishing>,
    /// What the encoder calls itself.
    encoder: String,
    /// It is here only to be told that there is no place.
    refusal: Option<Full>,
    /// When the connection ends unless something happens.
    deadline: Instant,
}

/// What carries RTMP: TCP, or TLS over it.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {
    /// What operators call it.
    const PROTOCOL: &'static str;
}

impl Stream for TcpStream {
    const PROTOCOL: &'static str = "rtmp";
}

impl Stream for TlsStream<TcpStream> {
    const PROTOCOL: &'static str = "rtmps";
}

/// From an accepted publish to its end.
struct Publishing {
    demuxer: flv::Demuxer,
    publisher: Publisher,
    /// Messages about tracks that are left out so far, and of which kinds that has been told.
    others: u64,
    told: Vec<&'static str>,
}

/// Why a connection ends from our side, for the log and the metric.
struct End {
    reason: &'static str,
    detail: String,
}

impl<'a> Connection<'a> {
    pub(super) fn new(
        context: &'a Context,
        peer: SocketAddr,
        protocol: &'static str,
        refusal: Option<Full>,
    ) -> Self {
        Self {
            context,
            peer,
            protocol,
            session: rtmp::Session::new(rtmp::Limits::default()),
            publishing: None,
            encoder: String::new(),
            refusal,
            deadline: Instant::now() + context.config.handshake_timeout(),
        }
    }

    /// The publisher ends it on purpose.
    async fn stop(&mut self) {
        if let Some(publishing) = self.publishing.take() {
            publishing.publisher.stop().await;
        }
    }

    /// Reads until the publisher or we end it, once the stream is there, which is part of its handshake.
    pub(super) async fn run<S: Stream>(self, stream: impl Future<Output = Option<S>>) {
        let deadline = self.deadline;
        match self.context.drain.unless_draining(timeout_at(deadline, stream)).await {
            Some(Ok(Some(stream))) => self.serve(stream).await,
            Some(Err(_)) => {
                let reason = "handshake_timeout";
                self.context.metrics.failed.get_or_create(&ReasonLabels { reason }).inc();
            }
            Some(Ok(None)) | None => {}
        }
    }

    async fn serve(mut self, mut stream: impl Stream) {
        let ended = match self.context.drain.unless_draining(self.converse(&mut stream)).await {
            Some(ended) => ended,
            None => {
                if let Some(publishing) = self.publishing.take() {
                    publishing.publisher.drain().await;
                }
                self.refuse(
                    "draining",
                    "NetStream.Publish.Denied",
                    "this origin shuts down, connect again".into(),
                );
                Ok(())
            }
        };
        // The broadcast ends now, whatever the socket still has to do.
        let published = self.publishing.take().is_some();
        if let Err(End { reason, detail }) = ended {
            self.context.metrics.failed.get_or_create(&ReasonLabels { reason }).inc();
            // Anybody may knock; only a publisher's misfortune is news.
            if published {
                tracing::info!(peer = %self.peer, reason, "a publisher's connection ends: {detail}");
            } else {
                tracing::debug!(peer = %self.peer, reason, "a connection ends: {detail}");
            }
        }
        let _peer_is_gone = timeout(FAREWELL, self.part(&mut stream)).await;
    }

    async fn converse(&mut self, stream: &mut impl Stream) -> Result<(), End> {
        let mut buffer = BytesMut::with_capacity(READ_SIZE);
        loop {
            buffer.clear();
            let read = tokio::select! {
                read = timeout_at(self.deadline, stream.read_buf(&mut buffer)) => read,
                () = taken(self.publishing.as_ref()) => return Err(End {
                    reason: "taken_over",
                    detail: "it was quiet, and another publisher with the key has come".into(),
                }),
                breach = denied(self.publishing.as_ref()) => {
                    self.refuse(breach.reason, "NetStream.Publish.Denied", breach.to_string());
                    return Ok(());
                }
            };
            match read.map_err(|_| self.too_slow())? {
                Ok(0) => return Ok(()),
                Ok(length) => self.context.metrics.received_bytes.inc_by(length as u64),
                Err(error) => return Err(End { reason: "network", detail: Chain(&error).to_string() }),
            };
            let handled = self.session.handle_input(&buffer);
            // What came before an error counts.
            self.act().await?;
            let pause = self.measure(buffer.len());
            self.answer(stream).await?;
            if let (Err(_), Some(&TLS_HANDSHAKE), None) = (&handled, buffer.first(), &self.publishing) {
                self.context.wrong_door(Some(self.peer), TLS_SPOKEN);
            }
            handled.map_err(broken)?;
            if self.session.is_closed() {
                return Ok(());
            }
            // Only for those who send too much: a timer for every read would cost each of the others up to a millisecond.
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
        }
    }

    /// Counts what was read: one who sends more than is allowed waits between reads, and is sent away.
    fn measure(&mut self, bytes: usize) -> Duration {
        let Some(Publishing { demuxer, publisher, .. }) = &mut self.publishing else { return Duration::ZERO };
        publisher.probe().put_right(demuxer.faults().jumps);
        match publisher.received(bytes) {
            Ok(pause) => pause,
            Err(breach) => {
                self.refuse(breach.reason, "NetStream.Publish.Denied", breach.to_string());
                Duration::ZERO
            }
        }
    }

    /// Does what the session's events ask for.
    async fn act(&mut self) -> Result<(), End> {
        while let Some(event) = self.session.poll_event() {
            match event {
                rtmp::Event::Connect { app, encoder, .. } => {
                    tracing::debug!(peer = %self.peer, app, encoder, "a publisher connects");
                    self.encoder = encoder;
                }
                rtmp::Event::Publish { key, .. } => self.publish(&key)?,
                rtmp::Event::Video { timestamp_ms, data } => {
                    self.media("video", timestamp_ms, data, flv::Demuxer::video).await;
                }
                rtmp::Event::Audio { timestamp_ms, data } => {
                    self.media("audio", timestamp_ms, data, flv::Demuxer::audio).await;
                }
                rtmp::Event::Metadata(metadata) => {
                    tracing::debug!(peer = %self.peer, ?metadata, "a publisher describes its stream");
                    if let (Some(publishing), Some(encoder)) = (&self.publishing, metadata.encoder) {
                        publishing.publisher.probe().encoder(&encoder);
                    }
                }
                rtmp::Event::Unpublish => {
                    self.stop().await;
                    self.deadline = Instant::now() + self.context.config.handshake_timeout();
                }
            }
        }
        Ok(())
    }

    fn publish(&mut self, key: &str) -> Result<(), End> {
        if let Some(full) = self.refusal {
            self.refuse(full.reason(), "NetStream.Publish.Denied", full.to_string());
            return Ok(());
        }
        let snapshot = self.context.control.current();
        let pass = match access::open(&snapshot, key) {
            Ok(pass) => pass,
            Err(denied) => {
                self.refuse(denied.reason(), "NetStream.Publish.BadName", denied.to_string());
                return Ok(());
            }
        };
        let (channel, rank) = (&pass.channel, pass.rank);
        let quiet = self.context.quiet(&snapshot, channel);
        match self.context.channels.claim(channel, rank, quiet) {
            Ok(claim) => {
                tracing::info!(%channel, peer = %self.peer, "a publisher begins");
                let Self { protocol, encoder, peer, .. } = &*self;
                let (encoder, ipv6, backup) = (encoder.clone(), peer.is_ipv6(), rank == Rank::Backup);
                let source = Source { protocol, encoder, ipv6, backup };
                let publisher = self.context.publisher(pass, claim, source);
                let further = if publisher.takes_further() { MAX_STEPS } else { 0 };
                let demuxer = flv::Demuxer::new().with_further(further);
                self.publishing = Some(Publishing { demuxer, publisher, others: 0, told: Vec::new() });
                self.deadline = Instant::now() + self.context.config.idle_timeout();
                self.session.accept_publish().map_err(broken)
            }
            Err(busy) => {
                self.context.board.refused(channel, "busy", &busy.to_string());
                self.refuse("busy", "NetStream.Publish.BadName", busy.to_string());
                Ok(())
            }
        }
    }

    /// Hands a message on to the broadcast. A damaged one is left out; a codec we do not carry ends it all.
    async fn media(
        &mut self,
        track: &'static str,
        timestamp_ms: u32,
        data: Bytes,
        demux: fn(&mut flv::Demuxer, u32, Bytes) -> nearcast_media::Result<Option<Event>>,
    ) {
        let Some(publishing) = &mut self.publishing else { return };
        match demux(&mut publishing.demuxer, timestamp_ms, data) {
            Ok(mut found) => {
                while let Some(event) = found {
                    if matches!(event, Event::Frame(..)) {
                        self.deadline = Instant::now() + self.context.config.idle_timeout();
                        self.context.metrics.frames.get_or_create(&TrackLabels { track }).inc();
                    }
                    if let Err(breach) = publishing.publisher.take(event).await {
                        return self.refuse(breach.reason, "NetStream.Publish.Denied", breach.to_string());
                    }
                    found = publishing.demuxer.poll_event();
                }
                publishing.leave_out(track, self.peer);
            }
            Err(error @ nearcast_media::Error::UnsupportedCodec { .. }) => {
                self.refuse("codec", "NetStream.Publish.Denied", error.to_string());
            }
            Err(error) => {
                self.context.metrics.failed.get_or_create(&ReasonLabels { reason: "damaged_message" }).inc();
                tracing::debug!(peer = %self.peer, track, "a message is left out: {}", Chain(&error));
            }
        }
    }

    fn refuse(&mut self, reason: &'static str, code: &str, description: String) {
        self.context.metrics.refused.get_or_create(&ReasonLabels { reason }).inc();
        tracing::info!(peer = %self.peer, reason, "a publisher is refused: {description}");
        if let Some(publishing) = &self.publishing {
            publishing.publisher.probe().refused(reason, &description);
        }
        self.publishing = None;
        self.session.reject_publish(code, &description);
    }

    async fn answer(&mut self, stream: &mut impl Stream) -> Result<(), End> {
        while let Some(output) = self.session.poll_output() {
            let written = timeout(WRITE, stream.write_all(&output)).await;
            let gone = |detail| End { reason: "network", detail };
            let written = written.map_err(|_| gone("it does not read our answers".into()))?;
            written.map_err(|error| gone(Chain(&error).to_string()))?;
        }
        Ok(())
    }

    /// Sends the last answers and waits for the peer to close: closing with input unread would reset the
    /// connection, and the peer would never see why it was refused.
    async fn part(&mut self, stream: &mut impl Stream) {
        if self.answer(stream).await.is_err() || stream.shutdown().await.is_err() {
            return;
        }
        let mut rest = [0; 4096];
        while let Ok(1..) = stream.read(&mut rest).await {}
    }

    fn too_slow(&self) -> End {
        let config = &self.context.config;
        match self.publishing {
            Some(_) => End { reason: "idle", detail: format!("no frame for {} s", config.idle_timeout) },
            None => End {
                reason: "handshake_timeout",
                detail: format!("it has not published within {} s", config.handshake_timeout),
            },
        }
    }
}

impl Publishing {
    /// Says, once for each kind, that tracks are left out.
    fn leave_out(&mut self, kind: &'static str, peer: SocketAddr) {
        let others = self.demuxer.faults().other_tracks;
        if std::mem::replace(&mut self.others, others) == others || self.told.contains(&kind) {
            return;
        }
        self.told.push(kind);
        let words = match (self.publisher.takes_further(), kind) {
            (false, _) => "another track of the same kind is left out: one video and one audio are taken",
            (true, "video") => {
                "a further video track is left out: at most 6 are taken, of H.264, HEVC, AV1 or VP9"
            }
            (true, _) => "another audio track is left out: one is taken",
        };
        tracing::warn!(%peer, "of a publisher's tracks {words}");
        self.publisher.probe().leave_out(words);
    }
}

/// Completes when another publisher has taken the channel; never while nothing is published.
async fn taken(publishing: Option<&Publishing>) {
    match publishing {
        Some(publishing) => publishing.publisher.taken().await,
        None => std::future::pending().await,
    }
}

/// Completes when its key opens the channel no longer; never while nothing is published.
async fn denied(publishing: Option<&Publishing>) -> Breach {
    match publishing {
        Some(publishing) => publishing.publisher.denied().await,
        None => std::future::pending().await,
    }
}

fn broken(error: nearcast_media::Error) -> End {
    End { reason: "protocol", detail: Chain(&error).to_string() }
}

const TLS_SPOKEN: &str =
    "a connection to `rtmp.listen` speaks TLS: rtmps:// is for the port of `rtmps.listen`";

/// The first byte of a TLS connection (RFC 8446 §5.1).
const TLS_HANDSHAKE: u8 = 22;

/// Bytes of one read: several chunks of a video frame, and a bound on what a session is given at once.
const READ_SIZE: usize = 64 << 10;

/// An encoder that takes no answer for this long has gone.
const WRITE: Duration = Duration::from_secs(5);

/// For the peer to read why it was refused.
const FAREWELL: Duration = Duration::from_secs(2);
