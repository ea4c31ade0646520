//! What is to be done on the DVR disk, in order, by one task: the live path only ever adds to the queue.

use std::collections::VecDeque;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::{fmt, fs};

use bytes::Bytes;
use nearcast_service::drain::Drain;
use nearcast_service::log::Chain;
use tokio::sync::Notify;

use super::{Inner, folder};
use crate::disk::{self, Fit};

/// One thing to do.
pub(super) enum Job {
    /// Write a file of these parts and say whether it is there.
    Write {
        path: PathBuf,
        parts: Vec<Bytes>,
        done: Box<dyn FnOnce(bool) + Send>,
    },
    Delete(PathBuf),
    DeleteAll(PathBuf),
}

/// Jobs that wait. Bounded by the bytes to be written; each deletion ends a file that was written.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    wake: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    jobs: VecDeque<Job>,
    bytes: usize,
}

impl Queue {
    /// Adds a job. One that writes comes back when too much waits.
    pub(super) fn push(&self, job: Job) -> Result<(), Job> {
        let mut waiting = self.waiting();
        let bytes = job.bytes();
        if bytes > 0 && waiting.bytes > 0 && waiting.bytes + bytes > MAX_BYTES {
            return Err(job);
        }
        waiting.bytes += bytes;
        waiting.jobs.push_back(job);
        drop(waiting);
        self.wake.notify_one();
        Ok(())
    }

    fn pop(&self) -> Option<Job> {
        let mut waiting = self.waiting();
        let job = waiting.jobs.pop_front()?;
        waiting.bytes -= job.bytes();
        Some(job)
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Job {
    fn bytes(&self) -> usize {
        match self {
            Self::Write { parts, .. } => parts.iter().map(Bytes::len).sum(),
            Self::Delete(_) | Self::DeleteAll(_) => 0,
        }
    }

    fn run(self, inner: &Inner) {
        match self {
            Self::Write { path, parts, done } => {
                let kept = match inner.write(&path, &parts) {
                    Ok(kept) => kept,
                    Err(error) => {
                        let file = path.display();
                        tracing::warn!("cannot write {file}: a DVR window gets shorter: {}", Chain(&error));
                        // Half a file must not count as room that is used, nor lie about.
                        let _nothing_more_to_do = fs::remove_file(&path);
                        false
                    }
                };
                if !kept {
                    inner.metrics.lost_segments.inc();
                }
                done(kept);
            }
            Self::Delete(path) => {
                let length = fs::metadata(&path).map_or(0, |metadata| metadata.len());
                if fs::remove_file(&path).is_ok() {
                    inner.used(-i64::try_from(length).unwrap_or(i64::MAX));
                }
            }
            Self::DeleteAll(path) => {
                let length = disk::usage(&path);
                match folder::remove(&path) {
                    Ok(()) => inner.used(-i64::try_from(length).unwrap_or(i64::MAX)),
                    Err(error) => tracing::warn!("cannot delete {}: {}", path.display(), Chain(&error)),
                }
            }
        }
    }
}

impl Inner {
    /// False when there is no room.
    fn write(&self, path: &Path, parts: &[Bytes]) -> io::Result<bool> {
        let length = parts.iter().map(Bytes::len).sum::<usize>();
        let fit = self.room.fits(length as u64)?;
        match fit {
            Fit::NoMore => tracing::warn!("the DVR disk is full: windows are as long as memory allows"),
            Fit::Again => tracing::info!("there is room on the DVR disk again"),
            Fit::Yes | Fit::No => {}
        }
        self.metrics.full.set(i64::from(!fit.is_yes()));
        if !fit.is_yes() {
            return Ok(false);
        }
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut file = fs::File::create(path)?;
        parts.iter().try_for_each(|part| file.write_all(part))?;
        self.metrics.written_bytes.inc_by(length as u64);
        self.used(i64::try_from(length).unwrap_or(i64::MAX));
        Ok(true)
    }

    fn used(&self, bytes: i64) {
        self.room.add(bytes);
        self.metrics.disk_bytes.set(i64::try_from(self.room.used()).unwrap_or(i64::MAX));
    }
}

/// Does what waits, one after the other, until the drain.
pub(super) async fn work(inner: Arc<Inner>, drain: Drain) {
    loop {
        while let Some(job) = inner.queue.pop() {
            let inner = Arc::clone(&inner);
            // A panic is counted by its hook, and costs one job.
            let _panicked = tokio::task::spawn_blocking(move || job.run(&inner)).await;
        }
        if drain.unless_draining(inner.queue.wake.notified()).await.is_none() {
            return;
        }
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Write { path, .. } => f.debug_tuple("Write").field(path).finish(),
            Self::Delete(path) => f.debug_tuple("Delete").field(path).finish(),
            Self::DeleteAll(path) => f.debug_tuple("DeleteAll").field(path).finish(),
        }
    }
}

/// Some seconds of what an origin takes: it is memory beyond the budgets.
const MAX_BYTES: usize = 64 << 20;
