//! What a child must know before the first frame, and its bytes.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::{Codec, Error, Source, u8_of, u16_of, u32_of};

/// The first message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    pub source: Source,
    /// Best rung first.
    pub rungs: Vec<Rung>,
    pub encoder: Encoder,
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
    /// libx264's name for how much work to do; the others have their own that come nearest.
    pub preset: String,
    pub task: Task,
    /// The time of the last picture that a child before this one has encoded: the one after it is the first to
    /// encode, as an IDR picture. Without, it begins with the first.
    pub after: Option<i64>,
}

/// What to do about a rung.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    Nothing,
    /// Tell the configuration that it would have.
    Describe,
    Encode,
}

/// What encodes H.264.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Encoder {
    #[default]
    Libx264,
    Nvenc,
    Vaapi,
    Qsv,
}

impl Encoder {
    /// All of them, the ones in hardware in the order in which they are tried, then the one that is always there.
    pub const ALL: [Self; 4] = [Self::Nvenc, Self::Qsv, Self::Vaapi, Self::Libx264];

    /// libav's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Libx264 => "libx264",
            Self::Nvenc => "h264_nvenc",
            Self::Vaapi => "h264_vaapi",
            Self::Qsv => "h264_qsv",
        }
    }

    pub(super) fn from_number(number: u8) -> Result<Self, Error> {
        let known = Self::ALL.into_iter().find(|encoder| *encoder as u8 == number);
        known.ok_or(Error::UnknownEncoder(number))
    }
}

impl Start {
    pub(super) fn encode(&self, out: &mut BytesMut) {
        out.put_u8(self.source.codec as u8);
        out.put_u64(self.memory_bytes);
        out.put_u32(self.queue_bytes);
        out.put_u16(self.decode_threads);
        out.put_u8(self.encoder as u8);
        let rungs = &self.rungs[..self.rungs.len().min(u8::MAX.into())];
        out.put_u8(rungs.len() as u8);
        rungs.iter().for_each(|rung| rung.encode(out));
        out.put_slice(&self.source.record);
    }

    pub(super) fn decode(mut body: Bytes) -> Result<Self, Error> {
        let codec = Codec::decode(u8_of(&mut body)?)?;
        let memory_bytes = body.try_get_u64().map_err(|_| Error::Truncated)?;
        let queue_bytes = u32_of(&mut body)?;
        let decode_threads = u16_of(&mut body)?;
        let encoder = Encoder::from_number(u8_of(&mut body)?)?;
        let count = u8_of(&mut body)?;
        let rungs = (0..count).map(|_| Rung::decode(&mut body)).collect::<Result<_, Error>>()?;
        let source = Source { codec, record: body };
        Ok(Self { source, rungs, encoder, decode_threads, queue_bytes, memory_bytes })
    }
}

impl Rung {
    fn encode(&self, out: &mut BytesMut) {
        out.put_u32(self.width);
        out.put_u32(self.height);
        out.put_u32(self.bitrate);
        out.put_u16(self.max_fps);
        out.put_u8(self.task as u8);
        // No picture is that early.
        out.put_i64(self.after.unwrap_or(i64::MIN));
        let preset = &self.preset.as_bytes()[..self.preset.len().min(u8::MAX.into())];
        out.put_u8(preset.len() as u8);
        out.put_slice(preset);
    }

    fn decode(body: &mut Bytes) -> Result<Self, Error> {
        let (width, height, bitrate) = (u32_of(body)?, u32_of(body)?, u32_of(body)?);
        let max_fps = u16_of(body)?;
        let task = match u8_of(body)? {
            0 => Task::Nothing,
            1 => Task::Describe,
            2 => Task::Encode,
            task => return Err(Error::UnknownTask(task)),
        };
        let after = body.try_get_i64().map_err(|_| Error::Truncated)?;
        let length = usize::from(u8_of(body)?);
        if body.len() < length {
            return Err(Error::Truncated);
        }
        let preset = String::from_utf8(body.split_to(length).into()).map_err(|_| Error::NotText)?;
        let after = (after != i64::MIN).then_some(after);
        Ok(Self { width, height, bitrate, max_fps, preset, task, after })
    }
}
