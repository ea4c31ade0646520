//! Who gets a connection (draft-sharabayko-srt-01 section 4.3.1): nothing is kept for a caller before it has shown, by
//! a cookie, that it is where it says, and the passphrase, that it may speak.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use aws_lc_rs::{hmac, rand};
use srt_protocol::connection::Connection;
use srt_protocol::options::{PacketCount, Passphrase};
use srt_protocol::packet::{
    ControlPacket, ControlTypes, CoreRejectReason, HandshakeControlInfo, HandshakeVsInfo, HsV5Info, Packet,
    RejectReason, ServerRejectReason, ShakeType, SocketId,
};
use srt_protocol::protocol::pending_connection::ConnectionResult;
use srt_protocol::protocol::pending_connection::listen::Listen;
use srt_protocol::settings::{ConnInitSettings, KeySettings};

use super::gate::{Shake, Wants};

/// Answers callers.
pub(super) struct Handshakes {
    latency: Duration,
    passphrase: Option<Passphrase>,
    secret: hmac::Key,
}

/// A caller that may have a connection.
pub(super) struct Accepted {
    pub(super) connection: Box<Connection>,
    /// To be sent, and again as often as the caller asks again.
    pub(super) response: Packet,
}

/// Why a caller gets none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    /// What the caller is told (section 4.3.1.1.2, and the codes of the access control guidelines).
    pub(super) code: RejectReason,
    /// For the metric.
    pub(super) reason: &'static str,
    /// For the log.
    pub(super) words: String,
}

impl Handshakes {
    /// `latency` is the least that a connection gets; `passphrase` what callers must have, if anything.
    pub(super) fn new(latency: Duration, passphrase: Option<Passphrase>) -> Self {
        let mut secret = [0; 32];
        // Without random numbers no TLS works either; cookies can be forged then, and nothing more.
        let _forgeable = rand::fill(&mut secret);
        Self { latency, passphrase, secret: hmac::Key::new(hmac::HMAC_SHA256, &secret) }
    }

    /// The answer to an induction: a cookie, which is all that is needed to know the caller again.
    pub(super) fn induction(&self, shake: Shake, from: SocketAddr, uptime: Duration) -> Packet {
        let socket_id = shake.info.socket_id;
        let info = HandshakeControlInfo {
            syn_cookie: self.cookie(from, slot(uptime)),
            // The caller learns ours with the connection.
            socket_id: SocketId(1),
            info: HandshakeVsInfo::V5(HsV5Info::default()),
            ..shake.info
        };
        ControlPacket { dest_sockid: socket_id, control_type: ControlTypes::Handshake(info), ..shake.control }
            .into()
    }

    /// The connection that a conclusion asks for, to be known by `local`; `None` when its cookie is not ours.
    ///
    /// `admit` looks at the stream id, before anything is done that costs time: the key out of a passphrase does.
    pub(super) fn conclusion<T>(
        &self,
        (shake, wants): (&Shake, Wants),
        (from, local): (SocketAddr, SocketId),
        (now, uptime): (Instant, Duration),
        admit: impl FnOnce(&str) -> Result<T, Refusal>,
    ) -> Option<Result<(Accepted, T), Refusal>> {
        let slots = [slot(uptime), slot(uptime).saturating_sub(1)];
        if !slots.iter().any(|slot| self.cookie(from, *slot) == shake.info.syn_cookie) {
            return None;
        }
        Some(self.accept((shake, wants), (from, local), now, admit))
    }

    fn accept<T>(
        &self,
        (shake, wants): (&Shake, Wants),
        (from, local): (SocketAddr, SocketId),
        now: Instant,
        admit: impl FnOnce(&str) -> Result<T, Refusal>,
    ) -> Result<(Accepted, T), Refusal> {
        let HandshakeVsInfo::V5(info) = &shake.info.info else {
            return Err(core(CoreRejectReason::Version, "version", "it speaks an SRT before 1.3"));
        };
        if wants.is_file {
            let words = "it is in file mode: set the transmission type to live";
            return Err(core(CoreRejectReason::Congestion, "mode", words));
        }
        let key_settings = match (&self.passphrase, wants.key_size) {
            (Some(passphrase), Some(key_size)) => {
                Some(KeySettings { key_size, passphrase: passphrase.clone() })
            }
            (None, None) => None,
            (Some(_), None) => {
                let words = "it has no passphrase: set the one of this origin";
                return Err(core(CoreRejectReason::Unsecure, "passphrase", words));
            }
            (None, Some(_)) => {
                let words = "it has a passphrase, and this origin none: leave it out, or set srt.passphrase";
                return Err(core(CoreRejectReason::Unsecure, "passphrase", words));
            }
        };
        let admitted = admit(info.sid.as_deref().unwrap_or_default())?;
        let settings = ConnInitSettings {
            local_sockid: local,
            key_settings,
            recv_latency: self.latency,
            peer_idle_timeout: PEER_IDLE,
            recv_buffer_size: PacketCount(RECEIVE_BUFFER),
            too_late_packet_drop: true,
            ..ConnInitSettings::default()
        };
        let (mut connection, response) = match conclude(settings, shake, info, wants, from, now) {
            Some(ConnectionResult::Connected(Some((response, _)), connection)) => (connection, response),
            Some(ConnectionResult::Reject(..)) => {
                return Err(core(CoreRejectReason::BadSecret, "passphrase", "its passphrase is another"));
            }
            _ => return Err(core(CoreRejectReason::Rogue, "protocol", "its handshake is incomplete")),
        };
        // Its clock began when its socket was made; half a round trip on the way here is part of the latency.
        let age = Duration::from_micros(shake.timestamp.into()).min(MAX_AGE);
        connection.settings.socket_start_time = now.checked_sub(age).unwrap_or(now);
        Ok((Accepted { connection: Box::new(connection), response }, admitted))
    }

    /// What a caller at this address must send back within its minute or the next.
    fn cookie(&self, from: SocketAddr, slot: u64) -> i32 {
        let mut context = hmac::Context::with_key(&self.secret);
        match from.ip() {
            IpAddr::V4(ip) => context.update(&ip.octets()),
            IpAddr::V6(ip) => context.update(&ip.octets()),
        }
        context.update(&from.port().to_be_bytes());
        context.update(&slot.to_be_bytes());
        let tag = context.sign();
        tag.as_ref().first_chunk().map_or(0, |bytes| i32::from_be_bytes(*bytes))
    }
}

impl Refusal {
    pub(super) fn new(code: ServerRejectReason, reason: &'static str, words: String) -> Self {
        Self { code: RejectReason::Server(code), reason, words }
    }

    /// What tells a caller.
    pub(super) fn packet(&self, shake: &Shake, local: SocketId) -> Packet {
        let info = HandshakeControlInfo {
            shake_type: ShakeType::Rejection(self.code),
            socket_id: local,
            info: HandshakeVsInfo::V5(HsV5Info::default()),
            ..shake.info.clone()
        };
        let dest_sockid = shake.info.socket_id;
        ControlPacket { dest_sockid, control_type: ControlTypes::Handshake(info), ..shake.control.clone() }
            .into()
    }
}

fn core(code: CoreRejectReason, reason: &'static str, words: &str) -> Refusal {
    Refusal { code: RejectReason::Core(code), reason, words: words.into() }
}

/// Leads the library's handshake through both steps at once; the cookie between them is its own.
fn conclude(
    settings: ConnInitSettings,
    shake: &Shake,
    info: &HsV5Info,
    wants: Wants,
    from: SocketAddr,
    now: Instant,
) -> Option<ConnectionResult> {
    let mut listen = Listen::new(settings, false);
    let with = |info| {
        let control_type = ControlTypes::Handshake(info);
        Ok((ControlPacket { control_type, ..shake.control.clone() }.into(), from))
    };
    let induction = HandshakeControlInfo {
        shake_type: ShakeType::Induction,
        info: HandshakeVsInfo::V5(HsV5Info::default()),
        ..shake.info.clone()
    };
    let ConnectionResult::SendPacket((Packet::Control(answer), _)) =
        listen.handle_packet(now, with(induction))
    else {
        return None;
    };
    let syn_cookie = answer.handshake()?.syn_cookie;
    let info = HsV5Info { key_size: wants.key_size.unwrap_or_default(), ..info.clone() };
    let conclusion =
        HandshakeControlInfo { syn_cookie, info: HandshakeVsInfo::V5(info), ..shake.info.clone() };
    Some(listen.handle_packet(now, with(conclusion)))
}

fn slot(uptime: Duration) -> u64 {
    uptime.as_secs() / 60
}

/// As callers do: a line that is dead for so long is given up on both sides, and the caller comes back.
const PEER_IDLE: Duration = Duration::from_secs(5);
/// Packets: 12 MB, eight seconds at 12 Mb/s.
const RECEIVE_BUFFER: u64 = 8_192;
/// Callers ask within a second of making their socket.
const MAX_AGE: Duration = Duration::from_secs(10);
