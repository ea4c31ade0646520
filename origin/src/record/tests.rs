use std::time::SystemTime;

use bytes::Bytes;
use nearcast_service::metrics::Registry;

use super::*;

fn recorder(directory: &Path, config: Config) -> Arc<Inner> {
    let metrics = Metrics::register(&Registry::new());
    let bounds = Bounds { max_bytes: config.max_bytes, min_free_bytes: 0 };
    let store = Store::open(&directory.to_string_lossy(), &config.options, bounds, metrics.clone()).unwrap();
    Arc::new(Inner {
        config,
        node: "origin-1".into(),
        store,
        control: OnceLock::new(),
        metrics,
        drain: Drain::new(),
    })
}

async fn put(recorder: &Inner, name: &str, text: &'static str) {
    recorder.store.put(name, vec![Bytes::from_static(text.as_bytes())]).await.unwrap();
}

async fn names(recorder: &Inner) -> Vec<String> {
    let mut names: Vec<_> =
        recorder.store.list("").await.unwrap().into_iter().map(|(name, _)| name).collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_directory_is_a_store_and_need_not_exist_before() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = recorder(&folder.path().join("not/there"), Config::default());
    assert!(names(&recorder).await.is_empty());
    let pieces = vec![Bytes::from_static(b"moof"), Bytes::from_static(b"mdat")];
    recorder.store.put("demo/b1/source/0.m4s", pieces).await.unwrap();
    let file = std::fs::read(folder.path().join("not/there/demo/b1/source/0.m4s")).unwrap();
    assert_eq!(file, b"moofmdat");
    assert_eq!(recorder.store.text("demo/b1/index.m3u8").await.unwrap(), None);
    recorder.store.delete_all("demo/b1").await.unwrap();
    assert!(names(&recorder).await.is_empty());
    assert!(!folder.path().join("not/there/demo/b1").exists(), "empty folders go too");
    assert!(recorder.store.delete("demo/b1/source/0.m4s", 8).await.is_ok(), "twice is fine");
}

#[tokio::test]
async fn a_full_directory_takes_nothing_more_until_something_is_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = recorder(folder.path(), Config { max_bytes: 10, ..Config::default() });
    put(&recorder, "a/1/media.m3u8", "12345678").await;
    // A playlist that is written again takes the place of the old one.
    put(&recorder, "a/1/media.m3u8", "1234").await;
    let refused = recorder.store.put("a/1/0.m4s", vec![Bytes::from_static(b"1234567")]).await;
    assert!(matches!(refused, Err(StoreError::Full)), "{refused:?}");
    assert_eq!(recorder.metrics.full.get(), 1);
    recorder.store.delete_all("a/1").await.unwrap();
    put(&recorder, "a/2/0.m4s", "1234567").await;
    assert_eq!((recorder.metrics.full.get(), recorder.metrics.disk_bytes.get()), (0, 7));
}

#[tokio::test]
async fn what_a_crash_left_open_is_completed_and_what_cannot_be_played_goes() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = recorder(folder.path(), Config::default());
    let growing = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-PLAYLIST-TYPE:EVENT\n#EXTINF:2,\n0.m4s\n";
    for (name, text) in [
        ("_open/origin-1/demo.00a", ""),
        ("demo/00a/index.m3u8", "#EXTM3U\n"),
        ("demo/00a/source/media.m3u8", growing),
        ("demo/00a/source/0.m4s", "media"),
        ("_open/origin-1/demo.00b", ""),
        ("demo/00b/source/init.mp4", "media"),
        // Another's, and one that began after the start.
        ("_open/origin-2/demo.00c", ""),
        ("_open/origin-1/demo.zzz", ""),
    ] {
        put(&recorder, name, text).await;
    }
    let left = recover::left_open(&recorder, SystemTime::now()).await.unwrap();
    assert_eq!(left, [("demo".to_owned(), "00a".to_owned()), ("demo".to_owned(), "00b".to_owned())]);
    for (channel, broadcast) in left {
        recover::complete(&recorder, &channel, &broadcast).await.unwrap();
    }
    let playlist = recorder.store.text("demo/00a/source/media.m3u8").await.unwrap().unwrap();
    assert!(playlist.contains("#EXT-X-PLAYLIST-TYPE:VOD") && playlist.ends_with("#EXT-X-ENDLIST\n"));
    assert_eq!(
        names(&recorder).await,
        [
            "_open/origin-1/demo.zzz",
            "_open/origin-2/demo.00c",
            "demo/00a/index.m3u8",
            "demo/00a/source/0.m4s",
            "demo/00a/source/media.m3u8"
        ]
    );
}

#[tokio::test]
async fn stores_elsewhere_are_known_by_their_url_and_wrong_ones_are_refused() {
    let open = |url: &str, options: &[(&str, &str)]| {
        let options = options.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let config = Config { url: url.into(), options, ..Config::default() };
        let metrics = Metrics::register(&Registry::new());
        let bounds = Bounds { max_bytes: 0, min_free_bytes: 0 };
        Store::open(&config.url, &config.options, bounds, metrics)
            .map(drop)
            .map_err(|error| error.to_string())
    };
    let keys = [("region", "eu-1"), ("access_key_id", "x"), ("secret_access_key", "y")];
    assert_eq!(open("s3://bucket/path", &keys), Ok(()));
    assert_eq!(open("https://dav.example.net/recordings", &[]), Ok(()));
    assert!(open("s3://bucket", &[("colour", "blue")]).is_err());
    assert!(open("ftp://example.net/x", &[]).is_err());
}

#[test]
fn an_interval_that_cannot_work_is_refused() {
    let config = Config { playlist_interval: 0, ..Config::default() };
    assert!(config.check().unwrap_err().contains("record.playlist_interval"));
    assert_eq!(Config::default().check(), Ok(()));
}
