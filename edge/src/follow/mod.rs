//! The edge follows, it does not relay questions: one chain to the parent per rendition that somebody watches,
//! and every playlist request answered from memory.
//!
//! A playlist is shown as soon as it is here, before the part it announces: that part has been asked for together
//! with the playlist, so whoever asks for it now joins the fetch that is already on its way.

pub mod rendition;
pub mod view;

mod bridge;
mod chain;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use nearcast_media::hls::request::{Directives, hold_limit};
use nearcast_service::drain::Drain;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::timeout_at;

use self::view::{Answer, Snapshot, View};
use crate::cache::Cache;
use crate::cache::negative::Negative;
use crate::error::{Error, Result};
use crate::metrics;

/// `[follow]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Seconds a rendition is followed after its last viewer asked.
    pub idle: u64,
    /// Renditions followed at a time; requests for more get 503.
    pub max_renditions: usize,
    /// Playlist requests held at a time; more get 503.
    pub max_blocked: usize,
}

/// All followed renditions. Share it in an `Arc`.
#[derive(Debug)]
pub struct Followers {
    /// By the rendition's directory, `/live/{channel}/{broadcast}/{rendition}`, or by the path of its list of
    /// keyframes.
    renditions: RwLock<HashMap<Arc<str>, Arc<Followed>>>,
    missing: Negative<Error>,
    config: Config,
    cache: Arc<Cache>,
    blocked: AtomicUsize,
    /// Renditions of which no playlist has arrived yet.
    unproven: AtomicUsize,
    started: Instant,
    drain: Drain,
    metrics: metrics::Follow,
}

/// The requests' end of a followed rendition.
#[derive(Debug)]
struct Followed {
    view: watch::Receiver<Arc<View>>,
    /// Milliseconds from [`Followers::started`] to the last request.
    last_viewer: AtomicU64,
}

impl Default for Config {
    fn default() -> Self {
        Self { idle: 15, max_renditions: 4096, max_blocked: 100_000 }
    }
}

impl Followers {
    /// Follows nothing yet. Parts that are announced go to `cache`.
    pub fn new(config: Config, cache: Arc<Cache>, drain: Drain, metrics: metrics::Follow) -> Arc<Self> {
        Arc::new(Self {
            renditions: RwLock::default(),
            missing: Negative::new(4096),
            config,
            cache,
            blocked: AtomicUsize::new(0),
            unproven: AtomicUsize::new(0),
            started: Instant::now(),
            drain,
            metrics,
        })
    }

    /// The playlist that answers `directives`, as soon as there is one. `directory` is the rendition's path, or that
    /// of its list of keyframes.
    ///
    /// # Errors
    /// What the parent failed with, once there is nothing fresh enough to show; [`Error::Directives`] for what
    /// must not be waited for; [`Error::HeldTooLong`] after three target durations.
    pub async fn playlist(
        self: &Arc<Self>,
        directory: &str,
        directives: &Directives,
    ) -> Result<Arc<Snapshot>> {
        let started = Instant::now();
        let mut blocked = None;
        loop {
            let followed = self.followed(directory)?;
            followed.last_viewer.store(self.millis(Instant::now()), Ordering::Relaxed);
            // Most requests need not wait, and so need no receiver of their own.
            if let Answer::Ready(snapshot) = followed.view.borrow().answer(directives, started) {
                return Ok(Arc::clone(snapshot));
            }
            let mut view = followed.view.clone();
            loop {
                let current = Arc::clone(&view.borrow_and_update());
                match current.answer(directives, Instant::now()) {
                    Answer::Ready(snapshot) => return Ok(Arc::clone(snapshot)),
                    Answer::BadRequest(why) => return Err(Error::Directives(why)),
                    Answer::Unavailable(error) => return Err(error.clone()),
                    Answer::Wait => {}
                }
                if blocked.is_none() {
                    blocked = Some(Blocked::enter(self)?);
                }
                let hold =
                    current.snapshot.as_ref().map(|snapshot| hold_limit(snapshot.playlist.target_duration));
                let hold = hold.unwrap_or(FIRST_PLAYLIST);
                match timeout_at((started + hold).into(), view.changed()).await {
                    Ok(Ok(())) => {}
                    // It was just given up for want of viewers: follow it again.
                    Ok(Err(_closed)) => break,
                    Err(_elapsed) => return Err(Error::HeldTooLong { waited: hold }),
                }
            }
            if started.elapsed() > FIRST_PLAYLIST {
                return Err(Error::HeldTooLong { waited: started.elapsed() });
            }
        }
    }

    /// True while the rendition is followed.
    pub fn follows(&self, directory: &str) -> bool {
        self.renditions.read().unwrap_or_else(PoisonError::into_inner).contains_key(directory)
    }

    /// What is known of a rendition that is followed now.
    pub fn snapshot(&self, directory: &str) -> Option<Arc<Snapshot>> {
        let followed =
            Arc::clone(self.renditions.read().unwrap_or_else(PoisonError::into_inner).get(directory)?);
        followed.view.borrow().snapshot.clone()
    }

    /// The next playlist of a rendition that is followed, as long as there may soon be one.
    pub async fn next(&self, directory: &str) -> Option<Arc<Snapshot>> {
        let mut view = {
            let renditions = self.renditions.read().unwrap_or_else(PoisonError::into_inner);
            renditions.get(directory)?.view.clone()
        };
        let patience = view.borrow_and_update().snapshot.as_ref()?.target();
        let next = async {
            loop {
                // The one that is here has listed what its parent then failed with.
                view.changed().await.ok()?;
                let view = view.borrow_and_update();
                if view.failure.is_none() {
                    return view.snapshot.clone();
                }
            }
        };
        tokio::time::timeout(patience, next).await.ok()?
    }

    fn followed(self: &Arc<Self>, directory: &str) -> Result<Arc<Followed>> {
        if let Some(followed) = self.renditions.read().unwrap_or_else(PoisonError::into_inner).get(directory)
        {
            return Ok(Arc::clone(followed));
        }
        if let Some(error) = self.missing.get(directory, Instant::now()) {
            return Err(error);
        }
        if self.drain.is_draining() {
            return Err(Error::Draining);
        }
        let mut renditions = self.renditions.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(followed) = renditions.get(directory) {
            return Ok(Arc::clone(followed));
        }
        let unproven = self.unproven.load(Ordering::Relaxed);
        if renditions.len() >= self.config.max_renditions || unproven >= MAX_UNPROVEN {
            return Err(Error::Overloaded { what: "renditions followed" });
        }
        let (sender, view) = watch::channel(Arc::default());
        let last_viewer = AtomicU64::new(self.millis(Instant::now()));
        let followed = Arc::new(Followed { view, last_viewer });
        let directory: Arc<str> = directory.into();
        renditions.insert(Arc::clone(&directory), Arc::clone(&followed));
        drop(renditions);
        self.drain.spawn(
            "followed rendition",
            chain::run(Arc::clone(self), directory, Arc::clone(&followed), sender),
        );
        Ok(followed)
    }

    fn forget(&self, directory: &str) {
        self.renditions.write().unwrap_or_else(PoisonError::into_inner).remove(directory);
    }

    fn millis(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.started).as_millis()).unwrap_or(u64::MAX)
    }
}

/// A held request, counted.
struct Blocked<'a>(&'a Followers);

impl<'a> Blocked<'a> {
    fn enter(followers: &'a Followers) -> Result<Self> {
        let before = followers.blocked.fetch_add(1, Ordering::Relaxed);
        followers.metrics.blocked_requests.inc();
        let this = Self(followers);
        if before >= followers.config.max_blocked {
            return Err(Error::Overloaded { what: "playlist requests held" });
        }
        Ok(this)
    }
}

impl Drop for Blocked<'_> {
    fn drop(&mut self) {
        self.0.blocked.fetch_sub(1, Ordering::Relaxed);
        self.0.metrics.blocked_requests.dec();
    }
}

/// How the path of a list of keyframes ends; a directory's never does.
const I_FRAMES: &str = "/iframe.m3u8";
/// How long a rendition that no origin has is remembered as missing.
const NEGATIVE_LIFE: Duration = Duration::from_secs(1);
/// How long a first request waits for the parent's first playlist; the parent is given up before.
const FIRST_PLAYLIST: Duration = Duration::from_secs(10);
/// Renditions asked for the first time at once: more than any change of programme brings, few enough that a storm
/// of wrong names costs little.
const MAX_UNPROVEN: usize = 256;
