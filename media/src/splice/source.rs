//! One encoder: what it has sent and the broadcast has not taken, from a keyframe on.

use std::collections::{BTreeMap, VecDeque};

use super::{Id, Rank, STALL};
use crate::frame::CLOCK;
use crate::{Config, Frame, Piece, Track};

/// What an encoder sends.
#[derive(Debug)]
pub(super) enum Entry {
    Config(Config),
    Frame(Track, Frame),
    Further(u8, Piece),
}

impl Entry {
    pub(super) fn track(&self) -> Track {
        match self {
            Self::Config(config) => config.track(),
            Self::Frame(track, _) => *track,
            Self::Further(..) => Track::Video,
        }
    }

    /// Whether the broadcast can begin with it.
    pub(super) fn begins(&self, leader: Track) -> bool {
        matches!(self, Self::Frame(track, frame) if *track == leader && frame.keyframe)
    }

    fn size(&self) -> usize {
        match self {
            Self::Config(_) | Self::Further(_, Piece::Config(_)) => 0,
            Self::Frame(_, frame) | Self::Further(_, Piece::Frame(frame)) => frame.data.len(),
        }
    }
}

/// An encoder that is connected.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) id: Id,
    pub(super) rank: Rank,
    leader: Track,
    /// The configurations in force before what is held.
    pub(super) video: Option<Config>,
    pub(super) audio: Option<Config>,
    pub(super) further: BTreeMap<u8, Config>,
    /// What it has sent, and when that came.
    held: VecDeque<(Entry, i64)>,
    bytes: usize,
    steady_since: i64,
    heard: i64,
}

impl Source {
    pub(super) fn new(id: Id, rank: Rank, leader: Track, now: i64) -> Self {
        let (held, heard, steady_since) = (VecDeque::new(), now, now);
        let (video, audio, further) = (None, None, BTreeMap::new());
        Self { id, rank, leader, video, audio, further, held, bytes: 0, steady_since, heard }
    }

    /// Keeps what has come, and of what came before only as much as a takeover may need.
    pub(super) fn hold(&mut self, entry: Entry, now: i64) {
        if let Entry::Frame(..) = entry {
            if now - self.heard >= STALL {
                self.steady_since = now;
            }
            self.heard = now;
        }
        self.bytes += entry.size();
        self.held.push_back((entry, now));
        // From the last keyframe on that is older than a stall takes to be noticed.
        while self.keyframes().nth(1).is_some_and(|(_, at)| at < now - KEPT) {
            self.forget_one();
        }
        while self.bytes > MAX_BYTES || self.held.len() > MAX_ENTRIES {
            self.forget_one();
        }
    }

    /// Since when it has sent without a stall.
    pub(super) fn steady_since(&self) -> i64 {
        self.steady_since
    }

    /// Decoding time and arrival of the first keyframe that came at or after `since`.
    pub(super) fn begins_at(&self, since: i64) -> Option<(i64, i64)> {
        self.keyframes().find(|(_, at)| *at >= since)
    }

    /// Forgets what precedes the first keyframe that came at or after `since`, but for sound and further pictures, which
    /// may be sent ahead of the picture they go with.
    pub(super) fn forget_before(&mut self, since: i64) {
        let leader = self.leader;
        let begin = self.held.iter().position(|(entry, at)| entry.begins(leader) && *at >= since);
        let Some(begin) = begin else { return };
        let later = self.held.split_off(begin);
        let mut others = Vec::new();
        for (entry, at) in std::mem::replace(&mut self.held, later) {
            match entry {
                Entry::Config(config) => self.settle(config),
                Entry::Frame(track, frame) if track == leader => self.bytes -= frame.data.len(),
                Entry::Further(track, Piece::Config(config)) => drop(self.further.insert(track, config)),
                Entry::Frame(..) | Entry::Further(..) => others.push((entry, at)),
            }
        }
        others.into_iter().rev().for_each(|entry| self.held.push_front(entry));
    }

    /// The next that the broadcast has not taken.
    pub(super) fn next(&mut self) -> Option<(Entry, i64)> {
        let (entry, at) = self.held.pop_front()?;
        self.bytes -= entry.size();
        Some((entry, at))
    }

    fn keyframes(&self) -> impl Iterator<Item = (i64, i64)> {
        self.held.iter().filter(|(entry, _)| entry.begins(self.leader)).filter_map(
            |(entry, at)| match entry {
                Entry::Frame(_, frame) => Some((frame.dts, *at)),
                Entry::Config(_) | Entry::Further(..) => None,
            },
        )
    }

    fn forget_one(&mut self) {
        match self.next() {
            Some((Entry::Config(config), _)) => self.settle(config),
            Some((Entry::Further(track, Piece::Config(config)), _)) => {
                drop(self.further.insert(track, config))
            }
            Some((Entry::Frame(..) | Entry::Further(..), _)) | None => {}
        }
    }

    fn settle(&mut self, config: Config) {
        match config.track() {
            Track::Video => self.video = Some(config),
            Track::Audio => self.audio = Some(config),
        }
    }
}

/// A stall is noticed this much later, and then a keyframe from since it began is wanted.
const KEPT: i64 = STALL + CLOCK;

/// Five seconds at 50 Mb/s. What is older is dropped first.
const MAX_BYTES: usize = 32 << 20;

/// Seven seconds of seven tracks of 60 pictures each and 50 sounds, and more.
const MAX_ENTRIES: usize = 4096;
