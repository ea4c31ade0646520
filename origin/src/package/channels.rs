//! Which channel is live, and the broadcasts that can be asked for: the live ones and those just over.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nearcast_api::{ChannelId, ladder as settings, node};
use nearcast_media::Config as TrackConfig;
use nearcast_media::splice::{Id, Rank};
use nearcast_service::drain::Drain;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Notify, mpsc, oneshot};

use super::begin::Before;
use super::budget::Budget;
use super::feed::{Air, Feed, QUEUE_FRAMES};
use super::program::{self, Join};
use super::slate::Slates;
use super::{Broadcast, Config};
use crate::dvr::Dvr;
use crate::metrics::Metrics;
use crate::record::Recorder;
use crate::thumbs::Studio;
use crate::transcode::wire::Encoder;
use crate::transcode::{self, Own};

/// All channels of this origin. Clones are the same.
#[derive(Clone)]
pub struct Channels(Arc<Inner>);

pub(super) struct Inner {
    pub(super) config: Config,
    pub(super) transcode: transcode::Config,
    pub(super) encoder: Encoder,
    pub(super) stores: Stores,
    pub(super) budget: Arc<Budget>,
    pub(super) failover: program::Config,
    pub(super) metrics: Metrics,
    pub(super) drain: Drain,
    /// Publishers so far.
    publishers: AtomicU64,
    state: Mutex<BTreeMap<ChannelId, Channel>>,
    pub(super) changed: Notify,
}

#[derive(Default)]
struct Channel {
    /// Who publishes with a key of each rank.
    primary: Option<Arc<Pulse>>,
    backup: Option<Arc<Pulse>>,
    /// How publishers come into the newest broadcast.
    program: Option<Entrance>,
    /// Oldest first.
    broadcasts: Vec<Arc<Broadcast>>,
}

/// Where media goes beside memory, and pictures of it and instead of it come from.
#[derive(Debug, Clone)]
pub struct Stores {
    pub dvr: Dvr,
    pub recorder: Recorder,
    pub studio: Studio,
    pub slates: Slates,
}

/// A way into a broadcast.
struct Entrance {
    joins: mpsc::Sender<Join>,
    /// Tells it to end here, and whether it goes on elsewhere.
    leave: oneshot::Sender<bool>,
    /// It has video: one without cannot go on in it, nor the other way round.
    video: bool,
}

/// A publisher's right to a channel, until it is dropped.
#[derive(Debug)]
pub struct Claim {
    pub(super) channels: Channels,
    pub(super) channel: ChannelId,
    rank: Rank,
    pulse: Arc<Pulse>,
    /// The publisher's own renditions.
    pub(super) own: Vec<Own>,
    /// What the channel has instead of the origin's ladder.
    pub(super) ladder: Option<settings::Ladder>,
    /// Seconds that viewers can go back, instead of the origin's window.
    pub(super) dvr: Option<u32>,
}

/// When a publisher last sent something, and whether another has taken its place.
#[derive(Debug)]
struct Pulse {
    last: Mutex<Instant>,
    taken: Notify,
}

/// The channel has a publisher.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("channel {0} is live from another encoder: stop that one first, or use another channel's key")]
pub struct Busy(pub ChannelId);

impl Channels {
    /// `encoder` makes every ladder: what [`transcode::probe`] has found.
    pub fn new(
        config: Config,
        transcode: transcode::Config,
        encoder: Encoder,
        failover: program::Config,
        stores: Stores,
        metrics: Metrics,
        drain: Drain,
    ) -> Self {
        let (state, changed, publishers) = (Mutex::default(), Notify::new(), AtomicU64::new(0));
        let budget = Arc::new(Budget::new(config.memory_bytes, metrics.package.clone()));
        Self(Arc::new(Inner {
            config,
            transcode,
            encoder,
            failover,
            stores,
            budget,
            metrics,
            drain,
            publishers,
            state,
            changed,
        }))
    }

    /// Takes the channel for one publisher with a key of this rank.
    ///
    /// # Errors
    /// [`Busy`] when another one has it and has sent a frame within `quiet`; that one is not disturbed. One that
    /// has been quiet for longer has lost its line, and whoever knows the key may take its place.
    pub fn claim(&self, channel: &ChannelId, rank: Rank, quiet: Duration) -> Result<Claim, Busy> {
        let mut state = self.state();
        let entry = state.entry(channel.clone()).or_default();
        match entry.publisher(rank) {
            Some(publisher) if publisher.quiet() < quiet => return Err(Busy(channel.clone())),
            Some(publisher) => publisher.taken.notify_one(),
            None => {}
        }
        let pulse = Arc::new(Pulse { last: Mutex::new(Instant::now()), taken: Notify::new() });
        *entry.publisher(rank) = Some(Arc::clone(&pulse));
        Ok(Claim {
            channels: self.clone(),
            channel: channel.clone(),
            rank,
            pulse,
            own: Vec::new(),
            ladder: None,
            dvr: None,
        })
    }

    /// The channel's newest broadcast: live, or over for no longer than the linger.
    pub fn current(&self, channel: &str) -> Option<Arc<Broadcast>> {
        self.state().get(channel)?.broadcasts.last().cloned()
    }

    /// One broadcast of the channel.
    pub fn broadcast(&self, channel: &str, id: &str) -> Option<Arc<Broadcast>> {
        self.state().get(channel)?.broadcasts.iter().rev().find(|b| b.id().as_str() == id).cloned()
    }

    /// Whether publishers of the channel come into a broadcast here.
    pub fn has(&self, channel: &ChannelId) -> bool {
        let state = self.state();
        let program = state.get(channel).and_then(|channel| channel.program.as_ref());
        program.is_some_and(|program| !program.joins.is_closed())
    }

    /// The channel is another origin's now, or nobody's: its broadcast here ends, unless it goes on there. Its publishers are told
    /// that it is over.
    pub fn leave(&self, channel: &ChannelId, goes_on: bool) {
        let program = self.state().get_mut(channel).and_then(|channel| channel.program.take());
        if let Some(program) = program {
            let _over_already = program.leave.send(goes_on);
        }
    }

    /// All that is live, for heartbeats.
    pub fn live(&self) -> Vec<node::Broadcast> {
        let state = self.state();
        let live = |channel: &ChannelId, broadcast: &Broadcast| node::Broadcast {
            channel: channel.clone(),
            id: broadcast.id().clone(),
            started_at: broadcast.started_at(),
            taken_over_at: broadcast.taken_over_at(),
            health: None,
        };
        let of_channel = |(id, channel): (&ChannelId, &Channel)| {
            channel.broadcasts.last().filter(|last| !last.is_over()).map(|last| live(id, last))
        };
        state.iter().filter_map(of_channel).collect()
    }

    /// Completes when [`Self::live`] has changed since the last call.
    pub async fn changed(&self) {
        self.0.changed.notified().await;
    }

    /// Whoever asks finds it from now on.
    pub(super) fn list(&self, channel: &ChannelId, broadcast: &Arc<Broadcast>) {
        self.state().entry(channel.clone()).or_default().broadcasts.push(Arc::clone(broadcast));
    }

    pub(super) fn inner(&self) -> &Inner {
        &self.0
    }

    /// A broadcast is over: viewers may finish it, but it is not live any more.
    pub(super) fn over(&self) {
        self.0.metrics.package.live.dec();
        self.0.changed.notify_one();
    }

    /// Nobody finds the broadcast any more.
    pub(super) fn forget(&self, channel: &ChannelId, broadcast: &Arc<Broadcast>) {
        let mut state = self.state();
        let Some(entry) = state.get_mut(channel) else { return };
        entry.broadcasts.retain(|known| !Arc::ptr_eq(known, broadcast));
        if entry.is_idle() {
            state.remove(channel);
        }
        drop(state);
        self.0.budget.settle();
    }

    fn state(&self) -> MutexGuard<'_, BTreeMap<ChannelId, Channel>> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Claim {
    /// With the channel's own ladder for broadcasts that begin from here on.
    #[must_use]
    pub fn with_ladder(mut self, ladder: Option<settings::Ladder>) -> Self {
        self.ladder = ladder;
        self
    }

    /// With as long a window, in seconds, for broadcasts that begin from here on.
    #[must_use]
    pub fn with_dvr(mut self, dvr: Option<u32>) -> Self {
        self.dvr = dvr;
        self
    }

    /// Whether the channel takes a publisher's further video tracks as renditions.
    pub fn takes_further(&self) -> bool {
        self.channels.0.transcode.with(self.ladder.as_ref()).from_publisher
    }

    /// The publisher has these further video tracks, by their numbers.
    pub fn bring(&mut self, further: &BTreeMap<u8, TrackConfig>) {
        self.own = transcode::ladder::own(further);
    }

    /// Whether the track of this number was there when the publisher came in.
    pub fn has_brought(&self, track: u8) -> bool {
        self.own.iter().any(|own| own.track == track)
    }

    /// The publisher has sent a frame.
    pub fn beat(&self) {
        *self.pulse.last.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// Completes when another publisher has taken the channel.
    pub async fn taken(&self) {
        self.pulse.taken.notified().await;
    }

    /// With which kind of key it was made.
    pub fn rank(&self) -> Rank {
        self.rank
    }

    /// What it is a claim to.
    pub fn channel(&self) -> &ChannelId {
        &self.channel
    }

    /// Goes on with the channel's broadcast where there is one that these tracks can be part of, and else begins
    /// one, or goes on with the one that another origin had `before`. A feed of this claim's that still exists must be
    /// dropped before.
    ///
    /// `newest` is the time of the newest frame that has arrived, in media ticks.
    pub fn begin(
        &self,
        video: Option<TrackConfig>,
        audio: Option<TrackConfig>,
        newest: i64,
        before: Before,
    ) -> Feed {
        let (queue, inputs) = mpsc::channel(QUEUE_FRAMES);
        let id = Id(self.channels.0.publishers.fetch_add(1, Ordering::Relaxed));
        let (has_video, rank) = (video.is_some(), self.rank);
        let air = Air::default();
        let (video_too, audio_too, own) = (video.clone(), audio.clone(), self.own.clone());
        let join =
            Join { id, rank, video: video_too, audio: audio_too, own, queue: inputs, air: air.clone() };
        let mut state = self.channels.state();
        let entry = state.entry(self.channel.clone()).or_default();
        let entrance = entry.program.as_ref().filter(|program| program.video == has_video);
        let refused = match entrance {
            Some(entrance) => entrance.joins.try_send(join),
            None => Err(TrySendError::Closed(join)),
        };
        let join = match refused {
            Ok(()) => {
                tracing::info!(channel = %self.channel, ?rank, "a publisher goes on with the broadcast");
                return Feed::new(queue, air, None);
            }
            // There is none, or it has just ended.
            Err(refused) => refused.into_inner(),
        };
        let (joins, receiver) = mpsc::channel(MAX_JOINS);
        let _room = joins.try_send(join);
        let (leave, left) = oneshot::channel();
        entry.program = Some(Entrance { joins, leave, video: has_video });
        drop(state);
        self.broadcast((video, audio), newest, before, receiver, left);
        Feed::new(queue, air, None)
    }
}

impl Channel {
    fn publisher(&mut self, rank: Rank) -> &mut Option<Arc<Pulse>> {
        match rank {
            Rank::Primary => &mut self.primary,
            Rank::Backup => &mut self.backup,
        }
    }

    fn is_idle(&self) -> bool {
        self.broadcasts.is_empty() && self.primary.is_none() && self.backup.is_none()
    }
}

impl Pulse {
    fn quiet(&self) -> Duration {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut state = self.channels.state();
        if let Some(entry) = state.get_mut(&self.channel) {
            let publisher = entry.publisher(self.rank);
            if publisher.as_ref().is_some_and(|publisher| Arc::ptr_eq(publisher, &self.pulse)) {
                *publisher = None;
            }
            if entry.is_idle() {
                state.remove(&self.channel);
            }
        }
    }
}

impl fmt::Debug for Channels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channels").field("live", &self.live().len()).finish()
    }
}

/// Publishers that come in at the same moment: one for each key's rank, and those that take their places.
const MAX_JOINS: usize = 8;

#[cfg(test)]
mod tests;
