//! Which datagrams reach `srt-protocol`: its parser and its connections end in a panic on many that anybody can send,
//! so what they do not take is left out here. Packets are those of draft-sharabayko-srt-01.

use std::net::SocketAddr;

use srt_protocol::options::KeySize;
use srt_protocol::packet::{ControlPacket, ControlTypes, HandshakeControlInfo, Packet};

/// What one datagram is.
#[derive(Debug)]
pub(super) enum Datagram {
    /// A caller that wants a cookie (section 4.3.1.1).
    Induction(Shake),
    /// A caller that has one and wants a connection.
    Conclusion(Shake, Wants),
    /// Belongs to the connection whose socket id it names.
    Session(Packet),
}

/// A handshake packet.
#[derive(Debug)]
pub(super) struct Shake {
    /// Microseconds since the caller's socket was made.
    pub(super) timestamp: u32,
    pub(super) control: ControlPacket,
    pub(super) info: HandshakeControlInfo,
}

/// What a conclusion says beside the handshake itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Wants {
    /// Length of the key, when it encrypts.
    pub(super) key_size: Option<KeySize>,
    /// It sends files, with no thought of time.
    pub(super) is_file: bool,
}

/// Reads a datagram; `None` when nothing can be done with it.
pub(super) fn read(datagram: &[u8], from: SocketAddr) -> Option<Datagram> {
    let (head, body) = datagram.split_at_checked(HEAD)?;
    let kind = word16(head, 0)?;
    if kind & CONTROL == 0 {
        return parse(datagram, from).map(Datagram::Session);
    }
    match kind & !CONTROL {
        HANDSHAKE => handshake(head, body, from),
        KEEP_ALIVE | SHUTDOWN | ACK_ACK => parse(datagram, from).map(Datagram::Session),
        DROP_REQUEST => {
            let (first, last) = (word32(body, 0)? & SEQUENCE, word32(body, 4)? & SEQUENCE);
            let count = last.wrapping_sub(first) & SEQUENCE;
            (count < MAX_DROPPED).then(|| parse(datagram, from)).flatten().map(Datagram::Session)
        }
        // A new key.
        EXTENSION if word16(head, 2)? == KEY_REQUEST => {
            key_size(body)?;
            parse(datagram, from).map(Datagram::Session)
        }
        // We send no data, so there is nothing to acknowledge or to send again; the rest is not in use.
        _ => None,
    }
}

fn handshake(head: &[u8], body: &[u8], from: SocketAddr) -> Option<Datagram> {
    let (fixed, extensions) = body.split_at_checked(HANDSHAKE_SIZE)?;
    let (version, packet_size, kind) = (word32(fixed, 0)?, word32(fixed, 12)?, word32(fixed, 20)?);
    if !PACKET_SIZES.contains(&packet_size) {
        return None;
    }
    let mut clean = [head, fixed].concat();
    let mut wants = Wants::default();
    match (kind, version) {
        (INDUCTION, 4) => {}
        (CONCLUSION, 5) => take_extensions(extensions, &mut clean, &mut wants)?,
        _ => return None,
    }
    let Packet::Control(control) = parse(&clean, from)? else { return None };
    let ControlTypes::Handshake(info) = control.control_type.clone() else { return None };
    let shake = Shake { timestamp: word32(head, 8)?, control, info };
    Some(if kind == INDUCTION { Datagram::Induction(shake) } else { Datagram::Conclusion(shake, wants) })
}

/// Keeps the extensions (section 3.2.1) that we know and that are whole.
fn take_extensions(extensions: &[u8], clean: &mut Vec<u8>, wants: &mut Wants) -> Option<()> {
    let mut rest = extensions;
    while rest.len() > 4 {
        let (kind, words) = (word16(rest, 0)?, word16(rest, 2)?);
        let (extension, behind) = rest.split_at_checked(4 + 4 * usize::from(words))?;
        let content = extension.get(4..)?;
        match kind {
            HANDSHAKE_REQUEST if content.len() == 12 => clean.extend_from_slice(extension),
            KEY_REQUEST => {
                wants.key_size = Some(key_size(content)?);
                clean.extend_from_slice(extension);
            }
            STREAM_ID if (1..=MAX_STREAM_ID).contains(&content.len()) => clean.extend_from_slice(extension),
            // "elif", as words are written backwards.
            CONGESTION => wants.is_file = content == b"elif",
            // Filters and groups are offers; who gets no answer to them does without, or goes.
            _ => {}
        }
        rest = behind;
    }
    Some(())
}

/// The length of the keys in a key material message (section 3.2.2) that is whole and of the only kind there is.
fn key_size(message: &[u8]) -> Option<KeySize> {
    let keys = message.get(3)? & 3;
    let (salt, key) = (usize::from(*message.get(14)?) * 4, usize::from(*message.get(15)?) * 4);
    let wrapped = key * usize::try_from(keys.count_ones()).ok()? + 8;
    let known = message.get(..3)? == [0x12, 0x20, 0x29] && message.get(8..11)? == [CTR, 0, SRT] && keys != 0;
    (known && salt == 16 && message.len() == 16 + salt + wrapped).then_some(())?;
    match key {
        16 => Some(KeySize::AES128),
        24 => Some(KeySize::AES192),
        32 => Some(KeySize::AES256),
        _ => None,
    }
}

fn parse(datagram: &[u8], from: SocketAddr) -> Option<Packet> {
    Packet::parse(&mut &*datagram, from.is_ipv6()).ok()
}

fn word16(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|word| u16::from_be_bytes(*word))
}

fn word32(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|word| u32::from_be_bytes(*word))
}

/// Bytes of every packet's head.
const HEAD: usize = 16;
/// Of a handshake without extensions.
const HANDSHAKE_SIZE: usize = 48;
const CONTROL: u16 = 0x8000;
const HANDSHAKE: u16 = 0;
const KEEP_ALIVE: u16 = 1;
const SHUTDOWN: u16 = 5;
const ACK_ACK: u16 = 6;
const DROP_REQUEST: u16 = 7;
const EXTENSION: u16 = 0x7fff;
const INDUCTION: u32 = 1;
const CONCLUSION: u32 = 0xffff_ffff;
const HANDSHAKE_REQUEST: u16 = 1;
const KEY_REQUEST: u16 = 3;
const STREAM_ID: u16 = 5;
const CONGESTION: u16 = 6;
/// Bytes of a stream id (section 3.2.1.3).
const MAX_STREAM_ID: usize = 512;
const CTR: u8 = 2;
const SRT: u8 = 2;
const SEQUENCE: u32 = 0x7fff_ffff;
/// A request to drop more than a receive buffer holds is none.
const MAX_DROPPED: u32 = 8_192;
/// Bytes of a datagram with its IP head that a caller may name; all send 1,500.
const PACKET_SIZES: std::ops::RangeInclusive<u32> = 256..=65_535;
