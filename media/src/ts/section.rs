//! Sections: the tables (ISO/IEC 13818-1 §2.4.4) that say which programs there are and what they are made of.

use crate::cursor::Cursor;
use crate::{Error, Result};

/// Puts the sections of one PID together from its packets.
#[derive(Debug, Default)]
pub(super) struct Assembler {
    /// From the table id on; empty when no section has begun.
    pending: Vec<u8>,
}

/// The programs of a stream: number, and the PID of each one's map.
pub(super) type Programs = Vec<(u16, u16)>;

/// What one program is made of.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct ProgramMap {
    pub(super) number: u16,
    pub(super) streams: Vec<Stream>,
}

/// One elementary stream of a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stream {
    pub(super) pid: u16,
    /// ISO/IEC 13818-1 table 2-34.
    pub(super) kind: u8,
    /// The registration descriptor's format (§2.6.8), by which private streams are told apart.
    pub(super) format: Option<[u8; 4]>,
    /// What the extension descriptor of Opus says behind its tag.
    pub(super) opus: Option<Vec<u8>>,
    /// Tags of all descriptors; DVB names its codecs by them.
    pub(super) descriptors: Vec<u8>,
}

impl Assembler {
    /// Takes the payload of a packet and gives every section that is whole to `each`, its CRC not checked.
    pub(super) fn push(&mut self, starts: bool, payload: &[u8], mut each: impl FnMut(&[u8])) {
        let mut payload = payload;
        if starts {
            let Some((pointer, rest)) = payload.split_first() else { return };
            let Some((end, next)) = rest.split_at_checked(usize::from(*pointer)) else {
                return self.pending.clear();
            };
            if !self.pending.is_empty() {
                self.pending.extend_from_slice(end);
                self.take(&mut each);
            }
            self.pending.clear();
            payload = next;
        } else if self.pending.is_empty() {
            return;
        }
        // A section is at most MAX_SECTION bytes, and a packet adds less than 188.
        self.pending.extend_from_slice(payload);
        self.take(&mut each);
    }

    /// Forgets a section that has not ended: packets are missing.
    pub(super) fn reset(&mut self) {
        self.pending.clear();
    }

    fn take(&mut self, each: &mut impl FnMut(&[u8])) {
        loop {
            let [table, high, low] = match self.pending.first_chunk::<3>() {
                Some([STUFFING, ..]) => return self.pending.clear(),
                Some(head) => *head,
                None => return,
            };
            let length = usize::from(u16::from_be_bytes([high & 0x0f, low])).saturating_add(3);
            if length > MAX_SECTION && (table == PROGRAMS || table == PROGRAM_MAP) {
                return self.pending.clear();
            }
            let Some(section) = self.pending.get(..length) else { return };
            each(section);
            self.pending.drain(..length);
        }
    }
}

/// Reads a program association section (§2.4.4.3); `None` for other tables, and for one that is not in force yet.
///
/// # Errors
/// [`Error::Malformed`] when it is cut short or its CRC is wrong.
pub(super) fn programs(section: &[u8]) -> Result<Option<Programs>> {
    let Some((_, body)) = open(section, PROGRAMS)? else { return Ok(None) };
    let entries = body.chunks_exact(4).filter_map(|entry| entry.first_chunk::<4>());
    let programs =
        entries.map(|[a, b, c, d]| (u16::from_be_bytes([*a, *b]), u16::from_be_bytes([c & 0x1f, *d])));
    // Number 0 is the network's own table.
    Ok(Some(programs.filter(|(number, _)| *number != 0).collect()))
}

/// Reads a program map section (§2.4.4.8); `None` for other tables, and for one that is not in force yet.
///
/// # Errors
/// [`Error::Malformed`] when it is cut short or its CRC is wrong.
pub(super) fn program_map(section: &[u8]) -> Result<Option<ProgramMap>> {
    let Some((number, body)) = open(section, PROGRAM_MAP)? else { return Ok(None) };
    let mut cursor = Cursor::new("program map", body);
    cursor.u16()?;
    let info = usize::from(cursor.u16()? & 0x0fff);
    cursor.take(info)?;
    let mut map = ProgramMap { number, streams: Vec::new() };
    while !cursor.is_empty() {
        let kind = cursor.u8()?;
        let pid = cursor.u16()? & 0x1fff;
        let length = usize::from(cursor.u16()? & 0x0fff);
        let mut descriptors = Cursor::new("program map descriptor", cursor.take(length)?);
        let mut stream = Stream { pid, kind, format: None, opus: None, descriptors: Vec::new() };
        while !descriptors.is_empty() {
            let tag = descriptors.u8()?;
            let length = descriptors.u8()?;
            let body = descriptors.take(usize::from(length))?;
            stream.descriptors.push(tag);
            if tag == REGISTRATION {
                stream.format = body.first_chunk().copied();
            }
            if let (EXTENSION, Some((&OPUS, channels))) = (tag, body.split_first()) {
                stream.opus = Some(channels.to_vec());
            }
        }
        map.streams.push(stream);
    }
    Ok(Some(map))
}

/// The identifier and the body of a section of this table with a right CRC (§2.4.4.11) that is in force.
fn open(section: &[u8], table: u8) -> Result<Option<(u16, &[u8])>> {
    let mut cursor = Cursor::new("MPEG-TS section", section);
    if cursor.u8()? != table {
        return Ok(None);
    }
    cursor.u16()?;
    let id = cursor.u16()?;
    let [flags, _number, _last] = cursor.array()?;
    let rest = section.get(cursor.position()..).unwrap_or_default();
    let Some(body) = rest.len().checked_sub(4).and_then(|end| rest.get(..end)) else {
        return Err(cursor.malformed("ends too early"));
    };
    if crc(section) != 0 {
        return Err(Error::Malformed { format: "MPEG-TS section", offset: 0, problem: "the CRC is wrong" });
    }
    Ok((flags & IN_FORCE != 0).then_some((id, body)))
}

/// The CRC-32 of annex A: zero over a section that ends in its own.
pub(super) fn crc(section: &[u8]) -> u32 {
    section.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ (u32::from(*byte) << 24), |crc, _| {
            if crc & 0x8000_0000 == 0 { crc << 1 } else { (crc << 1) ^ 0x04c1_1db7 }
        })
    })
}

/// The PID of the program association table.
pub(super) const PROGRAMS_PID: u16 = 0;
const PROGRAMS: u8 = 0;
const PROGRAM_MAP: u8 = 2;
const STUFFING: u8 = 0xff;
const IN_FORCE: u8 = 1;
const REGISTRATION: u8 = 5;
/// The tag of tags of ETSI EN 300 468, and the one in it that the draft for Opus took for itself.
const EXTENSION: u8 = 0x7f;
const OPUS: u8 = 0x80;
/// Of the two tables that are read; private ones have up to 4,096 bytes.
const MAX_SECTION: usize = 1_024;

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A section of `table` around `body`, with its CRC.
    pub(in super::super) fn section(table: u8, id: u16, flags: u8, body: &[u8]) -> Vec<u8> {
        let length = u16::try_from(body.len() + 9).unwrap().to_be_bytes();
        let [high, low] = id.to_be_bytes();
        let mut section = vec![table, 0xb0 | length[0], length[1], high, low, 0xc0 | flags, 0, 0];
        section.extend_from_slice(body);
        let crc = crc(&section);
        section.extend_from_slice(&crc.to_be_bytes());
        section
    }

    #[test]
    fn tables_are_read() {
        let table = section(PROGRAMS, 1, 1, &[0, 0, 0xe0, 0x10, 0, 7, 0xf0, 0]);
        assert_eq!(programs(&table), Ok(Some(vec![(7, 0x1000)])));
        assert_eq!(program_map(&table), Ok(None));
        let streams =
            [0x1b, 0xe1, 0, 0xf0, 0, 6, 0xe1, 1, 0xf0, 10, 5, 4, b'O', b'p', b'u', b's', 0x7f, 2, 0x80, 2];
        let table = section(PROGRAM_MAP, 7, 1, &[&[0xe1, 0, 0xf0, 2, 9, 0][..], &streams].concat());
        let video = Stream { pid: 0x100, kind: 0x1b, format: None, opus: None, descriptors: vec![] };
        let opus = Stream {
            pid: 0x101,
            kind: 6,
            format: Some(*b"Opus"),
            opus: Some(vec![2]),
            descriptors: vec![5, 0x7f],
        };
        assert_eq!(program_map(&table), Ok(Some(ProgramMap { number: 7, streams: vec![video, opus] })));
    }

    #[test]
    fn damaged_and_future_tables_are_not_believed() {
        let mut table = section(PROGRAMS, 1, 1, &[0, 7, 0xf0, 0]);
        table[9] ^= 1;
        assert!(matches!(programs(&table), Err(Error::Malformed { .. })));
        assert_eq!(programs(&section(PROGRAMS, 1, 0, &[0, 7, 0xf0, 0])), Ok(None));
        assert!(programs(&[0, 0xb0]).is_err() && programs(&[]).is_err());
    }

    #[test]
    fn sections_are_put_together_over_packets() {
        let long = section(PROGRAM_MAP, 7, 1, &[0x55; 300]);
        let short = section(PROGRAMS, 1, 1, &[0, 7, 0xf0, 0]);
        let mut assembler = Assembler::default();
        let mut found = Vec::new();
        let mut push = |starts: bool, payload: &[u8]| {
            assembler.push(starts, payload, |section| found.push(section.to_vec()));
        };
        push(false, &long[..100]);
        push(true, &[&[0][..], &long[..100]].concat());
        push(false, &long[100..280]);
        let pointer = u8::try_from(long.len() - 280).unwrap();
        push(true, &[&[pointer][..], &long[280..], &short, &short, &[0xff; 20]].concat());
        assert_eq!(found, [long, short.clone(), short]);
    }
}
