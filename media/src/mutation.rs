//! Runs a fuzz body over a seed corpus, damaged in every way a line or an attacker would.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

/// Calls `body` with every seed, every prefix of short seeds, seeds mutated at random, and random bytes.
/// Always the same bytes for the same seeds.
pub(crate) fn run(seeds: &[&[u8]], body: impl Fn(&[u8])) {
    run_cases(seeds, CASES, body);
}

/// [`run`] with the number of random cases chosen, for bodies that are slow.
pub(crate) fn run_cases(seeds: &[&[u8]], cases: u32, body: impl Fn(&[u8])) {
    for seed in seeds {
        for end in 0..=seed.len().min(LONGEST_PREFIX) {
            body(&seed[..end]);
        }
        body(seed);
    }
    let seeds: Vec<Vec<u8>> = seeds.iter().map(|seed| seed.to_vec()).collect();
    let mutated = (any::<prop::sample::Index>(), vec(edit(), 1..8)).prop_map(move |(index, edits)| {
        let mut data = if seeds.is_empty() { Vec::new() } else { index.get(&seeds).clone() };
        edits.iter().for_each(|edit| edit.apply(&mut data));
        data
    });
    let any_bytes = vec(any::<u8>(), 0..256);
    let inputs = prop_oneof![8 => mutated, 1 => any_bytes];
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    runner
        .run(&inputs, |data| {
            body(&data);
            Ok(())
        })
        .unwrap();
}

#[derive(Debug, Clone)]
enum Edit {
    Set(prop::sample::Index, u8),
    Flip(prop::sample::Index, u8),
    Insert(prop::sample::Index, Vec<u8>),
    Remove(prop::sample::Index, usize),
    Repeat(prop::sample::Index, usize),
    Truncate(prop::sample::Index),
}

impl Edit {
    fn apply(&self, data: &mut Vec<u8>) {
        let length = data.len();
        match self {
            Self::Set(at, value) if length > 0 => data[at.index(length)] = *value,
            Self::Flip(at, bit) if length > 0 => data[at.index(length)] ^= 1 << (bit & 7),
            Self::Insert(at, bytes) => {
                let at = at.index(length + 1);
                data.splice(at..at, bytes.iter().copied());
            }
            Self::Remove(at, count) if length > 0 => {
                let at = at.index(length);
                data.drain(at..(at + count).min(length));
            }
            Self::Repeat(at, count) if length > 0 => {
                let at = at.index(length);
                let copy = data[at..(at + count).min(length)].to_vec();
                data.splice(at..at, copy);
            }
            Self::Truncate(at) if length > 0 => data.truncate(at.index(length)),
            _ => {}
        }
    }
}

fn edit() -> impl Strategy<Value = Edit> {
    let at = any::<prop::sample::Index>;
    let value = prop_oneof![any::<u8>(), Just(0), Just(0xff), Just(0x7f), Just(0x80)];
    prop_oneof![
        4 => (at(), value).prop_map(|(at, value)| Edit::Set(at, value)),
        4 => (at(), any::<u8>()).prop_map(|(at, bit)| Edit::Flip(at, bit)),
        1 => (at(), vec(any::<u8>(), 1..16)).prop_map(|(at, bytes)| Edit::Insert(at, bytes)),
        1 => (at(), 1..16_usize).prop_map(|(at, count)| Edit::Remove(at, count)),
        1 => (at(), 1..64_usize).prop_map(|(at, count)| Edit::Repeat(at, count)),
        1 => at().prop_map(Edit::Truncate),
    ]
}

const CASES: u32 = 4_000;
/// Beyond this, testing each prefix of a seed takes longer than it finds.
const LONGEST_PREFIX: usize = 600;
