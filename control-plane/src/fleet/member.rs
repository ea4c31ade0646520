//! One node: what it says of itself, what the topology has it do, and what follows from both.

use std::time::{Duration, Instant};

use nearcast_api::node::{Heartbeat, Spec, Status};
use nearcast_api::snapshot::Node;
use nearcast_api::topology::{NodePlan, Topology, Window};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::health::Health;

/// A node, and what it last said.
#[derive(Debug, Clone)]
pub struct Member {
    pub spec: Spec,
    /// An operator asked it to drain; the node's own wish is in `beat`.
    pub drain: bool,
    pub beat: Heartbeat,
    /// What the topology has it do.
    pub plan: NodePlan,
    /// It does what it can.
    pub full: bool,
    /// The maintenance window that is open for it.
    pub(super) maintenance: Option<Window>,
    pub(super) health: Health,
    /// False when it has been silent for longer than broadcasts linger.
    pub(super) credible: bool,
}

impl Member {
    pub(super) fn new(spec: Spec, drain: bool, beat: Heartbeat, health: Health) -> Self {
        let plan = NodePlan::default();
        Self { spec, drain, beat, plan, full: false, maintenance: None, health, credible: true }
    }

    /// What the control plane thinks of it.
    pub fn status(&self) -> Status {
        if self.health.is_down() {
            Status::Down
        } else if self.drain || self.beat.draining || self.maintenance.is_some() {
            Status::Draining
        } else if self.beat.joining {
            Status::Joining
        } else {
            Status::Ready
        }
    }

    /// Why it gets no new work, or less, in words; none when nothing keeps it from its work.
    pub fn reason(&self, now: Instant) -> Option<String> {
        let load = &self.beat.load;
        Some(match self.status() {
            Status::Down if self.health.streak() > 0 => {
                "it is heard again, and not yet often enough".to_owned()
            }
            Status::Down => format!("no heartbeat for {} s", self.silence(now).as_secs()),
            Status::Draining if self.drain => "an operator drains it".to_owned(),
            Status::Draining => match &self.maintenance {
                Some(window) => {
                    format!("maintenance until {}{}", date(window.until), because(&window.reason))
                }
                None => "the node says that it drains".to_owned(),
            },
            Status::Joining => "it has begun, and waits for a snapshot or a certificate".to_owned(),
            Status::Ready if self.full => {
                format!("it is full: {} viewers, {} bit/s", load.viewers, load.egress_bps)
            }
            Status::Ready if self.plan.weight == 0 => "its weight is 0".to_owned(),
            Status::Ready => return None,
        })
    }

    /// How long it has been silent.
    pub fn silence(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.health.heard())
    }

    /// It as `topology` has it at `now` (milliseconds since the Unix epoch).
    pub fn under(&self, topology: &Topology, now: u64) -> Node {
        let mut member = self.clone();
        member.follow(topology, &topology.open_windows(now).collect::<Vec<_>>());
        member.node()
    }

    /// Takes in what the topology says, of whose windows `open` are open.
    pub(super) fn follow(&mut self, topology: &Topology, open: &[&Window]) {
        self.plan = topology.plan(&self.spec.id);
        let mine = open.iter().filter(|window| window.is_for(&self.spec.id, &self.spec.region));
        // Of several the one that ends last.
        self.maintenance = mine.max_by_key(|window| window.until).map(|window| (*window).clone());
        self.measure();
    }

    /// True when it has become full, or has room again.
    pub(super) fn measure(&mut self) -> bool {
        let (load, capacity) = (&self.beat.load, &self.plan.capacity);
        let share = |now: f64, most: Option<f64>| most.map_or(0.0, |most| now / most);
        let used = share(load.viewers.into(), capacity.viewers.map(f64::from))
            .max(share(load.egress_bps as f64, capacity.egress_bps.map(|bps| bps as f64)));
        // A node at the brink must not change with every heartbeat.
        let full = used >= if self.full { ROOM } else { 1.0 };
        std::mem::replace(&mut self.full, full) != full
    }

    pub(super) fn node(&self) -> Node {
        Node { spec: self.spec.clone(), status: self.status(), weight: self.plan.weight, full: self.full }
    }
}

fn date(millis: u64) -> String {
    let seconds = i64::try_from(millis / 1000).unwrap_or(i64::MAX);
    let date = OffsetDateTime::from_unix_timestamp(seconds).ok().and_then(|at| at.format(&Rfc3339).ok());
    date.unwrap_or_else(|| "the end of time".to_owned())
}

fn because(reason: &str) -> String {
    if reason.is_empty() { String::new() } else { format!(": {reason}") }
}

/// A full node takes viewers again below this share of its capacity.
const ROOM: f64 = 0.9;
