use std::time::Duration;

use nearcast_service::metrics::Registry;
use proptest::prelude::*;

use super::*;

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
    (Disk::open(folder, budget, &drain, metrics).unwrap(), drain)
}

/// Returns once everything that was offered is written, and what had to go is gone.
async fn settle(disk: &Disk) {
    disk.0.index.run_pending_tasks();
    while disk.0.work.capacity() < QUEUE || disk.0.queued.load(Ordering::Relaxed) > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let folders = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
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
    let read = loop {
        // It is found by and by.
        if let Some(read) = disk.read(PATH).await {
            break read;
        }
        tokio::task::yield_now().await;
    };
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
    while file.exists() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(disk.0.metrics.broken.get(), 1);

    // Cut short, of another format, and half written: found at the start.
    let (alien, half) = (folder.path().join("ab/cd"), file.with_extension("new"));
    fs::create_dir_all(alien.parent().unwrap()).unwrap();
    for (file, bytes) in [(&file, &bytes[..3000]), (&alien, b"something else"), (&half, &bytes[..])] {
        fs::write(file, bytes).unwrap();
    }
    let (disk, _drain) = open(folder.path(), 1 << 20);
    while !files(folder.path()).is_empty() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
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
    settle(&disk).await;
    let on_disk = || files(folder.path()).iter().map(|file| fs::metadata(file).unwrap().len()).sum::<u64>();
    while on_disk() > 100_000 {
        disk.0.index.run_pending_tasks();
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
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
    while files(folder.path()).len() > 1 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(disk.read("/live/other/b1/source/7.m4s").await.is_some());
}

#[test]
fn a_folder_that_cannot_be_written_is_an_error_at_once() {
    let drain = Drain::new();
    let metrics = metrics::Metrics::register(&Registry::new()).disk;
    assert!(Disk::open(Path::new("/proc/nearcast"), 1, &drain, metrics).is_err());
}

proptest! {
    #[test]
    fn fuzz_survives_damage(edits in prop::collection::vec((0..400usize, any::<u8>()), 0..6), cut in 0..400usize) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        write(&file, PATH, &object(7, 100)).unwrap();
        let mut bytes = fs::read(&file).unwrap();
        for (at, byte) in edits {
            let at = at % bytes.len();
            bytes[at] = byte;
        }
        bytes.truncate(bytes.len().saturating_sub(cut % 50));
        fuzz(&bytes);
    }
}
