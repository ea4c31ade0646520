//! Up or down, with hysteresis: quick to distrust, and a flapping node stays down.

use std::time::{Duration, Instant};

use super::Config;

/// One node's health.
#[derive(Debug, Clone)]
pub(super) struct Health {
    heard: Instant,
    /// Silence is forgiven until then whatever `down_after` says.
    grace: Instant,
    /// Heartbeats in a row while down.
    streak: u32,
    down: bool,
}

impl Health {
    /// A node that has just said who it is.
    pub(super) fn new(now: Instant) -> Self {
        Self { heard: now, grace: now, streak: 0, down: false }
    }

    /// A node of which only the last verdict is known: the control plane was away, not the node.
    pub(super) fn restored(down: bool, now: Instant) -> Self {
        Self { heard: now, grace: now + RESTART_GRACE, streak: 0, down }
    }

    /// True when the verdict changed.
    pub(super) fn on_heartbeat(&mut self, now: Instant, config: &Config) -> bool {
        let in_row = now.saturating_duration_since(self.heard) < config.down_after();
        self.heard = now;
        self.grace = now;
        if !self.down {
            return false;
        }
        self.streak = if in_row { self.streak + 1 } else { 1 };
        if self.streak >= config.up_after {
            self.down = false;
            self.streak = 0;
        }
        !self.down
    }

    /// True when the verdict changed.
    pub(super) fn expire(&mut self, now: Instant, config: &Config) -> bool {
        let due = self.poll_timeout(config).is_some_and(|at| now >= at);
        if due {
            self.down = true;
            self.streak = 0;
        }
        due
    }

    pub(super) fn poll_timeout(&self, config: &Config) -> Option<Instant> {
        (!self.down).then(|| (self.heard + config.down_after()).max(self.grace))
    }

    pub(super) fn is_down(&self) -> bool {
        self.down
    }

    /// Heartbeats in a row while down.
    pub(super) fn streak(&self) -> u32 {
        self.streak
    }

    pub(super) fn heard(&self) -> Instant {
        self.heard
    }
}

/// Nodes back off while the control plane is away, so after a restart they need longer than a heartbeat to be heard.
const RESTART_GRACE: Duration = Duration::from_secs(15);
