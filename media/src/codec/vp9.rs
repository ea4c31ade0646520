//! VP9: the codec configuration record, and what a keyframe's header says.
#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::cast_possible_truncation)
)]

use bytes::Bytes;

use super::bits::Bits;
use crate::Result;
use crate::cursor::Cursor;

/// A VP9 track's decoder configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// VPCodecConfigurationRecord without the head of its box (VP Codec ISO Media File Format Binding).
    pub record: Bytes,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
}

/// What a publisher says before the first frame: all but the size, which only keyframes say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record(Bytes);

impl Record {
    /// Reads a VPCodecConfigurationRecord, with the version and flags of its box before it or without.
    ///
    /// # Errors
    /// [`Error::Malformed`](crate::Error::Malformed) when it is cut short or of another version.
    pub fn parse(data: &[u8]) -> Result<Self> {
        let mut cursor = Cursor::new("VP codec configuration record", data);
        // A profile is at most 3 and a level at least 10, so a head cannot be taken for a record.
        if data.first_chunk::<4>() == Some(&BOX_HEAD) {
            cursor.take(BOX_HEAD.len())?;
        }
        let record = cursor.array::<6>()?;
        let [profile, _, format, _, _, _] = record;
        if profile > 3 || !matches!(format >> 4, 8 | 10 | 12) {
            return Err(cursor.malformed("the profile or the bit depth is unknown"));
        }
        // No initialization data: VP9 has none.
        let mut kept = record.to_vec();
        kept.extend_from_slice(&[0, 0]);
        Ok(Self(kept.into()))
    }

    /// The whole configuration, with the size that a keyframe says.
    ///
    /// # Errors
    /// [`Error::Malformed`](crate::Error::Malformed) when the frame is no keyframe.
    pub fn with_keyframe(&self, frame: &[u8]) -> Result<Config> {
        let (width, height) = size(frame)?;
        Ok(self.with_size(width, height))
    }

    /// The whole configuration of pictures of this size.
    pub fn with_size(&self, width: u32, height: u32) -> Config {
        let mut record = self.0.to_vec();
        if let Some(level) = record.get_mut(LEVEL_AT).filter(|level| **level == 0) {
            *level = least_level(width, height);
        }
        Config { record: record.into(), width, height }
    }
}

impl Config {
    /// The content of the `vpcC` box.
    pub fn vpcc(&self) -> Bytes {
        [&BOX_HEAD, &self.record[..]].concat().into()
    }

    /// The RFC 6381 name (VP Codec ISO Media File Format Binding), e.g. `vp09.00.31.08`; with all its fields where
    /// colour is not what a player takes for granted.
    pub fn codec_string(&self) -> String {
        let Some([profile, level, format, primaries, transfer, matrix]) = self.record.first_chunk::<6>()
        else {
            return String::from("vp09");
        };
        let (depth, subsampling, full_range) = (format >> 4, format >> 1 & 7, format & 1);
        let name = format!("vp09.{profile:02}.{level:02}.{depth:02}");
        // 1 is BT.709, 2 is unsaid; subsampling 0 and 1 are the two kinds of 4:2:0.
        let usual = [primaries, transfer, matrix].iter().all(|value| matches!(value, 1 | 2));
        if usual && subsampling <= 1 && full_range == 0 {
            return name;
        }
        format!("{name}.{subsampling:02}.{primaries:02}.{transfer:02}.{matrix:02}.{full_range:02}")
    }
}

/// Whether decoding can start with a frame (VP9 §6.2).
pub fn is_keyframe(frame: &[u8]) -> bool {
    size(frame).is_ok()
}

/// Fuzz body: any bytes are a record, a frame or an error, and what is accepted is kept stable.
pub fn fuzz(data: &[u8]) {
    if let Ok(record) = Record::parse(data) {
        assert_eq!(Record::parse(&record.0).as_ref(), Ok(&record));
        if let Ok(config) = data.get(8..).map_or(Err(()), |frame| record.with_keyframe(frame).map_err(|_| ()))
        {
            assert!(config.codec_string().starts_with("vp09.0"));
            assert!(config.width > 0 && config.height > 0);
        }
    }
    is_keyframe(data);
}

/// Width and height of a keyframe, from its uncompressed header.
fn size(frame: &[u8]) -> Result<(u32, u32)> {
    let mut bits = Bits::new("VP9 keyframe", frame);
    if bits.byte(2)? != 2 {
        return Err(bits.malformed("the frame marker is missing"));
    }
    let profile = bits.byte(1)? | bits.byte(1)? << 1;
    if profile == 3 {
        bits.skip(1)?;
    }
    let show_existing = bits.bit()?;
    let inter = !show_existing && bits.bit()?;
    if show_existing || inter {
        return Err(bits.malformed("it is no keyframe"));
    }
    bits.skip(2)?; // show_frame, error_resilient_mode
    if bits.bits(24)? != SYNC_CODE {
        return Err(bits.malformed("the synchronisation code is missing"));
    }
    if profile >= 2 {
        bits.skip(1)?; // ten or twelve bits
    }
    if bits.byte(3)? == SRGB {
        bits.skip(if profile & 1 == 1 { 1 } else { 0 })?;
    } else {
        bits.skip(if profile & 1 == 1 { 4 } else { 1 })?; // range, subsampling
    }
    Ok((bits.bits(16)?.saturating_add(1), bits.bits(16)?.saturating_add(1)))
}

/// The level that a picture of this size needs at least (VP9 annex A), times ten.
fn least_level(width: u32, height: u32) -> u8 {
    let pixels = u64::from(width).saturating_mul(height.into());
    LEVELS.iter().find(|(most, _)| pixels <= *most).map_or(62, |(_, level)| *level)
}

const LEVELS: [(u64, u8); 9] = [
    (36_864, 10),
    (73_728, 11),
    (122_880, 20),
    (245_760, 21),
    (552_960, 30),
    (983_040, 31),
    (2_228_224, 40),
    (8_912_896, 50),
    (35_651_584, 60),
];
const LEVEL_AT: usize = 1;
const SYNC_CODE: u32 = 0x49_8342;
const SRGB: u8 = 7;
/// Version 1 and no flags.
const BOX_HEAD: [u8; 4] = [1, 0, 0, 0];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mutation;

    /// What libvpx and FFmpeg make of 160x90.
    const RECORD: [u8; 12] = [1, 0, 0, 0, 0, 10, 0x82, 2, 2, 2, 0, 0];
    const KEYFRAME: [u8; 16] =
        [0x82, 0x49, 0x83, 0x42, 0x00, 0x09, 0xf0, 0x05, 0x96, 0x36, 0x38, 0x24, 0x1c, 0x19, 0x4e, 0x00];
    const INTER: [u8; 8] = [0x86, 0x00, 0x40, 0x92, 0x73, 0xf1, 0x78, 0x00];

    #[test]
    fn a_record_and_a_keyframe_give_size_and_name() {
        for record in [&RECORD[..], &RECORD[4..]] {
            let config = Record::parse(record).unwrap().with_keyframe(&KEYFRAME).unwrap();
            assert_eq!((config.width, config.height), (160, 90));
            assert_eq!(config.codec_string(), "vp09.00.10.08");
            assert_eq!(config.record, RECORD[4..]);
        }
        assert!(is_keyframe(&KEYFRAME) && !is_keyframe(&INTER) && !is_keyframe(&[]));
        assert!(Record::parse(&RECORD).unwrap().with_keyframe(&INTER).is_err());
    }

    #[test]
    fn what_is_unusual_is_in_the_name_and_a_level_is_made_up() {
        let hdr = Record::parse(&[2, 0, 0xa2, 9, 16, 9, 0, 0]).unwrap();
        assert_eq!(hdr.with_keyframe(&KEYFRAME).unwrap().codec_string(), "vp09.02.10.10.01.09.16.09.00");
        assert_eq!(
            [least_level(1920, 1080), least_level(3840, 2160), least_level(65_536, 65_536)],
            [40, 50, 62]
        );
    }

    #[test]
    fn damage_is_refused() {
        for damaged in [&[][..], &RECORD[..9], &[9, 10, 0x82, 2, 2, 2], &[0, 10, 0x12, 2, 2, 2]] {
            assert!(Record::parse(damaged).is_err(), "{damaged:02x?}");
        }
    }

    #[test]
    fn any_bytes_are_survived() {
        let seed = [&RECORD[4..], &KEYFRAME].concat();
        mutation::run(&[&seed, &RECORD, &KEYFRAME, &INTER], fuzz);
    }
}
