//! Nodes in the store.

use nearcast_api::NodeId;
use nearcast_api::node::Spec;

use super::audit::Change;
use super::{Store, damaged, failed};
use crate::error::Result;
use crate::fleet::Known;

impl Store {
    /// All nodes by id.
    pub async fn nodes(&self) -> Result<Vec<Known>> {
        let query =
            sqlx::query_as::<_, (String, i64, i64)>("SELECT spec, drain, down FROM nodes ORDER BY id");
        let rows = query.fetch_all(&self.pool).await.map_err(failed("read the nodes"))?;
        let known = |(spec, drain, down): (String, i64, i64)| {
            let spec = serde_json::from_str(&spec).map_err(|_| damaged("a node", &spec))?;
            Ok(Known { spec, drain: drain != 0, down: down != 0 })
        };
        rows.into_iter().map(known).collect()
    }

    /// Adds a node or changes what it says of itself.
    pub async fn put_node(&self, spec: &Spec) -> Result<()> {
        let text = serde_json::to_string(spec).map_err(|_| damaged("a node", spec.id.as_str()))?;
        let failed = || failed("remember a node");
        let mut transaction = self.pool.begin().await.map_err(failed())?;
        sqlx::query("INSERT INTO nodes (id, spec) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET spec = excluded.spec")
            .bind(spec.id.as_str())
            .bind(text)
            .execute(&mut *transaction)
            .await
            .map_err(failed())?;
        if let Some(shared) = &self.shared {
            shared.changed(&mut transaction).await?;
        }
        transaction.commit().await.map_err(failed())
    }

    /// Remembers whether a node was last seen down.
    pub async fn set_node_down(&self, id: &NodeId, down: bool) -> Result<()> {
        sqlx::query("UPDATE nodes SET down = $2 WHERE id = $1")
            .bind(id.as_str())
            .bind(i64::from(down))
            .execute(&self.pool)
            .await
            .map_err(failed("remember a node's health"))?;
        Ok(())
    }
}

impl Change {
    /// Remembers that an operator started or ended a node's drain.
    pub async fn set_node_drain(&mut self, id: &NodeId, drain: bool) -> Result<()> {
        sqlx::query("UPDATE nodes SET drain = $2 WHERE id = $1")
            .bind(id.as_str())
            .bind(i64::from(drain))
            .execute(self.connection())
            .await
            .map_err(failed("remember a drain"))?;
        Ok(())
    }

    /// Forgets a node.
    pub async fn delete_node(&mut self, id: &NodeId) -> Result<()> {
        let query = sqlx::query("DELETE FROM nodes WHERE id = $1").bind(id.as_str());
        query.execute(self.connection()).await.map_err(failed("forget a node"))?;
        let query = sqlx::query("DELETE FROM beats WHERE node = $1").bind(id.as_str());
        query.execute(self.connection()).await.map_err(failed("forget a node"))?;
        Ok(())
    }
}
