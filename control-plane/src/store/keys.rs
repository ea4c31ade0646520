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
    /// It opens nothing.
    pub disabled: bool,
    /// What it was before it was rotated, where that may count as well.
    pub old: Option<OldKey>,
}

/// What a key was before it was rotated.
#[derive(Debug, Clone, PartialEq)]
pub struct OldKey {
    pub hash: KeyHash,
    /// When it counts no more, in milliseconds since the Unix epoch.
    pub until: u64,
}

/// As `with_columns` has them.
type Row = (String, String, String, String, i64, i64, i64, String, i64);

macro_rules! with_columns {
    ($before:literal, $after:literal) => {
        concat!(
            $before,
            " id, channel_id, hash, label, created_at, backup, disabled, old_hash, old_until ",
            $after
        )
    };
}

impl Store {
    /// All keys of all channels, oldest first.
    pub async fn keys(&self) -> Result<Vec<StoredKey>> {
        let query =
            sqlx::query_as::<_, Row>(with_columns!("SELECT", "FROM stream_keys ORDER BY created_at, id"));
        let rows = query.fetch_all(&self.pool).await.map_err(failed("read the stream keys"))?;
        rows.into_iter().map(key).collect()
    }

    /// The keys of one channel, oldest first.
    pub async fn keys_of(&self, channel: &ChannelId) -> Result<Vec<StoredKey>> {
        let query = sqlx::query_as::<_, Row>(with_columns!(
            "SELECT",
            "FROM stream_keys WHERE channel_id = $1 ORDER BY created_at, id"
        ));
        let rows = query.bind(channel.as_str()).fetch_all(&self.pool).await;
        rows.map_err(failed("read a channel's stream keys"))?.into_iter().map(key).collect()
    }
}

impl Change {
    /// Adds a key. One that the channel has already is left as it is, and given back; true for a new one.
    ///
    /// # Errors
    /// [`Error::KeyTaken`] when another channel has it, or it is an old one that still counts.
    pub async fn add_key(&mut self, key: &StoredKey) -> Result<(StoredKey, bool)> {
        let query = sqlx::query_as::<_, (String,)>(
            "SELECT id FROM stream_keys WHERE old_hash = $1 AND old_until > $2 LIMIT 1",
        );
        let query = query.bind(&key.hash.0).bind(key.created_at.cast_signed());
        if query.fetch_optional(self.connection()).await.map_err(failed("add a stream key"))?.is_some() {
            return Err(Error::KeyTaken);
        }
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
        let query = sqlx::query_as::<_, Row>(with_columns!(
            "SELECT",
            "FROM stream_keys WHERE hash = $1 AND channel_id = $2"
        ));
        let query = query.bind(&key.hash.0).bind(key.channel.as_str());
        let row = query.fetch_optional(self.connection()).await.map_err(failed("add a stream key"))?;
        Ok((self::key(row.ok_or(Error::KeyTaken)?)?, added.rows_affected() == 1))
    }

    /// The key as it is before the change.
    pub async fn key(&mut self, channel: &ChannelId, id: &str) -> Result<StoredKey> {
        let query = sqlx::query_as::<_, Row>(with_columns!(
            "SELECT",
            "FROM stream_keys WHERE channel_id = $1 AND id = $2"
        ));
        let query = query.bind(channel.as_str()).bind(id);
        let row = query.fetch_optional(self.connection()).await.map_err(failed("read a stream key"))?;
        key(row.ok_or_else(|| missing(channel, id))?)
    }

    /// Makes a key what it is now: its hashes, label, and whether it opens anything.
    pub async fn put_key(&mut self, key: &StoredKey) -> Result<()> {
        let (old_hash, old_until) = key.old.as_ref().map_or(("", 0), |old| (&old.hash.0, old.until));
        let done = sqlx::query(
            "UPDATE stream_keys SET hash = $3, label = $4, disabled = $5, old_hash = $6, old_until = $7 \
             WHERE channel_id = $1 AND id = $2",
        )
        .bind(key.channel.as_str())
        .bind(&key.id)
        .bind(&key.hash.0)
        .bind(&key.label)
        .bind(i64::from(key.disabled))
        .bind(old_hash)
        .bind(old_until.cast_signed())
        .execute(self.connection())
        .await
        .map_err(failed("change a stream key"))?;
        if done.rows_affected() == 1 { Ok(()) } else { Err(missing(&key.channel, &key.id)) }
    }

    /// Removes a key, and gives it.
    pub async fn delete_key(&mut self, channel: &ChannelId, id: &str) -> Result<StoredKey> {
        let query = sqlx::query_as::<_, Row>(with_columns!(
            "DELETE FROM stream_keys WHERE channel_id = $1 AND id = $2 RETURNING",
            ""
        ));
        let query = query.bind(channel.as_str()).bind(id);
        let row = query.fetch_optional(self.connection()).await.map_err(failed("delete a stream key"))?;
        key(row.ok_or_else(|| missing(channel, id))?)
    }
}

fn missing(channel: &ChannelId, id: &str) -> Error {
    Error::NoKey { channel: channel.clone(), id: id.chars().take(64).collect() }
}

fn key(row: Row) -> Result<StoredKey> {
    let (id, channel, hash, label, created_at, backup, disabled, old_hash, old_until) = row;
    let old = OldKey { hash: KeyHash(old_hash), until: old_until.cast_unsigned() };
    Ok(StoredKey {
        id,
        channel: channel.parse().map_err(|_| damaged("a key's channel", &channel))?,
        hash: KeyHash(hash),
        backup: backup != 0,
        label,
        created_at: created_at.cast_unsigned(),
        disabled: disabled != 0,
        old: (old.until > 0).then_some(old),
    })
}
