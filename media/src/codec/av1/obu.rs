//! Open bitstream units: the pieces of a temporal unit (AV1 §5.3).

use bytes::{BufMut, BytesMut};

use crate::cursor::Cursor;
use crate::{Error, Result};

/// One unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Obu<'a> {
    /// obu_type.
    pub(super) kind: u8,
    pub(super) payload: &'a [u8],
    /// Bytes with its header.
    pub(super) size: usize,
}

/// The units of a temporal unit; the last may leave its size out. Ends after the first error.
pub(super) fn all(data: &[u8]) -> impl Iterator<Item = Result<Obu<'_>>> {
    let mut rest = data;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let obu = next(rest);
        rest = match &obu {
            Ok(obu) => rest.get(obu.size..).unwrap_or_default(),
            Err(_) => &[],
        };
        Some(obu)
    })
}

/// Appends a unit with its size.
pub(super) fn put(out: &mut BytesMut, kind: u8, payload: &[u8]) {
    out.put_u8(kind << 3 | HAS_SIZE);
    let mut rest = payload.len();
    loop {
        let low = u8::try_from(rest & 0x7f).unwrap_or(0);
        rest >>= 7;
        if rest == 0 {
            out.put_u8(low);
            break;
        }
        out.put_u8(low | 0x80);
    }
    out.extend_from_slice(payload);
}

fn next(data: &[u8]) -> Result<Obu<'_>> {
    let mut cursor = Cursor::new("AV1 open bitstream unit", data);
    let head = cursor.u8()?;
    if head & FORBIDDEN != 0 {
        return Err(cursor.malformed("the forbidden bit is set"));
    }
    if head & EXTENSION != 0 {
        cursor.u8()?;
    }
    let left = data.len().saturating_sub(cursor.position());
    let length = if head & HAS_SIZE == 0 { left } else { leb128(&mut cursor)? };
    let payload = cursor.take(length)?;
    Ok(Obu { kind: head >> 3 & 0x0f, payload, size: cursor.position() })
}

/// §4.10.5.
fn leb128(cursor: &mut Cursor<'_>) -> Result<usize> {
    let mut value = 0_u64;
    for index in 0..8_u32 {
        let byte = cursor.u8()?;
        value |= u64::from(byte & 0x7f) << index.saturating_mul(7);
        if byte & 0x80 == 0 {
            let too_large = Error::Limit { what: "AV1 unit bytes", limit: usize::MAX };
            return usize::try_from(value).map_err(|_| too_large);
        }
    }
    Err(cursor.malformed("the size has too many bytes"))
}

pub(super) const SEQUENCE_HEADER: u8 = 1;
pub(super) const TEMPORAL_DELIMITER: u8 = 2;
pub(super) const FRAME_HEADER: u8 = 3;
pub(super) const FRAME: u8 = 6;
const FORBIDDEN: u8 = 0x80;
const EXTENSION: u8 = 0x04;
const HAS_SIZE: u8 = 0x02;
