//! Playback keys and revocations in the store.

use nearcast_api::playback::{Key, Revocation};

use super::audit::Change;
use super::{Store, damaged, failed};
use crate::error::{Error, Result};

/// A playback key as it is stored.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredPlaybackKey {
    /// The `kid` of its tokens.
    pub id: String,
    pub key: Key,
    /// What tokens are signed with here, in base64url: PKCS #8 or the secret.
    pub signing: Option<String>,
    /// For people.
    pub label: String,
    /// Milliseconds since the Unix epoch.
    pub created_at: u64,
}

/// A revocation as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRevocation {
    pub id: String,
    pub revocation: Revocation,
    /// Milliseconds since the Unix epoch.
    pub created_at: u64,
}

impl std::fmt::Debug for StoredPlaybackKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoredPlaybackKey").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Store {
    /// All playback keys, oldest first.
    pub async fn playback_keys(&self) -> Result<Vec<StoredPlaybackKey>> {
        let query = sqlx::query_as::<_, (String, String, Option<String>, String, i64)>(
            "SELECT id, key, signing, label, created_at FROM playback_keys ORDER BY created_at, id",
        );
        let rows = query.fetch_all(&self.pool).await.map_err(failed("read the playback keys"))?;
        let key = |(id, key, signing, label, created_at): (String, String, _, _, i64)| {
            let key = serde_json::from_str(&key).map_err(|_| damaged("a playback key", &id))?;
            Ok(StoredPlaybackKey { id, key, signing, label, created_at: created_at.cast_unsigned() })
        };
        rows.into_iter().map(key).collect()
    }

    /// Revocations that are not over at `now` (milliseconds since the Unix epoch), oldest first; others are removed.
    pub async fn revocations(&self, now: u64) -> Result<Vec<StoredRevocation>> {
        let over = sqlx::query("DELETE FROM revocations WHERE until <= $1").bind(now.cast_signed());
        over.execute(&self.pool).await.map_err(failed("forget revocations that are over"))?;
        let query = sqlx::query_as::<_, (String, String, i64)>(
            "SELECT id, revocation, created_at FROM revocations ORDER BY created_at, id",
        );
        let rows = query.fetch_all(&self.pool).await.map_err(failed("read the revocations"))?;
        let revocation = |(id, json, created_at): (String, String, i64)| {
            let revocation = serde_json::from_str(&json).map_err(|_| damaged("a revocation", &id))?;
            Ok(StoredRevocation { id, revocation, created_at: created_at.cast_unsigned() })
        };
        rows.into_iter().map(revocation).collect()
    }
}

impl Change {
    /// Adds a playback key.
    pub async fn add_playback_key(&mut self, key: &StoredPlaybackKey) -> Result<()> {
        let json = serde_json::to_string(&key.key).map_err(|_| damaged("a playback key", &key.id))?;
        sqlx::query(
            "INSERT INTO playback_keys (id, key, signing, label, created_at) VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(&key.id)
        .bind(json)
        .bind(&key.signing)
        .bind(&key.label)
        .bind(key.created_at.cast_signed())
        .execute(self.connection())
        .await
        .map_err(failed("add a playback key"))?;
        Ok(())
    }

    /// Removes a playback key.
    pub async fn delete_playback_key(&mut self, id: &str) -> Result<()> {
        let query = sqlx::query("DELETE FROM playback_keys WHERE id = $1").bind(id);
        let done = query.execute(self.connection()).await.map_err(failed("delete a playback key"))?;
        let missing = || Error::NoPlaybackKey(id.chars().take(64).collect());
        if done.rows_affected() == 1 { Ok(()) } else { Err(missing()) }
    }

    /// Adds a revocation.
    pub async fn add_revocation(&mut self, stored: &StoredRevocation) -> Result<()> {
        let StoredRevocation { id, revocation, created_at } = stored;
        let json = serde_json::to_string(revocation).map_err(|_| damaged("a revocation", id))?;
        sqlx::query("INSERT INTO revocations (id, revocation, until, created_at) VALUES ($1, $2, $3, $4)")
            .bind(id)
            .bind(json)
            .bind(revocation.until.cast_signed())
            .bind(created_at.cast_signed())
            .execute(self.connection())
            .await
            .map_err(failed("add a revocation"))?;
        Ok(())
    }

    /// Removes a revocation.
    pub async fn delete_revocation(&mut self, id: &str) -> Result<()> {
        let query = sqlx::query("DELETE FROM revocations WHERE id = $1").bind(id);
        let done = query.execute(self.connection()).await.map_err(failed("delete a revocation"))?;
        let missing = || Error::NoRevocation(id.chars().take(64).collect());
        if done.rows_affected() == 1 { Ok(()) } else { Err(missing()) }
    }
}
