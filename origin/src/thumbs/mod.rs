//! Small pictures of what is live: posters of channels, and previews for seek bars.
//!
//! [`Studio`] is the origin's, [`Thumbs`] a broadcast's: it picks keyframes as they come, and hands them to a task that
//! has a child process make a picture of each ([`maker`]). Nothing here holds up ingest: while one picture is made and
//! one waits, others are left out.

mod album;
mod config;
mod maker;

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use nearcast_api::BroadcastId;
use nearcast_media::package::Timeline;
use nearcast_media::path::Thumb;
use nearcast_media::{Config as TrackConfig, Frame};
use nearcast_service::drain::Drain;
use tokio::sync::{Semaphore, mpsc};

use crate::metrics::Thumbnails as Metrics;
use crate::transcode;
use crate::transcode::wire::Source;
use album::Album;
pub use config::Config;
use maker::{Maker, Shot};

/// Makes the pictures of all broadcasts. Clones are the same.
#[derive(Debug, Clone)]
pub struct Studio(Option<Arc<Inner>>);

#[derive(Debug)]
struct Inner {
    config: Config,
    /// What the child runs, and the bytes it may have.
    program: PathBuf,
    memory_bytes: u64,
    /// One for each child that may run.
    places: Semaphore,
    metrics: Metrics,
    drain: Drain,
}

/// One broadcast's pictures, or why there are none.
pub struct Thumbs(Result<Camera, Absent>);

/// Why there is no such picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Absent {
    #[error("this origin makes no thumbnails: its operator may set `thumbnails.enabled`")]
    SwitchedOff,
    #[error("the broadcast has no video, so there are no pictures of it")]
    NoVideo,
    #[error("there is no such picture: it is too old, or not made yet")]
    NoPicture,
}

struct Camera {
    queue: mpsc::Sender<Shot>,
    /// The source's configuration; none for one that cannot be decoded.
    source: Mutex<Option<Source>>,
    shelf: Arc<Shelf>,
    interval: u32,
    metrics: Metrics,
}

/// An album behind a lock, its bytes counted.
#[derive(Debug)]
struct Shelf {
    album: Mutex<Album>,
    metrics: Metrics,
}

impl Studio {
    /// One that makes pictures as `config` says, by the program and with the memory of `[transcode]`.
    pub fn open(config: Config, transcode: &transcode::Config, metrics: Metrics, drain: &Drain) -> Self {
        if !config.enabled {
            return Self(None);
        }
        let places = Semaphore::new(config.processes);
        let (program, memory_bytes) = (transcode.program.clone(), transcode.memory_bytes);
        Self(Some(Arc::new(Inner { config, program, memory_bytes, places, metrics, drain: drain.clone() })))
    }

    /// Makes no pictures.
    pub fn none() -> Self {
        Self(None)
    }

    /// The pictures of a broadcast that begins, or goes on after `before` pictures at most. They are made for as long as it
    /// is not dropped.
    pub(crate) fn begin(&self, broadcast: &BroadcastId, video: Option<&TrackConfig>, before: u64) -> Thumbs {
        let Some(inner) = &self.0 else { return Thumbs(Err(Absent::SwitchedOff)) };
        let Some(video) = video else { return Thumbs(Err(Absent::NoVideo)) };
        let Inner { config, metrics, drain, .. } = &**inner;
        let (queue, shots) = mpsc::channel(WAITING);
        let album = Mutex::new(Album::new(config.interval).after(before));
        let shelf = Arc::new(Shelf { album, metrics: metrics.clone() });
        let maker = Maker::new(Arc::clone(inner), broadcast.clone(), Arc::clone(&shelf));
        drain.spawn("thumbnails", maker.run(shots));
        let source = Mutex::new(Source::of(video));
        Thumbs(Ok(Camera { queue, source, shelf, interval: config.interval, metrics: metrics.clone() }))
    }
}

impl Thumbs {
    /// Looks at a frame of the source: one that is due will be a picture. Never waits.
    pub(crate) fn see(&self, frame: &Frame, oldest: impl FnOnce() -> Option<i64>) {
        let Ok(camera) = &self.0 else { return };
        if frame.keyframe && camera.shelf.album().is_due(frame.pts) {
            let source = camera.source.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let shot = source.map(|source| Shot { source, frame: frame.clone(), oldest: oldest() });
            // No room: children are slow, or other broadcasts have them all.
            if shot.is_none_or(|shot| camera.queue.try_send(shot).is_err()) {
                camera.metrics.skipped.inc();
            }
        }
    }

    /// The source is of this configuration from the next frame on.
    pub(crate) fn renew(&self, video: &TrackConfig) {
        if let Ok(camera) = &self.0 {
            *camera.source.lock().unwrap_or_else(PoisonError::into_inner) = Source::of(video);
        }
    }

    /// A picture or a sheet.
    ///
    /// # Errors
    /// It is not there, and why.
    pub fn file(&self, file: Thumb) -> Result<Bytes, Absent> {
        let album = self.0.as_ref().map_err(|absent| *absent)?.shelf.album();
        let found = match file {
            Thumb::Picture { n } => album.picture(n),
            Thumb::Sheet { n } => album.sheet(n),
            Thumb::Index => None,
        };
        found.ok_or(Absent::NoPicture)
    }

    /// The newest picture, and for how long it is that.
    ///
    /// # Errors
    /// There is none yet, or there will be none.
    pub fn newest(&self) -> Result<(Bytes, Duration), Absent> {
        let camera = self.0.as_ref().map_err(|absent| *absent)?;
        let newest = camera.shelf.album().newest().ok_or(Absent::NoPicture)?;
        Ok((newest, camera.life()))
    }

    /// The list of pictures as WebVTT, and for how long it may be kept.
    ///
    /// # Errors
    /// There is no picture yet, or there will be none.
    pub fn index(&self, timeline: Option<Timeline>) -> Result<(String, Duration), Absent> {
        let camera = self.0.as_ref().map_err(|absent| *absent)?;
        let index = camera.shelf.album().index(&timeline.ok_or(Absent::NoPicture)?);
        if index.cues.is_empty() { Err(Absent::NoPicture) } else { Ok((index.render(), camera.life())) }
    }

    /// Bytes in memory.
    pub(crate) fn bytes(&self) -> usize {
        self.0.as_ref().map_or(0, |camera| camera.shelf.album().bytes())
    }

    /// Drops the oldest pictures until `bytes` are left, if there are as many; says how many are.
    pub(crate) fn shrink(&self, bytes: usize) -> usize {
        self.0.as_ref().map_or(0, |camera| {
            camera.shelf.change(|album| album.shrink(bytes));
            camera.shelf.album().bytes()
        })
    }
}

impl Camera {
    /// Half an interval: what a cache has is never more than that behind.
    fn life(&self) -> Duration {
        Duration::from_secs(self.interval.into()) / 2
    }
}

impl Shelf {
    fn album(&self) -> MutexGuard<'_, Album> {
        self.album.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<R>(&self, change: impl FnOnce(&mut Album) -> R) -> R {
        let mut album = self.album();
        let before = album.bytes();
        let result = change(&mut album);
        self.metrics.memory_bytes.inc_by(gauge(album.bytes()) - gauge(before));
        result
    }
}

impl Drop for Shelf {
    fn drop(&mut self) {
        self.metrics.memory_bytes.dec_by(gauge(self.album().bytes()));
    }
}

impl fmt::Debug for Thumbs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Thumbs").field(&self.0.as_ref().map(|camera| &camera.shelf)).finish()
    }
}

fn gauge(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// Keyframes that wait while one is made a picture of: megabytes each.
const WAITING: usize = 1;

#[cfg(test)]
mod tests;
