//! Changes to channels and stream keys.

use nearcast_api::ChannelId;
use nearcast_api::channel::Settings;
use nearcast_api::purge::{Order, Target};
use nearcast_api::snapshot::Channel;
use serde_json::{Value, json};

use super::{Plane, stream_keys, unix_millis};
use crate::access::Actor;
use crate::error::{Error, Result};
use crate::profile::{self, Profile};
use crate::store::{StoredChannel, StoredKey};
use crate::webhooks::{About, Kind};
use crate::{keys, settings};

/// A change is only meant for what the caller has seen (RFC 9110 section 13.1.1); the default is for whatever there is.
#[derive(Debug, Clone, Default)]
pub struct IfMatch(Option<Vec<String>>);

impl IfMatch {
    /// For what has one of these tags; `*` is for whatever there is.
    pub fn tags(tags: impl Iterator<Item = String>) -> Self {
        Self(Some(tags.collect()))
    }

    pub(super) fn allows(&self, etag: &str) -> bool {
        self.0.as_ref().is_none_or(|tags| tags.iter().any(|tag| tag == etag || tag == "*"))
    }
}

impl Plane {
    /// All channels, each with what is live on it now.
    pub async fn channels(&self) -> Result<Vec<StoredChannel>> {
        let channels = self.store.channels().await?;
        Ok(channels.into_iter().map(|channel| self.with_live(channel)).collect())
    }

    /// One channel, with what is live on it now.
    pub async fn channel(&self, id: &ChannelId) -> Result<StoredChannel> {
        Ok(self.with_live(self.store.channel(id).await?))
    }

    /// Adds a channel.
    pub async fn create_channel(
        &self,
        by: &Actor,
        id: &ChannelId,
        title: &str,
        profile: &Profile,
        settings: &Settings,
    ) -> Result<StoredChannel> {
        let _changing = self.changing.lock().await;
        let mut change = self.store.change(by, "createChannel", target(id), unix_millis()).await?;
        change.create_channel(id, title, change.at()).await?;
        change.set_profile(id, profile).await?;
        change.set_settings(id, settings).await?;
        change.after(&told(title, profile, settings));
        change.tell(Kind::ChannelCreated, About::channel(id, title, Vec::new())).await?;
        change.commit().await?;
        self.in_force(self.reload_channel(id)).await
    }

    /// Changes a channel's title and profile, and its settings by a merge patch (RFC 7396): null goes back to the origin's default.
    ///
    /// # Errors
    /// [`crate::error::Error::Invalid`] says which setting is wrong; then nothing has changed.
    pub async fn change_channel(
        &self,
        by: &Actor,
        id: &ChannelId,
        only: &IfMatch,
        title: Option<String>,
        profile: profile::Patch,
        patch: Option<Value>,
    ) -> Result<StoredChannel> {
        let _changing = self.changing.lock().await;
        let mut change = self.store.change(by, "changeChannel", target(id), unix_millis()).await?;
        let old = change.channel(id).await?;
        unchanged(&old, only)?;
        let settings = patch.map(|patch| settings::merge(&old.settings, patch)).transpose()?;
        change.before(&told(&old.title, &old.profile, &old.settings));
        let profile = old.profile.clone().patched(profile)?;
        let (title, settings) =
            (title.unwrap_or(old.title.clone()), settings.unwrap_or(old.settings.clone()));
        let what = [
            ("title", title != old.title),
            ("profile", profile != old.profile),
            ("settings", settings != old.settings),
        ];
        let changed: Vec<_> = what.into_iter().filter_map(|(name, is_so)| is_so.then_some(name)).collect();
        change.rename_channel(id, &title).await?;
        change.set_profile(id, &profile).await?;
        change.set_settings(id, &settings).await?;
        change.after(&told(&title, &profile, &settings));
        if !changed.is_empty() {
            change.tell(Kind::ChannelChanged, About::channel(id, &title, changed)).await?;
        }
        change.commit().await?;
        self.in_force(self.reload_channel(id)).await
    }

    /// Removes a channel with its keys. What is live on it ends.
    pub async fn delete_channel(&self, by: &Actor, id: &ChannelId, only: &IfMatch) -> Result<()> {
        let changing = self.changing.lock().await;
        let mut change = self.store.change(by, "deleteChannel", target(id), unix_millis()).await?;
        let old = change.channel(id).await?;
        unchanged(&old, only)?;
        change.before(&told(&old.title, &old.profile, &old.settings));
        change.delete_channel(id).await?;
        change.tell(Kind::ChannelDeleted, About::channel(id, &old.title, Vec::new())).await?;
        change.commit().await?;
        self.change(|fleet| fleet.remove_channel(id));
        self.unlist(id);
        drop(changing);
        // Nor is it to be had from a cache.
        self.purge(by, Order { target: Target::Channel(id.clone()), soft: false }).await?;
        Ok(())
    }

    /// Lets `key` publish to a channel. A key that could already is given back as it was first stored; true for a new one.
    pub async fn add_key(
        &self,
        by: &Actor,
        channel: &ChannelId,
        key: &str,
        label: String,
        backup: bool,
    ) -> Result<(StoredKey, bool)> {
        let _changing = self.changing.lock().await;
        self.store.channel(channel).await?;
        let stored = StoredKey {
            id: keys::random_id(),
            channel: channel.clone(),
            hash: keys::hash(key),
            backup,
            label,
            created_at: unix_millis(),
            disabled: false,
            old: None,
        };
        let target = format!("{}/keys/{}", target(channel), stored.id);
        let mut change = self.store.change(by, "createStreamKey", target, stored.created_at).await?;
        let (stored, added) = change.add_key(&stored).await?;
        if added {
            change.after(&json!({ "label": &stored.label, "backup": stored.backup }));
            change.tell(Kind::KeyCreated, about(&stored)).await?;
            change.commit().await?;
            self.in_force(self.reload_channel(channel)).await?;
        }
        Ok((stored, added))
    }

    /// The keys of a channel.
    pub async fn keys_of(&self, channel: &ChannelId) -> Result<Vec<StoredKey>> {
        self.store.channel(channel).await?;
        self.store.keys_of(channel).await
    }

    /// Takes a key away. Its encoder is sent away, and the broadcast waits for another as for a line that has failed.
    pub async fn delete_key(&self, by: &Actor, channel: &ChannelId, id: &str) -> Result<()> {
        let _changing = self.changing.lock().await;
        let target = format!("{}/keys/{id}", target(channel));
        let mut change = self.store.change(by, "deleteStreamKey", target, unix_millis()).await?;
        let old = change.delete_key(channel, id).await?;
        change.before(&json!({ "label": &old.label, "backup": old.backup }));
        change.tell(Kind::KeyDeleted, about(&old)).await?;
        change.commit().await?;
        self.in_force(self.reload_channel(channel)).await?;
        Ok(())
    }

    /// Makes the fleet say what the store says. The caller holds `changing`.
    pub(super) async fn reload_channel(&self, id: &ChannelId) -> Result<StoredChannel> {
        let stored = self.store.channel(id).await?;
        let (mut channel, mut fading) = (snapshot(&stored), Vec::new());
        for key in self.store.keys_of(id).await? {
            stream_keys::admit(&mut channel, &mut fading, key, unix_millis());
        }
        self.change(|fleet| fleet.put_channel(id.clone(), channel));
        self.fade(Some(id), fading);
        self.list(&stored);
        Ok(self.with_live(stored))
    }

    fn with_live(&self, channel: StoredChannel) -> StoredChannel {
        let live = self.lock().snapshot().channels.get(&channel.id).and_then(|channel| channel.live.clone());
        StoredChannel { live, ..channel }
    }
}

/// Refuses a change that is meant for the channel as it was.
fn unchanged(channel: &StoredChannel, only: &IfMatch) -> Result<()> {
    if only.allows(&channel.etag()) { Ok(()) } else { Err(Error::ChangedMeanwhile(channel.id.clone())) }
}

/// What webhooks are told of a key.
pub(super) fn about(StoredKey { id, channel, label, backup, .. }: &StoredKey) -> About {
    About::key(channel, id, label, *backup)
}

/// What the audit log calls it.
pub(super) fn target(id: &ChannelId) -> String {
    format!("channels/{id}")
}

/// A channel as nodes see it, without its keys.
pub(super) fn snapshot(stored: &StoredChannel) -> Channel {
    let StoredChannel { title, live, settings, .. } = stored.clone();
    Channel { title, live, settings, ..Channel::default() }
}

/// What the audit log says of it.
fn told(title: &str, profile: &Profile, settings: &Settings) -> Value {
    let mut told = json!(profile);
    told["title"] = json!(title);
    told["settings"] = json!(settings);
    told
}
