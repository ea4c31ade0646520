//! What the origin tells the control plane of itself.

use std::time::Instant;

use nearcast_api::node::{Heartbeat, Load};
use nearcast_service::control;
use nearcast_service::drain::Drain;
use nearcast_service::load::Sampler;
use nearcast_service::metrics::Counter;

use crate::package::Channels;

/// Gives a heartbeat whenever it is called: the load since the last one, and all that is live.
///
/// The load is this process's; transcoders are others.
pub(crate) fn heartbeat(channels: Channels, sent: Counter) -> impl FnMut() -> Heartbeat + Send + 'static {
    let mut cpu = Sampler::new();
    let mut last = (Instant::now(), sent.get());
    move || {
        let now = (Instant::now(), sent.get());
        let (seconds, bytes) = ((now.0 - last.0).as_secs_f64(), now.1.saturating_sub(last.1));
        last = now;
        let egress_bps = if seconds > 0.0 { (bytes as f64 * 8.0 / seconds) as u64 } else { 0 };
        let load = Load { cpu: cpu.cpu(), viewers: 0, egress_bps };
        Heartbeat { load, broadcasts: channels.live(), ..Heartbeat::default() }
    }
}

/// Sends a heartbeat at once when a broadcast begins or ends: viewers and edges wait for the news.
pub(crate) async fn announce(channels: Channels, control: control::Client, drain: Drain) {
    while drain.unless_draining(channels.changed()).await.is_some() {
        control.nudge();
    }
}
