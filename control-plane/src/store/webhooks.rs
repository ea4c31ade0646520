//! Webhooks in the store. Their secrets are there as they are, like the signing halves of playback keys: signing needs them
//! whole, several instances need the same, and a key beside the database would be in the same hands and the same backup.

use super::audit::Change;
use super::{Store, damaged, failed};
use crate::error::{Error, Result};
use crate::keys;
use crate::webhooks::{Secret, Spec};

/// A webhook as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredWebhook {
    pub id: String,
    pub spec: Spec,
    /// Why the control plane disabled it; none where an operator did.
    pub disabled_because: Option<String>,
    pub secret: Secret,
    /// The secret before it, and until when that signs as well, in milliseconds since the Unix epoch.
    pub old_secret: Option<(Secret, u64)>,
    /// Milliseconds since the Unix epoch.
    pub created_at: u64,
}

impl StoredWebhook {
    /// What signs at `now`, the newest first.
    pub fn secrets(&self, now: u64) -> impl Iterator<Item = &Secret> {
        let old = self.old_secret.as_ref().filter(|(_, until)| now < *until).map(|(secret, _)| secret);
        std::iter::once(&self.secret).chain(old)
    }

    /// Names what an operator decides of it as it is now (RFC 9110 section 8.8.3).
    pub fn etag(&self) -> String {
        // A struct of texts always has a JSON form.
        let hash = keys::hash(&serde_json::to_string(&self.spec).unwrap_or_default()).0;
        format!("\"{}\"", &hash[..16])
    }
}

macro_rules! read {
    ($($rest:literal)?) => {
        concat!(
            "SELECT id, url, label, events, channels, enabled, disabled_because, secret, old_secret, old_until, created_at \
             FROM webhooks",
            $(" ", $rest)?
        )
    };
}

const ONE: &str = read!("WHERE id = $1");
const ALL: &str = read!("ORDER BY id");

#[derive(sqlx::FromRow)]
struct Row {
    id: String,
    url: String,
    label: String,
    events: String,
    channels: String,
    enabled: i64,
    disabled_because: Option<String>,
    secret: String,
    old_secret: Option<String>,
    old_until: Option<i64>,
    created_at: i64,
}

impl Store {
    /// All webhooks by id.
    pub async fn webhooks(&self) -> Result<Vec<StoredWebhook>> {
        let rows = sqlx::query_as::<_, Row>(ALL).fetch_all(&self.pool).await;
        rows.map_err(failed("read the webhooks"))?.into_iter().map(webhook).collect()
    }

    /// One webhook, if it is there.
    pub async fn webhook(&self, id: &str) -> Result<Option<StoredWebhook>> {
        let row = sqlx::query_as::<_, Row>(ONE).bind(id).fetch_optional(&self.pool).await;
        row.map_err(failed("read a webhook"))?.map(webhook).transpose()
    }
}

impl Change {
    /// All webhooks as they are before the change.
    pub async fn webhooks(&mut self) -> Result<Vec<StoredWebhook>> {
        let rows = sqlx::query_as::<_, Row>(ALL).fetch_all(self.connection()).await;
        rows.map_err(failed("read the webhooks"))?.into_iter().map(webhook).collect()
    }

    /// One webhook as it is before the change.
    pub async fn webhook(&mut self, id: &str) -> Result<StoredWebhook> {
        let row = sqlx::query_as::<_, Row>(ONE).bind(id).fetch_optional(self.connection()).await;
        let row = row.map_err(failed("read a webhook"))?;
        webhook(row.ok_or_else(|| missing(id))?)
    }

    /// Adds a webhook.
    pub async fn add_webhook(&mut self, webhook: &StoredWebhook) -> Result<()> {
        let (events, channels) = lists(&webhook.spec)?;
        sqlx::query(
            "INSERT INTO webhooks (id, url, label, events, channels, enabled, secret, created_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind(&webhook.id)
        .bind(&webhook.spec.url)
        .bind(&webhook.spec.label)
        .bind(events)
        .bind(channels)
        .bind(i64::from(webhook.spec.enabled))
        .bind(webhook.secret.expose())
        .bind(webhook.created_at.cast_signed())
        .execute(self.connection())
        .await
        .map_err(failed("add a webhook"))?;
        Ok(())
    }

    /// Changes what an operator decides of a webhook, who knows by now why it was disabled.
    pub async fn set_webhook(&mut self, id: &str, spec: &Spec) -> Result<()> {
        let (events, channels) = lists(spec)?;
        let query = sqlx::query(
            "UPDATE webhooks SET url = $2, label = $3, events = $4, channels = $5, enabled = $6, disabled_because = NULL \
             WHERE id = $1",
        );
        let query = query.bind(id).bind(&spec.url).bind(&spec.label).bind(events).bind(channels);
        let query = query.bind(i64::from(spec.enabled));
        let done = query.execute(self.connection()).await.map_err(failed("change a webhook"))?;
        if done.rows_affected() == 1 { Ok(()) } else { Err(missing(id)) }
    }

    /// Gives a webhook a new secret; the one it has signs until `until` as well.
    pub async fn rotate_webhook_secret(&mut self, id: &str, secret: &Secret, until: u64) -> Result<()> {
        let query =
            sqlx::query("UPDATE webhooks SET old_secret = secret, old_until = $3, secret = $2 WHERE id = $1");
        let query = query.bind(id).bind(secret.expose()).bind(until.cast_signed());
        let done = query.execute(self.connection()).await.map_err(failed("change a webhook's secret"))?;
        if done.rows_affected() == 1 { Ok(()) } else { Err(missing(id)) }
    }

    /// Disables a webhook and gives up what waits for it, unless its URL is another one by now. False when nothing changes.
    pub async fn disable_webhook(&mut self, webhook: &StoredWebhook, why: &str) -> Result<bool> {
        let query = sqlx::query(
            "UPDATE webhooks SET enabled = 0, disabled_because = $3 WHERE id = $1 AND url = $2 AND enabled = 1",
        );
        let query = query.bind(&webhook.id).bind(&webhook.spec.url).bind(why);
        let done = query.execute(self.connection()).await.map_err(failed("disable a webhook"))?;
        if done.rows_affected() == 0 {
            return Ok(false);
        }
        let at = self.at().cast_signed();
        let query = sqlx::query(
            "UPDATE webhook_deliveries SET state = 'dead', done_at = $2, error = $3 WHERE webhook = $1 AND state = 'waiting'",
        );
        let query = query.bind(&webhook.id).bind(at).bind(why);
        query.execute(self.connection()).await.map_err(failed("disable a webhook"))?;
        Ok(true)
    }

    /// Removes a webhook and its deliveries.
    pub async fn delete_webhook(&mut self, id: &str) -> Result<()> {
        let query = sqlx::query("DELETE FROM webhooks WHERE id = $1").bind(id);
        let done = query.execute(self.connection()).await.map_err(failed("delete a webhook"))?;
        if done.rows_affected() == 1 { Ok(()) } else { Err(missing(id)) }
    }
}

/// There is none by this name.
pub(crate) fn missing(id: &str) -> Error {
    Error::NoWebhook(id.chars().take(64).collect())
}

/// Events and channels as they are searched.
fn lists(spec: &Spec) -> Result<(String, String)> {
    let damaged = |_| damaged("a webhook", &spec.url);
    let events = serde_json::to_string(&spec.events).map_err(damaged)?;
    Ok((events, serde_json::to_string(&spec.channels).map_err(damaged)?))
}

fn webhook(row: Row) -> Result<StoredWebhook> {
    let Row { id, url, label, disabled_because, secret, .. } = row;
    let events = serde_json::from_str(&row.events).map_err(|_| damaged("a webhook's events", &row.events))?;
    let channels =
        serde_json::from_str(&row.channels).map_err(|_| damaged("a webhook's channels", &row.channels))?;
    Ok(StoredWebhook {
        id,
        spec: Spec { url, label, events, channels, enabled: row.enabled != 0 },
        disabled_because,
        secret: Secret::from_stored(secret),
        old_secret: row.old_secret.map(Secret::from_stored).zip(row.old_until.map(i64::cast_unsigned)),
        created_at: row.created_at.cast_unsigned(),
    })
}
