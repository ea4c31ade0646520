//! Which numbers in the store are answers to which name: a name has one for each set of headers that its origin tells
//! apart.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::HeaderMap;

use crate::proxy::stored::Head;

/// By name, the newest last. What leaves the store leaves here, so the store's budget bounds both.
#[derive(Debug)]
pub struct Index {
    shards: Box<[Shard]>,
    hasher: RandomState,
}

/// Numbers and heads of the answers of each name.
type Rows = HashMap<Box<str>, Vec<(u64, Arc<Head>)>>;
type Shard = Mutex<Rows>;

/// What is known of a request's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In the store under this number.
    At(u64),
    /// Only answers to requests with other headers are there.
    OtherHeaders,
    Nowhere,
}

impl Index {
    /// Where the answer to a request with these headers is.
    pub fn find(&self, name: &str, asked: &HeaderMap) -> Place {
        let shard = self.shard(name);
        let Some(answers) = shard.get(name) else { return Place::Nowhere };
        let fits = answers.iter().rev().find(|(_, head)| head.vary.matches(asked));
        fits.map_or(Place::OtherHeaders, |(number, _)| Place::At(*number))
    }

    /// What tells this request from others of the same name, as far as the newest answer says.
    pub fn spell(&self, name: &str, asked: &HeaderMap, into: &mut String) {
        let shard = self.shard(name);
        if let Some((_, head)) = shard.get(name).and_then(|answers| answers.last()) {
            head.vary.spell(asked, into);
        }
    }

    /// All answers of a name.
    pub fn numbers(&self, name: &str) -> Vec<u64> {
        let shard = self.shard(name);
        shard.get(name).into_iter().flatten().map(|(number, _)| *number).collect()
    }

    /// Adds an answer; returns the numbers of those whose place it takes: the one to the same request, and the oldest of
    /// more than [`MAX_ANSWERS`].
    pub fn insert(&self, number: u64, head: &Arc<Head>) -> Vec<u64> {
        let mut shard = self.shard(&head.name);
        let answers = shard.entry(head.name.clone()).or_default();
        let mut out = Vec::new();
        answers.retain(|(old, other)| {
            let stays = other.vary != head.vary;
            out.extend((!stays).then_some(*old));
            stays
        });
        if answers.len() >= MAX_ANSWERS {
            out.push(answers.remove(0).0);
        }
        answers.push((number, Arc::clone(head)));
        out
    }

    /// An answer has left the store.
    pub fn remove(&self, name: &str, number: u64) {
        let mut shard = self.shard(name);
        let Some(answers) = shard.get_mut(name) else { return };
        answers.retain(|(old, _)| *old != number);
        if answers.is_empty() {
            shard.remove(name);
        }
    }

    fn shard(&self, name: &str) -> MutexGuard<'_, Rows> {
        let index = self.hasher.hash_one(name) % SHARDS as u64;
        self.shards[index as usize].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Index {
    fn default() -> Self {
        Self { shards: (0..SHARDS).map(|_| Mutex::default()).collect(), hasher: RandomState::new() }
    }
}

const SHARDS: usize = 16;
/// An origin that tells more apart than this is not worth keeping all of.
const MAX_ANSWERS: usize = 16;
