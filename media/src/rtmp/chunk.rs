//! Chunks to messages: one assembler per chunk stream (Adobe RTMP 1.0 §5.3).
#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::cast_possible_truncation)
)]

use bytes::{Buf, Bytes, BytesMut};

use super::Limits;
use crate::cursor::Cursor;
use crate::{Error, Result};

/// One whole RTMP message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub type_id: u8,
    pub stream_id: u32,
    /// Milliseconds, wrapping.
    pub timestamp_ms: u32,
    pub payload: Bytes,
}

/// Puts messages together from chunks, whichever way their chunk streams are interleaved. Set Chunk Size and
/// Abort are obeyed and not handed on.
#[derive(Debug)]
pub struct Assembler {
    limits: Limits,
    chunk_size: usize,
    streams: Vec<Stream>,
    reading: Option<Reading>,
    /// Bytes of unfinished messages.
    pending: usize,
}

impl Assembler {
    pub fn new(limits: Limits) -> Self {
        Self { limits, chunk_size: INITIAL_CHUNK_SIZE, streams: Vec::new(), reading: None, pending: 0 }
    }

    /// From here on with other limits.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Takes chunks from the front of `input` up to the end of the next message; `None` when it needs more,
    /// and then leaves at most part of one chunk header in `input`.
    ///
    /// # Errors
    /// [`Error::Malformed`], [`Error::Protocol`] or [`Error::Limit`]; no further message can be read then.
    pub fn next(&mut self, input: &mut BytesMut) -> Result<Option<Message>> {
        loop {
            let Some(reading) = self.reading else {
                if self.start_chunk(input)? {
                    continue;
                }
                return Ok(None);
            };
            let Some(message) = self.continue_chunk(reading, input)? else {
                if self.reading.is_some() {
                    return Ok(None);
                }
                continue;
            };
            match message.type_id {
                SET_CHUNK_SIZE => self.set_chunk_size(&message.payload)?,
                ABORT => self.abort(&message.payload)?,
                _ => return Ok(Some(message)),
            }
        }
    }

    /// Reads one chunk header, when it is all there.
    fn start_chunk(&mut self, input: &mut BytesMut) -> Result<bool> {
        let mut cursor = Cursor::new(FORMAT, input);
        let Ok((format, id)) = basic_header(&mut cursor) else { return Ok(false) };
        let index = self.streams.iter().position(|stream| stream.id == id);
        let stream = index.and_then(|index| self.streams.get(index));
        let Some(header) = message_header(&mut cursor, format, stream)? else { return Ok(false) };
        let consumed = cursor.position();
        let limit =
            if is_media(header.type_id) { self.limits.media_message } else { self.limits.control_message };
        if header.length > limit {
            return Err(Error::Limit { what: "RTMP message bytes", limit });
        }
        let index = match index {
            Some(index) => index,
            None if self.streams.len() >= self.limits.chunk_streams => {
                return Err(Error::Limit { what: "RTMP chunk streams", limit: self.limits.chunk_streams });
            }
            None => {
                self.streams.push(Stream { id, header, payload: BytesMut::new(), unfinished: false });
                self.streams.len().saturating_sub(1)
            }
        };
        let Some(stream) = self.streams.get_mut(index) else { return Ok(false) };
        if !stream.unfinished {
            stream.payload.reserve(header.length.min(FIRST_RESERVE));
        }
        stream.header = header;
        stream.unfinished = true;
        let left = header.length.saturating_sub(stream.payload.len()).min(self.chunk_size);
        self.reading = Some(Reading { index, left });
        input.advance(consumed);
        Ok(true)
    }

    /// Takes what is there of a chunk's payload; the message when that was its last byte.
    fn continue_chunk(&mut self, reading: Reading, input: &mut BytesMut) -> Result<Option<Message>> {
        let Some(stream) = self.streams.get_mut(reading.index) else { return Ok(None) };
        let taken = reading.left.min(input.len());
        stream.payload.extend_from_slice(input.get(..taken).unwrap_or_default());
        input.advance(taken);
        self.pending = self.pending.saturating_add(taken);
        if self.pending > self.limits.pending {
            return Err(Error::Limit {
                what: "RTMP bytes in unfinished messages",
                limit: self.limits.pending,
            });
        }
        let left = reading.left.saturating_sub(taken);
        self.reading = (left > 0).then_some(Reading { left, ..reading });
        if left > 0 || stream.payload.len() < stream.header.length {
            return Ok(None);
        }
        self.pending = self.pending.saturating_sub(stream.payload.len());
        stream.unfinished = false;
        Ok(Some(Message {
            type_id: stream.header.type_id,
            stream_id: stream.header.stream_id,
            timestamp_ms: stream.header.timestamp_ms,
            payload: std::mem::take(&mut stream.payload).freeze(),
        }))
    }

    fn set_chunk_size(&mut self, payload: &[u8]) -> Result<()> {
        let mut cursor = Cursor::new("RTMP Set Chunk Size", payload);
        let size = cursor.u32()?;
        // The highest bit must be zero; sizes beyond the largest message are all the same.
        if !(MIN_CHUNK_SIZE..=0x7fff_ffff).contains(&size) {
            return Err(cursor.malformed("the chunk size is below 128 or above 2^31 - 1"));
        }
        self.chunk_size = usize::try_from(size).unwrap_or(usize::MAX);
        Ok(())
    }

    fn abort(&mut self, payload: &[u8]) -> Result<()> {
        let id = Cursor::new("RTMP Abort", payload).u32()?;
        if let Some(stream) = self.streams.iter_mut().find(|stream| stream.id == id && stream.unfinished) {
            self.pending = self.pending.saturating_sub(stream.payload.len());
            stream.payload.clear();
            stream.unfinished = false;
        }
        Ok(())
    }
}

/// The chunk whose payload is being read.
#[derive(Debug, Clone, Copy)]
struct Reading {
    index: usize,
    left: usize,
}

#[derive(Debug)]
struct Stream {
    id: u32,
    header: Header,
    payload: BytesMut,
    /// A message has begun and not ended.
    unfinished: bool,
}

#[derive(Debug, Clone, Copy, Default)]
struct Header {
    timestamp_ms: u32,
    /// What a following message without a timestamp of its own adds.
    delta_ms: u32,
    /// The extended timestamp field, when the last header of the chunk stream had one.
    extended: Option<u32>,
    length: usize,
    type_id: u8,
    stream_id: u32,
}

/// Format and chunk stream id (§5.3.1.1).
fn basic_header(cursor: &mut Cursor<'_>) -> Result<(u8, u32)> {
    let first = cursor.u8()?;
    let id = match first & 0x3f {
        0 => u32::from(cursor.u8()?).saturating_add(64),
        1 => u32::from(u16::from_le_bytes(cursor.array()?)).saturating_add(64),
        id => id.into(),
    };
    Ok((first >> 6, id))
}

/// The header of the message that a chunk begins or continues (§5.3.1.2); `None` when it is not all there.
fn message_header(cursor: &mut Cursor<'_>, format: u8, stream: Option<&Stream>) -> Result<Option<Header>> {
    let old = stream.map(|stream| stream.header);
    let unfinished = stream.is_some_and(|stream| stream.unfinished);
    let old = match (format, old) {
        (0 | 1, None) => Header::default(), // librtmp begins a chunk stream with format 1 for a ping
        (_, None) => return Err(violation("a chunk stream began without a message length")),
        (0..=2, Some(_)) if unfinished => return Err(violation("a message began inside another")),
        (_, Some(old)) => old,
    };
    if format == 3 {
        return Ok(repeated_header(cursor, old, unfinished));
    }
    let Ok(field) = cursor.u24() else { return Ok(None) };
    let mut header = old;
    if format < 2 {
        let (Ok(length), Ok(type_id)) = (cursor.u24(), cursor.u8()) else { return Ok(None) };
        header.length = usize::try_from(length).unwrap_or(usize::MAX);
        header.type_id = type_id;
    }
    if format == 0 {
        let Ok(stream_id) = cursor.array() else { return Ok(None) };
        header.stream_id = u32::from_le_bytes(stream_id);
    }
    header.extended = None;
    let mut time = field;
    if field == EXTENDED {
        let Ok(extended) = cursor.u32() else { return Ok(None) };
        header.extended = Some(extended);
        time = extended;
    }
    header.delta_ms = time;
    header.timestamp_ms = if format == 0 { time } else { old.timestamp_ms.wrapping_add(time) };
    Ok(Some(header))
}

/// Format 3: the same header again. The extended timestamp is repeated with it, which old encoders forget, so
/// four bytes are taken for one only when they say the same.
fn repeated_header(cursor: &mut Cursor<'_>, old: Header, unfinished: bool) -> Option<Header> {
    if let Some(extended) = old.extended {
        let mut ahead = cursor.clone();
        if ahead.u32().ok()? == extended {
            *cursor = ahead;
        }
    }
    let mut header = old;
    if !unfinished {
        header.timestamp_ms = old.timestamp_ms.wrapping_add(old.delta_ms);
    }
    Some(header)
}

/// Fuzz body: any bytes are messages or an error, the same ones however the bytes are split.
pub fn fuzz(data: &[u8]) {
    let whole = assemble(data, usize::MAX);
    for piece in [1, 2, 3, 7, 64] {
        assert_eq!(whole, assemble(data, piece));
    }
}

fn assemble(data: &[u8], piece: usize) -> (Vec<Message>, Option<Error>) {
    let limits = Limits { media_message: 4096, control_message: 1024, pending: 6000, ..Limits::default() };
    let mut assembler = Assembler::new(limits.clone());
    let mut input = BytesMut::new();
    let mut messages = Vec::new();
    for part in data.chunks(piece.min(data.len()).max(1)) {
        input.extend_from_slice(part);
        loop {
            match assembler.next(&mut input) {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => break,
                Err(error) => return (messages, Some(error)),
            }
        }
        assert!(input.len() <= LONGEST_HEADER);
        let held: usize = assembler.streams.iter().map(|stream| stream.payload.len()).sum();
        assert_eq!(held, assembler.pending);
        assert!(held <= limits.pending && assembler.streams.len() <= limits.chunk_streams);
    }
    (messages, None)
}

fn is_media(type_id: u8) -> bool {
    matches!(type_id, super::message::AUDIO | super::message::VIDEO | super::message::AGGREGATE)
}

fn violation(problem: &'static str) -> Error {
    Error::Protocol { protocol: "RTMP chunking", problem }
}

const FORMAT: &str = "RTMP chunk header";
/// Before the first Set Chunk Size (§5.4.1).
const INITIAL_CHUNK_SIZE: usize = 128;
/// §5.4.1 allows 1 but advises 128; smaller chunks only burn processor time.
const MIN_CHUNK_SIZE: u32 = 128;
/// A timestamp field of this value says that four more bytes have the time.
const EXTENDED: u32 = 0xff_ffff;
/// Reserved when a message begins; more only as its bytes really come.
const FIRST_RESERVE: usize = 16 << 10;
const LONGEST_HEADER: usize = 3 + 11 + 4;
const SET_CHUNK_SIZE: u8 = 1;
const ABORT: u8 = 2;

#[cfg(test)]
mod tests;
