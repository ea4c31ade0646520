//! What outlives the process: channels, stream keys, nodes and the snapshot's version, in SQLite or PostgreSQL.

mod audience;
mod audit;
mod backup;
mod categories;
mod channels;
mod database;
mod deliveries;
mod enrolments;
mod events;
mod idempotency;
mod keys;
mod nodes;
mod playback;
mod purges;
mod search;
mod sessions;
mod shared;
mod sign_ins;
mod tokens;
mod topology;
mod users;
mod webhooks;

use std::sync::Arc;

use sqlx::AnyPool;
use tokio::sync::Notify;

use self::shared::Shared;
use crate::error::{Error, Result};

pub use audience::Watched;
pub use audit::{Change, Entry, Page, Which};
pub use backup::{Rows, backup, restore};
pub use channels::StoredChannel;
pub use database::Database;
pub use deliveries::{Delivery, Outcome, Tidied};
pub use enrolments::{StoredCertificate, StoredEnrolment};
pub use idempotency::{Call, Claim};
pub use keys::{OldKey, StoredKey};
pub use playback::{StoredPlaybackKey, StoredRevocation};
pub use sessions::StoredSession;
pub use shared::{Heard, Listener};
pub use sign_ins::OidcLogin;
pub use tokens::StoredToken;
pub use topology::{Draft, Published};
pub use users::StoredUser;
pub use webhooks::StoredWebhook;
pub(crate) use webhooks::missing as missing_webhook;

/// An open database. Clones share it.
#[derive(Debug, Clone)]
pub struct Store {
    pool: AnyPool,
    /// Where there may be other instances.
    shared: Option<Arc<Shared>>,
    /// Rings when something is queued for webhooks.
    bell: Arc<Notify>,
}

impl Store {
    /// Opens the database, makes the file if there is none, and brings its tables up to date.
    ///
    /// # Errors
    /// It cannot be opened or written, is no database, or was made by a newer Nearcast.
    pub async fn open(database: &Database) -> Result<Self> {
        let pool = database.connect().await?;
        MIGRATIONS.run(&pool).await.map_err(|source| Error::MigrateStore {
            database: database.to_string(),
            source: Box::new(source),
        })?;
        search::prepare(&pool, matches!(database, Database::Postgres(_))).await?;
        let shared = match database {
            Database::Sqlite(_) => None,
            Database::Postgres(url) => Some(Arc::new(Shared::new(url.clone()))),
        };
        Ok(Self { pool, shared, bell: Arc::default() })
    }

    /// The first version of this process's snapshots. No other start has used it or one of the next 2^28, whichever
    /// instance it was.
    pub async fn first_version(&self) -> Result<u64> {
        let query = sqlx::query_scalar::<_, i64>(
            "UPDATE counters SET value = ((value >> 28) + 1) << 28 WHERE name = 'snapshot_version' RETURNING value",
        );
        let value = query.fetch_one(&self.pool).await.map_err(failed("reserve snapshot versions"))?;
        Ok(value.cast_unsigned())
    }

    /// Finishes what is being written and closes the database.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

/// Names the attempt that failed.
fn failed(attempt: &'static str) -> impl FnOnce(sqlx::Error) -> Error {
    move |source| Error::Store { attempt, source }
}

/// A value that this program did not write like that.
fn damaged(what: &'static str, value: &str) -> Error {
    Error::DamagedStore { what, value: value.chars().take(80).collect() }
}

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("./migrations");

#[cfg(test)]
mod tests;
