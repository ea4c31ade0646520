//! What a server answers: small messages, written as chunks by `rml_rtmp` into a bounded queue.

use std::collections::VecDeque;

use bytes::Bytes;
use rml_rtmp::chunk_io::ChunkSerializer;
use rml_rtmp::messages::MessagePayload;
use rml_rtmp::time::RtmpTimestamp;

use super::amf::Value;
use super::message;
use crate::{Error, Result};

/// Bytes for the peer, in order.
pub(super) struct Replies {
    serializer: ChunkSerializer,
    queue: VecDeque<Bytes>,
    size: usize,
    limit: usize,
}

impl Replies {
    pub(super) fn new(limit: usize) -> Self {
        Self { serializer: ChunkSerializer::new(), queue: VecDeque::new(), size: 0, limit }
    }

    /// The next bytes to send.
    pub(super) fn pop(&mut self) -> Option<Bytes> {
        let bytes = self.queue.pop_front()?;
        self.size = self.size.saturating_sub(bytes.len());
        Some(bytes)
    }

    /// Bytes that are no chunk: the handshake's.
    pub(super) fn raw(&mut self, bytes: Vec<u8>) -> Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.size = self.size.saturating_add(bytes.len());
        if self.size > self.limit {
            return Err(Error::Limit {
                what: "RTMP reply bytes that the peer has not taken",
                limit: self.limit,
            });
        }
        self.queue.push_back(bytes.into());
        Ok(())
    }

    /// A command, a reply or a status on a message stream.
    pub(super) fn command(
        &mut self,
        stream_id: u32,
        name: &str,
        transaction: f64,
        rest: &[Value],
    ) -> Result<()> {
        let mut payload = Vec::new();
        Value::from(name).write(&mut payload);
        Value::from(transaction).write(&mut payload);
        rest.iter().for_each(|value| value.write(&mut payload));
        self.message(message::COMMAND, stream_id, payload)
    }

    /// `onStatus` (§7.2.2) on a message stream.
    pub(super) fn status(
        &mut self,
        stream_id: u32,
        level: &str,
        code: &str,
        description: &str,
    ) -> Result<()> {
        let info = information(level, code, description);
        self.command(stream_id, "onStatus", 0.0, &[Value::Null, Value::Object(info)])
    }

    pub(super) fn set_chunk_size(&mut self, size: u32) -> Result<()> {
        let packet =
            self.serializer.set_max_chunk_size(size, RtmpTimestamp::new(0)).map_err(|_| unwritten())?;
        self.raw(packet.bytes)
    }

    pub(super) fn acknowledge(&mut self, total: u32) -> Result<()> {
        self.message(message::ACKNOWLEDGEMENT, 0, total.to_be_bytes().to_vec())
    }

    pub(super) fn window(&mut self, size: u32) -> Result<()> {
        let size = size.to_be_bytes();
        self.message(message::WINDOW_ACKNOWLEDGEMENT_SIZE, 0, size.to_vec())?;
        self.message(message::SET_PEER_BANDWIDTH, 0, [&size[..], &[DYNAMIC]].concat())
    }

    pub(super) fn user_control(&mut self, event: u16, data: [u8; 4]) -> Result<()> {
        self.message(message::USER_CONTROL, 0, [&event.to_be_bytes()[..], &data].concat())
    }

    fn message(&mut self, type_id: u8, message_stream_id: u32, payload: Vec<u8>) -> Result<()> {
        let timestamp = RtmpTimestamp::new(0);
        let payload = MessagePayload { timestamp, type_id, message_stream_id, data: payload.into() };
        let packet = self.serializer.serialize(&payload, false, false).map_err(|_| unwritten())?;
        self.raw(packet.bytes)
    }
}

impl std::fmt::Debug for Replies {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Replies").field("size", &self.size).finish_non_exhaustive()
    }
}

/// The properties of an information object.
pub(super) fn information(level: &str, code: &str, description: &str) -> Vec<(String, Value)> {
    [("level", level), ("code", code), ("description", description)]
        .map(|(name, value)| (name.to_owned(), Value::from(value)))
        .into()
}

fn unwritten() -> Error {
    Error::Protocol { protocol: "RTMP", problem: "a reply could not be written" }
}

/// Limit type of Set Peer Bandwidth (§5.4.5).
const DYNAMIC: u8 = 2;
