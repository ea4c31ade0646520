//! What a child must know to make one small picture, or a sheet of many, and its bytes.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::{Codec, Error, Source, u8_of, u16_of, u32_of};

/// Make a picture of the frame that follows, which is a keyframe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Still {
    pub source: Source,
    /// Pixels; a source that is smaller stays as it is.
    pub height: u16,
    /// Bytes of writable memory the child may have.
    pub memory_bytes: u64,
}

/// Put pictures beside and below each other, left to right, then down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sheet {
    pub columns: u8,
    /// Of one place on the sheet, in pixels, even.
    pub width: u16,
    pub height: u16,
    /// Bytes of writable memory the child may have.
    pub memory_bytes: u64,
    /// JPEG files.
    pub pictures: Vec<Bytes>,
}

/// Make an H.264 IDR picture of this size of a picture file: answered by a [`super::Reply::Config`] and a
/// [`super::Reply::Frame`] of rung 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slate {
    /// Pixels.
    pub width: u32,
    pub height: u32,
    /// Bytes of writable memory the child may have.
    pub memory_bytes: u64,
    /// What [`is_picture`] takes.
    pub file: Bytes,
}

/// Whether this is a file that a [`Slate`] can be made of: JPEG or PNG.
pub fn is_picture(file: &[u8]) -> bool {
    file.starts_with(JPEG) || file.starts_with(PNG)
}

const JPEG: &[u8] = b"\xff\xd8\xff";
pub const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";

/// What comes of a still or a sheet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Jpeg {
    /// Pixels.
    pub width: u16,
    pub height: u16,
    /// A JPEG file.
    pub data: Bytes,
}

impl Still {
    pub(super) fn encode(&self, out: &mut BytesMut) {
        out.put_u8(self.source.codec as u8);
        out.put_u16(self.height);
        out.put_u64(self.memory_bytes);
        out.put_slice(&self.source.record);
    }

    pub(super) fn decode(mut body: Bytes) -> Result<Self, Error> {
        let codec = Codec::decode(u8_of(&mut body)?)?;
        let height = u16_of(&mut body)?;
        let memory_bytes = body.try_get_u64().map_err(|_| Error::Truncated)?;
        Ok(Self { source: Source { codec, record: body }, height, memory_bytes })
    }
}

impl Sheet {
    pub(super) fn encode(&self, out: &mut BytesMut) {
        out.put_u8(self.columns);
        out.put_u16(self.width);
        out.put_u16(self.height);
        out.put_u64(self.memory_bytes);
        for picture in &self.pictures {
            out.put_u32(picture.len() as u32);
            out.put_slice(picture);
        }
    }

    pub(super) fn decode(mut body: Bytes) -> Result<Self, Error> {
        let columns = u8_of(&mut body)?;
        let (width, height) = (u16_of(&mut body)?, u16_of(&mut body)?);
        let memory_bytes = body.try_get_u64().map_err(|_| Error::Truncated)?;
        let mut pictures = Vec::new();
        while !body.is_empty() {
            let length = u32_of(&mut body)? as usize;
            if body.len() < length {
                return Err(Error::Truncated);
            }
            pictures.push(body.split_to(length));
        }
        Ok(Self { columns, width, height, memory_bytes, pictures })
    }
}

impl Slate {
    pub(super) fn encode(&self, out: &mut BytesMut) {
        out.put_u32(self.width);
        out.put_u32(self.height);
        out.put_u64(self.memory_bytes);
        out.put_slice(&self.file);
    }

    pub(super) fn decode(mut body: Bytes) -> Result<Self, Error> {
        let (width, height) = (u32_of(&mut body)?, u32_of(&mut body)?);
        let memory_bytes = body.try_get_u64().map_err(|_| Error::Truncated)?;
        Ok(Self { width, height, memory_bytes, file: body })
    }
}

impl Jpeg {
    pub(super) fn encode(&self, out: &mut BytesMut) {
        out.put_u16(self.width);
        out.put_u16(self.height);
        out.put_slice(&self.data);
    }

    pub(super) fn decode(mut body: Bytes) -> Result<Self, Error> {
        Ok(Self { width: u16_of(&mut body)?, height: u16_of(&mut body)?, data: body })
    }
}
