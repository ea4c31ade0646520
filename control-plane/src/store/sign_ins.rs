//! What all instances remember of those who try to sign in: wrong passwords, and who is at the identity provider.

use nearcast_api::UserId;
use sqlx::AnyConnection;

use super::{Store, failed};
use crate::access::{FORGOTTEN, Lockout};
use crate::error::Result;
use crate::keys;

/// What the answer of the identity provider has to fit.
#[derive(Clone, PartialEq, Eq)]
pub struct OidcLogin {
    pub nonce: String,
    /// The PKCE code verifier (RFC 7636).
    pub verifier: String,
    /// Milliseconds since the Unix epoch.
    pub expires_at: u64,
}

impl std::fmt::Debug for OidcLogin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OidcLogin").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}

impl Store {
    /// Counts a password that is tried at `now` (milliseconds since the Unix epoch) as wrong, until [`Store::forgive`]. None
    /// when it may be tried, else how many milliseconds later. Of more than `max` names those not tried for longest are
    /// forgotten.
    pub async fn attempt(&self, user: &UserId, now: u64, max: u32) -> Result<Option<u64>> {
        let failed = || failed("count a sign-in");
        let mut transaction = self.pool.begin().await.map_err(failed())?;
        // A write comes first: it makes those who try at the same moment come one after another.
        let (failures, began_at, locks, until_at, last_at) = sqlx::query_as::<_, (i64, i64, i64, i64, i64)>(
            "INSERT INTO sign_in_failures (name, failures, began_at, locks, until_at, last_at) VALUES ($1, 0, 0, 0, 0, 0) \
             ON CONFLICT (name) DO UPDATE SET name = excluded.name \
             RETURNING failures, began_at, locks, until_at, last_at",
        )
        .bind(user.as_str())
        .fetch_one(&mut *transaction)
        .await
        .map_err(failed())?;
        let known = Lockout {
            failures: failures.cast_unsigned(),
            began_at: began_at.cast_unsigned(),
            locks: locks.cast_unsigned(),
            until_at: until_at.cast_unsigned(),
            last_at: last_at.cast_unsigned(),
        };
        let next = match known.attempt(now) {
            Ok(next) => next,
            // Nothing is written: who tries while the account waits does not make it wait longer.
            Err(wait) => return Ok(Some(wait)),
        };
        sqlx::query(
            "UPDATE sign_in_failures SET failures = $2, began_at = $3, locks = $4, until_at = $5, last_at = $6 WHERE name = $1",
        )
        .bind(user.as_str())
        .bind(next.failures.cast_signed())
        .bind(next.began_at.cast_signed())
        .bind(next.locks.cast_signed())
        .bind(next.until_at.cast_signed())
        .bind(next.last_at.cast_signed())
        .execute(&mut *transaction)
        .await
        .map_err(failed())?;
        transaction.commit().await.map_err(failed())?;
        // By itself: two that hold a row each must not wait for each other's.
        sqlx::query(
            "DELETE FROM sign_in_failures WHERE last_at < $1 OR last_at < \
             (SELECT last_at FROM sign_in_failures ORDER BY last_at DESC LIMIT 1 OFFSET $2)",
        )
        .bind(now.saturating_sub(FORGOTTEN).cast_signed())
        .bind(i64::from(max.saturating_sub(1)))
        .execute(&self.pool)
        .await
        .map_err(failed())?;
        Ok(None)
    }

    /// The password was right: the account starts afresh.
    pub async fn forgive(&self, user: &UserId) -> Result<()> {
        let query = sqlx::query("DELETE FROM sign_in_failures WHERE name = $1").bind(user.as_str());
        query.execute(&self.pool).await.map_err(failed("forget wrong passwords"))?;
        Ok(())
    }

    /// Somebody is on their way to the identity provider. Of more than `max` the oldest are forgotten.
    pub async fn add_oidc_login(&self, state: &str, login: &OidcLogin, now: u64, max: u32) -> Result<()> {
        let failed = || failed("begin a sign-in");
        let mut transaction = self.pool.begin().await.map_err(failed())?;
        let connection: &mut AnyConnection = &mut transaction;
        sqlx::query("INSERT INTO oidc_logins (state, nonce, verifier, expires_at) VALUES ($1, $2, $3, $4)")
            .bind(keys::hash(state).0)
            .bind(&login.nonce)
            .bind(&login.verifier)
            .bind(login.expires_at.cast_signed())
            .execute(&mut *connection)
            .await
            .map_err(failed())?;
        sqlx::query(
            "DELETE FROM oidc_logins WHERE expires_at <= $1 OR expires_at < \
             (SELECT expires_at FROM oidc_logins ORDER BY expires_at DESC LIMIT 1 OFFSET $2)",
        )
        .bind(now.cast_signed())
        .bind(i64::from(max.saturating_sub(1)))
        .execute(connection)
        .await
        .map_err(failed())?;
        transaction.commit().await.map_err(failed())
    }

    /// Somebody is back from the identity provider: once, and in time.
    pub async fn take_oidc_login(&self, state: &str, now: u64) -> Result<Option<OidcLogin>> {
        let query = sqlx::query_as::<_, (String, String, i64)>(
            "DELETE FROM oidc_logins WHERE state = $1 RETURNING nonce, verifier, expires_at",
        );
        let query = query.bind(keys::hash(state).0);
        let row = query.fetch_optional(&self.pool).await.map_err(failed("take a sign-in up again"))?;
        let login = row.map(|(nonce, verifier, expires_at)| OidcLogin {
            nonce,
            verifier,
            expires_at: expires_at.cast_unsigned(),
        });
        Ok(login.filter(|login| now < login.expires_at))
    }
}
