//! How long the audit log is kept, and the task that ends what is older.

use std::sync::Arc;
use std::time::Duration;

use nearcast_service::drain::Drain;
use nearcast_service::log::Chain;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::access::Actor;
use crate::error::Result;
use crate::plane::Plane;

/// `[audit]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Lines of the audit log that are older than so many days are removed, once a day; 0 to keep them for ever.
    pub keep_days: u32,
}

impl Default for Config {
    fn default() -> Self {
        // A year, and time to look at it.
        Self { keep_days: 400 }
    }
}

/// Removes lines that are too old, now and once a day, until draining begins. Several instances do no harm: the second one
/// finds nothing.
pub(crate) async fn keep(plane: Arc<Plane>, config: Config, drain: Drain) {
    if config.keep_days == 0 {
        return;
    }
    let age = DAY * config.keep_days;
    loop {
        if let Err(error) = plane.forget_audit(age).await {
            tracing::warn!("old lines of the audit log stay until tomorrow: {}", Chain(&error));
        }
        if drain.unless_draining(tokio::time::sleep(DAY)).await.is_none() {
            return;
        }
    }
}

impl Plane {
    /// Removes the audit log's lines of more than this age, and notes that in the log: the first that is kept is known.
    pub(crate) async fn forget_audit(&self, age: Duration) -> Result<()> {
        let now = crate::plane::unix_millis();
        let before = now.saturating_sub(u64::try_from(age.as_millis()).unwrap_or(u64::MAX));
        let mut change = self.store().change(&Actor::own(), "removeAudit", "audit", now).await?;
        let Some((removed, last)) = change.delete_audit(before).await? else { return Ok(()) };
        change.before(&json!({ "lines": removed, "up_to": last }));
        change.commit().await
    }
}

const DAY: Duration = Duration::from_secs(24 * 3600);
