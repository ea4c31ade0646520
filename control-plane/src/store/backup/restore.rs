//! Makes a database what a backup says: all of it, or nothing.

use std::io::{BufRead, Seek};

use serde_json::{Value, json};
use sqlx::{AnyConnection, AssertSqlSafe, Connection, Executor};

use super::format::{self, Header, Line, Rows, damage};
use super::tables::{self, Column, DERIVED, KEPT, Kind, LEFT_OUT, NEVER_EMPTY, SCHEMA};
use super::{Database, MIGRATIONS, failed, newest};
use crate::access::Actor;
use crate::error::{Error, Result};
use crate::store::audit::{self, Entry};
use crate::store::shared::Shared;

/// Fills the database from a backup of any earlier Nearcast, SQLite's or PostgreSQL's; `now` is in milliseconds since the
/// Unix epoch.
///
/// The file is read twice: it is whole, or nothing happens. Everything is one transaction: our tables are taken away and
/// made again as they were in the Nearcast that made the backup, filled, and brought up to date as an upgrade does.
///
/// # Errors
/// The file is damaged or of a newer Nearcast; the database is not empty and `replace` is false; a control plane has the
/// SQLite file open.
pub async fn restore(
    database: &Database,
    file: &mut (impl BufRead + Seek),
    replace: bool,
    now: u64,
) -> Result<Rows> {
    let header = format::check(file)?;
    if header.schema > newest() {
        return Err(Error::NewerBackup { schema: header.schema, newest: newest() });
    }
    file.rewind().map_err(|source| Error::ReadBackup { source })?;
    format::skip_header(file)?;

    let mut connection = database.connect_alone().await?;
    let begun = match database {
        // A reader that becomes a writer is refused.
        Database::Sqlite(_) => connection.begin_with("BEGIN IMMEDIATE").await,
        Database::Postgres(_) => connection.begin().await,
    };
    let mut transaction = begun.map_err(|source| in_use(database, source))?;
    clear(&mut transaction, database, replace).await?;
    let migrate = |source| Error::MigrateStore { database: database.to_string(), source: Box::new(source) };
    MIGRATIONS.run_to(header.schema, &mut *transaction).await.map_err(migrate)?;
    fill(&mut transaction, &header, file).await?;
    MIGRATIONS.run(&mut *transaction).await.map_err(migrate)?;
    move_on(&mut transaction, now).await?;
    note(&mut transaction, &header, now).await?;
    if let Database::Postgres(url) = database {
        // Those that run look again.
        Shared::new(url.clone()).changed(&mut transaction).await?;
    }
    transaction.commit().await.map_err(failed("restore a backup"))?;
    connection.close().await.map_err(failed("close the database"))?;
    Ok(header.counts())
}

/// Takes our tables away, if there is nothing in them or it may be lost.
async fn clear(connection: &mut AnyConnection, database: &Database, replace: bool) -> Result<()> {
    let catalog = tables::catalog(connection).await?;
    let schema = tables::version(connection, &catalog).await?.unwrap_or(0);
    if schema > newest() {
        return Err(Error::NewerStore { database: database.to_string(), schema, newest: newest() });
    }
    let there = || KEPT.iter().chain(LEFT_OUT).filter(|name| catalog.contains_key(**name));
    for name in there().filter(|name| !replace && !NEVER_EMPTY.contains(*name)) {
        let query = AssertSqlSafe(format!("SELECT count(*) FROM (SELECT 1 FROM {name} LIMIT 1) AS first"));
        let rows = sqlx::query_scalar::<_, i64>(query).fetch_one(&mut *connection).await;
        if rows.map_err(failed("look whether the database is empty"))? > 0 {
            return Err(Error::StoreNotEmpty { database: database.to_string() });
        }
    }
    // What refers to another goes before it.
    let made = DERIVED.iter().chain([&SCHEMA]).filter(|name| catalog.contains_key(**name));
    for name in there().rev().chain(made) {
        let statement = AssertSqlSafe(format!("DROP TABLE {name}"));
        connection.execute(statement).await.map_err(failed("take the old tables away"))?;
    }
    Ok(())
}

/// Adds the rows to tables of the backup's schema.
async fn fill(connection: &mut AnyConnection, header: &Header, file: &mut impl BufRead) -> Result<()> {
    let catalog = tables::catalog(connection).await?;
    let known = KEPT.iter().filter_map(|name| catalog.get(*name).map(|columns| (*name, columns)));
    let known: Vec<(&str, &Vec<Column>)> = known.collect();
    for (name, columns) in &known {
        let same = |table: &&format::Table| table.name == *name && same_columns(&table.columns, columns);
        if header.tables.iter().filter(same).count() != 1 {
            return Err(damage(&format!("the table {name} in it is not that of its schema")));
        }
    }
    if header.tables.len() != known.len() {
        return Err(damage("it has tables that its schema has not"));
    }
    // What migrations have put there.
    for (name, _) in known.iter().rev() {
        let statement = AssertSqlSafe(format!("DELETE FROM {name}"));
        connection.execute(statement).await.map_err(failed("restore a backup"))?;
    }
    while let Some(Line { table, mut row }) = format::next(file)? {
        let unknown = || damage("it has a row of a table that its first line does not name");
        let (name, columns) = known.iter().find(|(name, _)| *name == table).ok_or_else(unknown)?;
        let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
        let values: Vec<String> = columns
            .iter()
            .enumerate()
            .map(|(index, column)| format!("CAST(${} AS {})", index + 1, column.kind.sql()))
            .collect();
        let statement = format!("INSERT INTO {name} ({}) VALUES ({})", names.join(", "), values.join(", "));
        let mut query = sqlx::query(AssertSqlSafe(statement));
        for column in *columns {
            query = query.bind(text(column, row.remove(&column.name))?);
        }
        query.execute(&mut *connection).await.map_err(failed("restore a row"))?;
    }
    Ok(())
}

/// In any order: a column that was added later stands last in a database that has lived, and so it does in a new one, but
/// that is nobody's promise.
fn same_columns(one: &[Column], other: &[Column]) -> bool {
    one.len() == other.len() && one.iter().all(|column| other.contains(column))
}

/// A value as the text that is cast to the column's type.
fn text(column: &Column, value: Option<Value>) -> Result<Option<String>> {
    match (column.kind, value) {
        (_, Some(Value::Null)) => Ok(None),
        (Kind::Text, Some(Value::String(text))) => Ok(Some(text)),
        (Kind::Integer | Kind::Real, Some(Value::Number(number))) => Ok(Some(number.to_string())),
        _ => Err(damage(&format!("a row has no value for {}", column.name))),
    }
}

/// Moves the counters beyond all that the lost database can have handed out since the backup was made.
///
/// Nodes, and who follows the audit log, keep the greatest number they have seen and ask for what is behind it: a number
/// must never mean two things. A leap of a fixed size would do that when one backup is restored twice, so time decides.
/// Snapshots: each start of an instance takes the next block of 2^28 versions, and the block is now the second since 1970.
/// Starts are rarer than that, so no database has ever come to the block of a later second. The others count what takes
/// longer than a millisecond, and go on from the millisecond. That of the audience is a time of what is in the backup.
async fn move_on(connection: &mut AnyConnection, now: u64) -> Result<()> {
    let block = ((now / 1000) << 28).cast_signed();
    let statement = "UPDATE counters SET value = CASE WHEN name = 'snapshot_version' THEN $1 ELSE $2 END \
                     WHERE name <> 'audience' AND value < CASE WHEN name = 'snapshot_version' THEN $1 ELSE $2 END";
    let moved = sqlx::query(statement).bind(block).bind(now.cast_signed()).execute(connection).await;
    moved.map_err(failed("move the counters on")).map(drop)
}

/// A line in the audit log, which is itself a part of what came back.
async fn note(connection: &mut AnyConnection, header: &Header, now: u64) -> Result<()> {
    let id = audit::next(connection).await?;
    let after = json!({ "made_at": header.made_at, "schema": header.schema });
    let entry = Entry {
        id,
        at: now,
        actor: Actor::own().name,
        address: None,
        action: "restore".into(),
        target: String::new(),
        before: None,
        after: Some(after),
    };
    audit::write(connection, &entry).await
}

/// SQLite says that the file is locked when another process has it open.
fn in_use(database: &Database, source: sqlx::Error) -> Error {
    let locked = source.as_database_error().is_some_and(|error| error.message().contains("locked"));
    match locked {
        true => Error::StoreInUse { database: database.to_string() },
        false => Error::Store { attempt: "begin to restore a backup", source },
    }
}
