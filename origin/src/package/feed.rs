//! A publisher's end of its broadcast: where its frames go.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use nearcast_api::RenditionId;
use nearcast_media::{Config, Event, Frame, Piece, Track};
use tokio::sync::mpsc;

use super::Handover;

/// What a publisher sends.
#[derive(Debug)]
pub(crate) enum Input {
    Config(Config),
    Frame(Track, Frame),
    /// What a further video track has.
    Further(u8, Piece),
    /// It has said that it stops.
    Stop,
}

/// Where a publisher's frames go. When it is dropped without a stop, the broadcast waits for it to come back.
#[derive(Debug)]
pub struct Feed {
    queue: mpsc::Sender<Input>,
    air: Air,
    /// Of the origin that they are passed on to, where they are.
    word: Option<Word>,
}

/// What the origin says that frames are passed on to. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Word(Arc<Mutex<Heard>>);

/// What was heard of it so far.
#[derive(Debug, Clone, Default)]
pub struct Heard {
    /// Why the publisher must go.
    pub refusal: Option<String>,
    /// Where the broadcast stood last, and when that was heard: to go on with, should the origin be lost.
    pub handover: Option<(Handover, Instant)>,
}

/// Whether viewers see what a publisher sends. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Air(Arc<Shown>);

#[derive(Debug, Default)]
struct Shown {
    on: AtomicBool,
    notes: Mutex<Notes>,
}

/// What there is to tell of a publisher's own renditions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Notes {
    /// The broadcast began without them.
    pub lacking: Vec<RenditionId>,
    /// They have no keyframes where the source's segments begin.
    pub astray: Vec<RenditionId>,
}

/// The broadcast has ended.
#[derive(Debug, PartialEq, Eq)]
pub struct Over;

impl Feed {
    pub(crate) fn new(queue: mpsc::Sender<Input>, air: Air, word: Option<Word>) -> Self {
        Self { queue, air, word }
    }

    /// What the origin has said that frames are passed on to; nothing where they stay here.
    pub fn heard(&self) -> Option<Heard> {
        self.word.as_ref().map(|word| word.heard().clone())
    }

    /// Whether viewers see what is fed.
    pub fn air(&self) -> &Air {
        &self.air
    }

    /// From here on frames are of this configuration.
    pub async fn configure(&self, config: Config) -> Result<(), Over> {
        self.put(Input::Config(config)).await
    }

    /// Hands a frame on. Waits while the packager is behind, so that the publisher's socket fills up.
    pub async fn push(&self, track: Track, frame: Frame) -> Result<(), Over> {
        self.put(Input::Frame(track, frame)).await
    }

    /// Hands on what a demuxer found.
    pub async fn send(&self, event: Event) -> Result<(), Over> {
        match event {
            Event::Config(config) => self.configure(config).await,
            Event::Frame(track, frame) => self.push(track, frame).await,
            Event::Further(track, piece) => self.further(track, piece).await,
        }
    }

    /// Hands on what a further video track has.
    pub async fn further(&self, track: u8, piece: Piece) -> Result<(), Over> {
        self.put(Input::Further(track, piece)).await
    }

    /// The publisher stops of its own will: when no other is there, the broadcast ends.
    pub async fn stop(self) {
        let _over_already = self.put(Input::Stop).await;
    }

    async fn put(&self, input: Input) -> Result<(), Over> {
        self.queue.send(input).await.map_err(|_closed| Over)
    }
}

impl Word {
    pub(crate) fn heard(&self) -> MutexGuard<'_, Heard> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Air {
    pub fn is_on(&self) -> bool {
        self.0.on.load(Ordering::Relaxed)
    }

    pub(crate) fn set(&self, on: bool) {
        self.0.on.store(on, Ordering::Relaxed);
    }

    /// What there is to tell.
    pub fn notes(&self) -> Notes {
        self.0.notes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn note(&self, change: impl FnOnce(&mut Notes)) {
        change(&mut self.0.notes.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Two seconds of 60 pictures and 48 sounds each: the task behind it never waits, so it is empty but for
/// bursts; a full one holds the publisher's socket up.
pub(crate) const QUEUE_FRAMES: usize = 216;
