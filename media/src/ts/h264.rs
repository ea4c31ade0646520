//! H.264 in MPEG-TS: PES packets between start codes into configurations and access units.

use bytes::Bytes;

use crate::codec::avc;
use crate::{Error, Result};

/// What is known of a video stream.
#[derive(Debug, Default)]
pub(super) struct Reader {
    /// The parameter sets in force, between start codes, in their order.
    sets: Vec<u8>,
    config: Option<avc::Config>,
}

/// What an access unit holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Picture {
    /// Given when it is the first, or another.
    pub(super) config: Option<avc::Config>,
    /// With 4-byte lengths, without parameter sets and delimiters; empty when there is no picture in it.
    pub(super) data: Bytes,
}

impl Reader {
    /// Takes an access unit; `None` as long as the parameter sets are not known.
    ///
    /// # Errors
    /// [`Error::Malformed`] when parameter sets are damaged or there is no NAL unit.
    pub(super) fn read(&mut self, unit: &[u8]) -> Result<Option<Picture>> {
        let (mut sets, mut has_sps, mut has_pps) = (Vec::new(), false, false);
        let mut picture = Vec::with_capacity(unit.len().saturating_add(16));
        for nal in avc::annexb_units(unit) {
            match nal.first().map(|head| head & 0x1f) {
                Some(kind @ (SPS | PPS | SPS_EXTENSION)) => {
                    has_sps |= kind == SPS;
                    has_pps |= kind == PPS;
                    put(&mut sets, nal);
                }
                Some(DELIMITER | END_OF_SEQUENCE | END_OF_STREAM | FILLER) | None => {}
                Some(_) => {
                    let length = u32::try_from(nal.len()).map_err(|_| TOO_LARGE)?;
                    picture.extend_from_slice(&length.to_be_bytes());
                    picture.extend_from_slice(nal);
                }
            }
        }
        let config = if has_sps || has_pps { self.update(&sets, has_sps, has_pps)? } else { None };
        if self.config.is_none() {
            return Ok(None);
        }
        Ok(Some(Picture { config, data: picture.into() }))
    }

    /// Puts new parameter sets in force; gives the configuration when it is another.
    fn update(&mut self, sets: &[u8], has_sps: bool, has_pps: bool) -> Result<Option<avc::Config>> {
        if sets == self.sets {
            return Ok(None);
        }
        // Encoders send both kinds before each IDR picture; one alone replaces its kind only.
        let mut all = sets.to_vec();
        if has_sps != has_pps {
            let missing = if has_sps { PPS } else { SPS };
            let known = avc::annexb_units(&self.sets);
            known
                .filter(|nal| nal.first().is_some_and(|head| head & 0x1f == missing))
                .for_each(|nal| put(&mut all, nal));
            if all == sets && self.config.is_none() {
                // The other kind is still to come.
                self.sets = all;
                return Ok(None);
            }
        }
        let config = avc::Config::from_annexb(&all)?;
        self.sets = all;
        if self.config.as_ref() == Some(&config) {
            return Ok(None);
        }
        self.config = Some(config.clone());
        Ok(Some(config))
    }
}

fn put(sets: &mut Vec<u8>, nal: &[u8]) {
    sets.extend_from_slice(&[0, 0, 0, 1]);
    sets.extend_from_slice(nal);
}

const TOO_LARGE: Error = Error::Limit { what: "NAL unit bytes", limit: u32::MAX as usize };
/// ITU-T H.264 table 7-1.
const SPS: u8 = 7;
const PPS: u8 = 8;
const DELIMITER: u8 = 9;
const END_OF_SEQUENCE: u8 = 10;
const END_OF_STREAM: u8 = 11;
const FILLER: u8 = 12;
const SPS_EXTENSION: u8 = 13;

#[cfg(test)]
mod tests {
    use super::*;

    const SPS_240: &[u8] = &[
        0x67, 0x42, 0xc0, 0x0d, 0xda, 0x05, 0x07, 0xec, 0x04, 0x40, 0, 0, 0xfa, 0x40, 0, 0x3a, 0x98, 0x03,
        0xc5, 0x0a, 0xa8,
    ];
    const PPS_A: &[u8] = &[0x68, 0xce, 0x0f, 0xc8];
    const IDR: &[u8] = &[0x65, 8, 9];

    fn unit(nals: &[&[u8]]) -> Vec<u8> {
        let mut unit = Vec::new();
        nals.iter().for_each(|nal| put(&mut unit, nal));
        unit
    }

    #[test]
    fn a_configuration_comes_with_its_first_picture_and_once() {
        let mut reader = Reader::default();
        assert_eq!(reader.read(&unit(&[IDR])), Ok(None), "nothing can decode it");
        let whole = unit(&[&[9, 0xf0], SPS_240, PPS_A, IDR]);
        let first = reader.read(&whole).unwrap().unwrap();
        let config = first.config.unwrap();
        assert_eq!((config.width, config.height), (320, 240));
        assert_eq!(first.data[..], [0, 0, 0, 3, 0x65, 8, 9]);
        let again = reader.read(&whole).unwrap().unwrap();
        assert_eq!((again.config, again.data), (None, first.data));
        // Another order, the same configuration.
        assert_eq!(reader.read(&unit(&[PPS_A, SPS_240, IDR])).unwrap().unwrap().config, None);
    }

    #[test]
    fn parameter_sets_may_come_apart_and_change() {
        let mut reader = Reader::default();
        assert_eq!(reader.read(&unit(&[SPS_240])), Ok(None));
        let first = reader.read(&unit(&[PPS_A, IDR])).unwrap().unwrap();
        assert!(first.config.is_some());
        let other = [0x68, 0xce, 0x3c, 0x80];
        let changed = reader.read(&unit(&[&other, IDR])).unwrap().unwrap().config.unwrap();
        assert_eq!(changed.pps(), [Bytes::copy_from_slice(&other[..])][..].to_vec());
        assert_eq!(changed.sps(), first.config.unwrap().sps());
        assert!(reader.read(&unit(&[&[0x67, 0x42], PPS_A, IDR])).is_err(), "damaged");
    }
}
