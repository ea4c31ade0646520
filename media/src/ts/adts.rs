//! AAC in ADTS (ISO/IEC 14496-3 §1.A.2): frames and their configuration out of PES packets, which need not hold
//! whole ones.

use bytes::Bytes;

use super::audio::Sound;
use crate::codec::aac;
use crate::{Config, Result};

/// Cuts the bytes of one audio stream into frames.
#[derive(Debug, Default)]
pub(super) struct Reader {
    /// The beginning of a frame whose end is in the next PES packet.
    pending: Vec<u8>,
    /// When the next frame is due.
    time: Option<i64>,
    /// What the ticks of the frames since the last announced time leave over, in ticks by the sample rate.
    remainder: i64,
    /// The head of the last frame, and what it means.
    known: Option<(Head, aac::Config)>,
    /// Bytes that were in no frame.
    pub(super) skipped: u64,
}

/// What the heads of one stream's frames have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Head {
    /// Audio object type less one.
    profile: u8,
    rate_index: u8,
    channels: u8,
}

impl Reader {
    /// Takes the payload of a PES packet and the time of the first frame that begins in it.
    ///
    /// # Errors
    /// [`crate::Error::UnsupportedCodec`] for another AAC than LC; the frames before it were given.
    pub(super) fn read(
        &mut self,
        pts: Option<i64>,
        payload: &[u8],
        mut each: impl FnMut(Sound),
    ) -> Result<()> {
        let mut data = std::mem::take(&mut self.pending);
        let boundary = data.len();
        data.extend_from_slice(payload);
        let mut announced = pts;
        let mut at = 0_usize;
        // In a chain of frames a new head is another configuration; behind damage it may be anything.
        let mut chained = true;
        while let Some(rest) = data.get(at..).filter(|rest| rest.len() >= SHORT_HEAD) {
            if at >= boundary && announced.is_some() {
                (self.time, self.remainder) = (announced.take(), 0);
            }
            let Some((head, range)) = parse(rest).filter(|(head, _)| chained || self.knows(*head)) else {
                chained = false;
                self.skipped = self.skipped.saturating_add(1);
                at = at.saturating_add(1);
                continue;
            };
            let length = range.end;
            let Some(frame) = rest.get(range) else { break };
            let (config, rate) = self.follow(head)?;
            if let Some(time) = self.time {
                each(Sound { time, config: config.map(Config::Aac), data: Bytes::copy_from_slice(frame) });
            }
            let ticks = FRAME_TICKS.saturating_add(self.remainder);
            let duration = ticks.checked_div(rate).unwrap_or_default();
            self.remainder = ticks.checked_rem(rate).unwrap_or_default();
            self.time = self.time.map(|time| time.saturating_add(duration));
            chained = true;
            at = at.saturating_add(length);
        }
        data.drain(..at.min(data.len()));
        self.pending = data;
        Ok(())
    }

    /// Forgets the frame that has not ended: its end is missing.
    pub(super) fn reset(&mut self) {
        self.pending.clear();
    }

    fn knows(&self, head: Head) -> bool {
        self.known.as_ref().is_none_or(|(last, _)| *last == head)
    }

    /// The configuration when this head brings another, and the sample rate.
    fn follow(&mut self, head: Head) -> Result<(Option<aac::Config>, i64)> {
        if let Some((last, config)) = &self.known
            && *last == head
        {
            return Ok((None, config.sample_rate.into()));
        }
        // AudioSpecificConfig: object type, rate and channels, in 5, 4 and 4 bits.
        let [high, low] = [
            head.profile.saturating_add(1) << 3 | head.rate_index >> 1,
            (head.rate_index & 1) << 7 | head.channels << 3,
        ];
        let config = aac::Config::parse(&[high, low])?;
        let rate = config.sample_rate.into();
        self.known = Some((head, config.clone()));
        Ok((Some(config), rate))
    }
}

/// Reads a head, and where in the bytes the frame is that follows it; `None` when this is no head of a frame that
/// can be taken: channels that are listed inside the frame, or several blocks in one, are sent by nobody.
fn parse(bytes: &[u8]) -> Option<(Head, std::ops::Range<usize>)> {
    let [sync, marks, c, d, e, f, g] = *bytes.first_chunk::<SHORT_HEAD>()?;
    let without_crc = marks & 1 != 0;
    let size = if without_crc { SHORT_HEAD } else { LONG_HEAD };
    let length = usize::from(d & 3) << 11 | usize::from(e) << 3 | usize::from(f >> 5);
    let head = Head { profile: c >> 6, rate_index: (c >> 2) & 0x0f, channels: (c & 1) << 2 | d >> 6 };
    let right = sync == 0xff
        && marks & 0xf6 == 0xf0
        && length > size
        && g & 3 == 0
        && head.channels != 0
        && head.rate_index < RATES;
    right.then_some((head, size..length))
}

/// Of a head without, and one with a CRC behind it.
const SHORT_HEAD: usize = 7;
const LONG_HEAD: usize = 9;
/// Sample rates that have an index.
const RATES: u8 = 13;
/// 90 kHz times the samples of a frame: divided by the sample rate, a frame's ticks.
const FRAME_TICKS: i64 = crate::frame::CLOCK * aac::SAMPLES_PER_FRAME as i64;

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame of AAC-LC, stereo, with this index of its rate.
    fn frame(rate_index: u8, data: &[u8]) -> Vec<u8> {
        let length = u16::try_from(data.len() + 7).unwrap();
        let [high, low] = (length << 5 | 0x1f).to_be_bytes();
        let head =
            [0xff, 0xf1, 0x40 | rate_index << 2, 0x80 | u8::try_from(length >> 11).unwrap(), high, low, 0xfc];
        [&head[..], data].concat()
    }

    fn read(reader: &mut Reader, pts: Option<i64>, payload: &[u8]) -> Vec<(i64, Option<u32>, Vec<u8>)> {
        let mut sounds = Vec::new();
        reader
            .read(pts, payload, |sound| {
                sounds.push((
                    sound.time,
                    sound.config.and_then(|config| Some(config.sound()?.sample_rate)),
                    sound.data.to_vec(),
                ));
            })
            .unwrap();
        sounds
    }

    #[test]
    fn frames_of_one_packet_follow_each_other_in_time() {
        let mut reader = Reader::default();
        let payload = [frame(3, &[1; 20]), frame(3, &[2; 30]), frame(4, &[3; 20])].concat();
        let sounds = read(&mut reader, Some(9_000), &payload);
        let expected = [
            (9_000, Some(48_000), vec![1; 20]),
            (10_920, None, vec![2; 30]),
            (12_840, Some(44_100), vec![3; 20]),
        ];
        assert_eq!(sounds, expected);
    }

    #[test]
    fn a_frame_may_end_in_the_next_packet() {
        let (mut reader, whole) = (Reader::default(), frame(3, &[1; 50]));
        assert_eq!(read(&mut reader, Some(0), &whole[..30]), []);
        let rest = [&whole[30..], &frame(3, &[2; 9])].concat();
        assert_eq!(
            read(&mut reader, Some(1_925), &rest),
            [(0, Some(48_000), vec![1; 50]), (1_925, None, vec![2; 9])]
        );
        assert_eq!(read(&mut reader, None, &frame(3, &[3])), [(3_845, None, vec![3])], "time goes on");
    }

    #[test]
    fn what_is_no_frame_is_skipped_and_counted() {
        let mut reader = Reader::default();
        read(&mut reader, Some(0), &frame(3, &[1; 9]));
        // Something that looks like a head of another stream, in the middle of damage.
        let payload = [&[0, 0xff][..], &frame(8, &[0; 2]), &frame(3, &[2; 9])].concat();
        assert_eq!(read(&mut reader, Some(1_920), &payload), [(1_920, None, vec![2; 9])]);
        assert_eq!(reader.skipped, 11);
        read(&mut reader, Some(0), &frame(3, &[3; 9])[..12]);
        reader.reset();
        assert_eq!(read(&mut reader, Some(3_840), &frame(3, &[4])), [(3_840, None, vec![4])]);
    }

    #[test]
    fn other_profiles_are_refused() {
        let mut main = frame(3, &[1; 9]);
        main[2] &= 0x3f;
        let error = Reader::default().read(Some(0), &main, |_| {}).unwrap_err();
        assert!(error.to_string().starts_with("AAC Main is not supported"), "{error}");
    }
}
