//! What a child that makes sound must know before the first frame, and its bytes.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::{Codec, Error, Source, u8_of, u32_of};

/// The first message to such a child.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    pub source: Source,
    /// Samples per second of every rung.
    pub sample_rate: u32,
    /// Of every rung: 1 or 2.
    pub channels: u8,
    pub rungs: Vec<Rung>,
    /// Bytes of writable memory the child may have.
    pub memory_bytes: u64,
}

/// One rendition in AAC-LC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rung {
    /// Bits per second.
    pub bitrate: u32,
    /// The time of the last frame that a child before this one has encoded: the one after it is the first to send.
    pub after: Option<i64>,
}

impl Start {
    pub(super) fn encode(&self, out: &mut BytesMut) {
        out.put_u8(self.source.codec as u8);
        out.put_u64(self.memory_bytes);
        out.put_u32(self.sample_rate);
        out.put_u8(self.channels);
        let rungs = &self.rungs[..self.rungs.len().min(u8::MAX.into())];
        out.put_u8(rungs.len() as u8);
        for rung in rungs {
            out.put_u32(rung.bitrate);
            // No frame is that early.
            out.put_i64(rung.after.unwrap_or(i64::MIN));
        }
        out.put_slice(&self.source.record);
    }

    pub(super) fn decode(mut body: Bytes) -> Result<Self, Error> {
        let codec = Codec::decode(u8_of(&mut body)?)?;
        let memory_bytes = body.try_get_u64().map_err(|_| Error::Truncated)?;
        let sample_rate = u32_of(&mut body)?;
        let channels = u8_of(&mut body)?;
        let count = u8_of(&mut body)?;
        let rung = |body: &mut Bytes| {
            let bitrate = u32_of(body)?;
            let after = body.try_get_i64().map_err(|_| Error::Truncated)?;
            Ok(Rung { bitrate, after: (after != i64::MIN).then_some(after) })
        };
        let rungs = (0..count).map(|_| rung(&mut body)).collect::<Result<_, Error>>()?;
        Ok(Self { source: Source { codec, record: body }, sample_rate, channels, rungs, memory_bytes })
    }
}
