//! The audit log, and the changes that are written together with their line in it.

use std::fmt::Display;
use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;
use sqlx::{Any, AnyConnection, Transaction};
use tokio::sync::Notify;

use super::shared::Shared;
use super::{Store, damaged, failed};
use crate::access::Actor;
use crate::error::Result;

/// A change under way: all of it and its line in the log, or nothing. Dropped, it has not happened.
pub struct Change {
    transaction: Transaction<'static, Any>,
    shared: Option<Arc<Shared>>,
    bell: Arc<Notify>,
    /// Something is queued for webhooks.
    pub(super) queued: bool,
    entry: Entry,
}

/// A line of the log.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Later ones are greater.
    pub id: u64,
    /// Milliseconds since the Unix epoch.
    pub at: u64,
    pub actor: String,
    pub address: Option<String>,
    /// The API's operationId.
    pub action: String,
    /// The path below `/api/v1`, without its first slash.
    pub target: String,
    pub before: Option<Value>,
    pub after: Option<Value>,
}

/// Which lines; the empty string for all.
#[derive(Debug, Clone, Default)]
pub struct Which {
    pub actor: String,
    /// A target, and what is below it.
    pub target: String,
    pub action: String,
}

/// From which line on, and in which direction.
#[derive(Debug, Clone, Copy)]
pub enum Page {
    /// The newest first, before this one.
    Before(u64),
    /// The oldest first, after this one.
    After(u64),
}

impl Store {
    /// Begins a change by somebody, who calls it `action` (the API's operationId), to `target`.
    pub async fn change(&self, actor: &Actor, action: &str, target: impl Display, at: u64) -> Result<Change> {
        let mut transaction = self.pool.begin().await.map_err(failed("begin a change"))?;
        // A write comes first: SQLite refuses readers that become writers, and PostgreSQL's lock puts changes in a row.
        let id = next(&mut transaction).await?;
        let entry = Entry {
            id,
            at,
            actor: actor.name.clone(),
            address: actor.address.map(|address| address.to_string()),
            action: action.to_owned(),
            target: target.to_string(),
            before: None,
            after: None,
        };
        Ok(Change { transaction, shared: self.shared.clone(), bell: self.bell.clone(), queued: false, entry })
    }

    /// At most `limit` lines of the log.
    pub async fn audit(&self, which: &Which, page: Page, limit: u32) -> Result<Vec<Entry>> {
        let (query, from) = match page {
            Page::Before(id) => (NEWEST, id),
            Page::After(id) => (OLDEST, id),
        };
        let query = sqlx::query_as::<_, Row>(query)
            .bind(i64::try_from(from).unwrap_or(i64::MAX))
            .bind(&which.actor)
            .bind(&which.target)
            .bind(&which.action)
            .bind(i64::from(limit));
        let rows = query.fetch_all(&self.pool).await.map_err(failed("read the audit log"))?;
        rows.into_iter().map(entry).collect()
    }
}

impl Change {
    /// Where its statements run.
    pub(super) fn connection(&mut self) -> &mut AnyConnection {
        &mut self.transaction
    }

    /// When it is made, in milliseconds since the Unix epoch.
    pub fn at(&self) -> u64 {
        self.entry.at
    }

    /// What no other change has, not even one after the database was lost and its numbers begin anew.
    pub(super) fn occasion(&self) -> String {
        format!("{} {}", self.entry.id, self.entry.at)
    }

    /// What was there before.
    pub fn before(&mut self, value: &impl Serialize) {
        self.entry.before = serde_json::to_value(value).ok();
    }

    /// What there is now.
    pub fn after(&mut self, value: &impl Serialize) {
        self.entry.after = serde_json::to_value(value).ok();
    }

    /// Removes the lines of before `at` (milliseconds since the Unix epoch): how many, and the last one's id; none if there are
    /// none.
    pub async fn delete_audit(&mut self, at: u64) -> Result<Option<(u64, u64)>> {
        let failed = || failed("remove old lines of the audit log");
        let query = sqlx::query_scalar::<_, Option<i64>>("SELECT max(id) FROM audit WHERE at < $1");
        let last = query.bind(at.cast_signed()).fetch_one(self.connection()).await.map_err(failed())?;
        let Some(last) = last else { return Ok(None) };
        let query = sqlx::query("DELETE FROM audit WHERE at < $1").bind(at.cast_signed());
        let removed = query.execute(self.connection()).await.map_err(failed())?.rows_affected();
        Ok(Some((removed, last.cast_unsigned())))
    }

    /// Makes it so.
    pub async fn commit(self) -> Result<()> {
        let Self { mut transaction, shared, bell, queued, entry } = self;
        write(&mut transaction, &entry).await?;
        if let Some(shared) = shared {
            shared.changed(&mut transaction).await?;
        }
        transaction.commit().await.map_err(failed("write the audit log"))?;
        if queued {
            bell.notify_one();
        }
        let Entry { id, actor, action, target, .. } = entry;
        tracing::info!(audit = id, actor, target, "{action}");
        Ok(())
    }
}

/// The number of the next line.
pub(super) async fn next(connection: &mut AnyConnection) -> Result<u64> {
    let number = sqlx::query_scalar::<_, i64>(
        "UPDATE counters SET value = value + 1 WHERE name = 'audit' RETURNING value",
    );
    Ok(number.fetch_one(connection).await.map_err(failed("begin a change"))?.cast_unsigned())
}

/// Adds a line.
pub(super) async fn write(connection: &mut AnyConnection, entry: &Entry) -> Result<()> {
    let query = sqlx::query(
        "INSERT INTO audit (id, at, actor, address, action, target, before, after) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    );
    let query = query
        .bind(entry.id.cast_signed())
        .bind(entry.at.cast_signed())
        .bind(&entry.actor)
        .bind(&entry.address)
        .bind(&entry.action)
        .bind(&entry.target)
        .bind(entry.before.as_ref().map(Value::to_string))
        .bind(entry.after.as_ref().map(Value::to_string));
    query.execute(connection).await.map_err(failed("write the audit log")).map(drop)
}

type Row = (i64, i64, String, Option<String>, String, String, Option<String>, Option<String>);

fn entry((id, at, actor, address, action, target, before, after): Row) -> Result<Entry> {
    let json = |text: Option<String>| {
        let value = text.map(|text| serde_json::from_str(&text).map_err(|_| damaged("a change", &text)));
        value.transpose()
    };
    let (before, after) = (json(before)?, json(after)?);
    let (id, at) = (id.cast_unsigned(), at.cast_unsigned());
    Ok(Entry { id, at, actor, address, action, target, before, after })
}

macro_rules! lines {
    ($beyond:literal, $order:literal) => {
        concat!(
            "SELECT id, at, actor, address, action, target, before, after FROM audit WHERE id ",
            $beyond,
            " $1 AND ($2 = '' OR actor = $2) \
             AND ($3 = '' OR target = $3 OR substr(target, 1, length($3) + 1) = $3 || '/') \
             AND ($4 = '' OR action = $4) ORDER BY id ",
            $order,
            " LIMIT $5"
        )
    };
}

const NEWEST: &str = lines!("<", "DESC");
const OLDEST: &str = lines!(">", "ASC");
