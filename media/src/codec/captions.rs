//! Closed captions inside a video's SEI messages: finds the bytes (ATSC A/53 part 4 §6.2.3) and says which caption
//! channels (CEA-608) and services (CEA-708) speak in them.
#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::cast_possible_truncation)
)]

mod dtvcc;

use std::collections::BTreeMap;

use super::avc;
use dtvcc::Packets;

/// Follows a video's captions and remembers who has spoken.
#[derive(Debug, Default)]
pub struct Detector {
    /// By presentation time: captions are in the order in which pictures are shown.
    waiting: BTreeMap<i64, Vec<[u8; 3]>>,
    packets: Packets,
    found: Found,
}

/// Who has spoken in a video's captions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Found {
    /// There is room for captions, used or not.
    pub present: bool,
    /// Bits 0 to 3: CC1 to CC4.
    channels: u8,
    /// Bit n: service n.
    services: u64,
}

impl Detector {
    /// Takes the next access unit of an H.264 video (NAL units behind 4-byte lengths) and its presentation time.
    pub fn push(&mut self, pts: i64, access_unit: &[u8]) {
        let triples = triples(access_unit);
        if triples.is_empty() {
            return;
        }
        self.found.present = true;
        self.waiting.insert(pts, triples);
        while self.waiting.len() > REORDERED {
            let Some((_, triples)) = self.waiting.pop_first() else { return };
            triples.into_iter().for_each(|triple| self.take(triple));
        }
    }

    /// Who has spoken so far.
    pub fn found(&self) -> Found {
        self.found
    }

    fn take(&mut self, [header, first, second]: [u8; 3]) {
        let valid = header & 0x04 != 0;
        match header & 0x03 {
            field @ (0 | 1) if valid => self.line_21(field, first & 0x7f, second & 0x7f),
            2 if valid => self.packets.go_on([first, second], &mut self.found.services),
            3 if valid => self.packets.begin([first, second], &mut self.found.services),
            _ => {}
        }
    }

    /// A pair of line 21's bytes without parity (CEA-608 §8). Characters belong to whom a control code has named; a
    /// code is followed by text before anybody would miss it, so codes are enough.
    fn line_21(&mut self, field: u8, first: u8, _second: u8) {
        if !(0x10..=0x1f).contains(&first) {
            return;
        }
        let second_channel = u8::from(first & 0x08 != 0);
        self.found.channels |= 1 << (field << 1 | second_channel);
    }
}

impl Found {
    /// INSTREAM-ID of everybody found (RFC 8216bis §4.4.6.1): `CC1` to `CC4`, `SERVICE1` to `SERVICE63`.
    pub fn instream_ids(&self) -> impl Iterator<Item = String> + use<> {
        let (channels, services) = (u16::from(self.channels), self.services);
        let channels = (1..5).filter(move |n| channels << 1 >> n & 1 == 1).map(|n| format!("CC{n}"));
        let services = (1..64).filter(move |bit| services >> bit & 1 == 1).map(|bit| format!("SERVICE{bit}"));
        channels.chain(services)
    }
}

/// The caption bytes of an H.264 access unit: `cc_valid` and `cc_type`, then two bytes, as often as it says.
pub fn triples(access_unit: &[u8]) -> Vec<[u8; 3]> {
    let mut triples = Vec::new();
    for unit in avc::nal_units(access_unit).map_while(Result::ok) {
        if let Some((header, message)) = unit.split_first()
            && header & 0x1f == SEI
        {
            sei_messages(message, &mut triples);
        }
    }
    triples
}

/// The payloads of an SEI (ITU-T H.264 §7.3.2.3.1), as far as they are whole.
fn sei_messages(message: &[u8], triples: &mut Vec<[u8; 3]>) {
    let message = super::bits::without_emulation_prevention(message);
    let mut rest = &message[..];
    while let Some((kind, after)) = number(rest)
        && let Some((size, after)) = number(after)
        && let Some((payload, after)) = after.split_at_checked(size)
    {
        if kind == USER_DATA_REGISTERED {
            triples.extend(cc_data(payload).into_iter().flatten());
        }
        rest = after;
    }
}

/// A number that is the sum of bytes up to the first below 255.
fn number(data: &[u8]) -> Option<(usize, &[u8])> {
    let full = data.iter().take_while(|byte| **byte == 0xff).count();
    let (last, rest) = data.get(full..)?.split_first()?;
    // The trailing bits are no number.
    (!rest.is_empty()).then(|| (full.saturating_mul(255).saturating_add(usize::from(*last)), rest))
}

/// `cc_data()` of a user data message that is ATSC's.
fn cc_data(payload: &[u8]) -> Option<impl Iterator<Item = [u8; 3]>> {
    let data = payload.strip_prefix(ATSC_CC_DATA)?;
    let (flags, data) = data.split_first()?;
    // process_cc_data_flag; a byte of em_data follows.
    let count = if flags & 0x40 == 0 { 0 } else { usize::from(flags & 0x1f) };
    let (triples, _) = data.get(1..)?.as_chunks::<3>();
    Some(triples.iter().take(count).copied())
}

/// Fuzz body: any bytes are captions, or none.
pub fn fuzz(data: &[u8]) {
    let mut detector = Detector::default();
    detector.push(0, data);
    for (pts, chunk) in (1..).zip(data.chunks(48)) {
        // Damaged lengths end an access unit early; behind a right one the rest is looked at as well.
        let length = u32::try_from(chunk.len()).unwrap_or(0).to_be_bytes();
        detector.push(pts, &[&length[..], chunk].concat());
        chunk.as_chunks::<3>().0.iter().for_each(|triple| detector.take(*triple));
    }
    assert!(detector.waiting.len() <= REORDERED);
    let ids: Vec<String> = detector.found().instream_ids().collect();
    assert!(ids.len() <= 4 + 63);
}

const SEI: u8 = 6;
const USER_DATA_REGISTERED: usize = 4;
/// United States, ATSC, "GA94", cc_data (A/53 part 4 tables 6.7 and 6.9).
const ATSC_CC_DATA: &[u8] = b"\xb5\x00\x31GA94\x03";
/// No encoder shows a picture this many others later.
const REORDERED: usize = 8;

#[cfg(test)]
pub(crate) mod tests;
