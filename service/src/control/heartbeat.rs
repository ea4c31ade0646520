//! The task that tells the control plane who this node is and how it is.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{Method, StatusCode};
use nearcast_api::metadata::Command;
use nearcast_api::node::{Heartbeat, HeartbeatAck, Spec};
use serde::de::IgnoredAny;
use tokio::sync::{Notify, mpsc};
use tokio::time::MissedTickBehavior;

use super::Report;
use super::call::{Api, CallError};
use crate::backoff::Backoff;
use crate::drain::Drain;
use crate::log::Chain;

/// Registers, then sends a heartbeat every second, and at once when nudged, until draining begins; the last
/// one says so.
pub(super) async fn run(api: Api, spec: Spec, mut report: impl Report, mut inbox: Inbox, drain: Drain) {
    let mut link = Link::default();
    let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(5));
    while !drain.is_draining() {
        let session = session(&api, &spec, &mut report, &mut inbox, &drain, &mut link, &mut backoff);
        match session.await {
            Ok(End::Draining) => break,
            Ok(End::Forgotten) => {
                tracing::info!(node = %spec.id, "the control plane does not know this node: registering again");
            }
            Err(error) => link.down(&error),
        }
        drain.unless_draining(tokio::time::sleep(backoff.delay())).await;
    }
    let last = Heartbeat { draining: true, started_at: inbox.started_at, ..report.heartbeat() };
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
    report: &mut impl Report,
    inbox: &mut Inbox,
    drain: &Drain,
    link: &mut Link,
    backoff: &mut Backoff,
) -> Result<End, CallError> {
    let path = path(spec);
    let registered = api.call::<IgnoredAny>(Method::PUT, &path, Some(spec), DEADLINE);
    let Some(registered) = drain.unless_draining(registered).await else { return Ok(End::Draining) };
    registered?;
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let nudge = Arc::clone(&inbox.nudge);
    let mut due = async || {
        tokio::select! {
            _ = ticks.tick() => {}
            () = nudge.notified() => {}
        }
    };
    while drain.unless_draining(due()).await.is_some() {
        let (received, started_at) = (inbox.received.clone(), inbox.started_at);
        let now = Heartbeat { received, started_at, ..report.heartbeat() };
        match beat(api, spec, &now, DEADLINE).await {
            Err(error) if error.status() == Some(StatusCode::NOT_FOUND) => return Ok(End::Forgotten),
            Err(error) if error.status() == Some(StatusCode::CONFLICT) => {
                link.down(&error);
                continue;
            }
            sent => {
                let ack = sent?;
                ack.iter().for_each(|ack| report.acknowledged(ack));
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

fn path(spec: &Spec) -> String {
    format!("/nodes/{}", spec.id)
}

/// What the answers to heartbeats bring, on its way to the node.
pub(super) struct Inbox {
    commands: mpsc::Sender<Command>,
    /// Numbers of the last answer's commands that the node has taken.
    received: Vec<u64>,
    nudge: Arc<Notify>,
    /// When this process did, in milliseconds since the Unix epoch.
    started_at: u64,
}

impl Inbox {
    /// What is taken is told at once, by `nudge`.
    pub(super) fn new(commands: mpsc::Sender<Command>, nudge: Arc<Notify>) -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let started_at = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        Self { commands, received: Vec::new(), nudge, started_at }
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
#[derive(Default)]
struct Link {
    down: bool,
}

impl Link {
    fn up(&mut self) {
        if std::mem::take(&mut self.down) {
            tracing::info!("the control plane is back");
        }
    }

    fn down(&mut self, error: &CallError) {
        if std::mem::replace(&mut self.down, true) {
            return tracing::debug!("the control plane is still away: {}", Chain(error));
        }
        match error.status() {
            Some(StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
                tracing::warn!(
                    "the control plane refuses this node: put what its file node-token says into `control.token`: {}",
                    Chain(error)
                );
            }
            // Another one has this one's name.
            Some(StatusCode::CONFLICT) => {
                tracing::error!("the control plane does not hear this node: {}", Chain(error))
            }
            _ => {
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
