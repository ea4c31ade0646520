//! How a broadcast comes to be: anew, or as one that another origin had until it was lost.

use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use nearcast_api::BroadcastId;
use nearcast_media::frame::CLOCK;
use nearcast_media::package::Position;
use nearcast_media::splice::Splicer;
use nearcast_media::{Config as TrackConfig, Picture, Sound};
use tokio::sync::{mpsc, oneshot};

use super::broadcast::Tracks;
use super::channels::{Claim, Inner};
use super::program::{Join, Program};
use super::{Broadcast, Config, id};
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

/// What there was of the channel at other origins.
#[derive(Debug, Clone, Default)]
pub struct Before {
    /// Since when one has it that cannot be reached: what begins here has it since later.
    pub since: Option<u64>,
    /// What to go on with, and when that was heard.
    pub lost: Option<(Handover, Instant)>,
}

/// A broadcast that was lost, as it stands by now.
struct Lost {
    handover: Handover,
    /// The broadcast's time now, in [`CLOCK`] ticks.
    now: i64,
}

impl Lost {
    /// As it was `heard` of then. `segment` is how long segments are to be, in seconds.
    fn reckon((mut handover, heard): (Handover, Instant), segment: f64) -> Self {
        let passed = heard.elapsed();
        let ticks = i64::try_from(passed.as_micros() * 9 / 100).unwrap_or(i64::MAX);
        let now = handover.position.end.saturating_add(ticks);
        // It may have gone on for a while without us, and a failing encoder's segments are short. What has a name must
        // not get other bytes; numbers that nobody has do no harm.
        let segments = (2.0 * passed.as_secs_f64() / segment) as u64;
        handover.position.msn = handover.position.msn.saturating_add(segments);
        Self { handover, now }
    }
}

impl Claim {
    /// Begins a broadcast of these tracks, or goes on with one that was lost.
    pub(super) fn broadcast(
        &self,
        tracks: (Option<TrackConfig>, Option<TrackConfig>),
        newest: i64,
        before: Before,
        joins: mpsc::Receiver<Join>,
        left: oneshot::Receiver<bool>,
    ) {
        let Inner { config, transcode, encoder, failover, stores, budget, metrics, drain, changed, .. } =
            self.channels.inner();
        let window = self.dvr.map_or(config.window, f64::from);
        let config = &Config { window, ..config.clone() };
        let (video, audio) = tracks;
        let transcode = &transcode.with(self.ladder.as_ref());
        let rungs = video.as_ref().map(|video| transcode.plan(video)).unwrap_or_default();
        let sounds = audio.as_ref().map(|audio| transcode.plan_audio(audio)).unwrap_or_default();
        let demand = Arc::new(transcode.demand(rungs.len()));
        let own = self.own.clone();
        let ladder = Ladder { rungs, sounds, own, audio_only: transcode.audio_only, demand };
        let names = ladder.all().map(|plan| plan.name).collect::<Vec<_>>().join(" ");
        let lost = before.lost.map(|lost| Lost::reckon(lost, config.segment));
        let beginning = begin(newest, before.since, lost.as_ref());
        let id = beginning.id.clone();
        let sources = (video.as_ref(), audio.as_ref());
        let (transcoders, outputs) =
            Transcoders::spawn(transcode, &id, sources, &ladder, *encoder, drain, &metrics.transcode);
        let splicer = Splicer::new(failover.settings(config.part), video.clone(), audio.clone(), 0);
        let splicer = match &lost {
            Some(Lost { handover, now }) => splicer.resuming(handover.position.end, *now, 0),
            None => splicer,
        };
        // No picture of the origin before has such a number: it made one a second at most.
        let position = lost.as_ref().map(|lost| &lost.handover.position);
        let pictures = position.map_or(0, |at| (at.end.saturating_sub(at.epoch) / CLOCK).unsigned_abs());
        let thumbs = stores.studio.begin(&id, video.as_ref(), pictures);
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
        // A splice makes its own.
        let slate = if lost.is_none() { stores.slates.make(video.as_ref()) } else { None };
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
fn begin(newest: i64, after: Option<u64>, lost: Option<&Lost>) -> Beginning {
    let now = SystemTime::now();
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let now_ms = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
    // Whatever the clocks of the two say, ours is later.
    let later = |since: u64| now_ms.max(since.saturating_add(1));
    let mut random = [0; 10];
    // Without random numbers no TLS works either; the time alone still makes the name unique here.
    let _still_unique = aws_lc_rs::rand::fill(&mut random);
    let fresh = id::broadcast(now, random);
    // What has a name keeps its bytes, wherever the recordings of both origins go.
    let folder = fresh.as_str().to_owned();
    match lost {
        Some(Lost { handover: Handover { broadcast, started_at, since, position }, .. }) => Beginning {
            id: broadcast.clone(),
            folder,
            started_at: *started_at,
            taken_over_at: Some(later(*since)),
            newest,
            position: Some(*position),
        },
        None => {
            let taken_over_at = after.map(later);
            Beginning { id: fresh, folder, started_at: now_ms, taken_over_at, newest, position: None }
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
