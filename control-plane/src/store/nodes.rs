//! Nodes in the store.

use nearcast_api::NodeId;
use nearcast_api::node::{Spec, Status};

use super::audit::Change;
use super::deliveries::queue;
use super::{Store, damaged, failed};
use crate::error::Result;
use crate::fleet::Known;
use crate::webhooks::{About, Event, Kind, watch};

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

    /// Adds a node, which webhooks are told of, or changes what it says of itself, at `at` (milliseconds since the Unix epoch).
    pub async fn put_node(&self, spec: &Spec, at: u64) -> Result<()> {
        let text = serde_json::to_string(spec).map_err(|_| damaged("a node", spec.id.as_str()))?;
        let failed = || failed("remember a node");
        let mut transaction = self.pool.begin().await.map_err(failed())?;
        let added = sqlx::query("INSERT INTO nodes (id, spec) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING");
        let added =
            added.bind(spec.id.as_str()).bind(&text).execute(&mut *transaction).await.map_err(failed())?;
        let mut queued = false;
        if added.rows_affected() == 1 {
            let event = Event::new(Kind::NodeRegistered, &format!("{} {at}", spec.id), at, About::node(spec));
            queued = queue(&mut transaction, &event, at, None).await?;
        } else {
            let query =
                sqlx::query("UPDATE nodes SET spec = $2 WHERE id = $1").bind(spec.id.as_str()).bind(text);
            query.execute(&mut *transaction).await.map_err(failed())?;
        }
        if let Some(shared) = &self.shared {
            shared.changed(&mut transaction).await?;
        }
        transaction.commit().await.map_err(failed())?;
        if queued {
            self.bell.notify_one();
        }
        Ok(())
    }

    /// Remembers how a node is, and queues what webhooks are to be told of it, unless another instance was first: `before` is
    /// what this one has seen of it last.
    pub async fn set_node_status(
        &self,
        spec: &Spec,
        before: Option<Status>,
        status: Status,
        at: u64,
    ) -> Result<()> {
        let failed = || failed("remember a node's health");
        let event = watch::node(spec, status, at);
        let mut transaction = self.pool.begin().await.map_err(failed())?;
        // Who is late has seen less than what is there: what it has to tell was told.
        let query = sqlx::query(
            "UPDATE nodes SET down = $2, announced = $3 WHERE id = $1 AND announced <> $3 AND announced IN ('', $4)",
        );
        let before = before.map_or("", |before| Kind::from(before).as_str());
        let query = query.bind(spec.id.as_str()).bind(i64::from(status == Status::Down));
        let query = query.bind(event.kind.as_str()).bind(before);
        let is_news = query.execute(&mut *transaction).await.map_err(failed())?.rows_affected() == 1;
        let queued = is_news && queue(&mut transaction, &event, at, None).await?;
        transaction.commit().await.map_err(failed())?;
        if queued {
            self.bell.notify_one();
        }
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
