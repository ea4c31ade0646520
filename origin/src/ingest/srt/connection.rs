//! One SRT publisher: drives its connection over the socket that all share, and the broadcast behind it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use nearcast_api::ChannelId;
use nearcast_api::ingest::Line;
use nearcast_media::{Error, Event, ts};
use nearcast_service::log::Chain;
use srt_protocol::connection::{Connection as Accepted, DuplexConnection};
use srt_protocol::packet::{Acknowledgement, ControlPacket, ControlTypes, Packet};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::time::sleep_until;

use super::super::Context;
use super::super::bounds::Breach;
use super::super::publisher::Publisher;
use crate::metrics::{ChannelLabels, ReasonLabels, TrackLabels};

/// A connection and what it publishes.
pub(super) struct Connection {
    pub(super) context: Arc<Context>,
    pub(super) channel: ChannelId,
    pub(super) peer: SocketAddr,
    pub(super) socket: Arc<UdpSocket>,
    /// What came for it; what is too much is lost, and sent again by the peer.
    pub(super) packets: mpsc::Receiver<Packet>,
    pub(super) publisher: Publisher,
    /// It has said that it ends.
    pub(super) leaves: bool,
    /// Milliseconds there and back, as they were measured last.
    pub(super) rtt_ms: f32,
}

/// Why a connection ends.
struct End {
    /// None: as the publisher wished.
    reason: Option<&'static str>,
    /// It is sent away: nothing more of it is taken.
    refused: bool,
    detail: String,
}

/// What of the library's counters is in the metrics already.
#[derive(Default)]
struct Counted {
    received_bytes: u64,
    recovered: u64,
    lost: u64,
}

impl End {
    fn wished(detail: String) -> Self {
        Self { reason: None, refused: false, detail }
    }

    fn failed(reason: &'static str, detail: String) -> Self {
        Self { reason: Some(reason), refused: false, detail }
    }

    fn refused(reason: &'static str, detail: String) -> Self {
        Self { reason: Some(reason), refused: true, detail }
    }
}

impl Connection {
    /// Runs until the publisher or we end it.
    pub(super) async fn run(mut self, accepted: Accepted) {
        let context = Arc::clone(&self.context);
        let mut connection = DuplexConnection::new(accepted);
        let mut demuxer = ts::Demuxer::new();
        let conversed = context.drain.unless_draining(self.converse(&mut connection, &mut demuxer)).await;
        let End { reason, refused, detail } =
            conversed.unwrap_or_else(|| End::wished("this origin shuts down".into()));
        if !refused {
            demuxer.finish();
            let _ended_anyway = self.demuxed(&mut demuxer).await;
        }
        let Self { channel, peer, .. } = &self;
        let faults = demuxer.faults();
        if let Some(reason) = reason {
            let metrics = &context.metrics;
            let count = if refused { &metrics.refused } else { &metrics.failed };
            count.get_or_create(&ReasonLabels { reason }).inc();
        }
        if refused {
            self.publisher.probe().refused(reason.unwrap_or_default(), &detail);
        }
        tracing::info!(%channel, %peer, reason, ?faults, "an SRT publisher's connection ends: {detail}");
        context.metrics.srt_rtt.remove(&ChannelLabels { channel: channel.to_string() });
        self.send(&shutdown(&connection)).await;
        // Without a word it may come back, and its broadcast waits for it.
        if self.leaves {
            self.publisher.stop().await;
        } else if context.drain.is_draining() {
            self.publisher.drain().await;
        }
    }

    async fn converse(&mut self, connection: &mut DuplexConnection, demuxer: &mut ts::Demuxer) -> End {
        let mut counted = Counted::default();
        let mut damaged = 0;
        let idle = self.context.config.idle_timeout();
        let mut deadline = Instant::now() + idle;
        loop {
            let wake = connection.check_timers(Instant::now());
            while let Some((packet, _)) = connection.next_packet(Instant::now()) {
                self.note(&packet);
                self.send(&packet).await;
            }
            let mut frames = false;
            while let Some((_, data)) = connection.next_data(Instant::now()) {
                if let Err(error) = demuxer.push(&data) {
                    return End::failed("protocol", Chain(&error).to_string());
                }
                match self.demuxed(demuxer).await {
                    Ok(found) => frames |= found,
                    Err(breach) => return End::refused(breach.reason, breach.to_string()),
                }
            }
            if demuxer.is_hopeless() {
                return End::refused("codec", "there is nothing in its stream that we take".into());
            }
            // It cannot be held up: what is not read in time is lost, and a live stream does not send slower.
            if let Err(breach) = self.publisher.received(self.count(&mut counted, connection)) {
                return End::refused(breach.reason, breach.to_string());
            }
            let faults = demuxer.faults();
            if faults.damaged > damaged {
                let reason = ReasonLabels { reason: "damaged_message" };
                self.context.metrics.failed.get_or_create(&reason).inc_by(faults.damaged - damaged);
            }
            damaged = faults.damaged;
            self.publisher.probe().put_right(faults.jumps);
            if !connection.is_open() {
                return End::wished("the publisher has gone".into());
            }
            let now = Instant::now();
            if frames {
                deadline = now + idle;
            } else if now >= deadline {
                return End::failed("idle", format!("no frame for {} s", idle.as_secs()));
            }
            // A message that is due but not whole would have us turn in place.
            let wake = wake.max(now + TICK).min(deadline);
            tokio::select! {
                packet = self.packets.recv() => match packet {
                    Some(packet) => self.received(connection, packet),
                    None => return End::failed("replaced", "its address has another connection".into()),
                },
                () = sleep_until(wake.into()) => {}
                () = self.publisher.taken() => {
                    return End::failed("taken_over", "it was quiet, and another publisher with the key has come".into());
                }
                breach = self.publisher.denied() => return End::refused(breach.reason, breach.to_string()),
            }
            // What has come meanwhile is cheaper to take at once.
            while let Ok(packet) = self.packets.try_recv() {
                self.received(connection, packet);
            }
        }
    }

    fn received(&mut self, connection: &mut DuplexConnection, packet: Packet) {
        if let Packet::Control(ControlPacket { control_type: ControlTypes::Shutdown, .. }) = packet {
            self.leaves = true;
        }
        connection.handle_packet_input(Instant::now(), Ok((packet, self.peer)));
    }

    /// Hands on what the demuxer has found; true when there was a frame.
    async fn demuxed(&mut self, demuxer: &mut ts::Demuxer) -> Result<bool, Breach> {
        let mut frames = false;
        while let Some(found) = demuxer.poll() {
            match found {
                Ok(event) => {
                    if let Event::Frame(track, _) = &event {
                        frames = true;
                        let track = TrackLabels::of(*track);
                        self.context.metrics.frames.get_or_create(&track).inc();
                    }
                    self.publisher.take(event).await?;
                }
                Err(error @ Error::UnsupportedCodec { .. }) => {
                    self.context.metrics.refused.get_or_create(&ReasonLabels { reason: "codec" }).inc();
                    let Self { channel, peer, .. } = &self;
                    tracing::warn!(%channel, %peer, "a track of a publisher is left out: {error}");
                }
                Err(error) => tracing::debug!(peer = %self.peer, "left out: {}", Chain(&error)),
            }
        }
        Ok(frames)
    }

    async fn send(&self, packet: &Packet) {
        let mut datagram = BytesMut::with_capacity(DATAGRAM);
        packet.serialize(&mut datagram);
        if let Err(error) = self.socket.send_to(&datagram, self.peer).await {
            tracing::debug!(peer = %self.peer, "an SRT packet is not sent: {}", Chain(&error));
        }
    }

    /// Our acknowledgements carry the round trip time.
    fn note(&mut self, packet: &Packet) {
        if let Packet::Control(ControlPacket { control_type: ControlTypes::Ack(ack), .. }) = packet
            && let Acknowledgement::Full(_, statistics, _) = ack
        {
            let labels = ChannelLabels { channel: self.channel.to_string() };
            let seconds = f64::from(statistics.rtt.mean().as_micros()) / 1e6;
            self.context.metrics.srt_rtt.get_or_create(&labels).set(seconds);
            self.rtt_ms = (seconds * 1e3) as f32;
        }
    }

    /// Takes over the library's counters; returns the bytes received since the last time.
    fn count(&self, counted: &mut Counted, connection: &DuplexConnection) -> usize {
        let (statistics, metrics) = (connection.statistics(), &self.context.metrics);
        let now = Counted {
            received_bytes: statistics.rx_all_bytes,
            recovered: statistics.rx_retransmit_data,
            lost: statistics.rx_dropped_data,
        };
        let received = now.received_bytes.saturating_sub(counted.received_bytes);
        metrics.received_bytes.inc_by(received);
        metrics.srt_recovered_packets.inc_by(now.recovered.saturating_sub(counted.recovered));
        metrics.srt_lost_packets.inc_by(now.lost.saturating_sub(counted.lost));
        let latency_ms = connection.settings().recv_tsbpd_latency.as_millis();
        self.publisher.probe().line(Line {
            rtt_ms: self.rtt_ms,
            latency_ms: u32::try_from(latency_ms).unwrap_or(u32::MAX),
            recovered_packets: now.recovered,
            lost_packets: now.lost,
        });
        *counted = now;
        usize::try_from(received).unwrap_or(usize::MAX)
    }
}

/// Tells the peer that the connection is over.
fn shutdown(connection: &DuplexConnection) -> Packet {
    let settings = connection.settings();
    let timestamp = settings.socket_start_time.elapsed();
    // It wraps after 71 minutes, as the protocol has it.
    let timestamp = srt_protocol::packet::TimeStamp::from_micros(low_bits(timestamp));
    let dest_sockid = settings.remote_sockid;
    ControlPacket { timestamp, dest_sockid, control_type: ControlTypes::Shutdown }.into()
}

fn low_bits(time: Duration) -> u32 {
    u32::try_from(time.as_micros() & u128::from(u32::MAX)).unwrap_or(0)
}

/// The shortest sleep: SRT's own timers are ten times as long.
const TICK: Duration = Duration::from_millis(1);
/// The largest packet that we send.
const DATAGRAM: usize = 1_500;
