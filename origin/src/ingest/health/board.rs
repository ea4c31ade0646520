//! All publishers of an origin: who does how, what is live, and what has to be told of it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use nearcast_api::ingest::{Acknowledged, Events, Kind};
use nearcast_api::{BroadcastId, ChannelId, node};
use nearcast_service::drain::Drain;

use super::alarm::Change;
use super::lines::{Lines, Seen, Shared};
use super::monitor::{Monitor, Source};
use super::outbox::{News, Outbox};
use super::probe::Probe;
use crate::ingest::bounds::Bounds;
use crate::metrics::Publisher as Metrics;
use crate::package::Air;

/// The shared state. Clones are the same.
#[derive(Clone)]
pub struct Board(Arc<Inner>);

struct Inner {
    metrics: Metrics,
    state: Mutex<State>,
}

struct State {
    /// Those that have a publisher, or are live without one for a while.
    channels: BTreeMap<ChannelId, Lines>,
    outbox: Outbox,
    /// The last refusal of each channel: an encoder that tries again every second is one event.
    refusals: BTreeMap<ChannelId, (&'static str, Instant)>,
    /// Where the next heartbeat begins to tell of health.
    turn: usize,
}

impl Board {
    pub fn new(metrics: Metrics) -> Self {
        let (channels, refusals) = (BTreeMap::new(), BTreeMap::new());
        let state = State { channels, outbox: Outbox::new(wall()), refusals, turn: 0 };
        Self(Arc::new(Inner { metrics, state: Mutex::new(state) }))
    }

    /// Looks at every publisher each second until the drain.
    pub async fn run(self, drain: Drain) {
        let mut ticks = tokio::time::interval(LOOK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while drain.unless_draining(ticks.tick()).await.is_some() {
            self.look(Instant::now());
        }
    }

    /// A publisher begins on a channel.
    pub fn open(&self, channel: &ChannelId, source: Source, limits: Bounds) -> Probe {
        let mut state = self.state();
        let lines = state.channels.entry(channel.clone()).or_default();
        let monitor = lines.open(source, Instant::now());
        drop(state);
        Probe::new(self.clone(), channel.clone(), monitor, limits)
    }

    /// A publisher feeds a broadcast, and `air` says whether viewers see that.
    pub(super) fn feed(&self, channel: &ChannelId, monitor: &Shared, air: Air) {
        if let Some(lines) = self.state().channels.get_mut(channel) {
            lines.feed(monitor, air);
        }
    }

    /// A publisher has gone: `leaves` when it or we wanted that.
    pub(super) fn close(&self, channel: &ChannelId, monitor: &Shared, leaves: bool) {
        let mut state = self.state();
        let Some(lines) = state.channels.get_mut(channel) else { return };
        let said = lines.close(monitor, leaves, Instant::now());
        let broadcast = lines.broadcast.clone();
        if !lines.is_connected() {
            self.0.metrics.forget(channel);
        }
        if lines.is_over() {
            state.channels.remove(channel);
        }
        let news = said.map(|(kind, code, text)| News::new(channel, broadcast, kind, code, &text));
        self.tell(&mut state, news);
    }

    /// Takes in what is live now, and tells of what began and ended.
    pub fn live(&self, live: &[node::Broadcast]) {
        let mut state = self.state();
        for broadcast in live {
            state.channels.entry(broadcast.channel.clone()).or_default();
        }
        let mut news = Vec::new();
        let mut gone = Vec::new();
        for (channel, lines) in &mut state.channels {
            let now = live.iter().find(|live| live.channel == *channel);
            let id = now.map(|live| live.id.clone());
            if lines.broadcast == id {
                continue;
            }
            if let Some(old) = lines.show(id.clone()) {
                news.push(News::new(channel, Some(old), Kind::Stopped, "", "the broadcast is over"));
            }
            match id {
                Some(id) => {
                    let goes_on = now.is_some_and(|live| live.since() > live.started_at);
                    let (code, text) = match goes_on {
                        true => (
                            "takeover",
                            "the broadcast goes on at this origin: the one that had it is lost or was stopped",
                        ),
                        false => ("", "the channel is live"),
                    };
                    news.push(News::new(channel, Some(id), Kind::Started, code, text));
                }
                None if lines.is_over() => gone.push(channel.clone()),
                None => {}
            }
        }
        for channel in gone {
            state.channels.remove(&channel);
            self.0.metrics.forget(&channel);
        }
        self.tell(&mut state, news);
    }

    /// A publisher of the channel is sent away.
    pub fn refused(&self, channel: &ChannelId, reason: &'static str, text: &str) {
        let now = Instant::now();
        let mut state = self.state();
        let known = state.refusals.insert(channel.clone(), (reason, now));
        if known.is_some_and(|(last, at)| last == reason && now.saturating_duration_since(at) < SAME_REFUSAL)
        {
            return;
        }
        let broadcast = state.channels.get(channel).and_then(|lines| lines.broadcast.clone());
        let news = News::new(channel, broadcast, Kind::Refused, reason, text);
        self.tell(&mut state, [news]);
    }

    /// Adds health to what a heartbeat lists; to [`HEALTH_AT_ONCE`] at most, others the next time.
    pub fn describe(&self, broadcasts: &mut [node::Broadcast]) {
        let now = Instant::now();
        let mut state = self.state();
        let count = broadcasts.len();
        let start = if count > HEALTH_AT_ONCE { state.turn % count } else { 0 };
        state.turn = start + HEALTH_AT_ONCE;
        for n in 0..count.min(HEALTH_AT_ONCE) {
            let broadcast = &mut broadcasts[(start + n) % count];
            broadcast.health = state.channels.get(&broadcast.channel).map(|lines| lines.health(now));
        }
    }

    /// What the next heartbeat tells of what happened.
    pub fn pending(&self) -> Option<Events> {
        self.state().outbox.pending()
    }

    /// The control plane has these.
    pub fn acknowledge(&self, acknowledged: Acknowledged) {
        self.state().outbox.acknowledge(acknowledged);
    }

    fn look(&self, now: Instant) {
        let mut state = self.state();
        state.refusals.retain(|_, (_, at)| now.saturating_duration_since(*at) < SAME_REFUSAL);
        let mut news = Vec::new();
        for (channel, lines) in state.channels.iter_mut().filter(|(_, lines)| lines.is_connected()) {
            let Seen { said, turns, health, other } = lines.look(now, wall());
            let broadcast = || lines.broadcast.clone();
            news.extend(
                said.iter().map(|(kind, code, text)| News::new(channel, broadcast(), *kind, code, text)),
            );
            for (backup, turn) in &turns {
                let kind = match turn.change {
                    Change::Raised => Kind::WarningRaised,
                    Change::Cleared => Kind::WarningCleared,
                };
                let whose = if *backup { "backup encoder: " } else { "" };
                let text = format!("{whose}{}", turn.text);
                news.push(News::new(channel, broadcast(), kind, turn.code, &text));
            }
            let Some(health) = health else { continue };
            if other {
                self.0.metrics.forget(channel);
            }
            if other || !turns.is_empty() {
                self.0.metrics.warn(channel, &health.warnings);
            }
            self.0.metrics.tell(channel, &health);
        }
        self.tell(&mut state, news);
    }

    fn tell(&self, state: &mut State, news: impl IntoIterator<Item = News>) {
        for news in news {
            let (channel, broadcast) = (&news.channel, news.broadcast.as_ref().map(tracing::field::display));
            match news.kind {
                Kind::WarningRaised => {
                    tracing::info!(%channel, broadcast, code = news.code, "a publisher is warned: {}", news.text);
                }
                Kind::WarningCleared => {
                    tracing::info!(%channel, broadcast, code = news.code, "a publisher's warning is over");
                }
                Kind::Lost | Kind::Reconnected | Kind::Switched => {
                    tracing::info!(%channel, broadcast, "{}", news.text)
                }
                // Said where they happen.
                Kind::Started | Kind::Stopped | Kind::Refused | Kind::Other => {}
            }
            if !state.outbox.push(wall(), news) {
                self.0.metrics.lost_events.inc();
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl News {
    fn new(channel: &ChannelId, broadcast: Option<BroadcastId>, kind: Kind, code: &str, text: &str) -> Self {
        Self { channel: channel.clone(), broadcast, kind, code: code.to_owned(), text: text.to_owned() }
    }
}

impl fmt::Debug for Board {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Board").field("channels", &self.state().channels.len()).finish()
    }
}

pub(super) fn lock(monitor: &Mutex<Monitor>) -> MutexGuard<'_, Monitor> {
    monitor.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Milliseconds since the Unix epoch.
fn wall() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

const LOOK: Duration = Duration::from_secs(1);
/// Health is about 600 bytes, a heartbeat at most a megabyte.
const HEALTH_AT_ONCE: usize = 256;
const SAME_REFUSAL: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests;
