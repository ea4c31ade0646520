//! Calls that somebody may make again, in the store: claimed before they are carried out, answered after.

use super::{Store, failed};
use crate::error::Result;
use crate::keys;

/// A call with an `Idempotency-Key`, by names that tell nothing of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Of key, caller and route.
    pub id: String,
    /// As the audit log calls them.
    pub caller: String,
    /// Of the body.
    pub fingerprint: String,
}

/// What is to be done with a call.
#[derive(Debug, PartialEq, Eq)]
pub enum Claim {
    /// Carry it out, and give this back with the answer.
    Mine(String),
    /// It has been carried out: what [`Store::answer`] kept.
    Answered(String),
    /// Somebody is carrying it out.
    Running,
    /// The key was used with another body.
    OtherBody,
    /// The caller has used as many keys as are kept.
    Full,
}

impl Store {
    /// Claims a call for this moment (`now` in milliseconds since the Unix epoch). Of several at once, whichever instance they ask,
    /// one has it.
    pub async fn claim(&self, call: &Call, now: u64) -> Result<Claim> {
        let failed = || failed("look whether a call was made before");
        let over = now.saturating_sub(KEPT);
        sqlx::query("DELETE FROM idempotency WHERE at < $1")
            .bind(over.cast_signed())
            .execute(&self.pool)
            .await
            .map_err(failed())?;
        let claim = keys::random();
        let claimed = sqlx::query(
            "INSERT INTO idempotency (id, caller, at, fingerprint, claim) SELECT $1, $2, $3, $4, $5 \
             WHERE (SELECT count(*) FROM idempotency WHERE caller = $2) < $6 ON CONFLICT (id) DO NOTHING",
        )
        .bind(&call.id)
        .bind(&call.caller)
        .bind(now.cast_signed())
        .bind(&call.fingerprint)
        .bind(&claim)
        .bind(MAX)
        .execute(&self.pool)
        .await
        .map_err(failed())?;
        if claimed.rows_affected() == 1 {
            return Ok(Claim::Mine(claim));
        }
        let query = sqlx::query_as::<_, (String, Option<String>)>(
            "SELECT fingerprint, answer FROM idempotency WHERE id = $1",
        );
        let there = query.bind(&call.id).fetch_optional(&self.pool).await.map_err(failed())?;
        match there {
            None => return Ok(Claim::Full),
            Some((fingerprint, _)) if fingerprint != call.fingerprint => return Ok(Claim::OtherBody),
            Some((_, Some(answer))) => return Ok(Claim::Answered(answer)),
            Some((_, None)) => {}
        }
        // Who has it may have been killed, and is not waited for all day.
        let taken = sqlx::query(
            "UPDATE idempotency SET claim = $2, at = $3 WHERE id = $1 AND answer IS NULL AND at < $4",
        )
        .bind(&call.id)
        .bind(&claim)
        .bind(now.cast_signed())
        .bind(now.saturating_sub(LONGEST).cast_signed())
        .execute(&self.pool)
        .await
        .map_err(failed())?;
        Ok(if taken.rows_affected() == 1 { Claim::Mine(claim) } else { Claim::Running })
    }

    /// Keeps the answer of a call for those who make it again.
    pub async fn answer(&self, id: &str, claim: &str, answer: &str) -> Result<()> {
        let query = sqlx::query("UPDATE idempotency SET answer = $3 WHERE id = $1 AND claim = $2");
        let done = query.bind(id).bind(claim).bind(answer).execute(&self.pool).await;
        done.map_err(failed("keep an answer")).map(drop)
    }

    /// The call has changed nothing: it may be made again.
    pub async fn release(&self, id: &str, claim: &str) -> Result<()> {
        let query = sqlx::query("DELETE FROM idempotency WHERE id = $1 AND claim = $2");
        let done = query.bind(id).bind(claim).execute(&self.pool).await;
        done.map_err(failed("forget a call")).map(drop)
    }
}

/// A day, in milliseconds.
const KEPT: u64 = 24 * 3600 * 1000;
/// Longer than any call takes, in milliseconds: a purge waits for edges half a minute.
const LONGEST: u64 = 60_000;
/// Of one caller in a day; an answer is a kilobyte or two.
const MAX: i64 = 10_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Database;
    use crate::testing::postgres;

    fn call(id: &str, fingerprint: &str) -> Call {
        Call { id: id.into(), caller: "token:anna".into(), fingerprint: fingerprint.into() }
    }

    async fn a_call_is_one_callers_until_it_is_answered_given_up_or_forgotten(database: Database) {
        let store = Store::open(&database).await.unwrap();
        let claim = async |id, fingerprint, now| store.claim(&call(id, fingerprint), now).await.unwrap();
        let Claim::Mine(first) = claim("a", "x", 1).await else { panic!("nobody has it") };
        assert_eq!(claim("a", "x", 2).await, Claim::Running);
        assert_eq!(claim("a", "y", 2).await, Claim::OtherBody);
        store.answer("a", &first, "created").await.unwrap();
        assert_eq!(claim("a", "x", LONGEST + 9).await, Claim::Answered("created".into()));
        assert_eq!(claim("a", "y", LONGEST + 9).await, Claim::OtherBody);
        assert!(matches!(claim("a", "y", KEPT + 2).await, Claim::Mine(_)), "a day later");

        let Claim::Mine(failing) = claim("b", "x", KEPT).await else { panic!("nobody has it") };
        store.release("b", &failing).await.unwrap();
        let Claim::Mine(killed) = claim("b", "x", KEPT + 1).await else { panic!("nobody has it") };
        assert_eq!(claim("b", "x", KEPT + LONGEST).await, Claim::Running);
        let Claim::Mine(next) = claim("b", "x", KEPT + LONGEST + 2).await else { panic!("it was killed") };
        // It was not, and comes late.
        store.answer("b", &killed, "late").await.unwrap();
        assert_eq!(claim("b", "x", KEPT + LONGEST + 3).await, Claim::Running);
        store.answer("b", &next, "in time").await.unwrap();
        assert_eq!(claim("b", "x", KEPT + LONGEST + 3).await, Claim::Answered("in time".into()));

        sqlx::query(
            "INSERT INTO idempotency (id, caller, at, fingerprint, claim) \
             SELECT 'n' || id, 'token:anna', id, '', '' FROM \
             (WITH RECURSIVE numbers (id) AS (SELECT 2000000000 UNION ALL SELECT id + 1 FROM numbers WHERE id < 2000009997) \
             SELECT id FROM numbers) AS numbers",
        )
        .execute(&store.pool)
        .await
        .unwrap();
        assert_eq!(claim("c", "x", KEPT + LONGEST + 3).await, Claim::Full);
        let bert = Call { caller: "token:bert".into(), ..call("c", "x") };
        assert!(matches!(store.claim(&bert, KEPT + LONGEST + 3).await.unwrap(), Claim::Mine(_)));
    }

    #[tokio::test]
    async fn a_call_is_one_callers_on_sqlite() {
        let directory = tempfile::tempdir().unwrap();
        let database = Database::Sqlite(directory.path().join("control.db"));
        a_call_is_one_callers_until_it_is_answered_given_up_or_forgotten(database).await;
    }

    #[tokio::test]
    async fn a_call_is_one_callers_on_postgres() {
        let database = Database::Postgres(postgres::database().await);
        a_call_is_one_callers_until_it_is_answered_given_up_or_forgotten(database).await;
    }
}
