//! Databases of every earlier version, and what today's Nearcast makes of them.

use std::time::Duration;

use nearcast_api::channel::Settings;
use serde_json::{Map, Value};
use sqlx::{AssertSqlSafe, Executor};

use super::*;
use crate::plane::Plane;

on_both! {
    every_row_of_every_earlier_version_is_there_after_an_upgrade
    an_upgrade_that_was_stopped_between_two_steps_goes_on
    a_database_of_a_newer_version_or_of_another_history_is_refused
}

/// What each migration's tables can hold, as `../upgrade/README.md` says.
const FIXTURES: &[(i64, &str)] = &[
    (1, include_str!("../upgrade/0001.sql")),
    (2, include_str!("../upgrade/0002.sql")),
    (3, include_str!("../upgrade/0003.sql")),
    (4, include_str!("../upgrade/0004.sql")),
    (5, include_str!("../upgrade/0005.sql")),
    (6, include_str!("../upgrade/0006.sql")),
    (7, include_str!("../upgrade/0007.sql")),
    (8, include_str!("../upgrade/0008.sql")),
    (9, include_str!("../upgrade/0009.sql")),
    (10, include_str!("../upgrade/0010.sql")),
    (11, include_str!("../upgrade/0011.sql")),
    (12, include_str!("../upgrade/0012.sql")),
    (13, include_str!("../upgrade/0013.sql")),
    (15, include_str!("../upgrade/0015.sql")),
];

pub(super) fn versions() -> Vec<i64> {
    MIGRATIONS.iter().map(|migration| migration.version).collect()
}

/// A database that has lived from the first version to this one.
pub(super) async fn built(database: &Database, version: i64) {
    for step in versions().into_iter().filter(|step| *step <= version) {
        let pool = database.connect().await.unwrap();
        MIGRATIONS.run_to(step, &pool).await.unwrap();
        let fixture = FIXTURES.iter().find(|(number, _)| *number == step);
        let (_, fixture) =
            fixture.unwrap_or_else(|| panic!("migration {step} has no store/upgrade/{step:04}.sql"));
        pool.execute(AssertSqlSafe(*fixture)).await.unwrap();
        pool.close().await;
    }
}

/// All that a backup of the database has: tables and rows.
pub(super) async fn rows(database: &Database) -> Vec<(String, Map<String, Value>)> {
    let mut file = Vec::new();
    backup(database, &mut file, 1).await.unwrap();
    let lines =
        std::str::from_utf8(&file).unwrap().lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let rows = lines.filter(|line| line.get("row").is_some());
    rows.map(|line| (line["table"].as_str().unwrap().to_owned(), line["row"].as_object().unwrap().clone()))
        .collect()
}

/// The first has nothing that the second has not, but columns may have come.
pub(super) fn assert_within(
    old: &[(String, Map<String, Value>)],
    new: &[(String, Map<String, Value>)],
    what: &str,
) {
    for (table, row) in old {
        let is_there = new.iter().any(|(name, candidate)| {
            name == table && row.iter().all(|(column, value)| candidate.get(column) == Some(value))
        });
        assert!(is_there, "{what}: {table} has lost {row:?}");
    }
}

async fn every_row_of_every_earlier_version_is_there_after_an_upgrade(place: Place) {
    for version in versions() {
        let place = place.another().await;
        built(&place.database, version).await;
        let before = rows(&place.database).await;
        assert!(before.len() >= 6);
        let store = place.open().await;
        assert_within(&before, &rows(&place.database).await, &format!("from version {version}"));

        let demo = store.channel(&"demo".parse().unwrap()).await.unwrap();
        assert_eq!((demo.title.as_str(), &demo.settings), ("Demo", &Settings::default()));
        assert_eq!(demo.live.unwrap().broadcast.as_str(), "b1");
        assert!(store.keys().await.unwrap().iter().any(|key| key.id == "key-1" && !key.backup));
        let plane = Plane::open(
            Default::default(),
            Default::default(),
            &Default::default(),
            "nearcast.test".into(),
            store,
        )
        .await
        .unwrap();
        let snapshot = plane.subscribe().borrow().clone();
        assert!(snapshot.version > 1 << 30, "later than what it has handed out");
        assert_eq!(snapshot.channels["demo"].keys.len(), 1);
        assert_eq!(snapshot.nodes.len(), 2);
        if version >= 2 {
            assert_eq!(plane.channel(&"taped".parse().unwrap()).await.unwrap().settings.record, Some(true));
        }
        if version >= 4 {
            assert_eq!((snapshot.playback_keys.len(), snapshot.revocations.len()), (2, 1));
        }
        if version >= 5 {
            assert_eq!(snapshot.purges.newest(), 1_700_000_000_008);
        }
        if version >= 6 {
            assert_eq!(plane.tokens().await.unwrap().len(), 2);
        }
        if version >= 8 {
            assert_eq!((plane.topology().await.unwrap().version, plane.draft().await.unwrap().base), (2, 2));
        }
    }
}

async fn an_upgrade_that_was_stopped_between_two_steps_goes_on(place: Place) {
    for version in versions() {
        // Not closed: a process that is killed does not close either.
        let pool = place.database.connect().await.unwrap();
        MIGRATIONS.run_to(version, &pool).await.unwrap();
    }
    let again = async { (place.open().await, place.open().await) };
    let (one, other) = tokio::time::timeout(Duration::from_secs(30), again).await.unwrap();
    assert_ne!(one.first_version().await.unwrap(), other.first_version().await.unwrap());
}

async fn a_database_of_a_newer_version_or_of_another_history_is_refused(place: Place) {
    let refused = async |place: &Place, statement: &'static str| {
        let store = place.open().await;
        store.pool.execute(statement).await.unwrap();
        let error = Store::open(&place.database).await.unwrap_err();
        assert!(matches!(error, Error::MigrateStore { .. }), "{error:?}");
        assert!(error.to_string().contains("run the newest Nearcast on it"), "{error}");
    };
    refused(&place, "UPDATE _sqlx_migrations SET version = 9999 WHERE version = (SELECT max(version) FROM _sqlx_migrations)")
        .await;
    let mut file = Vec::new();
    let error = backup(&place.database, &mut file, 1).await.unwrap_err();
    assert!(matches!(error, Error::NewerStore { schema: 9999, .. }), "{error:?}");
    assert!(error.to_string().contains("use the newer one") && file.is_empty(), "{error}");
    let place = place.another().await;
    refused(
        &place,
        "UPDATE _sqlx_migrations SET checksum = (SELECT checksum FROM _sqlx_migrations WHERE version = 1)",
    )
    .await;
}
