//! What is going on in a region, and the minutes that have ended.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

use nearcast_api::playback::Country;
use nearcast_api::{ChannelId, Region};

use super::super::{Amounts, Bucket, Key, Kind, MINUTE, OTHERS};
use super::told::Cells;

/// A region now.
#[derive(Debug, Default)]
pub(super) struct Here {
    pub(super) viewers: u64,
    pub(super) bps: u64,
    /// Until when somebody of there was heard, in milliseconds since the Unix epoch.
    pub(super) heard_until: u64,
    /// Of the minute under way.
    pub(super) amounts: Amounts,
    pub(super) channels: Cells<ChannelId>,
    pub(super) countries: Cells<Country>,
}

impl Here {
    /// Hands over what the minute had. The next one begins with those who watch.
    pub(super) fn end(&mut self, region: &Region, minute: u64, ended: &mut Minutes) {
        let next = Amounts { peak: self.viewers, peak_bps: self.bps, ..Amounts::default() };
        ended.end(minute, Key::new(Kind::Region, region.as_str(), region), &mut self.amounts, next);
        self.channels.end(region, minute, ended);
        self.countries.end(region, minute, ended);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.channels.is_empty() && self.countries.is_empty() && (self.viewers, self.bps) == (0, 0)
    }
}

/// Minutes that have ended, by their beginning.
#[derive(Debug, Default)]
pub(super) struct Minutes(BTreeMap<u64, HashMap<Key, Amounts>>);

impl Minutes {
    pub(super) fn add(&mut self, minute: u64, key: Key, add: impl FnOnce(&mut Amounts)) {
        let there = self.0.entry(minute).or_default().entry(key).or_default();
        add(there);
        there.heard_ms = there.heard_ms.min(MINUTE);
    }

    /// Adds `amounts`, which begin anew with `next`.
    pub(super) fn end(&mut self, minute: u64, key: Key, amounts: &mut Amounts, next: Amounts) {
        let amounts = std::mem::replace(amounts, next);
        if amounts != Amounts::default() {
            self.add(minute, key, |there| there.after(&amounts));
        }
    }

    /// All of them, in the order of their keys; of channels the `most` watched of each region, and the others as one.
    pub(super) fn take(&mut self, most: usize) -> Vec<Bucket> {
        let minutes = std::mem::take(&mut self.0).into_iter();
        minutes.flat_map(|(at, buckets)| limited(at, buckets, most)).collect()
    }

    /// Gives up the oldest ones beyond `most`; says how many.
    pub(super) fn limit(&mut self, most: usize) -> usize {
        let too_many = self.0.len().saturating_sub(most);
        (0..too_many).for_each(|_| drop(self.0.pop_first()));
        too_many
    }
}

fn limited(at: u64, buckets: HashMap<Key, Amounts>, most: usize) -> Vec<Bucket> {
    let mut kept = BTreeMap::<Key, Amounts>::new();
    let mut channels = BTreeMap::<Box<str>, Vec<(Key, Amounts)>>::new();
    for (key, amounts) in buckets {
        match key.kind {
            Kind::Channel => channels.entry(key.region.clone()).or_default().push((key, amounts)),
            Kind::Country | Kind::Node | Kind::Region => drop(kept.insert(key, amounts)),
        }
    }
    for (region, mut channels) in channels {
        channels.sort_by(|(one, a), (other, b)| {
            // The others are no channel, and come last.
            let rank = |key: &Key, amounts: &Amounts| (&*key.name == OTHERS, Reverse(amounts.viewer_ms));
            (rank(one, a), one).cmp(&(rank(other, b), other))
        });
        let most = most.min(channels.iter().take_while(|(key, _)| &*key.name != OTHERS).count());
        let others = channels.split_off(most);
        kept.extend(channels);
        if !others.is_empty() {
            let key = Key { kind: Kind::Channel, name: OTHERS.into(), region };
            others.iter().for_each(|(_, amounts)| kept.entry(key.clone()).or_default().beside(amounts));
        }
    }
    kept.into_iter().map(|(key, amounts)| Bucket { at, key, amounts }).collect()
}
