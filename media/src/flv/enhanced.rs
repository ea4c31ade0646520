//! Enhanced RTMP message bodies (Enhanced RTMP v2, "Enhanced Audio" and "Enhanced Video"): modifiers, tracks, codes.

use bytes::Bytes;

use crate::cursor::Cursor;
use crate::{Result, Track};

/// What a body holds of a track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Body {
    /// FourCC.
    pub(super) codec: [u8; 4],
    pub(super) packet: Packet,
    pub(super) payload: Bytes,
    /// To add to the message's timestamp.
    pub(super) nanoseconds: u32,
}

/// The kind of a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packet {
    /// A decoder configuration.
    SequenceStart,
    /// A frame; video of some codecs with a composition time before it.
    CodedFrames,
    /// A frame that is shown when it is decoded.
    CodedFramesX,
    /// AV1's configuration in the way of MPEG-2 TS.
    TransportStreamStart,
    /// Colour, channel orders, the end: nothing that changes how frames are carried.
    Other,
}

/// What was read.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Message {
    /// Of the first track. Nothing where the message is about other tracks, or no frame at all.
    pub(super) body: Option<Body>,
    /// Of other tracks, by their numbers.
    pub(super) others: Vec<(u8, Body)>,
    /// More of those than a message may have.
    pub(super) surplus: u64,
}

/// Reads a body behind its first byte, `head`; `cursor` is at the second byte of `whole`.
///
/// # Errors
/// [`crate::Error::Malformed`] when it is cut short or of a kind that is not known.
pub(super) fn read(track: Track, head: u8, cursor: &mut Cursor<'_>, whole: &Bytes) -> Result<Message> {
    let mut packet = head & 0x0f;
    let mut nanoseconds = 0;
    while packet == MODIFIER {
        let size = match cursor.u8()? {
            u8::MAX => usize::from(cursor.u16()?).saturating_add(1),
            size => usize::from(size).saturating_add(1),
        };
        let data = cursor.take(size)?;
        let next = cursor.u8()?;
        packet = next & 0x0f;
        if let (TIMESTAMP_OFFSET, [a, b, c]) = (next >> 4, data) {
            nanoseconds = u32::from_be_bytes([0, *a, *b, *c]).min(MAX_NANOSECONDS);
        }
    }
    let (is_video, multitrack) = match track {
        Track::Video => (true, VIDEO_MULTITRACK),
        Track::Audio => (false, AUDIO_MULTITRACK),
    };
    // A command to the player, such as before and after seeking, has no codec.
    if is_video && head >> 4 & 7 == COMMAND_FRAME && packet != METADATA {
        return Ok(Message::default());
    }
    let slice = |data: &[u8]| whole.slice_ref(data);
    if packet != multitrack {
        let codec = cursor.array()?;
        let payload = slice(cursor.rest());
        let packet = kind(is_video, packet, cursor)?;
        return Ok(Message {
            body: Some(Body { codec, packet, payload, nanoseconds }),
            ..Message::default()
        });
    }
    let kinds = cursor.u8()?;
    let (mode, packet) = (kinds >> 4, kind(is_video, kinds & 0x0f, cursor)?);
    let shared = match mode {
        ONE_TRACK | MANY_TRACKS => Some(cursor.array()?),
        MANY_CODECS => None,
        _ => return Err(cursor.malformed("the kind of multitrack is unknown")),
    };
    let mut message = Message::default();
    loop {
        let codec = match shared {
            Some(codec) => codec,
            None => cursor.array()?,
        };
        let id = cursor.u8()?;
        let payload = if mode == ONE_TRACK {
            cursor.rest()
        } else {
            let length = usize::try_from(cursor.u24()?).unwrap_or(usize::MAX);
            cursor.take(length)?
        };
        let body = Body { codec, packet, payload: slice(payload), nanoseconds };
        if id == TAKEN && message.body.is_none() {
            message.body = Some(body);
        } else if message.others.len() < MAX_OTHERS {
            message.others.push((id, body));
        } else {
            message.surplus = message.surplus.saturating_add(1);
        }
        if mode == ONE_TRACK || cursor.is_empty() {
            return Ok(message);
        }
    }
}

fn kind(is_video: bool, packet: u8, cursor: &Cursor<'_>) -> Result<Packet> {
    match (is_video, packet) {
        (_, 0) => Ok(Packet::SequenceStart),
        (_, 1) => Ok(Packet::CodedFrames),
        (_, 2 | METADATA) => Ok(Packet::Other),
        (true, 3) => Ok(Packet::CodedFramesX),
        (true, 5) => Ok(Packet::TransportStreamStart),
        _ => Err(cursor.malformed("the packet type is unknown")),
    }
}

/// The track with the highest priority; messages without a track number are about it, too.
const TAKEN: u8 = 0;
/// No encoder has as many; empty ones would cost more than the message has bytes.
const MAX_OTHERS: usize = 16;
const COMMAND_FRAME: u8 = 5;
/// Of video; the same value is an audio track's channel order.
const METADATA: u8 = 4;
const AUDIO_MULTITRACK: u8 = 5;
const VIDEO_MULTITRACK: u8 = 6;
const MODIFIER: u8 = 7;
const TIMESTAMP_OFFSET: u8 = 0;
const MAX_NANOSECONDS: u32 = 999_999;
const ONE_TRACK: u8 = 0;
const MANY_TRACKS: u8 = 1;
const MANY_CODECS: u8 = 2;
