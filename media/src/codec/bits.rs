//! Reading bits and Exp-Golomb codes that may end anywhere.
#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::cast_possible_truncation)
)]

use crate::{Error, Result};

/// A position, in bits, in bytes of a named format.
#[derive(Debug, Clone)]
pub(crate) struct Bits<'a> {
    format: &'static str,
    data: &'a [u8],
    position: usize,
}

impl<'a> Bits<'a> {
    pub(crate) fn new(format: &'static str, data: &'a [u8]) -> Self {
        Self { format, data, position: 0 }
    }

    pub(crate) fn bit(&mut self) -> Result<bool> {
        let Some(byte) = self.data.get(self.position >> 3) else {
            return Err(self.malformed("ends too early"));
        };
        let mask = 0x80_u8 >> (self.position & 7);
        self.position = self.position.saturating_add(1);
        Ok(byte & mask != 0)
    }

    /// The next `count` bits, most significant first; at most 32.
    pub(crate) fn bits(&mut self, count: u32) -> Result<u32> {
        debug_assert!(count <= 32);
        let mut value = 0_u32;
        for _ in 0..count {
            value = (value << 1) | u32::from(self.bit()?);
        }
        Ok(value)
    }

    /// The next `count` bits as a byte; at most 8.
    pub(crate) fn byte(&mut self, count: u32) -> Result<u8> {
        debug_assert!(count <= 8);
        let mut value = 0_u8;
        for _ in 0..count {
            value = (value << 1) | u8::from(self.bit()?);
        }
        Ok(value)
    }

    pub(crate) fn skip(&mut self, count: u32) -> Result<()> {
        for _ in 0..count {
            self.bit()?;
        }
        Ok(())
    }

    /// Unsigned Exp-Golomb (ITU-T H.264 §9.1), below 2^31.
    pub(crate) fn ue(&mut self) -> Result<u32> {
        let mut zeros = 0_u32;
        while !self.bit()? {
            zeros = zeros.saturating_add(1);
            if zeros > MAX_GOLOMB_ZEROS {
                return Err(self.malformed("an Exp-Golomb code is too long"));
            }
        }
        let base = (1_u32 << zeros).wrapping_sub(1);
        Ok(base.wrapping_add(self.bits(zeros)?))
    }

    /// Signed Exp-Golomb (ITU-T H.264 §9.1.1).
    pub(crate) fn se(&mut self) -> Result<i64> {
        let code = i64::from(self.ue()?);
        let magnitude = code.saturating_add(1) >> 1;
        Ok(if code & 1 == 1 { magnitude } else { magnitude.wrapping_neg() })
    }

    /// Bits left to read.
    pub(crate) fn remaining(&self) -> usize {
        self.data.len().saturating_mul(8).saturating_sub(self.position)
    }

    /// Moves to the next byte boundary.
    pub(crate) fn align(&mut self) {
        self.position = self.position.saturating_add(7) & !7;
    }

    /// An error at the current position.
    pub(crate) fn malformed(&self, problem: &'static str) -> Error {
        Error::Malformed { format: self.format, offset: self.position >> 3, problem }
    }
}

/// Removes each emulation_prevention_three_byte of a NAL unit (ITU-T H.264 §7.4.1, H.265 §7.4.2).
pub(crate) fn without_emulation_prevention(unit: &[u8]) -> Vec<u8> {
    let mut payload = Vec::with_capacity(unit.len());
    let mut zeros = 0_u8;
    for &byte in unit {
        if zeros >= 2 && byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if byte == 0 { zeros.saturating_add(1) } else { 0 };
        payload.push(byte);
    }
    payload
}

/// 30 zeros code values up to 2^31 - 2: far beyond any legal value of the fields we read.
const MAX_GOLOMB_ZEROS: u32 = 30;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_golomb_follows_table_9_2() {
        // 1 | 010 | 011 | 00100 | 00101, then padding.
        let mut bits = Bits::new("test", &[0b1010_0110, 0b0100_0010, 0b1000_0000]);
        let values: Vec<u32> = (0..5).map(|_| bits.ue().unwrap()).collect();
        assert_eq!(values, [0, 1, 2, 3, 4]);
        let mut bits = Bits::new("test", &[0b1010_0110, 0b0100_0010, 0b1000_0000]);
        let values: Vec<i64> = (0..5).map(|_| bits.se().unwrap()).collect();
        assert_eq!(values, [0, 1, -1, 2, -2]);
    }

    #[test]
    fn endless_zeros_are_refused() {
        assert!(Bits::new("test", &[0; 64]).ue().is_err());
        assert!(Bits::new("test", &[0; 2]).ue().is_err());
    }
}
