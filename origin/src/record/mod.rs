//! Recordings: broadcasts as they were live, as fMP4 and VOD playlists in an object store.
//!
//! A recording is `{channel}/{broadcast}/index.m3u8` and below it, for each rendition, what an edge serves:
//! `{rendition}/media.m3u8`, `init.mp4` and `{msn}.m4s`. Names are relative, so the store can be played as it stands. What
//! goes on at another origin is recorded there under a fresh id. While
//! the broadcast is live, a note under `_open/{node}/` says so; it is how the next start finds what a crash left.
//!
//! There is no queue of media: a recorder follows the live window ([`crate::package`]), in memory or on the DVR disk, and
//! what a store that is slow or away has not taken when it leaves the window is a gap.

mod recording;
mod recover;
mod retention;
mod store;
mod task;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use nearcast_api::ChannelId;
use nearcast_service::control;
use nearcast_service::drain::Drain;
use serde::{Deserialize, Serialize};

use crate::metrics::Record as Metrics;
use crate::package::{AUDIO, Broadcast, SOURCE};
use crate::{Error, Result};
pub use store::Error as StoreError;
use store::{Bounds, Store};

/// `[record]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Record broadcasts of channels whose own settings (`record`) do not say otherwise.
    pub enabled: bool,
    /// Where: a directory, or a URL with `s3://`, `gs://`, `az://` or `https://` (WebDAV). Empty for `recordings`
    /// beside `control.snapshot`.
    pub url: String,
    /// What a store at a URL needs to know, by the names of the `object_store` crate: `region`, `endpoint`,
    /// `access_key_id`. The usual `AWS_…`, `GOOGLE_…` and `AZURE_…` variables are read as well.
    pub options: BTreeMap<String, String>,
    /// Which renditions: `all`, or the publisher's own `source` video and audio.
    pub renditions: Renditions,
    /// Seconds between two versions of the playlists of a live broadcast: what a crash may cost. 1 to 60.
    pub playlist_interval: u64,
    /// Days after which a recording is deleted; 0 for never.
    pub keep_days: u64,
    /// Bytes of recordings per channel, beyond which the oldest are deleted; 0 for any number.
    pub keep_bytes: u64,
    /// Bytes in a directory, beyond which recording stops until there is room; 0 for any number.
    pub max_bytes: u64,
    /// Bytes that stay free on a directory's disk; below, recording stops until there is room.
    pub min_free_bytes: u64,
}

/// Which of a broadcast's renditions are recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Renditions {
    All,
    Source,
}

/// Records broadcasts. Clones are the same.
#[derive(Clone)]
pub struct Recorder(Option<Arc<Inner>>);

struct Inner {
    config: Config,
    node: String,
    store: Store,
    /// Knows the channels' settings, since it runs.
    control: OnceLock<control::Client>,
    metrics: Metrics,
    drain: Drain,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            enabled: false,
            url: String::new(),
            options: BTreeMap::new(),
            renditions: Renditions::All,
            playlist_interval: 5,
            keep_days: 0,
            keep_bytes: 0,
            max_bytes: 0,
            min_free_bytes: 1 << 30,
        }
    }
}

impl Config {
    /// Says what cannot work, if anything.
    pub fn check(&self) -> Result<(), String> {
        if !(1..=60).contains(&self.playlist_interval) {
            return Err("`record.playlist_interval` must be 1 to 60 seconds".into());
        }
        let checked = store::check(&self.url, &self.options);
        checked.map_err(|error| format!("`record.url` or `record.options`: {error}"))
    }
}

impl Renditions {
    fn include(self, rendition: &str) -> bool {
        self == Self::All || rendition == SOURCE || rendition == AUDIO
    }
}

impl Recorder {
    /// Opens `config.url`, or `beside/recordings`, completes what an earlier process left unfinished there, and
    /// deletes what is too old from time to time. The store may be away; then this happens when it is back.
    ///
    /// # Errors
    /// The URL or its options are wrong.
    pub fn open(config: Config, beside: &Path, node: &str, metrics: Metrics, drain: &Drain) -> Result<Self> {
        let url = match config.url.is_empty() {
            true => beside.join("recordings").to_string_lossy().into_owned(),
            false => config.url.clone(),
        };
        let bounds = Bounds { max_bytes: config.max_bytes, min_free_bytes: config.min_free_bytes };
        let store = Store::open(&url, &config.options, bounds, metrics.clone());
        let store = store.map_err(|source| Error::RecordStore { url, source })?;
        let (node, drain) = (node.to_owned(), drain.clone());
        let inner = Arc::new(Inner { config, node, store, control: OnceLock::new(), metrics, drain });
        inner.drain.spawn("recordings keeper", retention::keep(Arc::clone(&inner)));
        Ok(Self(Some(inner)))
    }

    /// Records nothing.
    pub fn none() -> Self {
        Self(None)
    }

    /// Lets channels decide by their settings from now on.
    pub fn heed(&self, control: control::Client) {
        if let Some(inner) = &self.0 {
            // There is one control plane, and it is told of once.
            let _known = inner.control.set(control);
        }
    }

    /// Records a broadcast that has just begun, if its channel's settings or else the configuration say so.
    pub fn begin(&self, channel: &ChannelId, broadcast: &Arc<Broadcast>) {
        let Some(inner) = &self.0 else { return };
        if inner.wants(channel) {
            let recording = task::record(Arc::clone(inner), channel.clone(), Arc::clone(broadcast));
            inner.drain.spawn("recording", recording);
        }
    }
}

impl Inner {
    fn wants(&self, channel: &ChannelId) -> bool {
        let snapshot = self.control.get().map(control::Client::current);
        let channel = snapshot.as_ref().and_then(|snapshot| snapshot.channels.get(channel));
        channel.and_then(|channel| channel.settings.record).unwrap_or(self.config.enabled)
    }

    /// The note that says a recording is not complete.
    fn note(&self, channel: &str, broadcast: &str) -> String {
        format!("{OPEN}/{}/{channel}.{broadcast}", self.node)
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Recorder").field(&self.0.as_ref().map(|inner| &inner.store)).finish()
    }
}

/// The folder of notes: no channel can have this name.
const OPEN: &str = "_open";

/// The first delay after a failure of the store, and the longest.
const RETRY: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(10));

#[cfg(test)]
mod tests;
