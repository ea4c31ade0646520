//! H.264: the decoder configuration record and what its sequence parameter set says.
#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::cast_possible_truncation)
)]

mod access_unit;
mod fields;
mod sps;

use bytes::{BufMut, Bytes, BytesMut};

pub(super) use access_unit::put_unit;
pub(crate) use access_unit::{annexb_ranges, annexb_units};
pub use access_unit::{from_annexb, is_idr, nal_units, normalise, to_annexb};
pub(crate) use fields::{Field, Fields};
use sps::Sps;

use crate::cursor::Cursor;
use crate::{Error, Result};

/// An H.264 track's decoder configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// AVCDecoderConfigurationRecord with 4-byte NAL unit lengths (ISO/IEC 14496-15 §5.3.3.1).
    pub record: Bytes,
    /// Displayed width in pixels, after cropping.
    pub width: u32,
    /// Displayed height in pixels, after cropping.
    pub height: u32,
    /// Frames per second as a fraction, when the sequence parameter set says so.
    pub frame_rate: Option<(u32, u32)>,
}

impl Config {
    /// Reads an AVCDecoderConfigurationRecord with NAL unit lengths of any size. What is kept says 4 bytes, so
    /// access units must go through [`normalise`] when [`length_size`] of `record` says otherwise.
    ///
    /// # Errors
    /// [`Error::Malformed`] or [`Error::Limit`] when the record or its sequence parameter set is damaged.
    pub fn parse(record: &[u8]) -> Result<Self> {
        let sets = ParameterSets::parse(record)?;
        Self::new(&sets.sps, &sets.pps, &sets.extensions)
    }

    /// Makes the record from parameter sets between start codes, which is what encoders give as extradata.
    ///
    /// # Errors
    /// [`Error::Malformed`] when a sequence or picture parameter set is missing or damaged.
    pub fn from_annexb(extradata: &[u8]) -> Result<Self> {
        let mut sets = ParameterSets::default();
        for unit in annexb_units(extradata) {
            match unit.first().map(|header| header & 0x1f) {
                Some(SPS) => sets.sps.push(unit),
                Some(PPS) => sets.pps.push(unit),
                Some(SPS_EXTENSION) => sets.extensions.push(unit),
                _ => {}
            }
        }
        Self::new(&sets.sps, &sets.pps, &sets.extensions)
    }

    /// The RFC 6381 name with profile, constraints and level, e.g. `avc1.64001f`.
    pub fn codec_string(&self) -> String {
        let [profile, constraints, level] = self.profile_level();
        format!("avc1.{profile:02x}{constraints:02x}{level:02x}")
    }

    /// profile_idc, the constraint flags and level_idc.
    pub fn profile_level(&self) -> [u8; 3] {
        self.record.get(1..4).and_then(|bytes| bytes.try_into().ok()).unwrap_or_default()
    }

    /// Sequence parameter sets as NAL units, without length or start code.
    pub fn sps(&self) -> Vec<Bytes> {
        ParameterSets::parse(&self.record).map(|sets| self.slices(&sets.sps)).unwrap_or_default()
    }

    /// Picture parameter sets as NAL units, without length or start code.
    pub fn pps(&self) -> Vec<Bytes> {
        ParameterSets::parse(&self.record).map(|sets| self.slices(&sets.pps)).unwrap_or_default()
    }

    fn slices(&self, units: &[&[u8]]) -> Vec<Bytes> {
        units.iter().map(|unit| self.record.slice_ref(unit)).collect()
    }

    fn new(sps: &[&[u8]], pps: &[&[u8]], extensions: &[&[u8]]) -> Result<Self> {
        let malformed = |problem| Error::Malformed { format: RECORD, offset: 0, problem };
        let first = *sps.first().ok_or_else(|| malformed("there is no sequence parameter set"))?;
        if pps.is_empty() {
            return Err(malformed("there is no picture parameter set"));
        }
        let facts = Sps::parse(first)?;
        let mut record = BytesMut::new();
        record.extend_from_slice(&[1, facts.profile, facts.constraints, facts.level, 0xfc | 3]);
        put_sets(&mut record, sps, MAX_SPS, 0xe0)?;
        put_sets(&mut record, pps, MAX_PPS, 0)?;
        if has_format_fields(facts.profile) {
            record.extend_from_slice(&[
                0xfc | facts.chroma_format,
                0xf8 | facts.luma_depth_minus_8,
                0xf8 | facts.chroma_depth_minus_8,
            ]);
            put_sets(&mut record, extensions, MAX_PPS, 0)?;
        }
        Ok(Self {
            record: record.freeze(),
            width: facts.width,
            height: facts.height,
            frame_rate: facts.frame_rate,
        })
    }
}

/// Bytes of each NAL unit's length in access units that go with this record: 1, 2 or 4.
///
/// # Errors
/// [`Error::Malformed`] when the record is cut short or says 3, which is reserved.
pub fn length_size(record: &[u8]) -> Result<usize> {
    match record.get(4).map(|byte| byte & 3) {
        Some(0) => Ok(1),
        Some(1) => Ok(2),
        Some(3) => Ok(4),
        _ => Err(Error::Malformed {
            format: RECORD,
            offset: 4,
            problem: "the NAL unit length size is reserved",
        }),
    }
}

/// Fuzz body: any bytes are a record, extradata, access unit or an error, and what is accepted is kept stable.
pub fn fuzz(data: &[u8]) {
    for config in [Config::parse(data), Config::from_annexb(data)].into_iter().flatten() {
        assert_eq!(Config::parse(&config.record).as_ref(), Ok(&config));
        assert_eq!(length_size(&config.record), Ok(4));
        assert!(!config.sps().is_empty() && !config.pps().is_empty());
        assert_eq!(config.codec_string().len(), "avc1.64001f".len());
    }
    access_unit::fuzz(data);
    fields::fuzz(data);
}

/// The parameter sets of one record, as NAL units.
#[derive(Default)]
struct ParameterSets<'a> {
    sps: Vec<&'a [u8]>,
    pps: Vec<&'a [u8]>,
    extensions: Vec<&'a [u8]>,
}

impl<'a> ParameterSets<'a> {
    fn parse(record: &'a [u8]) -> Result<Self> {
        length_size(record)?;
        let mut cursor = Cursor::new(RECORD, record);
        if cursor.u8()? != 1 {
            return Err(cursor.malformed("the version is not 1"));
        }
        let [profile, _, _, _] = cursor.array::<4>()?;
        let count = cursor.u8()? & 0x1f;
        let sps = take_sets(&mut cursor, count)?;
        let count = cursor.u8()?;
        let pps = take_sets(&mut cursor, count)?;
        // Many encoders leave the format fields out; those who write them may add extensions of no use to us.
        let mut extensions = Vec::new();
        if has_format_fields(profile) && cursor.array::<3>().is_ok() {
            let count = cursor.u8().unwrap_or(0);
            extensions = take_sets(&mut cursor, count).unwrap_or_default();
        }
        Ok(Self { sps, pps, extensions })
    }
}

fn take_sets<'a>(cursor: &mut Cursor<'a>, count: u8) -> Result<Vec<&'a [u8]>> {
    (0..count)
        .map(|_| {
            let length = cursor.u16()?;
            let unit = cursor.take(usize::from(length))?;
            if unit.is_empty() { Err(cursor.malformed("a parameter set is empty")) } else { Ok(unit) }
        })
        .collect()
}

fn put_sets(record: &mut BytesMut, units: &[&[u8]], limit: u8, reserved: u8) -> Result<()> {
    let too_many = Error::Limit { what: "parameter sets", limit: usize::from(limit) };
    let count = u8::try_from(units.len()).ok().filter(|count| *count <= limit).ok_or(too_many)?;
    record.put_u8(reserved | count);
    for unit in units {
        let too_large = Error::Limit { what: "parameter set bytes", limit: usize::from(u16::MAX) };
        record.put_u16(u16::try_from(unit.len()).map_err(|_| too_large)?);
        record.extend_from_slice(unit);
    }
    Ok(())
}

/// Whether the record of a profile ends in chroma format and bit depths (ISO/IEC 14496-15 §5.3.3.1.2).
fn has_format_fields(profile: u8) -> bool {
    !matches!(profile, 66 | 77 | 88)
}

const RECORD: &str = "AVC decoder configuration record";
const SPS: u8 = 7;
const PPS: u8 = 8;
const SPS_EXTENSION: u8 = 13;
/// The record counts sequence parameter sets in five bits.
const MAX_SPS: u8 = 31;
const MAX_PPS: u8 = 255;

#[cfg(test)]
mod tests;
