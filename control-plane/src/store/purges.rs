//! Purges in the store, so that an edge that was away across a restart hears of them.

use nearcast_api::purge::{Order, Purge, Purges};

use super::audit::Change;
use super::{Store, damaged, failed};
use crate::error::Result;

impl Store {
    /// The newest purges.
    pub async fn purges(&self) -> Result<Purges> {
        let query = sqlx::query_as::<_, (i64, String)>("SELECT id, purge FROM purges ORDER BY id");
        let rows = query.fetch_all(&self.pool).await.map_err(failed("read the purges"))?;
        let mut purges = Purges::default();
        for (id, text) in rows {
            let order = serde_json::from_str(&text).map_err(|_| damaged("a purge", &text))?;
            purges.push(Purge { id: id.cast_unsigned(), order });
        }
        Ok(purges)
    }
}

impl Change {
    /// Adds a purge and forgets the oldest. One more than nodes are told is kept, to know which was the last to leave.
    /// Its id is `least`, or more where that has been used.
    pub async fn add_purge(&mut self, least: u64, order: Order) -> Result<Purge> {
        let newest = sqlx::query_scalar::<_, Option<i64>>("SELECT max(id) FROM purges");
        let newest = newest.fetch_one(self.connection()).await.map_err(failed("remember a purge"))?;
        let id = newest.map_or(least, |newest| least.max(newest.cast_unsigned() + 1));
        let text = serde_json::to_string(&order).map_err(|_| damaged("a purge", &id.to_string()))?;
        sqlx::query("INSERT INTO purges (id, purge) VALUES ($1, $2)")
            .bind(id.cast_signed())
            .bind(text)
            .execute(self.connection())
            .await
            .map_err(failed("remember a purge"))?;
        sqlx::query(
            "DELETE FROM purges WHERE id <= (SELECT id FROM purges ORDER BY id DESC LIMIT 1 OFFSET $1)",
        )
        .bind(Purges::MAX as i64 + 1)
        .execute(self.connection())
        .await
        .map_err(failed("remember a purge"))?;
        Ok(Purge { id, order })
    }
}
