//! The `priority` header field (RFC 9218) and what it means for quinn.

/// How soon a response is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Priority {
    /// 0 is first, 7 is last.
    pub urgency: u8,
    /// Useful in pieces: share the line with others of the same urgency.
    pub incremental: bool,
}

impl Default for Priority {
    /// RFC 9218 sections 4.1 and 4.2.
    fn default() -> Self {
        Self { urgency: 3, incremental: false }
    }
}

impl Priority {
    /// Reads the field's value, a Structured Fields dictionary (RFC 8941). As RFC 9218 section 4 asks, what is
    /// unknown, out of range or malformed counts as absent, so there is no error; the last of equal keys wins.
    pub fn parse(value: &[u8]) -> Self {
        let mut priority = Self::default();
        for member in value.split(|byte| *byte == b',') {
            // Parameters (`;`) mean nothing here.
            let member = member.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
            match member {
                [b'u', b'=', digit @ b'0'..=b'7'] => priority.urgency = digit - b'0',
                b"i" | b"i=?1" => priority.incremental = true,
                b"i=?0" => priority.incremental = false,
                _ => {}
            }
        }
        priority
    }

    /// quinn's number for a stream, larger first. Non-incremental responses of one urgency go one after the other
    /// in the order of their requests (RFC 9218 section 10), incremental ones share the line after them.
    pub(super) fn for_stream(self, index: u64) -> i32 {
        let level = (7 - i32::from(self.urgency.min(7))) << LEVEL_BITS;
        if self.incremental {
            return level;
        }
        let newest = (1 << LEVEL_BITS) - 1;
        level + newest - (index.min(newest as u64 - 1) as i32)
    }
}

/// 2^27 streams of one connection keep their order within a level; 8 levels fill an `i32`.
const LEVEL_BITS: u32 = 27;

/// Any bytes: gives a priority within bounds and never panics.
pub fn fuzz(data: &[u8]) {
    let priority = Priority::parse(data);
    assert!(priority.urgency <= 7);
    for index in [0, 1, u64::MAX] {
        assert!(priority.for_stream(index) >= 0);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CASES: &[(&str, u8, bool)] = &[
        ("", 3, false),
        ("u=0", 0, false),
        ("u=7, i", 7, true),
        ("i,u=1", 1, true),
        ("u=1,  i=?1 , u=5", 5, true),
        ("i, i=?0", 3, false),
        ("u=8", 3, false),
        ("u=-1", 3, false),
        ("u=1.0", 3, false),
        ("u=2;x=1, i;y", 2, true),
        ("urgency=1, ii, \"u=1\"", 3, false),
    ];

    #[test]
    fn every_form_is_read_and_what_is_wrong_is_absent() {
        for (text, urgency, incremental) in CASES {
            let expected = Priority { urgency: *urgency, incremental: *incremental };
            assert_eq!(Priority::parse(text.as_bytes()), expected, "{text:?}");
            fuzz(text.as_bytes());
        }
    }

    #[test]
    fn quinn_sends_urgent_streams_first_and_equal_ones_in_order() {
        let number = |text: &str, index| Priority::parse(text.as_bytes()).for_stream(index);
        assert!(number("u=1", 1_000_000) > number("u=2", 0));
        assert!(number("u=3", 4) > number("u=3", 8));
        assert!(number("u=3", u64::MAX) > number("u=3, i", 0));
        assert_eq!(number("u=3, i", 4), number("u=3, i", 8));
        assert!(number("u=7, i", 0) < number("u=6", u64::MAX));
    }

    proptest! {
        #[test]
        fn no_bytes_can_break_it(data in proptest::collection::vec(any::<u8>(), 0..200)) {
            fuzz(&data);
        }

        #[test]
        fn no_mutation_of_a_real_value_can_break_it(case in 0..CASES.len(), at in any::<usize>(), byte in any::<u8>()) {
            let mut data = CASES[case].0.as_bytes().to_vec();
            if !data.is_empty() {
                let at = at % data.len();
                data[at] = byte;
            }
            fuzz(&data);
        }
    }
}
