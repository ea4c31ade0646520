//! Which tables a backup holds, and what the tables of a database look like.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sqlx::{AnyConnection, AssertSqlSafe};

use super::{damaged, failed};
use crate::error::Result;

/// Tables that a backup holds, each behind those it refers to. A new table goes here or to [`LEFT_OUT`]: a test fails
/// until it does.
pub(super) const KEPT: &[&str] = &[
    "counters",
    "secrets",
    "categories",
    "channels",
    "stream_keys",
    "playback_keys",
    "revocations",
    "api_tokens",
    "users",
    "node_certificates",
    "nodes",
    "topologies",
    "topology_drafts",
    "purges",
    "ingest_events",
    "audience",
    "webhooks",
    "webhook_deliveries",
    "audit",
];

/// Tables of what is over in seconds, or in a day: who makes a call again after a restore finds that it was lost, and people
/// sign in again. A token that was used once must not be good again.
pub(super) const LEFT_OUT: &[&str] =
    &["beats", "commands", "enrolments", "idempotency", "sessions", "sign_in_failures", "oidc_logins"];

/// Tables that are made from others when the store is opened: what channels are searched by in SQLite.
pub(super) const DERIVED: &[&str] = &["channel_search", "channel_numbers"];

/// Tables that have rows from the first moment on.
pub(super) const NEVER_EMPTY: &[&str] = &["counters", "categories"];

/// What [`sqlx`] remembers the schema's version in.
pub(super) const SCHEMA: &str = "_sqlx_migrations";

/// A column, by the name that both databases have for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) kind: Kind,
}

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    Integer,
    Text,
    Real,
}

impl Kind {
    /// The SQL type, which both databases know by this name.
    pub(super) fn sql(self) -> &'static str {
        match self {
            Self::Integer => "BIGINT",
            Self::Text => "TEXT",
            Self::Real => "DOUBLE PRECISION",
        }
    }
}

/// The columns of each of our tables that there is.
pub(super) async fn catalog(connection: &mut AnyConnection) -> Result<BTreeMap<String, Vec<Column>>> {
    let query = match is_postgres(connection) {
        true => {
            "SELECT table_name::TEXT, column_name::TEXT, data_type::TEXT FROM information_schema.columns \
             WHERE table_schema = current_schema() AND is_generated = 'NEVER' ORDER BY table_name, ordinal_position"
        }
        false => {
            "SELECT tables.name, columns.name, columns.type FROM sqlite_master AS tables, \
             pragma_table_info(tables.name) AS columns WHERE tables.type = 'table' ORDER BY tables.name, columns.cid"
        }
    };
    let rows = sqlx::query_as::<_, (String, String, String)>(query).fetch_all(connection).await;
    let mut catalog = BTreeMap::<String, Vec<Column>>::new();
    for (table, name, kind) in rows.map_err(failed("look at the database's tables"))? {
        if table == SCHEMA || DERIVED.contains(&table.as_str()) {
            catalog.entry(table).or_default();
        } else if KEPT.contains(&table.as_str()) || LEFT_OUT.contains(&table.as_str()) {
            let kind = match kind.to_uppercase().as_str() {
                "BIGINT" => Kind::Integer,
                "TEXT" => Kind::Text,
                "DOUBLE PRECISION" => Kind::Real,
                other => return Err(damaged("a column of a kind", other)),
            };
            catalog.entry(table).or_default().push(Column { name, kind });
        }
    }
    Ok(catalog)
}

/// The schema's version; none where there is no schema.
pub(super) async fn version(
    connection: &mut AnyConnection,
    catalog: &BTreeMap<String, Vec<Column>>,
) -> Result<Option<i64>> {
    if !catalog.contains_key(SCHEMA) {
        return Ok(None);
    }
    let query = AssertSqlSafe(format!("SELECT max(version) FROM {SCHEMA}"));
    let version = sqlx::query_scalar::<_, Option<i64>>(query).fetch_one(connection).await;
    version.map_err(failed("look at the database's version"))
}

pub(super) fn is_postgres(connection: &AnyConnection) -> bool {
    connection.backend_name() == "PostgreSQL"
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::store::{Database, Store};

    #[tokio::test]
    async fn every_table_is_kept_or_left_out_knowingly() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&Database::Sqlite(directory.path().join("control.db"))).await.unwrap();
        let query = sqlx::query_scalar::<_, String>("SELECT name FROM sqlite_master WHERE type = 'table'");
        let derived = |name: &String| {
            // A table of words is several to SQLite.
            DERIVED.iter().any(|one| name == one || name.starts_with(&format!("{one}_")))
        };
        let there = query.fetch_all(&store.pool).await.unwrap().into_iter().filter(|name| !derived(name));
        let there: BTreeSet<String> = there.collect();
        let known = KEPT.iter().chain(LEFT_OUT).copied().chain([SCHEMA]);
        let known: BTreeSet<String> = known.map(str::to_owned).collect();
        assert_eq!(there, known, "a migration has added a table: name it in KEPT or in LEFT_OUT");
        let mut connection = store.pool.acquire().await.unwrap();
        assert_eq!(catalog(&mut connection).await.unwrap().len(), known.len() + DERIVED.len());
        // Each behind what it refers to.
        for (index, table) in KEPT.iter().enumerate() {
            let query = sqlx::query_scalar::<_, String>("SELECT \"table\" FROM pragma_foreign_key_list($1)");
            for other in query.bind(*table).fetch_all(&store.pool).await.unwrap() {
                assert!(KEPT[..index].contains(&other.as_str()), "{table} stands before {other}");
            }
        }
    }
}
