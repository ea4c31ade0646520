//! Published topologies and the draft of the next one.

use nearcast_api::topology::Topology;
use serde_json::json;

use super::audit::Change;
use super::{Store, damaged, failed};
use crate::access::Actor;
use crate::error::{Error, Result};
use crate::keys;

/// A version that somebody published. Version 0 is the empty topology that every network begins with.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Published {
    pub version: u64,
    pub topology: Topology,
    pub note: String,
    pub author: String,
    /// Milliseconds since the Unix epoch.
    pub at: u64,
    /// The version that it is a copy of, where somebody went back.
    pub copy_of: Option<u64>,
}

/// What is to be published next.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    /// The version that was published when it was begun.
    pub base: u64,
    pub topology: Topology,
    pub author: String,
    /// When it was changed last, in milliseconds since the Unix epoch.
    pub at: u64,
}

impl Published {
    /// Names it (RFC 9110 section 8.8.3).
    pub fn etag(&self) -> String {
        format!("\"{}\"", self.version)
    }
}

impl Draft {
    /// Names it as it is now (RFC 9110 section 8.8.3).
    pub fn etag(&self) -> String {
        let hash = keys::hash(&json!(self.topology).to_string()).0;
        format!("\"{}-{}\"", self.base, &hash[..16])
    }
}

type Row = (i64, String, String, String, i64, Option<i64>);
type DraftRow = (i64, String, String, i64);

const NEWEST: &str = "SELECT version, topology, note, author, published_at, copy_of FROM topologies \
                      WHERE version < $1 ORDER BY version DESC LIMIT $2";
const DRAFT: &str = "SELECT base, topology, author, changed_at FROM topology_drafts WHERE id = 1";

impl Store {
    /// The topology that holds.
    pub async fn topology(&self) -> Result<Published> {
        Ok(self.topologies(u64::MAX, 1).await?.pop().unwrap_or_default())
    }

    /// One version.
    pub async fn topology_version(&self, version: u64) -> Result<Published> {
        let found = self.topologies(version.saturating_add(1), 1).await?.pop().unwrap_or_default();
        if found.version == version { Ok(found) } else { Err(Error::NoTopology(version)) }
    }

    /// Versions before this one, the newest first; without version 0.
    pub async fn topologies(&self, before: u64, limit: usize) -> Result<Vec<Published>> {
        let query = sqlx::query_as::<_, Row>(NEWEST)
            .bind(i64::try_from(before).unwrap_or(i64::MAX))
            .bind(i64::try_from(limit).unwrap_or(i64::MAX));
        let rows = query.fetch_all(&self.pool).await.map_err(failed("read the topology"))?;
        rows.into_iter().map(published).collect()
    }

    /// What is to be published next, if there is something.
    pub async fn draft(&self) -> Result<Option<Draft>> {
        let query = sqlx::query_as::<_, DraftRow>(DRAFT);
        let row = query.fetch_optional(&self.pool).await.map_err(failed("read the draft"))?;
        row.map(draft).transpose()
    }
}

impl Change {
    /// The topology that holds before the change.
    pub async fn topology(&mut self) -> Result<Published> {
        let query = sqlx::query_as::<_, Row>(NEWEST).bind(i64::MAX).bind(1i64);
        let row = query.fetch_optional(self.connection()).await.map_err(failed("read the topology"))?;
        Ok(row.map(published).transpose()?.unwrap_or_default())
    }

    /// The draft before the change.
    pub async fn draft(&mut self) -> Result<Option<Draft>> {
        let query = sqlx::query_as::<_, DraftRow>(DRAFT);
        let row = query.fetch_optional(self.connection()).await.map_err(failed("read the draft"))?;
        row.map(draft).transpose()
    }

    /// Makes this the draft.
    pub async fn put_draft(&mut self, draft: &Draft) -> Result<()> {
        sqlx::query(
            "INSERT INTO topology_drafts (id, base, topology, author, changed_at) VALUES (1, $1, $2, $3, $4) \
             ON CONFLICT (id) DO UPDATE SET base = $1, topology = $2, author = $3, changed_at = $4",
        )
        .bind(draft.base.cast_signed())
        .bind(json!(draft.topology).to_string())
        .bind(&draft.author)
        .bind(draft.at.cast_signed())
        .execute(self.connection())
        .await
        .map_err(failed("write the draft"))?;
        Ok(())
    }

    /// Takes the draft away.
    pub async fn delete_draft(&mut self) -> Result<()> {
        let query = sqlx::query("DELETE FROM topology_drafts");
        query.execute(self.connection()).await.map_err(failed("delete the draft"))?;
        Ok(())
    }

    /// Makes this topology the one that holds, and gives it the next version.
    pub async fn publish_topology(
        &mut self,
        by: &Actor,
        topology: Topology,
        note: String,
        copy_of: Option<u64>,
    ) -> Result<Published> {
        let version = self.topology().await?.version + 1;
        let (author, at) = (by.name.clone(), self.at());
        let published = Published { version, topology, note, author, at, copy_of };
        sqlx::query(
            "INSERT INTO topologies (version, topology, note, author, published_at, copy_of) \
             VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(version.cast_signed())
        .bind(json!(published.topology).to_string())
        .bind(&published.note)
        .bind(&published.author)
        .bind(at.cast_signed())
        .bind(copy_of.map(u64::cast_signed))
        .execute(self.connection())
        .await
        .map_err(failed("publish a topology"))?;
        let query =
            sqlx::query("DELETE FROM topologies WHERE version <= $1").bind(version.cast_signed() - KEPT);
        query.execute(self.connection()).await.map_err(failed("publish a topology"))?;
        Ok(published)
    }
}

fn published((version, text, note, author, at, copy_of): Row) -> Result<Published> {
    Ok(Published {
        version: version.cast_unsigned(),
        topology: topology(&text)?,
        note,
        author,
        at: at.cast_unsigned(),
        copy_of: copy_of.map(i64::cast_unsigned),
    })
}

fn draft((base, text, author, at): DraftRow) -> Result<Draft> {
    Ok(Draft { base: base.cast_unsigned(), topology: topology(&text)?, author, at: at.cast_unsigned() })
}

fn topology(text: &str) -> Result<Topology> {
    serde_json::from_str(text).map_err(|_| damaged("a topology", text))
}

/// How many versions one can go back to.
const KEPT: i64 = 1000;
