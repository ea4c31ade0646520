//! Stream keys that change: replaced by new ones, switched off and on, and old ones that count for a while.

use std::sync::PoisonError;

use nearcast_api::ChannelId;
use nearcast_api::snapshot::{Channel, KeyHash};
use serde_json::json;

use super::channels::{about, target};
use super::{Plane, unix_millis};
use crate::access::Actor;
use crate::error::Result;
use crate::keys;
use crate::store::{OldKey, StoredKey};
use crate::webhooks::Kind;

/// A key in the snapshot that is not to stay there.
#[derive(Debug, PartialEq)]
pub(super) struct Fading {
    channel: ChannelId,
    hash: KeyHash,
    /// Milliseconds since the Unix epoch.
    until: u64,
}

impl Plane {
    /// Gives a key another secret. The old one counts for `grace` more seconds, or no more: then its encoder is sent away.
    /// One from before an earlier change counts no more in any case.
    pub async fn rotate_key(
        &self,
        by: &Actor,
        channel: &ChannelId,
        id: &str,
        grace: Option<u64>,
    ) -> Result<(String, StoredKey)> {
        let _changing = self.changing.lock().await;
        let (key, now) = (keys::random(), unix_millis());
        let target = format!("{}/keys/{id}", target(channel));
        let mut change = self.store.change(by, "rotateStreamKey", target, now).await?;
        let stored = change.key(channel, id).await?;
        let until = |seconds: u64| now.saturating_add(seconds.saturating_mul(1000));
        let old = grace.map(|grace| OldKey { hash: stored.hash.clone(), until: until(grace) });
        change.after(&json!({ "label": &stored.label, "old_ends_at": old.as_ref().map(|old| old.until) }));
        let stored = StoredKey { hash: keys::hash(&key), old, ..stored };
        change.put_key(&stored).await?;
        change.tell(Kind::KeyChanged, about(&stored)).await?;
        change.commit().await?;
        self.in_force(self.reload_channel(channel)).await?;
        Ok((key, stored))
    }

    /// Changes a key's label, and whether it opens anything: while it does not, its encoder is sent away.
    pub async fn change_key(
        &self,
        by: &Actor,
        channel: &ChannelId,
        id: &str,
        label: Option<String>,
        disabled: Option<bool>,
    ) -> Result<StoredKey> {
        let _changing = self.changing.lock().await;
        let target = format!("{}/keys/{id}", target(channel));
        let mut change = self.store.change(by, "changeStreamKey", target, unix_millis()).await?;
        let old = change.key(channel, id).await?;
        change.before(&json!({ "label": &old.label, "disabled": old.disabled }));
        let was = (old.label.clone(), old.disabled);
        let (label, disabled) = (label.unwrap_or(old.label), disabled.unwrap_or(old.disabled));
        let stored = StoredKey { label, disabled, ..old };
        change.after(&json!({ "label": &stored.label, "disabled": stored.disabled }));
        change.put_key(&stored).await?;
        if was != (stored.label.clone(), stored.disabled) {
            change.tell(Kind::KeyChanged, about(&stored)).await?;
        }
        change.commit().await?;
        self.in_force(self.reload_channel(channel)).await?;
        Ok(stored)
    }

    /// Notes which keys of a channel, or of all, are not to stay. After the fleet has them: who ends them meanwhile finds them
    /// again.
    pub(super) fn fade(&self, channel: Option<&ChannelId>, new: Vec<Fading>) {
        let mut fading = self.fading.lock().unwrap_or_else(PoisonError::into_inner);
        fading.retain(|key| channel.is_some_and(|channel| key.channel != *channel));
        fading.extend(new);
    }

    /// Old keys whose time is over at `now` leave the snapshot, also while the store is away.
    pub(super) fn end_old_keys(&self, now: u64) {
        let over: Vec<_> = {
            let mut fading = self.fading.lock().unwrap_or_else(PoisonError::into_inner);
            fading.extract_if(.., |key| key.until <= now).collect()
        };
        if over.is_empty() {
            return;
        }
        self.change(|fleet| {
            for Fading { channel: id, hash, .. } in over {
                let Some(mut channel) = fleet.snapshot().channels.get(&id).cloned() else { continue };
                for keys in [&mut channel.keys, &mut channel.backup_keys] {
                    keys.retain(|key| *key != hash);
                }
                tracing::info!(channel = %id, "an old stream key counts no more");
                fleet.put_channel(id, channel);
            }
        });
    }
}

/// Lets a key publish, if it may, and the one before it while that counts.
pub(super) fn admit(channel: &mut Channel, fading: &mut Vec<Fading>, key: StoredKey, now: u64) {
    if key.disabled {
        return;
    }
    let keys = if key.backup { &mut channel.backup_keys } else { &mut channel.keys };
    keys.push(key.hash);
    if let Some(OldKey { hash, until }) = key.old.filter(|old| now < old.until) {
        keys.push(hash.clone());
        fading.push(Fading { channel: key.channel, hash, until });
    }
}
