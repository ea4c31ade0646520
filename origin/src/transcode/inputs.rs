//! The child's end of the queue of source frames, and the newest of them once more for the next child.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use nearcast_media::Frame;
use tokio::sync::mpsc;

use super::backlog::Backlog;
use super::wire::{Input, Source};

/// A frame on its way to the child.
#[derive(Debug)]
pub(super) struct Queued {
    pub(super) frame: Frame,
    pub(super) cut: bool,
    /// It does not follow the one before: frames were left out, or this is the first.
    pub(super) fresh: bool,
    /// What it and those after it are, if that is another source than before.
    pub(super) source: Option<Source>,
}

/// How full the queue to the child is, beside the number of frames that its channel bounds.
#[derive(Debug, Default)]
pub(super) struct Level {
    pub(super) bytes: AtomicUsize,
    /// Decoding time of the newest frame that was put in.
    pub(super) newest: AtomicI64,
}

/// Source frames as they come, and the backlog of those that have come.
pub(super) struct Inputs {
    queue: mpsc::Receiver<Queued>,
    level: Arc<Level>,
    backlog: Backlog,
    source: Source,
}

/// What has come. It is in the backlog too.
pub(super) enum Next {
    Frame(Input),
    /// The first frame of another source: another child must begin with it.
    Source,
    /// Nothing; another thing has happened.
    Nothing,
}

impl Inputs {
    pub(super) fn new(queue: mpsc::Receiver<Queued>, level: Arc<Level>, source: Source) -> Self {
        Self { queue, level, backlog: Backlog::default(), source }
    }

    /// The next frame, or nothing when there will be no more.
    pub(super) async fn next(&mut self) -> Option<Next> {
        let Queued { frame, cut, fresh, source } = self.queue.recv().await?;
        self.level.bytes.fetch_sub(frame.data.len(), Ordering::Relaxed);
        if fresh {
            self.backlog.clear();
        }
        self.backlog.push(frame.clone(), cut);
        if let Some(source) = source {
            self.source = source;
            return Some(Next::Source);
        }
        Some(Next::Frame(self.input(frame, cut)))
    }

    /// What the frames are, from the backlog's first on.
    pub(super) fn source(&self) -> &Source {
        &self.source
    }

    /// What a new child is given first, as it stands now.
    pub(super) fn backlog(&self) -> Vec<Input> {
        self.backlog.iter().map(|(frame, cut)| self.input(frame.clone(), *cut)).collect()
    }

    /// Presentation time of the backlog's first frame.
    pub(super) fn start(&self) -> Option<i64> {
        self.backlog.start()
    }

    /// Begins anew at the next cut at a keyframe.
    pub(super) fn forget(&mut self) {
        self.backlog.clear();
    }

    fn input(&self, frame: Frame, cut: bool) -> Input {
        let behind = self.level.newest.load(Ordering::Relaxed) - frame.dts;
        Input { frame, cut, behind: u32::try_from(behind.max(0)).unwrap_or(u32::MAX) }
    }
}
