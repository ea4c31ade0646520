//! What the origin and its transcode child say to each other over the child's stdin and stdout.
//!
//! Every message is a big-endian `u32` length, one byte of kind and a body. Lengths are checked before
//! anything is allocated, on both sides: the child decodes a stranger's bitstream, so the origin trusts
//! it no more than the stranger.

mod codec;
pub mod sound;
mod start;
mod still;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use nearcast_media::Frame;

pub use codec::{Codec, Source};
pub use start::{Encoder, Rung, Start, Task};
pub use still::{Jpeg, PNG as PNG_FILE, Sheet, Slate, Still, is_picture};

/// What the origin sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// First, once.
    Start(Start),
    /// Instead of a start: make sound.
    Sound(sound::Start),
    /// Instead of a start: try this encoder, and exit with success when it works.
    Probe(Encoder),
    /// Instead of a start: make a picture of the frame that follows.
    Still(Still),
    /// Instead of a start: make a picture of pictures.
    Sheet(Sheet),
    /// Instead of a start: make a video picture of a picture file.
    Slate(Slate),
    Frame(Input),
    /// From here on only these rungs are wanted, one bit each, rung 0 the lowest; what stopped does not run again.
    Wanted {
        rungs: u8,
    },
    /// Encode what is left, then exit. Closing the pipe means the same.
    End,
}

/// A source frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    pub frame: Frame,
    /// The source's segment was cut here: every rung starts a closed group of pictures.
    pub cut: bool,
    /// How much older than the newest frame of the source it is, in media ticks.
    pub behind: u32,
}

/// What the child answers. `rung` counts from 0 in the order of [`Start::rungs`] or [`sound::Start::rungs`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// Before a rung's first frame.
    Config {
        rung: u8,
        record: Bytes,
    },
    Frame {
        rung: u8,
        frame: Frame,
    },
    /// The encoders cannot keep up: this many more frames of the rung were left out.
    Lag {
        rung: u8,
        dropped: u32,
    },
    /// This many more source frames could not be decoded.
    Damaged {
        frames: u32,
    },
    /// What was asked for instead of a start.
    Jpeg(Jpeg),
}

/// A message that breaks the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("a message of {0} bytes is longer than {MAX_MESSAGE}")]
    TooLong(u32),
    #[error("a message of unknown kind {0}")]
    UnknownKind(u8),
    #[error("a message ends before its last field")]
    Truncated,
    #[error("a message goes on after its last field")]
    Trailing,
    #[error("a name is not UTF-8")]
    NotText,
    #[error("a source of unknown codec {0}")]
    UnknownCodec(u8),
    #[error("an encoder of unknown number {0}")]
    UnknownEncoder(u8),
    #[error("a task of unknown number {0}")]
    UnknownTask(u8),
    #[error("a message names a rung that was not asked for")]
    UnknownRung,
    #[error("a picture came that was not asked for, or is none")]
    Picture,
    #[error("a decoder configuration is damaged")]
    Record,
    #[error("a number is impossible")]
    Range,
}

/// Longest message: [`MAX_FRAME`] and its header.
pub const MAX_MESSAGE: u32 = MAX_FRAME + 64;

/// Longest access unit: what RTMP lets in, and more than any sane encoder's IDR picture.
pub const MAX_FRAME: u32 = 4 << 20;

/// Longest file of one small picture: a sheet of 25 of them still goes into a message.
pub const MAX_PICTURE: usize = 160 << 10;

/// Takes the next whole message's kind and body off the front of `buffer`, or nothing when it is not all there.
pub fn split(buffer: &mut BytesMut) -> Result<Option<Bytes>, Error> {
    let Some(header) = buffer.first_chunk::<4>() else { return Ok(None) };
    let length = u32::from_be_bytes(*header);
    if length > MAX_MESSAGE {
        return Err(Error::TooLong(length));
    }
    if buffer.len() - 4 < length as usize {
        return Ok(None);
    }
    buffer.advance(4);
    Ok(Some(buffer.split_to(length as usize).freeze()))
}

impl Request {
    /// Appends the message, length first.
    pub fn encode(&self, out: &mut BytesMut) {
        framed(out, |out| match self {
            Self::Start(start) => {
                out.put_u8(START);
                start.encode(out);
            }
            Self::Sound(start) => {
                out.put_u8(SOUND);
                start.encode(out);
            }
            Self::Probe(encoder) => out.put_slice(&[PROBE, *encoder as u8]),
            Self::Still(still) => {
                out.put_u8(STILL);
                still.encode(out);
            }
            Self::Sheet(sheet) => {
                out.put_u8(SHEET);
                sheet.encode(out);
            }
            Self::Slate(slate) => {
                out.put_u8(SLATE);
                slate.encode(out);
            }
            Self::Frame(input) => {
                out.put_u8(FRAME);
                out.put_u8(u8::from(input.cut));
                out.put_u32(input.behind);
                encode_frame(&input.frame, out);
            }
            Self::Wanted { rungs } => out.put_slice(&[WANTED, *rungs]),
            Self::End => out.put_u8(END),
        });
    }

    /// Reads what [`split`] gave.
    pub fn decode(mut message: Bytes) -> Result<Self, Error> {
        Ok(match message.try_get_u8().map_err(|_| Error::Truncated)? {
            START => Self::Start(Start::decode(message)?),
            STILL => Self::Still(Still::decode(message)?),
            SHEET => Self::Sheet(Sheet::decode(message)?),
            SLATE => Self::Slate(Slate::decode(message)?),
            SOUND => Self::Sound(sound::Start::decode(message)?),
            FRAME => {
                let cut = u8_of(&mut message)? & 1 != 0;
                let behind = u32_of(&mut message)?;
                Self::Frame(Input { cut, behind, frame: decode_frame(message)? })
            }
            PROBE => {
                let encoder = Encoder::from_number(u8_of(&mut message)?)?;
                ended(&message, Self::Probe(encoder))?
            }
            WANTED => {
                let rungs = u8_of(&mut message)?;
                ended(&message, Self::Wanted { rungs })?
            }
            END => ended(&message, Self::End)?,
            kind => return Err(Error::UnknownKind(kind)),
        })
    }
}

impl Reply {
    /// Appends the message, length first.
    pub fn encode(&self, out: &mut BytesMut) {
        framed(out, |out| match self {
            Self::Config { rung, record } => {
                out.put_slice(&[CONFIG, *rung]);
                out.put_slice(record);
            }
            Self::Frame { rung, frame } => {
                out.put_slice(&[FRAME, *rung]);
                encode_frame(frame, out);
            }
            Self::Lag { rung, dropped } => {
                out.put_slice(&[LAG, *rung]);
                out.put_u32(*dropped);
            }
            Self::Damaged { frames } => {
                out.put_u8(DAMAGED);
                out.put_u32(*frames);
            }
            Self::Jpeg(jpeg) => {
                out.put_u8(JPEG);
                jpeg.encode(out);
            }
        });
    }

    /// Reads what [`split`] gave.
    pub fn decode(mut message: Bytes) -> Result<Self, Error> {
        Ok(match u8_of(&mut message)? {
            CONFIG => Self::Config { rung: u8_of(&mut message)?, record: message },
            FRAME => Self::Frame { rung: u8_of(&mut message)?, frame: decode_frame(message)? },
            LAG => {
                let (rung, dropped) = (u8_of(&mut message)?, u32_of(&mut message)?);
                ended(&message, Self::Lag { rung, dropped })?
            }
            DAMAGED => {
                let frames = u32_of(&mut message)?;
                ended(&message, Self::Damaged { frames })?
            }
            JPEG => Self::Jpeg(Jpeg::decode(message)?),
            kind => return Err(Error::UnknownKind(kind)),
        })
    }
}

/// Puts the length in front of what `body` writes.
pub(crate) fn framed(out: &mut BytesMut, body: impl FnOnce(&mut BytesMut)) {
    let start = out.len();
    out.put_u32(0);
    body(out);
    let length = (out.len() - start - 4) as u32;
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
}

pub(crate) fn encode_frame(frame: &Frame, out: &mut BytesMut) {
    out.put_i64(frame.pts);
    out.put_i64(frame.dts);
    out.put_u8(u8::from(frame.keyframe));
    out.put_slice(&frame.data);
}

pub(crate) fn decode_frame(mut body: Bytes) -> Result<Frame, Error> {
    let pts = body.try_get_i64().map_err(|_| Error::Truncated)?;
    let dts = body.try_get_i64().map_err(|_| Error::Truncated)?;
    if pts.unsigned_abs() > LATEST || dts.unsigned_abs() > LATEST {
        return Err(Error::Range);
    }
    let keyframe = u8_of(&mut body)? & 1 != 0;
    Ok(Frame { dts, pts, keyframe, data: body })
}

pub(crate) fn ended<T>(rest: &Bytes, message: T) -> Result<T, Error> {
    if rest.is_empty() { Ok(message) } else { Err(Error::Trailing) }
}

pub(crate) fn u8_of(body: &mut Bytes) -> Result<u8, Error> {
    body.try_get_u8().map_err(|_| Error::Truncated)
}

fn u16_of(body: &mut Bytes) -> Result<u16, Error> {
    body.try_get_u16().map_err(|_| Error::Truncated)
}

pub(crate) fn u32_of(body: &mut Bytes) -> Result<u32, Error> {
    body.try_get_u32().map_err(|_| Error::Truncated)
}

/// Any time, in media ticks, with room to calculate: some 1,600 years.
pub(crate) const LATEST: u64 = 1 << 52;

const START: u8 = 1;
const FRAME: u8 = 2;
const END: u8 = 3;
const CONFIG: u8 = 4;
const LAG: u8 = 5;
const DAMAGED: u8 = 6;
const WANTED: u8 = 7;
const PROBE: u8 = 8;
const STILL: u8 = 9;
const SHEET: u8 = 10;
const JPEG: u8 = 11;
const SOUND: u8 = 12;
const SLATE: u8 = 13;

/// Reads `data` as a stream of messages in both directions; what can be read must be written back alike.
pub fn fuzz(data: &[u8]) {
    let mut stream = BytesMut::from(data);
    while let Ok(Some(message)) = split(&mut stream) {
        round_trip(message.clone(), Request::decode, Request::encode);
        round_trip(message, Reply::decode, Reply::encode);
    }
}

/// Fuzz body of one message: what can be read must be written back alike.
pub(crate) fn round_trip<T: PartialEq + std::fmt::Debug>(
    message: Bytes,
    decode: fn(Bytes) -> Result<T, Error>,
    encode: fn(&T, &mut BytesMut),
) {
    let Ok(read) = decode(message) else { return };
    let mut again = BytesMut::new();
    encode(&read, &mut again);
    assert_eq!(split(&mut again).ok().flatten().map(decode), Some(Ok(read)));
}

#[cfg(test)]
mod tests;
