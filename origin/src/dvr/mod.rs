//! Segments that memory has no room for: files that are written once, read in pieces and deleted with their
//! broadcast, so that viewers can go back further than memory reaches.

mod folder;
mod queue;

use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use nearcast_service::drain::Drain;
use nearcast_service::log::Chain;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use crate::disk::Room;
use crate::metrics::Dvr as Metrics;
use folder::Folder;
use queue::{Job, Queue};

/// `[dvr]`: what viewers can go back to beyond what `package.memory_bytes` holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Keep on disk what memory has no room for. Without, playlists are as long as memory allows.
    pub enabled: bool,
    /// Where; empty for `dvr` beside `control.snapshot`. Nothing in it outlives the process that wrote it.
    pub directory: PathBuf,
    /// Bytes in it at most; 0 for any number.
    pub max_bytes: u64,
    /// Bytes that stay free on its disk: below, playlists are as long as memory allows.
    pub min_free_bytes: u64,
}

/// The directory. Clones are the same.
#[derive(Debug, Clone)]
pub struct Dvr(Option<Arc<Inner>>);

#[derive(Debug)]
struct Inner {
    folder: Folder,
    queue: Queue,
    room: Room,
    reads: Semaphore,
    metrics: Metrics,
}

/// One broadcast's files. They are deleted when it is dropped.
#[derive(Debug)]
pub struct Shelf {
    inner: Arc<Inner>,
    folder: PathBuf,
}

/// A piece of a file.
#[derive(Debug, Clone)]
pub struct Extent {
    inner: Arc<Inner>,
    path: PathBuf,
    offset: u64,
    length: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self { enabled: true, directory: PathBuf::new(), max_bytes: 0, min_free_bytes: 1 << 30 }
    }
}

impl Dvr {
    /// Prepares `config.directory`, or `beside/dvr`. Where that fails the origin goes on in memory, and says so.
    pub fn open(config: &Config, beside: &Path, metrics: Metrics, drain: &Drain) -> Self {
        if !config.enabled {
            return Self(None);
        }
        let directory = match config.directory.as_os_str().is_empty() {
            true => beside.join("dvr"),
            false => config.directory.clone(),
        };
        let folder = match Folder::create(&directory) {
            Ok(folder) => folder,
            Err(error) => {
                tracing::error!(
                    directory = %directory.display(),
                    "viewers can go back only as far as memory reaches, for the DVR directory is unusable \
                     (change `dvr.directory`, or set `dvr.enabled` to false): {}",
                    Chain(&error)
                );
                return Self(None);
            }
        };
        let room = Room::new(folder.path().to_owned(), config.max_bytes, config.min_free_bytes, 0);
        let (queue, reads) = (Queue::default(), Semaphore::new(READS));
        let inner = Arc::new(Inner { folder, queue, room, reads, metrics });
        drain.spawn("dvr", queue::work(Arc::clone(&inner), drain.clone()));
        Self(Some(inner))
    }

    /// Everything stays in memory.
    pub fn none() -> Self {
        Self(None)
    }

    /// For the files of one broadcast, if there is a directory.
    pub fn shelf(&self, broadcast: &str) -> Option<Shelf> {
        let inner = Arc::clone(self.0.as_ref()?);
        let folder = inner.folder.path().join(broadcast);
        Some(Shelf { inner, folder })
    }
}

impl Shelf {
    /// Writes a segment in its turn, and then tells `done` whether it is there. When too much waits already it is
    /// told at once that it is not.
    pub fn write(
        &self,
        rendition: &str,
        msn: u64,
        parts: Vec<Bytes>,
        done: impl FnOnce(bool) + Send + 'static,
    ) {
        let job = Job::Write { path: self.path(rendition, msn), parts, done: Box::new(done) };
        if let Err(Job::Write { done, .. }) = self.inner.queue.push(job) {
            self.inner.metrics.lost_segments.inc();
            tracing::warn!(rendition, msn, "the disk is too slow for DVR: a window gets shorter");
            done(false);
        }
    }

    /// Deletes a segment.
    pub fn delete(&self, rendition: &str, msn: u64) {
        let _always_taken = self.inner.queue.push(Job::Delete(self.path(rendition, msn)));
    }

    /// `length` bytes of a segment from `offset` on.
    pub fn extent(&self, rendition: &str, msn: u64, offset: u64, length: u64) -> Extent {
        Extent { inner: Arc::clone(&self.inner), path: self.path(rendition, msn), offset, length }
    }

    fn path(&self, rendition: &str, msn: u64) -> PathBuf {
        self.folder.join(rendition).join(format!("{msn}.m4s"))
    }
}

impl Drop for Shelf {
    fn drop(&mut self) {
        let folder = std::mem::take(&mut self.folder);
        let _always_taken = self.inner.queue.push(Job::DeleteAll(folder));
    }
}

impl Extent {
    /// Reads it, a bounded number of readers at a time.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] when the segment has been deleted meanwhile; else the disk fails.
    pub async fn read(&self) -> io::Result<Bytes> {
        let _permit = self.inner.reads.acquire().await;
        let Self { path, offset, length, .. } = self.clone();
        let read = tokio::task::spawn_blocking(move || {
            let length = usize::try_from(length).map_err(io::Error::other)?;
            let mut bytes = vec![0; length];
            std::fs::File::open(path)?.read_exact_at(&mut bytes, offset)?;
            io::Result::Ok(bytes)
        });
        let bytes = read.await.unwrap_or_else(|panicked| Err(io::Error::other(panicked)))?;
        self.inner.metrics.read_bytes.inc_by(bytes.len() as u64);
        Ok(bytes.into())
    }
}

/// Each holds a segment of some megabytes; more than a disk does at once.
const READS: usize = 16;

#[cfg(test)]
mod tests;
