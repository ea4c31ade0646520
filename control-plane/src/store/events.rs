//! What happened to publishers, in the store: an operator looks after it went wrong, often after a restart.

use nearcast_api::ingest::{Event, Events};
use nearcast_api::{ChannelId, NodeId};

use super::{Store, damaged, failed};
use crate::error::Result;

impl Store {
    /// Remembers what an origin tells, each event once however often it is told. Those of channels that do not exist
    /// are passed over; of each channel the newest [`KEPT`] stay.
    pub async fn add_events(&self, node: &NodeId, Events { epoch, events }: &Events) -> Result<()> {
        let failed = || failed("remember what happened to publishers");
        let mut transaction = self.pool.begin().await.map_err(failed())?;
        for event in events {
            let text =
                serde_json::to_string(event).map_err(|_| damaged("an event", event.channel.as_str()))?;
            // First, so that two who tell at once do not take the same number.
            let number = sqlx::query_scalar::<_, i64>(
                "UPDATE counters SET value = value + 1 WHERE name = 'ingest_event' RETURNING value",
            );
            let number = number.fetch_one(&mut *transaction).await.map_err(failed())?;
            let added = sqlx::query(
                "INSERT INTO ingest_events (id, channel_id, node, epoch, seq, event) \
                 SELECT $6, id, $2, $3, $4, $5 FROM channels WHERE id = $1 ON CONFLICT (node, epoch, seq) DO NOTHING",
            )
            .bind(event.channel.as_str())
            .bind(node.as_str())
            .bind(epoch.cast_signed())
            .bind(event.seq.cast_signed())
            .bind(text)
            .bind(number);
            if added.execute(&mut *transaction).await.map_err(failed())?.rows_affected() == 0 {
                continue;
            }
            sqlx::query(
                "DELETE FROM ingest_events WHERE channel_id = $1 AND id <= \
                 (SELECT id FROM ingest_events WHERE channel_id = $1 ORDER BY id DESC LIMIT 1 OFFSET $2)",
            )
            .bind(event.channel.as_str())
            .bind(KEPT)
            .execute(&mut *transaction)
            .await
            .map_err(failed())?;
        }
        transaction.commit().await.map_err(failed())
    }

    /// Events of a channel with their numbers and the origin that told them, oldest first: the first `limit` behind
    /// number `after`, or the newest ones.
    pub async fn events(
        &self,
        channel: &ChannelId,
        after: Option<u64>,
        limit: u32,
    ) -> Result<Vec<(u64, String, Event)>> {
        let query = match after {
            Some(_) => {
                "SELECT id, node, event FROM ingest_events WHERE channel_id = $1 AND id > $2 ORDER BY id LIMIT $3"
            }
            None => {
                "SELECT id, node, event FROM (SELECT id, node, event FROM ingest_events \
                 WHERE channel_id = $1 AND id > $2 ORDER BY id DESC LIMIT $3) AS newest ORDER BY id"
            }
        };
        let query = sqlx::query_as::<_, (i64, String, String)>(query)
            .bind(channel.as_str())
            .bind(after.map_or(-1, |after| i64::try_from(after).unwrap_or(i64::MAX)))
            .bind(i64::from(limit));
        let rows = query.fetch_all(&self.pool).await.map_err(failed("read what happened to publishers"))?;
        let read = |(id, node, event): (i64, String, String)| {
            let event = serde_json::from_str(&event).map_err(|_| damaged("an event", &event))?;
            Ok((id.cast_unsigned(), node, event))
        };
        rows.into_iter().map(read).collect()
    }
}

/// Of each channel: weeks of good ones, and a day of a bad one.
const KEPT: i64 = 500;
