//! The few bytes of HTTP/3 (RFC 9114) that a load needs: one request, written once; an answer, looked at as it comes.

use anyhow::{Result, ensure};

/// What a client says before anything else on its control stream: the stream's type, and SETTINGS without any.
pub(super) const CONTROL: &[u8] = &[0x00, SETTINGS as u8, 0];

/// The HEADERS frame of a GET, with fields from QPACK's static table only (RFC 9204 appendix A).
///
/// # Errors
/// The authority or the path is longer than a URL of a benchmark is.
pub(super) fn get(authority: &str, path: &str) -> Result<Vec<u8>> {
    // No dynamic table, `:method: GET`, `:scheme: https`.
    let mut fields = vec![0, 0, INDEXED | 17, INDEXED | 23];
    for (index, value) in [(0, authority), (1, path)] {
        // Lengths that need no second byte.
        ensure!(value.len() < 127, "{value} is too long");
        fields.extend([NAMED | index, value.len() as u8]);
        fields.extend(value.as_bytes());
    }
    let mut frame = vec![HEADERS as u8];
    // A varint of two bytes (RFC 9000 section 16).
    frame.extend((0x4000 | fields.len() as u16).to_be_bytes());
    frame.extend(fields);
    Ok(frame)
}

/// An answer so far.
#[derive(Debug, Default)]
pub(super) struct Answer {
    /// The frame that is being read, if its header is whole: its type, and bytes of its payload that are to come.
    frame: Option<(u64, u64)>,
    /// The beginning of a frame's header, or of its fields, as far as it is here.
    begun: Vec<u8>,
    /// Whether its status is 200.
    pub(super) good: bool,
    /// Bytes of body.
    pub(super) length: u64,
}

impl Answer {
    /// Goes on with the stream's next bytes.
    pub(super) fn read(&mut self, mut bytes: &[u8]) {
        while let Some((&first, rest)) = bytes.split_first() {
            let Some((kind, left)) = self.frame else {
                self.begun.push(first);
                bytes = rest;
                if let Some(header) = header(&self.begun) {
                    self.begun.clear();
                    self.frame = Some(header).filter(|(_, length)| *length > 0);
                }
                continue;
            };
            let take = left.min(bytes.len() as u64);
            let (payload, rest) = bytes.split_at(take as usize);
            match kind {
                DATA => self.length += take,
                HEADERS if self.begun.len() < STATUS_200.len() => {
                    self.begun.extend(payload.iter().take(STATUS_200.len() - self.begun.len()));
                    self.good = self.begun == STATUS_200;
                }
                _ => {}
            }
            bytes = rest;
            self.frame = Some((kind, left - take)).filter(|(_, left)| *left > 0);
            if self.frame.is_none() {
                self.begun.clear();
            }
        }
    }
}

/// A frame's type and length, once both are whole.
fn header(bytes: &[u8]) -> Option<(u64, u64)> {
    let (kind, rest) = varint(bytes)?;
    Some((kind, varint(rest)?.0))
}

/// RFC 9000 section 16.
fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let size = 1 << (bytes.first()? >> 6);
    let (number, rest) = bytes.split_at_checked(size)?;
    let number = number.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
    Some((number & (u64::MAX >> (66 - 8 * size)), rest))
}

const DATA: u64 = 0;
const HEADERS: u64 = 1;
const SETTINGS: u64 = 4;
/// A field of the static table, name and value.
const INDEXED: u8 = 0b1100_0000;
/// A name of the static table, followed by a value.
const NAMED: u8 = 0b0101_0000;
/// How the fields of a good answer begin: no dynamic table, `:status: 200`.
const STATUS_200: &[u8] = &[0, 0, INDEXED | 25];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_understood_however_it_is_cut() {
        // HEADERS with another field after the status, a reserved frame, two frames of DATA.
        let mut bytes = vec![1, 4, 0, 0, 0xd9, 0xe0, 0x21, 1, 9, 0, 0x40, 100];
        bytes.extend([7; 100]);
        bytes.extend([0, 2, 7, 7]);
        for size in 1..bytes.len() {
            let mut answer = Answer::default();
            bytes.chunks(size).for_each(|chunk| answer.read(chunk));
            assert!(answer.good && answer.length == 102 && answer.frame.is_none(), "{size}: {answer:?}");
        }
        let mut missing = Answer::default();
        missing.read(&[1, 3, 0, 0, 0xc0 | 27]);
        assert!(!missing.good);
    }
}
