//! CEA-708's channel packets, put together from pairs of bytes, and the services that have something in them.
#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::cast_possible_truncation)
)]

/// The packet that is coming.
#[derive(Debug, Default)]
pub(super) struct Packets {
    packet: Vec<u8>,
}

impl Packets {
    /// A packet begins. What came of the one before is read as far as it goes.
    pub(super) fn begin(&mut self, pair: [u8; 2], services: &mut u64) {
        self.end(services);
        self.packet.extend_from_slice(&pair);
        self.check(services);
    }

    /// More of the packet.
    pub(super) fn go_on(&mut self, pair: [u8; 2], services: &mut u64) {
        if !self.packet.is_empty() {
            self.packet.extend_from_slice(&pair);
            self.check(services);
        }
    }

    /// Reads a packet that is whole.
    fn check(&mut self, services: &mut u64) {
        let size = self.packet.first().map_or(0, |header| match header & 0x3f {
            0 => 128,
            code => usize::from(code).saturating_mul(2),
        });
        if self.packet.len() >= size {
            self.end(services);
        }
    }

    fn end(&mut self, services: &mut u64) {
        let packet = std::mem::take(&mut self.packet);
        let mut blocks = packet.get(1..).unwrap_or_default();
        // Service block: three bits of service number, five of size; 7 means that the number is in the next byte.
        while let Some((header, rest)) = blocks.split_first() {
            let size = usize::from(header & 0x1f);
            let (service, rest) = match (header >> 5, rest.split_first()) {
                (7, Some((number, rest))) if size > 0 => (number & 0x3f, rest),
                (7, _) => return,
                (number, _) => (number, rest),
            };
            let Some((content, rest)) = rest.split_at_checked(size) else { return };
            // A null block, which fills the packet up, ends it.
            if service == 0 {
                return;
            }
            if !content.is_empty() {
                *services |= 1 << service;
            }
            blocks = rest;
        }
    }
}
