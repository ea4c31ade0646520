//! Opus in MPEG-TS (the Xiph and ETSI draft "Opus in MPEG-2 transport streams"): what a program map's descriptor says
//! of the channels, and packets out of PES packets, which hold whole ones.

use bytes::Bytes;

use super::audio::Sound;
use crate::Result;
use crate::codec::bits::Bits;
use crate::codec::opus::{self, Config};
use crate::cursor::Cursor;

/// Cuts the PES packets of one audio stream into Opus packets.
#[derive(Debug)]
pub(super) struct Reader {
    config: Config,
    /// Whether a packet was given, and so the configuration.
    begun: bool,
    /// When the next packet is due.
    time: Option<i64>,
}

impl Reader {
    pub(super) fn new(config: Config) -> Self {
        Self { config, begun: false, time: None }
    }

    /// Takes the payload of a PES packet and the time of its first packet.
    ///
    /// What is trimmed from the start of the first packet is what a decoder throws away. Other trims are of no use to
    /// players of files: they play whole packets, so time goes on by these.
    ///
    /// # Errors
    /// [`crate::Error::Malformed`] when the rest cannot be cut; the packets before it were given.
    pub(super) fn read(
        &mut self,
        pts: Option<i64>,
        payload: &[u8],
        mut each: impl FnMut(Sound),
    ) -> Result<()> {
        self.time = pts.or(self.time);
        let mut cursor = Cursor::new(FORMAT, payload);
        while !cursor.is_empty() {
            let (trim, packet) = access_unit(&mut cursor)?;
            let samples = opus::samples(packet)?;
            let Some(time) = self.time else { continue };
            if !self.begun {
                self.config.pre_skip = trim;
            }
            let config = (!self.begun).then(|| crate::Config::Opus(self.config.clone()));
            self.begun = true;
            each(Sound { time, config, data: Bytes::copy_from_slice(packet) });
            self.time = Some(time.saturating_add(i64::from(samples).saturating_mul(CLOCK) / SAMPLE_RATE));
        }
        Ok(())
    }

    /// Packets are missing: the next time is the one that is said.
    pub(super) fn reset(&mut self) {
        self.time = None;
    }

    /// Whether this descriptor says the same of the channels.
    pub(super) fn is_of(&self, config: &Config) -> bool {
        *config == Config { pre_skip: config.pre_skip, ..self.config.clone() }
    }
}

/// One packet behind its control header, and how many samples are trimmed from its start.
fn access_unit<'a>(cursor: &mut Cursor<'a>) -> Result<(u16, &'a [u8])> {
    let head = cursor.u16()?;
    if head & PREFIX_MASK != PREFIX {
        return Err(cursor.malformed("there is no control header"));
    }
    let mut size = 0_usize;
    loop {
        let byte = cursor.u8()?;
        size = size.saturating_add(byte.into());
        if byte != u8::MAX {
            break;
        }
    }
    let trim = if head & START_TRIM == 0 { 0 } else { cursor.u16()? & TRIM_MASK };
    if head & END_TRIM != 0 {
        cursor.u16()?;
    }
    if head & EXTENSION != 0 {
        let length = cursor.u8()?;
        cursor.take(length.into())?;
    }
    Ok((trim, cursor.take(size)?))
}

/// Reads the channels from what follows the tag in the extension descriptor; stereo where there is none. `None` when
/// it is damaged or says what the draft reserves.
pub(super) fn config(channels: Option<&[u8]>) -> Option<Config> {
    let config = |channels, mapping_family, mapping: &[u8]| Config {
        channels,
        pre_skip: 0,
        input_rate: opus::SAMPLE_RATE,
        gain: 0,
        mapping_family,
        mapping: Bytes::copy_from_slice(mapping),
    };
    let Some((code, rest)) = channels.and_then(|channels| channels.split_first()) else {
        return Some(config(2, 0, &[]));
    };
    match *code {
        // Two sounds, e.g. two languages.
        0 => Some(config(2, DISCRETE, &[2, 0, 0, 1])),
        channels @ 1..=2 => Some(config(channels, 0, &[])),
        channels @ 3..=8 => {
            Some(config(channels, VORBIS, SURROUND.get(usize::from(channels.saturating_sub(3)))?))
        }
        EXPLICIT => explicit(rest).ok(),
        code @ 0x82..=0x88 => {
            let channels = code & 0x0f;
            let mapping: Vec<u8> = [channels, 0].into_iter().chain(0..channels).collect();
            Some(config(channels, VORBIS, &mapping))
        }
        _ => None,
    }
}

/// A mapping of its own.
fn explicit(rest: &[u8]) -> Result<Config> {
    let bits = &mut Bits::new("Opus audio descriptor", rest);
    let channels = bits.byte(8)?;
    let mapping_family = bits.byte(8)?;
    let mut head = b"OpusHead\x01".to_vec();
    head.extend_from_slice(&[channels, 0, 0]);
    head.extend_from_slice(&opus::SAMPLE_RATE.to_le_bytes());
    head.extend_from_slice(&[0, 0, mapping_family]);
    if mapping_family > 0 {
        let streams = bits.byte(width(channels))?.saturating_add(1);
        let coupled = bits.byte(width(streams.saturating_add(1)))?;
        head.extend_from_slice(&[streams, coupled]);
        for _ in 0..channels {
            head.push(bits.byte(width(streams.saturating_add(coupled).saturating_add(1)))?);
        }
    }
    Config::parse(&head)
}

/// Bits that so many values need.
fn width(values: u8) -> u32 {
    values.checked_next_power_of_two().map_or(8, u8::trailing_zeros)
}

const FORMAT: &str = "Opus access unit";
const PREFIX: u16 = 0x3ff << 5;
const PREFIX_MASK: u16 = 0x7ff << 5;
const START_TRIM: u16 = 0x10;
const END_TRIM: u16 = 0x08;
const EXTENSION: u16 = 0x04;
const TRIM_MASK: u16 = 0x1fff;
const EXPLICIT: u8 = 0x81;
/// Mapping families of RFC 7845 §5.1.1.
const VORBIS: u8 = 1;
const DISCRETE: u8 = 255;
/// Streams, coupled ones and the stream of each channel for three to eight, in the order of Vorbis (RFC 7845
/// §5.1.1.2).
const SURROUND: [&[u8]; 6] = [
    &[2, 1, 0, 2, 1],
    &[2, 2, 0, 1, 2, 3],
    &[3, 2, 0, 4, 1, 2, 3],
    &[4, 2, 0, 4, 1, 2, 3, 5],
    &[4, 3, 0, 4, 1, 2, 3, 5, 6],
    &[5, 3, 0, 6, 1, 2, 3, 4, 5, 7],
];
const CLOCK: i64 = crate::frame::CLOCK;
const SAMPLE_RATE: i64 = opus::SAMPLE_RATE as i64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;

    /// Ten milliseconds of CELT.
    const TEN: &[u8] = &[0xf0, 1, 2];
    const TWENTY: &[u8] = &[0xf8, 3];

    fn read(reader: &mut Reader, pts: Option<i64>, payload: &[u8]) -> (Vec<(i64, Vec<u8>)>, Result<()>) {
        let mut sounds = Vec::new();
        let read = reader.read(pts, payload, |sound| sounds.push((sound.time, sound.data.to_vec())));
        (sounds, read)
    }

    #[test]
    fn packets_of_one_pes_packet_follow_each_other_in_time() {
        let mut reader = Reader::new(config(None).unwrap());
        assert_eq!(read(&mut reader, None, &[0x7f, 0xe0, 2, 0xf8, 3]), (vec![], Ok(())), "no time yet");
        let trimmed = [&[0x7f, 0xf0, 3, 0x01, 0x38][..], TEN].concat();
        let extended = [&[0x7f, 0xec, 2, 0, 9, 3, 7, 7, 7][..], TWENTY].concat();
        let plain = [&[0x7f, 0xe0, 3][..], TEN].concat();
        let mut sounds = Vec::new();
        let whole = [&trimmed[..], &extended, &plain].concat();
        reader.read(Some(900), &whole, |sound| sounds.push(sound)).unwrap();
        let times: Vec<(i64, &[u8])> = sounds.iter().map(|sound| (sound.time, &sound.data[..])).collect();
        assert_eq!(times, [(900, TEN), (1_800, TWENTY), (3_600, TEN)]);
        let configs: Vec<_> = sounds.iter().filter_map(|sound| sound.config.clone()).collect();
        let [crate::Config::Opus(config)] = &configs[..] else { panic!("{configs:?}") };
        assert_eq!((config.channels, config.pre_skip, config.mapping_family), (2, 312, 0));
        assert!(
            reader.is_of(&super::config(Some(&[2])).unwrap())
                && !reader.is_of(&super::config(Some(&[1])).unwrap())
        );
        assert_eq!(read(&mut reader, None, &plain).0, [(4_500, TEN.to_vec())], "time goes on");
        reader.reset();
        assert_eq!(read(&mut reader, None, &plain).0, [], "until something is missing");
    }

    #[test]
    fn long_packets_say_their_length_in_several_bytes() {
        let mut reader = Reader::new(config(None).unwrap());
        let long = [&[0xf8][..], &[5; 599]].concat();
        let payload = [&[0x7f, 0xe0, 255, 255, 90][..], &long].concat();
        assert_eq!(read(&mut reader, Some(0), &payload).0, [(0, long)]);
    }

    #[test]
    fn what_cannot_be_cut_costs_the_rest_of_its_pes_packet() {
        let good = [&[0x7f, 0xe0, 3][..], TEN].concat();
        for bad in [&[0x7f][..], &[0x7f, 0x80, 1, 0], &[0x7f, 0xe0, 9, 1], &[0x7f, 0xe0, 0], &[0x7f, 0xf0, 1]]
        {
            let mut reader = Reader::new(config(None).unwrap());
            let (sounds, read) = read(&mut reader, Some(0), &[&good[..], bad].concat());
            assert_eq!(sounds, [(0, TEN.to_vec())], "{bad:02x?}");
            assert!(matches!(read, Err(Error::Malformed { .. })), "{bad:02x?}");
        }
    }

    #[test]
    fn descriptors_say_the_channels() {
        let seen = |descriptor: &[u8]| {
            let config = config(Some(descriptor))?;
            // What is said can be said again.
            assert_eq!(Config::parse(&config.head()).as_ref(), Ok(&config));
            Some((config.channels, config.mapping_family, config.mapping.to_vec()))
        };
        assert_eq!(seen(&[1]), Some((1, 0, vec![])));
        assert_eq!(seen(&[2]), Some((2, 0, vec![])));
        assert_eq!(seen(&[0]), Some((2, 255, vec![2, 0, 0, 1])));
        assert_eq!(seen(&[6]), Some((6, 1, vec![4, 2, 0, 4, 1, 2, 3, 5])));
        assert_eq!(seen(&[0x83]), Some((3, 1, vec![3, 0, 0, 1, 2])));
        // Three channels: two streams less one in two bits, one coupled in two, then 0, 2, 1 in two each.
        assert_eq!(seen(&[0x81, 3, 255, 0b0101_0010, 0b0100_0000]), Some((3, 255, vec![2, 1, 0, 2, 1])));
        assert_eq!(seen(&[0x81, 1, 0]), Some((1, 0, vec![])));
        for reserved in [&[9][..], &[0x80], &[0x89], &[0x81], &[0x81, 8, 1, 0xff], &[0x81, 3, 0]] {
            assert_eq!(config(Some(reserved)), None, "{reserved:02x?}");
        }
        assert_eq!([1, 2, 3, 4, 5, 128, 129, 255].map(width), [0, 1, 2, 2, 3, 7, 8, 8]);
    }
}
