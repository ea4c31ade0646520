//! What is going on in a region, and the minutes that have ended.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

use nearcast_api::{ChannelId, Region};

use super::super::{Amounts, Bucket, Key, Kind, MINUTE, OTHERS};

/// A region now.
#[derive(Debug, Default)]
pub(super) struct Here {
    pub(super) viewers: u64,
    pub(super) bps: u64,
    /// Until when somebody of there was heard, in milliseconds since the Unix epoch.
    pub(super) heard_until: u64,
    /// Of the minute under way.
    pub(super) amounts: Amounts,
    channels: HashMap<ChannelId, Cell>,
    /// Those that there was no room for.
    others: Cell,
}

/// A channel in a region.
#[derive(Debug, Default)]
pub(super) struct Cell {
    pub(super) viewers: u64,
    pub(super) amounts: Amounts,
}

impl Here {
    pub(super) fn channel(&mut self, id: &ChannelId) -> &mut Cell {
        if !self.channels.contains_key(id) {
            if self.channels.len() >= MAX_CHANNELS {
                return &mut self.others;
            }
            self.channels.insert(id.clone(), Cell::default());
        }
        self.channels.get_mut(id).unwrap_or(&mut self.others)
    }

    /// Hands over what the minute had. The next one begins with those who watch.
    pub(super) fn end(&mut self, region: &Region, minute: u64, ended: &mut Minutes) {
        let region: Box<str> = region.as_str().into();
        let mut hand_over = |kind, name: &str, amounts: &mut Amounts, viewers, bps| {
            let amounts =
                std::mem::replace(amounts, Amounts { peak: viewers, peak_bps: bps, ..Amounts::default() });
            if amounts != Amounts::default() {
                let key = Key { kind, name: name.into(), region: region.clone() };
                ended.add(minute, key, |there| there.after(&amounts));
            }
        };
        hand_over(Kind::Region, &region, &mut self.amounts, self.viewers, self.bps);
        hand_over(Kind::Channel, OTHERS, &mut self.others.amounts, self.others.viewers, 0);
        for (id, cell) in &mut self.channels {
            hand_over(Kind::Channel, id.as_str(), &mut cell.amounts, cell.viewers, 0);
        }
        self.channels.retain(|_, cell| cell.viewers > 0);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.channels.is_empty() && (self.viewers, self.bps, self.others.viewers) == (0, 0, 0)
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
            Kind::Node | Kind::Region => drop(kept.insert(key, amounts)),
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

/// Of a region, in memory: names that a node makes up must not fill it.
const MAX_CHANNELS: usize = 20_000;
