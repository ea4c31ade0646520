//! Transport packets: where they begin in the bytes that arrive, and what their heads say.

use crate::Result;
use crate::cursor::Cursor;

/// Bytes of a transport packet (ISO/IEC 13818-1 §2.4.3.2).
pub(super) const SIZE: usize = 188;

/// What one packet carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Packet<'a> {
    pub(super) pid: u16,
    /// A section or a PES packet begins in the payload.
    pub(super) starts: bool,
    /// Counts packets with a payload, in four bits.
    pub(super) counter: u8,
    /// The counter may start anywhere, as may time.
    pub(super) discontinuity: bool,
    /// The line says that the packet is damaged, or the payload is scrambled: it cannot be used.
    pub(super) unusable: bool,
    /// None when the packet has only an adaptation field.
    pub(super) payload: Option<&'a [u8]>,
}

impl<'a> Packet<'a> {
    /// Reads the [`SIZE`] bytes of a packet (§2.4.3.2 and §2.4.3.4).
    ///
    /// # Errors
    /// [`crate::Error::Malformed`] when the adaptation field is longer than the packet.
    pub(super) fn parse(packet: &'a [u8]) -> Result<Self> {
        let mut cursor = Cursor::new("MPEG-TS packet", packet);
        let [_sync, high, low, control] = cursor.array()?;
        let mut discontinuity = false;
        if control & HAS_ADAPTATION != 0 {
            let length = cursor.u8()?;
            let field = cursor.take(usize::from(length))?;
            discontinuity = field.first().is_some_and(|flags| flags & DISCONTINUITY != 0);
        }
        let payload = packet.get(cursor.position()..).filter(|_| control & HAS_PAYLOAD != 0);
        Ok(Self {
            pid: u16::from_be_bytes([high & 0x1f, low]),
            starts: high & STARTS != 0,
            counter: control & COUNTER,
            discontinuity,
            unusable: high & TRANSPORT_ERROR != 0 || control & SCRAMBLED != 0,
            payload,
        })
    }
}

/// Cuts the bytes that arrive into packets, and finds the next one when something is in between.
#[derive(Debug)]
pub(super) struct Sync {
    /// The beginning of a packet that has not wholly arrived, or bytes that may hold one.
    rest: Vec<u8>,
    /// The next packet is expected to begin with `rest`.
    locked: bool,
    /// Bytes that were in no packet.
    pub(super) skipped: u64,
}

impl Sync {
    pub(super) fn new() -> Self {
        // Senders of datagrams put whole packets into each.
        Self { rest: Vec::new(), locked: true, skipped: 0 }
    }

    /// Takes bytes, however they were cut, and gives every packet that is whole to `each`.
    pub(super) fn push(&mut self, data: &[u8], mut each: impl FnMut(&[u8])) {
        // A message of whole packets, which is what comes nearly always, is not copied.
        let mut rest = std::mem::take(&mut self.rest);
        let mut input = data;
        if !rest.is_empty() {
            rest.extend_from_slice(data);
            input = &rest;
        }
        loop {
            if self.locked && input.first().is_some_and(|byte| *byte != BYTE) {
                self.locked = false;
            }
            if !self.locked {
                let found = input.iter().enumerate().position(|(at, byte)| {
                    let next = at.checked_add(SIZE).and_then(|next| input.get(next));
                    // One such byte is any byte: the packet behind it must begin with one too.
                    *byte == BYTE && next.is_none_or(|next| *next == BYTE)
                });
                let (skipped, behind) = input.split_at(found.unwrap_or(input.len()));
                self.skipped = self.skipped.saturating_add(u64::try_from(skipped.len()).unwrap_or(u64::MAX));
                input = behind;
                if input.len() <= SIZE {
                    break;
                }
                self.locked = true;
            }
            let Some((packet, behind)) = input.split_at_checked(SIZE) else { break };
            each(packet);
            input = behind;
        }
        self.rest = input.to_vec();
    }
}

const BYTE: u8 = 0x47;
const TRANSPORT_ERROR: u8 = 0x80;
const STARTS: u8 = 0x40;
const SCRAMBLED: u8 = 0xc0;
const HAS_ADAPTATION: u8 = 0x20;
const HAS_PAYLOAD: u8 = 0x10;
const COUNTER: u8 = 0x0f;
const DISCONTINUITY: u8 = 0x80;

#[cfg(test)]
mod tests {
    use super::*;

    fn packets(sync: &mut Sync, data: &[u8]) -> Vec<Vec<u8>> {
        let mut found = Vec::new();
        sync.push(data, |packet| found.push(packet.to_vec()));
        found
    }

    fn packet(fill: u8) -> Vec<u8> {
        let mut packet = vec![fill; SIZE];
        packet[0] = BYTE;
        packet
    }

    #[test]
    fn a_message_of_whole_packets_gives_them_all_at_once() {
        let mut sync = Sync::new();
        let message: Vec<u8> = (0..7).flat_map(packet).collect();
        assert_eq!(packets(&mut sync, &message), (0..7).map(packet).collect::<Vec<_>>());
        assert_eq!((sync.skipped, sync.rest.len()), (0, 0));
    }

    #[test]
    fn bytes_between_packets_are_skipped() {
        let mut sync = Sync::new();
        // The junk holds a sync byte of its own.
        let message = [&packet(1)[..], &[9, BYTE, 9, 9], &packet(2), &packet(3)].concat();
        assert_eq!(packets(&mut sync, &message), [packet(1), packet(2), packet(3)]);
        assert_eq!(sync.skipped, 4);
    }

    #[test]
    fn heads_are_read() {
        let mut bytes = packet(0);
        bytes[1..7].copy_from_slice(&[0x41, 0x02, 0x35, 1, 0x80, 7]);
        let read = Packet::parse(&bytes).unwrap();
        assert_eq!((read.pid, read.starts, read.counter, read.discontinuity), (0x102, true, 5, true));
        assert_eq!((read.payload.map(<[u8]>::len), read.payload.unwrap()[0]), (Some(182), 7));
        bytes[3] = 0x25;
        assert_eq!(Packet::parse(&bytes).unwrap().payload, None);
        bytes[4] = 184;
        assert!(Packet::parse(&bytes).is_err());
        bytes[3] = 0x95;
        assert!(Packet::parse(&bytes).unwrap().unusable);
    }
}
