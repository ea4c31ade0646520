//! Where the state is kept: a SQLite file of this process's own, or a PostgreSQL database that several share.

use std::fmt;
use std::fs::{OpenOptions, Permissions};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::any::AnyPoolOptions;
use sqlx::{AnyConnection, AnyPool, Connection, Executor};
use url::Url;

use crate::error::{Error, Result};

/// SQLite or PostgreSQL. What it displays is fit for logs: no password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Database {
    /// A file, which is made if there is none.
    Sqlite(PathBuf),
    /// `postgres://USER:PASSWORD@HOST:PORT/NAME`, with libpq's parameters behind it: `sslmode`, `sslrootcert`, `host` for
    /// a socket.
    Postgres(Url),
}

impl Database {
    /// What `database` in the configuration says; the empty string is `file`.
    ///
    /// # Errors
    /// One line on what is wrong.
    pub fn parse(text: &str, file: PathBuf) -> Result<Self, String> {
        if text.is_empty() {
            return Ok(Self::Sqlite(file));
        }
        let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "postgres" | "postgresql"));
        url.map(Self::Postgres).ok_or_else(|| {
            "`database` is not the URL of a PostgreSQL database: use postgres://USER:PASSWORD@HOST/NAME, or leave it \
             empty for SQLite in `data_dir`"
                .to_owned()
        })
    }

    pub(super) async fn connect(&self) -> Result<AnyPool> {
        sqlx::any::install_default_drivers();
        let (url, options) = match self {
            Self::Sqlite(path) => {
                make(path)?;
                // Never none, so that the file is seen to be in use.
                let options = AnyPoolOptions::new().min_connections(1).max_connections(READERS);
                (sqlite(path), options.after_connect(|connection, _| Box::pin(prepare(connection))))
            }
            Self::Postgres(url) => (url.to_string(), AnyPoolOptions::new().max_connections(CONNECTIONS)),
        };
        let opened = options.acquire_timeout(PATIENCE).connect(&url).await;
        opened.map_err(|source| Error::OpenStore { database: self.to_string(), source })
    }
}

impl Database {
    /// One connection, with which nobody else has SQLite's file open while it writes.
    pub(super) async fn connect_alone(&self) -> Result<AnyConnection> {
        sqlx::any::install_default_drivers();
        let opened = match self {
            Self::Sqlite(path) => {
                make(path)?;
                AnyConnection::connect(&sqlite(path)).await
            }
            Self::Postgres(url) => AnyConnection::connect(url.as_str()).await,
        };
        let failed = |source| Error::OpenStore { database: self.to_string(), source };
        let mut connection = opened.map_err(failed)?;
        if matches!(self, Self::Sqlite(_)) {
            connection.execute("PRAGMA locking_mode = EXCLUSIVE").await.map_err(failed)?;
        }
        Ok(connection)
    }
}

impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => path.display().fmt(f),
            Self::Postgres(url) => {
                let (host, name) = (url.host_str().unwrap_or_default(), url.path());
                let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
                write!(f, "postgres://{host}{port}{name}")
            }
        }
    }
}

/// The file, which only its owner may read: it holds what tokens are signed with. Those beside it take on its mode.
fn make(path: &Path) -> Result<()> {
    let failed = |path: &Path, source| Error::DataDir { path: path.to_owned(), source };
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory).map_err(|source| failed(directory, source))?;
    }
    let made = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path);
    // One of an earlier version was made with another.
    made.and_then(|file| file.set_permissions(Permissions::from_mode(0o600)))
        .map_err(|source| failed(path, source))
}

fn sqlite(path: &Path) -> String {
    let escaped = path.to_string_lossy().replace('%', "%25").replace('?', "%3F").replace('#', "%23");
    format!("sqlite:{escaped}")
}

/// WAL with full sync: an answered change survives a kill and a power cut; they are too few for it to cost.
async fn prepare(connection: &mut AnyConnection) -> Result<(), sqlx::Error> {
    connection.execute("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL").await?;
    Ok(())
}

/// SQLite has one writer at a time; a few readers beside it are plenty here.
const READERS: u32 = 4;
/// PostgreSQL has a hundred for all its clients.
const CONNECTIONS: u32 = 8;
/// How long to wait for a connection, or another writer, such as a backup.
const PATIENCE: Duration = Duration::from_secs(5);
