//! Silent frames, so that a publisher whose sound stops or skips does not stop everybody's playback.

use bytes::Bytes;

use crate::codec::{aac, opus};
use crate::frame::Config;

/// A frame of a track's codec in which nothing sounds, and how many samples it lasts.
pub(crate) fn of(config: &Config) -> (Bytes, u32) {
    match config {
        Config::Aac(config) => (frame(config), aac::SAMPLES_PER_FRAME),
        Config::Opus(config) => (config.silence(), opus::USUAL_SAMPLES),
        Config::Flac(config) => (config.silence(), config.silent_samples()),
        // Nobody asks for the sound of a picture.
        Config::Avc(_) | Config::Hevc(_) | Config::Av1(_) | Config::Vp9(_) => (Bytes::new(), 1),
    }
}

/// A raw AAC frame (ISO/IEC 14496-3 §4.4.2.1) in which no channel has any energy.
fn frame(config: &aac::Config) -> Bytes {
    // Parametric stereo codes one channel.
    let channels = if config.object_type == PARAMETRIC_STEREO { 1 } else { config.channels };
    let mut bits = Bits::default();
    let mut counts = [0; 4];
    for element in elements(channels) {
        let kind = *element as usize;
        bits.put(kind, 3);
        bits.put(counts[kind], 4);
        counts[kind] += 1;
        match element {
            Element::Single | Element::LowFrequency => {
                bits.put(0, GLOBAL_GAIN);
                bits.put(0, ICS_INFO);
                bits.put(0, NO_TOOLS);
            }
            Element::Pair => {
                // Both channels share one window; no mid/side coding.
                bits.put(1, 1);
                bits.put(0, ICS_INFO);
                bits.put(0, 2);
                bits.put(0, 2 * (GLOBAL_GAIN + NO_TOOLS));
            }
        }
    }
    bits.put(END, 3);
    bits.bytes.into()
}

/// The elements of channel configurations 1 to 7 (table 1.19).
fn elements(channels: u8) -> &'static [Element] {
    use Element::{LowFrequency, Pair, Single};
    match channels {
        0 | 1 => &[Single],
        2 => &[Pair],
        3 => &[Single, Pair],
        4 => &[Single, Pair, Single],
        5 => &[Single, Pair, Pair],
        6 => &[Single, Pair, Pair, LowFrequency],
        _ => &[Single, Pair, Pair, Pair, LowFrequency],
    }
}

/// A syntactic element; the value is its id_syn_ele.
#[derive(Clone, Copy)]
enum Element {
    Single = 0,
    Pair = 1,
    LowFrequency = 3,
}

#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    used: usize,
}

impl Bits {
    fn put(&mut self, value: usize, count: usize) {
        for bit in (0..count).rev() {
            if self.used.is_multiple_of(8) {
                self.bytes.push(0);
            }
            let set = value >> bit & 1 == 1;
            if let Some(last) = self.bytes.last_mut().filter(|_| set) {
                *last |= 0x80 >> (self.used % 8);
            }
            self.used += 1;
        }
    }
}

const END: usize = 7;
const PARAMETRIC_STEREO: u8 = 29;
const GLOBAL_GAIN: usize = 8;
/// One long window with no scale factor bands, hence no sections, scale factors or spectrum.
const ICS_INFO: usize = 11;
/// No pulses, no temporal noise shaping, no gain control.
const NO_TOOLS: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_hold_one_element_for_each_speaker_or_pair() {
        let config = |channels, object_type| aac::Config {
            specific: Bytes::new(),
            sample_rate: 48_000,
            channels,
            object_type,
        };
        assert_eq!(frame(&config(1, 2))[..], [0, 0, 0, 0b0000_0111]);
        assert_eq!(frame(&config(2, 2))[..], [0b0010_0001, 0, 0, 0, 0, 0b0001_1100]);
        assert_eq!(frame(&config(2, PARAMETRIC_STEREO)), frame(&config(1, 2)));
        // Ids and instance tags of the second pair and the low frequency element differ.
        assert!(frame(&config(6, 2)).len() > frame(&config(5, 2)).len());
    }
}
