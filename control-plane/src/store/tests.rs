use nearcast_api::ingest::{Event, Events};
use nearcast_api::node::{Role, Spec, Status};
use nearcast_api::playback::{Algorithm, Key, Revocation};
use nearcast_api::purge::{Order, Purge, Target};
use nearcast_api::snapshot::{KeyHash, Live};
use nearcast_api::{ChannelId, NodeId};

use super::*;
use crate::access::{Actor, Grant, Scope};
use crate::fleet::Known;
use crate::testing::postgres;
use crate::webhooks::watch::Told;

/// A database for one test.
struct Place {
    database: Database,
    _directory: tempfile::TempDir,
}

impl Place {
    fn file() -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self { database: Database::Sqlite(directory.path().join("a 100%? #1.db")), _directory: directory }
    }

    async fn server() -> Self {
        Self {
            database: Database::Postgres(postgres::database().await),
            _directory: tempfile::tempdir().unwrap(),
        }
    }

    /// Another one of the same kind.
    async fn another(&self) -> Self {
        match self.database {
            Database::Sqlite(_) => Self::file(),
            Database::Postgres(_) => Self::server().await,
        }
    }

    async fn open(&self) -> Store {
        Store::open(&self.database).await.unwrap()
    }
}

/// Makes a change, unless it fails.
macro_rules! made {
    ($store:expr, $($call:tt)*) => {{
        let mut change = $store.change(&Actor::own(), "test", "all", 1).await.unwrap();
        let made = change.$($call)*.await;
        if made.is_ok() {
            change.commit().await.unwrap();
        }
        made
    }};
}

/// Each of these on SQLite and on PostgreSQL.
macro_rules! on_both {
    ($($test:ident)*) => {
        mod on_sqlite {
            $(#[tokio::test] async fn $test() { super::$test(super::Place::file()).await; })*
        }
        mod on_postgres {
            $(#[tokio::test] async fn $test() { super::$test(super::Place::server().await).await; })*
        }
    };
}

mod audience;
mod backup;
mod directory;
mod enrolment;
mod people;
mod topology;
mod upgrade;

on_both! {
    what_is_written_is_there_after_opening_again
    a_channel_is_made_once_and_goes_with_its_keys
    a_key_belongs_to_one_channel_and_adding_it_again_changes_nothing
    an_event_is_remembered_once_however_often_it_is_told
    playback_keys_revocations_and_purges_are_kept
    a_change_and_its_line_in_the_log_are_there_together_or_not_at_all
    the_log_is_read_in_pages_and_by_what_is_looked_for
    a_token_is_kept_with_what_it_allows
}

mod webhooks;

fn key(id: &str, channel: &str, hash: &str, created_at: u64) -> StoredKey {
    let channel = channel.parse().unwrap();
    StoredKey {
        id: id.into(),
        channel,
        hash: KeyHash(hash.into()),
        backup: false,
        label: "OBS".into(),
        created_at,
        disabled: false,
        old: None,
    }
}

async fn what_is_written_is_there_after_opening_again(place: Place) {
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
        let store = place.open().await;
        made!(store, create_channel(&demo, "Demo \u{1f3ac}", 5)).unwrap();
        made!(store, rename_channel(&demo, "Demo")).unwrap();
        store.set_live(&demo, Some(&live), &Told::default()).await.unwrap();
        made!(store, add_key(&key("k1", "demo", "aa", 7))).unwrap();
        store.put_node(&spec, 1).await.unwrap();
        made!(store, set_node_drain(&spec.id, true)).unwrap();
        store.set_node_status(&spec, None, Status::Down, 2).await.unwrap();
        store.put_node(&Spec { version: "0.2.0".into(), ..spec.clone() }, 3).await.unwrap();
        assert_eq!(store.first_version().await.unwrap(), 1 << 28);
        // Not closed: a process that is killed does not close either.
    }
    let store = place.open().await;
    let channel = store.channel(&demo).await.unwrap();
    assert_eq!((channel.title.as_str(), channel.created_at, channel.live), ("Demo", 5, Some(live)));
    assert_eq!(store.keys().await.unwrap(), [key("k1", "demo", "aa", 7)]);
    let spec = Spec { version: "0.2.0".into(), ..spec };
    assert_eq!(store.nodes().await.unwrap(), [Known { spec, drain: true, down: true }]);
    assert_eq!(store.first_version().await.unwrap(), 2 << 28);
}

async fn a_channel_is_made_once_and_goes_with_its_keys(place: Place) {
    let store = place.open().await;
    let (demo, other) = ("demo".parse().unwrap(), "other".parse().unwrap());
    made!(store, create_channel(&demo, "Demo", 1)).unwrap();
    assert!(matches!(made!(store, create_channel(&demo, "Again", 2)), Err(Error::ChannelExists(_))));
    made!(store, add_key(&key("k1", "demo", "aa", 1))).unwrap();
    made!(store, delete_channel(&demo)).unwrap();
    assert_eq!(store.keys().await.unwrap(), []);
    assert!(matches!(made!(store, delete_channel(&demo)), Err(Error::NoChannel(_))));
    assert!(matches!(made!(store, rename_channel(&other, "x")), Err(Error::NoChannel(_))));
}

async fn a_key_belongs_to_one_channel_and_adding_it_again_changes_nothing(place: Place) {
    let store = place.open().await;
    for id in ["demo", "other"] {
        made!(store, create_channel(&id.parse().unwrap(), id, 1)).unwrap();
    }
    assert_eq!(made!(store, add_key(&key("k1", "demo", "aa", 1))).unwrap().0.id, "k1");
    assert_eq!(made!(store, add_key(&key("k2", "demo", "aa", 2))).unwrap().0.id, "k1");
    assert!(matches!(made!(store, add_key(&key("k3", "other", "aa", 3))), Err(Error::KeyTaken)));
    assert!(matches!(made!(store, delete_key(&"other".parse().unwrap(), "k1")), Err(Error::NoKey { .. })));
    made!(store, delete_key(&"demo".parse().unwrap(), "k1")).unwrap();
    assert_eq!(store.keys().await.unwrap(), []);
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("control.db");
    std::fs::write(&path, "not a database, and long enough that SQLite looks at its header twice").unwrap();
    let error = Store::open(&Database::Sqlite(path.clone())).await.unwrap_err().to_string();
    assert!(error.contains("control.db") && error.contains("moved away"), "{error}");
    assert!(std::fs::read_to_string(&path).unwrap().starts_with("not a database"));
}

async fn an_event_is_remembered_once_however_often_it_is_told(place: Place) {
    let store = place.open().await;
    let (demo, origin) = ("demo".parse().unwrap(), "origin-1".parse().unwrap());
    made!(store, create_channel(&demo, "Demo", 1)).unwrap();
    let event = |seq: u64, channel: &str| {
        let json = serde_json::json!({ "seq": seq, "at": seq, "channel": channel, "kind": "started", "text": "here" });
        serde_json::from_value::<Event>(json).unwrap()
    };
    let told = |seqs: std::ops::Range<u64>| Events {
        epoch: 7,
        events: seqs.map(|seq| event(seq, if seq == 2 { "other" } else { "demo" })).collect(),
    };
    // Two who tell at once, as when an answer was lost.
    let (news, again) = (told(1..4), store.clone());
    let (first, second) = tokio::join!(store.add_events(&origin, &news), again.add_events(&origin, &news));
    first.and(second).unwrap();
    store.add_events(&origin, &told(2..6)).await.unwrap();
    let all = store.events(&demo, None, 10).await.unwrap();
    assert_eq!(all.iter().map(|(_, _, event)| event.seq).collect::<Vec<_>>(), [1, 3, 4, 5]);
    let (third, _, _) = all[1];
    assert_eq!(store.events(&demo, Some(third), 1).await.unwrap(), all[2..3]);
    assert_eq!(store.events(&demo, None, 2).await.unwrap(), all[2..]);
}

async fn playback_keys_revocations_and_purges_are_kept(place: Place) {
    let store = place.open().await;
    let key = |id: &str, signing: Option<&str>, created_at| StoredPlaybackKey {
        id: id.into(),
        key: Key { algorithm: Algorithm::EdDsa, key: "x".into(), channels: Vec::new() },
        signing: signing.map(str::to_owned),
        label: "made here".into(),
        created_at,
    };
    // One with nothing to sign after one with, so that a statement that is kept meets both.
    for key in [key("k1", Some("secret"), 1), key("k2", None, 2), key("k3", Some("secret"), 3)] {
        made!(store, add_playback_key(&key)).unwrap();
    }
    made!(store, delete_playback_key("k1")).unwrap();
    assert!(matches!(made!(store, delete_playback_key("k1")), Err(Error::NoPlaybackKey(_))));
    let revocation = |id: &str, until| StoredRevocation {
        id: id.into(),
        revocation: Revocation { until, subject: Some("bert".into()), ..Revocation::default() },
        created_at: 1,
    };
    for revocation in [revocation("r1", 10), revocation("r2", 20), revocation("r3", 20)] {
        made!(store, add_revocation(&revocation)).unwrap();
    }
    made!(store, delete_revocation("r3")).unwrap();
    let purge = |id| Purge { id, order: Order { target: Target::Tag("news".into()), soft: id % 2 == 0 } };
    for id in 1..=300 {
        // As when two instances order one at the same moment.
        assert_eq!(made!(store, add_purge(id.min(200), purge(id).order)).unwrap(), purge(id));
    }
    let store = place.open().await;
    assert_eq!(store.playback_keys().await.unwrap(), [key("k2", None, 2), key("k3", Some("secret"), 3)]);
    assert_eq!(store.revocations(10).await.unwrap(), [revocation("r2", 20)]);
    let purges = store.purges().await.unwrap();
    assert_eq!((purges.newest(), purges.recent.last()), (300, Some(&purge(300))));
    assert!(purges.recent.len() < 300);
}

async fn a_change_and_its_line_in_the_log_are_there_together_or_not_at_all(place: Place) {
    let store = place.open().await;
    let demo: ChannelId = "demo".parse().unwrap();
    let anna = Actor { name: "token:anna".into(), address: Some("198.51.100.7".parse().unwrap()) };
    let mut change = store.change(&anna, "createChannel", "channels/demo", 5).await.unwrap();
    change.create_channel(&demo, "Demo", 5).await.unwrap();
    drop(change);
    assert_eq!(store.channels().await.unwrap(), []);
    let mut change = store.change(&anna, "createChannel", "channels/demo", 6).await.unwrap();
    change.create_channel(&demo, "Demo", 6).await.unwrap();
    change.after(&serde_json::json!({ "title": "Demo" }));
    change.commit().await.unwrap();
    // Not closed: a process that is killed does not close either.
    let store = place.open().await;
    let log = store.audit(&Which::default(), Page::After(0), 10).await.unwrap();
    let expected = Entry {
        id: log[0].id,
        at: 6,
        actor: "token:anna".into(),
        address: Some("198.51.100.7".into()),
        action: "createChannel".into(),
        target: "channels/demo".into(),
        before: None,
        after: Some(serde_json::json!({ "title": "Demo" })),
    };
    assert_eq!(log, [expected]);
    assert_eq!(store.channels().await.unwrap().len(), 1);
}

async fn the_log_is_read_in_pages_and_by_what_is_looked_for(place: Place) {
    let store = place.open().await;
    let by = |name: &str| Actor { name: name.into(), address: None };
    for (who, action, target) in [
        ("anna", "createChannel", "channels/demo"),
        ("bert", "createStreamKey", "channels/demo/keys/k1"),
        ("anna", "createChannel", "channels/demo2"),
        ("bert", "drainNode", "nodes/eu-1"),
    ] {
        store.change(&by(who), action, target, 1).await.unwrap().commit().await.unwrap();
    }
    let read = async |which: Which, page, limit| {
        let log = store.audit(&which, page, limit).await.unwrap();
        (
            log.iter().map(|entry| entry.target.clone()).collect::<Vec<_>>(),
            log.last().map_or(0, |entry| entry.id),
        )
    };
    let newest = Page::Before(u64::MAX);
    let (first, last) = read(Which::default(), newest, 3).await;
    assert_eq!(first, ["nodes/eu-1", "channels/demo2", "channels/demo/keys/k1"]);
    assert_eq!(read(Which::default(), Page::Before(last), 3).await.0, ["channels/demo"]);
    assert_eq!(read(Which::default(), Page::After(last), 9).await.0, ["channels/demo2", "nodes/eu-1"]);
    let target = |target: &str| Which { target: target.into(), ..Which::default() };
    assert_eq!(read(target("channels/demo"), newest, 9).await.0, ["channels/demo/keys/k1", "channels/demo"]);
    assert_eq!(read(target("channels/demo/%"), newest, 9).await.0.len(), 0);
    let bert = Which { actor: "bert".into(), action: "drainNode".into(), ..Which::default() };
    assert_eq!(read(bert, newest, 9).await.0, ["nodes/eu-1"]);
}

async fn a_token_is_kept_with_what_it_allows(place: Place) {
    let store = place.open().await;
    let token = |id: &str, expires_at| StoredToken {
        id: id.into(),
        hash: KeyHash(format!("hash of {id}")),
        grant: Grant {
            scopes: vec![Scope::Publisher, Scope::ReadOnly],
            channels: vec!["demo".parse().unwrap()],
        },
        label: "CI".into(),
        created_at: 1,
        expires_at,
    };
    for token in [token("t1", Some(9)), token("t2", None), token("t3", Some(u64::MAX >> 1))] {
        made!(store, add_token(&token)).unwrap();
    }
    made!(store, delete_token("t1")).unwrap();
    assert!(matches!(made!(store, delete_token("t1")), Err(Error::NoApiToken(_))));
    let kept = place.open().await.tokens().await.unwrap();
    assert_eq!(kept, [token("t2", None), token("t3", Some(u64::MAX >> 1))]);
}
