//! Changes to webhooks and their deliveries.

use serde_json::{Value, json};
use url::Url;

use super::{IfMatch, Plane, unix_millis};
use crate::access::Actor;
use crate::error::{Error, Result};
use crate::keys;
use crate::store::{Change, Delivery, Outcome, StoredWebhook, missing_webhook};
use crate::webhooks::{Secret, Spec};

impl Plane {
    /// All webhooks by id.
    pub async fn webhooks(&self) -> Result<Vec<StoredWebhook>> {
        self.store.webhooks().await
    }

    /// One webhook.
    pub async fn webhook(&self, id: &str) -> Result<StoredWebhook> {
        self.store.webhook(id).await?.ok_or_else(|| missing_webhook(id))
    }

    /// Makes a webhook with a new secret.
    pub async fn create_webhook(&self, by: &Actor, spec: Spec) -> Result<StoredWebhook> {
        let _changing = self.changing.lock().await;
        let (id, now) = (keys::random_id(), unix_millis());
        let mut change = self.store.change(by, "createWebhook", target(&id), now).await?;
        let others = change.webhooks().await?;
        if others.len() >= MAX_WEBHOOKS {
            return Err(Error::Full { what: "webhooks", max: MAX_WEBHOOKS });
        }
        fits(&mut change, &spec, None, &others).await?;
        let secret = Secret::random();
        let stored =
            StoredWebhook { id, spec, disabled_because: None, secret, old_secret: None, created_at: now };
        change.add_webhook(&stored).await?;
        change.after(&told(&stored.spec));
        change.commit().await?;
        Ok(stored)
    }

    /// Changes a webhook into what `new` makes of it.
    pub async fn change_webhook(
        &self,
        by: &Actor,
        id: &str,
        only: &IfMatch,
        new: impl FnOnce(&Spec) -> Result<Spec>,
    ) -> Result<StoredWebhook> {
        let _changing = self.changing.lock().await;
        let mut change = self.store.change(by, "changeWebhook", target(id), unix_millis()).await?;
        let old = change.webhook(id).await?;
        unchanged(&old, only)?;
        let spec = new(&old.spec)?;
        let mut others = change.webhooks().await?;
        others.retain(|other| other.id != id);
        fits(&mut change, &spec, Some(&old.spec), &others).await?;
        change.set_webhook(id, &spec).await?;
        change.before(&told(&old.spec));
        change.after(&told(&spec));
        change.commit().await?;
        Ok(StoredWebhook { spec, disabled_because: None, ..old })
    }

    /// Gives a webhook a new secret. The one it has signs for a day as well.
    pub async fn rotate_webhook_secret(&self, by: &Actor, id: &str) -> Result<StoredWebhook> {
        let _changing = self.changing.lock().await;
        let target = target(id);
        let mut change = self.store.change(by, "rotateWebhookSecret", target, unix_millis()).await?;
        let old = change.webhook(id).await?;
        let (secret, until) = (Secret::random(), change.at() + OLD_SECRET_SIGNS);
        change.rotate_webhook_secret(id, &secret, until).await?;
        change.after(&json!({ "old_secret_until": until }));
        change.commit().await?;
        Ok(StoredWebhook { secret, old_secret: Some((old.secret, until)), ..old })
    }

    /// Removes a webhook and its deliveries.
    pub async fn delete_webhook(&self, by: &Actor, id: &str, only: &IfMatch) -> Result<()> {
        let _changing = self.changing.lock().await;
        let mut change = self.store.change(by, "deleteWebhook", target(id), unix_millis()).await?;
        let old = change.webhook(id).await?;
        unchanged(&old, only)?;
        change.before(&told(&old.spec));
        change.delete_webhook(id).await?;
        change.commit().await
    }

    /// Queues a test.
    pub async fn test_webhook(&self, by: &Actor, id: &str) -> Result<Delivery> {
        let _changing = self.changing.lock().await;
        let mut change = self.store.change(by, "testWebhook", target(id), unix_millis()).await?;
        enabled(&mut change, id).await?;
        let event = change.tell_test(id).await?;
        let delivery = change.delivery(id, &event).await?;
        change.commit().await?;
        Ok(delivery)
    }

    /// See [`crate::store::Store::deliveries`].
    pub async fn deliveries(
        &self,
        webhook: &str,
        state: Option<Outcome>,
        before: Option<(u64, &str)>,
        limit: usize,
    ) -> Result<Vec<Delivery>> {
        self.store.deliveries(webhook, state, before, limit).await
    }

    /// Lets a delivery begin anew, at once.
    pub async fn retry_delivery(&self, by: &Actor, webhook: &str, event: &str) -> Result<Delivery> {
        let _changing = self.changing.lock().await;
        let target = format!("{}/deliveries/{event}", target(webhook));
        let mut change = self.store.change(by, "retryDelivery", target, unix_millis()).await?;
        enabled(&mut change, webhook).await?;
        let delivery = change.retry_delivery(webhook, event).await?;
        change.commit().await?;
        Ok(delivery)
    }
}

/// Refuses channels that do not exist, unless they once did, and those that have enough webhooks.
async fn fits(change: &mut Change, spec: &Spec, old: Option<&Spec>, others: &[StoredWebhook]) -> Result<()> {
    let new = spec.channels.iter().filter(|id| old.is_none_or(|old| !old.channels.contains(id)));
    for channel in new {
        change.channel(channel).await?;
        let there = others.iter().filter(|other| other.spec.channels.contains(channel)).count();
        if there >= MAX_OF_CHANNEL {
            return Err(Error::Full { what: "webhooks for one of the channels", max: MAX_OF_CHANNEL });
        }
    }
    Ok(())
}

async fn enabled(change: &mut Change, id: &str) -> Result<()> {
    let webhook = change.webhook(id).await?;
    if webhook.spec.enabled { Ok(()) } else { Err(Error::WebhookDisabled(webhook.id)) }
}

/// Refuses a change that is meant for the webhook as it was.
fn unchanged(webhook: &StoredWebhook, only: &IfMatch) -> Result<()> {
    if only.allows(&webhook.etag()) { Ok(()) } else { Err(Error::WebhookChanged(webhook.id.clone())) }
}

fn target(id: &str) -> String {
    format!("webhooks/{id}")
}

/// What the audit log says of a webhook. For many receivers the URL's path is what lets somebody in, so it is left out.
fn told(spec: &Spec) -> Value {
    let receiver = Url::parse(&spec.url).map(|url| url.origin().ascii_serialization()).unwrap_or_default();
    let Spec { label, events, channels, enabled, .. } = spec;
    json!({ "receiver": receiver, "label": label, "events": events, "channels": channels, "enabled": enabled })
}

/// What happens is held against all of them.
const MAX_WEBHOOKS: usize = 1000;
const MAX_OF_CHANNEL: usize = 10;
/// Milliseconds in which receivers can take on a new secret.
const OLD_SECRET_SIGNS: u64 = 24 * 3600 * 1000;
