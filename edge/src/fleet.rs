//! What the edge tells the control plane of itself, and the once-a-second work behind it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use nearcast_api::node::{self, Heartbeat};
use nearcast_service::drain::Drain;
use nearcast_service::load::Sampler;
use nearcast_service::metrics::Counter;
use tokio::time::MissedTickBehavior;

use crate::audience::Audience;
use crate::audience::overload::Overload;
use crate::cache::Cache;
use crate::metrics;
use crate::purge::Purger;

/// Measures the load between two heartbeats.
#[derive(Debug)]
pub(crate) struct Load {
    audience: Arc<Audience>,
    sent: Counter,
    cache: metrics::Cache,
    purges: Arc<Purger>,
    last: Mutex<Last>,
}

#[derive(Debug)]
struct Last {
    cpu: Sampler,
    at: Instant,
    bytes: u64,
    lookups: Lookups,
}

/// How often media was asked for, and how often it had to be fetched.
#[derive(Debug, Clone, Copy)]
struct Lookups {
    all: u64,
    fetched: u64,
}

/// Gives a heartbeat whenever it is called; an empty one while the edge is still being put together.
pub(crate) fn heartbeat(load: Arc<OnceLock<Load>>) -> impl FnMut() -> Heartbeat + Send + 'static {
    move || {
        let Some(load) = load.get() else { return Heartbeat::default() };
        let (audience, countries) = (load.audience.report(), load.audience.countries());
        Heartbeat {
            load: load.measure(),
            audience,
            countries,
            purged: load.purges.applied(),
            ..Heartbeat::default()
        }
    }
}

/// What is done once a second.
pub(crate) struct House {
    pub(crate) cache: Arc<Cache>,
    pub(crate) audience: Arc<Audience>,
    pub(crate) metrics: metrics::Serve,
    /// Told to whoever lets viewers in.
    pub(crate) full: Arc<AtomicBool>,
    /// Share of all cores above which it is.
    pub(crate) full_at: f32,
}

impl House {
    /// Moves the viewers' window on, keeps the cache inside its budget and says when there is too much to do, until the
    /// drain.
    pub(crate) async fn keep(self, drain: Drain) {
        let (mut sampler, mut overload) = (Sampler::new(), Overload::new(self.full_at));
        let mut ticks = tokio::time::interval(Duration::from_secs(1));
        // Missed seconds would empty the window at once.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while drain.unless_draining(ticks.tick()).await.is_some() {
            self.audience.tick();
            self.metrics.viewers.set(self.audience.viewers().into());
            self.cache.enforce_budget();
            let full = overload.measured(sampler.cpu());
            if self.full.swap(full, Ordering::Relaxed) != full {
                match full {
                    true => tracing::warn!(
                        "this edge has enough to do: viewers who are not here yet are sent elsewhere"
                    ),
                    false => tracing::info!("there is room for new viewers again"),
                }
            }
        }
    }
}

impl Load {
    pub(crate) fn new(
        audience: Arc<Audience>,
        sent: Counter,
        cache: metrics::Cache,
        purges: Arc<Purger>,
    ) -> Self {
        let lookups = Lookups::so_far(&cache);
        let last = Last { cpu: Sampler::new(), at: Instant::now(), bytes: sent.get(), lookups };
        Self { audience, sent, cache, purges, last: Mutex::new(last) }
    }

    fn measure(&self) -> node::Load {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let (now, bytes) = (Instant::now(), self.sent.get());
        let seconds = (now - last.at).as_secs_f64();
        let bits = bytes.saturating_sub(last.bytes) as f64 * 8.0;
        let egress_bps = if seconds > 0.0 { (bits / seconds) as u64 } else { 0 };
        let lookups = Lookups::so_far(&self.cache);
        let cache_ratio = lookups.ratio_since(last.lookups);
        (last.at, last.bytes, last.lookups) = (now, bytes, lookups);
        node::Load { cpu: last.cpu.cpu(), viewers: self.audience.viewers(), egress_bps, cache_ratio }
    }
}

impl Lookups {
    fn so_far(cache: &metrics::Cache) -> Self {
        let fetched = cache.fills.get();
        let served = [&cache.hits, &cache.joins, &cache.assembled_segments].map(|counter| counter.get());
        Self { all: served.iter().sum::<u64>() + fetched, fetched }
    }

    /// The share that needed no fetch of its own; none when nothing was asked for.
    fn ratio_since(self, last: Self) -> Option<f32> {
        let (all, fetched) = (self.all.saturating_sub(last.all), self.fetched.saturating_sub(last.fetched));
        (all > 0).then(|| (1.0 - fetched as f64 / all as f64) as f32)
    }
}

#[cfg(test)]
mod tests {
    use super::Lookups;

    #[test]
    fn the_ratio_is_of_what_was_asked_since_the_last_look() {
        let at = |all, fetched| Lookups { all, fetched };
        assert_eq!(at(150, 15).ratio_since(at(50, 10)), Some(0.95));
        assert_eq!(at(50, 10).ratio_since(at(50, 10)), None);
    }
}
