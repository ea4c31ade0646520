//! What outlives the process: channels, stream keys, nodes and the snapshot's version, in SQLite.

mod channels;
mod events;
mod keys;
mod nodes;
mod playback;
mod purges;

use std::fs::Permissions;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};

use crate::error::{Error, Result};

pub use channels::StoredChannel;
pub use keys::StoredKey;
pub use playback::{StoredPlaybackKey, StoredRevocation};

/// An open database. Clones share it.
#[derive(Debug, Clone)]
pub struct Store {
    pool: SqlitePool,
    path: PathBuf,
}

impl Store {
    /// Opens the database, makes it if there is none, and brings its tables up to date.
    ///
    /// # Errors
    /// The file cannot be opened or written, is no database, or was made by a newer Nearcast.
    pub async fn open(path: &Path) -> Result<Self> {
        if let Some(directory) = path.parent() {
            std::fs::create_dir_all(directory)
                .map_err(|source| Error::DataDir { path: directory.to_owned(), source })?;
        }
        // It holds what tokens are signed with; the files beside it take on its mode.
        let mut made = std::fs::OpenOptions::new();
        made.write(true).create(true).truncate(false).mode(0o600);
        made.open(path)
            // One of an earlier version was made with another.
            .and_then(|file| file.set_permissions(Permissions::from_mode(0o600)))
            .map_err(|source| Error::DataDir { path: path.to_owned(), source })?;
        // WAL with full sync: an answered change survives a kill and a power cut; they are too few for it to cost.
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY)
            .foreign_keys(true);
        let pool = SqlitePoolOptions::new().max_connections(CONNECTIONS).acquire_timeout(BUSY);
        let opened = pool.connect_with(options).await;
        let pool = opened.map_err(|source| Error::OpenStore { path: path.to_owned(), source })?;
        MIGRATIONS
            .run(&pool)
            .await
            .map_err(|source| Error::MigrateStore { path: path.to_owned(), source: Box::new(source) })?;
        Ok(Self { pool, path: path.to_owned() })
    }

    /// Where the database is.
    pub fn path(&self) -> &Path {
        &self.path
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

    /// Finishes what is being written and closes the file.
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

/// SQLite has one writer at a time; a few readers beside it are plenty here.
const CONNECTIONS: u32 = 4;
/// How long to wait for another writer, such as a backup.
const BUSY: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests;
