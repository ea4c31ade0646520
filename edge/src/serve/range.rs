//! `Range` requests on objects whose whole length is known (RFC 9110 §14): one range, or the whole object.

use std::ops::Range;

use bytes::Bytes;

/// What to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// The whole object: no range, several, or one this server does not understand (§14.2 lets it ignore them).
    Whole,
    /// These bytes, never empty, with 206.
    Part(Range<u64>),
    /// Nothing of what was asked exists: 416.
    Unsatisfiable,
}

/// Reads a `Range` header's value for an object of `length` bytes.
pub fn select(header: &[u8], length: u64) -> Selection {
    let Some(spec) = strip_unit(header) else { return Selection::Whole };
    let mut ends = spec.splitn(2, |byte| *byte == b'-');
    let (Some(first), Some(last)) = (ends.next(), ends.next()) else { return Selection::Whole };
    match (number(first), number(last)) {
        (Number::None, Number::Some(0)) => Selection::Unsatisfiable,
        (Number::None, Number::Some(suffix)) if length > 0 => {
            Selection::Part(length.saturating_sub(suffix)..length)
        }
        (Number::Some(first), Number::Some(last)) if last < first => Selection::Whole,
        (Number::Some(first), _) if first >= length && is_end(last) => Selection::Unsatisfiable,
        (Number::Some(first), Number::None) => Selection::Part(first..length),
        (Number::Some(first), Number::Some(last)) => {
            Selection::Part(first..length.min(last.saturating_add(1)))
        }
        (Number::None, Number::Some(_)) => Selection::Unsatisfiable,
        (Number::None, Number::None) | (Number::Invalid, _) | (_, Number::Invalid) => Selection::Whole,
    }
}

/// The bytes of `range` in a body of these chunks, which are shared and not copied.
pub fn slice(chunks: &[Bytes], range: Range<u64>) -> Vec<Bytes> {
    let mut start = 0u64;
    let mut slices = Vec::with_capacity(chunks.len());
    for chunk in chunks {
        let length = chunk.len() as u64;
        // Within the chunk, so within memory.
        let first = range.start.saturating_sub(start).min(length) as usize;
        let last = range.end.saturating_sub(start).min(length) as usize;
        if first < last {
            slices.push(chunk.slice(first..last));
        }
        start += length;
    }
    slices
}

/// Runs over any bytes: whatever is selected lies inside the object.
pub fn fuzz(data: &[u8]) {
    for length in [0, 1, 1000, u64::MAX] {
        if let Selection::Part(range) = select(data, length) {
            assert!(range.start < range.end && range.end <= length, "{range:?} of {length}");
        }
    }
}

enum Number {
    None,
    Some(u64),
    Invalid,
}

fn strip_unit(header: &[u8]) -> Option<&[u8]> {
    let (unit, spec) = header.split_at_checked(b"bytes=".len())?;
    unit.eq_ignore_ascii_case(b"bytes=").then(|| spec.trim_ascii())
}

fn is_end(last: &[u8]) -> bool {
    !matches!(number(last), Number::Invalid)
}

/// Digits only. A number beyond 64 bits counts as the largest: clients ask for `0-9007199254740991` and more when
/// they do not know the length.
fn number(digits: &[u8]) -> Number {
    if digits.is_empty() {
        return Number::None;
    }
    let mut value = 0u64;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return Number::Invalid;
        }
        value = value.saturating_mul(10).saturating_add(u64::from(digit - b'0'));
    }
    Number::Some(value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CASES: &[(&str, u64, Selection)] = &[
        ("bytes=0-499", 1000, Selection::Part(0..500)),
        ("bytes=500-", 1000, Selection::Part(500..1000)),
        ("bytes=-200", 1000, Selection::Part(800..1000)),
        ("bytes=-2000", 1000, Selection::Part(0..1000)),
        ("bytes=0-0", 1000, Selection::Part(0..1)),
        ("bytes=999-1999", 1000, Selection::Part(999..1000)),
        ("BYTES=1-2", 1000, Selection::Part(1..3)),
        ("bytes=0-9007199254740991", 1000, Selection::Part(0..1000)),
        ("bytes=0-99999999999999999999999", 1000, Selection::Part(0..1000)),
        ("bytes=1000-", 1000, Selection::Unsatisfiable),
        ("bytes=1000-1001", 1000, Selection::Unsatisfiable),
        ("bytes=-0", 1000, Selection::Unsatisfiable),
        ("bytes=0-", 0, Selection::Unsatisfiable),
        ("bytes=-1", 0, Selection::Unsatisfiable),
        ("bytes=5-4", 1000, Selection::Whole),
        ("bytes=0-1,5-6", 1000, Selection::Whole),
        ("bytes=", 1000, Selection::Whole),
        ("bytes=-", 1000, Selection::Whole),
        ("bytes=a-b", 1000, Selection::Whole),
        ("bytes=2000-x", 1000, Selection::Whole),
        ("bytes=+1-2", 1000, Selection::Whole),
        ("items=0-1", 1000, Selection::Whole),
        ("", 1000, Selection::Whole),
    ];

    #[test]
    fn ranges_are_read_as_rfc_9110_says() {
        for (header, length, want) in CASES {
            assert_eq!(select(header.as_bytes(), *length), *want, "{header} of {length}");
            fuzz(header.as_bytes());
        }
    }

    proptest! {
        #[test]
        fn any_header_selects_inside_the_object(
            bytes in prop::collection::vec(any::<u8>(), 0..40),
            text in "(bytes=)?[0-9]{0,22}-?[0-9]{0,22}",
        ) {
            fuzz(&bytes);
            fuzz(text.as_bytes());
        }

        #[test]
        fn slices_are_the_bytes_of_the_range(lengths in prop::collection::vec(0usize..20, 0..6), a in 0u64..120, b in 0u64..120) {
            let mut next = 0u8;
            let chunks: Vec<Bytes> = lengths.iter().map(|length| (0..*length).map(|_| { next += 1; next }).collect()).collect();
            let whole = chunks.concat();
            let (a, b) = (a.min(whole.len() as u64), b.min(whole.len() as u64));
            let range = a.min(b)..a.max(b);
            prop_assert_eq!(slice(&chunks, range.clone()).concat(), &whole[range.start as usize..range.end as usize]);
        }

        #[test]
        fn a_range_inside_the_object_is_that_range(length in 1u64..1 << 40, a in any::<u64>(), b in any::<u64>()) {
            let (a, b) = (a % length, b % length);
            let (first, last) = (a.min(b), a.max(b));
            let header = format!("bytes={first}-{last}");
            prop_assert_eq!(select(header.as_bytes(), length), Selection::Part(first..last + 1));
        }
    }
}
