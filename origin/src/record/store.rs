//! Where recordings are: any object store, behind a deadline for each write and, for directories, the bounds of the
//! disk.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::TryStreamExt;
use nearcast_media::hls;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    Attribute, Attributes, ObjectMeta, ObjectStore, ObjectStoreExt, ObjectStoreScheme, PutOptions,
    RetryConfig,
};
use tokio::time::timeout;
use url::Url;

use crate::disk::{self, Fit, Room};
use crate::metrics::Record as Metrics;

/// A bucket or a directory. Names are relative to where `record.url` points.
#[derive(Debug)]
pub(super) struct Store {
    objects: Arc<dyn ObjectStore>,
    root: Path,
    /// Of a directory.
    disk: Option<(PathBuf, Arc<Room>)>,
    metrics: Metrics,
}

/// Why something is not in the store.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the disk is full")]
    Full,
    #[error("it took longer than {} s", DEADLINE.as_secs())]
    Slow,
    #[error("the disk does not answer")]
    Disk(#[from] std::io::Error),
    #[error("the store refuses it")]
    Store(#[from] object_store::Error),
    #[error("the origin's own disk, where the segment was, does not give it back")]
    Read(#[source] std::io::Error),
}

/// What a directory may take, as in `[record]`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) max_bytes: u64,
    pub(super) min_free_bytes: u64,
}

impl Store {
    /// Opens `url`, a path or a URL. Nothing is asked of it yet, so it may be away.
    ///
    /// # Errors
    /// No store of this kind is known, or an option is wrong.
    pub(super) fn open(
        url: &str,
        options: &BTreeMap<String, String>,
        bounds: Bounds,
        metrics: Metrics,
    ) -> object_store::Result<Self> {
        let location = match Url::parse(url) {
            Ok(url) if url.scheme() != "file" => {
                let (objects, root) = remote(&url, options)?;
                return Ok(Self { objects, root, disk: None, metrics });
            }
            Ok(url) => url.to_file_path().unwrap_or_else(|()| PathBuf::from(url.path())),
            Err(_) => PathBuf::from(url),
        };
        let directory = std::path::absolute(&location).unwrap_or(location);
        let room =
            Room::new(directory.clone(), bounds.max_bytes, bounds.min_free_bytes, disk::usage(&directory));
        metrics.disk_bytes.set(i64::try_from(room.used()).unwrap_or(i64::MAX));
        let root = Path::from_absolute_path(&directory)?;
        let disk = Some((directory, Arc::new(room)));
        Ok(Self { objects: Arc::new(LocalFileSystem::new()), root, disk, metrics })
    }

    /// Puts an object of these pieces there, in place of any other. It is there whole or not at all.
    pub(super) async fn put(&self, name: &str, pieces: Vec<Bytes>) -> Result<(), Error> {
        let length = pieces.iter().map(|piece| piece.len() as u64).sum::<u64>();
        let put = async {
            // Playlists are small, and without them nothing of what is there could be played.
            if !is_rewritten(name) {
                self.make_room(length).await?;
            }
            let mut options = PutOptions::default();
            if self.disk.is_none() {
                options.attributes = Attributes::from_iter([(Attribute::ContentType, content_type(name))]);
            }
            let before = self.disk.is_some() && is_rewritten(name);
            let before =
                if before { self.objects.head(&self.path(name)).await.map_or(0, |old| old.size) } else { 0 };
            self.objects.put_opts(&self.path(name), pieces.into_iter().collect(), options).await?;
            self.used(i64::try_from(length).unwrap_or(i64::MAX) - i64::try_from(before).unwrap_or(0));
            Ok(())
        };
        let put = timeout(DEADLINE, put).await.unwrap_or(Err(Error::Slow));
        match &put {
            Ok(()) => self.metrics.stored_bytes.inc_by(length),
            Err(_) => self.metrics.failed_writes.inc(),
        };
        put
    }

    /// An object's text. `None` when there is none.
    pub(super) async fn text(&self, name: &str) -> Result<Option<String>, Error> {
        let read = async {
            match self.objects.get(&self.path(name)).await {
                Ok(found) => Ok(Some(String::from_utf8_lossy(&found.bytes().await?).into_owned())),
                Err(object_store::Error::NotFound { .. }) => Ok(None),
                Err(error) => Err(error.into()),
            }
        };
        timeout(DEADLINE, read).await.unwrap_or(Err(Error::Slow))
    }

    /// All objects below `folder`, or all, with their names.
    pub(super) async fn list(&self, folder: &str) -> Result<Vec<(String, ObjectMeta)>, Error> {
        let folder = self.path(folder);
        let found: Vec<ObjectMeta> = match self.objects.list(Some(&folder)).try_collect().await {
            Err(object_store::Error::NotFound { .. }) => Vec::new(),
            found => found?,
        };
        let name = |meta: ObjectMeta| {
            let parts: Vec<_> = meta.location.prefix_match(&self.root)?.collect();
            let parts: Vec<&str> = parts.iter().map(AsRef::as_ref).collect();
            Some((parts.join("/"), meta))
        };
        Ok(found.into_iter().filter_map(name).collect())
    }

    /// Deletes an object; one that is not there is fine.
    pub(super) async fn delete(&self, name: &str, length: u64) -> Result<(), Error> {
        match self.objects.delete(&self.path(name)).await {
            Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
            Ok(()) => {
                self.used(-i64::try_from(length).unwrap_or(i64::MAX));
                Ok(())
            }
        }
    }

    /// Deletes everything below `folder`, and in directories the folder itself.
    pub(super) async fn delete_all(&self, folder: &str) -> Result<(), Error> {
        for (name, meta) in self.list(folder).await? {
            self.delete(&name, meta.size).await?;
        }
        if let Some((directory, _)) = &self.disk {
            let folder = directory.join(folder);
            // Only empty folders are left, unless somebody else put something there, and then it stays.
            let _kept = tokio::task::spawn_blocking(move || remove_empty(&folder)).await;
        }
        Ok(())
    }

    /// Measures the directory again: others may have written or deleted.
    pub(super) async fn measure(&self) {
        let Some((directory, room)) = self.disk.clone() else { return };
        let measured = tokio::task::spawn_blocking(move || disk::usage(&directory)).await;
        if let Ok(used) = measured {
            let (used, known) = (i64::try_from(used), i64::try_from(room.used()));
            self.used(used.unwrap_or(0) - known.unwrap_or(0));
        }
    }

    /// Says whether there is room, and tells people when that changes.
    async fn make_room(&self, length: u64) -> Result<(), Error> {
        let Some((directory, room)) = self.disk.clone() else { return Ok(()) };
        let fits = tokio::task::spawn_blocking(move || {
            std::fs::create_dir_all(&directory)?;
            room.fits(length)
        });
        let fit = fits.await.unwrap_or_else(|panicked| Err(std::io::Error::other(panicked)))?;
        match fit {
            Fit::NoMore => tracing::error!(
                root = %self.root,
                "recording stops, for the disk is full: delete recordings, or change `record.max_bytes` and \
                 `record.min_free_bytes`"
            ),
            Fit::Again => {
                tracing::info!(root = %self.root, "recording goes on: there is room on the disk again")
            }
            Fit::Yes | Fit::No => {}
        }
        self.metrics.full.set(i64::from(!fit.is_yes()));
        if fit.is_yes() { Ok(()) } else { Err(Error::Full) }
    }

    fn used(&self, bytes: i64) {
        if let Some((_, room)) = &self.disk {
            room.add(bytes);
            self.metrics.disk_bytes.set(i64::try_from(room.used()).unwrap_or(i64::MAX));
        }
    }

    fn path(&self, name: &str) -> Path {
        name.split('/').filter(|part| !part.is_empty()).fold(self.root.clone(), |path, part| path.join(part))
    }
}

/// Whether there can be a store at `url`; nothing of it is touched.
pub(super) fn check(url: &str, options: &BTreeMap<String, String>) -> object_store::Result<()> {
    match Url::parse(url) {
        Ok(url) if url.scheme() != "file" => remote(&url, options).map(drop),
        _ => Ok(()),
    }
}

/// A store elsewhere. Its own retries are off: whoever calls knows better what a retry is worth.
fn remote(
    url: &Url,
    options: &BTreeMap<String, String>,
) -> object_store::Result<(Arc<dyn ObjectStore>, Path)> {
    use object_store::{aws, azure, gcp, http};
    let once = || RetryConfig { max_retries: 0, ..RetryConfig::default() };
    let (scheme, root) = ObjectStoreScheme::parse(url).map_err(object_store::Error::from)?;
    macro_rules! build {
        ($builder:expr) => {{
            let mut builder = $builder.with_url(url.as_str()).with_retry(once());
            for (key, value) in options {
                builder = builder.with_config(key.parse()?, value);
            }
            Arc::new(builder.build()?) as Arc<dyn ObjectStore>
        }};
    }
    let objects = match scheme {
        ObjectStoreScheme::AmazonS3 => build!(aws::AmazonS3Builder::from_env()),
        ObjectStoreScheme::GoogleCloudStorage => build!(gcp::GoogleCloudStorageBuilder::from_env()),
        ObjectStoreScheme::MicrosoftAzure => build!(azure::MicrosoftAzureBuilder::from_env()),
        ObjectStoreScheme::Http => {
            let base = &url[..url::Position::BeforePath];
            Arc::new(http::HttpBuilder::new().with_url(base).with_retry(once()).build()?)
        }
        _ => {
            return Err(object_store::Error::NotSupported {
                source: "use a path, or a URL with s3://, gs://, az:// or https://".into(),
            });
        }
    };
    Ok((objects, root))
}

/// What browsers must be told of an object.
fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.') {
        Some((_, "m3u8")) => hls::CONTENT_TYPE,
        Some((_, "mp4" | "m4s")) => "video/mp4",
        _ => "application/octet-stream",
    }
}

/// Playlists are written again and again, media once.
fn is_rewritten(name: &str) -> bool {
    name.ends_with(".m3u8")
}

fn remove_empty(folder: &std::path::Path) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            remove_empty(&entry.path());
        }
    }
    let _not_empty = std::fs::remove_dir(folder);
}

/// A segment of some megabytes goes through the slowest line that can record at all.
const DEADLINE: Duration = Duration::from_secs(30);
