//! Changes to channels and stream keys.

use nearcast_api::ChannelId;
use nearcast_api::channel::Settings;
use nearcast_api::purge::{Order, Target};
use nearcast_api::snapshot::Channel;

use super::{Plane, unix_millis};
use crate::error::Result;
use crate::store::{StoredChannel, StoredKey};
use crate::{keys, settings};

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
        id: &ChannelId,
        title: &str,
        settings: &Settings,
    ) -> Result<StoredChannel> {
        let _changing = self.changing.lock().await;
        self.store.create_channel(id, title, unix_millis()).await?;
        self.store.set_settings(id, settings).await?;
        self.reload_channel(id).await
    }

    /// Changes a channel's title.
    pub async fn rename_channel(&self, id: &ChannelId, title: &str) -> Result<StoredChannel> {
        let _changing = self.changing.lock().await;
        self.store.rename_channel(id, title).await?;
        self.reload_channel(id).await
    }

    /// Changes a channel's settings by a merge patch (RFC 7396): null goes back to the origin's default.
    ///
    /// # Errors
    /// [`crate::error::Error::Invalid`] says which setting is wrong; then nothing has changed.
    pub async fn change_settings(&self, id: &ChannelId, patch: serde_json::Value) -> Result<StoredChannel> {
        let _changing = self.changing.lock().await;
        let stored = self.store.channel(id).await?;
        self.store.set_settings(id, &settings::merge(&stored.settings, patch)?).await?;
        self.reload_channel(id).await
    }

    /// Removes a channel with its keys. What is live on it ends.
    pub async fn delete_channel(&self, id: &ChannelId) -> Result<()> {
        let changing = self.changing.lock().await;
        self.store.delete_channel(id).await?;
        self.change(|fleet| fleet.remove_channel(id));
        drop(changing);
        // Nor is it to be had from a cache.
        self.purge(Order { target: Target::Channel(id.clone()), soft: false }).await?;
        Ok(())
    }

    /// Lets `key` publish to a channel. A key that could already is given back as it was first stored.
    pub async fn add_key(
        &self,
        channel: &ChannelId,
        key: &str,
        label: String,
        backup: bool,
    ) -> Result<StoredKey> {
        let _changing = self.changing.lock().await;
        self.store.channel(channel).await?;
        let stored = StoredKey {
            id: keys::random_id(),
            channel: channel.clone(),
            hash: keys::hash(key),
            backup,
            label,
            created_at: unix_millis(),
        };
        let stored = self.store.add_key(&stored).await?;
        self.reload_channel(channel).await?;
        Ok(stored)
    }

    /// The keys of a channel.
    pub async fn keys_of(&self, channel: &ChannelId) -> Result<Vec<StoredKey>> {
        self.store.channel(channel).await?;
        self.store.keys_of(channel).await
    }

    /// Takes a key away. Its encoder is sent away, and the broadcast waits for another as for a line that has failed.
    pub async fn delete_key(&self, channel: &ChannelId, id: &str) -> Result<()> {
        let _changing = self.changing.lock().await;
        self.store.delete_key(channel, id).await?;
        self.reload_channel(channel).await?;
        Ok(())
    }

    /// Makes the fleet say what the store says. The caller holds `changing`.
    async fn reload_channel(&self, id: &ChannelId) -> Result<StoredChannel> {
        let stored = self.store.channel(id).await?;
        let mut channel = snapshot(&stored);
        self.store.keys_of(id).await?.into_iter().for_each(|key| admit(&mut channel, key));
        self.change(|fleet| fleet.put_channel(id.clone(), channel));
        Ok(self.with_live(stored))
    }

    fn with_live(&self, channel: StoredChannel) -> StoredChannel {
        let live = self.lock().snapshot().channels.get(&channel.id).and_then(|channel| channel.live.clone());
        StoredChannel { live, ..channel }
    }
}

/// A channel as nodes see it, without its keys.
pub(super) fn snapshot(stored: &StoredChannel) -> Channel {
    let StoredChannel { title, live, settings, .. } = stored.clone();
    Channel { title, live, settings, ..Channel::default() }
}

/// Lets a key publish.
pub(super) fn admit(channel: &mut Channel, key: StoredKey) {
    if key.backup { &mut channel.backup_keys } else { &mut channel.keys }.push(key.hash);
}
