//! All that is worth keeping in one file, the same for SQLite and PostgreSQL: made while others write.

mod format;
mod restore;
mod tables;

use std::io::Write;

use futures_util::TryStreamExt;
use sqlx::{AnyConnection, AssertSqlSafe, Executor, Row};

use self::format::{Header, Table, Writer};
use super::{Database, MIGRATIONS, damaged, failed};
use crate::error::{Error, Result};

pub use format::Rows;
pub use restore::restore;

/// Writes all that the database holds at one moment, without what is over in seconds.
///
/// A database of an earlier Nearcast is written as it is: [`restore()`] brings it up to date. Rows are written as they are
/// read, so that memory stays small whatever there is. `made_at` is in milliseconds since the Unix epoch.
///
/// # Errors
/// There is no database, it is of a newer Nearcast, or it cannot be read; `out` cannot be written.
pub async fn backup(database: &Database, out: &mut impl Write, made_at: u64) -> Result<Rows> {
    let missing = || Error::NoStore { database: database.to_string() };
    if let Database::Sqlite(path) = database
        && !path.exists()
    {
        return Err(missing());
    }
    let pool = database.connect().await?;
    let mut transaction = pool.begin().await.map_err(failed("begin a backup"))?;
    if matches!(database, Database::Postgres(_)) {
        // What SQLite's readers always have: nothing changes for them until they are done.
        let statement = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY";
        transaction.execute(statement).await.map_err(failed("begin a backup"))?;
    }
    let catalog = tables::catalog(&mut transaction).await?;
    let schema = tables::version(&mut transaction, &catalog).await?.ok_or_else(missing)?;
    if schema > newest() {
        return Err(Error::NewerStore { database: database.to_string(), schema, newest: newest() });
    }
    let mut header = Header::new(schema, made_at);
    for name in tables::KEPT {
        let Some(columns) = catalog.get(*name) else { continue };
        let query = AssertSqlSafe(format!("SELECT count(*) FROM {name}"));
        let rows = sqlx::query_scalar::<_, i64>(query).fetch_one(&mut *transaction).await;
        let rows = rows.map_err(failed("count what is to be kept"))?.cast_unsigned();
        header.tables.push(Table { name: (*name).to_owned(), rows, columns: columns.clone() });
    }
    let mut writer = Writer::begin(out, &header)?;
    for table in &header.tables {
        copy(&mut transaction, table, &mut writer).await?;
    }
    writer.finish()?;
    // Nothing was changed; the pool waits for the connection.
    transaction.rollback().await.map_err(failed("end a backup"))?;
    pool.close().await;
    Ok(header.counts())
}

async fn copy<W: Write>(
    connection: &mut AnyConnection,
    table: &Table,
    writer: &mut Writer<'_, W>,
) -> Result<()> {
    let columns: Vec<String> =
        table.columns.iter().map(|column| format!("CAST({} AS TEXT)", column.name)).collect();
    let query = AssertSqlSafe(format!("SELECT {} FROM {} ORDER BY 1", columns.join(", "), table.name));
    let mut rows = sqlx::query(query).fetch(connection);
    while let Some(row) = rows.try_next().await.map_err(failed("read what is to be kept"))? {
        let values = (0..table.columns.len()).map(|index| row.try_get::<Option<String>, _>(index));
        let values = values.collect::<Result<Vec<_>, _>>().map_err(failed("read what is to be kept"))?;
        writer.row(table, values)?;
    }
    Ok(())
}

/// The schema that this program works with.
fn newest() -> i64 {
    MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or(0)
}
