//! One followed rendition: when to ask the parent for what, and what viewers are told meanwhile. No IO.
//!
//! As long as somebody watches, one request for the next playlist is always outstanding at the parent, and the
//! part it will announce is fetched at the same time. Drive it: `on_viewer` and `on_playlist` in, then
//! [`Rendition::poll_action`] until `None`, then sleep until [`Rendition::poll_timeout`].

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nearcast_media::hls::media::Playlist;
use nearcast_media::hls::request::{Directives, Position, hold_limit};
use nearcast_media::path::File;
use nearcast_service::backoff::Backoff;

use super::bridge::Bridge;
use super::view::{Failure, Snapshot, View};
use crate::error::Error;

/// The state of the chain to the parent and the playlist it has brought so far.
#[derive(Debug)]
pub struct Rendition {
    chain: Chain,
    view: Arc<View>,
    /// What is told of the time before another origin went on.
    bridge: Option<Bridge>,
    /// The last time the parent sent a playlist, new or not.
    confirmed: Instant,
    last_viewer: Instant,
    idle: Duration,
    backoff: Backoff,
    prefetch: VecDeque<File>,
    /// The last parts asked for, so that a hint is not fetched again when it is listed.
    asked: VecDeque<File>,
}

/// What the shell has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Ask the parent for the playlist; the answer goes to [`Rendition::on_playlist`].
    Playlist { directives: Directives, patience: Duration },
    /// Get this part into the cache, whoever else may want it.
    Part(File),
    /// Nobody watches, or there is nothing to watch: forget the rendition.
    Stop,
}

/// What the parent answered.
#[derive(Debug)]
pub struct Fetched {
    pub playlist: Playlist,
    /// Its text, as the parent sent it.
    pub text: bytes::Bytes,
    /// When the parent produced it: arrival less its `Age`.
    pub produced: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Chain {
    Ask(Directives),
    Asked(Directives),
    Pause {
        until: Instant,
    },
    /// ENDLIST: nothing more will come.
    Ended,
    Stopped,
}

impl Rendition {
    /// A rendition that somebody asks for at `now`. It is followed until `idle` after the last viewer.
    pub fn new(idle: Duration, now: Instant) -> Self {
        Self {
            chain: Chain::Ask(Directives::default()),
            view: Arc::default(),
            bridge: None,
            confirmed: now,
            last_viewer: now,
            idle,
            backoff: Backoff::new(FIRST_BACKOFF, MAX_BACKOFF),
            prefetch: VecDeque::new(),
            asked: VecDeque::new(),
        }
    }

    /// What viewers are told from now on.
    pub fn view(&self) -> &Arc<View> {
        &self.view
    }

    /// Somebody asked at `at`.
    pub fn on_viewer(&mut self, at: Instant) {
        self.last_viewer = self.last_viewer.max(at);
    }

    /// The process is to stop: those who wait get their answer, nobody is waited for long.
    pub fn on_drain(&mut self) {
        self.idle = self.idle.min(DRAIN_IDLE);
    }

    /// The channel is said to be at another parent: one that failed need not be waited for.
    pub fn on_moved(&mut self) {
        if self.view.failure.is_some() && matches!(self.chain, Chain::Pause { .. }) {
            self.backoff.reset();
            self.chain = Chain::Ask(Directives::default());
        }
    }

    /// The answer to the last [`Action::Playlist`]. `held` says whether a file of the rendition is here.
    pub fn on_playlist(&mut self, answer: Result<Fetched, Error>, now: Instant, held: impl Fn(&str) -> bool) {
        let Chain::Asked(asked) = self.chain else { return };
        match answer {
            Ok(fetched) if self.is_older(&fetched.playlist, now) => {
                self.fail(Error::Regressed { origin: "the parent".into() }, now);
            }
            Ok(fetched) => {
                let fetched = self.bridged(fetched, held);
                self.accept(fetched, asked, now);
            }
            Err(error) => self.reject(error, asked, now),
        }
    }

    /// The next thing to do, if anything.
    pub fn poll_action(&mut self, now: Instant) -> Option<Action> {
        if self.chain == Chain::Stopped {
            return None;
        }
        if self.view.is_final() || now >= self.last_viewer + self.idle {
            self.chain = Chain::Stopped;
            return Some(Action::Stop);
        }
        if let Some(file) = self.prefetch.pop_front() {
            return Some(Action::Part(file));
        }
        match self.chain {
            Chain::Pause { until } if now < until => return None,
            Chain::Pause { .. } => self.chain = Chain::Ask(Directives::default()),
            Chain::Ask(_) | Chain::Asked(_) | Chain::Ended | Chain::Stopped => {}
        }
        let Chain::Ask(directives) = self.chain else { return None };
        self.chain = Chain::Asked(directives);
        Some(Action::Playlist { directives, patience: self.patience(&directives) })
    }

    /// When to poll again though nothing happened.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let idle = self.last_viewer + self.idle;
        match self.chain {
            Chain::Stopped => None,
            Chain::Pause { until } => Some(until.min(idle)),
            Chain::Ask(_) | Chain::Asked(_) | Chain::Ended => Some(idle),
        }
    }

    /// With what is told of the time before, where another origin went on.
    fn bridged(&mut self, mut fetched: Fetched, held: impl Fn(&str) -> bool) -> Fetched {
        if let Some(bridge) =
            self.view.snapshot.as_deref().and_then(|old| Bridge::between(old, &fetched.playlist, &held))
        {
            self.bridge = Some(bridge);
        }
        if self.bridge.as_mut().is_some_and(|bridge| bridge.extend(&mut fetched.playlist, &held)) {
            fetched.text = fetched.playlist.render().into();
        } else {
            self.bridge = None;
        }
        fetched
    }

    fn accept(&mut self, fetched: Fetched, asked: Directives, now: Instant) {
        let old = self.view.snapshot.as_ref();
        let moved = old.is_none_or(|old| {
            (old.playlist.last(), old.playlist.ended) != (fetched.playlist.last(), fetched.playlist.ended)
        });
        self.confirmed = now;
        self.backoff.reset();
        if moved {
            let first_new = old.map(|old| (old.playlist.end(), open_parts(&old.playlist)));
            self.plan_parts(&fetched.playlist, first_new);
        }
        self.chain = next(&fetched.playlist, moved, asked, now);
        // Unmoved it is published too: its age starts again.
        let snapshot = Snapshot::new(fetched, self.view.snapshot.as_deref());
        self.view = Arc::new(View { snapshot: Some(Arc::new(snapshot)), failure: None });
    }

    fn reject(&mut self, error: Error, asked: Directives, now: Instant) {
        let blocked = asked.wait_for.is_some();
        match error {
            // The parent held the question as long as it may: it is well, the broadcast just stands still.
            // What it has now says whether that is so.
            Error::Status { status: 503, .. } if blocked => self.chain = Chain::Ask(Directives::default()),
            // What comes next is not what was expected: look again.
            Error::Status { status: 400, .. } if blocked => {
                self.chain = Chain::Pause { until: now + self.backoff.delay() };
            }
            error => self.fail(error, now),
        }
    }

    fn fail(&mut self, error: Error, now: Instant) {
        // Without a playlist there is nothing to wait with; whoever asks next starts anew.
        let gone = matches!(error, Error::NotFound) || self.view.snapshot.is_none();
        let target = self.view.snapshot.as_ref().map_or(0, |snapshot| snapshot.playlist.target_duration);
        let failure = Failure { error, gone, stale_from: self.confirmed + hold_limit(target) };
        self.view = Arc::new(View { snapshot: self.view.snapshot.clone(), failure: Some(failure) });
        self.chain = Chain::Pause { until: now + self.backoff.delay() };
    }

    /// A parent that answers from the past (another one than before, or a cache) must not take viewers back, as
    /// long as what they have is fit to serve.
    fn is_older(&self, playlist: &Playlist, now: Instant) -> bool {
        let Some(current) = &self.view.snapshot else { return false };
        let fresh = now < self.confirmed + hold_limit(current.playlist.target_duration);
        fresh && !playlist.ended && playlist.last() < current.playlist.last()
    }

    /// Fetches the hinted part ahead of its announcement, and parts that were announced without a hint.
    fn plan_parts(&mut self, playlist: &Playlist, first_new: Option<(u64, u32)>) {
        let mut plan = Vec::new();
        if let Some(first_new) = first_new {
            let segments = playlist.segments.iter().map(|segment| &segment.parts);
            let open = playlist.open.iter().map(|open| &open.parts);
            for (msn, parts) in (playlist.media_sequence..).zip(segments.chain(open)) {
                let new = (0..).zip(parts).filter(|(index, _)| (msn, *index) >= first_new);
                plan.extend(
                    new.filter(|(_, part)| part.byte_range.is_none() && !part.gap).map(|(_, part)| &part.uri),
                );
            }
        }
        let hint = playlist.preload_hint.iter().filter(|hint| hint.start == 0 && hint.length.is_none());
        plan.extend(hint.map(|hint| &hint.uri));
        // A chain that fell far behind leaves old parts to those who ask for them.
        let late = plan.len().saturating_sub(MAX_PREFETCH);
        for file in plan.drain(..).skip(late).filter_map(|uri| File::parse(uri).ok()) {
            if !self.asked.contains(&file) {
                self.asked.push_back(file);
                self.prefetch.push_back(file);
            }
        }
        let excess = self.asked.len().saturating_sub(MAX_ASKED);
        self.asked.drain(..excess);
    }

    /// How long the parent may take: it holds a blocking request up to three target durations, and gets a
    /// little more to say so.
    fn patience(&self, directives: &Directives) -> Duration {
        match (&self.view.snapshot, directives.wait_for) {
            (Some(snapshot), Some(_)) => hold_limit(snapshot.playlist.target_duration) + GRACE,
            _ => PATIENCE,
        }
    }
}

/// What to ask once `playlist` is here.
fn next(playlist: &Playlist, moved: bool, asked: Directives, now: Instant) -> Chain {
    if playlist.ended {
        return Chain::Ended;
    }
    let target = Duration::from_secs(playlist.target_duration.max(1).into());
    if !playlist.server_control.can_block_reload {
        // RFC 8216bis §6.3.4: a target duration after a change, half of one after none.
        return Chain::Pause { until: now + if moved { target } else { target / 2 } };
    }
    if !moved && asked.wait_for.is_some() {
        // A parent that answers a blocking request early must not be asked in a tight loop.
        return Chain::Pause { until: now + playlist.part_target.unwrap_or(target) / 2 };
    }
    let part = playlist.part_target.map(|_| open_parts(playlist));
    Chain::Ask(Directives { wait_for: Some(Position { msn: playlist.end(), part }), skip: None })
}

fn open_parts(playlist: &Playlist) -> u32 {
    playlist.open.as_ref().map_or(0, |open| u32::try_from(open.parts.len()).unwrap_or(u32::MAX))
}

/// A playlist that needs no waiting is there within this or not at all.
const PATIENCE: Duration = Duration::from_secs(5);
/// What a parent gets beyond the hold limit, for its own timers and the way.
const GRACE: Duration = Duration::from_secs(2);
/// A restarted parent is found within a part or two, a dead one is not hammered.
const FIRST_BACKOFF: Duration = Duration::from_millis(200);
const MAX_BACKOFF: Duration = Duration::from_secs(2);
/// Players that are sent elsewhere ask here no more within a part or two.
const DRAIN_IDLE: Duration = Duration::from_secs(1);
/// Two seconds of the shortest parts.
const MAX_PREFETCH: usize = 10;
/// More than are ever hinted or listed anew at a time.
const MAX_ASKED: usize = 32;

#[cfg(test)]
mod tests;
