//! A publisher as all protocols see it: a claim to a channel, the tracks it sends, and the broadcast it feeds.

use nearcast_media::{Config, Event, Track};

use super::tracks::Tracks;
use crate::package::{Claim, Feed};

/// From an accepted publish to its end. When it is dropped without [`Self::stop`], the broadcast waits for it to come
/// back.
pub(super) struct Publisher {
    claim: Claim,
    tracks: Tracks,
    /// What it sends now, for a broadcast to begin with.
    video: Option<Config>,
    audio: Option<Config>,
    /// The broadcast, once it has begun.
    feed: Option<Feed>,
}

impl Publisher {
    pub(super) fn new(claim: Claim) -> Self {
        Self { claim, tracks: Tracks::default(), video: None, audio: None, feed: None }
    }

    /// Takes what a demuxer found.
    pub(super) async fn take(&mut self, event: Event) {
        match &event {
            Event::Frame(..) => self.claim.beat(),
            Event::Config(config) => self.remember(config),
        }
        let event = match &self.feed {
            None => event,
            Some(feed) => {
                let passed = match event.clone() {
                    Event::Config(config) => feed.configure(config).await,
                    Event::Frame(track, frame) => feed.push(track, frame).await,
                };
                if passed.is_ok() {
                    return;
                }
                // The broadcast has ended without us, such as by an operator: another one begins.
                self.tracks = Tracks::known(self.video.clone(), self.audio.clone());
                self.feed = None;
                event
            }
        };
        let Some(start) = self.tracks.push(event) else { return };
        let newest = start.backlog.iter().map(|(_, frame)| frame.dts).max().unwrap_or(0);
        let feed = self.claim.begin(start.video, start.audio, newest);
        for (track, frame) in start.backlog {
            let _just_begun = feed.push(track, frame).await;
        }
        self.feed = Some(feed);
    }

    /// The publisher stops of its own will.
    pub(super) async fn stop(self) {
        if let Some(feed) = self.feed {
            feed.stop().await;
        }
    }

    /// Completes when another publisher has taken the channel.
    pub(super) async fn taken(&self) {
        self.claim.taken().await;
    }

    fn remember(&mut self, config: &Config) {
        let known = match config.track() {
            Track::Video => &mut self.video,
            Track::Audio => &mut self.audio,
        };
        *known = Some(config.clone());
    }
}
