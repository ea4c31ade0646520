//! The task that tells the control plane who this node is and how it is.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{Method, StatusCode};
use nearcast_api::metadata::Command;
use nearcast_api::node::{Heartbeat, HeartbeatAck, Spec};
use serde::de::IgnoredAny;
use tokio::sync::{Notify, mpsc};
use tokio::time::MissedTickBehavior;

use super::Report;
use super::call::{Api, CallError, REFUSED};
use crate::backoff::Backoff;
use crate::daemon::Daemon;
use crate::drain::Drain;
use crate::log::Chain;
use crate::metrics::Gauge;
use crate::ready::Latch;
use crate::sockets::Sockets;

/// Registers, then sends a heartbeat every second, and at once when nudged, until draining begins; the last
/// one says so.
pub(super) async fn run(api: Api, spec: Spec, report: impl Report, mut inbox: Inbox, daemon: Daemon) {
    let Daemon { drain, sockets, ready, metrics, .. } = daemon;
    let started_at = unix_millis();
    let mut report = Stamped { report, started_at, clock_offset_ms: None };
    let mut link = Link { down: None, sockets, ready, metrics: Metrics::register(&metrics) };
    let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(5));
    let mut refused = Backoff::new(Duration::from_millis(500), REFUSED);
    while !drain.is_draining() {
        let session = session(&api, &spec, &mut report, &mut inbox, &drain, &mut link, &mut backoff);
        match session.await {
            Ok(End::Draining) => break,
            Ok(End::Forgotten) => {
                tracing::info!(node = %spec.id, "the control plane does not know this node: registering again");
            }
            Err(error) => {
                link.down(&error);
                if error.is_refusal() {
                    drain.unless_draining(tokio::time::sleep(refused.delay())).await;
                    continue;
                }
            }
        }
        refused.reset();
        drain.unless_draining(tokio::time::sleep(backoff.delay())).await;
    }
    let last = Heartbeat { draining: true, ..report.heartbeat() };
    if let Err(error) = beat(&api, &spec, &last, FAREWELL).await {
        tracing::debug!("the control plane did not hear that this node drains: {}", Chain(&error));
    }
}

/// Why a session ended well.
enum End {
    Draining,
    /// The control plane answered a heartbeat with 404.
    Forgotten,
}

/// From registration to the first failure, or until there is a reason to begin anew.
async fn session(
    api: &Api,
    spec: &Spec,
    report: &mut Stamped<impl Report>,
    inbox: &mut Inbox,
    drain: &Drain,
    link: &mut Link,
    backoff: &mut Backoff,
) -> Result<End, CallError> {
    let path = format!("{}?started_at={}", path(spec), report.started_at);
    let registered = api.call::<IgnoredAny>(Method::PUT, &path, Some(spec), DEADLINE);
    let Some(registered) = drain.unless_draining(registered).await else { return Ok(End::Draining) };
    registered?;
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let nudge = Arc::clone(&inbox.nudge);
    let ready = link.ready.clone();
    let (mut opened, mut was_ready) = (pin!(ready.opened()), ready.is_ready());
    let mut due = async || {
        tokio::select! {
            _ = ticks.tick() => {}
            () = nudge.notified() => {}
            () = opened.as_mut(), if !was_ready => was_ready = true,
        }
    };
    while drain.unless_draining(due()).await.is_some() {
        let beat_now = report.heartbeat();
        // Nobody is sent to a node that has no certificate yet. A successor's address is served by the process before it.
        let joining = !ready.is_ready() && !link.sockets.is_successor();
        let now = Heartbeat { received: inbox.received.clone(), joining, ..beat_now };
        let sent_at = unix_millis();
        match beat(api, spec, &now, DEADLINE).await {
            Err(error) if error.status() == Some(StatusCode::NOT_FOUND) => return Ok(End::Forgotten),
            Err(error) if error.status() == Some(StatusCode::CONFLICT) => {
                link.down(&error);
                continue;
            }
            sent => {
                let ack = sent?;
                let theirs = ack.as_ref().map_or(0, |ack| ack.at);
                report.clock_offset_ms = clock_offset(sent_at, unix_millis(), theirs);
                ack.iter().for_each(|ack| report.report.acknowledged(ack));
                inbox.take(ack.map(|ack| ack.metadata).unwrap_or_default());
            }
        }
        link.up();
        backoff.reset();
    }
    Ok(End::Draining)
}

async fn beat(
    api: &Api,
    spec: &Spec,
    heartbeat: &Heartbeat,
    deadline: Duration,
) -> Result<Option<HeartbeatAck>, CallError> {
    let path = format!("{}/heartbeat", path(spec));
    api.call(Method::POST, &path, Some(heartbeat), deadline).await
}

/// How far this clock is ahead of another whose time `theirs` came between `sent` and `heard` (all in milliseconds since
/// the Unix epoch), half the way being taken for each direction (RFC 5905 section 8). None for an answer that took too
/// long to say.
fn clock_offset(sent: u64, heard: u64, theirs: u64) -> Option<i64> {
    let took = heard.checked_sub(sent).filter(|took| *took <= LONGEST_LOOK && theirs > 0)?;
    Some((sent + took / 2).cast_signed().saturating_sub(theirs.cast_signed()))
}

fn unix_millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn path(spec: &Spec) -> String {
    format!("/nodes/{}", spec.id)
}

/// What the answers to heartbeats bring, on its way to the node.
pub(super) struct Inbox {
    commands: mpsc::Sender<Command>,
    /// Numbers of the last answer's commands that the node has taken.
    received: Vec<u64>,
    nudge: Arc<Notify>,
}

/// What a node says of itself, and which process says it.
struct Stamped<R> {
    report: R,
    /// When the process started, in milliseconds since the Unix epoch.
    started_at: u64,
    /// How far this clock is ahead of the control plane's, as the last answer showed.
    clock_offset_ms: Option<i64>,
}

impl<R: Report> Stamped<R> {
    fn heartbeat(&mut self) -> Heartbeat {
        let Self { started_at, clock_offset_ms, .. } = *self;
        Heartbeat { started_at, clock_offset_ms, ..self.report.heartbeat() }
    }
}

impl Inbox {
    /// What is taken is told at once, by `nudge`.
    pub(super) fn new(commands: mpsc::Sender<Command>, nudge: Arc<Notify>) -> Self {
        Self { commands, received: Vec::new(), nudge }
    }

    /// Hands commands on. Those for which the node has no room come again with the next answer.
    fn take(&mut self, commands: Vec<Command>) {
        let before = std::mem::take(&mut self.received);
        for command in commands {
            let number = command.number;
            if before.contains(&number) || self.commands.try_send(command).is_ok() {
                self.received.push(number);
            }
        }
        if self.received.iter().any(|number| !before.contains(number)) {
            self.nudge.notify_one();
        }
    }
}

/// Says once that the control plane went away, and once that it is back.
struct Link {
    /// What was said of it last.
    down: Option<Why>,
    sockets: Sockets,
    ready: Latch,
    metrics: Metrics,
}

crate::metrics! {
    /// The control plane as this node sees it.
    pub(super) struct Metrics: "control" {
        /// When it last took a heartbeat, in seconds since the Unix epoch; 0 for never. Without it no purge, revocation or key
        /// arrives.
        pub heard_timestamp_seconds: Gauge,
    }
}

/// Why the control plane does not hear this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    Away,
    Refused,
    /// Another process has this one's name.
    Shared,
}

impl Link {
    fn up(&mut self) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.metrics.heard_timestamp_seconds.set(now.as_secs().cast_signed());
        if self.down.take().is_some() {
            tracing::info!("the control plane is back");
        }
    }

    fn down(&mut self, error: &CallError) {
        let why = match error.status() {
            _ if error.is_refusal() => Why::Refused,
            Some(StatusCode::CONFLICT) => Why::Shared,
            _ => Why::Away,
        };
        // A process that takes over has this one's name, of course.
        let expected = why == Why::Shared && self.sockets.is_handing_over();
        if self.down.replace(why) == Some(why) || expected {
            return tracing::debug!("the control plane still does not hear this node: {}", Chain(error));
        }
        match why {
            Why::Refused => {
                tracing::warn!(
                    "the control plane refuses this node, which needs a certificate (`control.enrolment_token`) or what the \
                     control plane's file node-token says (`control.token`): {}",
                    Chain(error)
                );
            }
            Why::Shared => {
                tracing::error!("the control plane does not hear this node: {}", Chain(error))
            }
            Why::Away => {
                tracing::warn!("the control plane is away, going on with the last snapshot: {}", Chain(error))
            }
        }
    }
}

/// A node is down after five missed ones.
const INTERVAL: Duration = Duration::from_secs(1);

const DEADLINE: Duration = Duration::from_secs(3);

/// A drain must not wait for a control plane that is away.
const FAREWELL: Duration = Duration::from_secs(1);

/// Milliseconds; a longer way says too little of the clock at its end.
const LONGEST_LOOK: u64 = 1000;

#[cfg(test)]
mod tests {
    use super::clock_offset;

    #[test]
    fn a_clock_is_compared_in_the_middle_of_the_way_and_not_by_a_slow_answer() {
        assert_eq!(clock_offset(10_000, 10_100, 10_050), Some(0));
        assert_eq!(clock_offset(10_000, 10_100, 9_000), Some(1_050));
        assert_eq!(clock_offset(10_000, 10_100, 12_000), Some(-1_950));
        assert_eq!(clock_offset(10_000, 11_001, 10_500), None);
        assert_eq!(clock_offset(10_000, 9_000, 9_500), None, "the clock was set back meanwhile");
        assert_eq!(clock_offset(10_000, 10_100, 0), None, "it was not told");
    }
}
