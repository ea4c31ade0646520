//! What edges tell of by name, channels and countries: each at its node, and together with other nodes' in its region.

use std::collections::HashMap;
use std::hash::Hash;

use nearcast_api::audience::Qoe;
use nearcast_api::playback::Country;
use nearcast_api::{ChannelId, Region};

use super::super::counted::Counters;
use super::super::{Amounts, Key, Kind, OTHERS};
use super::Span;
use super::region::Minutes;

/// What has buckets by name.
pub(super) trait Named: Clone + Eq + Hash {
    const KIND: Kind;

    fn name(&self) -> &str;
}

/// What one heartbeat says of one name.
pub(super) struct Said {
    pub(super) viewers: u64,
    pub(super) counters: Counters,
}

/// A heartbeat, beside those of its node before it.
#[derive(Clone, Copy)]
pub(super) struct Beat<'a> {
    pub(super) number: u64,
    pub(super) region: &'a Region,
    /// Nothing was heard of the node before, or too long ago.
    pub(super) fresh: bool,
    /// The node's counters began at nothing since.
    pub(super) restarted: bool,
}

/// What a node said last, of each name.
#[derive(Debug)]
pub(super) struct Told<K>(HashMap<K, One>);

#[derive(Debug, Default)]
struct One {
    counters: Counters,
    viewers: u64,
    /// The heartbeat that told of it last.
    beat: u64,
}

/// A region's, of each name.
#[derive(Debug)]
pub(super) struct Cells<K> {
    cells: HashMap<K, Cell>,
    /// Those that there was no room for.
    others: Cell,
}

#[derive(Debug, Default)]
struct Cell {
    viewers: u64,
    /// Of the minute under way.
    amounts: Amounts,
}

impl<K: Named> Told<K> {
    /// Counts what came since the node told of it last; gives how well that played.
    pub(super) fn hear(
        &mut self,
        of: &K,
        Said { viewers, counters }: Said,
        beat: Beat<'_>,
        cells: &mut Cells<K>,
        span: &mut Span<'_>,
    ) -> Qoe {
        let one = match self.0.get_mut(of) {
            Some(one) => one,
            None => {
                let begun = if beat.restarted { Counters::default() } else { counters };
                self.0.entry(of.clone()).or_insert(One { counters: begun, ..One::default() })
            }
        };
        // After a long silence nobody knows when it was counted.
        let more = if beat.fresh { Counters::default() } else { counters.since(&one.counters) };
        one.counters = counters;
        one.beat = beat.number;
        let before = std::mem::replace(&mut one.viewers, viewers);
        let part = Amounts {
            viewer_ms: more.viewer_seconds.saturating_mul(1000),
            bytes: more.bytes,
            qoe: more.qoe,
            ..Amounts::default()
        };
        let cell = cells.cell(of);
        cell.viewers = (cell.viewers + viewers).saturating_sub(before);
        cell.amounts.peak = cell.amounts.peak.max(cell.viewers);
        span.spread(&part, &mut cell.amounts, || Key::new(K::KIND, of.name(), beat.region));
        more.qoe
    }

    /// Counting goes on from here; what was so far is counted elsewhere.
    pub(super) fn begin_at(&mut self, of: &K, counters: Counters) {
        self.0.insert(of.clone(), One { counters, ..One::default() });
    }

    /// The node's counters began at nothing.
    pub(super) fn restart(&mut self) {
        self.0.values_mut().for_each(|one| one.counters = Counters::default());
    }

    /// What the last heartbeat, `beat`, does not tell of has no viewers; its counters stay known while there are `most`.
    pub(super) fn end_unlisted(&mut self, beat: u64, cells: &mut Cells<K>, most: usize) {
        for (of, one) in &mut self.0 {
            if one.beat != beat && one.viewers > 0 {
                let cell = cells.cell(of);
                cell.viewers = cell.viewers.saturating_sub(std::mem::take(&mut one.viewers));
            }
        }
        if self.0.len() > most {
            self.0.retain(|_, one| one.beat == beat);
        }
    }
}

impl<K> Default for Told<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Named> Cells<K> {
    fn cell(&mut self, of: &K) -> &mut Cell {
        if !self.cells.contains_key(of) {
            if self.cells.len() >= MAX_NAMES {
                return &mut self.others;
            }
            self.cells.insert(of.clone(), Cell::default());
        }
        self.cells.get_mut(of).unwrap_or(&mut self.others)
    }

    /// Hands over what the minute had. The next one begins with those who watch.
    pub(super) fn end(&mut self, region: &Region, minute: u64, ended: &mut Minutes) {
        let named = self.cells.iter_mut().map(|(of, cell)| (of.name(), cell));
        for (name, cell) in named.chain([(OTHERS, &mut self.others)]) {
            let next = Amounts { peak: cell.viewers, ..Amounts::default() };
            ended.end(minute, Key::new(K::KIND, name, region), &mut cell.amounts, next);
        }
        self.cells.retain(|_, cell| cell.viewers > 0);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.cells.is_empty() && self.others.viewers == 0
    }
}

impl<K> Default for Cells<K> {
    fn default() -> Self {
        Self { cells: HashMap::new(), others: Cell::default() }
    }
}

impl Named for ChannelId {
    const KIND: Kind = Kind::Channel;

    fn name(&self) -> &str {
        self.as_str()
    }
}

impl Named for Country {
    const KIND: Kind = Kind::Country;

    fn name(&self) -> &str {
        self.as_str()
    }
}

/// Of a region, in memory: names that a node makes up must not fill it.
const MAX_NAMES: usize = 20_000;
