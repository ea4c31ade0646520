//! `backup` and `restore`: the only commands that work on the configured database, not on a running control plane.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, BufReader, BufWriter, Seek, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;
use nearcast_service::config;
use nearcast_service::daemon::Config as _;
use nearcast_service::log::Chain;

use crate::store::{self, Database, Rows};
use crate::{Config, keys};

/// What to do with the database.
#[derive(Debug)]
pub(super) enum Work {
    Backup(Backup),
    Restore(Restore),
}

#[derive(Debug, Args)]
pub(super) struct Backup {
    /// Where it goes; `-` for standard output.
    file: PathBuf,
    /// The control plane's configuration, which says where its database is.
    #[arg(long, short)]
    config: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct Restore {
    /// What `backup` has written, of SQLite or PostgreSQL; `-` for standard input.
    file: PathBuf,
    /// The configuration of the control plane to be, which says where its database is.
    #[arg(long, short)]
    config: Option<PathBuf>,
    /// Lose what is in the database.
    #[arg(long)]
    replace: bool,
}

impl Work {
    /// What to print, or one line on what went wrong.
    pub(super) fn run(self) -> Result<String, String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| format!("cannot start: {error}"))?;
        match self {
            Self::Backup(Backup { file, config }) => {
                let database = database(config.as_deref())?;
                if file.as_os_str() == "-" {
                    let mut out = BufWriter::new(io::stdout().lock());
                    let rows = runtime.block_on(store::backup(&database, &mut out, now()));
                    // Nothing but the backup goes there.
                    return rows.map(|_| String::new()).map_err(|error| Chain(&error).to_string());
                }
                let rows = written(&file, |out| {
                    let rows = runtime.block_on(store::backup(&database, out, now()));
                    rows.map_err(|error| Chain(&error).to_string())
                })?;
                Ok(format!("{}\n{SECRET}\n", counted(&rows, &format!("in {}", file.display()))))
            }
            Self::Restore(Restore { file, config, replace }) => {
                let database = database(config.as_deref())?;
                let file = opened(&file)?;
                let rows =
                    runtime.block_on(store::restore(&database, &mut BufReader::new(file), replace, now()));
                let rows = rows.map_err(|error| Chain(&error).to_string())?;
                Ok(counted(&rows, &format!("restored to {database}")) + "\n")
            }
        }
    }
}

/// As the control plane itself finds it.
fn database(file: Option<&Path>) -> Result<Database, String> {
    let text = |value: OsString| value.into_string().ok();
    let env = std::env::vars_os().filter_map(|(name, value)| Some((text(name)?, text(value)?)));
    let config: Config = config::load(file, env).map_err(|error| Chain(&error).to_string())?;
    config.check()?;
    config.database()
}

/// Writes beside the file and takes its place when all is there: an older backup is not lost to one that fails.
fn written<T>(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> Result<T, String>,
) -> Result<T, String> {
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let new = Path::new(&new);
    let failed = |error: io::Error| format!("cannot write {}: {error}", new.display());
    let written = || {
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(new);
        let file = file.map_err(failed)?;
        // One that was left behind may have been made with another.
        file.set_permissions(Permissions::from_mode(0o600)).map_err(failed)?;
        let mut out = BufWriter::new(file);
        let done = write(&mut out)?;
        out.flush().and_then(|()| out.get_ref().sync_all()).map_err(failed)?;
        fs::rename(new, path).map_err(|error| format!("cannot write {}: {error}", path.display()))?;
        Ok(done)
    };
    let written = written();
    if written.is_err() {
        // What is missing cannot be removed, and what cannot be removed is overwritten next time.
        let _left = fs::remove_file(new);
    }
    written
}

/// The file, which is read twice; what comes from standard input is put into one without a name.
fn opened(path: &Path) -> Result<File, String> {
    if path.as_os_str() != "-" {
        return File::open(path).map_err(|error| format!("cannot read {}: {error}", path.display()));
    }
    let kept = std::env::temp_dir().join(format!("nearcast-restore-{}", keys::random_id()));
    let spooled = || {
        let mut file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&kept)?;
        fs::remove_file(&kept)?;
        io::copy(&mut io::stdin().lock(), &mut file)?;
        file.rewind()?;
        Ok(file)
    };
    spooled().map_err(|error: io::Error| format!("cannot keep standard input in {}: {error}", kept.display()))
}

fn counted(rows: &Rows, done: &str) -> String {
    let told = rows.iter().filter(|(_, rows)| *rows > 0).map(|(table, rows)| format!("{rows} {table}"));
    format!("{}: {done}", told.collect::<Vec<_>>().join(", "))
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

const SECRET: &str = "Keep it secret: it holds the private key of the nodes' authority, what playback tokens and webhooks are signed with, \
     and the hashes of keys and tokens.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backup_that_fails_leaves_the_older_one() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("backup");
        written(&path, |out| out.write_all(b"first").map_err(|error| error.to_string())).unwrap();
        let failed = written(&path, |out| {
            out.write_all(b"second").unwrap();
            Err::<(), _>("the database went away".to_owned())
        });
        assert_eq!(failed.unwrap_err(), "the database went away");
        assert_eq!(fs::read(&path).unwrap(), b"first");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }
}
