//! Opus: the identification header, how long packets last, and silence.
#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::cast_possible_truncation)
)]

use bytes::Bytes;

use crate::Result;
use crate::cursor::Cursor;

/// An Opus track's decoder configuration. Time always counts in samples of [`SAMPLE_RATE`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Channels of the decoder's output.
    pub channels: u8,
    /// Samples that a decoder throws away at the beginning.
    pub pre_skip: u16,
    /// Samples per second of the encoder's input: of no use to a decoder.
    pub input_rate: u32,
    /// Q7.8 decibels that a decoder adds.
    pub gain: i16,
    /// Which channels there are (RFC 7845 §5.1.1): 0 is mono or stereo.
    pub mapping_family: u8,
    /// With another mapping family: streams, coupled streams and the stream of each channel.
    pub mapping: Bytes,
}

/// Samples per second of every Opus decoder.
pub const SAMPLE_RATE: u32 = 48_000;

/// Samples of a packet of 20 ms, which is what nearly all encoders make.
pub const USUAL_SAMPLES: u32 = 960;

impl Config {
    /// Reads an identification header, `OpusHead` (RFC 7845 §5.1).
    ///
    /// # Errors
    /// [`Error::Malformed`](crate::Error::Malformed) when it is damaged.
    pub fn parse(head: &[u8]) -> Result<Self> {
        let mut cursor = Cursor::new("Opus identification header", head);
        if cursor.take(MAGIC.len())? != MAGIC {
            return Err(cursor.malformed("it does not begin with OpusHead"));
        }
        if cursor.u8()? >> 4 != 0 {
            return Err(cursor.malformed("the version is not 1"));
        }
        let channels = cursor.u8()?;
        let pre_skip = u16::from_le_bytes(cursor.array()?);
        let input_rate = u32::from_le_bytes(cursor.array()?);
        let gain = i16::from_le_bytes(cursor.array()?);
        let mapping_family = cursor.u8()?;
        let mapping = match mapping_family {
            0 if matches!(channels, 1 | 2) => Bytes::new(),
            0 => return Err(cursor.malformed("there must be one or two channels")),
            _ => {
                let table = cursor.take(usize::from(channels).saturating_add(2))?;
                let [streams, coupled, ..] = table else {
                    return Err(cursor.malformed("the channel mapping is missing"));
                };
                if channels == 0 || *streams == 0 || coupled > streams {
                    return Err(cursor.malformed("the channel mapping has no streams"));
                }
                Bytes::copy_from_slice(table)
            }
        };
        Ok(Self { channels, pre_skip, input_rate, gain, mapping_family, mapping })
    }

    /// The RFC 6381 name.
    pub fn codec_string(&self) -> String {
        "Opus".to_owned()
    }

    /// The identification header again.
    pub fn head(&self) -> Bytes {
        let mut head = MAGIC.to_vec();
        head.extend_from_slice(&[1, self.channels]);
        head.extend_from_slice(&self.pre_skip.to_le_bytes());
        head.extend_from_slice(&self.input_rate.to_le_bytes());
        head.extend_from_slice(&self.gain.to_le_bytes());
        head.push(self.mapping_family);
        head.extend_from_slice(&self.mapping);
        head.into()
    }

    /// The content of the `dOps` box (Encapsulation of Opus in ISO Base Media File Format §4.3.2): the header again,
    /// in the other byte order.
    pub fn dops(&self) -> Bytes {
        let mut content = vec![0, self.channels];
        content.extend_from_slice(&self.pre_skip.to_be_bytes());
        content.extend_from_slice(&self.input_rate.to_be_bytes());
        content.extend_from_slice(&self.gain.to_be_bytes());
        content.push(self.mapping_family);
        content.extend_from_slice(&self.mapping);
        content.into()
    }

    /// A packet of [`USUAL_SAMPLES`] in which nothing sounds, in each stream: a frame of the CELT layer with the
    /// whole bandwidth and the flag for silence.
    pub fn silence(&self) -> Bytes {
        let (streams, coupled) = match self.mapping.first_chunk::<2>() {
            Some([streams, coupled]) => (*streams, *coupled),
            None => (1, u8::from(self.channels == 2)),
        };
        let mut packet = Vec::new();
        for stream in 0..streams {
            let stereo = if stream < coupled { STEREO } else { 0 };
            packet.push(CELT_FULL_BAND_20_MS | stereo);
            // All but the last stream say how long they are (RFC 6716 appendix B).
            if stream.saturating_add(1) < streams {
                packet.push(2);
            }
            packet.extend_from_slice(&[0xff, 0xfe]);
        }
        packet.into()
    }
}

/// How many samples a packet lasts, by its first byte (RFC 6716 §3.1): at most 120 ms.
///
/// # Errors
/// [`Error::Malformed`](crate::Error::Malformed) when it is empty, or lasts longer than a packet may.
pub fn samples(packet: &[u8]) -> Result<u32> {
    let mut cursor = Cursor::new("Opus packet", packet);
    let head = cursor.u8()?;
    let tenths = match head >> 3 {
        config @ 0..=11 => [100, 200, 400, 600].get(usize::from(config & 3)).copied().unwrap_or(600),
        config @ 12..=15 => {
            if config & 1 == 0 {
                100
            } else {
                200
            }
        }
        config => 25_u32 << (config & 3),
    };
    let frames = match head & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => u32::from(cursor.u8()? & 0x3f),
    };
    let tenths = tenths.saturating_mul(frames);
    if tenths == 0 || tenths > 1_200 {
        return Err(cursor.malformed("it lasts no time, or more than 120 ms"));
    }
    // 48 samples are a millisecond.
    Ok(tenths.saturating_mul(SAMPLE_RATE / 1_000).div_euclid(10))
}

/// Fuzz body: any bytes are a header, a packet or an error, and what is accepted is kept stable.
pub fn fuzz(data: &[u8]) {
    if let Ok(config) = Config::parse(data) {
        assert_eq!(Config::parse(&config.head()).as_ref(), Ok(&config));
        assert_eq!(samples(&config.silence()), Ok(USUAL_SAMPLES));
    }
    if let Ok(samples) = samples(data) {
        assert!((120..=5_760).contains(&samples));
    }
}

const MAGIC: &[u8; 8] = b"OpusHead";
const CELT_FULL_BAND_20_MS: u8 = 31 << 3;
const STEREO: u8 = 1 << 2;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mutation;

    /// What libopus and FFmpeg say of mono.
    const HEAD: &[u8] = b"OpusHead\x01\x01\x38\x01\x80\xbb\0\0\0\0\0";
    const SURROUND: &[u8] = b"OpusHead\x01\x06\x38\x01\x80\xbb\0\0\0\0\x01\x04\x02\0\x04\x01\x02\x03\x05";

    #[test]
    fn headers_are_read_and_written_alike() {
        let config = Config::parse(HEAD).unwrap();
        assert_eq!((config.channels, config.pre_skip, config.input_rate), (1, 312, 48_000));
        assert_eq!(config.head(), HEAD);
        assert_eq!(config.dops()[..], [0, 1, 1, 0x38, 0, 0, 0xbb, 0x80, 0, 0, 0]);
        let surround = Config::parse(SURROUND).unwrap();
        assert_eq!((surround.channels, surround.mapping_family, surround.mapping.len()), (6, 1, 8));
        assert_eq!(surround.head(), SURROUND);
        for damaged in
            [&HEAD[..18], &SURROUND[..20], b"OpusTags\x01\x01", b"OpusHead\x01\x03\0\0\0\0\0\0\0\0\0"]
        {
            assert!(Config::parse(damaged).is_err(), "{damaged:02x?}");
        }
    }

    #[test]
    fn a_packet_says_how_long_it_lasts() {
        // RFC 6716 table 2, and the codes of table 4.
        for (packet, expected) in [
            (&[0x00][..], 480),
            (&[0x18], 2_880),
            (&[0x60], 480),
            (&[0x78], 960),
            (&[0x80], 120),
            (&[0xf8, 0xff, 0xfe], 960),
            (&[0xf9], 1_920),
            (&[0xfb, 0x06], 5_760),
        ] {
            assert_eq!(samples(packet), Ok(expected), "{packet:02x?}");
        }
        for damaged in [&[][..], &[0xfb], &[0xfb, 0x00], &[0xfb, 0x07]] {
            assert!(samples(damaged).is_err(), "{damaged:02x?}");
        }
    }

    #[test]
    fn silence_has_a_frame_for_each_stream() {
        assert_eq!(Config::parse(HEAD).unwrap().silence()[..], [0xf8, 0xff, 0xfe]);
        assert_eq!(
            Config::parse(SURROUND).unwrap().silence()[..],
            [0xfc, 2, 0xff, 0xfe, 0xfc, 2, 0xff, 0xfe, 0xf8, 2, 0xff, 0xfe, 0xf8, 0xff, 0xfe]
        );
    }

    #[test]
    fn any_bytes_are_survived() {
        mutation::run(&[HEAD, SURROUND, &[0xfb, 0x06]], fuzz);
    }
}
