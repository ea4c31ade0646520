//! AV1: the codec configuration record, what its sequence header says, and temporal units.
#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::cast_possible_truncation)
)]

mod obu;
mod sequence;

use bytes::{BufMut, Bytes, BytesMut};

use crate::{Error, Result};
use sequence::Sequence;

/// An AV1 track's decoder configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// AV1CodecConfigurationRecord with the sequence header (AV1 Codec ISO Media File Format Binding §2.3).
    pub record: Bytes,
    /// Width of the largest frame in pixels.
    pub width: u32,
    /// Height of the largest frame in pixels.
    pub height: u32,
    /// Frames per second as a fraction, when the sequence header says that all last equally long.
    pub frame_rate: Option<(u32, u32)>,
    /// The RFC 6381 name.
    name: String,
}

impl Config {
    /// Reads an AV1CodecConfigurationRecord. `None` when it leaves the sequence header to the stream, as it may:
    /// then the first keyframe has it ([`Config::from_keyframe`]).
    ///
    /// # Errors
    /// [`Error::Malformed`] when the record or its sequence header is damaged.
    pub fn parse(record: &[u8]) -> Result<Option<Self>> {
        let malformed = |problem| Error::Malformed { format: RECORD, offset: 0, problem };
        let Some(([head, _, _, _], units)) = record.split_first_chunk::<4>() else {
            return Err(malformed("ends too early"));
        };
        if *head != MARKER_AND_VERSION {
            return Err(malformed("the marker or the version is wrong"));
        }
        if units.is_empty() { Ok(None) } else { Self::from_keyframe(units).map(Some) }
    }

    /// Makes the record from a temporal unit that has a sequence header, as every keyframe's does.
    ///
    /// # Errors
    /// [`Error::Malformed`] when there is none, or it is damaged.
    pub fn from_keyframe(unit: &[u8]) -> Result<Self> {
        for obu in obu::all(unit) {
            let obu = obu?;
            if obu.kind == obu::SEQUENCE_HEADER {
                return Self::new(obu.payload);
            }
        }
        let problem = "there is no sequence header";
        Err(Error::Malformed { format: RECORD, offset: 0, problem })
    }

    /// The RFC 6381 name (AV1 Codec ISO Media File Format Binding §5), e.g. `av01.0.04M.08`.
    pub fn codec_string(&self) -> String {
        self.name.clone()
    }

    /// Whether both are of one size, profile, level and format.
    pub fn looks_like(&self, other: &Self) -> bool {
        (self.width, self.height, &self.name) == (other.width, other.height, &other.name)
    }

    fn new(header: &[u8]) -> Result<Self> {
        let sequence = Sequence::parse(header)?;
        let mut record = BytesMut::with_capacity(header.len().saturating_add(8));
        record.put_u8(MARKER_AND_VERSION);
        record.extend_from_slice(&sequence.record_fields());
        obu::put(&mut record, obu::SEQUENCE_HEADER, header);
        Ok(Self {
            record: record.freeze(),
            width: sequence.width,
            height: sequence.height,
            frame_rate: sequence.frame_rate,
            name: sequence.codec_string(),
        })
    }
}

/// Checks a temporal unit and gives it as a file has it: without the delimiter in front, not copied.
///
/// # Errors
/// [`Error::Malformed`] when its units do not fit, or there are none.
pub fn normalise(unit: &Bytes) -> Result<Bytes> {
    let mut start = 0_usize;
    let mut frames = false;
    for obu in obu::all(unit) {
        let obu = obu?;
        if obu.kind == obu::TEMPORAL_DELIMITER && !frames {
            start = start.saturating_add(obu.size);
        } else {
            frames = true;
        }
    }
    if frames {
        return Ok(unit.slice(start.min(unit.len())..));
    }
    let problem = "there is nothing but delimiters";
    Err(Error::Malformed { format: "AV1 temporal unit", offset: 0, problem })
}

/// Whether decoding can start with a temporal unit: its first frame is a keyframe that is shown, behind a
/// sequence header (AV1 Codec ISO Media File Format Binding §2.4).
pub fn is_keyframe(unit: &[u8]) -> bool {
    let mut sequence = false;
    for obu in obu::all(unit).map_while(Result::ok) {
        match obu.kind {
            obu::SEQUENCE_HEADER => sequence = true,
            obu::FRAME | obu::FRAME_HEADER => {
                // show_existing_frame is 0, frame_type is KEY_FRAME, show_frame is 1.
                return sequence && obu.payload.first().is_some_and(|head| head >> 4 == 0b0001);
            }
            _ => {}
        }
    }
    false
}

/// Fuzz body: any bytes are a record, a temporal unit or an error, and what is accepted is kept stable.
pub fn fuzz(data: &[u8]) {
    let configs = [Config::parse(data), Config::from_keyframe(data).map(Some)];
    for config in configs.into_iter().flatten().flatten() {
        assert_eq!(Config::parse(&config.record), Ok(Some(config.clone())));
        assert!(config.codec_string().starts_with("av01."));
        assert!(config.width > 0 && config.height > 0);
    }
    if let Ok(unit) = normalise(&Bytes::copy_from_slice(data)) {
        assert_eq!(normalise(&unit).as_ref(), Ok(&unit));
    }
    is_keyframe(data);
}

const RECORD: &str = "AV1 codec configuration record";
const MARKER_AND_VERSION: u8 = 0x81;

#[cfg(test)]
mod tests;
