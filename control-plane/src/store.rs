//! What outlives the process: channels, stream keys, nodes and the snapshot's version, in SQLite or PostgreSQL.

mod audit;
mod channels;
mod database;
mod events;
mod keys;
mod nodes;
mod playback;
mod purges;
mod tokens;

use std::sync::{Arc, Mutex};

use sqlx::{AnyConnection, AnyPool};

use crate::error::{Error, Result};

pub use audit::{Change, Entry, Page, Which};
pub use channels::StoredChannel;
pub use database::Database;
pub use keys::StoredKey;
pub use playback::{StoredPlaybackKey, StoredRevocation};
pub use tokens::StoredToken;

/// An open database. Clones share it.
#[derive(Debug, Clone)]
pub struct Store {
    pool: AnyPool,
    /// Tells other processes that this one is here.
    _reserved: Arc<Option<Mutex<AnyConnection>>>,
}

impl Store {
    /// Opens the database, makes the file if there is none, and brings its tables up to date.
    ///
    /// # Errors
    /// It cannot be opened or written, is no database, or was made by a newer Nearcast.
    pub async fn open(database: &Database) -> Result<Self> {
        let pool = database.connect().await?;
        let _reserved = Arc::new(database.reserve().await?.map(Mutex::new));
        MIGRATIONS.run(&pool).await.map_err(|source| Error::MigrateStore {
            database: database.to_string(),
            source: Box::new(source),
        })?;
        Ok(Self { pool, _reserved })
    }

    /// No snapshot above this version was ever handed out.
    pub async fn version_ceiling(&self) -> Result<u64> {
        let query =
            sqlx::query_scalar::<_, i64>("SELECT value FROM counters WHERE name = 'snapshot_version'");
        let value = query.fetch_one(&self.pool).await.map_err(failed("read the snapshot's version"))?;
        Ok(value.cast_unsigned())
    }

    /// Promises that no version above `ceiling` will be handed out before this is called again.
    pub async fn raise_version_ceiling(&self, ceiling: u64) -> Result<()> {
        sqlx::query("UPDATE counters SET value = $1 WHERE name = 'snapshot_version' AND value < $1")
            .bind(ceiling.cast_signed())
            .execute(&self.pool)
            .await
            .map_err(failed("reserve snapshot versions"))?;
        Ok(())
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
