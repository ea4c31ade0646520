//! What is to be told to webhooks' receivers, in the store: queued with what happened, taken by one instance at a time.

use serde::{Deserialize, Serialize};
use sqlx::AnyConnection;
use utoipa::ToSchema;

use super::audit::Change;
use super::{Store, damaged, failed, webhooks};
use crate::error::{Error, Result};
use crate::webhooks::{About, Event, Kind};

/// Something that is to be told to one receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    pub webhook: String,
    /// The event's id.
    pub event: String,
    /// The event's type.
    pub kind: String,
    /// As it is sent.
    pub body: String,
    pub state: Outcome,
    /// Those that were begun.
    pub attempts: u32,
    /// Milliseconds since the Unix epoch, as all times here.
    pub created_at: u64,
    /// When the next attempt begins.
    pub due_at: u64,
    /// When it was delivered or given up.
    pub done_at: Option<u64>,
    /// How the last attempt ended.
    pub status: Option<u16>,
    pub error: Option<String>,
    pub answer: Option<String>,
}

/// What has become of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = WebhookDeliveryState)]
pub enum Outcome {
    /// For its first or next attempt.
    Waiting,
    /// The receiver has it. It is forgotten after 3 days.
    Delivered,
    /// It was given up. It is forgotten after 30 days.
    Dead,
}

/// What [`Store::tidy`] has found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Tidied {
    /// Webhooks with too much, and how many of their deliveries were given up.
    pub overflowed: Vec<(String, u64)>,
    pub waiting: i64,
    pub dead: i64,
}

impl Outcome {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Delivered => "delivered",
            Self::Dead => "dead",
        }
    }
}

/// Queues an event for all webhooks that want it, or for `only` one. True when any did that had it not yet.
pub(super) async fn queue(
    connection: &mut AnyConnection,
    event: &Event,
    due_at: u64,
    only: Option<&str>,
) -> Result<bool> {
    // What belongs to no channel is not for those that are limited to some: no list has a nameless one.
    let channel = event.channel().map_or("\"\"".to_owned(), |channel| format!("\"{channel}\""));
    let queued = sqlx::query(
        "INSERT INTO webhook_deliveries (webhook, event, kind, body, state, attempts, created_at, due_at) \
         SELECT id, $1, $2, $3, 'waiting', 0, $4, $5 FROM webhooks WHERE enabled = 1 AND (id = $8 OR ($8 = '' \
         AND (events = '[]' OR replace(events, $6, '') <> events) \
         AND (channels = '[]' OR replace(channels, $7, '') <> channels))) ON CONFLICT (webhook, event) DO NOTHING",
    )
        .bind(&event.id)
        .bind(event.kind.as_str())
        .bind(event.body())
        .bind(event.at.cast_signed())
        .bind(due_at.cast_signed())
        .bind(format!("\"{}\"", event.kind))
        .bind(channel)
        .bind(only.unwrap_or_default())
        .execute(connection)
        .await
        .map_err(failed("queue what webhooks are told"))?;
    Ok(queued.rows_affected() > 0)
}

/// Takes an event back that has not been told yet.
pub(super) async fn unqueue(connection: &mut AnyConnection, event: &Event) -> Result<()> {
    sqlx::query("DELETE FROM webhook_deliveries WHERE event = $1 AND state = 'waiting' AND attempts = 0")
        .bind(&event.id)
        .execute(connection)
        .await
        .map_err(failed("take back what webhooks are told"))?;
    Ok(())
}

/// An event that waits is told right before what happens at `at`.
pub(super) async fn hasten(connection: &mut AnyConnection, event: &str, at: u64) -> Result<()> {
    sqlx::query(
        "UPDATE webhook_deliveries SET due_at = $2 WHERE event = $1 AND state = 'waiting' AND attempts = 0 AND due_at > $2",
    )
    .bind(event)
    .bind(at.saturating_sub(1).cast_signed())
    .execute(connection)
    .await
    .map_err(failed("hasten what webhooks are told"))?;
    Ok(())
}

macro_rules! columns {
    () => {
        "webhook, event, kind, body, state, attempts, created_at, due_at, done_at, status, error, answer"
    };
}
#[derive(sqlx::FromRow)]
struct Row {
    webhook: String,
    event: String,
    kind: String,
    body: String,
    state: String,
    attempts: i64,
    created_at: i64,
    due_at: i64,
    done_at: Option<i64>,
    status: Option<i64>,
    error: Option<String>,
    answer: Option<String>,
}

impl Store {
    /// Completes when something was queued here since the last time.
    pub async fn queued(&self) {
        self.bell.notified().await;
    }

    /// Webhooks that are enabled and for which something waits, and since or until when: who has waited longest first.
    pub async fn due(&self) -> Result<Vec<(String, u64)>> {
        let query = sqlx::query_as::<_, (String, Option<i64>)>(
            "SELECT id, (SELECT min(due_at) FROM webhook_deliveries WHERE webhook = webhooks.id AND state = 'waiting') \
             FROM webhooks WHERE enabled = 1",
        );
        let rows = query.fetch_all(&self.pool).await.map_err(failed("look what webhooks are to be told"))?;
        let due = rows.into_iter().filter_map(|(id, due_at)| Some((id, due_at?.cast_unsigned())));
        let mut due: Vec<_> = due.collect();
        due.sort_by_key(|(_, at)| *at);
        Ok(due)
    }

    /// Takes at most `most` of a webhook's deliveries that are due at `now`. Nobody else takes them before `until`, and
    /// whoever does then counts another attempt.
    pub async fn take(&self, webhook: &str, now: u64, until: u64, most: u32) -> Result<Vec<Delivery>> {
        let query = sqlx::query_as::<_, Row>(concat!(
            "UPDATE webhook_deliveries SET attempts = attempts + 1, due_at = $3 \
             WHERE webhook = $1 AND state = 'waiting' AND due_at <= $2 AND event IN \
             (SELECT event FROM webhook_deliveries WHERE webhook = $1 AND state = 'waiting' AND due_at <= $2 \
             ORDER BY due_at, event LIMIT $4) RETURNING ",
            columns!()
        ));
        let query =
            query.bind(webhook).bind(now.cast_signed()).bind(until.cast_signed()).bind(i64::from(most));
        let rows = query.fetch_all(&self.pool).await.map_err(failed("take what webhooks are to be told"))?;
        rows.into_iter().map(delivery).collect()
    }

    /// Writes down how the attempt ended that `delivery` was taken for, unless another has begun since.
    pub async fn settle(
        &self,
        delivery: &Delivery,
        outcome: Outcome,
        due_at: u64,
        now: u64,
        (status, error, answer): (Option<u16>, Option<String>, String),
    ) -> Result<()> {
        sqlx::query(
            "UPDATE webhook_deliveries SET state = $4, due_at = $5, done_at = $6, status = $7, error = $8, answer = $9 \
             WHERE webhook = $1 AND event = $2 AND attempts = $3 AND state = 'waiting'",
        )
        .bind(&delivery.webhook)
        .bind(&delivery.event)
        .bind(i64::from(delivery.attempts))
        .bind(outcome.as_str())
        .bind(due_at.cast_signed())
        .bind((outcome != Outcome::Waiting).then_some(now.cast_signed()))
        .bind(status.map(i64::from))
        .bind(error)
        .bind(answer)
        .execute(&self.pool)
        .await
        .map_err(failed("remember a delivery"))?;
        Ok(())
    }

    /// A webhook's deliveries, the newest first: at most `limit` of those before the time and event of `before`.
    pub async fn deliveries(
        &self,
        webhook: &str,
        state: Option<Outcome>,
        before: Option<(u64, &str)>,
        limit: usize,
    ) -> Result<Vec<Delivery>> {
        let (at, event) = before.unwrap_or((u64::MAX >> 1, ""));
        let query = sqlx::query_as::<_, Row>(concat!(
            "SELECT ",
            columns!(),
            " FROM webhook_deliveries WHERE webhook = $1 AND ($2 = '' OR state = $2) \
             AND (created_at < $3 OR (created_at = $3 AND event < $4)) ORDER BY created_at DESC, event DESC LIMIT $5"
        ));
        let query = query
            .bind(webhook)
            .bind(state.map_or("", Outcome::as_str))
            .bind(i64::try_from(at).unwrap_or(i64::MAX))
            .bind(event)
            .bind(i64::try_from(limit).unwrap_or(i64::MAX));
        let rows = query.fetch_all(&self.pool).await.map_err(failed("read a webhook's deliveries"))?;
        rows.into_iter().map(delivery).collect()
    }

    /// Removes what was delivered three days ago or given up thirty days ago, gives up the oldest where too much waits, and
    /// counts what is left.
    pub async fn tidy(&self, now: u64) -> Result<Tidied> {
        self.tidy_above(now, MAX_WAITING).await
    }

    pub(super) async fn tidy_above(&self, now: u64, most: i64) -> Result<Tidied> {
        let failed = || failed("tidy up what webhooks were told");
        sqlx::query(
            "DELETE FROM webhook_deliveries WHERE (state = 'delivered' AND done_at < $1) OR (state = 'dead' AND done_at < $2) \
             OR (state = 'waiting' AND created_at < $2)",
        )
        .bind(now.saturating_sub(DELIVERED_FOR).cast_signed())
        .bind(now.saturating_sub(DEAD_FOR).cast_signed())
        .execute(&self.pool)
        .await
        .map_err(failed())?;
        let query = sqlx::query_as::<_, (String, String, i64)>(
            "SELECT webhook, state, count(*) FROM webhook_deliveries WHERE state <> 'delivered' GROUP BY webhook, state",
        );
        let mut tidied = Tidied::default();
        for (webhook, state, count) in query.fetch_all(&self.pool).await.map_err(failed())? {
            if state == Outcome::Dead.as_str() {
                tidied.dead += count;
                continue;
            }
            tidied.waiting += count.min(most);
            if count > most {
                let given_up = self.give_up(&webhook, now, most).await?;
                tidied.dead += given_up.cast_signed();
                tidied.overflowed.push((webhook, given_up));
            }
        }
        Ok(tidied)
    }

    /// Leaves the newest `most` that wait.
    async fn give_up(&self, webhook: &str, now: u64, most: i64) -> Result<u64> {
        let query = sqlx::query(
            "UPDATE webhook_deliveries SET state = 'dead', done_at = $2, error = $3 \
             WHERE webhook = $1 AND state = 'waiting' AND event IN (SELECT event FROM webhook_deliveries \
             WHERE webhook = $1 AND state = 'waiting' ORDER BY created_at DESC, event DESC LIMIT $5 OFFSET $4)",
        );
        let query = query.bind(webhook).bind(now.cast_signed()).bind(OVERFLOW).bind(most).bind(i64::MAX);
        let done = query.execute(&self.pool).await.map_err(failed("give up what a webhook is not told"))?;
        Ok(done.rows_affected())
    }
}

impl Change {
    fn event(&self, kind: Kind, about: About) -> Event {
        Event::new(kind, &self.occasion(), self.at(), about)
    }

    /// Queues what this change is to the receivers of webhooks.
    pub async fn tell(&mut self, kind: Kind, about: About) -> Result<()> {
        let event = self.event(kind, about);
        self.queued |= queue(self.connection(), &event, event.at, None).await?;
        Ok(())
    }

    /// Queues a test for one webhook; gives the event's id.
    pub async fn tell_test(&mut self, webhook: &str) -> Result<String> {
        let event = self.event(Kind::Test, About::test(webhook));
        self.queued |= queue(self.connection(), &event, event.at, Some(webhook)).await?;
        Ok(event.id)
    }

    /// Lets a delivery begin anew, whatever has become of it.
    pub async fn retry_delivery(&mut self, webhook: &str, event: &str) -> Result<Delivery> {
        let query = sqlx::query_as::<_, Row>(concat!(
            "UPDATE webhook_deliveries SET state = 'waiting', attempts = 0, due_at = $3, done_at = NULL \
             WHERE webhook = $1 AND event = $2 RETURNING ",
            columns!()
        ));
        let query = query.bind(webhook).bind(event).bind(self.at().cast_signed());
        let row = query.fetch_optional(self.connection()).await.map_err(failed("try a delivery again"))?;
        let missing =
            || Error::NoDelivery { webhook: webhook.to_owned(), id: event.chars().take(64).collect() };
        self.queued = true;
        delivery(row.ok_or_else(missing)?)
    }

    /// The delivery of an event that this change has queued.
    pub async fn delivery(&mut self, webhook: &str, event: &str) -> Result<Delivery> {
        let query = sqlx::query_as::<_, Row>(concat!(
            "SELECT ",
            columns!(),
            " FROM webhook_deliveries WHERE webhook = $1 AND event = $2"
        ));
        let row = query.bind(webhook).bind(event).fetch_optional(self.connection()).await;
        delivery(row.map_err(failed("read a delivery"))?.ok_or_else(|| webhooks::missing(webhook))?)
    }
}

fn delivery(row: Row) -> Result<Delivery> {
    let Row { webhook, event, kind, body, error, answer, .. } = row;
    let states = [Outcome::Waiting, Outcome::Delivered, Outcome::Dead];
    let state = states.into_iter().find(|state| state.as_str() == row.state);
    Ok(Delivery {
        state: state.ok_or_else(|| damaged("a delivery", &event))?,
        webhook,
        event,
        kind,
        body,
        attempts: u32::try_from(row.attempts).unwrap_or(u32::MAX),
        created_at: row.created_at.cast_unsigned(),
        due_at: row.due_at.cast_unsigned(),
        done_at: row.done_at.map(i64::cast_unsigned),
        status: row.status.and_then(|status| u16::try_from(status).ok()),
        error,
        answer,
    })
}

const OVERFLOW: &str = "more than 10,000 newer ones wait: the receiver takes too few";
/// Of one webhook: a receiver that was away for a day gets all, and one that is gone costs megabytes at most.
const MAX_WAITING: i64 = 10_000;
const DAY: u64 = 24 * 3600 * 1000;
/// In milliseconds: for people who look why a receiver did what it did.
const DELIVERED_FOR: u64 = 3 * DAY;
/// In milliseconds: for people who come back from a holiday.
const DEAD_FOR: u64 = 30 * DAY;
