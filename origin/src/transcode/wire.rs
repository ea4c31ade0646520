//! What the origin and its transcode child say to each other over the child's stdin and stdout.
//!
//! Every message is a big-endian `u32` length, one byte of kind and a body. Lengths are checked before
//! anything is allocated, on both sides: the child decodes a stranger's bitstream, so the origin trusts
//! it no more than the stranger.

mod codec;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use nearcast_media::Frame;

pub use codec::Codec;

/// What the origin sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// First, once.
    Start(Start),
    Frame(Input),
    /// Encode what is left, then exit. Closing the pipe means the same.
    End,
}

/// What the child must know before the first frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    /// The source's codec.
    pub codec: Codec,
    /// Decoder configuration of the source, as an MP4 sample entry holds it.
    pub record: Bytes,
    /// Best rung first.
    pub rungs: Vec<Rung>,
    /// libx264's preset.
    pub preset: String,
    /// Threads of the decoder; every encoder has one.
    pub decode_threads: u16,
    /// Bytes of decoded pictures that may wait for all encoders together.
    pub queue_bytes: u32,
    /// Bytes of writable memory the child may have.
    pub memory_bytes: u64,
}

/// One rendition to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rung {
    /// Pixels, even.
    pub width: u32,
    /// Pixels, even.
    pub height: u32,
    /// Bits per second.
    pub bitrate: u32,
    /// Frames per second to stay at or below; 0 keeps the source's.
    pub max_fps: u16,
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

/// What the child answers. `rung` counts from 0 in the order of [`Start::rungs`].
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
    #[error("a preset is not UTF-8")]
    NotText,
    #[error("a source of unknown codec {0}")]
    UnknownCodec(u8),
    #[error("a message names a rung that was not asked for")]
    UnknownRung,
}

/// Longest message: [`MAX_FRAME`] and its header.
pub const MAX_MESSAGE: u32 = MAX_FRAME + 64;

/// Longest access unit: what RTMP lets in, and more than any sane encoder's IDR picture.
pub const MAX_FRAME: u32 = 4 << 20;

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
            Self::Frame(input) => {
                out.put_u8(FRAME);
                out.put_u8(u8::from(input.cut));
                out.put_u32(input.behind);
                encode_frame(&input.frame, out);
            }
            Self::End => out.put_u8(END),
        });
    }

    /// Reads what [`split`] gave.
    pub fn decode(mut message: Bytes) -> Result<Self, Error> {
        Ok(match message.try_get_u8().map_err(|_| Error::Truncated)? {
            START => Self::Start(Start::decode(message)?),
            FRAME => {
                let cut = u8_of(&mut message)? & 1 != 0;
                let behind = u32_of(&mut message)?;
                Self::Frame(Input { cut, behind, frame: decode_frame(message)? })
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
            kind => return Err(Error::UnknownKind(kind)),
        })
    }
}

impl Start {
    fn encode(&self, out: &mut BytesMut) {
        out.put_u8(self.codec as u8);
        out.put_u64(self.memory_bytes);
        out.put_u32(self.queue_bytes);
        out.put_u16(self.decode_threads);
        out.put_u8(self.preset.len() as u8);
        out.put_slice(&self.preset.as_bytes()[..self.preset.len() as u8 as usize]);
        out.put_u8(self.rungs.len() as u8);
        for rung in &self.rungs[..self.rungs.len() as u8 as usize] {
            out.put_u32(rung.width);
            out.put_u32(rung.height);
            out.put_u32(rung.bitrate);
            out.put_u16(rung.max_fps);
        }
        out.put_slice(&self.record);
    }

    fn decode(mut body: Bytes) -> Result<Self, Error> {
        let codec = Codec::decode(u8_of(&mut body)?)?;
        let memory_bytes = body.try_get_u64().map_err(|_| Error::Truncated)?;
        let queue_bytes = u32_of(&mut body)?;
        let decode_threads = u16_of(&mut body)?;
        let length = u8_of(&mut body)? as usize;
        if body.len() < length {
            return Err(Error::Truncated);
        }
        let preset = String::from_utf8(body.split_to(length).into()).map_err(|_| Error::NotText)?;
        let count = u8_of(&mut body)?;
        let rung = |body: &mut Bytes| {
            let (width, height, bitrate) = (u32_of(body)?, u32_of(body)?, u32_of(body)?);
            Ok(Rung { width, height, bitrate, max_fps: u16_of(body)? })
        };
        let rungs = (0..count).map(|_| rung(&mut body)).collect::<Result<_, Error>>()?;
        Ok(Self { codec, record: body, rungs, preset, decode_threads, queue_bytes, memory_bytes })
    }
}

/// Puts the length in front of what `body` writes.
fn framed(out: &mut BytesMut, body: impl FnOnce(&mut BytesMut)) {
    let start = out.len();
    out.put_u32(0);
    body(out);
    let length = (out.len() - start - 4) as u32;
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
}

fn encode_frame(frame: &Frame, out: &mut BytesMut) {
    out.put_i64(frame.pts);
    out.put_i64(frame.dts);
    out.put_u8(u8::from(frame.keyframe));
    out.put_slice(&frame.data);
}

fn decode_frame(mut body: Bytes) -> Result<Frame, Error> {
    let pts = body.try_get_i64().map_err(|_| Error::Truncated)?;
    let dts = body.try_get_i64().map_err(|_| Error::Truncated)?;
    let keyframe = u8_of(&mut body)? & 1 != 0;
    Ok(Frame { dts, pts, keyframe, data: body })
}

fn ended<T>(rest: &Bytes, message: T) -> Result<T, Error> {
    if rest.is_empty() { Ok(message) } else { Err(Error::Trailing) }
}

fn u8_of(body: &mut Bytes) -> Result<u8, Error> {
    body.try_get_u8().map_err(|_| Error::Truncated)
}

fn u16_of(body: &mut Bytes) -> Result<u16, Error> {
    body.try_get_u16().map_err(|_| Error::Truncated)
}

fn u32_of(body: &mut Bytes) -> Result<u32, Error> {
    body.try_get_u32().map_err(|_| Error::Truncated)
}

const START: u8 = 1;
const FRAME: u8 = 2;
const END: u8 = 3;
const CONFIG: u8 = 4;
const LAG: u8 = 5;
const DAMAGED: u8 = 6;

/// Reads `data` as a stream of messages in both directions; what can be read must be written back alike.
pub fn fuzz(data: &[u8]) {
    let mut stream = BytesMut::from(data);
    while let Ok(Some(message)) = split(&mut stream) {
        let mut again = BytesMut::new();
        if let Ok(request) = Request::decode(message.clone()) {
            request.encode(&mut again);
            let copy = split(&mut again).ok().flatten().map(Request::decode);
            assert_eq!(copy, Some(Ok(request)));
        }
        if let Ok(reply) = Reply::decode(message) {
            reply.encode(&mut again);
            let copy = split(&mut again).ok().flatten().map(Reply::decode);
            assert_eq!(copy, Some(Ok(reply)));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame() -> Frame {
        Frame { dts: -9, pts: 3_000_000_000, keyframe: true, data: Bytes::from_static(b"\0\0\0\x01\x65") }
    }

    fn requests() -> Vec<Request> {
        let rung = Rung { width: 640, height: 360, bitrate: 800_000, max_fps: 30 };
        let start = Start {
            codec: Codec::Vp9,
            record: Bytes::from_static(&[1, 100, 0, 31]),
            rungs: vec![rung.clone(), rung],
            preset: "veryfast".into(),
            decode_threads: 1,
            queue_bytes: 64 << 20,
            memory_bytes: 1 << 30,
        };
        vec![
            Request::Start(start),
            Request::Frame(Input { frame: frame(), cut: true, behind: 90_000 }),
            Request::End,
        ]
    }

    fn replies() -> Vec<Reply> {
        vec![
            Reply::Config { rung: 1, record: Bytes::from_static(&[1, 2]) },
            Reply::Frame { rung: 0, frame: frame() },
            Reply::Lag { rung: 2, dropped: 60 },
            Reply::Damaged { frames: 3 },
        ]
    }

    fn seeds() -> Vec<BytesMut> {
        let mut seeds = vec![BytesMut::new(); 2];
        requests().iter().for_each(|request| request.encode(&mut seeds[0]));
        replies().iter().for_each(|reply| reply.encode(&mut seeds[1]));
        seeds
    }

    #[test]
    fn messages_survive_the_pipe_however_it_is_cut() {
        let [ask, answer] = seeds().try_into().unwrap();
        let (mut buffer, mut got) = (BytesMut::new(), Vec::new());
        for byte in ask {
            buffer.put_u8(byte);
            while let Some(message) = split(&mut buffer).unwrap() {
                got.push(Request::decode(message).unwrap());
            }
        }
        assert_eq!(got, requests());

        let (mut buffer, mut got) = (answer, Vec::new());
        while let Some(message) = split(&mut buffer).unwrap() {
            got.push(Reply::decode(message).unwrap());
        }
        assert_eq!(got, replies());
        assert!(buffer.is_empty());
    }

    #[test]
    fn a_length_is_refused_before_it_is_believed() {
        let mut buffer = BytesMut::from(&[0xff, 0xff, 0xff, 0xff, FRAME][..]);
        assert_eq!(split(&mut buffer), Err(Error::TooLong(u32::MAX)));
    }

    proptest! {
        #[test]
        fn any_bytes_are_harmless(data in prop::collection::vec(any::<u8>(), 0..512)) {
            fuzz(&data);
        }

        #[test]
        fn a_damaged_stream_is_harmless(which in 0usize..2, at in any::<prop::sample::Index>(), byte: u8, cut in any::<prop::sample::Index>()) {
            let mut data = seeds().swap_remove(which);
            let at = at.index(data.len());
            data[at] = byte;
            let end = cut.index(data.len());
            fuzz(&data[..end]);
            fuzz(&data);
        }
    }
}
