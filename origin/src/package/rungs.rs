//! The rungs of a broadcast as its packager sees them: planned, begun, asleep, or catching up.

use std::time::{Duration, Instant};

use nearcast_media::package::{self, Spec};
use nearcast_media::{Config as TrackConfig, Piece};

use super::SOURCE;
use super::broadcast::{Broadcast, State};
use crate::transcode::{Ladder, Output, Own, Watching};

/// How one rung stands.
#[derive(Debug, Clone, Default)]
pub(super) struct Standing {
    /// Its configuration, once it is known.
    pub(super) config: Option<TrackConfig>,
    presence: Presence,
}

#[derive(Debug, Clone, Copy, Default)]
enum Presence {
    Awake,
    /// Nobody watches it. What there is of it is old.
    #[default]
    Asleep,
    /// It has just been woken up: its playlist ends further back than the source's, which would confuse a player
    /// that comes from there.
    CatchingUp {
        since: Instant,
    },
}

/// Begins those that the publisher sends itself: they are always there. The standing of all.
pub(super) fn begin_own(core: &mut package::Broadcast, ladder: &Ladder) -> Vec<Standing> {
    let mut rungs = vec![Standing::default(); ladder.first_own()];
    for Own { name, config, .. } in &ladder.own {
        let spec = Spec {
            name: name.to_string(),
            config: config.clone(),
            bandwidth: None,
            max_frame_rate: None,
            listed_from_start: false,
            own: true,
        };
        // There are no more than fit, and each has a name of its own.
        let _fits = core.add_rendition(spec);
        rungs.push(Standing { config: Some(config.clone()), presence: Presence::Awake });
    }
    rungs
}

impl Standing {
    pub(super) fn wake(&mut self) {
        self.presence = Presence::CatchingUp { since: Instant::now() };
    }

    pub(super) fn sleep(&mut self) {
        self.presence = Presence::Asleep;
    }

    pub(super) fn is_asleep(&self) -> bool {
        matches!(self.presence, Presence::Asleep)
    }

    /// Whether what there is of it may be shown. `behind` is how many segments its playlist ends before the source's;
    /// nothing when it has none.
    pub(super) fn is_fit(&self, behind: Option<u64>) -> bool {
        match self.presence {
            Presence::Awake => true,
            Presence::Asleep => false,
            Presence::CatchingUp { since } => {
                behind.is_some_and(|behind| behind <= NEAR) || since.elapsed() > CATCH_UP
            }
        }
    }

    /// Frames have come. Once fit, it stays so.
    pub(super) fn settle(&mut self, behind: impl FnOnce() -> Option<u64>) {
        if matches!(self.presence, Presence::CatchingUp { .. }) && self.is_fit(behind()) {
            self.presence = Presence::Awake;
        }
    }
}

impl Broadcast {
    /// Somebody asks for something of a rendition: hold on to this until it is answered. Where it is a rung that is
    /// made on demand, it is made from now until a while after.
    pub fn watch(&self, rendition: &str) -> Option<Watching> {
        self.ladder.watch(rendition)
    }

    /// The same for all its rungs.
    pub fn watch_all(&self) -> Vec<Watching> {
        self.ladder.all().filter_map(|plan| self.watch(plan.name)).collect()
    }

    /// Packages what the ladder has made.
    pub(super) fn follow(&self, output: Output) {
        match output {
            Output::Config { rung, config } => self.begin(rung, config),
            Output::Frame { rung, frame } => {
                let Some(plan) = self.ladder.get(rung) else { return };
                self.package(plan.name, frame);
                let State { core, rungs, .. } = &mut *self.state();
                rungs[rung].settle(|| behind(core, plan.name));
            }
            // The packager sees what is missing by the times of what comes next.
            Output::Lag { .. } => {}
            Output::Awake { rung } => self.change(rung, |_, _, standing| standing.wake()),
            Output::Asleep { rung } => self.change(rung, |_, _, standing| standing.sleep()),
            Output::Forget { rung } => self.change(rung, |core, name, _| {
                let _known = core.rest_rendition(name);
            }),
        }
    }

    /// Packages what the publisher sends as its own rendition of this number. Whether that lacks a keyframe where the
    /// source's newest segment began.
    pub(super) fn follow_own(&self, own: u8, piece: Piece) -> bool {
        let rung = self.ladder.first_own() + usize::from(own);
        let Some(plan) = self.ladder.get(rung) else { return false };
        match piece {
            Piece::Config(config) => self.begin(rung, config),
            Piece::Frame(frame) => drop(self.package(plan.name, frame)),
        }
        self.state().core.is_astray(plan.name)
    }

    /// Whether all that the publisher sends itself is there, as far as it will be.
    pub(super) fn has_own(&self, state: &State) -> bool {
        self.ladder.own.iter().all(|own| state.core.newest_segment(own.name.as_str()).is_some())
    }

    /// Something about a rung is another than before.
    fn change(&self, rung: usize, change: impl FnOnce(&mut package::Broadcast, &str, &mut Standing)) {
        let mut state = self.state();
        let State { core, rungs, .. } = &mut *state;
        let (Some(plan), Some(standing)) = (self.ladder.get(rung), rungs.get_mut(rung)) else { return };
        change(core, plan.name, standing);
        drop(state);
        self.version.send_modify(|version| *version += 1);
    }

    /// Whether a rendition is where the source is.
    pub(super) fn is_fit(&self, state: &State, rendition: &str) -> bool {
        let Some(standing) = self.ladder.find(rendition).and_then(|index| state.rungs.get(index)) else {
            return true;
        };
        standing.is_fit(behind(&state.core, rendition))
    }

    /// A player that comes from the source's numbers finds a rung that is still to be woken: whether that rung will
    /// have this segment then.
    pub(super) fn will_have(&self, state: &State, msn: u64) -> bool {
        let newest = state.core.newest_segment(SOURCE).unwrap_or(0);
        (newest.saturating_sub(BACKLOG)..=newest + 1).contains(&msn)
    }

    /// A rung has its configuration: at the broadcast's begin, and again at that of every child that makes it.
    fn begin(&self, rung: usize, config: TrackConfig) {
        let Some(plan) = self.ladder.get(rung) else { return };
        self.change(rung, |core, name, standing| match &mut standing.config {
            Some(known) if *known == config => {}
            Some(known) => {
                // Made of another source: from its discontinuity on.
                let _it_is_there = core.renew(name, config.clone());
                *known = config;
            }
            None => {
                let spec = Spec {
                    name: name.to_owned(),
                    config: config.clone(),
                    bandwidth: plan.bitrate.map(u64::from),
                    max_frame_rate: plan.max_fps,
                    listed_from_start: true,
                    own: false,
                };
                if let Err(error) = core.add_rendition(spec) {
                    tracing::warn!(broadcast = %self.id(), rung = name, "a rung is left out: {error}");
                }
                standing.config = Some(config);
            }
        });
    }
}

/// How many segments a rendition's playlist ends before the source's. `None` while it has none.
fn behind(core: &package::Broadcast, rendition: &str) -> Option<u64> {
    let source = core.renditions().next()?;
    Some(core.newest_segment(source)?.saturating_sub(core.newest_segment(rendition)?))
}

/// In segments: how far back a rung that is woken up may begin.
const BACKLOG: u64 = 4;

/// In segments: requests may be this far ahead of a playlist (RFC 8216bis §6.2.5.2).
const NEAR: u64 = 1;

/// A rung that has not caught up by then shows what it has.
const CATCH_UP: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rung_is_shown_when_it_is_where_the_source_is() {
        let mut standing = Standing::default();
        standing.settle(|| Some(0));
        assert!(!standing.is_fit(Some(0)), "what it has is old");
        standing.wake();
        assert!(!standing.is_fit(None) && !standing.is_fit(Some(2)) && standing.is_fit(Some(1)));
        standing.settle(|| Some(2));
        assert!(!standing.is_fit(Some(2)));
        standing.settle(|| Some(1));
        assert!(standing.is_fit(Some(2)), "a hiccup later is none of this");
    }
}
