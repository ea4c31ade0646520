//! Backups: whole, portable, and never half restored.

use std::io::Cursor;

use proptest::prelude::*;
use sqlx::Executor;

use super::upgrade::{assert_within, built, rows, versions};
use super::*;

on_both! {
    a_backup_of_every_version_comes_back_in_either_database
    what_is_not_empty_is_replaced_only_when_told
    no_number_is_handed_out_again_after_a_restore
    a_backup_is_of_one_moment_while_others_write
    a_damaged_backup_changes_nothing
}

/// 2026, long after the fixtures.
const NOW: u64 = 1_790_000_000_000;

async fn made(database: &Database) -> Vec<u8> {
    let mut file = Vec::new();
    backup(database, &mut file, NOW).await.unwrap();
    file
}

async fn restored(database: &Database, file: &[u8], replace: bool) -> Result<Rows> {
    restore(database, &mut Cursor::new(file), replace, NOW).await
}

/// Without what a restore changes.
async fn lasting(database: &Database) -> Vec<String> {
    let rows = rows(database).await.into_iter();
    let lasting =
        rows.filter(|(table, row)| table != "counters" && row.get("action") != Some(&"restore".into()));
    let mut lasting: Vec<String> = lasting.map(|(table, row)| format!("{table} {row:?}")).collect();
    lasting.sort_unstable();
    lasting
}

async fn a_backup_of_every_version_comes_back_in_either_database(place: Place) {
    for version in versions() {
        let place = place.another().await;
        built(&place.database, version).await;
        let (before, file) = (rows(&place.database).await, made(&place.database).await);
        // There and back again.
        for elsewhere in [Place::file(), Place::server().await] {
            restored(&elsewhere.database, &file, false).await.unwrap();
            let what = format!("version {version} in {}", elsewhere.database);
            let kept: Vec<_> = before.iter().filter(|(table, _)| table != "counters").cloned().collect();
            assert_within(&kept, &rows(&elsewhere.database).await, &what);
            let back = place.another().await;
            restored(&back.database, &made(&elsewhere.database).await, false).await.unwrap();
            assert_eq!(lasting(&back.database).await, lasting(&elsewhere.database).await, "{what}");
            // It is a database like any other.
            let store = back.open().await;
            made!(store, create_channel(&"new".parse().unwrap(), "New", 1)).unwrap();
        }
    }
}

async fn what_is_not_empty_is_replaced_only_when_told(place: Place) {
    built(&place.database, versions()[0]).await;
    let file = made(&place.database).await;
    let other = place.another().await;
    // One that was made, and never written to, is empty.
    other.open().await.close().await;
    restored(&other.database, &file, false).await.unwrap();
    let error = restored(&other.database, &file, false).await.unwrap_err();
    assert!(matches!(error, Error::StoreNotEmpty { .. }), "{error:?}");
    let store = other.open().await;
    made!(store, create_channel(&"later".parse().unwrap(), "Later", 1)).unwrap();
    if let Database::Sqlite(_) = other.database {
        let error = restored(&other.database, &file, true).await.unwrap_err();
        assert!(matches!(error, Error::StoreInUse { .. }), "{error:?}");
        assert_eq!(store.channels().await.unwrap().len(), 3);
    }
    store.close().await;
    restored(&other.database, &file, true).await.unwrap();
    let store = other.open().await;
    assert_eq!(store.channels().await.unwrap().len(), 2);
    let log = store.audit(&Which::default(), Page::Before(u64::MAX), 1).await.unwrap();
    assert_eq!((log[0].action.as_str(), log[0].actor.as_str()), ("restore", "nearcast-control"));
    let error =
        backup(&Database::Sqlite("/nowhere/control.db".into()), &mut Vec::new(), 1).await.unwrap_err();
    assert!(matches!(error, Error::NoStore { .. }), "{error:?}");
}

async fn no_number_is_handed_out_again_after_a_restore(place: Place) {
    let store = place.open().await;
    made!(store, create_channel(&"demo".parse().unwrap(), "Demo", 1)).unwrap();
    let file = made(&place.database).await;
    let mut handed_out = Vec::new();
    let mut used = async |store: &Store, at: u64| {
        let change = store.change(&Actor::own(), "test", "all", at).await.unwrap();
        change.commit().await.unwrap();
        let log = store.audit(&Which::default(), Page::Before(u64::MAX), 1).await.unwrap();
        handed_out.push((store.first_version().await.unwrap(), log[0].id));
    };
    used(&store, 1).await;
    store.close().await;
    // The same one twice, a second apart, and each database hands something out before it is lost.
    for seconds in 0..2 {
        restore(&place.database, &mut Cursor::new(&file), true, NOW + seconds * 2000).await.unwrap();
        let store = place.open().await;
        used(&store, 2).await;
        store.close().await;
    }
    assert!(handed_out.is_sorted_by(|one, other| one.0 < other.0 && one.1 < other.1), "{handed_out:?}");
}

async fn a_backup_is_of_one_moment_while_others_write(place: Place) {
    let store = place.open().await;
    let writing = async {
        for number in 0..60 {
            let id: ChannelId = format!("c{number}").parse().unwrap();
            let mut change = store.change(&Actor::own(), "test", "all", 1).await.unwrap();
            change.create_channel(&id, "", 1).await.unwrap();
            change.add_key(&key(&format!("k{number}"), id.as_str(), &format!("h{number}"), 1)).await.unwrap();
            change.commit().await.unwrap();
        }
    };
    let reading = async {
        let mut seen = Vec::new();
        for _ in 0..8 {
            let mut file = Vec::new();
            let rows = backup(&place.database, &mut file, 1).await.unwrap();
            let count = |table: &str| rows.iter().find(|(name, _)| name == table).unwrap().1;
            assert_eq!((count("channels"), count("channels")), (count("stream_keys"), count("audit")));
            let lines = std::str::from_utf8(&file).unwrap().lines().count() as u64;
            assert_eq!(lines, rows.iter().map(|(_, rows)| rows).sum::<u64>() + 2);
            seen.push(count("channels"));
        }
        seen
    };
    let ((), seen) = tokio::join!(writing, reading);
    assert!(seen.is_sorted(), "{seen:?}");
}

async fn a_damaged_backup_changes_nothing(place: Place) {
    built(&place.database, *versions().last().unwrap()).await;
    let file = made(&place.database).await;
    let other = place.another().await;
    other.open().await.close().await;
    let ends = file.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1);
    let mut cuts: Vec<usize> = std::iter::once(0).chain(ends).collect();
    assert_eq!(cuts.pop(), Some(file.len()));
    for cut in cuts {
        let error = restored(&other.database, &file[..cut], true).await.unwrap_err();
        assert!(matches!(error, Error::DamagedBackup { .. }), "cut at {cut}: {error:?}");
        assert!(error.to_string().contains("nothing was changed"), "{error}");
    }
    let newer = String::from_utf8(file.clone()).unwrap().replace("nearcast-backup-1", "nearcast-backup-2");
    let error = restored(&other.database, newer.as_bytes(), true).await.unwrap_err();
    assert!(error.to_string().contains("newer Nearcast"), "{error}");
    // Whole, but of a schema that is not here yet, or with a row that the tables do not take: it ends in the middle.
    let signed = |change: &dyn Fn(String) -> String| {
        let text = String::from_utf8(file.clone()).unwrap();
        let body = change(text[..text.rfind("{\"sha256\"").unwrap()].to_owned());
        let sum = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, body.as_bytes());
        let sum: String = sum.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{body}{{\"sha256\":\"{sum}\"}}\n")
    };
    let schema = format!("\"schema\":{}", versions().last().unwrap());
    let newer = signed(&|text| text.replace(&schema, "\"schema\":9999"));
    let error = restored(&other.database, newer.as_bytes(), true).await.unwrap_err();
    assert!(matches!(error, Error::NewerBackup { schema: 9999, .. }), "{error:?}");
    let twice = signed(&|text| text.replace("\"id\":\"quiet\"", "\"id\":\"demo\""));
    restored(&other.database, twice.as_bytes(), true).await.unwrap_err();
    let store = other.open().await;
    assert_eq!(store.channels().await.unwrap(), [], "all or nothing");
    store.pool.execute("SELECT count(*) FROM audit").await.unwrap();
    store.close().await;
    let fresh = place.another().await;
    fresh.open().await.close().await;
    let own = rows(&fresh.database).await.len();
    assert_eq!(rows(&other.database).await.len(), own, "what every database has");
    restored(&other.database, signed(&|text| text).as_bytes(), false).await.unwrap();
}

#[test]
fn a_byte_that_has_changed_anywhere_is_noticed() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (file, directory) = runtime.block_on(async {
        let place = Place::file();
        built(&place.database, *versions().last().unwrap()).await;
        (made(&place.database).await, tempfile::tempdir().unwrap())
    });
    let target = Database::Sqlite(directory.path().join("control.db"));
    proptest!(|(at in 0..file.len(), bits in 1_u8..=255)| {
        let mut damaged = file.clone();
        damaged[at] ^= bits;
        let error = runtime.block_on(restored(&target, &damaged, false)).unwrap_err();
        prop_assert!(matches!(error, Error::DamagedBackup { .. }), "byte {}: {:?}", at, error);
        prop_assert!(!directory.path().join("control.db").exists());
    });
}
