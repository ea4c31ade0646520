//! Reading big-endian bytes that may end anywhere.
#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::cast_possible_truncation)
)]

use crate::{Error, Result};

/// A position in bytes of a named format; every read past the end is an [`Error::Malformed`].
#[derive(Debug, Clone)]
pub(crate) struct Cursor<'a> {
    format: &'static str,
    rest: &'a [u8],
    position: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(format: &'static str, data: &'a [u8]) -> Self {
        Self { format, rest: data, position: 0 }
    }

    /// Bytes read so far.
    pub(crate) fn position(&self) -> usize {
        self.position
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// All that is left, without taking it.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let Some((taken, rest)) = self.rest.split_at_checked(count) else {
            return Err(self.malformed("ends too early"));
        };
        self.rest = rest;
        self.position = self.position.saturating_add(count);
        Ok(taken)
    }

    pub(crate) fn u8(&mut self) -> Result<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(crate) fn u16(&mut self) -> Result<u16> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn u24(&mut self) -> Result<u32> {
        self.array().map(|[a, b, c]| u32::from_be_bytes([0, a, b, c]))
    }

    pub(crate) fn u32(&mut self) -> Result<u32> {
        self.array().map(u32::from_be_bytes)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let Some((array, rest)) = self.rest.split_first_chunk::<N>() else {
            return Err(self.malformed("ends too early"));
        };
        self.rest = rest;
        self.position = self.position.saturating_add(N);
        Ok(*array)
    }

    /// An error at the current position.
    pub(crate) fn malformed(&self, problem: &'static str) -> Error {
        Error::Malformed { format: self.format, offset: self.position, problem }
    }
}
