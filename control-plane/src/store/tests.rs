use nearcast_api::node::{Role, Spec};
use nearcast_api::snapshot::{KeyHash, Live};

use super::*;
use crate::fleet::Known;

async fn open(directory: &tempfile::TempDir) -> Store {
    Store::open(&directory.path().join("control.db")).await.unwrap()
}

fn key(id: &str, channel: &str, hash: &str, created_at: u64) -> StoredKey {
    let channel = channel.parse().unwrap();
    StoredKey {
        id: id.into(),
        channel,
        hash: KeyHash(hash.into()),
        backup: false,
        label: "OBS".into(),
        created_at,
    }
}

#[tokio::test]
async fn what_is_written_is_there_after_opening_again() {
    let directory = tempfile::tempdir().unwrap();
    let spec = Spec {
        id: "eu-1".parse().unwrap(),
        role: Role::Edge,
        region: "eu".parse().unwrap(),
        location: None,
        addresses: vec!["127.0.0.1".parse().unwrap()],
        urls: vec!["https://127.0.0.1:8443".into()],
        version: "0.1.0".into(),
    };
    let demo = "demo".parse().unwrap();
    let live = Live {
        origin: "origin-1".parse().unwrap(),
        broadcast: "b1".parse().unwrap(),
        started_at: u64::MAX >> 1,
        taken_over_at: None,
    };
    {
        let store = open(&directory).await;
        store.create_channel(&demo, "Demo \u{1f3ac}", 5).await.unwrap();
        store.rename_channel(&demo, "Demo").await.unwrap();
        store.set_live(&demo, Some(&live)).await.unwrap();
        store.add_key(&key("k1", "demo", "aa", 7)).await.unwrap();
        store.put_node(&spec).await.unwrap();
        store.set_node_drain(&spec.id, true).await.unwrap();
        store.set_node_down(&spec.id, true).await.unwrap();
        store.put_node(&Spec { version: "0.2.0".into(), ..spec.clone() }).await.unwrap();
        store.raise_version_ceiling(1000).await.unwrap();
        store.raise_version_ceiling(900).await.unwrap();
        // Not closed: a process that is killed does not close either.
    }
    let store = open(&directory).await;
    let channel = store.channel(&demo).await.unwrap();
    assert_eq!((channel.title.as_str(), channel.created_at, channel.live), ("Demo", 5, Some(live)));
    assert_eq!(store.keys().await.unwrap(), [key("k1", "demo", "aa", 7)]);
    let spec = Spec { version: "0.2.0".into(), ..spec };
    assert_eq!(store.nodes().await.unwrap(), [Known { spec, drain: true, down: true }]);
    assert_eq!(store.version_ceiling().await.unwrap(), 1000);
}

#[tokio::test]
async fn a_channel_is_made_once_and_goes_with_its_keys() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory).await;
    let (demo, other) = ("demo".parse().unwrap(), "other".parse().unwrap());
    store.create_channel(&demo, "Demo", 1).await.unwrap();
    assert!(matches!(store.create_channel(&demo, "Again", 2).await, Err(Error::ChannelExists(_))));
    store.add_key(&key("k1", "demo", "aa", 1)).await.unwrap();
    store.delete_channel(&demo).await.unwrap();
    assert_eq!(store.keys().await.unwrap(), []);
    assert!(matches!(store.delete_channel(&demo).await, Err(Error::NoChannel(_))));
    assert!(matches!(store.rename_channel(&other, "x").await, Err(Error::NoChannel(_))));
}

#[tokio::test]
async fn a_key_belongs_to_one_channel_and_adding_it_again_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory).await;
    for id in ["demo", "other"] {
        store.create_channel(&id.parse().unwrap(), id, 1).await.unwrap();
    }
    assert_eq!(store.add_key(&key("k1", "demo", "aa", 1)).await.unwrap().id, "k1");
    assert_eq!(store.add_key(&key("k2", "demo", "aa", 2)).await.unwrap().id, "k1");
    assert!(matches!(store.add_key(&key("k3", "other", "aa", 3)).await, Err(Error::KeyTaken)));
    assert!(matches!(store.delete_key(&"other".parse().unwrap(), "k1").await, Err(Error::NoKey { .. })));
    store.delete_key(&"demo".parse().unwrap(), "k1").await.unwrap();
    assert_eq!(store.keys().await.unwrap(), []);
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("control.db");
    std::fs::write(&path, "not a database, and long enough that SQLite looks at its header twice").unwrap();
    let error = Store::open(&path).await.unwrap_err().to_string();
    assert!(error.contains("control.db") && error.contains("move it away"), "{error}");
    assert!(std::fs::read_to_string(&path).unwrap().starts_with("not a database"));
}
