//! Access units between start codes as configurations and samples, the same for H.264 and HEVC.

use bytes::Bytes;

use super::nal::{Codec, Role, Set};
use crate::codec::{avc, hevc};
use crate::{Config, Error, Result};

/// What is known of a video stream.
#[derive(Debug)]
pub(super) struct Reader {
    codec: Codec,
    /// The parameter sets in force, between start codes, in their order.
    sets: Vec<u8>,
    config: Option<Config>,
}

/// What an access unit holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Picture {
    /// Given when it is the first, or another.
    pub(super) config: Option<Config>,
    /// Decoding can start here.
    pub(super) keyframe: bool,
    /// With 4-byte lengths, without parameter sets and delimiters; empty when there is no picture in it.
    pub(super) data: Bytes,
}

impl Reader {
    pub(super) fn new(codec: Codec) -> Self {
        Self { codec, sets: Vec::new(), config: None }
    }

    pub(super) fn codec(&self) -> Codec {
        self.codec
    }

    /// Frames per second as a fraction, when the parameter sets say so.
    pub(super) fn frame_rate(&self) -> Option<(u32, u32)> {
        self.config.as_ref()?.picture()?.frame_rate
    }

    /// Takes an access unit; `None` as long as the parameter sets are not known.
    ///
    /// # Errors
    /// [`Error::Malformed`] when parameter sets are damaged.
    pub(super) fn read(&mut self, unit: &[u8]) -> Result<Option<Picture>> {
        let mut sets = Vec::new();
        let mut data = Vec::with_capacity(unit.len().saturating_add(16));
        let mut pictured = false;
        for nal in avc::annexb_units(unit) {
            match self.codec.role(nal) {
                Role::Set(_) => put(&mut sets, nal),
                Role::Delimiter | Role::Filling => {}
                role @ (Role::Before | Role::Slice { .. } | Role::Within) => {
                    pictured |= matches!(role, Role::Slice { .. });
                    let length = u32::try_from(nal.len()).map_err(|_| TOO_LARGE)?;
                    data.extend_from_slice(&length.to_be_bytes());
                    data.extend_from_slice(nal);
                }
            }
        }
        let config = if sets.is_empty() { None } else { self.update(sets)? };
        if self.config.is_none() {
            return Ok(None);
        }
        if !pictured {
            data.clear();
        }
        let keyframe = match self.codec {
            Codec::H264 => avc::is_idr(&data),
            Codec::Hevc => hevc::is_keyframe(&data),
        };
        Ok(Some(Picture { config, keyframe, data: data.into() }))
    }

    /// Puts new parameter sets in force; gives the configuration when it is another.
    fn update(&mut self, sets: Vec<u8>) -> Result<Option<Config>> {
        if sets == self.sets {
            return Ok(None);
        }
        // Encoders send all kinds before each keyframe; some alone replace their kinds only.
        let mut all = sets;
        let mut missing = false;
        for kind in [Set::Video, Set::Sequence, Set::Picture] {
            let is_kind = |nal: &&[u8]| self.codec.role(nal) == Role::Set(kind);
            if !self.codec.needs(kind) || avc::annexb_units(&all).any(|nal| is_kind(&nal)) {
                continue;
            }
            let before = all.len();
            avc::annexb_units(&self.sets).filter(is_kind).for_each(|nal| put(&mut all, nal));
            missing |= all.len() == before;
        }
        if missing {
            // The other kinds are still to come.
            self.sets = all;
            return Ok(None);
        }
        let config = match self.codec {
            Codec::H264 => Config::Avc(avc::Config::from_annexb(&all)?),
            Codec::Hevc => Config::Hevc(hevc::Config::from_annexb(&all)?),
        };
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{HEVC_AAC, sequence_start};

    const SPS_240: &[u8] = &[
        0x67, 0x42, 0xc0, 0x0d, 0xda, 0x05, 0x07, 0xec, 0x04, 0x40, 0, 0, 0xfa, 0x40, 0, 0x3a, 0x98, 0x03,
        0xc5, 0x0a, 0xa8,
    ];
    const PPS_A: &[u8] = &[0x68, 0xce, 0x0f, 0xc8];
    const IDR: &[u8] = &[0x65, 0x88, 9];

    fn unit(nals: &[&[u8]]) -> Vec<u8> {
        let mut unit = Vec::new();
        nals.iter().for_each(|nal| put(&mut unit, nal));
        unit
    }

    fn avc(picture: &Picture) -> avc::Config {
        let Some(Config::Avc(config)) = picture.config.clone() else { panic!("{picture:?}") };
        config
    }

    #[test]
    fn a_configuration_comes_with_its_first_picture_and_once() {
        let mut reader = Reader::new(Codec::H264);
        assert_eq!(reader.read(&unit(&[IDR])), Ok(None), "nothing can decode it");
        let whole = unit(&[&[9, 0xf0], SPS_240, PPS_A, IDR]);
        let first = reader.read(&whole).unwrap().unwrap();
        assert_eq!((avc(&first).width, avc(&first).height), (320, 240));
        assert!(first.keyframe);
        assert_eq!(first.data[..], [0, 0, 0, 3, 0x65, 0x88, 9]);
        let again = reader.read(&whole).unwrap().unwrap();
        assert_eq!((again.config, again.data), (None, first.data));
        // Another order, the same configuration.
        assert_eq!(reader.read(&unit(&[PPS_A, SPS_240, IDR])).unwrap().unwrap().config, None);
        // Messages alone show nothing.
        assert!(reader.read(&unit(&[&[6, 5, 1, 7]])).unwrap().unwrap().data.is_empty());
    }

    #[test]
    fn parameter_sets_may_come_apart_and_change() {
        let mut reader = Reader::new(Codec::H264);
        assert_eq!(reader.read(&unit(&[SPS_240])), Ok(None));
        let first = avc(&reader.read(&unit(&[PPS_A, IDR])).unwrap().unwrap());
        let other = [0x68, 0xce, 0x3c, 0x80];
        let changed = avc(&reader.read(&unit(&[&other, IDR])).unwrap().unwrap());
        assert_eq!(changed.pps(), [Bytes::copy_from_slice(&other[..])][..].to_vec());
        assert_eq!(changed.sps(), first.sps());
        assert!(reader.read(&unit(&[&[0x67, 0x42], PPS_A, IDR])).is_err(), "damaged");
    }

    #[test]
    fn hevc_needs_all_three_kinds() {
        let record = sequence_start(HEVC_AAC, true);
        let config = hevc::Config::parse(&record).unwrap();
        // From the record's arrays of one.
        let mut rest = config.record.get(23..).unwrap();
        let mut sets = Vec::new();
        while let [_, _, 1, high, low, data @ ..] = rest {
            let (set, next) = data.split_at(usize::from(u16::from_be_bytes([*high, *low])));
            sets.push(set);
            rest = next;
        }
        let [vps, sps, pps] = sets[..] else { panic!("{} sets", sets.len()) };
        let (cra, trailing): (&[u8], &[u8]) = (&[0x2a, 1, 0x80, 7], &[0x02, 1, 0xd0, 7]);

        let mut reader = Reader::new(Codec::Hevc);
        assert_eq!(reader.read(&unit(&[sps, pps, cra])), Ok(None), "there is no VPS");
        let first = reader.read(&unit(&[vps, cra])).unwrap().unwrap();
        assert_eq!((first.config, first.keyframe), (Some(Config::Hevc(config.clone())), true));
        assert_eq!(reader.frame_rate(), config.frame_rate);
        assert!(!reader.read(&unit(&[trailing])).unwrap().unwrap().keyframe);
        assert_eq!(
            reader.read(&unit(&[&[0x46, 1, 0x50], vps, sps, pps, cra])).unwrap().unwrap().config,
            None
        );
        let other = [pps, &[0x80]].concat();
        let changed = reader.read(&unit(&[&other, cra])).unwrap().unwrap().config.unwrap();
        assert_ne!(changed, Config::Hevc(config));
    }
}
