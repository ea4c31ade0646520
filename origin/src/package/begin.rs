//! How a broadcast comes to be: anew, or as one that another origin had until it was lost.

use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use nearcast_api::{BroadcastId, ChannelId};
use nearcast_media::package::Position;
use nearcast_media::splice::Splicer;
use nearcast_media::{Config as TrackConfig, Picture, Sound};
use tokio::sync::{mpsc, oneshot};

use super::broadcast::Tracks;
use super::channels::{Channels, Claim, Inner};
use super::program::{Join, Program};
use super::{Broadcast, id};
use crate::transcode::{Ladder, Transcoders};

/// What another origin needs to go on with a broadcast.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handover {
    pub broadcast: BroadcastId,
    /// When it began, in milliseconds since the Unix epoch.
    pub started_at: u64,
    /// Since when it has been where it was, on the same clock.
    pub since: u64,
    pub position: Position,
}

/// Which broadcast it is, and from where on.
pub(super) struct Beginning {
    pub(super) id: BroadcastId,
    pub(super) folder: String,
    /// Milliseconds since the Unix epoch.
    pub(super) started_at: u64,
    /// When this origin took it over from another, on the same clock.
    pub(super) taken_over_at: Option<u64>,
    /// Time of the newest frame that has arrived, in [`CLOCK`] ticks.
    pub(super) newest: i64,
    /// Where it stood there.
    pub(super) position: Option<Position>,
}

impl Handover {
    /// Where the broadcast stands by now, when this was heard at `heard`, and its time now.
    fn reckon(&self, heard: Instant) -> (Position, i64) {
        let passed = heard.elapsed();
        let ticks = i64::try_from(passed.as_micros() * 9 / 100).unwrap_or(i64::MAX);
        // It may have gone on for a while without us, a segment in each target duration at the most.
        let segments = passed.as_secs() / u64::from(self.position.target_duration.max(1));
        let msn = self.position.msn.saturating_add(segments);
        (Position { msn, ..self.position }, self.position.end.saturating_add(ticks))
    }
}

impl Claim {
    /// Begins a broadcast of these tracks, or goes on with one that was lost, as it was `heard` last.
    pub(super) fn broadcast(
        &self,
        tracks: (Option<TrackConfig>, Option<TrackConfig>),
        newest: i64,
        lost: Option<(Handover, Instant)>,
        joins: mpsc::Receiver<Join>,
        left: oneshot::Receiver<bool>,
    ) {
        let Inner { config, transcode, encoder, failover, stores, budget, metrics, drain, changed, .. } =
            self.channels.inner();
        let (video, audio) = tracks;
        let transcode = &transcode.with(self.ladder.as_ref());
        let rungs = video.as_ref().map(|video| transcode.plan(video)).unwrap_or_default();
        let sounds = audio.as_ref().map(|audio| transcode.plan_audio(audio)).unwrap_or_default();
        let demand = Arc::new(transcode.demand(rungs.len()));
        let own = self.own.clone();
        let ladder = Ladder { rungs, sounds, own, audio_only: transcode.audio_only, demand };
        let names = ladder.all().map(|plan| plan.name).collect::<Vec<_>>().join(" ");
        let beginning = begin(newest, lost.as_ref());
        let id = beginning.id.clone();
        let sources = (video.as_ref(), audio.as_ref());
        let (transcoders, outputs) =
            Transcoders::spawn(transcode, &id, sources, &ladder, *encoder, drain, &metrics.transcode);
        let splicer = Splicer::new(failover.settings(config.part), video.clone(), audio.clone(), 0);
        let splicer = match &lost {
            Some((handover, heard)) => {
                let (position, now) = handover.reckon(*heard);
                splicer.resuming(position.end, now, 0)
            }
            None => splicer,
        };
        let thumbs = stores.studio.begin(&id, video.as_ref());
        let tracks = Tracks { video: video.clone(), audio: audio.clone(), ladder, thumbs };
        let shelf = stores.dvr.shelf(&beginning.folder);
        let share = Arc::clone(budget);
        let broadcast = Broadcast::new(beginning, config, tracks, metrics.package.clone(), share, shelf);
        stores.recorder.begin(&self.channel, &broadcast);
        self.channels.list(&self.channel, &broadcast);
        // Not before it can be asked for: who reads this may ask at once.
        tracing::info!(
            channel = %self.channel,
            broadcast = %id,
            video = video.as_ref().map(describe),
            audio = audio.as_ref().map(describe),
            rungs = names,
            "{}", if lost.is_some() { "a broadcast of another origin goes on here" } else { "a broadcast begins" }
        );
        if lost.is_some() {
            metrics.package.takeovers.inc();
        }
        metrics.package.live.inc();
        metrics.package.broadcasts.inc();
        changed.notify_one();
        let slate = stores.slates.make(video.as_ref());
        let program = Program {
            channels: self.channels.clone(),
            channel: self.channel.clone(),
            broadcast,
            splicer,
            joins,
            left: Some(left),
            transcoders,
            outputs,
            metrics: metrics.package.clone(),
            linger: config.linger(),
            slates: stores.slates.clone(),
            slate,
            drain: drain.clone(),
        };
        drain.spawn("broadcast", program.run());
    }
}

impl Broadcast {
    /// What another origin needs to go on with it; none before there is something to play.
    pub fn handover(&self) -> Option<Handover> {
        let position = self.state().core.position()?;
        let (broadcast, started_at) = (self.id().clone(), self.started_at());
        Some(Handover { broadcast, started_at, since: self.taken_over_at().unwrap_or(started_at), position })
    }
}

/// `newest` is the time of the newest frame that has arrived, which is what happens now.
fn begin(newest: i64, lost: Option<&(Handover, Instant)>) -> Beginning {
    let now = SystemTime::now();
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let now_ms = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
    if let Some((handover, heard)) = lost {
        let (position, _) = handover.reckon(*heard);
        let Handover { broadcast, started_at, since, .. } = handover;
        return Beginning {
            id: broadcast.clone(),
            // What has a name keeps its bytes, wherever both origins' recordings go.
            folder: format!("{broadcast}-{}", position.msn),
            started_at: *started_at,
            // Whatever the clocks of the two say, this is later.
            taken_over_at: Some(now_ms.max(since.saturating_add(1))),
            newest,
            position: Some(position),
        };
    }
    let mut random = [0; 10];
    // Without random numbers no TLS works either; the time alone still makes the name unique here.
    let _still_unique = aws_lc_rs::rand::fill(&mut random);
    let id = id::broadcast(now, random);
    let folder = id.as_str().to_owned();
    Beginning { id, folder, started_at: now_ms, taken_over_at: None, newest, position: None }
}

impl Channels {
    /// What the channel's broadcast here is to whoever would go on with it; none before there is something to play.
    pub fn handover(&self, channel: &ChannelId) -> Option<Handover> {
        self.current(channel.as_str()).filter(|broadcast| !broadcast.is_over())?.handover()
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
