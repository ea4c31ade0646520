//! Which channel is live, and the broadcasts that can be asked for: the live ones and those just over.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use nearcast_api::{ChannelId, node};
use nearcast_media::{Config as TrackConfig, Picture, Sound};
use nearcast_service::drain::Drain;
use tokio::sync::{Notify, mpsc};

use super::broadcast::Tracks;
use super::feed::{Feed, Task};
use super::{Broadcast, Config, id};
use crate::metrics::Metrics;
use crate::transcode::{self, Transcoder};

/// All channels of this origin. Clones are the same.
#[derive(Clone)]
pub struct Channels(Arc<Inner>);

struct Inner {
    config: Config,
    transcode: transcode::Config,
    metrics: Metrics,
    drain: Drain,
    state: Mutex<BTreeMap<ChannelId, Channel>>,
    changed: Notify,
}

#[derive(Default)]
struct Channel {
    publisher: Option<Arc<Pulse>>,
    /// Oldest first.
    broadcasts: Vec<Arc<Broadcast>>,
}

/// A publisher's right to a channel, until it is dropped.
#[derive(Debug)]
pub struct Claim {
    channels: Channels,
    channel: ChannelId,
    pulse: Arc<Pulse>,
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
    pub fn new(config: Config, transcode: transcode::Config, metrics: Metrics, drain: Drain) -> Self {
        let (state, changed) = (Mutex::default(), Notify::new());
        Self(Arc::new(Inner { config, transcode, metrics, drain, state, changed }))
    }

    /// Takes the channel for one publisher.
    ///
    /// # Errors
    /// [`Busy`] when another one has it and has sent a frame within `quiet`; that one is not disturbed. One that
    /// has been quiet for longer has lost its line, and whoever knows the key may take its place.
    pub fn claim(&self, channel: &ChannelId, quiet: Duration) -> Result<Claim, Busy> {
        let mut state = self.state();
        let entry = state.entry(channel.clone()).or_default();
        match &entry.publisher {
            Some(publisher) if publisher.quiet() < quiet => return Err(Busy(channel.clone())),
            Some(publisher) => publisher.taken.notify_one(),
            None => {}
        }
        let pulse = Arc::new(Pulse { last: Mutex::new(Instant::now()), taken: Notify::new() });
        entry.publisher = Some(Arc::clone(&pulse));
        Ok(Claim { channels: self.clone(), channel: channel.clone(), pulse })
    }

    /// The channel's newest broadcast: live, or over for no longer than the linger.
    pub fn current(&self, channel: &str) -> Option<Arc<Broadcast>> {
        self.state().get(channel)?.broadcasts.last().cloned()
    }

    /// One broadcast of the channel.
    pub fn broadcast(&self, channel: &str, id: &str) -> Option<Arc<Broadcast>> {
        self.state().get(channel)?.broadcasts.iter().rev().find(|b| b.id().as_str() == id).cloned()
    }

    /// All that is live, for heartbeats.
    pub fn live(&self) -> Vec<node::Broadcast> {
        let state = self.state();
        let live = |channel: &ChannelId, broadcast: &Broadcast| node::Broadcast {
            channel: channel.clone(),
            id: broadcast.id().clone(),
            started_at: broadcast.started_at(),
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
        if entry.broadcasts.is_empty() && entry.publisher.is_none() {
            state.remove(channel);
        }
    }

    fn state(&self) -> MutexGuard<'_, BTreeMap<ChannelId, Channel>> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Claim {
    /// The publisher has sent a frame.
    pub fn beat(&self) {
        *self.pulse.last.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// Completes when another publisher has taken the channel.
    pub async fn taken(&self) {
        self.pulse.taken.notified().await;
    }

    /// Begins a broadcast of these tracks. A feed of this claim's that still exists must be dropped before.
    ///
    /// `newest` is the time of the newest frame that has arrived, in media ticks.
    pub fn begin(&self, video: Option<TrackConfig>, audio: Option<TrackConfig>, newest: i64) -> Feed {
        let Inner { config, transcode, metrics, drain, changed, .. } = &*self.channels.0;
        let mut random = [0; 10];
        // Without random numbers no TLS works either; the time alone still makes the name unique here.
        let _still_unique = aws_lc_rs::rand::fill(&mut random);
        let now = SystemTime::now();
        let id = id::broadcast(now, random);
        let rungs = video.as_ref().map(|video| transcode.plan(video)).unwrap_or_default();
        let ladder = video
            .as_ref()
            .filter(|_| !rungs.is_empty())
            .map(|video| Transcoder::spawn(transcode, id.clone(), video, &rungs, drain, &metrics.transcode));
        tracing::info!(
            channel = %self.channel,
            broadcast = %id,
            video = video.as_ref().map(describe),
            audio = audio.as_ref().map(describe),
            rungs = rungs.iter().map(|rung| rung.name.as_str()).collect::<Vec<_>>().join(" "),
            "a broadcast begins"
        );
        let tracks = Tracks { video: video.clone(), audio: audio.clone(), rungs, newest };
        let broadcast = Arc::new(Broadcast::new(id, now, config, tracks, metrics.package.clone()));
        let (queue, frames) = mpsc::channel(QUEUE_FRAMES);
        self.channels
            .state()
            .entry(self.channel.clone())
            .or_default()
            .broadcasts
            .push(Arc::clone(&broadcast));
        metrics.package.live.inc();
        metrics.package.broadcasts.inc();
        changed.notify_one();
        let task = Task {
            channels: self.channels.clone(),
            channel: self.channel.clone(),
            broadcast,
            linger: config.linger(),
            drain: drain.clone(),
        };
        drain.spawn("broadcast", task.run(frames, ladder));
        Feed::new(queue, video, audio)
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
            if entry.publisher.as_ref().is_some_and(|publisher| Arc::ptr_eq(publisher, &self.pulse)) {
                entry.publisher = None;
            }
            if entry.broadcasts.is_empty() && entry.publisher.is_none() {
                state.remove(&self.channel);
            }
        }
    }
}

/// A track for the log.
fn describe(config: &TrackConfig) -> String {
    let codec = config.codec_string();
    match (config.picture(), config.sound()) {
        (Some(Picture { width, height, .. }), _) => format!("{codec} {width}x{height}"),
        (_, Some(Sound { sample_rate, channels })) => {
            format!("{codec} {sample_rate} Hz, {channels} channels")
        }
        _ => codec,
    }
}

impl fmt::Debug for Channels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channels").field("live", &self.live().len()).finish()
    }
}

/// Two seconds of 60 pictures and 48 sounds each: the task behind it never waits, so it is empty but for
/// bursts; a full one holds the publisher's socket up.
const QUEUE_FRAMES: usize = 216;

#[cfg(test)]
mod tests {
    use super::*;

    fn channels() -> Channels {
        let metrics = Metrics::register(&nearcast_service::metrics::Registry::new());
        Channels::new(Config::default(), transcode::Config::default(), metrics, Drain::new())
    }

    #[tokio::test]
    async fn a_channel_has_one_publisher_and_a_quiet_one_loses_it() {
        let (channels, channel) = (channels(), "demo".parse().unwrap());
        let first = channels.claim(&channel, Duration::from_secs(60)).unwrap();
        let refused = channels.claim(&channel, Duration::from_secs(60)).unwrap_err();
        assert!(refused.to_string().contains("channel demo is live from another encoder"));

        let second = channels.claim(&channel, Duration::ZERO).unwrap();
        first.taken().await;
        drop(first);
        assert!(channels.claim(&channel, Duration::from_secs(60)).is_err(), "the second still has it");
        drop(second);
        assert!(channels.state().is_empty());
    }
}
