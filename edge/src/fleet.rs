//! What the edge tells the control plane of itself, and the once-a-second work behind it.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use nearcast_api::node::{self, Heartbeat};
use nearcast_service::drain::Drain;
use nearcast_service::load::Sampler;
use nearcast_service::metrics::Counter;
use tokio::time::MissedTickBehavior;

use crate::cache::Cache;
use crate::metrics;
use crate::purge::Purger;
use crate::serve::viewers::Viewers;

/// Measures the load between two heartbeats.
#[derive(Debug)]
pub(crate) struct Load {
    viewers: Arc<Viewers>,
    sent: Counter,
    purges: Arc<Purger>,
    last: Mutex<Last>,
}

#[derive(Debug)]
struct Last {
    cpu: Sampler,
    at: Instant,
    bytes: u64,
}

/// Gives a heartbeat whenever it is called; an empty one while the edge is still being put together.
pub(crate) fn heartbeat(load: Arc<OnceLock<Load>>) -> impl FnMut() -> Heartbeat + Send + 'static {
    move || {
        let Some(load) = load.get() else { return Heartbeat::default() };
        Heartbeat { load: load.measure(), purged: load.purges.applied(), ..Heartbeat::default() }
    }
}

/// Moves the viewers' window on and keeps the cache inside its budget, until the drain.
pub(crate) async fn keep_house(
    cache: Arc<Cache>,
    viewers: Arc<Viewers>,
    metrics: metrics::Serve,
    drain: Drain,
) {
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    // Missed seconds would empty the window at once.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while drain.unless_draining(ticks.tick()).await.is_some() {
        viewers.tick();
        metrics.viewers.set(viewers.count().into());
        cache.enforce_budget();
    }
}

impl Load {
    pub(crate) fn new(viewers: Arc<Viewers>, sent: Counter, purges: Arc<Purger>) -> Self {
        let last = Last { cpu: Sampler::new(), at: Instant::now(), bytes: sent.get() };
        Self { viewers, sent, purges, last: Mutex::new(last) }
    }

    fn measure(&self) -> node::Load {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let (now, bytes) = (Instant::now(), self.sent.get());
        let seconds = (now - last.at).as_secs_f64();
        let bits = bytes.saturating_sub(last.bytes) as f64 * 8.0;
        let egress_bps = if seconds > 0.0 { (bits / seconds) as u64 } else { 0 };
        (last.at, last.bytes) = (now, bytes);
        node::Load { cpu: last.cpu.cpu(), viewers: self.viewers.count(), egress_bps }
    }
}
