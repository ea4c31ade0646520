//! FLAC: the stream information block, how long frames last, and silence.
#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::cast_possible_truncation)
)]

use bytes::Bytes;

use super::bits::Bits;
use crate::Result;
use crate::cursor::Cursor;

/// A FLAC track's decoder configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The STREAMINFO block without its head (RFC 9639 §8.2), and without what an encoder knows only at the end:
    /// frame sizes, number of samples and checksum.
    pub stream_info: Bytes,
    /// Samples per second.
    pub sample_rate: u32,
    pub channels: u8,
    /// Of each sample.
    pub bits: u8,
    /// Samples of the longest frame: of every frame but the last, as encoders go.
    pub block: u32,
}

impl Config {
    /// Reads a STREAMINFO block: as it is, behind its head, or behind the `fLaC` of a file.
    ///
    /// # Errors
    /// [`Error::Malformed`](crate::Error::Malformed) when it is damaged.
    pub fn parse(data: &[u8]) -> Result<Self> {
        let data = data.strip_prefix(MAGIC).unwrap_or(data);
        let block = match data.first_chunk::<4>() {
            // Without a head it would be a block of samples that no encoder makes.
            Some([0 | 0x80, 0, 0, SIZE]) if data.len() > usize::from(SIZE) => {
                data.get(4..).unwrap_or_default()
            }
            _ => data,
        };
        let mut cursor = Cursor::new("FLAC stream information", block);
        let info = cursor.take(usize::from(SIZE))?;
        let mut bits = Bits::new("FLAC stream information", info);
        bits.skip(16)?; // the shortest block
        let block = bits.bits(16)?;
        bits.skip(48)?; // frame sizes
        let sample_rate = bits.bits(20)?;
        let channels = bits.byte(3)?.saturating_add(1);
        let depth = bits.byte(5)?.saturating_add(1);
        if sample_rate == 0 || block < 16 || depth < 4 {
            return Err(cursor.malformed("the rate, the block size or the sample size is impossible"));
        }
        let mut stream_info = info.to_vec();
        for measured in [FRAME_SIZES, TOTAL] {
            stream_info.get_mut(measured).unwrap_or_default().fill(0);
        }
        if let Some(high) = stream_info.get_mut(DEPTH_AND_TOTAL) {
            *high &= 0xf0;
        }
        Ok(Self { stream_info: stream_info.into(), sample_rate, channels, bits: depth, block })
    }

    /// The RFC 6381 name.
    pub fn codec_string(&self) -> String {
        "fLaC".to_owned()
    }

    /// The content of the `dfLa` box (Encapsulation of FLAC in ISO Base Media File Format §3.3.2).
    pub fn dfla(&self) -> Bytes {
        // No version or flags; the last block, of stream information.
        [&[0, 0, 0, 0, 0x80, 0, 0, SIZE], &self.stream_info[..]].concat().into()
    }

    /// Samples of a silent frame: 20 ms, so that holes can be filled nearly exactly, or less where blocks are short.
    pub fn silent_samples(&self) -> u32 {
        self.block.min(self.sample_rate / 50).max(1)
    }

    /// A frame of [`Config::silent_samples`] that are all zero.
    pub fn silence(&self) -> Bytes {
        // Block size and frame number follow; rate and sample size are the stream's.
        let mut frame = vec![0xff, 0xf8, BLOCK_SIZE_16 << 4, self.channels.saturating_sub(1) << 4, 0];
        let last = u16::try_from(self.silent_samples().saturating_sub(1)).unwrap_or(u16::MAX);
        frame.extend_from_slice(&last.to_be_bytes());
        frame.push(crc_8(&frame));
        // A head of eight bits says that a subframe is constant, and one sample says which.
        let subframe = usize::from(self.bits).saturating_add(8);
        let bits = usize::from(self.channels).saturating_mul(subframe);
        frame.resize(frame.len().saturating_add(bits.div_ceil(8)), 0);
        frame.extend_from_slice(&crc_16(&frame).to_be_bytes());
        frame.into()
    }
}

/// How many samples a frame lasts, by its header (RFC 9639 §9.1).
///
/// # Errors
/// [`Error::Malformed`](crate::Error::Malformed) when the header is damaged.
pub fn samples(frame: &[u8]) -> Result<u32> {
    let mut cursor = Cursor::new("FLAC frame", frame);
    let [sync, strategy, sizes, _] = cursor.array::<4>()?;
    if sync != 0xff || strategy & 0xfe != 0xf8 {
        return Err(cursor.malformed("the synchronisation code is missing"));
    }
    let code = sizes >> 4;
    // The frame or sample number is coded like a character of UTF-8, with up to seven bytes.
    let more = match cursor.u8()?.leading_ones() {
        0 => 0,
        1 | 8 => return Err(cursor.malformed("the frame number is damaged")),
        bytes => bytes.saturating_sub(1),
    };
    for _ in 0..more {
        cursor.u8()?;
    }
    match code {
        0 => Err(cursor.malformed("the block size is reserved")),
        1 => Ok(192),
        2..=5 => Ok(144_u32 << code),
        6 => Ok(u32::from(cursor.u8()?).saturating_add(1)),
        BLOCK_SIZE_16 => Ok(u32::from(cursor.u16()?).saturating_add(1)),
        _ => Ok(1_u32 << code),
    }
}

/// Fuzz body: any bytes are a block, a frame or an error, and what is accepted is kept stable.
pub fn fuzz(data: &[u8]) {
    if let Ok(config) = Config::parse(data) {
        assert_eq!(Config::parse(&config.stream_info).as_ref(), Ok(&config));
        assert_eq!(samples(&config.silence()), Ok(config.silent_samples()));
    }
    if let Ok(samples) = samples(data) {
        assert!((1..=65_536).contains(&samples));
    }
}

/// x^8 + x^2 + x + 1.
fn crc_8(data: &[u8]) -> u8 {
    data.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ byte, |crc, _| if crc & 0x80 == 0 { crc << 1 } else { crc << 1 ^ 0x07 })
    })
}

/// x^16 + x^15 + x^2 + 1.
fn crc_16(data: &[u8]) -> u16 {
    data.iter().fold(0, |crc, byte| {
        (0..8).fold(
            crc ^ u16::from(*byte) << 8,
            |crc, _| {
                if crc & 0x8000 == 0 { crc << 1 } else { crc << 1 ^ 0x8005 }
            },
        )
    })
}

const MAGIC: &[u8; 4] = b"fLaC";
/// Bytes of a STREAMINFO block.
const SIZE: u8 = 34;
/// Parts of the block.
const FRAME_SIZES: std::ops::Range<usize> = 4..10;
const DEPTH_AND_TOTAL: usize = 13;
const TOTAL: std::ops::Range<usize> = 14..34;
/// The block size is in 16 bits behind the frame number.
const BLOCK_SIZE_16: u8 = 7;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mutation;

    /// What FFmpeg says of 48 kHz mono in 16 bits, and the begin of a frame.
    const INFO: [u8; 34] = [
        0x04, 0x00, 0x04, 0x00, 0, 0, 0, 0, 0x08, 0x15, 0x0b, 0xb8, 0x00, 0xf0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    ];
    const FRAME: [u8; 8] = [0xff, 0xf8, 0xaa, 0x08, 0x00, 0xed, 0x4c, 0x00];

    #[test]
    fn stream_information_is_read_in_all_its_wrappings() {
        let config = Config::parse(&INFO).unwrap();
        assert_eq!((config.sample_rate, config.channels, config.bits, config.block), (48_000, 1, 16, 1_024));
        let headed = [&[0x80, 0, 0, 34][..], &INFO].concat();
        let file = [&b"fLaC"[..], &headed].concat();
        assert_eq!(Config::parse(&headed).as_ref(), Ok(&config));
        assert_eq!(Config::parse(&file).as_ref(), Ok(&config));
        // At the end the encoder knows more, and nothing has changed.
        let mut last = INFO;
        last[7..10].fill(9);
        last[13] = 0xf1;
        last[20..].fill(7);
        assert_eq!(Config::parse(&last), Ok(config));
        assert!(Config::parse(&INFO[..33]).is_err());
        assert!(Config::parse(&[0; 34]).is_err());
    }

    #[test]
    fn a_frame_says_how_long_it_lasts() {
        assert_eq!(samples(&FRAME), Ok(1_024));
        let with = |code: u8, rest: &[u8]| samples(&[&[0xff, 0xf9, code << 4, 0x08][..], rest].concat());
        assert_eq!(with(1, &[0]), Ok(192));
        assert_eq!(with(5, &[0]), Ok(4_608));
        assert_eq!(with(12, &[0]), Ok(4_096));
        assert_eq!(with(6, &[0xc2, 0x80, 99]), Ok(100));
        assert_eq!(with(7, &[0xfe, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x12, 0x33]), Ok(0x1234));
        assert!(with(0, &[0]).is_err() && with(7, &[0, 1]).is_err() && with(1, &[0x80]).is_err());
        assert!(samples(&[0xff, 0xfb, 0x10, 0, 0]).is_err(), "MP3");
    }

    #[test]
    fn checksums_are_those_of_the_standard() {
        // The first frame of RFC 9639 appendix D.1.
        assert_eq!(crc_8(&[0xff, 0xf8, 0x69, 0x18, 0x00, 0x00]), 0xbf);
        let frame = [0xff, 0xf8, 0x69, 0x18, 0, 0, 0xbf, 0x03, 0x58, 0xfd, 0x03, 0x12, 0x8b];
        assert_eq!(crc_16(&frame), 0xaa9a);
    }

    #[test]
    fn any_bytes_are_survived() {
        // What is behind a head may look like one.
        let heads = [&[0, 0, 0, SIZE, 0, 0, 0, SIZE][..], &[0x96; 40]].concat();
        mutation::run(&[&INFO, &FRAME, &heads], fuzz);
    }
}
