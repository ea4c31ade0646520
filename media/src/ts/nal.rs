//! NAL units of a video stream: what each one is to us, and where access units begin among them.

use std::ops::Range;

use crate::codec::avc::{self, Field, Fields};

/// Whose NAL units they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Codec {
    H264,
    Hevc,
}

/// What a NAL unit is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// A parameter set, and which of its codec's kinds.
    Set(Set),
    /// Says no more than that an access unit begins.
    Delimiter,
    /// Stands before the slices of its access unit.
    Before,
    /// A part of the picture.
    Slice {
        /// Nothing of the picture comes before it.
        first: bool,
    },
    /// Belongs to what is around it.
    Within,
    /// Of no use to a decoder of files.
    Filling,
}

/// Kinds of parameter sets. Extensions count as what they extend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Set {
    Video,
    Sequence,
    Picture,
}

impl Codec {
    /// Reads the head of a NAL unit (ITU-T H.264 table 7-1, H.265 table 7-1), and of its slice.
    pub(super) fn role(self, nal: &[u8]) -> Role {
        let [head, second, third] = [0, 1, 2].map(|at| nal.get(at).copied().unwrap_or_default());
        match self {
            Self::H264 => match head & 0x1f {
                // first_mb_in_slice is 0, an Exp-Golomb code of one bit; the second and third partition say none.
                1 | 2 | 5 => Role::Slice { first: second & 0x80 != 0 },
                3 | 4 => Role::Slice { first: false },
                7 | 13 => Role::Set(Set::Sequence),
                8 => Role::Set(Set::Picture),
                9 => Role::Delimiter,
                6 | 14..=18 => Role::Before,
                10..=12 => Role::Filling,
                _ => Role::Within,
            },
            // Layers above the first are not the pictures that are shown.
            Self::Hevc if head & 1 != 0 || second & 0xf8 != 0 => Role::Within,
            Self::Hevc => match (head >> 1) & 0x3f {
                // first_slice_segment_in_pic_flag
                0..=31 => Role::Slice { first: third & 0x80 != 0 },
                32 => Role::Set(Set::Video),
                33 => Role::Set(Set::Sequence),
                34 => Role::Set(Set::Picture),
                35 => Role::Delimiter,
                39 | 41..=44 | 48..=55 => Role::Before,
                38 => Role::Filling,
                _ => Role::Within,
            },
        }
    }

    /// Whether an access unit begins with these bytes; false too when they are too few to say.
    pub(super) fn begins(self, data: &[u8]) -> bool {
        let zeros = data.iter().position(|byte| *byte != 0);
        let nal = zeros.filter(|zeros| *zeros >= 2).and_then(|zeros| data.get(zeros..)?.strip_prefix(&[1]));
        let Some(nal) = nal.filter(|nal| nal.len() >= LONGEST_HEAD) else { return false };
        !matches!(self.role(nal), Role::Slice { first: false } | Role::Within | Role::Filling)
    }

    /// Whether these are the parameter sets that a decoder needs.
    pub(super) fn needs(self, set: Set) -> bool {
        self == Self::Hevc || set != Set::Video
    }
}

/// Finds where access units begin (ITU-T H.264 §7.4.1.2.3, H.265 §7.4.2.4.4).
#[derive(Debug)]
pub(super) struct Cutter {
    pub(super) codec: Codec,
    /// Of the last sequence parameter set.
    fields: Option<Fields>,
}

impl Cutter {
    pub(super) fn new(codec: Codec) -> Self {
        Self { codec, fields: None }
    }

    /// Where further access units begin in a stream of them, at their start codes. With `inside` it begins in the
    /// middle of one, else with the first, which is not told.
    pub(super) fn cuts(&mut self, stream: &[u8], inside: bool) -> Vec<usize> {
        let mut cuts = Vec::new();
        // Whether the access unit so far has a picture, and what has come behind it that may belong to the next.
        let (mut pictured, mut next) = (inside, None);
        let mut field: Option<Field> = None;
        for range in avc::annexb_ranges(stream) {
            let at = begin(&range);
            let nal = stream.get(range).unwrap_or_default();
            match self.codec.role(nal) {
                Role::Slice { first } => {
                    let this = self.fields.and_then(|fields| fields.read(nal));
                    let pairs = field.zip(this).is_some_and(|(field, this)| field.pairs(this));
                    if first && !pairs && pictured {
                        cuts.push(next.unwrap_or(at));
                    }
                    if first {
                        // A third field is another frame's.
                        field = this.filter(|_| !pairs);
                    }
                    (pictured, next) = (true, None);
                }
                role @ (Role::Set(_) | Role::Delimiter | Role::Before) => {
                    if pictured {
                        next = next.or(Some(at));
                    }
                    if role == Role::Set(Set::Sequence) && self.codec == Codec::H264 {
                        self.fields = Fields::of(nal);
                    }
                }
                Role::Within | Role::Filling => {}
            }
        }
        cuts
    }
}

/// Where the start code of a NAL unit begins.
fn begin(nal: &Range<usize>) -> usize {
    nal.start.saturating_sub(3)
}

/// What a NAL unit's role is read from: two bytes of head, one of the slice.
const LONGEST_HEAD: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    /// NAL units behind start codes of three bytes, and where each begins.
    fn stream(nals: &[&[u8]]) -> (Vec<u8>, Vec<usize>) {
        let (mut stream, mut begins) = (Vec::new(), Vec::new());
        for nal in nals {
            begins.push(stream.len());
            stream.extend_from_slice(&[0, 0, 1]);
            stream.extend_from_slice(nal);
        }
        (stream, begins)
    }

    /// Which of the NAL units begin a further access unit.
    fn cut(codec: Codec, nals: &[&[u8]], inside: bool) -> Vec<usize> {
        let (stream, begins) = stream(nals);
        let cuts = Cutter::new(codec).cuts(&stream, inside);
        cuts.iter().map(|cut| begins.iter().position(|begin| begin == cut).unwrap()).collect()
    }

    #[test]
    fn access_units_of_h264_begin_before_their_first_slice() {
        const FIRST: &[u8] = &[0x41, 0x9a, 7];
        const LATER: &[u8] = &[0x41, 0x4a, 7];
        const AUD: &[u8] = &[9, 0xf0];
        const SEI: &[u8] = &[6, 1, 7];
        let cut = |nals: &[&[u8]], inside| cut(Codec::H264, nals, inside);
        assert_eq!(cut(&[AUD, FIRST, LATER, AUD, FIRST, LATER], false), [3], "delimiters");
        assert_eq!(cut(&[FIRST, LATER, FIRST, FIRST, LATER], false), [2, 3], "first slices");
        assert_eq!(cut(&[FIRST, SEI, AUD, FIRST, SEI], false), [1], "what is before a picture is its own");
        assert_eq!(cut(&[FIRST, SEI, LATER], false), [0; 0], "in the middle of a picture");
        assert_eq!(cut(&[LATER, AUD, FIRST], true), [1]);
        assert_eq!(cut(&[FIRST, LATER], true), [0]);
        assert_eq!(cut(&[AUD, SEI, FIRST], false), [0; 0]);
    }

    #[test]
    fn two_fields_are_one_frame() {
        const SPS: &[u8] = &[
            0x67, 0x7a, 0x00, 0x1e, 0xb6, 0xce, 0x80, 0xb4, 0x24, 0xd8, 0x08, 0x80, 0, 0, 3, 0, 0x80, 0, 0,
            0x19, 0x0f, 0x8a, 0x15, 0x50,
        ];
        let field = |number: u8, bits: u8| [0x61, 0x88, 0x80 | number << 3 | bits, 0x80];
        let [top, bottom, frame] = [0b100, 0b110, 0].map(|bits| field(1, bits));
        let next = field(2, 0b100);
        let nals: [&[u8]; 8] = [SPS, &top, &[9, 0xf0], &bottom, &next, &field(2, 0b110), &frame, &frame];
        assert_eq!(cut(Codec::H264, &nals, false), [4, 6, 7]);
        // Fields of the same number and kind are no pair, nor is a third one with either.
        assert_eq!(cut(Codec::H264, &[SPS, &top, &top, &bottom, &top], false), [2, 4]);
    }

    #[test]
    fn access_units_of_hevc_begin_before_their_first_slice() {
        const FIRST: &[u8] = &[0x02, 1, 0xd0];
        const LATER: &[u8] = &[0x02, 1, 0x50];
        const LAYER: &[u8] = &[0x02, 9, 0xd0];
        const PREFIX: &[u8] = &[0x4e, 1, 5];
        const SUFFIX: &[u8] = &[0x50, 1, 5];
        let sets: [&[u8]; 3] = [&[0x40, 1, 1], &[0x42, 1, 1], &[0x44, 1, 1]];
        let cut = |nals: &[&[u8]]| cut(Codec::Hevc, nals, false);
        assert_eq!(cut(&[FIRST, LATER, SUFFIX, FIRST, LAYER]), [3]);
        assert_eq!(cut(&[PREFIX, FIRST, sets[0], sets[1], sets[2], PREFIX, FIRST]), [2]);
        assert_eq!(cut(&[&[0x46, 1, 0x10], FIRST, &[0x46, 1, 0x10], FIRST]), [2]);
    }

    #[test]
    fn a_beginning_is_known_by_its_first_bytes() {
        for (data, begins) in [
            (&[0, 0, 0, 1, 9, 0xf0, 0, 0, 1][..], true),
            (&[0, 0, 1, 0x41, 0x9a, 7], true),
            (&[0, 0, 1, 0x41, 0x4a, 7], false),
            (&[0, 1, 9, 0xf0, 0], false),
            (&[0, 0, 0, 1, 9], false),
            (&[0, 0, 0], false),
            (&[7, 0, 0, 1, 9, 0xf0, 0], false),
        ] {
            assert_eq!(Codec::H264.begins(data), begins, "{data:02x?}");
        }
    }
}
