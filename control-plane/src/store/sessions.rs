//! Sessions in the store: hashes and whose they are, never the tokens.

use nearcast_api::UserId;
use nearcast_api::snapshot::KeyHash;

use super::audit::Change;
use super::{Store, damaged, failed};
use crate::error::{Error, Result};

/// A session as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredSession {
    pub id: String,
    pub hash: KeyHash,
    pub user: UserId,
    /// Where it began.
    pub address: Option<String>,
    /// Milliseconds since the Unix epoch.
    pub created_at: u64,
    /// The same.
    pub expires_at: u64,
}

type Row = (String, String, String, Option<String>, i64, i64);

impl Store {
    /// All sessions by id, those that are over among them until somebody signs in.
    pub async fn sessions(&self) -> Result<Vec<StoredSession>> {
        let query = sqlx::query_as::<_, Row>(
            "SELECT id, hash, user_id, address, created_at, expires_at FROM sessions ORDER BY id",
        );
        let rows = query.fetch_all(&self.pool).await.map_err(failed("read the sessions"))?;
        rows.into_iter().map(session).collect()
    }
}

#[cfg(test)]
impl Store {
    /// As if the time of all sessions had passed.
    pub(crate) async fn age_sessions(&self) {
        sqlx::query("UPDATE sessions SET expires_at = created_at").execute(&self.pool).await.unwrap();
    }
}

impl Change {
    /// Adds a session. What is over at that time goes, and of this user's all but the newest `keep`.
    pub async fn add_session(&mut self, session: &StoredSession, keep: u32) -> Result<()> {
        let failed = || failed("begin a session");
        let now = session.created_at.cast_signed();
        let over = sqlx::query("DELETE FROM sessions WHERE expires_at <= $1").bind(now);
        over.execute(self.connection()).await.map_err(failed())?;
        let older = sqlx::query(
            "DELETE FROM sessions WHERE user_id = $1 AND id NOT IN \
             (SELECT id FROM sessions WHERE user_id = $1 ORDER BY created_at DESC, id LIMIT $2)",
        );
        let older = older.bind(session.user.as_str()).bind(i64::from(keep.saturating_sub(1)));
        older.execute(self.connection()).await.map_err(failed())?;
        sqlx::query(
            "INSERT INTO sessions (id, hash, user_id, address, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(&session.id)
        .bind(&session.hash.0)
        .bind(session.user.as_str())
        .bind(session.address.as_deref())
        .bind(now)
        .bind(session.expires_at.cast_signed())
        .execute(self.connection())
        .await
        .map_err(failed())?;
        Ok(())
    }

    /// Ends a session.
    pub async fn delete_session(&mut self, id: &str) -> Result<()> {
        let query = sqlx::query("DELETE FROM sessions WHERE id = $1").bind(id);
        let done = query.execute(self.connection()).await.map_err(failed("end a session"))?;
        let missing = || Error::NoSession(id.chars().take(64).collect());
        if done.rows_affected() == 1 { Ok(()) } else { Err(missing()) }
    }

    /// Ends all sessions of a user.
    pub async fn end_sessions(&mut self, user: &UserId) -> Result<()> {
        let query = sqlx::query("DELETE FROM sessions WHERE user_id = $1").bind(user.as_str());
        query.execute(self.connection()).await.map_err(failed("end a user's sessions"))?;
        Ok(())
    }
}

fn session((id, hash, user, address, created_at, expires_at): Row) -> Result<StoredSession> {
    let user = user.parse().map_err(|_| damaged("a session", &id))?;
    let (created_at, expires_at) = (created_at.cast_unsigned(), expires_at.cast_unsigned());
    Ok(StoredSession { id, hash: KeyHash(hash), user, address, created_at, expires_at })
}
