//! What was purged lately, so that an answer that was asked for before a purge is not kept after it. No IO and no clock.

use std::collections::VecDeque;
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

/// The newest purges in their order.
#[derive(Debug, Default)]
pub struct Log(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// How many there have been.
    count: u64,
    recent: VecDeque<Concern>,
}

impl Concern {
    /// Whether the purge takes away what has this name and these tags.
    pub fn concerns(&self, name: &str, tags: &[Box<str>]) -> bool {
        self.concerns_name(name) || self.tag.as_ref().is_some_and(|tag| tags.contains(tag))
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
        inner.count += 1;
        if inner.recent.len() == KEPT {
            inner.recent.pop_front();
        }
        inner.recent.push_back(concern);
    }

    /// Whether anything since `began` concerns what has this name and these tags. What began longer ago than this log
    /// reaches back is taken to be purged.
    pub fn purged_since(&self, began: u64, name: &str, tags: &[Box<str>]) -> bool {
        let inner = self.inner();
        let new = usize::try_from(inner.count - began.min(inner.count)).unwrap_or(usize::MAX);
        let Some(first) = inner.recent.len().checked_sub(new) else { return true };
        inner.recent.range(first..).any(|concern| concern.concerns(name, tags))
    }

    /// The number of the newest purge that may concern an answer of this name, whose tags are not known yet; 0 for none.
    /// Fetches of two sides of it are not the same.
    pub fn newest_of(&self, name: &str) -> u64 {
        let inner = self.inner();
        let may = |concern: &&Concern| concern.tag.is_some() || concern.concerns_name(name);
        let back = inner.recent.iter().rev().position(|concern| may(&concern));
        back.map_or(0, |back| inner.count - back as u64)
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A fetch that outlasts this many purges is not kept.
const KEPT: usize = 1024;

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
