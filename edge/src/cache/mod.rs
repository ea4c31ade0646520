//! What the edge has, and one fetch for what it has not, however many ask.
//!
//! [`Cache::get`] looks into the [`store`] (immutable media) or the [`documents`] (multivariant playlists and manifests),
//! then joins the [`flight`] of the path or starts it. A fill runs in a task of its own, so a client that leaves
//! breaks nothing; what was missing is remembered for a moment in the [`negative`] table.

pub mod disk;
pub mod documents;
pub mod flight;
pub mod growing;
pub mod index;
pub mod negative;
pub mod object;
pub mod size;
pub mod store;

mod fill;

use std::path::PathBuf;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nearcast_api::NodeId;
use nearcast_media::path::Resource;
use nearcast_service::drain::Drain;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use tokio::time::sleep;

use self::disk::Disk;
use self::documents::Documents;
use self::fill::{Fill, Outcome};
use self::flight::{Join, Table, Ticket};
use self::growing::Growing;
use self::negative::Negative;
use self::object::Object;
use self::size::Size;
use self::store::{Purge, Store};
use crate::error::{Error, Result};
use crate::metrics;
use crate::purge::log::Log;
use crate::upstream::Upstream;

/// `[cache]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Bytes of media kept in memory, overhead included: `512MiB`.
    pub memory: Size,
    /// Fetches that may run at a time; beyond them requests for what is not cached get 503.
    pub max_fills: usize,
    /// Folder of a second tier, for segments that memory has no room for any more: viewers who go back find them without the
    /// origin. Empty for none; each edge needs its own, `{node.id}` standing for its name.
    pub disk: PathBuf,
    /// Bytes of it.
    pub disk_size: Size,
    /// How many missing names are remembered.
    pub negative_entries: usize,
}

/// The edge's memory. Share it in an `Arc`.
#[derive(Debug)]
pub struct Cache {
    store: Store,
    disk: Option<Disk>,
    documents: Documents,
    negative: Negative<Error>,
    flights: Mutex<Table<Arc<Growing>, oneshot::Sender<Outcome>>>,
    upstream: Arc<Upstream>,
    max_fills: usize,
    purges: Arc<Log>,
    drain: Drain,
    metrics: metrics::Cache,
}

/// An object, whole or on its way.
#[derive(Debug, Clone)]
pub enum Got {
    Whole(Arc<Object>),
    Growing(Arc<Growing>),
}

/// Where a response came from, for `Cache-Status` (RFC 9211).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    Hit,
    /// It was in the second tier.
    Disk,
    /// Fetched for this request.
    Miss,
    /// Fetched for another request that was first.
    Collapsed,
    /// Past its lifetime, because no parent answered.
    Stale,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            memory: Size(512 << 20),
            max_fills: 1024,
            disk: PathBuf::new(),
            disk_size: Size(10 << 30),
            negative_entries: 16_384,
        }
    }
}

impl Config {
    /// The second tier, if there is to be one.
    ///
    /// # Errors
    /// Its folder cannot be written.
    pub fn open_disk(
        &self,
        node: &NodeId,
        purges: &Arc<Log>,
        drain: &Drain,
        metrics: metrics::Disk,
    ) -> Result<Option<Disk>> {
        if self.disk.as_os_str().is_empty() {
            return Ok(None);
        }
        // A path that is no text has no name in it.
        let folder = match self.disk.to_str() {
            Some(path) => path.replace("{node.id}", node.as_str()).into(),
            None => self.disk.clone(),
        };
        let opened = Disk::open(&folder, self.disk_size.0, Arc::clone(purges), drain, metrics);
        opened.map(Some).map_err(|source| Error::Disk { folder: folder.into(), source: Arc::new(source) })
    }
}

impl Cache {
    /// An empty cache in front of `upstream`. `purges` says what was purged lately.
    pub fn new(
        config: &Config,
        upstream: Arc<Upstream>,
        purges: Arc<Log>,
        disk: Option<Disk>,
        drain: Drain,
        metrics: metrics::Cache,
    ) -> Arc<Self> {
        Arc::new(Self {
            store: Store::new(config.memory.0, disk.clone(), metrics.bytes.clone()),
            disk,
            documents: Documents::default(),
            negative: Negative::new(config.negative_entries),
            flights: Mutex::default(),
            upstream,
            max_fills: config.max_fills,
            purges,
            drain,
            metrics,
        })
    }

    /// The immutable object of this path, if it is here. The path need not be valid.
    pub fn peek(&self, path: &str) -> Option<Arc<Object>> {
        let found = self.store.get(path);
        if found.is_some() {
            self.metrics.hits.inc();
        }
        found
    }

    /// As [`Cache::peek`], uncounted: for a part that is only a piece of the answer.
    pub fn stored(&self, path: &str) -> Option<Arc<Object>> {
        self.store.get(path)
    }

    /// Whether the immutable object of this path is here. That is no use of it.
    pub fn contains(&self, path: &str) -> bool {
        self.store.contains(path)
    }

    /// A segment was answered from its parts.
    pub fn count_assembled(&self) {
        self.metrics.assembled_segments.inc();
    }

    /// The resource, from memory or fetched. `path` must be its one spelling.
    pub async fn get(self: &Arc<Self>, resource: Resource<'_>, path: &str) -> Result<(Got, Source)> {
        let mut source = None;
        loop {
            let now = Instant::now();
            if let Some(object) = self.cached(resource, path, now) {
                self.metrics.hits.inc();
                return Ok((Got::Whole(object), source.unwrap_or(Source::Hit)));
            }
            if let Some(error) = self.negative.get(path, now) {
                self.metrics.negative_hits.inc();
                // A parent that failed a moment ago was not asked for this.
                return self.or_stale(resource, path, error, now).map(|(got, _)| (got, Source::Hit));
            }
            let (waiter, told) = oneshot::channel();
            let Some(join) = self.join(resource, path, waiter)? else { continue };
            let (ticket, joined) = match join {
                Join::Open(growing) => {
                    self.metrics.joins.inc();
                    return Ok((Got::Growing(growing), Source::Collapsed));
                }
                Join::Wait(ticket) => (ticket, Source::Collapsed),
                Join::Fetch(ticket, permit) => {
                    self.start(Fill::new(self, permit));
                    (ticket, Source::Miss)
                }
            };
            let source = *source.get_or_insert(joined);
            if source == Source::Collapsed {
                self.metrics.joins.inc();
            }
            let _leave = Leave { cache: self, ticket };
            match told.await {
                Ok(Outcome::Whole(object)) => return Ok((Got::Whole(object), source)),
                Ok(Outcome::Kept(object)) => return Ok((Got::Whole(object), Source::Disk)),
                Ok(Outcome::Growing(growing)) => return Ok((Got::Growing(growing), source)),
                Ok(Outcome::Failed(error)) => return self.or_stale(resource, path, error, Instant::now()),
                // The fetch stopped and this waiter is to try: then wait like the others.
                Ok(Outcome::Elected(fill)) => self.start(fill),
                // Not told: look again.
                Err(_closed) => {}
            }
        }
    }

    /// Fetches an object that somebody is about to ask for.
    pub fn prefetch(self: &Arc<Self>, path: &str) {
        if self.store.contains(path) {
            return;
        }
        // Asked for too early it was missing; now it is announced.
        self.negative.remove(path);
        let permit = self.flights().prefetch(path);
        if let Some(permit) = permit {
            self.start(Fill::new(self, permit));
        }
    }

    /// Called now and then: keeps the store inside its budget.
    pub fn enforce_budget(&self) {
        if self.store.enforce() {
            self.metrics.over_budget.inc();
        }
    }

    /// Its second tier.
    pub fn disk(&self) -> Option<&Disk> {
        self.disk.as_ref()
    }

    /// What was purged lately: what was asked for before is not kept after.
    pub fn purges(&self) -> &Arc<Log> {
        &self.purges
    }

    /// Forgets what has one of these names, or makes it stale; returns how much that was.
    pub fn purge_names(&self, names: &[String], soft: bool) -> usize {
        let names = || names.iter().map(String::as_str);
        names().for_each(|name| self.negative.remove(name));
        let verdict = if soft { Purge::Soft } else { Purge::Hard };
        let documents = names().filter(|name| self.documents.purge_name(name, verdict)).count();
        let memory = documents + self.store.purge_names(names(), soft);
        // Behind memory, from which it is filled.
        memory + self.disk.as_ref().map_or(0, |disk| names().filter(|name| disk.forget(name)).count())
    }

    /// Forgets what `verdict` says of names and tags, or makes it stale; returns how much that was.
    pub fn purge(&self, verdict: impl Fn(&str, &[Box<str>]) -> Purge) -> usize {
        let memory = self.documents.purge(|path| verdict(path, &[])) + self.store.purge(&verdict);
        memory + self.disk.as_ref().map_or(0, |disk| disk.purge(|path| verdict(path, &[]) != Purge::No))
    }

    /// The memory itself, which answers of other origins share.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The way to the origins.
    pub fn upstream(&self) -> &Arc<Upstream> {
        &self.upstream
    }

    /// Joins or starts the flight, or says `None` when it has landed since the caller looked.
    fn join(
        &self,
        resource: Resource<'_>,
        path: &str,
        waiter: oneshot::Sender<Outcome>,
    ) -> Result<Option<Join<Arc<Growing>>>> {
        let mut flights = self.flights();
        // A fill stores before it lands, so what is in neither place is not here.
        if self.cached(resource, path, Instant::now()).is_some() {
            return Ok(None);
        }
        if flights.len() >= self.max_fills && !flights.contains(path) {
            return Err(Error::Overloaded { what: "fetches running" });
        }
        Ok(Some(flights.join(path, waiter)))
    }

    fn cached(&self, resource: Resource<'_>, path: &str, now: Instant) -> Option<Arc<Object>> {
        if resource.is_immutable() { self.store.get(path) } else { self.documents.fresh(path, now) }
    }

    fn or_stale(
        &self,
        resource: Resource<'_>,
        path: &str,
        error: Error,
        now: Instant,
    ) -> Result<(Got, Source)> {
        if !resource.is_immutable()
            && error.is_parents()
            && let Some(object) = self.documents.stale(path, now)
        {
            return Ok((Got::Whole(object), Source::Stale));
        }
        Err(error)
    }

    fn start(self: &Arc<Self>, fill: Fill) {
        let (cache, path) = (Arc::clone(self), fill.path());
        self.drain.spawn("fill", async move {
            let mut running = pin!(fill.run());
            tokio::select! {
                () = &mut running => return,
                () = cache.drain.draining() => {}
            }
            // A part that is fetched ahead may be long in coming: the end does not wait for what nobody wants.
            while cache.flights().is_wanted(&path) {
                tokio::select! {
                    () = &mut running => return,
                    () = sleep(WANTED_CHECK) => {}
                }
            }
        });
    }

    fn flights(&self) -> MutexGuard<'_, Table<Arc<Growing>, oneshot::Sender<Outcome>>> {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How often a draining edge looks whether a fetch is still waited for.
const WANTED_CHECK: Duration = Duration::from_millis(100);

/// Gives a waiter's place back, also when its request is dropped.
struct Leave<'a> {
    cache: &'a Cache,
    ticket: Ticket,
}

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        self.cache.flights().leave(&self.ticket);
    }
}

#[cfg(test)]
mod tests;
