//! Damage at random, the same for the same seed.

use crate::sender::Tag;

/// A source of damage.
pub(super) struct Damage(u64);

impl Damage {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// Up to `longest` bytes.
    pub(super) fn noise(&mut self, longest: usize) -> Vec<u8> {
        let length = self.below(longest);
        (0..length).map(|_| self.next() as u8).collect()
    }

    /// Changes, removes or repeats something in so many places.
    pub(super) fn edit(&mut self, bytes: &mut Vec<u8>, places: usize) {
        for _ in 0..places {
            let at = self.below(bytes.len());
            let until = (at + self.below(40)).min(bytes.len());
            match self.below(5) {
                0 => drop(bytes.drain(at..until)),
                1 => {
                    let again = bytes[at..until].to_vec();
                    bytes.splice(at..at, again);
                }
                2 => bytes.truncate(at.max(1)),
                3 => bytes[at] = [0, 0xff, 0x7f, 0x80][self.below(4)],
                _ => bytes[at] ^= 1 << self.below(8),
            }
            bytes.resize(bytes.len().max(1), 0);
        }
    }

    /// Damages every fourth tag: its body, its time, its place or its being there.
    pub(super) fn tags(&mut self, tags: &mut Vec<Tag>) {
        for _ in 0..tags.len() / 4 {
            let at = self.below(tags.len());
            match self.below(6) {
                0 => tags[at].time = self.next() as u32,
                1 => {
                    let by = self.below(20_000) as u32;
                    tags.iter_mut().skip(at).for_each(|tag| tag.time = tag.time.wrapping_add(by));
                }
                2 => {
                    let other = self.below(tags.len());
                    tags.swap(at, other);
                }
                3 => drop(tags.remove(at)),
                _ => {
                    let mut body = std::mem::take(&mut tags[at].body);
                    self.edit(&mut body, 2);
                    tags[at].body = body;
                }
            }
        }
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    /// Marsaglia's xorshift with the shifts 13, 7 and 17.
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}
