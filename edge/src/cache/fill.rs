//! One fetch into the cache, and how those who wait for it are told.

use std::sync::Arc;
use std::time::{Duration, Instant};

use nearcast_media::path::Resource;

use super::Cache;
use super::flight::Permit;
use super::growing::Growing;
use super::object::Object;
use crate::error::{Error, Result};
use crate::upstream::Opened;

/// A running fetch. Dropped before its end (a panic, a runtime that stops), it hands its permit to one waiter.
#[derive(Debug)]
pub(super) struct Fill {
    cache: Arc<Cache>,
    permit: Option<Permit>,
}

/// What a waiter is told.
#[derive(Debug)]
pub(super) enum Outcome {
    Whole(Arc<Object>),
    /// It was on disk.
    Kept(Arc<Object>),
    Growing(Arc<Growing>),
    Failed(Error),
    /// The fetch stopped without a verdict: run this one.
    Elected(Fill),
}

impl Fill {
    pub(super) fn new(cache: &Arc<Cache>, permit: Permit) -> Self {
        Self { cache: Arc::clone(cache), permit: Some(permit) }
    }

    /// What is fetched.
    pub(super) fn path(&self) -> Arc<str> {
        self.permit.as_ref().map_or_else(|| "".into(), |permit| Arc::clone(permit.key()))
    }

    /// Fetches, keeps and tells.
    pub(super) async fn run(mut self) {
        let (path, began) = (self.path(), self.cache.purges.now());
        let kept = match &self.cache.disk {
            Some(disk) => disk.read(&path).await,
            None => None,
        };
        let on_disk = kept.is_some();
        let result = match (kept, Resource::parse(&path)) {
            (Some(object), _) => Ok((object, true)),
            (None, Ok(resource)) => {
                self.cache.metrics.fills.inc();
                self.fetch(resource, &path).await.map(|object| (object, resource.is_immutable()))
            }
            (None, Err(_not_ours)) => Err(Error::NoRoute),
        };
        let cache = &self.cache;
        match &result {
            Ok((object, true)) => cache.store.insert(&path, Arc::clone(object)),
            Ok((object, false)) => cache.documents.insert(&path, Arc::clone(object)),
            Err(error) => {
                cache.metrics.failed_fills.inc();
                if matches!(error, Error::NotFound) {
                    cache.documents.remove(&path);
                }
                cache.negative.insert(&path, error.clone(), negative_life(error), Instant::now());
            }
        }
        // Looked at after it is kept: a purge that comes now finds it there.
        if cache.purges.purged_since(began, &path, &[]) {
            cache.purge_names(&[path.to_string()], false);
        }
        let Some(permit) = self.permit.take() else { return };
        let waiters = self.cache.flights().land(permit);
        for waiter in waiters {
            let outcome = match &result {
                Ok((object, _)) if on_disk => Outcome::Kept(Arc::clone(object)),
                Ok((object, _)) => Outcome::Whole(Arc::clone(object)),
                Err(error) => Outcome::Failed(error.clone()),
            };
            // A waiter that is gone needs no answer.
            let _gone = waiter.send(outcome);
        }
    }

    async fn fetch(&self, resource: Resource<'_>, path: &str) -> Result<Arc<Object>> {
        let opened = self.cache.upstream.open(resource, path).await?;
        let (content_type, produced, max_age) =
            (opened.content_type.clone(), opened.produced, opened.max_age);
        let whole = |body| Arc::new(Object { body, content_type: content_type.clone(), produced, max_age });
        if !matches!(resource, Resource::Segment { .. }) {
            // A part is sent only when it is all here (RFC 8216bis §6.2.6); the others are small.
            return opened.collect().await.map(whole);
        }
        let growing = Arc::new(Growing::new(opened.length, opened.content_type.clone(), produced));
        self.open(&growing);
        let guard = Unfinished(&growing);
        let result = grow(opened, &growing).await.map(|()| whole(growing.joined()));
        growing.finish(result.clone());
        drop(guard);
        result
    }

    fn open(&self, growing: &Arc<Growing>) {
        let Some(permit) = &self.permit else { return };
        let waiters = self.cache.flights().open(permit, Arc::clone(growing));
        for waiter in waiters {
            let _gone = waiter.send(Outcome::Growing(Arc::clone(growing)));
        }
    }
}

impl Drop for Fill {
    fn drop(&mut self) {
        let Some(permit) = self.permit.take() else { return };
        let elected = self.cache.flights().abandon(permit);
        if let Some((waiter, permit)) = elected {
            // When the waiter is gone as well, the fill comes back, is dropped here and elects the next.
            let _next = waiter.send(Outcome::Elected(Self::new(&self.cache, permit)));
        }
    }
}

async fn grow(mut opened: Opened, growing: &Growing) -> Result<()> {
    while let Some(chunk) = opened.chunk().await? {
        growing.push(chunk);
    }
    Ok(())
}

/// Ends a body whose task stops early, so that its readers do not wait for ever.
struct Unfinished<'a>(&'a Growing);

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        self.0.finish(Err(Error::Draining));
    }
}

/// Long enough to take the edge off a storm of one name, short enough that what begins is found.
fn negative_life(error: &Error) -> Duration {
    match error {
        Error::NotFound => Duration::from_secs(1),
        // Less than players wait before they ask once more.
        _ => Duration::from_millis(250),
    }
}
