use std::time::{Duration, Instant};

use bytes::Bytes;
use http::HeaderValue;
use nearcast_service::metrics::Registry;
use tokio::sync::oneshot;

use super::*;
use crate::purge::log::Concern;

const PATH: &str = "/live/demo/b1/source/7.m4s";

fn object(byte: u8, length: usize) -> Arc<Object> {
    Arc::new(Object {
        body: Bytes::from(vec![byte; length]),
        content_type: HeaderValue::from_static("video/mp4"),
        produced: Instant::now() - Duration::from_secs(3),
        max_age: Duration::ZERO,
    })
}

fn open(folder: &Path, budget: u64) -> (Disk, Drain) {
    let drain = Drain::new();
    let metrics = metrics::Metrics::register(&Registry::new()).disk;
    (Disk::open(folder, budget, Arc::default(), &drain, metrics).unwrap(), drain)
}

/// Returns once what is there is found, everything that was offered is written, and what had to go is gone.
async fn settle(disk: &Disk) {
    // The first round writes, what has to go for that goes in the second.
    for _ in 0..2 {
        disk.0.index.run_pending_tasks();
        let (tell, told) = oneshot::channel();
        disk.0.queue.push(Work::Tell(tell));
        told.await.unwrap();
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let folders =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir());
    folders.flat_map(|folder| fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path())).collect()
}

#[tokio::test]
async fn a_segment_is_there_again_after_a_restart_with_its_age() {
    let folder = tempfile::tempdir().unwrap();
    let (disk, drain) = open(folder.path(), 1 << 20);
    assert!(disk.read(PATH).await.is_none());
    disk.offer(PATH, &object(7, 5000));
    disk.offer("/live/demo/b1/source/7.1.m4s", &object(1, 10));
    disk.offer("/live/demo/b1/source/init.mp4", &object(2, 10));
    settle(&disk).await;
    assert_eq!(files(folder.path()).len(), 1, "segments only");
    drain.begin();
    drain.wait(Duration::from_secs(5)).await.unwrap();

    let (disk, _drain) = open(folder.path(), 1 << 20);
    settle(&disk).await;
    let read = disk.read(PATH).await.unwrap();
    assert_eq!((&read.body, read.content_type.to_str().unwrap()), (&object(7, 5000).body, "video/mp4"));
    assert!((3..10).contains(&read.age(Instant::now())), "{}", read.age(Instant::now()));
}

#[tokio::test]
async fn a_torn_file_is_a_miss_and_does_not_stay() {
    let folder = tempfile::tempdir().unwrap();
    let (disk, _drain) = open(folder.path(), 1 << 20);
    disk.offer(PATH, &object(7, 5000));
    settle(&disk).await;
    let file = files(folder.path()).remove(0);
    let mut bytes = fs::read(&file).unwrap();
    bytes[1000] ^= 1;
    fs::write(&file, &bytes).unwrap();
    assert!(disk.read(PATH).await.is_none());
    settle(&disk).await;
    assert!(!file.exists());
    assert_eq!(disk.0.metrics.broken.get(), 1);

    // Cut short, of another format, and half written: found at the start.
    let (alien, half) = (folder.path().join("ab/cd"), file.with_extension("new"));
    fs::create_dir_all(alien.parent().unwrap()).unwrap();
    for (file, bytes) in [(&file, &bytes[..3000]), (&alien, b"something else"), (&half, &bytes[..])] {
        fs::write(file, bytes).unwrap();
    }
    let (disk, _drain) = open(folder.path(), 1 << 20);
    settle(&disk).await;
    assert!(files(folder.path()).is_empty());
    assert!(disk.read(PATH).await.is_none());
}

#[tokio::test]
async fn the_oldest_leave_when_the_budget_is_spent() {
    let folder = tempfile::tempdir().unwrap();
    let (disk, _drain) = open(folder.path(), 100_000);
    let path = |number| format!("/live/demo/b1/source/{number}.m4s");
    for number in 0..30 {
        disk.offer(&path(number), &object(1, 10_000));
        settle(&disk).await;
    }
    let on_disk: u64 = files(folder.path()).iter().map(|file| fs::metadata(file).unwrap().len()).sum();
    assert!(on_disk <= 100_000, "{on_disk}");
    assert!(disk.read(&path(29)).await.is_some() && disk.read(&path(0)).await.is_none());
}

#[tokio::test]
async fn what_is_purged_is_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let (disk, _drain) = open(folder.path(), 1 << 20);
    for channel in ["demo", "other"] {
        disk.offer(&format!("/live/{channel}/b1/source/7.m4s"), &object(1, 10));
    }
    settle(&disk).await;
    assert_eq!(disk.purge(|path| path.starts_with("/live/demo/")), 1);
    settle(&disk).await;
    assert_eq!(files(folder.path()).len(), 1);
    assert!(disk.read("/live/other/b1/source/7.m4s").await.is_some());
}

#[tokio::test]
async fn what_is_purged_before_it_is_written_is_not_written_after() {
    let folder = tempfile::tempdir().unwrap();
    let (disk, _drain) = open(folder.path(), 1 << 20);
    // Nothing runs on this thread before the first await.
    disk.offer(PATH, &object(1, 10));
    assert_eq!(disk.purge(|path| path == PATH), 1);
    settle(&disk).await;
    assert_eq!(files(folder.path()), Vec::<PathBuf>::new());
    // What comes after the purge is kept.
    disk.offer(PATH, &object(1, 10));
    settle(&disk).await;
    assert!(disk.read(PATH).await.is_some());
    assert_eq!(disk.waiting().bytes, 0);
}

#[tokio::test]
async fn what_was_purged_while_the_process_was_away_is_not_found() {
    let folder = tempfile::tempdir().unwrap();
    let (disk, drain) = open(folder.path(), 1 << 20);
    disk.offer(PATH, &object(1, 10));
    settle(&disk).await;
    disk.set_purged(7);
    drain.begin();
    drain.wait(Duration::from_secs(5)).await.unwrap();

    let (purges, drain) = (Arc::<Log>::default(), Drain::new());
    purges.push(Concern { names: vec![PATH.to_owned()], ..Concern::default() });
    let metrics = metrics::Metrics::register(&Registry::new()).disk;
    let disk = Disk::open(folder.path(), 1 << 20, purges, &drain, metrics).unwrap();
    assert_eq!(disk.purged(), Some(7));
    settle(&disk).await;
    assert!(disk.read(PATH).await.is_none());
}

#[tokio::test]
async fn what_is_purged_at_the_end_does_not_come_back_with_the_next_process() {
    let folder = tempfile::tempdir().unwrap();
    let (disk, drain) = open(folder.path(), 1 << 20);
    for number in 0..500 {
        disk.offer(&format!("/live/demo/b1/source/{number}.m4s"), &object(1, 10));
    }
    settle(&disk).await;
    assert_eq!(disk.purge(|_| true), 500);
    drain.begin();
    drain.wait(Duration::from_secs(5)).await.unwrap();
    assert_eq!(files(folder.path()), Vec::<PathBuf>::new());
}

#[test]
fn a_folder_that_cannot_be_written_is_an_error_at_once() {
    let drain = Drain::new();
    let metrics = metrics::Metrics::register(&Registry::new()).disk;
    assert!(Disk::open(Path::new("/proc/nearcast"), 1, Arc::default(), &drain, metrics).is_err());
}
