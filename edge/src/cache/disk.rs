//! The second tier: segments that memory has no room for any more, in files that outlive the process.
//!
//! A kept-up crate for this (foyer) brings a block store, its own runtime and some sixty crates; what is asked for here is one
//! file per segment, an index that bounds their bytes, and a checksum, so that a torn file is a miss.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use aws_lc_rs::digest::{Context, Digest, SHA256};
use bytes::Bytes;
use http::HeaderValue;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use nearcast_media::path::Resource;
use nearcast_service::drain::Drain;
use nearcast_service::log::Chain;
use tokio::sync::mpsc;

use super::object::Object;
use crate::metrics;

/// Segments on disk. Clones are the same.
#[derive(Debug, Clone)]
pub struct Disk(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    folder: PathBuf,
    /// Bytes of each file by the segment's path; what leaves it is deleted.
    index: Cache<Arc<str>, u32>,
    work: mpsc::Sender<Work>,
    /// Bytes that wait to be written.
    queued: AtomicUsize,
    metrics: metrics::Disk,
}

/// What the one writing task does.
#[derive(Debug)]
enum Work {
    Write(Arc<str>, Arc<Object>),
    Delete(Arc<str>),
}

impl Disk {
    /// Keeps up to `budget` bytes in `folder`, which is made if it is not there. What it has from before is found by and by.
    ///
    /// # Errors
    /// The folder cannot be made or written.
    pub fn open(folder: &Path, budget: u64, drain: &Drain, metrics: metrics::Disk) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let probe = folder.join("probe.new");
        fs::write(&probe, b"")?;
        fs::remove_file(probe)?;
        let (work, todo) = mpsc::channel(QUEUE);
        let (deletions, bytes) = (work.clone(), metrics.bytes.clone());
        let index = Cache::<Arc<str>, u32>::builder()
            .max_capacity(budget)
            .eviction_policy(EvictionPolicy::lru())
            .weigher(|_, bytes| *bytes)
            .eviction_listener(move |path, size, _cause| {
                bytes.dec_by(size.into());
                // One that cannot be deleted now is over the budget until the next start finds it.
                let _full = deletions.try_send(Work::Delete(Arc::clone(&path)));
            })
            .build();
        let (folder, queued) = (folder.to_owned(), AtomicUsize::new(0));
        let disk = Self(Arc::new(Inner { folder, index, work, queued, metrics }));
        let worker = disk.clone();
        let draining = drain.draining();
        drain.spawn("disk", async move {
            let finding = worker.clone();
            let found = tokio::task::spawn_blocking(move || finding.find());
            worker.work(todo, draining).await;
            // Nobody needs it any more.
            found.abort();
        });
        Ok(disk)
    }

    /// Memory has no room for this any more. Only segments are kept: parts are of no use once their segment is whole. When
    /// the disk is slower than memory turns over, what there is no room for in the queue is not kept.
    pub fn offer(&self, path: &str, object: &Arc<Object>) {
        let is_segment = matches!(Resource::parse(path), Ok(Resource::Segment { .. }));
        if !is_segment || self.0.index.contains_key(path) {
            return;
        }
        let length = object.body.len();
        let queued = self.0.queued.fetch_add(length, Ordering::Relaxed);
        let work = Work::Write(path.into(), Arc::clone(object));
        if queued + length > MAX_QUEUED || self.0.work.try_send(work).is_err() {
            self.0.queued.fetch_sub(length, Ordering::Relaxed);
            self.0.metrics.dropped.inc();
        }
    }

    /// The segment of this path, if it is here and whole.
    pub async fn read(&self, path: &str) -> Option<Arc<Object>> {
        self.0.index.get(path)?;
        let (disk, name): (_, Arc<str>) = (self.clone(), path.into());
        let read = tokio::task::spawn_blocking(move || {
            let file = disk.file(&name);
            read(&file).and_then(|(path, object)| {
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
        let gone = self.0.index.iter().filter(|(path, _)| purged(path));
        gone.map(|(path, _)| self.0.index.invalidate(&**path)).count()
    }

    async fn work(&self, mut todo: mpsc::Receiver<Work>, draining: impl Future<Output = ()>) {
        let mut draining = std::pin::pin!(draining);
        let mut failing = false;
        loop {
            let next = tokio::select! {
                next = todo.recv() => next,
                () = &mut draining => return,
            };
            let Some(next) = next else { return };
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
    }

    fn perform(&self, work: Work) -> io::Result<()> {
        match work {
            Work::Write(path, object) => {
                let written = write(&self.file(&path), &path, &object);
                self.0.queued.fetch_sub(object.body.len(), Ordering::Relaxed);
                let size = written?;
                self.add(path, size);
                self.0.metrics.written.inc_by(size.into());
                Ok(())
            }
            // It may have come back since.
            Work::Delete(path) if self.0.index.contains_key(&path) => Ok(()),
            Work::Delete(path) => match fs::remove_file(self.file(&path)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            },
        }
    }

    fn add(&self, path: Arc<str>, size: u32) {
        self.0.metrics.bytes.inc_by(size.into());
        self.0.index.insert(path, size);
    }

    /// What earlier processes have left, the oldest first; what is torn or none of ours is deleted.
    fn find(&self) {
        let mut files = Vec::new();
        for folder in fs::read_dir(&self.0.folder).into_iter().flatten().flatten() {
            for file in fs::read_dir(folder.path()).into_iter().flatten().flatten() {
                let modified = file.metadata().and_then(|metadata| metadata.modified());
                files.push((modified.unwrap_or(UNIX_EPOCH), file.path()));
            }
        }
        files.sort();
        for (_, file) in files {
            match head_of(&file) {
                Ok((path, size)) if self.file(&path) == file => {
                    if !self.0.index.contains_key(&*path) {
                        self.add(path.into(), size);
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

/// Writes a file under another name first, so that one with the right name is whole, or the machine has crashed.
fn write(file: &Path, path: &str, object: &Object) -> io::Result<u32> {
    let (kind, body) = (object.content_type.as_bytes(), &object.body);
    let age = Instant::now().saturating_duration_since(object.produced);
    let produced = now_ms().saturating_sub(u64::try_from(age.as_millis()).unwrap_or(u64::MAX));
    let too_long = |_| io::Error::from(io::ErrorKind::FileTooLarge);
    let mut head = MAGIC.to_vec();
    head.extend(u16::try_from(path.len()).map_err(too_long)?.to_be_bytes());
    head.extend(u16::try_from(kind.len()).map_err(too_long)?.to_be_bytes());
    head.extend(u32::try_from(body.len()).map_err(too_long)?.to_be_bytes());
    head.extend(produced.to_be_bytes());
    head.extend_from_slice(path.as_bytes());
    head.extend_from_slice(kind);
    let size = u32::try_from(head.len() + body.len() + SUM).map_err(too_long)?;
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    let new = file.with_extension("new");
    let written = fs::File::create(&new).and_then(|mut out| {
        out.write_all(&head)?;
        out.write_all(body)?;
        out.write_all(checksum(&head, body).as_ref())
    });
    written.and_then(|()| fs::rename(&new, file)).inspect_err(|_| drop(fs::remove_file(&new)))?;
    Ok(size)
}

/// Reads a file; anything that is not as [`write()`] left it is an error.
fn read(file: &Path) -> io::Result<(String, Object)> {
    parse(Bytes::from(fs::read(file)?)).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

fn parse(bytes: Bytes) -> Option<(String, Object)> {
    let head = Head::parse(&bytes)?;
    let body = head.end..head.end + head.body;
    if bytes.len() != body.end + SUM
        || checksum(&bytes[..head.end], &bytes[body.clone()]).as_ref() != &bytes[body.end..]
    {
        return None;
    }
    let age = Duration::from_millis(now_ms().saturating_sub(head.produced));
    let produced = Instant::now().checked_sub(age).unwrap_or_else(first_instant);
    let object =
        Object { body: bytes.slice(body), content_type: head.kind, produced, max_age: Duration::ZERO };
    Some((head.path, object))
}

/// A file's path and size, by its beginning.
fn head_of(file: &Path) -> io::Result<(String, u32)> {
    let mut begin = Vec::with_capacity(LONGEST_HEAD);
    let open = fs::File::open(file)?;
    let length = open.metadata()?.len();
    open.take(LONGEST_HEAD as u64).read_to_end(&mut begin)?;
    let head = Head::parse(&begin).ok_or(io::ErrorKind::InvalidData)?;
    let size = u32::try_from(head.end + head.body + SUM).map_err(io::Error::other)?;
    if u64::from(size) == length { Ok((head.path, size)) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

/// What stands before a body.
struct Head {
    path: String,
    kind: HeaderValue,
    /// Bytes of the body.
    body: usize,
    /// Milliseconds since the Unix epoch.
    produced: u64,
    /// Where the body begins.
    end: usize,
}

impl Head {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let rest = bytes.strip_prefix(MAGIC)?;
        let (path, rest) = rest.split_first_chunk()?;
        let (kind, rest) = rest.split_first_chunk()?;
        let (body, rest) = rest.split_first_chunk()?;
        let (produced, rest) = rest.split_first_chunk()?;
        let path = rest.get(..usize::from(u16::from_be_bytes(*path)))?;
        let kind = rest.get(path.len()..path.len() + usize::from(u16::from_be_bytes(*kind)))?;
        Some(Self {
            end: bytes.len() - rest.len() + path.len() + kind.len(),
            path: String::from_utf8(path.to_vec()).ok()?,
            kind: HeaderValue::from_bytes(kind).ok()?,
            body: usize::try_from(u32::from_be_bytes(*body)).ok()?,
            produced: u64::from_be_bytes(*produced),
        })
    }
}

fn checksum(head: &[u8], body: &[u8]) -> Digest {
    let mut context = Context::new(&SHA256);
    context.update(head);
    context.update(body);
    context.finish()
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// For what is older than the machine has been running.
fn first_instant() -> Instant {
    static FIRST: OnceLock<Instant> = OnceLock::new();
    *FIRST.get_or_init(Instant::now)
}

/// Any bytes as a file.
pub fn fuzz(data: &[u8]) {
    if let Some((path, object)) = parse(Bytes::copy_from_slice(data)) {
        assert!(path.len() + object.body.len() < data.len(), "a file has grown");
    }
    if let Some(head) = Head::parse(data) {
        assert!(head.end <= data.len());
    }
}

/// The format's version.
const MAGIC: &[u8] = b"nearcast segment 1\n";
/// Bytes of the checksum at the end.
const SUM: usize = 32;
/// Paths are below 300 bytes, types below 100.
const LONGEST_HEAD: usize = 1024;
/// Segments that wait to be written, and their bytes.
const QUEUE: usize = 256;
const MAX_QUEUED: usize = 32 << 20;

#[cfg(test)]
mod tests;
