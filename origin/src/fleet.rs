//! What the origin tells the control plane of itself.

use std::time::Instant;

use nearcast_api::node::{Heartbeat, HeartbeatAck, Load};
use nearcast_service::control;
use nearcast_service::drain::Drain;
use nearcast_service::load::Sampler;
use nearcast_service::metrics::Counter;

use crate::ingest::health::Board;
use crate::package::Channels;

/// Gives a heartbeat whenever it is asked: the load since the last one, all that is live and how its publishers do,
/// and what happened to them.
///
/// The load is this process's; transcoders are others.
pub(crate) struct Reporter {
    channels: Channels,
    board: Board,
    sent: Counter,
    cpu: Sampler,
    last: (Instant, u64),
}

impl Reporter {
    pub(crate) fn new(channels: Channels, board: Board, sent: Counter) -> Self {
        let last = (Instant::now(), sent.get());
        Self { channels, board, sent, cpu: Sampler::new(), last }
    }
}

impl control::Report for Reporter {
    fn heartbeat(&mut self) -> Heartbeat {
        let (now, last) = ((Instant::now(), self.sent.get()), self.last);
        self.last = now;
        let (seconds, bytes) = ((now.0 - last.0).as_secs_f64(), now.1.saturating_sub(last.1));
        let egress_bps = if seconds > 0.0 { (bytes as f64 * 8.0 / seconds) as u64 } else { 0 };
        let load = Load { cpu: self.cpu.cpu(), egress_bps, ..Load::default() };
        let mut broadcasts = self.channels.live();
        self.board.describe(&mut broadcasts);
        Heartbeat { load, broadcasts, events: self.board.pending(), ..Heartbeat::default() }
    }

    fn acknowledged(&mut self, ack: &HeartbeatAck) {
        if let Some(events) = ack.events {
            self.board.acknowledge(events);
        }
    }
}

/// Sends a heartbeat at once when a broadcast begins or ends: viewers and edges wait for the news.
pub(crate) async fn announce(channels: Channels, board: Board, control: control::Client, drain: Drain) {
    while drain.unless_draining(channels.changed()).await.is_some() {
        board.live(&channels.live());
        control.nudge();
    }
}
