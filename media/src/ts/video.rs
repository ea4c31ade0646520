//! The one video stream that is followed: from PES packets to pictures, each with its time.
//!
//! A PES packet says the time of the first access unit that begins in it (ISO/IEC 13818-1 §2.4.3.7). Others that
//! begin in it share out the time until the next one that is said, equally; where that is not known, they follow
//! each other as the pictures before them did, or as the parameter sets say. They are shown in the order in which
//! they are decoded: who reorders pictures has to say when each is shown.

use super::nal::{Codec, Cutter};
use super::pes::{self, Assembler, Unit};
use super::picture::{Picture, Reader};
use super::{CLOCK, MAX_COMPOSITION};
use crate::{Error, Result};

#[derive(Debug)]
pub(super) struct Video {
    pub(super) pid: u16,
    pub(super) packets: Assembler,
    reader: Reader,
    cutter: Cutter,
    /// Access units whose end is not known, of which the first has a time.
    open: Option<Open>,
    /// Ticks between the last pictures whose distance is known.
    step: Option<i64>,
}

/// A picture and its times in 90 kHz ticks, 33 bits.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Timed {
    pub(super) dts: i64,
    /// How long after `dts` it is shown.
    pub(super) composition: i64,
    /// The stream did not say its time.
    pub(super) derived: bool,
    /// None when nothing can decode it yet.
    pub(super) picture: Option<Picture>,
}

#[derive(Debug)]
struct Open {
    times: Times,
    data: Vec<u8>,
}

/// PTS and DTS.
type Times = (i64, i64);
pub(super) type Found = Vec<Result<Timed>>;

impl Video {
    pub(super) fn new(pid: u16, codec: Codec) -> Self {
        Self::with(pid, Reader::new(codec))
    }

    /// The same stream in packets of another PID: what is known of its configuration stays.
    pub(super) fn moved(self, pid: u16) -> Self {
        Self::with(pid, self.reader)
    }

    fn with(pid: u16, reader: Reader) -> Self {
        let cutter = Cutter::new(reader.codec());
        Self { pid, packets: Assembler::new(MAX_PICTURE), reader, cutter, open: None, step: None }
    }

    pub(super) fn codec(&self) -> Codec {
        self.reader.codec()
    }

    /// Looks at the packet in which a PES packet begins: its time may say that what came before has ended, a whole
    /// picture before it does itself.
    pub(super) fn announce(&mut self, start: &[u8], found: &mut Found) {
        let Some((times, unit)) = pes::peek(start).and_then(|unit| unit.times().zip(Some(unit))) else {
            return;
        };
        if self.codec().begins(&unit.data) {
            self.end(times, found);
        }
    }

    /// Takes a PES packet.
    pub(super) fn take(&mut self, unit: &Unit, found: &mut Found) {
        let Some(open) = &mut self.open else {
            // Without a time it belongs to one that was left out.
            return self.begin(unit);
        };
        let times = unit.times().filter(|times| *times != open.times);
        if let Some(times) = times.filter(|_| self.cutter.codec.begins(&unit.data)) {
            self.end(times, found);
            return self.begin(unit);
        }
        let before = open.data.len();
        if before.saturating_add(unit.data.len()) > MAX_PICTURE {
            self.open = None;
            return found.push(Err(TOO_LARGE));
        }
        open.data.extend_from_slice(&unit.data);
        let Some(times) = times else { return };
        // It begins in the middle of an access unit; its time is that of the next.
        let cut = self.cutter.cuts(&open.data, false).into_iter().find(|cut| *cut >= before);
        if let Some(cut) = cut {
            let next = open.data.split_off(cut.min(open.data.len()));
            self.end(times, found);
            self.open = Some(Open { times, data: next });
        }
    }

    /// Nothing follows: what is open has ended.
    pub(super) fn finish(&mut self, found: &mut Found) {
        self.flush(None, found);
    }

    /// A part is missing: what is open cannot be used.
    pub(super) fn damage(&mut self) {
        self.open = None;
    }

    /// Begins anew with a PES packet, which may begin in the middle of an access unit that was left out.
    fn begin(&mut self, unit: &Unit) {
        let Some(times) = unit.times() else { return };
        let data = if self.codec().begins(&unit.data) {
            Some(&unit.data[..])
        } else {
            let cut = self.cutter.cuts(&unit.data, true).first().copied();
            cut.and_then(|cut| unit.data.get(cut..))
        };
        self.open = data.map(|data| Open { times, data: data.into() });
    }

    /// What is open has ended, if `next` are another's times.
    fn end(&mut self, next: Times, found: &mut Found) {
        if self.open.as_ref().is_some_and(|open| open.times != next) {
            self.flush(Some(next.1), found);
        }
    }

    /// Gives the access units that are open; `next` is the DTS of the one behind them.
    fn flush(&mut self, next: Option<i64>, found: &mut Found) {
        let Some(Open { times: (pts, dts), data }) = self.open.take() else { return };
        let cuts = self.cutter.cuts(&data, false);
        let count = cuts.len().saturating_add(1);
        let composition = CLOCK.difference(pts, dts);
        if count > MAX_UNITS {
            return found.push(Err(Error::Limit { what: "access units in a PES packet", limit: MAX_UNITS }));
        }
        if composition > MAX_COMPOSITION {
            let problem = "a picture is shown too long after it is decoded";
            return found.push(Err(Error::Malformed { format: "PES packet", offset: 0, problem }));
        }
        let ends = cuts.iter().copied().chain([data.len()]);
        let mut units = Vec::new();
        let mut start = 0;
        for end in ends {
            units.push(self.reader.read(data.get(start..end).unwrap_or_default()));
            start = end;
        }
        let span = self.span(dts, next, i64::try_from(count).unwrap_or(1));
        for (unit, at) in units.into_iter().zip(0_i64..) {
            let since = span.0.saturating_mul(at).checked_div(span.1).unwrap_or_default();
            let timed =
                |picture| Timed { dts: dts.saturating_add(since), composition, derived: at > 0, picture };
            found.push(unit.map(timed));
        }
    }

    /// Ticks that so many pictures from `dts` on last, and their number.
    fn span(&mut self, dts: i64, next: Option<i64>, count: i64) -> (i64, i64) {
        let distance = next.map(|next| CLOCK.difference(next, dts));
        if let Some(distance) =
            distance.filter(|distance| (1..=MAX_STEP.saturating_mul(count)).contains(distance))
        {
            self.step = distance.checked_div(count);
            return (distance, count);
        }
        let ticks = |(frames, seconds): (u32, u32)| {
            crate::frame::CLOCK.saturating_mul(seconds.into()).checked_div(frames.into())
        };
        let step = self.step.or_else(|| self.reader.frame_rate().and_then(ticks)).unwrap_or(USUAL_STEP);
        (step, 1)
    }
}

/// A key frame at 100 Mbit/s has about 2 MiB.
const MAX_PICTURE: usize = 4 << 20;
const TOO_LARGE: Error = Error::Limit { what: "access unit bytes", limit: MAX_PICTURE };
/// A PES packet for each group of pictures has a few hundred; this bounds what small ones cost.
const MAX_UNITS: usize = 1_024;
/// A second between two pictures is a pause.
const MAX_STEP: i64 = crate::frame::CLOCK;
/// 25 pictures a second, where nobody says anything.
const USUAL_STEP: i64 = crate::frame::CLOCK / 25;

#[cfg(test)]
mod tests {
    use super::*;

    const SETS: &[u8] = &[
        0, 0, 1, 0x67, 0x42, 0xc0, 0x0d, 0xda, 0x05, 0x07, 0xec, 0x04, 0x40, 0, 0, 0xfa, 0x40, 0, 0x3a, 0x98,
        0x03, 0xc5, 0x0a, 0xa8, 0, 0, 1, 0x68, 0xce, 0x0f, 0xc8,
    ];
    const KEY: &[u8] = &[0, 0, 1, 0x65, 0x88, 9];
    const A: &[u8] = &[0, 0, 0, 1, 9, 0xf0, 0, 0, 1, 0x41, 0x9a, 1];
    const B: &[u8] = &[0, 0, 0, 1, 9, 0xf0, 0, 0, 1, 0x41, 0x9a, 2];

    fn video() -> Video {
        Video::new(0x100, Codec::H264)
    }

    fn push(video: &mut Video, times: Option<Times>, parts: &[&[u8]]) -> Vec<(i64, i64, bool, u8)> {
        let mut found = Vec::new();
        let (pts, dts) = times.unzip();
        video.take(&Unit { pts, dts, data: parts.concat().into() }, &mut found);
        seen(found)
    }

    fn end(video: &mut Video) -> Vec<(i64, i64, bool, u8)> {
        let mut found = Vec::new();
        video.finish(&mut found);
        seen(found)
    }

    /// DTS, composition, whether they are derived, and the last byte of each picture.
    fn seen(found: Found) -> Vec<(i64, i64, bool, u8)> {
        let mut all = Vec::new();
        for timed in found {
            let Timed { dts, composition, derived, picture } = timed.unwrap();
            all.push((dts, composition, derived, *picture.unwrap().data.last().unwrap()));
        }
        all
    }

    #[test]
    fn pictures_of_one_packet_share_the_time_to_the_next() {
        let mut video = video();
        assert_eq!(push(&mut video, Some((1_000, 1_000)), &[SETS, KEY, A, B]), []);
        // A third of 10 000 does not come out even.
        let expected = [(1_000, 0, false, 9), (4_333, 0, true, 1), (7_666, 0, true, 2)];
        assert_eq!(push(&mut video, Some((11_000, 11_000)), &[A, B]), expected);
        // Time jumps, or ends: they follow each other as before.
        assert_eq!(push(&mut video, Some((7, 7)), &[A]), [(11_000, 0, false, 1), (14_333, 0, true, 2)]);
        assert_eq!(push(&mut video, None, &[B]), [], "one without a time");
        assert_eq!(end(&mut video), [(7, 0, false, 1), (3_340, 0, true, 2)]);
    }

    #[test]
    fn the_parameter_sets_say_how_far_apart_pictures_are_where_nothing_else_does() {
        let mut video = video();
        push(&mut video, Some((0, 0)), &[SETS, KEY, A]);
        // 30000/1001 pictures a second.
        assert_eq!(end(&mut video), [(0, 0, false, 9), (3_003, 0, true, 1)]);
    }

    #[test]
    fn packets_need_not_begin_with_an_access_unit() {
        let mut video = video();
        let stream = [SETS, KEY, A, B, A, B].concat();
        let all = [0, 3_000, 6_000, 9_000, 12_000];
        let firsts = [SETS.len() + KEY.len(), SETS.len() + KEY.len() + A.len()];
        // The first packet ends in A, the second in B, the third has the rest.
        let (one, two) = (firsts[0] + 7, firsts[1] + 11);
        assert_eq!(push(&mut video, Some((all[0], all[0])), &[&stream[..one]]), []);
        let first = [(0, 0, false, 9), (3_000, 0, true, 1)];
        assert_eq!(push(&mut video, Some((all[2], all[2])), &[&stream[one..two]]), first);
        assert_eq!(push(&mut video, Some((all[3], all[3])), &[&stream[two..]]), [(6_000, 0, false, 2)]);
        assert_eq!(end(&mut video), [(9_000, 0, false, 1), (12_000, 0, true, 2)]);
        // After a loss, the end of an access unit whose beginning is missing is nothing.
        video.damage();
        assert_eq!(push(&mut video, Some((15_000, 15_000)), &[&A[9..], B]), []);
        assert_eq!(end(&mut video), [(15_000, 0, false, 2)]);
        assert_eq!(push(&mut video, None, &[A]), []);
        assert_eq!(end(&mut video), []);
    }

    #[test]
    fn hordes_of_pictures_are_not_held() {
        let mut video = video();
        push(&mut video, Some((0, 0)), &[SETS, KEY]);
        for _ in 0..MAX_UNITS {
            push(&mut video, None, &[A]);
        }
        let mut found = Vec::new();
        video.finish(&mut found);
        assert!(matches!(found[..], [Err(Error::Limit { .. })]), "{} found", found.len());
    }
}
