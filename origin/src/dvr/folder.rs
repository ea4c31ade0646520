//! The folder of one process in the DVR directory, which goes with it; what dead processes left goes first.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// A folder that nobody else deletes while this exists.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    /// Locked; the kernel lets go of it however the process ends.
    _lock: File,
}

impl Folder {
    /// Deletes the folders of processes that are no more and makes one.
    pub(super) fn create(directory: &Path) -> io::Result<Self> {
        fs::create_dir_all(directory)?;
        // One process at a time, or one could take another's new folder for an abandoned one.
        let turn = File::options().create(true).append(true).open(directory.join("lock"))?;
        turn.lock()?;
        for entry in fs::read_dir(directory)?.flatten() {
            let (lock, folder) = (entry.path(), entry.path().with_extension(""));
            if lock.extension().is_some_and(|extension| extension == LOCK)
                && File::open(&lock).is_ok_and(|file| file.try_lock().is_ok())
            {
                remove(&folder)?;
                fs::remove_file(lock)?;
            }
        }
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let path = directory.join(format!("{}-{}", since.as_nanos(), std::process::id()));
        let lock = File::create(path.with_extension(LOCK))?;
        lock.lock()?;
        fs::create_dir(&path)?;
        Ok(Self { path, _lock: lock })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What stays is deleted at the next start.
        let _later = remove(&self.path).and_then(|()| fs::remove_file(self.path.with_extension(LOCK)));
    }
}

/// Deletes a folder with all that is in it; one that is not there is fine.
pub(super) fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

const LOCK: &str = "lock";
