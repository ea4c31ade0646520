//! The task that keeps the node's snapshot the newest one, in memory and on disk.

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use nearcast_api::snapshot::{Snapshot, Update};
use tokio::sync::watch;
use tokio::time::Instant;

use super::call::{Api, CallError, REFUSED};
use super::store::Store;
use crate::backoff::Backoff;
use crate::log::Chain;
use crate::ready::Hold;

/// Polls for ever. `first` is let go once there is a snapshot.
pub(super) async fn run(
    api: Api,
    mut store: Store,
    snapshots: watch::Sender<Arc<Snapshot>>,
    mut first: Option<Hold>,
) {
    let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(5));
    let mut refused = Backoff::new(Duration::from_millis(500), REFUSED);
    let mut wants_full = first.is_some();
    let mut complained = false;
    loop {
        // Version 0 is nobody's, so asking from it gives a full snapshot.
        let since = if wants_full { 0 } else { snapshots.borrow().version };
        let asked = Instant::now();
        match poll(&api, since).await {
            Ok(update) => {
                (complained, _) = (false, refused.reset());
                let Some(update) = update else {
                    // Nothing new long before the wait is over: it drains, or something in between answers for it.
                    match asked.elapsed() < WAIT / 2 {
                        true => tokio::time::sleep(backoff.delay()).await,
                        false => backoff.reset(),
                    }
                    continue;
                };
                let mut snapshot = Snapshot::clone(&snapshots.borrow());
                if let Err(error) = snapshot.apply(update) {
                    tracing::warn!("asking for the whole snapshot: {error}");
                    // A control plane that keeps sending what does not fit must not be asked in a tight loop.
                    tokio::time::sleep(backoff.delay()).await;
                    wants_full = true;
                    continue;
                }
                (wants_full, _) = (false, backoff.reset());
                tracing::debug!(version = snapshot.version, "a new snapshot");
                let snapshot = Arc::new(snapshot);
                snapshots.send_replace(snapshot.clone());
                drop(first.take());
                store = store.save(snapshot).await;
            }
            Err(error) => {
                // The heartbeat task says so when the control plane is away; what it cannot see is said here.
                let pause = if error.is_refusal() { refused.delay() } else { backoff.delay() };
                match error {
                    CallError::Refused { .. } | CallError::NotUnderstood { .. } if !complained => {
                        complained = true;
                        tracing::warn!("cannot use the control plane's snapshot: {}", Chain(&error));
                    }
                    _ => tracing::debug!("no snapshot: {}", Chain(&error)),
                }
                tokio::time::sleep(pause).await;
            }
        }
    }
}

async fn poll(api: &Api, since: u64) -> Result<Option<Update>, CallError> {
    let path = format!("/snapshot?since={since}&wait={}", WAIT.as_secs());
    api.call(Method::GET, &path, None::<&()>, WAIT + GRACE).await
}

/// Under the 30 s at which middle boxes begin to cut silent connections.
const WAIT: Duration = Duration::from_secs(25);

/// For a large snapshot on a slow line.
const GRACE: Duration = Duration::from_secs(20);
