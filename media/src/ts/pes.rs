//! PES packets (ISO/IEC 13818-1 §2.4.3.6): the pieces of one elementary stream, put together from its packets.

use bytes::{Bytes, BytesMut};

use crate::cursor::Cursor;
use crate::{Error, Result};

/// Puts the PES packets of one PID together.
#[derive(Debug)]
pub(super) struct Assembler {
    /// Bytes of one PES packet; more are not held.
    limit: usize,
    /// From the start code on; empty when no PES packet has begun.
    pending: BytesMut,
    /// How many bytes there will be, when its head says so.
    length: Option<usize>,
    /// The counter of the last packet with a payload.
    counter: Option<u8>,
}

/// A PES packet's payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unit {
    /// In 90 kHz ticks, 33 bits; a DTS is given only where there is a PTS.
    pub(super) pts: Option<i64>,
    pub(super) dts: Option<i64>,
    pub(super) data: Bytes,
}

/// What a packet did to the PES packet that it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Taken {
    /// Packets before this one are missing, so the PES packet that was being put together is too.
    Lost,
    /// The packet came before, and says nothing new.
    Again,
    Next,
}

impl Unit {
    /// PTS and DTS, which is the PTS where it is not given.
    pub(super) fn times(&self) -> Option<(i64, i64)> {
        self.pts.map(|pts| (pts, self.dts.unwrap_or(pts)))
    }
}

impl Assembler {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, pending: BytesMut::new(), length: None, counter: None }
    }

    /// Whether no PES packet has begun that has not ended.
    pub(super) fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// Looks at a packet's continuity counter (§2.4.3.3) before its payload is pushed.
    pub(super) fn follow(&mut self, counter: u8, discontinuity: bool) -> Taken {
        let Some(last) = self.counter.replace(counter) else { return Taken::Next };
        if discontinuity {
            // The PES packet before it may never end, but nothing is missing.
            return Taken::Next;
        }
        if counter == last {
            return Taken::Again;
        }
        if counter == last.wrapping_add(1) & 0x0f {
            return Taken::Next;
        }
        self.reset();
        Taken::Lost
    }

    /// Forgets what has not ended: some of it is missing.
    pub(super) fn reset(&mut self) {
        self.pending.clear();
        self.length = None;
    }

    /// The PES packet that ends because a packet begins the next one.
    ///
    /// # Errors
    /// As [`Self::push`].
    pub(super) fn finish(&mut self) -> Result<Option<Unit>> {
        if self.pending.is_empty() {
            return Ok(None);
        }
        let short = self.length.is_some();
        let whole = self.pending.split().freeze();
        self.length = None;
        if short {
            return Err(malformed("ends too early"));
        }
        open(&whole)
    }

    /// Takes a payload; gives the PES packet whose announced length it completes.
    ///
    /// # Errors
    /// [`Error::Malformed`] when the PES packet does not follow its format, [`Error::Limit`] when it grows too
    /// large; it is left out then.
    pub(super) fn push(&mut self, starts: bool, payload: &[u8]) -> Result<Option<Unit>> {
        if starts {
            self.pending.clear();
            self.length = None;
        } else if self.pending.is_empty() {
            return Ok(None);
        }
        if self.pending.len().saturating_add(payload.len()) > self.limit {
            self.reset();
            return Err(Error::Limit { what: "PES packet bytes", limit: self.limit });
        }
        self.pending.extend_from_slice(payload);
        if self.length.is_none() {
            // Zero: it ends where the next one begins.
            let announced = self.pending.get(4..HEAD).and_then(<[u8]>::first_chunk::<2>);
            let announced = announced.map_or(0, |length| usize::from(u16::from_be_bytes(*length)));
            self.length = (announced > 0).then(|| announced.saturating_add(HEAD));
        }
        let Some(length) = self.length.filter(|length| *length <= self.pending.len()) else {
            return Ok(None);
        };
        let whole = self.pending.split().freeze().slice(..length);
        self.length = None;
        open(&whole)
    }
}

/// The beginning of the PES packet that begins with these bytes, when they hold its head.
pub(super) fn peek(start: &[u8]) -> Option<Unit> {
    open(&Bytes::copy_from_slice(start.get(..LONGEST_HEAD).unwrap_or(start))).ok()?
}

/// Takes the head off (§2.4.3.6); `None` for stream ids that carry neither sound nor pictures.
fn open(whole: &Bytes) -> Result<Option<Unit>> {
    let mut cursor = Cursor::new(FORMAT, whole);
    if cursor.u24()? != START_CODE {
        return Err(cursor.malformed("there is no start code"));
    }
    let id = cursor.u8()?;
    if !(AUDIO_AND_VIDEO.contains(&id) || id == PRIVATE_1 || id == EXTENDED) {
        return Ok(None);
    }
    cursor.u16()?;
    let [marks, flags, length] = cursor.array()?;
    if marks & 0xc0 != 0x80 {
        return Err(cursor.malformed("the head has another form"));
    }
    if marks & SCRAMBLED != 0 {
        return Err(cursor.malformed("the payload is scrambled"));
    }
    let mut head = Cursor::new(FORMAT, cursor.take(usize::from(length))?);
    let pts = if flags & HAS_PTS == 0 { None } else { Some(timestamp(head.array()?)) };
    let dts = if flags & HAS_DTS != HAS_DTS { None } else { Some(timestamp(head.array()?)) };
    Ok(Some(Unit { pts, dts, data: whole.slice(cursor.position()..) }))
}

/// 33 bits in five bytes, with marker bits between; encoders exist that set the markers wrong, so they are not
/// looked at.
fn timestamp(bytes: [u8; 5]) -> i64 {
    let [a, b, c, d, e] = bytes.map(i64::from);
    ((a >> 1) & 7) << 30 | b << 22 | (c >> 1) << 15 | d << 7 | e >> 1
}

fn malformed(problem: &'static str) -> Error {
    Error::Malformed { format: FORMAT, offset: 0, problem }
}

const FORMAT: &str = "PES packet";
const START_CODE: u32 = 1;
/// Start code, stream id and length.
const HEAD: usize = 6;
/// With all that a head can say of its length; shorter ones are whole packets.
const LONGEST_HEAD: usize = 9 + 255;
const AUDIO_AND_VIDEO: std::ops::RangeInclusive<u8> = 0xc0..=0xef;
const PRIVATE_1: u8 = 0xbd;
const EXTENDED: u8 = 0xfd;
const SCRAMBLED: u8 = 0x30;
const HAS_PTS: u8 = 0x80;
const HAS_DTS: u8 = 0xc0;

#[cfg(test)]
mod tests {
    use super::*;

    /// PTS 2^33 - 1 and DTS 1, no announced length.
    const OPEN: &[u8] =
        &[0, 0, 1, 0xe0, 0, 0, 0x80, 0xc0, 10, 0x3f, 0xff, 0xff, 0xff, 0xff, 0x11, 0, 1, 0, 3, 7, 8];
    const SOUND: &[u8] = &[0, 0, 1, 0xc0, 0, 5, 0x80, 0, 0, 4, 5];

    fn unit(pts: Option<i64>, dts: Option<i64>, data: &'static [u8]) -> Unit {
        Unit { pts, dts, data: Bytes::from_static(data) }
    }

    #[test]
    fn an_open_one_ends_where_the_next_begins() {
        let mut assembler = Assembler::new(1_000);
        assert_eq!(assembler.push(false, &[1, 2, 3]), Ok(None), "it began before we came");
        assert_eq!(assembler.push(true, &OPEN[..3]), Ok(None));
        assert_eq!(assembler.push(false, &OPEN[3..]), Ok(None));
        assert_eq!(assembler.finish(), Ok(Some(unit(Some((1 << 33) - 1), Some(1), &[7, 8]))));
        assert_eq!(assembler.finish(), Ok(None));
    }

    #[test]
    fn one_with_a_length_ends_by_itself() {
        let mut assembler = Assembler::new(1_000);
        assert_eq!(assembler.push(true, &SOUND[..5]), Ok(None));
        assert_eq!(assembler.push(false, &SOUND[5..]), Ok(Some(unit(None, None, &[4, 5]))));
        assert_eq!(assembler.push(false, &[1, 2]), Ok(None), "stuffing behind it");
        assert_eq!(assembler.push(true, &SOUND[..9]), Ok(None));
        assert!(assembler.finish().is_err(), "cut short");
    }

    #[test]
    fn counters_tell_what_is_missing() {
        let mut assembler = Assembler::new(1_000);
        let all = [(9, false), (10, false), (10, false), (12, false), (5, true), (6, false)];
        let taken = all.map(|(counter, discontinuity)| assembler.follow(counter, discontinuity));
        use Taken::{Again, Lost, Next};
        assert_eq!(taken, [Next, Next, Again, Lost, Next, Next]);
        assert_eq!(assembler.follow(15, true), Next);
        assert_eq!(assembler.follow(0, false), Next, "four bits");
    }

    #[test]
    fn a_large_one_is_left_out() {
        let mut assembler = Assembler::new(100);
        assert_eq!(assembler.push(true, OPEN), Ok(None));
        assert!(matches!(assembler.push(false, &[0; 100]), Err(Error::Limit { .. })));
        assert_eq!(assembler.push(false, &[0; 50]), Ok(None));
        assert_eq!(assembler.finish(), Ok(None));
    }
}
