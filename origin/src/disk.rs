//! Room on a disk: how much of it we use, and whether there is space for more.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// The bounds that one directory's contents keep.
#[derive(Debug)]
pub(crate) struct Room {
    directory: PathBuf,
    max_bytes: u64,
    min_free_bytes: u64,
    used: AtomicU64,
    full: AtomicBool,
}

/// Whether something fits, and whether that is news.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fit {
    Yes,
    /// It does again.
    Again,
    No,
    /// It does not any more.
    NoMore,
}

impl Room {
    /// For a directory that holds `used` bytes and may hold `max_bytes` (0: any number), on a file system on which
    /// `min_free_bytes` stay free.
    pub(crate) fn new(directory: PathBuf, max_bytes: u64, min_free_bytes: u64, used: u64) -> Self {
        Self {
            directory,
            max_bytes,
            min_free_bytes,
            used: AtomicU64::new(used),
            full: AtomicBool::new(false),
        }
    }

    /// Whether `bytes` more fit. Asks the file system: for threads that may block.
    pub(crate) fn fits(&self, bytes: u64) -> io::Result<Fit> {
        let used = self.used.load(Ordering::Relaxed).saturating_add(bytes);
        let within = self.max_bytes == 0 || used <= self.max_bytes;
        let fits = within && free(&self.directory)? >= self.min_free_bytes.saturating_add(bytes);
        let was_full = self.full.swap(!fits, Ordering::Relaxed);
        Ok(match (fits, was_full) {
            (true, false) => Fit::Yes,
            (true, true) => Fit::Again,
            (false, true) => Fit::No,
            (false, false) => Fit::NoMore,
        })
    }

    /// So much more is used, or less.
    pub(crate) fn add(&self, bytes: i64) {
        if let Ok(more) = u64::try_from(bytes) {
            self.used.fetch_add(more, Ordering::Relaxed);
        } else {
            let less = bytes.unsigned_abs();
            let less = |used: u64| Some(used.saturating_sub(less));
            let _always = self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        }
    }

    /// Bytes in the directory.
    pub(crate) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }
}

impl Fit {
    pub(crate) fn is_yes(self) -> bool {
        matches!(self, Self::Yes | Self::Again)
    }
}

/// Bytes that we may still write where `directory` is.
fn free(directory: &Path) -> io::Result<u64> {
    let status = rustix::fs::statvfs(directory)?;
    Ok(status.f_bavail.saturating_mul(status.f_frsize))
}

/// Bytes of all files below `directory`.
pub(crate) fn usage(directory: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(directory) else { return 0 };
    let size = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => usage(&entry.path()),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    };
    entries.flatten().map(size).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_news_once_and_so_is_room_again() {
        let folder = tempfile::tempdir().unwrap();
        let room = Room::new(folder.path().to_owned(), 1000, 0, 400);
        assert_eq!(room.fits(600).unwrap(), Fit::Yes);
        room.add(600);
        assert_eq!((room.fits(1).unwrap(), room.fits(1).unwrap()), (Fit::NoMore, Fit::No));
        room.add(-700);
        assert_eq!((room.used(), room.fits(1).unwrap(), room.fits(1).unwrap()), (300, Fit::Again, Fit::Yes));
        let picky = Room::new(folder.path().to_owned(), 0, u64::MAX, 0);
        assert_eq!(picky.fits(0).unwrap(), Fit::NoMore);
        assert!(Room::new("/no/such/directory".into(), 0, 0, 0).fits(1).is_err());
    }

    #[test]
    fn all_files_below_count() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("a")).unwrap();
        std::fs::write(folder.path().join("a/b"), [0; 10]).unwrap();
        std::fs::write(folder.path().join("c"), [0; 5]).unwrap();
        assert_eq!(usage(folder.path()), 15);
    }
}
