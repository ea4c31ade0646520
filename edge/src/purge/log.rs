//! What was purged lately, so that an answer that was asked for before a purge is not kept after it. No IO and no clock.

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What a purge takes away: names in memory, beginnings of names, and tags.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Concern {
    pub names: Vec<String>,
    pub prefixes: Vec<String>,
    pub tag: Option<Box<str>>,
    pub everything: bool,
    /// What it takes away may still stand in for a failing origin.
    pub soft: bool,
}

/// The newest purges in their order, and what requests have changed at origins.
#[derive(Debug, Default)]
pub struct Log(Mutex<Inner>);

#[derive(Debug)]
struct Inner {
    /// How many there have been of both.
    count: u64,
    /// Purges with their numbers.
    recent: VecDeque<(u64, Concern)>,
    /// The number of the newest that is no longer among them.
    forgotten: u64,
    /// The number of the last change, by the name's hash: viewers may change as much as they like and push no purge out. Two
    /// names of one hash only make an answer be asked for again.
    changes: Box<[u64]>,
    hasher: RandomState,
}

impl Concern {
    /// Whether the purge takes away what has this name and these tags.
    pub fn concerns(&self, name: &str, tags: &[Box<str>]) -> bool {
        // Whose tags were too many to be noted may have this one.
        let has = |tag| tags.contains(tag) || tags.iter().any(|tag| &**tag == MORE_TAGS);
        self.concerns_name(name) || self.tag.as_ref().is_some_and(has)
    }

    /// True when it is carried out by looking at names alone.
    pub fn is_names(&self) -> bool {
        !self.everything && self.prefixes.is_empty() && self.tag.is_none()
    }

    fn concerns_name(&self, name: &str) -> bool {
        self.everything
            || self.names.iter().any(|purged| purged == name)
            || self.prefixes.iter().any(|prefix| name.starts_with(prefix.as_str()))
    }
}

impl Log {
    /// How many purges there have been: a fetch remembers it from when it began.
    pub fn now(&self) -> u64 {
        self.inner().count
    }

    /// Something is purged: what begins from now on is newer. Call it before memory is searched, so that an answer that
    /// comes meanwhile is found in one of the two.
    pub fn push(&self, concern: Concern) {
        let mut inner = self.inner();
        let number = inner.next();
        if inner.recent.len() == KEPT
            && let Some((oldest, _)) = inner.recent.pop_front()
        {
            inner.forgotten = oldest;
        }
        inner.recent.push_back((number, concern));
    }

    /// Something was changed at an origin by a request.
    pub fn changed(&self, name: &str) {
        let mut inner = self.inner();
        let (number, slot) = (inner.next(), inner.slot(name));
        inner.changes[slot] = number;
    }

    /// Whether anything since `began` concerns what has this name and these tags. What began longer ago than this log
    /// reaches back is taken to be purged.
    pub fn purged_since(&self, began: u64, name: &str, tags: &[Box<str>]) -> bool {
        let inner = self.inner();
        let new = inner.recent.iter().rev().take_while(|(number, _)| *number > began);
        began < inner.forgotten
            || inner.change_of(name) > began
            || new.into_iter().any(|(_, concern)| concern.concerns(name, tags))
    }

    /// The number of the newest purge that may concern an answer of this name, whose tags are not known yet; 0 for none.
    /// Fetches of two sides of it are not the same.
    pub fn newest_of(&self, name: &str) -> u64 {
        let inner = self.inner();
        let may = |(_, concern): &&(u64, Concern)| concern.tag.is_some() || concern.concerns_name(name);
        let purged = inner.recent.iter().rev().find(may).map_or(0, |(number, _)| *number);
        purged.max(inner.change_of(name))
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn next(&mut self) -> u64 {
        self.count += 1;
        self.count
    }

    fn slot(&self, name: &str) -> usize {
        (self.hasher.hash_one(name) % SLOTS as u64) as usize
    }

    fn change_of(&self, name: &str) -> u64 {
        // Our own media is changed by nobody.
        if name.starts_with('/') { 0 } else { self.changes[self.slot(name)] }
    }
}

impl Default for Inner {
    fn default() -> Self {
        let (recent, changes) = (VecDeque::new(), vec![0; SLOTS].into());
        Self { count: 0, recent, forgotten: 0, changes, hasher: RandomState::new() }
    }
}

/// Stands among the tags of what has more of them than are noted.
pub const MORE_TAGS: &str = "";
/// A fetch that outlasts this many purges is not kept.
const KEPT: usize = 1024;
const SLOTS: usize = 16_384;

#[cfg(test)]
mod tests {
    use super::*;

    fn name(name: &str) -> Concern {
        Concern { names: vec![name.into()], ..Concern::default() }
    }

    fn tag(tag: &str) -> Concern {
        Concern { tag: Some(tag.into()), ..Concern::default() }
    }

    #[test]
    fn what_began_before_a_purge_is_concerned_and_what_began_after_is_not() {
        let log = Log::default();
        let before = log.now();
        log.push(name("0:/a"));
        log.push(Concern { prefixes: vec!["0:/b/".into()], ..Concern::default() });
        log.push(tag("t"));
        let cases: [(&str, &[Box<str>], bool); 5] = [
            ("0:/a", &[], true),
            ("0:/ab", &[], false),
            ("0:/b/c", &[], true),
            ("0:/c", &["t".into()], true),
            ("0:/c", &["u".into()], false),
        ];
        for (name, tags, want) in cases {
            assert_eq!(log.purged_since(before, name, tags), want, "{name} {tags:?}");
            assert!(!log.purged_since(log.now(), name, tags));
        }
        log.push(Concern { everything: true, ..Concern::default() });
        assert!(log.purged_since(before, "0:/z", &[]));
    }

    #[test]
    fn fetches_before_and_after_a_purge_are_told_apart() {
        let log = Log::default();
        assert_eq!(log.newest_of("a"), 0);
        log.push(name("a"));
        log.push(name("b"));
        assert_eq!((log.newest_of("a"), log.newest_of("b"), log.newest_of("c")), (1, 2, 0));
        log.push(tag("t"));
        assert_eq!(log.newest_of("c"), 3, "its tags are not known before it is there");
    }

    #[test]
    fn what_requests_change_pushes_no_purge_out() {
        let log = Log::default();
        let began = log.now();
        log.changed("0:/a");
        assert!(log.purged_since(began, "0:/a", &[]) && !log.purged_since(log.now(), "0:/a", &[]));
        assert_eq!(log.newest_of("0:/a"), 1);
        (0..3 * KEPT).for_each(|_| log.changed("0:/a"));
        log.push(name("0:/c"));
        (0..3 * KEPT).for_each(|_| log.changed("0:/a"));
        assert!(!log.purged_since(began, "/live/demo/b1/source/1.m4s", &[]));
        assert!(log.purged_since(began, "0:/c", &[]));
    }

    #[test]
    fn a_tag_may_be_among_those_that_were_not_noted() {
        let more = [MORE_TAGS.into(), "a".into()];
        assert!(tag("z").concerns("0:/a", &more) && !name("b").concerns("0:/a", &more));
    }

    #[test]
    fn a_fetch_that_outlasts_the_log_is_not_kept() {
        let log = Log::default();
        let began = log.now();
        (0..KEPT).for_each(|_| log.push(name("a")));
        assert!(!log.purged_since(began, "b", &[]));
        log.push(name("a"));
        assert!(log.purged_since(began, "b", &[]));
        assert_eq!(log.inner().recent.len(), KEPT);
    }
}
