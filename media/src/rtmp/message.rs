//! What the payload of a message says, by its type (Adobe RTMP 1.0 §5.4, §6.2, §7.1).
#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::cast_possible_truncation)
)]

use bytes::Bytes;

use super::amf::{self, Value};
use super::chunk::Message;
use crate::cursor::Cursor;
use crate::{Error, Result};

/// A message that a server acts on.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Content {
    Media(Media),
    /// Several audio and video messages in one.
    Aggregate(Vec<Media>),
    Command(Command),
    Data(Vec<Value>),
    Ping([u8; 4]),
    WindowAcknowledgementSize(u32),
    /// Nothing to act on.
    Other,
}

/// An audio or video message.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Media {
    pub(super) is_video: bool,
    pub(super) timestamp_ms: u32,
    pub(super) data: Bytes,
}

/// A remote call (§7.2).
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Command {
    /// The message stream that it is about; zero is the connection.
    pub(super) stream_id: u32,
    pub(super) name: String,
    /// The reply repeats it; zero when none is expected.
    pub(super) transaction: f64,
    pub(super) object: Value,
    pub(super) arguments: Vec<Value>,
}

impl Content {
    pub(super) fn parse(message: Message) -> Result<Self> {
        let payload = &message.payload;
        Ok(match message.type_id {
            AUDIO | VIDEO => Self::Media(Media {
                is_video: message.type_id == VIDEO,
                timestamp_ms: message.timestamp_ms,
                data: message.payload,
            }),
            AGGREGATE => Self::Aggregate(aggregate(&message)?),
            COMMAND => Self::Command(Command::parse(message.stream_id, payload)?),
            COMMAND_AMF3 => Self::Command(Command::parse(message.stream_id, without_format(payload))?),
            // Metadata is of use but not needed: what cannot be read is passed over.
            DATA => amf::read(payload).map_or(Self::Other, Self::Data),
            DATA_AMF3 => amf::read(without_format(payload)).map_or(Self::Other, Self::Data),
            USER_CONTROL => user_control(payload)?,
            WINDOW_ACKNOWLEDGEMENT_SIZE => Self::WindowAcknowledgementSize(
                Cursor::new("RTMP Window Acknowledgement Size", payload).u32()?,
            ),
            _ => Self::Other,
        })
    }
}

impl Command {
    fn parse(stream_id: u32, payload: &[u8]) -> Result<Self> {
        let mut values = amf::read(payload)?.into_iter();
        let Some(Value::String(name)) = values.next() else {
            return Err(Error::Malformed { format: "RTMP command", offset: 0, problem: "it has no name" });
        };
        let transaction = values.next().and_then(|value| value.as_number()).unwrap_or(0.0);
        let object = values.next().unwrap_or(Value::Null);
        Ok(Self { stream_id, name, transaction, object, arguments: values.collect() })
    }
}

/// "AMF3" messages of encoders are AMF0 behind a byte that says so.
fn without_format(payload: &[u8]) -> &[u8] {
    payload.strip_prefix(&[0]).unwrap_or(payload)
}

fn user_control(payload: &[u8]) -> Result<Content> {
    let mut cursor = Cursor::new("RTMP user control", payload);
    Ok(match cursor.u16()? {
        PING_REQUEST => Content::Ping(cursor.array()?),
        _ => Content::Other,
    })
}

/// FLV tags (Adobe FLV 10.1 §E.4.1) whose times count from the first one's (Adobe RTMP 1.0 §7.1.6).
fn aggregate(message: &Message) -> Result<Vec<Media>> {
    let mut cursor = Cursor::new("RTMP aggregate message", &message.payload);
    let mut parts = Vec::new();
    let mut first = None;
    while !cursor.is_empty() {
        let type_id = cursor.u8()? & 0x1f;
        let length = usize::try_from(cursor.u24()?).unwrap_or(usize::MAX);
        let [a, b, c, high] = cursor.array()?;
        let time = u32::from_be_bytes([high, a, b, c]);
        cursor.u24()?; // stream id
        let data = message.payload.slice_ref(cursor.take(length)?);
        cursor.u32()?; // back pointer
        let offset = time.wrapping_sub(*first.get_or_insert(time));
        if matches!(type_id, AUDIO | VIDEO) {
            let timestamp_ms = message.timestamp_ms.wrapping_add(offset);
            parts.push(Media { is_video: type_id == VIDEO, timestamp_ms, data });
        }
        if parts.len() > MAX_PARTS {
            return Err(Error::Limit { what: "parts of an RTMP aggregate message", limit: MAX_PARTS });
        }
    }
    Ok(parts)
}

pub(super) const ACKNOWLEDGEMENT: u8 = 3;
pub(super) const USER_CONTROL: u8 = 4;
pub(super) const WINDOW_ACKNOWLEDGEMENT_SIZE: u8 = 5;
pub(super) const SET_PEER_BANDWIDTH: u8 = 6;
pub(super) const AUDIO: u8 = 8;
pub(super) const VIDEO: u8 = 9;
const DATA_AMF3: u8 = 15;
const COMMAND_AMF3: u8 = 17;
const DATA: u8 = 18;
pub(super) const COMMAND: u8 = 20;
pub(super) const AGGREGATE: u8 = 22;

/// User control events (§7.1.7).
pub(super) const STREAM_BEGIN: u16 = 0;
const PING_REQUEST: u16 = 6;
pub(super) const PING_RESPONSE: u16 = 7;

/// A second of the fastest video and audio; each costs us some 80 bytes for as little as 15 of the peer's.
const MAX_PARTS: usize = 1_024;
