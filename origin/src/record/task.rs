//! One broadcast's recorder: follows its live window, stores what is new, and writes the playlists now and then.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{BoxFuture, FutureExt};
use futures_util::stream::{FuturesUnordered, StreamExt};
use nearcast_api::ChannelId;
use nearcast_service::backoff::Backoff;
use nearcast_service::log::Chain;
use tokio::time::{Instant, sleep_until};

use super::recording::{Job, Recording};
use super::store::Error;
use super::{Inner, RETRY, Renditions};
use crate::package::{Broadcast, Media, Stored};

/// Records until the broadcast is over and everything is stored, or cannot be.
pub(super) async fn record(recorder: Arc<Inner>, channel: ChannelId, broadcast: Arc<Broadcast>) {
    recorder.metrics.active.inc();
    let folder = format!("{channel}/{}", broadcast.folder());
    let note = recorder.note(channel.as_str(), broadcast.folder());
    let (first, longest) = RETRY;
    // What is recorded is made whether or not somebody watches it.
    let all = recorder.config.renditions == Renditions::All;
    let _watching = if all { broadcast.watch_all() } else { Vec::new() };
    let leader = broadcast.renditions().into_iter().next().unwrap_or_default();
    let mut task = Task {
        recording: Recording::new(&leader),
        uploads: FuturesUnordered::new(),
        busy: BTreeSet::new(),
        backoff: Backoff::new(first, longest),
        paused: None,
        rewrite: Instant::now(),
        noted: false,
        gap: 0,
        gave_up: false,
        recorder: &recorder,
        broadcast: &broadcast,
        folder,
        note,
    };
    task.run().await;
    drop(task);
    recorder.metrics.active.dec();
}

struct Task<'a> {
    recorder: &'a Arc<Inner>,
    broadcast: &'a Arc<Broadcast>,
    recording: Recording,
    /// At most one of each rendition, and one of the playlists.
    uploads: FuturesUnordered<BoxFuture<'a, Upload>>,
    busy: BTreeSet<String>,
    backoff: Backoff,
    /// Nothing is tried before, because the store has just failed.
    paused: Option<Instant>,
    /// When the playlists are due.
    rewrite: Instant,
    /// The note that the recording is not complete is in the store.
    noted: bool,
    /// Segments lost since the last one that was stored.
    gap: u64,
    /// What is missing stays so.
    gave_up: bool,
    folder: String,
    note: String,
}

enum Upload {
    File(Job, Result<(), Error>),
    /// The playlists, and whether they were the last.
    Playlists(bool, Result<(), Error>),
}

impl<'a> Task<'a> {
    async fn run(&mut self) {
        let mut changes = self.broadcast.changes();
        let (mut deadline, mut over, mut drained) = (None, false, false);
        let draining = self.recorder.drain.draining();
        tokio::pin!(draining);
        loop {
            changes.mark_unchanged();
            over |= self.broadcast.is_over();
            if !self.gave_up {
                self.look();
            }
            let everything = self.recording.pending() == 0 && self.busy.is_empty();
            if over {
                let due = *deadline.get_or_insert(Instant::now() + FINISH);
                if Instant::now() >= due {
                    if self.gave_up {
                        return self.leave();
                    }
                    self.give_up();
                    deadline = Some(Instant::now() + PARTING);
                }
            }
            self.start(over && everything);
            if over && everything && self.uploads.is_empty() && self.paused.is_none() {
                // There was nothing to play: no recording either.
                return;
            }
            let may_write = !over && self.paused.is_none() && !self.busy.contains(PLAYLISTS);
            let wake = [self.paused, deadline, may_write.then_some(self.rewrite)];
            let wake = wake.into_iter().flatten().min();
            tokio::select! {
                Some(upload) = self.uploads.next() => {
                    if self.finished(upload) {
                        return self.complete().await;
                    }
                }
                changed = changes.changed(), if !over => over |= changed.is_err(),
                () = sleep_until(wake.unwrap_or_else(Instant::now)), if wake.is_some() => {}
                () = &mut draining, if over && !drained => {
                    drained = true;
                    // The process ends soon, and the next start completes what this one cannot.
                    deadline = deadline.min(Some(Instant::now() + DRAIN));
                }
            }
            if self.paused.is_some_and(|until| Instant::now() >= until) {
                self.paused = None;
            }
        }
    }

    /// Takes in what is new in the live playlists.
    fn look(&mut self) {
        for rendition in self.broadcast.renditions() {
            if self.recorder.config.renditions.include(&rendition)
                && let Media::Ready(snapshot) =
                    self.broadcast.playlist(&rendition, nearcast_media::path::File::Media)
            {
                self.recording.see(&rendition, &snapshot.playlist);
            }
        }
    }

    /// Begins what can be stored now. `last` when only the final playlists are missing.
    fn start(&mut self, last: bool) {
        if self.paused.is_some() {
            return;
        }
        while let Some(job) =
            self.recording.next().into_iter().find(|job| !self.busy.contains(&job.rendition))
        {
            match self.broadcast.existing(&job.rendition, job.file) {
                Some(stored) => self.upload(job, stored),
                None => {
                    self.recording.lost(&job.rendition);
                    self.recorder.metrics.lost_segments.inc();
                    self.gap += 1;
                    if self.gap == 1 {
                        tracing::warn!(recording = %self.folder, file = %job.file, "a recording has a gap");
                    }
                }
            }
        }
        if (last || Instant::now() >= self.rewrite) && !self.busy.contains(PLAYLISTS) {
            self.write_playlists(last);
        }
    }

    fn upload(&mut self, job: Job, stored: Stored) {
        let name = format!("{}/{}/{}", self.folder, job.rendition, job.file);
        let recorder = self.recorder;
        self.busy.insert(job.rendition.clone());
        let upload = async move {
            let put = async {
                let pieces = stored.read().await.map_err(Error::Read)?;
                recorder.store.put(&name, pieces).await
            };
            Upload::File(job, put.await)
        };
        self.uploads.push(upload.boxed());
    }

    /// Writes what changed. A note is first, the multivariant playlist last: what it lists is there.
    fn write_playlists(&mut self, last: bool) {
        // The longer a broadcast, the longer its playlists, and the less often they are written.
        let more = Duration::from_secs((self.recording.size() / SIZE_PER_SECOND) as u64);
        self.rewrite = Instant::now() + Duration::from_secs(self.recorder.config.playlist_interval) + more;
        if last {
            self.recording.end();
        }
        let playlists = self.recording.playlists(last);
        let Some(live) = self.broadcast.ladder().filter(|_| !playlists.is_empty()) else { return };
        let mut files = Vec::new();
        if !self.noted {
            files.push((self.note.clone(), String::new()));
        }
        let named = |(name, text)| (format!("{}/{name}/media.m3u8", self.folder), text);
        files.extend(playlists.into_iter().map(named));
        let index = self.recording.multivariant(live, self.broadcast.id().as_str()).render();
        files.push((format!("{}/index.m3u8", self.folder), index));
        self.busy.insert(PLAYLISTS.to_owned());
        let recorder = self.recorder;
        let upload = async move {
            for (name, text) in files {
                let put = recorder.store.put(&name, vec![Bytes::from(text)]).await;
                if put.is_err() {
                    return Upload::Playlists(last, put);
                }
            }
            Upload::Playlists(last, Ok(()))
        };
        self.uploads.push(upload.boxed());
    }

    /// True when the recording is complete.
    fn finished(&mut self, upload: Upload) -> bool {
        match upload {
            Upload::File(job, put) => {
                self.busy.remove(&job.rendition);
                if self.succeeded(put, &job.file.to_string()) {
                    self.recording.stored(&job);
                    if std::mem::take(&mut self.gap) > 0 {
                        tracing::info!(recording = %self.folder, "a recording goes on after a gap");
                    }
                }
                false
            }
            Upload::Playlists(last, put) => {
                self.busy.remove(PLAYLISTS);
                let written = self.succeeded(put, "its playlists");
                self.noted |= written;
                if !written {
                    self.recording.unwritten();
                    self.rewrite = Instant::now();
                }
                last && written
            }
        }
    }

    fn succeeded(&mut self, put: Result<(), Error>, what: &str) -> bool {
        match put {
            Ok(()) => {
                self.backoff.reset();
                true
            }
            Err(error) => {
                // A full disk was said where it was found.
                if !matches!(error, Error::Full) {
                    let recording = &self.folder;
                    tracing::warn!(%recording, "cannot store {what}, trying again: {}", Chain(&error));
                }
                self.paused = Some(Instant::now() + self.backoff.delay());
                false
            }
        }
    }

    async fn complete(&mut self) {
        self.recorder.metrics.completed.inc();
        tracing::info!(recording = %self.folder, "a recording is complete");
        if let Err(error) = self.recorder.store.delete(&self.note, 0).await {
            tracing::warn!(recording = %self.folder, "its note stays until the next start: {}", Chain(&error));
        }
    }

    /// What is not stored yet will not be; the playlists may.
    fn give_up(&mut self) {
        let left = self.recording.lose_all();
        self.recorder.metrics.lost_segments.inc_by(left);
        self.gave_up = true;
        self.paused = None;
        if left > 0 {
            tracing::warn!(recording = %self.folder, left, "the end of a recording is missing");
        }
    }

    fn leave(&self) {
        let recording = &self.folder;
        tracing::warn!(%recording, "a recording is not completed, for the store is away; the next start does it");
    }
}

/// In the place of a rendition's name, for the playlists.
const PLAYLISTS: &str = "";

/// How long a store that is slow or away is waited for once the broadcast is over.
const FINISH: Duration = Duration::from_secs(60);

/// How long the last playlists get after that.
const PARTING: Duration = Duration::from_secs(35);

/// The same when the process is to stop.
const DRAIN: Duration = Duration::from_secs(5);

/// Playlists of so many bytes are written a second later each time: a day's are some megabytes.
const SIZE_PER_SECOND: usize = 100_000;
