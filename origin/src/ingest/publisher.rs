//! A publisher as all protocols see it: a claim to a channel, the tracks it sends, and the broadcast it feeds.

use nearcast_media::{Config, Event, Track};

use super::tracks::Tracks;
use crate::package::{Claim, Feed};

/// From an accepted publish to its end; dropping it gives the channel up.
pub(super) struct Publisher {
    claim: Claim,
    tracks: Tracks,
    /// The broadcast, once it has begun.
    feed: Option<Feed>,
}

impl Publisher {
    pub(super) fn new(claim: Claim) -> Self {
        Self { claim, tracks: Tracks::default(), feed: None }
    }

    /// Takes what a demuxer found.
    pub(super) async fn take(&mut self, event: Event) {
        if let Event::Frame(..) = event {
            self.claim.beat();
        }
        if let (Some(feed), Event::Config(config)) = (&self.feed, &event) {
            if !self.renews(feed, config) {
                return;
            }
            // Media names never mean other bytes, so what is decoded otherwise is another broadcast.
            let (video, audio) = feed.configs();
            self.tracks = Tracks::known(video, audio);
            self.feed = None;
        }
        match (&mut self.feed, event) {
            (Some(feed), Event::Frame(track, frame)) => feed.push(track, frame).await,
            (_, event) => {
                let Some(start) = self.tracks.push(event) else { return };
                let backlog = start.backlog;
                let newest = backlog.iter().map(|(_, frame)| frame.dts).max().unwrap_or(0);
                let mut feed = self.claim.begin(start.video, start.audio, newest);
                for (track, frame) in backlog {
                    feed.push(track, frame).await;
                }
                self.feed = Some(feed);
            }
        }
    }

    /// Whether a configuration in the middle of a broadcast begins another one. A track that the broadcast
    /// began without stays left out.
    fn renews(&self, feed: &Feed, config: &Config) -> bool {
        let (video, audio) = feed.configs();
        let known = match config.track() {
            Track::Video => video,
            Track::Audio => audio,
        };
        if known.is_none() {
            tracing::warn!("a track that begins in the middle of a broadcast is left out");
        }
        known.is_some_and(|known| known != *config)
    }

    /// Completes when another publisher has taken the channel.
    pub(super) async fn taken(&self) {
        self.claim.taken().await;
    }
}
