//! A broadcast's task: what its publishers send goes through the splicer into packager and ladder, then the end.

use std::future::poll_fn;
use std::path::PathBuf;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use nearcast_api::ChannelId;
use nearcast_media::frame::CLOCK;
use nearcast_media::splice::{self, Id, Rank, Splicer};
use nearcast_media::{Config as TrackConfig, Frame, Piece, Track};
use nearcast_service::drain::Drain;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout};

use super::feed::{Air, Input};
use super::slate::{Picture, Slates};
use super::{Broadcast, Channels};
use crate::metrics::Package as Metrics;
use crate::transcode::{Output, Own, Transcoders};

/// `[failover]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Seconds for which a broadcast waits for a publisher whose line has failed; meanwhile viewers see its last
    /// picture, or the slate. 0 ends the broadcast at once. A publisher that stops of its own will ends it at once as well.
    pub grace: u64,
    /// Seconds for which a publisher must have sent without a stall before it takes the air back from its backup.
    pub failback: u64,
    /// A JPEG or PNG file to show instead of the last picture of an H.264 publisher, in the middle of black, and of
    /// its size. Empty for the last picture.
    pub slate: PathBuf,
}

impl Default for Config {
    fn default() -> Self {
        Self { grace: 30, failback: 10, slate: PathBuf::new() }
    }
}

impl Config {
    /// Says what cannot work, if anything.
    pub fn check(&self) -> Result<(), String> {
        super::slate::check(&self.slate)
    }

    /// `part` is the length of a part in seconds: pictures must come more often.
    pub(super) fn settings(&self, part: f64) -> splice::Settings {
        let seconds = |seconds: u64| i64::try_from(seconds).unwrap_or(i64::MAX / CLOCK).saturating_mul(CLOCK);
        splice::Settings {
            grace: seconds(self.grace),
            // Whole numbers of them fill a part.
            interval: (part.min(0.5) / 2.0 * CLOCK as f64) as i64,
            failback: seconds(self.failback),
        }
    }
}

/// A publisher comes in.
#[derive(Debug)]
pub(super) struct Join {
    pub(super) id: Id,
    pub(super) rank: Rank,
    pub(super) video: Option<TrackConfig>,
    pub(super) audio: Option<TrackConfig>,
    /// Its own renditions.
    pub(super) own: Vec<Own>,
    pub(super) queue: mpsc::Receiver<Input>,
    pub(super) air: Air,
}

/// What the task needs.
pub(super) struct Program {
    pub(super) channels: Channels,
    pub(super) channel: ChannelId,
    pub(super) broadcast: Arc<Broadcast>,
    pub(super) splicer: Splicer,
    pub(super) joins: mpsc::Receiver<Join>,
    /// Says that another origin has the channel, and whether this broadcast goes on there.
    pub(super) left: Option<oneshot::Receiver<bool>>,
    /// What makes the broadcast's ladder, and what it has made.
    pub(super) transcoders: Transcoders,
    pub(super) outputs: mpsc::Receiver<Output>,
    pub(super) metrics: Metrics,
    pub(super) linger: Duration,
    pub(super) slates: Slates,
    /// The slate of the newest source, in the making.
    pub(super) slate: Option<oneshot::Receiver<Picture>>,
    pub(super) drain: Drain,
}

/// A publisher that is connected.
struct Source {
    id: Id,
    queue: mpsc::Receiver<Input>,
    air: Air,
    /// Its further video tracks, and which of the broadcast's own renditions each of them is.
    own: Vec<(u8, u8)>,
    stopped: bool,
}

/// What the task has been waiting for.
enum Event {
    Made(Output),
    Joined(Join),
    Sent(Id, Option<Input>),
    Drawn(Picture),
    /// Nobody can come in any more.
    Closed,
    /// The channel is another origin's, where the broadcast goes on or does not, or nobody's.
    Left(bool),
    Time,
    Draining,
}

impl Program {
    /// From the first frame to the last viewer's last request.
    pub(super) async fn run(mut self) {
        let began = Instant::now();
        let ticks = |duration: Duration| i64::try_from(duration.as_micros() * 9 / 100).unwrap_or(i64::MAX);
        let mut sources: Vec<Source> = Vec::new();
        let mut open = true;
        let (mut over, mut moved) = (false, false);
        while !over {
            let due = self.splicer.poll_timeout().map(|due| {
                let micros = u64::try_from(due.max(0)).unwrap_or(0).div_ceil(9) * 100;
                began + Duration::from_micros(micros)
            });
            let event = self.next(&mut sources, open, due).await;
            let now = ticks(began.elapsed());
            match event {
                Event::Made(output) => self.broadcast.follow(output),
                Event::Joined(Join { id, rank, video, audio, own, queue, air }) => {
                    self.splicer.join(id, rank, now);
                    for config in video.into_iter().chain(audio) {
                        self.splicer.configure(id, config, now);
                    }
                    let own = self.bring(id, own, &air, now);
                    sources.push(Source { id, queue, air, own, stopped: false });
                }
                Event::Sent(id, Some(Input::Further(track, piece))) => {
                    let source = sources.iter().find(|source| source.id == id);
                    if let Some(own) = source.and_then(|source| source.own_of(track)) {
                        self.splicer.further(id, own, piece, now);
                    }
                }
                Event::Sent(id, Some(Input::Config(config))) => self.splicer.configure(id, config, now),
                Event::Sent(id, Some(Input::Frame(track, frame))) => self.splicer.push(id, track, frame, now),
                Event::Sent(id, Some(Input::Stop)) => {
                    sources
                        .iter_mut()
                        .filter(|source| source.id == id)
                        .for_each(|source| source.stopped = true);
                }
                Event::Sent(id, None) => {
                    let stopped = sources.iter().any(|source| source.id == id && source.stopped);
                    sources.retain(|source| source.id != id);
                    self.splicer.leave(id, stopped || !open, now);
                }
                Event::Drawn(Picture { of, config, frame }) => self.splicer.set_picture(&of, config, frame),
                Event::Closed => open = false,
                Event::Left(goes_on) => (over, moved) = (true, goes_on),
                Event::Time => self.splicer.handle_timeout(now),
                Event::Draining => over = true,
            }
            // Another broadcast has taken the channel, and this one's publishers have gone to it.
            over |= !open && sources.is_empty();
            while let Some(output) = self.splicer.poll_output() {
                over |= self.act(output, &sources);
            }
        }
        // Whoever joins from here on finds the queue closed and begins anew.
        self.joins.close();
        drop(sources);
        self.finish(moved).await;
    }

    /// The ladder first: it is bounded by the frames, and its child waits while it is not heard.
    async fn next(&mut self, sources: &mut [Source], open: bool, due: Option<Instant>) -> Event {
        let alone = sources.is_empty();
        tokio::select! {
            biased;
            Some(goes_on) = once(&mut self.left), if open => Event::Left(goes_on),
            Some(output) = self.outputs.recv() => Event::Made(output),
            Some(picture) = once(&mut self.slate) => Event::Drawn(picture),
            join = self.joins.recv(), if open => join.map_or(Event::Closed, Event::Joined),
            (id, input) = sent(sources) => Event::Sent(id, input),
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => Event::Time,
            // Publishers end by themselves when the origin drains; what waits for one does not.
            () = self.drain.draining(), if alone => Event::Draining,
        }
    }

    /// Does what the splicer says. True when the broadcast is over.
    fn act(&mut self, output: splice::Output, sources: &[Source]) -> bool {
        match output {
            splice::Output::Frame(track, frame) => self.frame(track, frame),
            splice::Output::Splice { video, audio } => {
                self.metrics.splices.inc();
                self.transcoders.renew(video.as_ref(), audio.as_ref());
                self.slate = self.slates.make(video.as_ref());
                self.broadcast.splice(video, audio);
            }
            splice::Output::Further(own, piece) => self.own(own, piece, sources),
            splice::Output::OnAir(Id(source)) => {
                sources.iter().for_each(|known| known.air.set(known.id == Id(source)));
                tracing::info!(channel = %self.channel, broadcast = %self.broadcast.id(), source, "a publisher is on the air");
            }
            splice::Output::Slate { picture } => {
                self.metrics.slates.inc();
                sources.iter().for_each(|known| known.air.set(false));
                self.transcoders.renew(picture.as_ref(), None);
                self.broadcast.splice(picture, None);
                tracing::warn!(
                    channel = %self.channel,
                    broadcast = %self.broadcast.id(),
                    "no publisher is on the air: viewers see a still picture"
                );
            }
            splice::Output::End => return true,
        }
        false
    }

    /// A publisher comes with its own renditions: which of the broadcast's they are, by their names.
    fn bring(&mut self, id: Id, brought: Vec<Own>, air: &Air, now: i64) -> Vec<(u8, u8)> {
        let mut known = Vec::new();
        for Own { track, name, config } in brought {
            let place = self.broadcast.ladder.own.iter().position(|own| own.name == name);
            match place.and_then(|place| u8::try_from(place).ok()) {
                Some(place) => {
                    self.splicer.further(id, place, Piece::Config(config), now);
                    known.push((track, place));
                }
                None => air.note(|notes| notes.lacking.push(name)),
            }
        }
        known
    }

    /// Packages what the publisher on the air sends as its own rendition of this number.
    fn own(&self, own: u8, piece: Piece, sources: &[Source]) {
        let astray = self.broadcast.follow_own(own, piece);
        let Some(name) = self.broadcast.ladder.own.get(usize::from(own)).map(|own| &own.name) else { return };
        let Some(source) = sources.iter().find(|source| source.air.is_on()) else { return };
        source.air.note(|notes| {
            let known = notes.astray.contains(name);
            match (known, astray) {
                (false, true) => notes.astray.push(name.clone()),
                (true, false) => notes.astray.retain(|known| known != name),
                _ => {}
            }
        });
    }

    fn frame(&mut self, track: Track, frame: Frame) {
        let cut = self.broadcast.push(track, frame.clone());
        self.transcoders.push(track, frame, cut);
    }

    async fn finish(mut self, moved: bool) {
        self.transcoders = Transcoders::default();
        let flush = async {
            while let Some(output) = self.outputs.recv().await {
                self.broadcast.follow(output);
            }
        };
        if moved {
            // Edges must hear it at once.
            self.broadcast.leave();
        } else {
            let _incomplete = timeout(FLUSH, flush).await;
            self.broadcast.finish();
        }
        self.channels.over();
        let told = if moved { "a broadcast goes on at another origin" } else { "a broadcast is over" };
        tracing::info!(channel = %self.channel, broadcast = %self.broadcast.id(), "{told}");
        self.drain.unless_draining(tokio::time::sleep(self.linger)).await;
        self.channels.forget(&self.channel, &self.broadcast);
    }
}

impl Source {
    fn own_of(&self, track: u8) -> Option<u8> {
        self.own.iter().find(|(known, _)| *known == track).map(|(_, own)| *own)
    }
}

/// What is to come, once. Nothing when nothing is, or it cannot be.
async fn once<T>(coming: &mut Option<oneshot::Receiver<T>>) -> Option<T> {
    let come = coming.as_mut()?.await;
    *coming = None;
    come.ok()
}

/// What the next of the publishers has sent; nothing from one that has gone. Never completes without publishers.
async fn sent(sources: &mut [Source]) -> (Id, Option<Input>) {
    poll_fn(|context| {
        for source in &mut *sources {
            if let Poll::Ready(input) = source.queue.poll_recv(context) {
                return Poll::Ready((source.id, input));
            }
        }
        Poll::Pending
    })
    .await
}

/// For the ladder to encode what it still has; the publisher is gone, so nobody waits but the playlist's end.
const FLUSH: Duration = Duration::from_secs(5);
