//! API tokens in the store: hashes and what they allow, never the tokens.

use nearcast_api::snapshot::KeyHash;

use super::audit::Change;
use super::{Store, damaged, failed};
use crate::access::Grant;
use crate::error::{Error, Result};

/// An API token as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredToken {
    pub id: String,
    pub hash: KeyHash,
    pub grant: Grant,
    /// For people: whose it is, what uses it.
    pub label: String,
    /// Milliseconds since the Unix epoch.
    pub created_at: u64,
    /// The same; none for never.
    pub expires_at: Option<u64>,
}

type Row = (String, String, String, String, i64, Option<i64>);

impl Store {
    /// All API tokens, oldest first.
    pub async fn tokens(&self) -> Result<Vec<StoredToken>> {
        let query = sqlx::query_as::<_, Row>(
            "SELECT id, hash, allows, label, created_at, expires_at FROM api_tokens ORDER BY created_at, id",
        );
        let rows = query.fetch_all(&self.pool).await.map_err(failed("read the API tokens"))?;
        rows.into_iter().map(token).collect()
    }
}

impl Change {
    /// Adds an API token.
    pub async fn add_token(&mut self, token: &StoredToken) -> Result<()> {
        let allows = serde_json::to_string(&token.grant).map_err(|_| damaged("an API token", &token.id))?;
        sqlx::query(
            "INSERT INTO api_tokens (id, hash, allows, label, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(&token.id)
        .bind(&token.hash.0)
        .bind(allows)
        .bind(&token.label)
        .bind(token.created_at.cast_signed())
        .bind(token.expires_at.map(u64::cast_signed))
        .execute(self.connection())
        .await
        .map_err(failed("add an API token"))?;
        Ok(())
    }

    /// Removes an API token.
    pub async fn delete_token(&mut self, id: &str) -> Result<()> {
        let query = sqlx::query("DELETE FROM api_tokens WHERE id = $1").bind(id);
        let done = query.execute(self.connection()).await.map_err(failed("delete an API token"))?;
        let missing = || Error::NoApiToken(id.chars().take(64).collect());
        if done.rows_affected() == 1 { Ok(()) } else { Err(missing()) }
    }
}

fn token((id, hash, allows, label, created_at, expires_at): Row) -> Result<StoredToken> {
    let grant = serde_json::from_str(&allows).map_err(|_| damaged("an API token", &id))?;
    let (created_at, expires_at) = (created_at.cast_unsigned(), expires_at.map(i64::cast_unsigned));
    Ok(StoredToken { id, hash: KeyHash(hash), grant, label, created_at, expires_at })
}
