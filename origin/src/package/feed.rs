//! A broadcast's task: frames from the publisher and from the ladder into the packager, then the end.

use std::sync::Arc;
use std::time::Duration;

use nearcast_api::ChannelId;
use nearcast_media::{Config, Frame, Track};
use nearcast_service::drain::Drain;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::{Broadcast, Channels};
use crate::transcode::{Output, Transcoder};

/// Where a publisher's frames go. Dropping it ends the broadcast.
#[derive(Debug)]
pub struct Feed {
    queue: mpsc::Sender<(Track, Frame)>,
    video: Option<Config>,
    audio: Option<Config>,
}

impl Feed {
    pub(super) fn new(
        queue: mpsc::Sender<(Track, Frame)>,
        video: Option<Config>,
        audio: Option<Config>,
    ) -> Self {
        Self { queue, video, audio }
    }

    /// What the broadcast began with.
    pub fn configs(&self) -> (Option<Config>, Option<Config>) {
        (self.video.clone(), self.audio.clone())
    }

    /// Hands a frame on. Waits while the packager is behind, so that the publisher's socket fills up.
    pub async fn push(&mut self, track: Track, frame: Frame) {
        // The task ends only after this feed.
        let _never_closed = self.queue.send((track, frame)).await;
    }
}

/// What the task behind a [`Feed`] needs.
pub(super) struct Task {
    pub(super) channels: Channels,
    pub(super) channel: ChannelId,
    pub(super) broadcast: Arc<Broadcast>,
    pub(super) linger: Duration,
    pub(super) drain: Drain,
}

impl Task {
    /// From the first frame to the last viewer's last request.
    pub(super) async fn run(
        self,
        mut frames: mpsc::Receiver<(Track, Frame)>,
        ladder: Option<(Transcoder, mpsc::Receiver<Output>)>,
    ) {
        let (mut transcoder, mut outputs) = ladder.unzip();
        loop {
            tokio::select! {
                // The ladder first: it is bounded by the frames, and its child waits while it is not heard.
                biased;
                Some(output) = next(&mut outputs) => self.broadcast.follow(output),
                frame = frames.recv() => match frame {
                    Some((track, frame)) => {
                        let cut = self.broadcast.push(track, frame.clone());
                        if let (Track::Video, Some(transcoder)) = (track, &mut transcoder) {
                            transcoder.push(frame, cut);
                        }
                    }
                    None => break,
                },
            }
        }
        drop(transcoder);
        let flush = async {
            while let Some(output) = next(&mut outputs).await {
                self.broadcast.follow(output);
            }
        };
        let _incomplete = timeout(FLUSH, flush).await;
        self.broadcast.finish();
        self.channels.over();
        tracing::info!(channel = %self.channel, broadcast = %self.broadcast.id(), "a broadcast is over");
        self.drain.unless_draining(tokio::time::sleep(self.linger)).await;
        self.channels.forget(&self.channel, &self.broadcast);
    }
}

/// The next output, or nothing when there is no ladder or its last child has ended.
async fn next(outputs: &mut Option<mpsc::Receiver<Output>>) -> Option<Output> {
    outputs.as_mut()?.recv().await
}

/// For the ladder to encode what it still has; the publisher is gone, so nobody waits but the playlist's end.
const FLUSH: Duration = Duration::from_secs(5);
