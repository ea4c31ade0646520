//! What the instances on one PostgreSQL tell each other: that something has changed, what nodes say to whom, and what is
//! for nodes of others. On SQLite there is one instance, and nothing of this.

use nearcast_api::NodeId;
use nearcast_api::metadata::Command;
use nearcast_api::node::Heartbeat;
use serde_json::{Value, json};
use sqlx::postgres::PgListener;
use sqlx::{AnyConnection, AssertSqlSafe, Executor};
use url::Url;

use super::{Store, damaged, failed};
use crate::error::Result;
use crate::keys;

/// This process among those that share a database.
pub(super) struct Shared {
    url: Url,
    /// Its name, which no other has or has had.
    instance: String,
}

/// Hears what others have changed.
pub struct Listener {
    inner: PgListener,
    instance: String,
}

/// What a node said to another instance.
#[derive(Debug)]
pub struct Heard {
    pub node: NodeId,
    /// By the database's clock, in milliseconds: the same for the same heartbeat.
    pub at: i64,
    /// Milliseconds ago.
    pub age: u64,
    pub beat: Heartbeat,
}

impl Shared {
    pub(super) fn new(url: Url) -> Self {
        Self { url, instance: keys::random_id() }
    }

    /// Tells the others, when the connection's transaction is committed.
    pub(super) async fn changed(&self, connection: &mut AnyConnection) -> Result<()> {
        // NOTIFY takes no parameters; what is said is a word of ours.
        let statement = AssertSqlSafe(format!("NOTIFY {CHANNEL}, '{}'", self.instance));
        connection.execute(statement).await.map_err(failed("tell the other instances"))?;
        Ok(())
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("instance", &self.instance).finish_non_exhaustive()
    }
}

impl Store {
    /// Whether other instances may share the database.
    pub fn is_shared(&self) -> bool {
        self.shared.is_some()
    }

    /// The secret of this name that all instances have: `candidate`, unless there is one. On SQLite it stays that.
    pub async fn secret(&self, name: &str, candidate: String) -> Result<String> {
        if !self.is_shared() {
            return Ok(candidate);
        }
        self.kept_secret(name, candidate).await
    }

    /// The secret of this name that was kept first: `candidate`, unless there is one.
    pub async fn kept_secret(&self, name: &str, candidate: String) -> Result<String> {
        let kept =
            sqlx::query("INSERT INTO secrets (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING");
        let kept = kept.bind(name).bind(candidate).execute(&self.pool).await;
        kept.map_err(failed("keep a secret"))?;
        let query = sqlx::query_scalar::<_, String>("SELECT value FROM secrets WHERE name = $1").bind(name);
        query.fetch_one(&self.pool).await.map_err(failed("read a secret"))
    }

    /// Begins to hear of changes, where there may be others.
    pub async fn listen(&self) -> Result<Option<Listener>> {
        let Some(shared) = &self.shared else { return Ok(None) };
        let failed = || failed("listen to the other instances");
        let mut inner = PgListener::connect(shared.url.as_str()).await.map_err(failed())?;
        inner.listen(CHANNEL).await.map_err(failed())?;
        Ok(Some(Listener { inner, instance: shared.instance.clone() }))
    }

    /// Tells the others what nodes have said here.
    pub async fn share_beats(&self, beats: &[(NodeId, Heartbeat)]) -> Result<()> {
        let Some(shared) = self.shared.as_ref().filter(|_| !beats.is_empty()) else { return Ok(()) };
        let text = |beat: &Heartbeat| serde_json::to_string(beat).unwrap_or_default();
        let beats: Value =
            beats.iter().map(|(node, beat)| json!({ "node": node, "beat": text(beat) })).collect();
        sqlx::query(
            "INSERT INTO beats (node, instance, heard_at, beat) \
             SELECT one->>'node', $2, (extract(epoch FROM clock_timestamp()) * 1000)::BIGINT, one->>'beat' \
             FROM jsonb_array_elements($1::JSONB) AS one \
             ON CONFLICT (node) DO UPDATE SET instance = excluded.instance, heard_at = excluded.heard_at, \
             beat = excluded.beat",
        )
        .bind(beats.to_string())
        .bind(&shared.instance)
        .execute(&self.pool)
        .await
        .map_err(failed("tell the other instances of nodes"))?;
        Ok(())
    }

    /// What nodes have said to others in the last `span` milliseconds.
    pub async fn beats_of_others(&self, span: u64) -> Result<Vec<Heard>> {
        let Some(shared) = &self.shared else { return Ok(Vec::new()) };
        let query = sqlx::query_as::<_, (String, i64, i64, String)>(
            "SELECT node, heard_at, now.at - heard_at, beat FROM beats, \
             (SELECT (extract(epoch FROM clock_timestamp()) * 1000)::BIGINT AS at) AS now \
             WHERE instance <> $1 AND heard_at > now.at - $2",
        );
        let query = query.bind(&shared.instance).bind(span.cast_signed());
        let rows = query.fetch_all(&self.pool).await.map_err(failed("hear of the other instances' nodes"))?;
        let heard = |(node, at, age, beat): (String, i64, i64, String)| {
            let node = node.parse().map_err(|_| damaged("a node", &node))?;
            let beat = serde_json::from_str(&beat).map_err(|_| damaged("a heartbeat", &beat))?;
            Ok(Heard { node, at, age: u64::try_from(age).unwrap_or(0), beat })
        };
        rows.into_iter().map(heard).collect()
    }

    /// Leaves a command for the instance that the node talks to. False when as many as `max` wait for it already.
    pub async fn send_command(&self, node: &NodeId, command: &Command, max: usize) -> Result<bool> {
        let failed = || failed("hand metadata over");
        let text = serde_json::to_string(command).map_err(|_| damaged("metadata", node.as_str()))?;
        let mut transaction = self.pool.begin().await.map_err(failed())?;
        let number = sqlx::query_scalar::<_, i64>(
            "UPDATE counters SET value = value + 1 WHERE name = 'command' RETURNING value",
        );
        let number = number.fetch_one(&mut *transaction).await.map_err(failed())?;
        let sent = sqlx::query(
            "INSERT INTO commands (id, node, at, command) \
             SELECT $1, $2, (extract(epoch FROM clock_timestamp()) * 1000)::BIGINT, $3 \
             WHERE (SELECT count(*) FROM commands WHERE node = $2) < $4",
        )
        .bind(number)
        .bind(node.as_str())
        .bind(text)
        .bind(i64::try_from(max).unwrap_or(i64::MAX))
        .execute(&mut *transaction)
        .await
        .map_err(failed())?;
        if sent.rows_affected() == 0 {
            return Ok(false);
        }
        transaction.commit().await.map_err(failed())?;
        Ok(true)
    }

    /// Takes the commands for nodes that talk to this instance, oldest first. Those that nobody takes for `life`
    /// milliseconds are given up.
    pub async fn take_commands(&self, life: u64) -> Result<Vec<(NodeId, Command)>> {
        let Some(shared) = &self.shared else { return Ok(Vec::new()) };
        let failed = || failed("take metadata over");
        let old = sqlx::query(
            "DELETE FROM commands WHERE at < (extract(epoch FROM clock_timestamp()) * 1000)::BIGINT - $1",
        );
        let given_up =
            old.bind(life.cast_signed()).execute(&self.pool).await.map_err(failed())?.rows_affected();
        if given_up > 0 {
            tracing::warn!(given_up, "metadata was given up: its origin talked to nobody");
        }
        let query = sqlx::query_as::<_, (i64, String, String)>(
            "DELETE FROM commands WHERE node IN (SELECT node FROM beats WHERE instance = $1) \
             RETURNING id, node, command",
        );
        let mut rows = query.bind(&shared.instance).fetch_all(&self.pool).await.map_err(failed())?;
        rows.sort_unstable();
        let command = |(_, node, command): (i64, String, String)| {
            let node = node.parse().map_err(|_| damaged("a node", &node))?;
            let command = serde_json::from_str(&command).map_err(|_| damaged("metadata", &command))?;
            Ok((node, command))
        };
        rows.into_iter().map(command).collect()
    }
}

impl Listener {
    /// Returns when another instance has changed something, or may have while this one could not hear. What came in behind
    /// that is taken with it: hundreds of nodes may register at once.
    pub async fn changed(&mut self) -> Result<()> {
        loop {
            let first = self.inner.try_recv().await.map_err(failed("listen to the other instances"))?;
            // None after the connection was lost: it is there again, and what was said meanwhile is not.
            let mut changed = first.is_none();
            for said in first.into_iter().chain(std::iter::from_fn(|| self.inner.next_buffered())) {
                changed |= said.payload() != self.instance;
            }
            if changed {
                return Ok(());
            }
        }
    }
}

const CHANNEL: &str = "nearcast";
