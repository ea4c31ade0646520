//! The last snapshot on disk: whole or not there, never half.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nearcast_api::snapshot::Snapshot;

use crate::log::Chain;

/// Where the snapshot is kept.
#[derive(Debug)]
pub(super) struct Store {
    /// Empty for nowhere.
    path: PathBuf,
    complained: bool,
}

impl Store {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, complained: false }
    }

    /// What is on disk, or `None` when there is nothing usable; the latter is said.
    pub(super) fn load(&self) -> Option<Snapshot> {
        if self.path.as_os_str().is_empty() {
            return None;
        }
        let path = self.path.display();
        match fs::read(&self.path) {
            Ok(bytes) => match serde_json::from_slice::<Snapshot>(&bytes) {
                Ok(snapshot) => {
                    tracing::info!(version = snapshot.version, "starting from the snapshot in {path}");
                    Some(snapshot)
                }
                Err(error) => {
                    tracing::warn!(
                        "the snapshot in {path} is damaged and not used; a new one will replace it: {error}"
                    );
                    None
                }
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                tracing::warn!("cannot read the snapshot in {path}, check its permissions: {error}");
                None
            }
        }
    }

    /// Writes the snapshot. A failure is said once until it works again, and the node goes on in memory.
    pub(super) async fn save(mut self, snapshot: Arc<Snapshot>) -> Self {
        if self.path.as_os_str().is_empty() {
            return self;
        }
        let path = self.path.clone();
        let written = tokio::task::spawn_blocking(move || write(&path, &snapshot)).await;
        match written.unwrap_or_else(|panicked| Err(io::Error::other(panicked))) {
            Ok(()) => self.complained = false,
            Err(error) if !std::mem::replace(&mut self.complained, true) => tracing::warn!(
                "cannot save the snapshot to {}, the node goes on but would start without it: {}; \
                 free space there or change `control.snapshot`",
                self.path.display(),
                Chain(&error)
            ),
            Err(_) => {}
        }
        self
    }
}

/// Beside it, to the disk, then in its place: a power cut leaves the old or the new one (rename(2)).
fn write(path: &Path, snapshot: &Snapshot) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(directory)?;
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    let write = || {
        // It holds the hashes of stream keys, and people choose weak ones.
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
        file.write_all(&serde_json::to_vec(snapshot)?)?;
        file.sync_all()?;
        fs::rename(&beside, path)?;
        File::open(directory)?.sync_all()
    };
    write().inspect_err(|_| {
        // A full disk is not helped by half a file.
        let _may_not_exist = fs::remove_file(&beside);
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn snapshot(version: u64) -> Arc<Snapshot> {
        Arc::new(Snapshot { version, zone: "nearcast.test".into(), ..Snapshot::default() })
    }

    #[tokio::test]
    async fn what_is_saved_is_there_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("made/on/demand/snapshot.json");
        let store = Store::new(path.clone());
        assert_eq!(store.load(), None);
        store.save(snapshot(3)).await.save(snapshot(4)).await;
        assert_eq!(Store::new(path.clone()).load(), Some((*snapshot(4)).clone()));
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[tokio::test]
    async fn a_damaged_file_is_as_good_as_none_and_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("snapshot.json");
        fs::write(&path, b"{\"version\": 4, \"zone\": \"near").unwrap();
        let store = Store::new(path.clone());
        assert_eq!(store.load(), None);
        store.save(snapshot(5)).await;
        assert_eq!(Store::new(path).load().unwrap().version, 5);
    }

    #[tokio::test]
    async fn a_disk_that_is_full_stops_nothing_and_is_said_once() {
        // Every write to /dev/full says "no space left on device" (full(4)).
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("snapshot.json");
        std::os::unix::fs::symlink("/dev/full", dir.path().join("snapshot.json.new")).unwrap();
        let error = write(&path, &snapshot(1)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);

        let directory_in_the_way = Store::new(dir.path().to_owned());
        let store = directory_in_the_way.save(snapshot(1)).await;
        assert!(store.complained);
        assert!(store.save(snapshot(2)).await.complained);
    }
}
