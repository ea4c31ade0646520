//! Which field of an interlaced picture a slice belongs to (ITU-T H.264 §7.3.3): two fields make one frame.

use super::sps::Sps;
use crate::Result;
use crate::codec::bits::{Bits, without_emulation_prevention};

/// How the slice heads of a sequence that may have fields are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fields {
    /// Bits of frame_num.
    pub(super) number_bits: u8,
    pub(super) separate_planes: bool,
}

/// One field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Field {
    /// frame_num, the same in both fields of a frame.
    number: u32,
    bottom: bool,
}

impl Fields {
    /// From a sequence parameter set; `None` where every picture is a frame, or the set is damaged.
    pub(crate) fn of(sps: &[u8]) -> Option<Self> {
        Sps::parse(sps).ok()?.fields
    }

    /// The field that a slice belongs to; `None` for slices of frames.
    pub(crate) fn read(self, slice: &[u8]) -> Option<Field> {
        self.head(slice).ok().flatten()
    }

    fn head(self, slice: &[u8]) -> Result<Option<Field>> {
        let start = without_emulation_prevention(slice.get(..LONGEST_HEAD).unwrap_or(slice));
        let bits = &mut Bits::new("H.264 slice head", &start);
        bits.skip(8)?; // the NAL unit's own head
        bits.ue()?; // first_mb_in_slice
        bits.ue()?; // slice_type
        bits.ue()?; // pic_parameter_set_id
        if self.separate_planes {
            bits.skip(2)?; // colour_plane_id
        }
        let number = bits.bits(self.number_bits.into())?;
        let is_field = bits.bit()?;
        Ok(if is_field { Some(Field { number, bottom: bits.bit()? }) } else { None })
    }
}

impl Field {
    /// Whether `second` makes a frame with this one, which came before it (§3.30 and §3.31).
    pub(crate) fn pairs(self, second: Self) -> bool {
        self.number == second.number && self.bottom != second.bottom
    }
}

pub(super) fn fuzz(data: &[u8]) {
    let half = data.len().div_euclid(2);
    let known = Fields::of(data.get(..half).unwrap_or_default());
    let fields = known.unwrap_or(Fields { number_bits: 16, separate_planes: true });
    assert!((4..=16).contains(&fields.number_bits));
    fields.read(data);
}

/// All that is read of a slice, and emulation prevention in between.
const LONGEST_HEAD: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_tell_their_field() {
        // The interlaced parameter set of x264; progressive ones have no fields.
        let interlaced = [
            0x67, 0x7a, 0x00, 0x1e, 0xb6, 0xce, 0x80, 0xb4, 0x24, 0xd8, 0x08, 0x80, 0, 0, 3, 0, 0x80, 0, 0,
            0x19, 0x0f, 0x8a, 0x15, 0x50,
        ];
        let fields = Fields::of(&interlaced).unwrap();
        assert_eq!(fields, Fields { number_bits: 4, separate_planes: false });
        // first_mb 0, slice_type 7, pps 0, frame_num 5, then a field's two bits or a frame's one.
        let read = |last: u8| fields.read(&[0x65, 0b1000_1000, 0b1010_1000 | last, 0x80]);
        assert_eq!(read(0), None);
        let (top, bottom) = (read(0b100).unwrap(), read(0b110).unwrap());
        assert_eq!((top.number, top.bottom, bottom.bottom), (5, false, true));
        assert!(top.pairs(bottom) && !top.pairs(top));
        assert!(!top.pairs(Field { number: 6, ..bottom }));
        assert_eq!(fields.read(&[0x65, 0x88]), None, "cut short");
    }
}
