//! The tier above: edges that this one asks instead of origins, and which of them for what.
//!
//! Rendezvous hashing (Thaler and Ravishankar 1998) has all edges below ask the same parent for the same rendition, so
//! that the origin is asked once; a parent with more than its share of the open requests comes after the others (bounded
//! loads, Mirrokni et al. 2018).

use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use nearcast_api::node::Spec;
use nearcast_media::path::directory;
use nearcast_service::drain::Drain;
use tokio::time::sleep;

use super::route::{self, Parent};
use super::{Opened, Question, Upstream};
use crate::error::{Error, Result};
use crate::metrics;

/// All parents of this edge.
#[derive(Debug, Default)]
pub(super) struct Tier(Vec<Arc<Shield>>);

/// A parent that is an edge.
#[derive(Debug)]
pub(super) struct Shield {
    pub(super) parent: Parent,
    /// Requests that it has not answered.
    open: AtomicUsize,
}

/// A request to a parent, counted until it is answered.
pub(super) struct Asking<'a>(&'a Shield);

/// What the tier above says.
pub(super) enum Above {
    Answer(Result<Opened>),
    /// Nobody there could be asked, and what the last of them failed with.
    None(Option<Error>),
}

impl Tier {
    /// These edges.
    pub(super) fn new(parents: impl IntoIterator<Item = Parent>) -> Self {
        let shield = |parent| Arc::new(Shield { parent, open: AtomicUsize::new(0) });
        Self(parents.into_iter().map(shield).collect())
    }

    /// The tier of these edges, unless it is this one. Those that stay keep the count of what they are asked.
    pub(super) fn renewed(&self, parents: Vec<Parent>) -> Option<Self> {
        if self.0.iter().map(|shield| &shield.parent).eq(&parents) {
            return None;
        }
        let mut renewed = Self::new(parents);
        for shield in &mut renewed.0 {
            if let Some(known) = self.0.iter().find(|known| known.parent == shield.parent) {
                *shield = Arc::clone(known);
            }
        }
        Some(renewed)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether one of them is at this base URL.
    pub(super) fn has(&self, url: &str) -> bool {
        self.0.iter().any(|shield| shield.parent.urls.iter().any(|own| &**own == url))
    }

    /// All of them, in the order in which to ask for `key`.
    pub(super) fn rank(&self, key: &str) -> Vec<&Shield> {
        let open: usize = self.0.iter().map(|shield| shield.open.load(Ordering::Relaxed)).sum();
        let most = ((open + 1) as f64 * SHARE / self.0.len() as f64).ceil() as usize;
        let mut ranked: Vec<&Shield> = self.0.iter().map(Arc::as_ref).collect();
        ranked.sort_by_cached_key(|shield| {
            let full = shield.open.load(Ordering::Relaxed) >= most;
            (full, std::cmp::Reverse(weight(&shield.parent.name(), key)))
        });
        ranked
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("origins");
        }
        let names: Vec<_> = self.0.iter().map(|shield| shield.parent.name()).collect();
        write!(f, "{} instead of origins", names.join(", "))
    }
}

impl Upstream {
    /// Keeps the tier above as the topology has it for `node`, until the drain. Parents of the configuration stay.
    pub async fn keep_tier(self: Arc<Self>, node: Spec, drain: Drain) {
        if !self.config.parents.is_empty() {
            return;
        }
        let mut snapshots = self.snapshot.clone();
        loop {
            let parents = route::shields(&snapshots.borrow_and_update(), &node);
            if let Some(tier) = self.tier.load().renewed(parents) {
                tracing::info!("asking {tier}");
                self.tier.store(Arc::new(tier));
            }
            if !matches!(drain.unless_draining(snapshots.changed()).await, Some(Ok(()))) {
                return;
            }
        }
    }

    /// Asks the tier above, one parent after the other; of what exists already a second one when the first is slow.
    pub(super) async fn shielded(&self, question: Question<'_>) -> Above {
        let tier = self.tier.load_full();
        let mut parents = tier.rank(directory(question.path)).into_iter();
        let mut asked = FuturesUnordered::new();
        let Some(first) = parents.next() else { return Above::None(None) };
        asked.push(self.ask_above(first, question));
        let mut hedge = pin!(sleep(Duration::from_millis(self.config.hedge_ms)));
        let mut hedges = self.config.hedge_ms > 0 && !question.is_held();
        loop {
            tokio::select! {
                Some(answer) = asked.next() => match answer {
                    Err(error) if error.is_parents() && !question.is_over(&error) => {
                        if !asked.is_empty() {
                            continue;
                        }
                        let Some(next) = parents.next() else { return Above::None(Some(error)) };
                        // One that is left alone was not asked: to ask the next is no retry.
                        if !matches!(error, Error::Broken { .. }) {
                            if !self.budget.withdraw() {
                                return Above::None(Some(error));
                            }
                            self.metrics.retries.inc();
                        }
                        asked.push(self.ask_above(next, question));
                    }
                    answer => return Above::Answer(answer),
                },
                () = &mut hedge, if hedges => {
                    hedges = false;
                    // One that there is no budget for is still there when the first one fails.
                    if parents.len() > 0
                        && self.budget.withdraw()
                        && let Some(next) = parents.next()
                    {
                        self.metrics.hedges.inc();
                        asked.push(self.ask_above(next, question));
                    }
                }
            }
        }
    }

    async fn ask_above(&self, shield: &Shield, question: Question<'_>) -> Result<Opened> {
        let _counted = shield.ask();
        self.ask(&shield.parent, question).await
    }
}

impl Question<'_> {
    /// The answer may take its time.
    fn is_held(&self) -> bool {
        matches!(self.kind, metrics::Kind::BlockingPlaylist | metrics::Kind::Part | metrics::Kind::Segment)
    }

    /// No other parent would know better.
    fn is_over(&self, error: &Error) -> bool {
        match error {
            Error::Timeout { .. } | Error::Status { status: 503, .. } => self.is_held(),
            Error::Status { status, .. } => *status == 400,
            _ => false,
        }
    }
}

impl Shield {
    /// A request to it begins.
    pub(super) fn ask(&self) -> Asking<'_> {
        self.open.fetch_add(1, Ordering::Relaxed);
        Asking(self)
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The same on all edges and for all time: FNV-1a, and the finalizer of SplitMix64, without which names that differ in
/// their last letter have almost the same weight.
fn weight(parent: &str, key: &str) -> u64 {
    let bytes = parent.bytes().chain([0]).chain(key.bytes());
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

/// How much more than an equal share of the open requests a parent gets.
const SHARE: f64 = 1.25;

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn tier(count: usize) -> Tier {
        Tier::new((0..count).map(|n| Parent::new(&[format!("https://shield-{n}")])))
    }

    fn first(tier: &Tier, key: &str) -> String {
        tier.rank(key)[0].parent.name().to_string()
    }

    fn keys() -> impl Iterator<Item = String> {
        (0..1_000).map(|n| format!("/live/channel-{n}/b1/source"))
    }

    #[test]
    fn each_parent_gets_its_share_and_a_new_one_takes_only_that() {
        let (three, four) = (tier(3), tier(4));
        let mut counts = HashMap::<String, u32>::new();
        let mut moved = 0;
        for key in keys() {
            *counts.entry(first(&three, &key)).or_default() += 1;
            if first(&three, &key) != first(&four, &key) {
                assert_eq!(first(&four, &key), "https://shield-3", "it moved between old ones");
                moved += 1;
            }
        }
        assert!(counts.values().all(|count| (250..420).contains(count)), "{counts:?}");
        assert!((180..320).contains(&moved), "{moved} moved");
    }

    #[test]
    fn a_parent_that_stays_keeps_its_count_when_the_tier_changes() {
        let (two, parent) = (tier(2), |n: u32| Parent::new(&[format!("https://shield-{n}")]));
        assert!(two.renewed(vec![parent(0), parent(1)]).is_none());
        let _asking = two.0[1].ask();
        let renewed = two.renewed(vec![parent(1), parent(2)]).unwrap();
        let open: Vec<_> = renewed.0.iter().map(|shield| shield.open.load(Ordering::Relaxed)).collect();
        assert_eq!(open, [1, 0]);
        assert_eq!(renewed.renewed(Vec::new()).unwrap().to_string(), "origins");
    }

    #[test]
    fn a_parent_with_more_than_its_share_is_asked_last() {
        let tier = tier(3);
        let favourite = first(&tier, "key");
        let mut asking = Vec::new();
        while first(&tier, "key") == favourite {
            asking.push(tier.rank("key")[0].ask());
            assert!(asking.len() < 10, "it is asked for ever");
        }
        assert_eq!(tier.rank("key")[2].parent.name().as_ref(), favourite);
        asking.clear();
        assert_eq!(first(&tier, "key"), favourite);
    }

    #[test]
    fn weights_never_change() {
        // Edges of different versions have to agree.
        assert_eq!(weight("", ""), 2_737_183_428_366_584_608);
    }
}
