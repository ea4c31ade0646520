use std::sync::Mutex;
use std::time::Duration;

use nearcast_service::metrics::Registry;
use tokio::sync::oneshot;

use super::*;

fn open(directory: &Path, config: Config, drain: &Drain) -> Dvr {
    let config = Config { directory: directory.to_owned(), min_free_bytes: 0, ..config };
    Dvr::open(&config, Path::new("unused"), Metrics::register(&Registry::new()), drain)
}

async fn write(shelf: &Shelf, msn: u64, parts: &[&'static [u8]]) -> bool {
    let (told, done) = oneshot::channel();
    let parts = parts.iter().copied().map(Bytes::from_static).collect();
    shelf.write("source", msn, parts, move |kept| told.send(kept).unwrap());
    done.await.unwrap()
}

/// What is on disk below `folder`.
fn files(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| if entry.path().is_dir() { files(&entry.path()) } else { 1 }).sum()
}

#[tokio::test]
async fn pieces_of_what_was_written_are_read_until_it_is_deleted() {
    let (folder, drain) = (tempfile::tempdir().unwrap(), Drain::new());
    let dvr = open(folder.path(), Config::default(), &drain);
    let shelf = dvr.shelf("b1").unwrap();
    assert!(write(&shelf, 7, &[b"moof", b"mdat"]).await);
    assert_eq!(shelf.extent("source", 7, 4, 4).read().await.unwrap(), &b"mdat"[..]);
    assert_eq!(shelf.extent("source", 7, 0, 8).read().await.unwrap(), &b"moofmdat"[..]);
    assert!(shelf.extent("source", 7, 4, 5).read().await.is_err());

    shelf.delete("source", 7);
    assert!(write(&shelf, 8, &[b"next"]).await);
    let gone = shelf.extent("source", 7, 0, 8).read().await.unwrap_err();
    assert_eq!(gone.kind(), io::ErrorKind::NotFound);

    let other = dvr.shelf("b2").unwrap();
    let last = shelf.extent("source", 8, 0, 4);
    drop(shelf);
    assert!(write(&other, 0, &[b"x"]).await);
    assert!(last.read().await.is_err(), "a broadcast's files go with it");
}

#[tokio::test]
async fn a_full_disk_keeps_nothing_more_until_there_is_room() {
    let (folder, drain) = (tempfile::tempdir().unwrap(), Drain::new());
    let dvr = open(folder.path(), Config { max_bytes: 10, ..Config::default() }, &drain);
    let shelf = dvr.shelf("b").unwrap();
    assert!(write(&shelf, 0, &[b"12345678"]).await);
    assert!(!write(&shelf, 1, &[b"123"]).await);
    shelf.delete("source", 0);
    assert!(write(&shelf, 2, &[b"123"]).await);
}

#[tokio::test]
async fn too_much_at_once_is_refused_and_not_kept_in_memory() {
    let (folder, drain) = (tempfile::tempdir().unwrap(), Drain::new());
    let dvr = open(folder.path(), Config::default(), &drain);
    let shelf = dvr.shelf("b").unwrap();
    let refused = Arc::new(Mutex::new(0));
    // This test's thread does not yield, so the queue's task writes none of it.
    for msn in 0..10 {
        let refused = Arc::clone(&refused);
        let parts = vec![Bytes::from_static(&[0; 10 << 20])];
        shelf.write("source", msn, parts, move |kept| *refused.lock().unwrap() += u32::from(!kept));
    }
    assert_eq!(*refused.lock().unwrap(), 4, "six of 10 MiB are waiting");
}

#[tokio::test]
async fn what_a_dead_process_left_goes_and_what_a_living_one_has_stays() {
    let (folder, drain) = (tempfile::tempdir().unwrap(), Drain::new());
    let living = open(folder.path(), Config::default(), &drain);
    let shelf = living.shelf("b").unwrap();
    assert!(write(&shelf, 0, &[b"living"]).await);
    // As a process that was killed leaves it: the lock is nobody's.
    std::fs::create_dir_all(folder.path().join("1-1/b/source")).unwrap();
    std::fs::write(folder.path().join("1-1/b/source/0.m4s"), b"dead").unwrap();
    std::fs::write(folder.path().join("1-1.lock"), b"").unwrap();
    std::fs::write(folder.path().join("somebody-elses"), b"file").unwrap();

    let second = open(folder.path(), Config::default(), &drain);
    assert!(!folder.path().join("1-1").exists() && !folder.path().join("1-1.lock").exists());
    assert_eq!(shelf.extent("source", 0, 0, 6).read().await.unwrap(), &b"living"[..]);

    drain.begin();
    drain.wait(Duration::from_secs(5)).await.unwrap();
    drop((living, shelf, second));
    // The lock that all take turns with, and what is not ours.
    assert_eq!(files(folder.path()), 2);
}

#[tokio::test]
async fn without_a_usable_directory_there_is_no_shelf() {
    let (folder, drain) = (tempfile::tempdir().unwrap(), Drain::new());
    let file = folder.path().join("file");
    std::fs::write(&file, b"").unwrap();
    assert!(open(&file, Config::default(), &drain).shelf("b").is_none());
    assert!(open(folder.path(), Config { enabled: false, ..Config::default() }, &drain).shelf("b").is_none());
}
