//! Purges: what the snapshot says is to be forgotten, carried out once each.
//!
//! A purge of URLs costs a look at their names; prefixes, tags and channels cost one pass over what is in memory, shared by
//! all that came together: some 10 ms for 100,000 objects, and nothing at all for requests. What is being fetched meanwhile
//! is caught by the [`log`].

pub mod log;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use nearcast_api::purge::{Order, Purge, Target};
use nearcast_api::snapshot::Snapshot;
use nearcast_service::control;
use nearcast_service::drain::Drain;

use self::log::{Concern, Log};
use crate::access::token;
use crate::cache::{Cache, store};
use crate::metrics;
use crate::proxy::names::{Routes, without_port};

/// Carries purges out. Share it in an `Arc`.
#[derive(Debug)]
pub struct Purger {
    cache: Arc<Cache>,
    log: Arc<Log>,
    /// The newest purge that has been carried out.
    applied: AtomicU64,
    metrics: metrics::Purges,
}

impl Purger {
    /// For a cache in whose memory there is nothing yet, so that it needs no purge of `now`'s, but for what is on disk.
    pub fn new(cache: Arc<Cache>, now: &Snapshot, metrics: metrics::Purges) -> Arc<Self> {
        let done = cache.disk().map(|disk| disk.purged().unwrap_or(now.purges.floor));
        let applied = AtomicU64::new(done.unwrap_or(now.purges.newest()));
        let log = Arc::clone(cache.purges());
        Arc::new(Self { cache, log, applied, metrics })
    }

    /// The newest purge that has been carried out, with all before it; 0 for none.
    pub fn applied(&self) -> u64 {
        self.applied.load(Ordering::Acquire)
    }

    /// Carries out what is new in a snapshot. True when there was something.
    pub fn apply(&self, snapshot: &Snapshot, routes: &Routes) -> bool {
        let (applied, newest) = (self.applied(), snapshot.purges.newest());
        // Before the first snapshot nothing is known of purges.
        if applied == newest || snapshot.version == 0 {
            return false;
        }
        let concerns = match snapshot.purges.since(applied) {
            Some(purges) => purges.iter().map(|Purge { order, .. }| concern(order, routes)).collect(),
            None => {
                tracing::warn!("some purges were missed: everything that is cached is forgotten");
                vec![Concern { everything: true, ..Concern::default() }]
            }
        };
        let (begun, count) = (Instant::now(), concerns.len());
        let objects = self.carry_out(&concerns);
        self.metrics.seconds.observe(begun.elapsed().as_secs_f64());
        self.metrics.applied.inc_by(count as u64);
        self.metrics.objects.inc_by(objects as u64);
        tracing::info!(purge = newest, purges = count, objects, "purged");
        if let Some(disk) = self.cache.disk() {
            disk.set_purged(newest);
        }
        self.applied.store(newest, Ordering::Release);
        true
    }

    fn carry_out(&self, concerns: &[Concern]) -> usize {
        // First, so that what arrives from now on is not kept.
        concerns.iter().for_each(|concern| self.log.push(concern.clone()));
        let (named, searched): (Vec<_>, Vec<_>) = concerns.iter().partition(|concern| concern.is_names());
        let mut objects = 0;
        for concern in named {
            objects += self.cache.purge_names(&concern.names, concern.soft);
        }
        if searched.is_empty() {
            return objects;
        }
        objects
            + self.cache.purge(|name, tags| {
                let hits = searched.iter().filter(|concern| concern.concerns(name, tags));
                hits.fold(store::Purge::No, |worst, concern| match (worst, concern.soft) {
                    (store::Purge::Hard, _) | (_, false) => store::Purge::Hard,
                    (_, true) => store::Purge::Soft,
                })
            })
    }
}

/// Carries out purges as they come, and says so at once, until the drain.
pub(crate) async fn run(
    purger: Arc<Purger>,
    routes: Arc<crate::proxy::Proxy>,
    control: control::Client,
    drain: Drain,
) {
    let mut snapshots = control.watch();
    loop {
        let snapshot = snapshots.borrow_and_update().clone();
        let (working, routes) = (Arc::clone(&purger), Arc::clone(&routes));
        // A pass over a large memory would hold up what else this thread has to do.
        let done = tokio::task::spawn_blocking(move || working.apply(&snapshot, routes.routes())).await;
        if done.unwrap_or(false) {
            control.nudge();
        }
        if !matches!(drain.unless_draining(snapshots.changed()).await, Some(Ok(()))) {
            // Without a control plane there is nothing to wait for.
            return;
        }
    }
}

/// What an order means to this edge, with its routes.
fn concern(Order { target, soft }: &Order, routes: &Routes) -> Concern {
    let mut concern = Concern { soft: *soft, ..Concern::default() };
    match target {
        Target::Url(url) => {
            let (host, path) = parts(url);
            concern.names = routes.names_of(host.as_deref(), &path);
            if has_ours(host.as_deref(), routes) {
                // Our own media has no query, and the same name whoever may see it.
                let path = path.split('?').next().unwrap_or_default();
                concern.names.push(token::split(path).1.to_owned());
            }
        }
        Target::Prefix(url) => {
            let (host, path) = parts(url);
            concern.prefixes = routes.prefixes_of(host.as_deref(), &path);
            if has_ours(host.as_deref(), routes) {
                concern.prefixes.push(token::split(&path).1.to_owned());
            }
        }
        Target::Tag(tag) => concern.tag = Some(tag.as_str().into()),
        Target::Channel(channel) => concern.prefixes = vec![format!("/live/{channel}/")],
    }
    concern
}

/// Whether our own media is found on this host, and not a route's in its place.
fn has_ours(host: Option<&str>, routes: &Routes) -> bool {
    host.is_none_or(|host| routes.find(host, "/live/").is_none())
}

/// Host and path of a URL; no host for one that begins with its path.
fn parts(url: &str) -> (Option<String>, String) {
    if url.starts_with('/') {
        return (None, url.to_owned());
    }
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let (host, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let slash = if path.starts_with('/') { "" } else { "/" };
    (Some(without_port(host).to_owned()), format!("{slash}{path}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart() {
        let cases = [
            ("/a?b", None, "/a?b"),
            ("https://a.example:8443/x?y", Some("a.example"), "/x?y"),
            ("http://a.example", Some("a.example"), "/"),
            ("http://a.example?y", Some("a.example"), "/?y"),
            ("a.example/x", Some("a.example"), "/x"),
        ];
        for (url, host, path) in cases {
            assert_eq!(parts(url), (host.map(str::to_owned), path.to_owned()), "{url}");
        }
    }
}
