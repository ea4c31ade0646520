//! The second tier: segments that memory has no room for any more, in files that outlive the process.
//!
//! A kept-up crate for this (foyer) brings a block store, its own runtime and some sixty crates; what is asked for here is one
//! file per segment, an index that bounds their bytes, and a checksum, so that a torn file is a miss.

pub mod file;

use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::UNIX_EPOCH;
use std::{fs, io};

use aws_lc_rs::digest::SHA256;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use nearcast_media::path::Resource;
use nearcast_service::drain::Drain;
use nearcast_service::log::Chain;
use tokio::sync::Notify;

use super::object::Object;
use crate::metrics;
use crate::purge::log::Log;

/// Segments on disk. Clones are the same.
#[derive(Debug, Clone)]
pub struct Disk(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    folder: PathBuf,
    /// Bytes of each file by the segment's path; what leaves it is deleted.
    index: Cache<Arc<str>, u32>,
    queue: Arc<Queue>,
    waiting: Mutex<Waiting>,
    purges: Arc<Log>,
    metrics: metrics::Disk,
}

/// Segments that are yet to be written. A purge takes them out, also while it happens.
#[derive(Debug, Default)]
struct Waiting {
    segments: HashMap<Arc<str>, Arc<Object>>,
    bytes: usize,
}

/// What the one writing task does.
#[derive(Debug)]
enum Work {
    Write(Arc<str>),
    Delete(Arc<str>),
    #[cfg(test)]
    Tell(tokio::sync::oneshot::Sender<()>),
}

/// What is to be done, in its order: as many segments as may wait, and as many deletions as the index had entries.
#[derive(Debug, Default)]
struct Queue {
    list: Mutex<VecDeque<Work>>,
    more: Notify,
}

impl Disk {
    /// Keeps up to `budget` bytes in `folder`, which is made if it is not there. What it has from before is found by and by;
    /// what `purges` says until then is purged from it as well.
    ///
    /// # Errors
    /// The folder cannot be made or written.
    pub fn open(
        folder: &Path,
        budget: u64,
        purges: Arc<Log>,
        drain: &Drain,
        metrics: metrics::Disk,
    ) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let probe = folder.join("probe.new");
        fs::write(&probe, b"")?;
        fs::remove_file(probe)?;
        let queue = Arc::<Queue>::default();
        let (deletions, bytes) = (Arc::clone(&queue), metrics.bytes.clone());
        let index = Cache::<Arc<str>, u32>::builder()
            .max_capacity(budget)
            .eviction_policy(EvictionPolicy::lru())
            .weigher(|_, bytes| *bytes)
            .eviction_listener(move |path, size, _cause| {
                bytes.dec_by(size.into());
                deletions.push(Work::Delete(Arc::clone(&path)));
            })
            .build();
        let (folder, waiting) = (folder.to_owned(), Mutex::default());
        let disk = Self(Arc::new(Inner { folder, index, queue, waiting, purges, metrics }));
        drain.spawn("disk", disk.clone().work(drain.clone()));
        Ok(disk)
    }

    /// Memory has no room for this any more. Only segments are kept: parts are of no use once their segment is whole. When
    /// the disk is slower than memory turns over, what there is no room for among those that wait is not kept.
    pub fn offer(&self, path: &str, object: &Arc<Object>) {
        let is_segment = matches!(Resource::parse(path), Ok(Resource::Segment { .. }));
        if !is_segment || self.0.index.contains_key(path) {
            return;
        }
        let mut waiting = self.waiting();
        if waiting.segments.contains_key(path) {
            return;
        }
        let path = Arc::<str>::from(path);
        let bytes = waiting.bytes + object.body.len();
        let fits = bytes <= MAX_WAITING_BYTES && waiting.segments.len() < MAX_WAITING;
        if fits {
            self.0.queue.push(Work::Write(Arc::clone(&path)));
            waiting.bytes = bytes;
            waiting.segments.insert(path, Arc::clone(object));
        } else {
            self.0.metrics.dropped.inc();
        }
    }

    /// The segment of this path, if it is here and whole.
    pub async fn read(&self, path: &str) -> Option<Arc<Object>> {
        self.0.index.get(path)?;
        let (disk, name): (_, Arc<str>) = (self.clone(), path.into());
        let read = tokio::task::spawn_blocking(move || {
            let file = disk.file(&name);
            file::read(&file).and_then(|(path, object)| {
                if *path == *name { Ok(object) } else { Err(io::Error::other("another segment's name")) }
            })
        });
        match read.await {
            Ok(Ok(object)) => {
                self.0.metrics.hits.inc();
                Some(Arc::new(object))
            }
            Ok(Err(error)) => {
                self.0.index.invalidate(path);
                // The process before this one may have deleted it as it went.
                if error.kind() != io::ErrorKind::NotFound {
                    self.0.metrics.broken.inc();
                    tracing::warn!(path, "a segment on disk cannot be used: {}", Chain(&error));
                }
                None
            }
            Err(_stopped) => None,
        }
    }

    /// Deletes what `purged` says of a path. Returns how much that was.
    pub fn purge(&self, purged: impl Fn(&str) -> bool) -> usize {
        // First those that wait: what is written meanwhile is in the index by then, or not wanted any more.
        let waiting: Vec<_> = self.waiting().segments.keys().filter(|path| purged(path)).cloned().collect();
        let waiting = waiting.iter().filter(|path| self.waiting().take(path)).count();
        let gone = self.0.index.iter().filter(|(path, _)| purged(path));
        waiting + gone.map(|(path, _)| self.0.index.invalidate(&**path)).count()
    }

    /// The same of one path; true when it was here.
    pub fn forget(&self, path: &str) -> bool {
        let waited = self.waiting().take(path);
        self.0.index.remove(path).is_some() || waited
    }

    /// The newest purge that this folder has heard of; `None` when it has heard of none.
    pub fn purged(&self) -> Option<u64> {
        fs::read_to_string(self.0.folder.join(PURGED)).ok()?.trim().parse().ok()
    }

    /// Remembers for the next process which purge was the last.
    pub fn set_purged(&self, id: u64) {
        let file = self.0.folder.join(PURGED);
        let new = file.with_extension("new");
        if let Err(error) = fs::write(&new, format!("{id}\n")).and_then(|()| fs::rename(&new, &file)) {
            tracing::warn!("the last purge is not noted and will be carried out again: {}", Chain(&error));
        }
    }

    async fn work(self, drain: Drain) {
        let (finding, draining) = (self.clone(), drain.clone());
        let found = tokio::task::spawn_blocking(move || finding.find(&draining));
        let _ends = drain.unless_draining(found).await;
        let mut failing = false;
        while let Some(next) = drain.unless_draining(self.0.queue.next()).await {
            let disk = self.clone();
            let done = tokio::task::spawn_blocking(move || disk.perform(next)).await;
            match done {
                Ok(Err(error)) if !failing => {
                    failing = true;
                    tracing::warn!("segments are not kept on disk: {}", Chain(&error));
                }
                Ok(Ok(())) => failing = false,
                _ => {}
            }
        }
        // What is to be deleted must not be found by the next process; what is to be written can be fetched again.
        while let Some(next) = self.0.queue.pop() {
            if matches!(next, Work::Delete(_)) {
                let disk = self.clone();
                let _logged_before = tokio::task::spawn_blocking(move || disk.perform(next)).await;
            }
        }
    }

    fn perform(&self, work: Work) -> io::Result<()> {
        match work {
            Work::Write(path) => {
                let Some(object) = self.waiting().segments.get(&path).cloned() else { return Ok(()) };
                let file = self.file(&path);
                let written = file::write(&file, &path, &object);
                let mut waiting = self.waiting();
                let wanted = waiting.take(&path);
                let size = written?;
                self.0.metrics.written.inc_by(size.into());
                if wanted {
                    self.add(path, size);
                    return Ok(());
                }
                drop(waiting);
                fs::remove_file(file)
            }
            // It may have come back since.
            Work::Delete(path) if self.0.index.contains_key(&path) => Ok(()),
            Work::Delete(path) => match fs::remove_file(self.file(&path)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            },
            #[cfg(test)]
            Work::Tell(whom) => {
                let _gone = whom.send(());
                Ok(())
            }
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, path: Arc<str>, size: u32) {
        self.0.metrics.bytes.inc_by(size.into());
        self.0.index.insert(path, size);
    }

    /// What earlier processes have left, the oldest first; what is torn or none of ours is deleted.
    fn find(&self, drain: &Drain) {
        let mut files = Vec::new();
        for folder in fs::read_dir(&self.0.folder).into_iter().flatten().flatten() {
            for file in fs::read_dir(folder.path()).into_iter().flatten().flatten() {
                let modified = file.metadata().and_then(|metadata| metadata.modified());
                files.push((modified.unwrap_or(UNIX_EPOCH), file.path()));
            }
        }
        files.sort();
        for (_, file) in files {
            if drain.is_draining() {
                return;
            }
            match file::head_of(&file) {
                Ok((path, size)) if self.file(&path) == file => {
                    self.add(path.as_str().into(), size);
                    // Looked at after it is in the index: a purge that comes now finds it there.
                    if self.0.purges.purged_since(0, &path, &[]) {
                        self.0.index.invalidate(path.as_str());
                    }
                }
                _ => drop(fs::remove_file(&file)),
            }
        }
        tracing::info!(segments = self.0.index.iter().count(), "segments are on disk from before");
    }

    /// Where a segment's file is. Names are hashed, so that no path can lead out of the folder.
    fn file(&self, path: &str) -> PathBuf {
        let digest = aws_lc_rs::digest::digest(&SHA256, path.as_bytes());
        let hex: String = digest.as_ref()[..16].iter().map(|byte| format!("{byte:02x}")).collect();
        self.0.folder.join(&hex[..2]).join(&hex[2..])
    }
}

impl Queue {
    fn push(&self, work: Work) {
        self.list.lock().unwrap_or_else(PoisonError::into_inner).push_back(work);
        self.more.notify_one();
    }

    fn pop(&self) -> Option<Work> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    async fn next(&self) -> Work {
        loop {
            if let Some(work) = self.pop() {
                return work;
            }
            self.more.notified().await;
        }
    }
}

impl Waiting {
    /// True when it was still there.
    fn take(&mut self, path: &str) -> bool {
        let taken = self.segments.remove(path);
        self.bytes -= taken.as_ref().map_or(0, |object| object.body.len());
        taken.is_some()
    }
}

/// Where the last purge is noted.
const PURGED: &str = "purged";
/// Segments that may wait to be written, and their bytes.
const MAX_WAITING: usize = 1024;
const MAX_WAITING_BYTES: usize = 32 << 20;

#[cfg(test)]
mod tests;
