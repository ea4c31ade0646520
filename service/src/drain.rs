//! How a process stops: every task is counted, told that the end is near, and waited for.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tokio_util::task::TaskTracker;

/// `[drain]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Seconds that running work gets to finish after SIGTERM; what is left then is cut.
    pub deadline: u64,
}

/// A handle on the process's tasks. Clones are the same drain.
#[derive(Clone, Default)]
pub struct Drain {
    tasks: TaskTracker,
    signal: CancellationToken,
    running: Arc<Mutex<BTreeMap<&'static str, usize>>>,
}

/// Tasks that outlived the deadline: how many of each name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StillRunning(pub BTreeMap<&'static str, usize>);

struct Counted {
    name: &'static str,
    running: Arc<Mutex<BTreeMap<&'static str, usize>>>,
}

impl Default for Config {
    fn default() -> Self {
        Self { deadline: 10 }
    }
}

impl Config {
    /// The deadline as a duration.
    pub fn deadline(&self) -> Duration {
        Duration::from_secs(self.deadline)
    }
}

impl Drain {
    /// A drain that has not begun.
    pub fn new() -> Self {
        Self::default()
    }

    /// Spawns a task that [`Drain::wait`] waits for. `name` is for the log: what the task does, few words.
    ///
    /// A task that runs until the end must watch [`Drain::draining`].
    pub fn spawn<F>(&self, name: &'static str, future: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        *self.running().entry(name).or_default() += 1;
        let counted = Counted { name, running: self.running.clone() };
        self.tasks.spawn(async move {
            let _counted = counted;
            future.await
        })
    }

    /// As [`Drain::spawn`], on another runtime than the caller's.
    pub(crate) fn spawn_on<F>(&self, runtime: &Handle, name: &'static str, future: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let _entered = runtime.enter();
        self.spawn(name, future);
    }

    /// Completes when draining has begun and every task is done.
    pub(crate) async fn ended(&self) {
        self.tasks.wait().await;
    }

    /// Runs `future` to its end, or drops it and gives `None` when draining begins.
    pub async fn unless_draining<F: Future>(&self, future: F) -> Option<F::Output> {
        self.signal.run_until_cancelled(future).await
    }

    /// Completes when draining begins.
    pub fn draining(&self) -> WaitForCancellationFutureOwned {
        self.signal.clone().cancelled_owned()
    }

    /// True once [`Drain::begin`] was called.
    pub fn is_draining(&self) -> bool {
        self.signal.is_cancelled()
    }

    /// Tells all tasks to finish what they have and start nothing new.
    pub fn begin(&self) {
        self.signal.cancel();
    }

    /// Waits for all tasks, at most `deadline`. Tasks may still be spawned meanwhile and are waited for too.
    pub async fn wait(&self, deadline: Duration) -> Result<(), StillRunning> {
        self.tasks.close();
        let waited = tokio::time::timeout(deadline, self.tasks.wait()).await;
        waited.map_err(|_| StillRunning(self.running().clone()))
    }

    /// How many tasks are running.
    pub fn tasks(&self) -> usize {
        self.tasks.len()
    }

    fn running(&self) -> std::sync::MutexGuard<'_, BTreeMap<&'static str, usize>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Drain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Drain").field("draining", &self.is_draining()).field("tasks", &self.tasks()).finish()
    }
}

impl fmt::Display for StillRunning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (name, count)) in self.0.iter().enumerate() {
            let comma = if i == 0 { "" } else { ", " };
            write!(f, "{comma}{count} {name}")?;
        }
        Ok(())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = running.get_mut(self.name) {
            *count -= 1;
            if *count == 0 {
                running.remove(self.name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(3600);

    #[tokio::test(start_paused = true)]
    async fn waits_for_work_that_was_running_when_the_signal_came() {
        let drain = Drain::new();
        let done = drain.spawn("work", {
            let draining = drain.draining();
            async move {
                draining.await;
                tokio::time::sleep(Duration::from_secs(3)).await;
                "finished"
            }
        });
        drain.begin();
        assert!(drain.is_draining());
        assert_eq!(drain.wait(Duration::from_secs(10)).await, Ok(()));
        assert_eq!(done.await.unwrap(), "finished");
    }

    #[tokio::test(start_paused = true)]
    async fn names_what_is_left_at_the_deadline() {
        let drain = Drain::new();
        for _ in 0..2 {
            drain.spawn("http connection", tokio::time::sleep(LONG));
        }
        drain.spawn("control client", tokio::time::sleep(LONG));
        drain.begin();
        let left = drain.wait(Duration::from_secs(1)).await.unwrap_err();
        assert_eq!(left.to_string(), "1 control client, 2 http connection");
    }

    #[tokio::test]
    async fn a_task_that_panics_is_not_waited_for() {
        let drain = Drain::new();
        assert!(drain.spawn("bug", async { panic!("on purpose") }).await.is_err());
        assert_eq!(drain.wait(LONG).await, Ok(()));
        assert_eq!(drain.tasks(), 0);
    }

    #[tokio::test]
    async fn unless_draining_gives_up_what_cannot_finish() {
        let drain = Drain::new();
        assert_eq!(drain.unless_draining(async { 7 }).await, Some(7));
        drain.begin();
        assert_eq!(drain.unless_draining(std::future::pending::<()>()).await, None);
    }
}
