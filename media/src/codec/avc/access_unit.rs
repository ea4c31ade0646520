//! Access units: NAL units behind lengths, or between start codes.

use std::ops::Range;

use bytes::{BufMut, Bytes, BytesMut};

use crate::cursor::Cursor;
use crate::{Error, Result};

/// The NAL units of an access unit with 4-byte lengths; ends after the first error.
pub fn nal_units(access_unit: &[u8]) -> impl Iterator<Item = Result<&[u8]>> {
    units(access_unit, 4)
}

/// Whether an access unit with 4-byte lengths is an IDR picture, where decoding can start.
pub fn is_idr(access_unit: &[u8]) -> bool {
    nal_units(access_unit)
        .map_while(Result::ok)
        .any(|unit| unit.first().is_some_and(|header| header & 0x1f == IDR))
}

/// Checks an access unit whose NAL unit lengths have `length_size` bytes and gives it with 4-byte lengths: the
/// same bytes, not copied, when they have 4 already.
///
/// # Errors
/// [`Error::Malformed`] when a length runs past the end, or there is no NAL unit.
pub fn normalise(access_unit: &Bytes, length_size: usize) -> Result<Bytes> {
    let mut count = 0_usize;
    let mut size = 0_usize;
    let mut empty = false;
    for unit in units(access_unit, length_size) {
        let unit = unit?;
        empty |= unit.is_empty();
        if !unit.is_empty() {
            count = count.saturating_add(1);
            size = size.saturating_add(unit.len()).saturating_add(4);
        }
    }
    if count == 0 {
        return Err(Error::Malformed { format: FORMAT, offset: 0, problem: "there is no NAL unit" });
    }
    if length_size == 4 && !empty {
        return Ok(access_unit.clone());
    }
    let mut normal = BytesMut::with_capacity(size);
    for unit in units(access_unit, length_size) {
        put_unit(&mut normal, unit?)?;
    }
    Ok(normal.freeze())
}

/// An access unit between start codes (ITU-T H.264 annex B) as one with 4-byte lengths; delimiters are left out.
///
/// # Errors
/// [`Error::Malformed`] when there is no NAL unit.
pub fn from_annexb(stream: &[u8]) -> Result<Bytes> {
    let mut access_unit = BytesMut::with_capacity(stream.len().saturating_add(16));
    for unit in annexb_units(stream) {
        if unit.first().is_some_and(|header| header & 0x1f != DELIMITER) {
            put_unit(&mut access_unit, unit)?;
        }
    }
    if access_unit.is_empty() {
        return Err(Error::Malformed {
            format: "Annex B access unit",
            offset: 0,
            problem: "there is no NAL unit",
        });
    }
    Ok(access_unit.freeze())
}

/// An access unit with 4-byte lengths as one between 4-byte start codes, the same size.
///
/// # Errors
/// [`Error::Malformed`] when a length runs past the end.
pub fn to_annexb(access_unit: &[u8]) -> Result<Bytes> {
    let mut stream = BytesMut::with_capacity(access_unit.len());
    for unit in nal_units(access_unit) {
        stream.extend_from_slice(&[0, 0, 0, 1]);
        stream.extend_from_slice(unit?);
    }
    Ok(stream.freeze())
}

/// The NAL units between start codes of three or four bytes; bytes before the first are skipped.
pub(crate) fn annexb_units(stream: &[u8]) -> impl Iterator<Item = &[u8]> {
    annexb_ranges(stream).filter_map(|range| stream.get(range))
}

/// Where [`annexb_units`] are in the stream. Each is behind a start code of three bytes.
pub(crate) fn annexb_ranges(stream: &[u8]) -> impl Iterator<Item = Range<usize>> {
    let mut next = start_code(stream, 0);
    std::iter::from_fn(move || {
        let start = next?.saturating_add(START_CODE.len());
        next = start_code(stream, start);
        let unit = stream.get(start..next.unwrap_or(stream.len())).unwrap_or_default();
        // Zeros before a start code belong to it or are trailing_zero_8bits: no NAL unit ends in a zero byte.
        let length = unit.iter().rposition(|byte| *byte != 0).map_or(0, |last| last.saturating_add(1));
        Some(start..start.saturating_add(length))
    })
    .filter(|range| !range.is_empty())
}

pub(super) fn fuzz(data: &[u8]) {
    let bytes = Bytes::copy_from_slice(data);
    for length_size in [1, 2, 4] {
        if let Ok(normal) = normalise(&bytes, length_size) {
            assert!(normal.len() <= data.len().saturating_mul(4));
            assert_eq!(normalise(&normal, 4).as_ref(), Ok(&normal));
            assert!(to_annexb(&normal).is_ok());
            is_idr(&normal);
        }
    }
    if let Ok(access_unit) = from_annexb(data) {
        assert_eq!(from_annexb(&to_annexb(&access_unit).unwrap_or_default()).as_ref(), Ok(&access_unit));
    }
    is_idr(data);
}

fn units(access_unit: &[u8], length_size: usize) -> impl Iterator<Item = Result<&[u8]>> {
    let mut cursor = Cursor::new(FORMAT, access_unit);
    let mut failed = false;
    std::iter::from_fn(move || {
        if failed || cursor.is_empty() {
            return None;
        }
        let unit = length(&mut cursor, length_size).and_then(|length| cursor.take(length));
        failed = unit.is_err();
        Some(unit)
    })
}

fn length(cursor: &mut Cursor<'_>, length_size: usize) -> Result<usize> {
    let length = match length_size {
        1 => cursor.u8()?.into(),
        2 => cursor.u16()?.into(),
        _ => cursor.u32()?,
    };
    usize::try_from(length).map_err(|_| cursor.malformed("a NAL unit is too large"))
}

/// Where the first three-byte start code is, from here on.
fn start_code(stream: &[u8], from: usize) -> Option<usize> {
    let rest = stream.get(from..)?;
    rest.windows(START_CODE.len()).position(|window| window == START_CODE).map(|at| from.saturating_add(at))
}

/// Appends a NAL unit behind its length; an empty one is left out.
pub(crate) fn put_unit(access_unit: &mut BytesMut, unit: &[u8]) -> Result<()> {
    if unit.is_empty() {
        return Ok(());
    }
    let too_large = Error::Limit { what: "NAL unit bytes", limit: usize::MAX };
    access_unit.put_u32(u32::try_from(unit.len()).map_err(|_| too_large)?);
    access_unit.extend_from_slice(unit);
    Ok(())
}

const FORMAT: &str = "access unit";
const START_CODE: [u8; 3] = [0, 0, 1];
const IDR: u8 = 5;
const DELIMITER: u8 = 9;
