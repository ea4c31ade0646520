//! A publisher as all protocols see it: a claim to a channel, the tracks it sends, and the broadcast it feeds.

use std::collections::BTreeMap;
use std::time::Duration;

use nearcast_media::{Config, Event, Piece, Track};

use super::access::Pass;
use super::bounds::Breach;
use super::forward::{Forwarder, Past};
use super::health::Probe;
use super::tracks::Tracks;
use crate::package::{Claim, Feed, Heard};

/// From an accepted publish to its end. When it is dropped without [`Self::stop`], the broadcast waits for it to come
/// back.
pub(super) struct Publisher {
    claim: Claim,
    /// Where its frames go, and what opens the door there.
    forwarder: Forwarder,
    pass: Pass,
    tracks: Tracks,
    /// Measures it, and holds it to its limits.
    probe: Probe,
    /// What it sends now, for a broadcast to begin with.
    video: Option<Config>,
    audio: Option<Config>,
    further: BTreeMap<u8, Config>,
    /// The channel takes further video tracks.
    takes_further: bool,
    /// The broadcast, once it has begun.
    feed: Option<Feed>,
    /// The broadcast that it fed before.
    before: Past,
}

impl Publisher {
    pub(super) fn new(claim: Claim, forwarder: Forwarder, pass: Pass, probe: Probe) -> Self {
        let takes_further = claim.takes_further();
        let (tracks, further) = (Tracks::new(takes_further), BTreeMap::new());
        let (video, audio, feed, before) = Default::default();
        Self { claim, forwarder, pass, tracks, probe, video, audio, further, takes_further, feed, before }
    }

    /// What measures the publisher.
    pub(super) fn probe(&self) -> &Probe {
        &self.probe
    }

    /// Whether the channel takes further video tracks.
    pub(super) fn takes_further(&self) -> bool {
        self.takes_further
    }

    /// Takes the number of bytes that were read, and says how long to wait before reading more.
    ///
    /// # Errors
    /// [`Breach`] when it is more than the channel takes: the publisher must be sent away.
    pub(super) fn received(&mut self, bytes: usize) -> Result<Duration, Breach> {
        self.probe.received(bytes)
    }

    /// Takes what a demuxer found.
    ///
    /// # Errors
    /// As [`Self::received`].
    pub(super) async fn take(&mut self, event: Event) -> Result<(), Breach> {
        self.probe.observe(&event)?;
        match &event {
            Event::Frame(..) => self.claim.beat(),
            Event::Config(config) => self.remember(config),
            Event::Further(..) if !self.takes_further => return Ok(()),
            Event::Further(track, Piece::Config(config)) => {
                self.further.insert(*track, config.clone());
                if self.feed.is_some() && !self.claim.has_brought(*track) {
                    self.probe.leave_out(LATE);
                }
            }
            Event::Further(..) => {}
        }
        let event = match &self.feed {
            None => event,
            Some(feed) => {
                if feed.send(event.clone()).await.is_ok() {
                    return Ok(());
                }
                // When its channel is closed, that may come to be known here first.
                self.check()?;
                self.before = match feed.heard() {
                    Some(Heard { refusal: Some(words), .. }) => return Err(Breach::elsewhere(words)),
                    Some(Heard { handover, .. }) => Past::Elsewhere(handover),
                    None => Past::Here,
                };
                // The broadcast has ended without us, or its origin is lost: another one begins, or it goes on here.
                self.tracks = Tracks::known(self.video.clone(), self.audio.clone(), self.further.clone());
                self.feed = None;
                event
            }
        };
        let Some(start) = self.tracks.push(event) else { return Ok(()) };
        self.claim.bring(&start.further);
        if self.takes_further && start.video.is_some() && start.further.is_empty() {
            self.probe.leave_out(ALONE);
        }
        let feed = self
            .forwarder
            .begin(&self.claim, self.pass.key(), &start, std::mem::take(&mut self.before))
            .await?;
        if let Err(breach) = self.check() {
            // Its channel has been closed while it began.
            feed.stop().await;
            return Err(breach);
        }
        for event in start.backlog {
            let _just_begun = feed.send(event).await;
        }
        self.probe.feeds(feed.air());
        self.feed = Some(feed);
        Ok(())
    }

    /// Whether viewers see what it sends.
    pub(super) fn is_on_air(&self) -> bool {
        self.feed.as_ref().is_some_and(|feed| feed.air().is_on())
    }

    /// The publisher stops of its own will.
    pub(super) async fn stop(self) {
        self.probe.leaves();
        if let Some(feed) = self.feed {
            feed.stop().await;
        }
    }

    /// This origin shuts down: a broadcast here ends, and one at another origin waits for the publisher to come back.
    pub(super) async fn drain(self) {
        match self.feed.as_ref().and_then(Feed::heard) {
            Some(_elsewhere) => self.probe.leaves(),
            None => self.stop().await,
        }
    }

    /// Completes when another publisher has taken the channel.
    pub(super) async fn taken(&self) {
        self.claim.taken().await;
        self.probe.leaves();
    }

    /// Completes when its key opens the channel no longer, with the reason.
    pub(super) async fn denied(&self) -> Breach {
        let mut snapshots = self.forwarder.snapshots();
        loop {
            if let Err(denied) = self.pass.check(&snapshots.borrow_and_update()) {
                return Breach::denied(&denied);
            }
            if snapshots.changed().await.is_err() {
                // No more news.
                std::future::pending().await
            }
        }
    }

    /// Whether its key still opens the channel.
    fn check(&self) -> Result<(), Breach> {
        let checked = self.pass.check(&self.forwarder.snapshots().borrow());
        checked.map_err(|denied| Breach::denied(&denied))
    }

    fn remember(&mut self, config: &Config) {
        let known = match config.track() {
            Track::Video => &mut self.video,
            Track::Audio => &mut self.audio,
        };
        *known = Some(config.clone());
    }
}

const ALONE: &str = "the channel takes its lower renditions from the publisher, and there are none: switch on multitrack video in \
                     the encoder (RTMP alone carries it), or set the channel's ladder";
const LATE: &str = "a further video track is left out: it came more than a second after the first; begin all of them together";
