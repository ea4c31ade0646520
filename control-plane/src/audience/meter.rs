//! Makes minutes of what edges say every second: no IO and no clock, `now` is in milliseconds since the Unix epoch.
//!
//! What counters have counted between two heartbeats, and viewers and bits per second as the mean of both, is spread over the
//! time between them, whether that is a second or the minutes of an outage: minutes that were taken already get a part that
//! comes late. Of an edge that is heard for the first time, and of a channel that it had not told of, counting begins there.

mod region;
mod told;

use std::collections::HashMap;

use nearcast_api::node::{Heartbeat, Load};
use nearcast_api::playback::Country;
use nearcast_api::{ChannelId, NodeId, Region};

use super::{Amounts, Bucket, Key, Kind, MINUTE};
use region::{Here, Minutes};
use told::{Beat, Said, Told};

/// The minute that is under way, and those before it that nobody has taken yet.
#[derive(Debug, Default)]
pub struct Meter {
    /// When the one under way began.
    minute: u64,
    nodes: HashMap<NodeId, Node>,
    regions: HashMap<Region, Here>,
    ended: Minutes,
}

/// What an edge said last.
#[derive(Debug)]
struct Node {
    at: u64,
    started_at: u64,
    region: Region,
    load: Load,
    /// Its viewers are part of its region's, as it is heard here.
    counts: bool,
    /// Its heartbeats so far.
    beat: u64,
    channels: Told<ChannelId>,
    countries: Told<Country>,
    /// Of the minute under way.
    amounts: Amounts,
}

impl Meter {
    /// An edge says how it is.
    pub fn heard(&mut self, now: u64, id: &NodeId, region: &Region, beat: &Heartbeat) {
        let now = self.turn(now);
        let Self { nodes, regions, ended, minute } = self;
        if let Some(mut moved) =
            nodes.get(id).is_some_and(|node| node.region != *region).then(|| nodes.remove(id)).flatten()
            && let Some(there) = regions.get_mut(&moved.region)
        {
            moved.leave(there);
            moved.end(id, *minute, ended);
        }
        let here = regions.entry(region.clone()).or_default();
        let (node, fresh) = match nodes.get_mut(id) {
            Some(node) => {
                let fresh = now.saturating_sub(node.at) > MAX_GAP;
                (node, fresh)
            }
            None => (
                nodes.entry(id.clone()).or_insert_with(|| Node::new(region.clone(), beat.started_at, now)),
                true,
            ),
        };
        let restarted = !fresh && beat.started_at > node.started_at;
        if restarted {
            node.channels.restart();
            node.countries.restart();
        }
        let from = if fresh { now } else { node.at };
        let mut span = Span { from, to: now, minute: *minute, ended };

        let held = if restarted { span.len().min(SILENCE) } else { span.len() };
        let (viewers, bps) = match restarted {
            true => (u64::from(beat.load.viewers) * 2, u128::from(beat.load.egress_bps) * 2),
            false => (
                u64::from(beat.load.viewers) + u64::from(node.load.viewers),
                u128::from(beat.load.egress_bps) + u128::from(node.load.egress_bps),
            ),
        };
        let mut all = Amounts {
            viewer_ms: viewers.saturating_mul(held) / 2,
            // Bits per second and milliseconds: twice 8000 to a byte.
            bytes: u64::try_from(bps * u128::from(held) / 16_000).unwrap_or(u64::MAX),
            ..Amounts::default()
        };

        node.join(here, &beat.load);
        node.beat += 1;
        let number = Beat { number: node.beat, region, fresh, restarted };
        for told in beat.audience.iter().take(MAX_REPORTED) {
            let said = Said { viewers: told.viewers(), counters: told.into() };
            all.qoe.add(&node.channels.hear(&told.channel, said, number, &mut here.channels, &mut span));
        }
        for told in beat.countries.iter().take(MAX_REPORTED) {
            let said = Said { viewers: told.viewers.into(), counters: told.into() };
            node.countries.hear(&told.country, said, number, &mut here.countries, &mut span);
        }
        node.end_unlisted(here);

        let heard = span.to - here.heard_until.clamp(span.from, span.to);
        if span.len() > 0 {
            here.heard_until = here.heard_until.max(span.to);
        }
        let of_region = || Key::new(Kind::Region, region.as_str(), region);
        let of_node = || Key::new(Kind::Node, id.as_str(), region);
        span.spread(&all, &mut here.amounts, of_region);
        span.spread(&all, &mut node.amounts, of_node);
        span.heard(span.len(), &mut node.amounts, of_node);
        span.heard(heard, &mut here.amounts, of_region);
        node.amounts.peak = node.amounts.peak.max(beat.load.viewers.into());
        node.amounts.peak_bps = node.amounts.peak_bps.max(beat.load.egress_bps);
        node.at = now;
        node.started_at = beat.started_at;
        node.load = beat.load;
    }

    /// An edge said how it is to another instance, at `at`, and is counted there. If it changes to this one, counting goes on
    /// from here.
    pub fn heard_elsewhere(&mut self, at: u64, id: &NodeId, region: &Region, beat: &Heartbeat) {
        if self.nodes.get(id).is_some_and(|node| node.at >= at) {
            return;
        }
        if let Some(mut node) = self.nodes.remove(id)
            && let Some(here) = self.regions.get_mut(&node.region)
        {
            node.leave(here);
            node.end(id, self.minute, &mut self.ended);
        }
        let mut node = Node::new(region.clone(), beat.started_at, at);
        node.load = beat.load;
        for told in beat.audience.iter().take(MAX_REPORTED) {
            node.channels.begin_at(&told.channel, told.into());
        }
        for told in beat.countries.iter().take(MAX_REPORTED) {
            node.countries.begin_at(&told.country, told.into());
        }
        self.nodes.insert(id.clone(), node);
    }

    /// Time has passed: who is silent has no viewers any more, as far as is known, and is forgotten in the end.
    pub fn expire(&mut self, now: u64) {
        let now = self.turn(now);
        let Self { nodes, regions, ended, minute } = self;
        nodes.retain(|id, node| {
            let silence = now.saturating_sub(node.at);
            if silence > SILENCE
                && let Some(here) = regions.get_mut(&node.region)
            {
                node.leave(here);
            }
            let stays = silence <= MAX_GAP;
            if !stays {
                node.end(id, *minute, ended);
            }
            stays
        });
    }

    /// The minutes that have ended, with `most` channels for each region, the most watched.
    pub fn take(&mut self, now: u64, most: usize) -> Vec<Bucket> {
        self.turn(now);
        self.ended.take(most)
    }

    /// As [`Meter::take`], with what there is of the minute under way: nothing comes after it.
    pub fn take_all(&mut self, now: u64, most: usize) -> Vec<Bucket> {
        self.turn(now);
        self.end_minute();
        self.ended.take(most)
    }

    /// Takes back what could not be kept, for the next time; gives how many minutes are too many, and lost.
    pub fn give_back(&mut self, buckets: Vec<Bucket>) -> usize {
        for Bucket { at, key, amounts } in buckets {
            self.ended.add(at, key, |there| there.after(&amounts));
        }
        self.ended.limit(MAX_MINUTES)
    }

    /// Ends the minute if it is over. A clock that was set back goes on in the minute that it had reached.
    fn turn(&mut self, now: u64) -> u64 {
        let now = now.max(self.minute);
        if now - self.minute >= MINUTE {
            self.end_minute();
            self.minute = now - now % MINUTE;
        }
        now
    }

    fn end_minute(&mut self) {
        for (id, node) in &mut self.nodes {
            node.end(id, self.minute, &mut self.ended);
        }
        for (region, here) in &mut self.regions {
            here.end(region, self.minute, &mut self.ended);
        }
        self.regions.retain(|_, here| !here.is_empty());
    }
}

impl Node {
    fn new(region: Region, started_at: u64, at: u64) -> Self {
        let (load, channels, countries, amounts) = Default::default();
        Self { at, started_at, region, load, counts: false, beat: 0, channels, countries, amounts }
    }

    /// Its viewers are the region's.
    fn join(&mut self, here: &mut Here, load: &Load) {
        let before = if self.counts { self.load } else { Load::default() };
        here.viewers = (here.viewers + u64::from(load.viewers)).saturating_sub(before.viewers.into());
        here.bps = here.bps.saturating_add(load.egress_bps).saturating_sub(before.egress_bps);
        here.amounts.peak = here.amounts.peak.max(here.viewers);
        here.amounts.peak_bps = here.amounts.peak_bps.max(here.bps);
        self.counts = true;
    }

    /// Its viewers are the region's no more.
    fn leave(&mut self, here: &mut Here) {
        if std::mem::replace(&mut self.counts, false) {
            here.viewers = here.viewers.saturating_sub(self.load.viewers.into());
            here.bps = here.bps.saturating_sub(self.load.egress_bps);
            self.beat += 1;
            self.end_unlisted(here);
        }
    }

    /// What the last heartbeat does not tell of has no viewers; its counters stay known while there is room.
    fn end_unlisted(&mut self, here: &mut Here) {
        self.channels.end_unlisted(self.beat, &mut here.channels, 2 * MAX_REPORTED);
        self.countries.end_unlisted(self.beat, &mut here.countries, 2 * MAX_REPORTED);
    }

    fn end(&mut self, id: &NodeId, minute: u64, ended: &mut Minutes) {
        let load = if self.counts { self.load } else { Load::default() };
        let next = Amounts { peak: load.viewers.into(), peak_bps: load.egress_bps, ..Amounts::default() };
        ended.end(minute, Key::new(Kind::Node, id.as_str(), &self.region), &mut self.amounts, next);
    }
}

/// The time between two heartbeats.
struct Span<'a> {
    from: u64,
    to: u64,
    minute: u64,
    ended: &'a mut Minutes,
}

impl Span<'_> {
    fn len(&self) -> u64 {
        self.to - self.from
    }

    /// Gives each minute its part: the one under way is `now`, those before it are among the ended.
    fn spread(&mut self, all: &Amounts, now: &mut Amounts, key: impl Fn() -> Key) {
        if self.from >= self.minute {
            return now.after(all);
        }
        let (mut at, mut rest) = (self.from, *all);
        while at < self.minute {
            let end = (at - at % MINUTE + MINUTE).min(self.minute);
            let part = rest.split(end - at, self.to - at);
            self.ended.add(at - at % MINUTE, key(), |there| there.after(&part));
            at = end;
        }
        now.after(&rest);
    }

    /// Notes that somebody of there was heard for the last `millis` of it.
    fn heard(&mut self, millis: u64, now: &mut Amounts, key: impl Fn() -> Key) {
        let mut at = self.to - millis;
        while at < self.minute {
            let end = (at - at % MINUTE + MINUTE).min(self.minute);
            self.ended.add(at - at % MINUTE, key(), |there| there.heard_ms += end - at);
            at = end;
        }
        now.heard_ms += self.to - at;
    }
}

/// Who is silent for so long has nobody watching, as an edge has it of its players: milliseconds.
const SILENCE: u64 = 10_000;
/// A silence after which nobody can say when what was counted in it was watched: milliseconds.
pub const MAX_GAP: u64 = 15 * MINUTE;
/// As many as an edge tells of, of channels as of countries.
const MAX_REPORTED: usize = 500;
/// While the store takes nothing.
const MAX_MINUTES: usize = 60;

#[cfg(test)]
mod tests;
