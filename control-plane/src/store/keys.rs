//! Stream keys in the store: hashes and labels, never the keys.

use nearcast_api::ChannelId;
use nearcast_api::snapshot::KeyHash;

use super::audit::Change;
use super::{Store, damaged, failed};
use crate::error::{Error, Result};

/// A key as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredKey {
    pub id: String,
    pub channel: ChannelId,
    pub hash: KeyHash,
    /// It is a standby encoder's.
    pub backup: bool,
    /// For people: whose it is, where it is used.
    pub label: String,
    /// Milliseconds since the Unix epoch.
    pub created_at: u64,
}

type Row = (String, String, String, String, i64, i64);

impl Store {
    /// All keys of all channels, oldest first.
    pub async fn keys(&self) -> Result<Vec<StoredKey>> {
        let query = sqlx::query_as::<_, Row>(
            "SELECT id, channel_id, hash, label, created_at, backup FROM stream_keys ORDER BY created_at, id",
        );
        let rows = query.fetch_all(&self.pool).await.map_err(failed("read the stream keys"))?;
        rows.into_iter().map(key).collect()
    }

    /// The keys of one channel, oldest first.
    pub async fn keys_of(&self, channel: &ChannelId) -> Result<Vec<StoredKey>> {
        let query = sqlx::query_as::<_, Row>(
            "SELECT id, channel_id, hash, label, created_at, backup FROM stream_keys WHERE channel_id = $1 \
             ORDER BY created_at, id",
        );
        let rows = query.bind(channel.as_str()).fetch_all(&self.pool).await;
        rows.map_err(failed("read a channel's stream keys"))?.into_iter().map(key).collect()
    }
}

impl Change {
    /// Adds a key. One that the channel has already is left as it is, and given back; true for a new one.
    ///
    /// # Errors
    /// [`Error::KeyTaken`] when another channel has it.
    pub async fn add_key(&mut self, key: &StoredKey) -> Result<(StoredKey, bool)> {
        let added = sqlx::query(
            "INSERT INTO stream_keys (id, channel_id, hash, label, created_at, backup) VALUES ($1, $2, $3, $4, $5, $6) \
             ON CONFLICT (hash) DO NOTHING",
        )
        .bind(&key.id)
        .bind(key.channel.as_str())
        .bind(&key.hash.0)
        .bind(&key.label)
        .bind(key.created_at.cast_signed())
        .bind(i64::from(key.backup))
        .execute(self.connection())
        .await
        .map_err(failed("add a stream key"))?;
        let query = sqlx::query_as::<_, Row>(
            "SELECT id, channel_id, hash, label, created_at, backup FROM stream_keys WHERE hash = $1 AND channel_id = $2",
        );
        let query = query.bind(&key.hash.0).bind(key.channel.as_str());
        let row = query.fetch_optional(self.connection()).await.map_err(failed("add a stream key"))?;
        Ok((self::key(row.ok_or(Error::KeyTaken)?)?, added.rows_affected() == 1))
    }

    /// Removes a key, and gives it.
    pub async fn delete_key(&mut self, channel: &ChannelId, id: &str) -> Result<StoredKey> {
        let query = sqlx::query_as::<_, Row>(
            "DELETE FROM stream_keys WHERE channel_id = $1 AND id = $2 \
             RETURNING id, channel_id, hash, label, created_at, backup",
        );
        let query = query.bind(channel.as_str()).bind(id);
        let row = query.fetch_optional(self.connection()).await.map_err(failed("delete a stream key"))?;
        let missing = || Error::NoKey { channel: channel.clone(), id: id.chars().take(64).collect() };
        key(row.ok_or_else(missing)?)
    }
}

fn key((id, channel, hash, label, created_at, backup): Row) -> Result<StoredKey> {
    let channel = channel.parse().map_err(|_| damaged("a key's channel", &channel))?;
    let created_at = created_at.cast_unsigned();
    Ok(StoredKey { id, channel, hash: KeyHash(hash), backup: backup != 0, label, created_at })
}
