//! AAC: the AudioSpecificConfig.
#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::cast_possible_truncation)
)]

use bytes::Bytes;

use super::bits::Bits;
use crate::{Error, Result};

/// An AAC track's decoder configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// AudioSpecificConfig (ISO/IEC 14496-3 §1.6.2.1).
    pub specific: Bytes,
    /// Samples per second of the coded core: a frame always lasts [`SAMPLES_PER_FRAME`] / `sample_rate`.
    /// With spectral band replication (HE-AAC) the decoder's output has twice the rate and twice the samples,
    /// so this, and not the output's rate, is the one for time.
    pub sample_rate: u32,
    /// Channels of the decoder's output.
    pub channels: u8,
    /// Audio object type: 2 is AAC-LC, 5 HE-AAC (SBR), 29 HE-AAC v2 (SBR and parametric stereo).
    pub object_type: u8,
}

/// PCM samples of the coded core, per channel, in one frame.
pub const SAMPLES_PER_FRAME: u32 = 1024;

impl Config {
    /// Reads an AudioSpecificConfig (ISO/IEC 14496-3 §1.6.2.1): AAC-LC, and HE-AAC signalled in either way.
    ///
    /// # Errors
    /// [`Error::Malformed`] when it is damaged, [`Error::UnsupportedCodec`] for other object types.
    pub fn parse(specific: &[u8]) -> Result<Self> {
        if specific.len() > MAX_SPECIFIC {
            return Err(Error::Limit { what: "AudioSpecificConfig bytes", limit: MAX_SPECIFIC });
        }
        let mut bits = Bits::new("AudioSpecificConfig", specific);
        let mut object_type = object_type(&mut bits)?;
        let sample_rate = sample_rate(&mut bits)?;
        let channel_configuration = bits.byte(4)?;
        let mut signalled = None;
        if object_type == SBR || object_type == PARAMETRIC_STEREO {
            signalled = Some(object_type);
            self::sample_rate(&mut bits)?;
            object_type = self::object_type(&mut bits)?;
        }
        if object_type != LOW_COMPLEXITY {
            return Err(unsupported(object_type));
        }
        // GASpecificConfig (§4.4.1)
        if bits.bit()? {
            return Err(Error::UnsupportedCodec {
                codec: "AAC with 960 samples per frame".into(),
                advice: ADVICE,
            });
        }
        if bits.bit()? {
            bits.skip(14)?;
        }
        bits.bit()?;
        let mut channels = match channel_configuration {
            0 => program_channels(&mut bits)?,
            1..=6 => channel_configuration,
            7 | 12 | 14 => 8,
            11 => 7,
            _ => return Err(bits.malformed("the channel configuration is reserved")),
        };
        let object_type = signalled.or_else(|| trailing_extension(&mut bits)).unwrap_or(object_type);
        if object_type == PARAMETRIC_STEREO && channels == 1 {
            channels = 2;
        }
        Ok(Self { specific: Bytes::copy_from_slice(specific), sample_rate, channels, object_type })
    }

    /// The RFC 6381 name, e.g. `mp4a.40.2`.
    pub fn codec_string(&self) -> String {
        format!("mp4a.40.{}", self.object_type)
    }
}

/// Fuzz body: any bytes are a configuration or an error.
pub fn fuzz(data: &[u8]) {
    if let Ok(config) = Config::parse(data) {
        assert!(config.sample_rate >= MIN_RATE && config.sample_rate <= MAX_RATE);
        assert!(config.channels > 0);
        assert_eq!(Config::parse(&config.specific).as_ref(), Ok(&config));
    }
}

fn object_type(bits: &mut Bits<'_>) -> Result<u8> {
    match bits.byte(5)? {
        31 => Ok(bits.byte(6)?.saturating_add(32)),
        direct => Ok(direct),
    }
}

fn sample_rate(bits: &mut Bits<'_>) -> Result<u32> {
    let rate = match bits.byte(4)? {
        15 => bits.bits(24)?,
        index => RATES.get(usize::from(index)).copied().unwrap_or(0),
    };
    if (MIN_RATE..=MAX_RATE).contains(&rate) {
        Ok(rate)
    } else {
        Err(bits.malformed("the sample rate is reserved or out of range"))
    }
}

/// Counts the channels that a program_config_element lists (§4.4.1.1).
fn program_channels(bits: &mut Bits<'_>) -> Result<u8> {
    bits.skip(4 + 2 + 4)?;
    let elements = [bits.byte(4)?, bits.byte(4)?, bits.byte(4)?];
    let low_frequency = bits.byte(2)?;
    let associated = bits.byte(3)?;
    let coupling = bits.byte(4)?;
    for width in [4, 4, 3] {
        if bits.bit()? {
            bits.skip(width)?;
        }
    }
    let mut channels = low_frequency;
    for _ in 0..elements.iter().sum::<u8>() {
        channels = channels.saturating_add(if bits.bit()? { 2 } else { 1 });
        bits.skip(4)?;
    }
    for _ in 0..low_frequency {
        bits.skip(4)?;
    }
    for _ in 0..associated {
        bits.skip(4)?;
    }
    for _ in 0..coupling {
        bits.skip(5)?;
    }
    bits.align();
    let comment = bits.byte(8)?;
    bits.skip(u32::from(comment).saturating_mul(8))?;
    if channels == 0 {
        return Err(bits.malformed("the program configuration lists no channel"));
    }
    Ok(channels)
}

/// Backward compatible signalling: SBR announced behind the configuration of the core (§1.6.5).
fn trailing_extension(bits: &mut Bits<'_>) -> Option<u8> {
    if bits.remaining() < 16 || bits.bits(11).ok()? != SBR_SYNC || object_type(bits).ok()? != SBR {
        return None;
    }
    if !bits.bit().ok()? {
        return None;
    }
    sample_rate(bits).ok()?;
    let parametric = bits.remaining() >= 12 && bits.bits(11).ok()? == PS_SYNC && bits.bit().ok()?;
    Some(if parametric { PARAMETRIC_STEREO } else { SBR })
}

fn unsupported(object_type: u8) -> Error {
    let codec = match object_type {
        1 => "AAC Main".into(),
        3 => "AAC SSR".into(),
        4 => "AAC LTP".into(),
        23 | 39 => "AAC low delay".into(),
        34 => "MP3".into(),
        42 => "xHE-AAC".into(),
        other => format!("MPEG-4 audio object type {other}").into(),
    };
    Error::UnsupportedCodec { codec, advice: ADVICE }
}

const ADVICE: &str = "set the encoder to AAC-LC";
const LOW_COMPLEXITY: u8 = 2;
const SBR: u8 = 5;
const PARAMETRIC_STEREO: u8 = 29;
const SBR_SYNC: u32 = 0x2b7;
const PS_SYNC: u32 = 0x548;
const RATES: [u32; 13] =
    [96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350];
/// The lowest and highest rates of the table; rates written out in full must lie between them too.
const MIN_RATE: u32 = 7_350;
const MAX_RATE: u32 = 96_000;
/// A program configuration with every list and the comment full stays below 400 bytes.
const MAX_SPECIFIC: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mutation;

    /// (AudioSpecificConfig, core rate, channels, codec string)
    const CASES: &[(&[u8], u32, u8, &str)] = &[
        (&[0x12, 0x10], 44_100, 2, "mp4a.40.2"),
        (&[0x11, 0x90], 48_000, 2, "mp4a.40.2"),
        (&[0x11, 0x88], 48_000, 1, "mp4a.40.2"),
        // FFmpeg's native encoder adds an explicit "no SBR".
        (&[0x11, 0x90, 0x56, 0xe5, 0x00], 48_000, 2, "mp4a.40.2"),
        // 5.1 and 7.1
        (&[0x11, 0xb0], 48_000, 6, "mp4a.40.2"),
        (&[0x11, 0xb8], 48_000, 8, "mp4a.40.2"),
        // The rate written out: 44 100 in 24 bits.
        (&[0x17, 0x80, 0x56, 0x22, 0x10], 44_100, 2, "mp4a.40.2"),
        // HE-AAC, hierarchical: SBR 48 kHz over LC 24 kHz.
        (&[0x2b, 0x11, 0x88, 0x00], 24_000, 2, "mp4a.40.5"),
        // HE-AAC v2, hierarchical: PS over mono 22.05 kHz.
        (&[0xeb, 0x8a, 0x08, 0x00], 22_050, 2, "mp4a.40.29"),
        // HE-AAC, backward compatible: LC 24 kHz and the sync extension to 48 kHz.
        (&[0x13, 0x10, 0x56, 0xe5, 0x98], 24_000, 2, "mp4a.40.5"),
        // The same with parametric stereo.
        (&[0x13, 0x08, 0x56, 0xe5, 0x9d, 0x48, 0x80], 24_000, 2, "mp4a.40.29"),
        // Channels by a program configuration: one front pair and one LFE.
        (&[0x11, 0x80, 0x04, 0xc4, 0x04, 0x00, 0x20, 0x00, 0x00], 48_000, 3, "mp4a.40.2"),
    ];

    #[test]
    fn configurations_are_read() {
        for (specific, rate, channels, name) in CASES {
            let config = Config::parse(specific).unwrap_or_else(|error| panic!("{specific:02x?}: {error}"));
            assert_eq!(
                (config.sample_rate, config.channels, config.codec_string().as_str()),
                (*rate, *channels, *name),
                "{specific:02x?}"
            );
        }
    }

    #[test]
    fn other_object_types_are_refused_by_name() {
        let error = Config::parse(&[0x0a, 0x10]).unwrap_err();
        assert_eq!(error.to_string(), "AAC Main is not supported: set the encoder to AAC-LC");
        let error = Config::parse(&[0x12, 0x14]).unwrap_err();
        assert!(error.to_string().starts_with("AAC with 960 samples"), "{error}");
    }

    #[test]
    fn damaged_configurations_are_refused() {
        for damaged in [&[][..], &[0x12], &[0x16, 0x90], &[0x17, 0x80], &[0x12, 0x68]] {
            assert!(matches!(Config::parse(damaged), Err(Error::Malformed { .. })), "{damaged:02x?}");
        }
        assert!(matches!(Config::parse(&[0x12; 600]), Err(Error::Limit { .. })));
    }

    #[test]
    fn any_bytes_are_survived() {
        let seeds: Vec<&[u8]> = CASES.iter().map(|case| case.0).collect();
        mutation::run(&seeds, fuzz);
    }
}
