//! HEVC: the decoder configuration record, what its sequence parameter set says, and access units.
#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::cast_possible_truncation)
)]

mod sps;

use bytes::{BufMut, Bytes, BytesMut};

use super::avc;
use crate::cursor::Cursor;
use crate::{Error, Result};
use sps::Sps;

/// An HEVC track's decoder configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// HEVCDecoderConfigurationRecord with 4-byte NAL unit lengths and all parameter sets (ISO/IEC 14496-15 §8.3.2.1).
    pub record: Bytes,
    /// Displayed width in pixels, after cropping.
    pub width: u32,
    /// Displayed height in pixels, after cropping.
    pub height: u32,
    /// Frames per second as a fraction, when the sequence parameter set says so.
    pub frame_rate: Option<(u32, u32)>,
}

impl Config {
    /// Reads an HEVCDecoderConfigurationRecord with NAL unit lengths of any size. What is kept says 4 bytes and
    /// has the parameter sets alone, so access units must go through [`normalise`] when [`length_size`] of `record`
    /// says otherwise.
    ///
    /// # Errors
    /// [`Error::Malformed`] or [`Error::Limit`] when the record or a parameter set is damaged or missing.
    pub fn parse(record: &[u8]) -> Result<Self> {
        length_size(record)?;
        let mut cursor = Cursor::new(RECORD, record);
        // FFmpeg's muxer once wrote version 0.
        if cursor.u8()? > 1 {
            return Err(cursor.malformed("the version is not 1"));
        }
        cursor.take(HEAD_SIZE.saturating_sub(2))?;
        let mut sets = ParameterSets::default();
        for _ in 0..cursor.u8()? {
            let kind = cursor.u8()? & 0x3f;
            for _ in 0..cursor.u16()? {
                let length = cursor.u16()?;
                sets.add(kind, cursor.take(usize::from(length))?)?;
            }
        }
        Self::new(&sets)
    }

    /// Makes the record from parameter sets between start codes: what encoders give as extradata, or a whole
    /// keyframe of an MPEG-TS stream.
    ///
    /// # Errors
    /// [`Error::Malformed`] when a video, sequence or picture parameter set is missing or damaged.
    pub fn from_annexb(extradata: &[u8]) -> Result<Self> {
        let mut sets = ParameterSets::default();
        for unit in avc::annexb_units(extradata) {
            if let Some(header) = unit.first() {
                sets.add(kind(*header), unit)?;
            }
        }
        Self::new(&sets)
    }

    /// The RFC 6381 name (ISO/IEC 14496-15 annex E), e.g. `hvc1.1.6.L93.B0`.
    pub fn codec_string(&self) -> String {
        let Some([profile, compatibility @ .., level]) =
            self.record.get(1..13).and_then(|b| b.first_chunk::<12>())
        else {
            return String::from("hvc1");
        };
        let space = ["", "A", "B", "C"].get(usize::from(profile >> 6)).copied().unwrap_or_default();
        let (flags, constraints) = compatibility.split_at(4);
        // The flags are told in reverse bit order.
        let flags = flags.iter().rev().fold(0_u32, |all, byte| (all << 8) | u32::from(byte.reverse_bits()));
        let tier = if profile & 0x20 == 0 { 'L' } else { 'H' };
        let mut name = format!("hvc1.{space}{}.{flags:X}.{tier}{level}", profile & 0x1f);
        let used = constraints.iter().rposition(|byte| *byte != 0).map_or(0, |last| last.saturating_add(1));
        for byte in constraints.iter().take(used) {
            name.push_str(&format!(".{byte:X}"));
        }
        name
    }

    fn new(sets: &ParameterSets<'_>) -> Result<Self> {
        let malformed = |problem| Error::Malformed { format: RECORD, offset: 0, problem };
        if sets.vps.is_empty() || sets.pps.is_empty() {
            return Err(malformed("there is no video or no picture parameter set"));
        }
        let first = sets.sps.first().ok_or_else(|| malformed("there is no sequence parameter set"))?;
        let facts = Sps::parse(first)?;
        let mut record = BytesMut::new();
        record.put_u8(1);
        record.extend_from_slice(&facts.profile_tier_level);
        // No least spatial segmentation and no kind of parallelism are stated.
        record.extend_from_slice(&[0xf0, 0, 0xfc]);
        record.extend_from_slice(&[
            0xfc | facts.chroma_format,
            0xf8 | facts.luma_depth_minus_8,
            0xf8 | facts.chroma_depth_minus_8,
        ]);
        // No average frame rate.
        record.put_u16(0);
        let nested = u8::from(facts.temporal_nesting) << 2;
        record.put_u8((facts.layers << 3) | nested | 3);
        record.put_u8(3);
        for (kind, units) in [(VPS, &sets.vps), (SPS, &sets.sps), (PPS, &sets.pps)] {
            // All of them are here, and none need be in the stream.
            record.put_u8(0x80 | kind);
            record.put_u16(u16::try_from(units.len()).unwrap_or(u16::MAX));
            for unit in units {
                let too_large = Error::Limit { what: "parameter set bytes", limit: usize::from(u16::MAX) };
                record.put_u16(u16::try_from(unit.len()).map_err(|_| too_large)?);
                record.extend_from_slice(unit);
            }
        }
        let Sps { width, height, frame_rate, .. } = facts;
        Ok(Self { record: record.freeze(), width, height, frame_rate })
    }
}

/// Bytes of each NAL unit's length in access units that go with this record: 1, 2 or 4.
///
/// # Errors
/// [`Error::Malformed`] when the record is cut short or says 3, which is reserved.
pub fn length_size(record: &[u8]) -> Result<usize> {
    match record.get(LENGTH_SIZE_AT).map(|byte| byte & 3) {
        Some(0) => Ok(1),
        Some(1) => Ok(2),
        Some(3) => Ok(4),
        _ => Err(Error::Malformed {
            format: RECORD,
            offset: LENGTH_SIZE_AT,
            problem: "the NAL unit length size is reserved",
        }),
    }
}

pub use super::avc::{normalise, to_annexb};

/// Whether decoding can start with an access unit with 4-byte lengths: an IRAP picture (ITU-T H.265 §3.75). Pictures
/// that follow a CRA picture and are shown before it may be lost to who starts there, which no decoder minds.
pub fn is_keyframe(access_unit: &[u8]) -> bool {
    avc::nal_units(access_unit)
        .map_while(Result::ok)
        .any(|unit| unit.first().is_some_and(|header| IRAP.contains(&kind(*header))))
}

/// An access unit between start codes (ITU-T H.265 annex B) as one with 4-byte lengths; delimiters are left out.
///
/// # Errors
/// [`Error::Malformed`] when there is no NAL unit.
pub fn from_annexb(stream: &[u8]) -> Result<Bytes> {
    let mut access_unit = BytesMut::with_capacity(stream.len().saturating_add(16));
    for unit in avc::annexb_units(stream) {
        if unit.first().is_some_and(|header| kind(*header) != DELIMITER) {
            avc::put_unit(&mut access_unit, unit)?;
        }
    }
    if access_unit.is_empty() {
        let problem = "there is no NAL unit";
        return Err(Error::Malformed { format: "Annex B access unit", offset: 0, problem });
    }
    Ok(access_unit.freeze())
}

/// Fuzz body: any bytes are a record, extradata, an access unit or an error, and what is accepted is kept stable.
pub fn fuzz(data: &[u8]) {
    for config in [Config::parse(data), Config::from_annexb(data)].into_iter().flatten() {
        assert_eq!(Config::parse(&config.record).as_ref(), Ok(&config));
        assert_eq!(length_size(&config.record), Ok(4));
        assert!(config.codec_string().starts_with("hvc1."));
        assert!(config.width > 0 && config.height > 0);
    }
    if let Ok(access_unit) = from_annexb(data) {
        assert_eq!(from_annexb(&to_annexb(&access_unit).unwrap_or_default()).as_ref(), Ok(&access_unit));
    }
    is_keyframe(data);
}

/// The parameter sets of one record, as NAL units.
#[derive(Default)]
struct ParameterSets<'a> {
    vps: Vec<&'a [u8]>,
    sps: Vec<&'a [u8]>,
    pps: Vec<&'a [u8]>,
}

impl<'a> ParameterSets<'a> {
    /// Keeps what is a parameter set; messages (SEI) are for the stream.
    fn add(&mut self, kind: u8, unit: &'a [u8]) -> Result<()> {
        let (sets, limit) = match kind {
            VPS => (&mut self.vps, MAX_VPS),
            SPS => (&mut self.sps, MAX_SPS),
            PPS => (&mut self.pps, MAX_PPS),
            _ => return Ok(()),
        };
        // A keyframe of a transport stream may repeat what came before.
        if !unit.is_empty() && !sets.contains(&unit) {
            sets.push(unit);
        }
        if sets.len() > limit { Err(Error::Limit { what: "parameter sets", limit }) } else { Ok(()) }
    }
}

/// nal_unit_type, from a NAL unit header's first byte.
fn kind(header: u8) -> u8 {
    (header >> 1) & 0x3f
}

const RECORD: &str = "HEVC decoder configuration record";
/// Before the number of arrays.
const HEAD_SIZE: usize = 23;
const LENGTH_SIZE_AT: usize = 21;
const VPS: u8 = 32;
const SPS: u8 = 33;
const PPS: u8 = 34;
const DELIMITER: u8 = 35;
const IRAP: std::ops::RangeInclusive<u8> = 16..=23;
/// The numbers of ids that there are (§7.4.3).
const MAX_VPS: usize = 16;
const MAX_SPS: usize = 16;
const MAX_PPS: usize = 64;

#[cfg(test)]
mod tests;
