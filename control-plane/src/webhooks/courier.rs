//! Delivers what waits in the store: takes what is due, sends it, and writes down what came of it.
//!
//! Several instances do so beside each other: what one has taken no other takes until its time for that is over.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use nearcast_service::daemon::Daemon;
use nearcast_service::drain::Drain;
use nearcast_service::log::Chain;
use tokio::sync::Semaphore;

use super::slots::Slots;
use super::{Answered, Config, Metrics, Post, Verdict, schedule};
use crate::access::Actor;
use crate::error::Result;
use crate::plane::unix_millis;
use crate::store::{Delivery, Outcome, Store, StoredWebhook};

/// Starts the task that delivers, until draining begins.
///
/// # Errors
/// The file of trusted authorities cannot be used.
pub fn start(config: &Config, store: Store, daemon: &Daemon) -> Result<()> {
    let metrics = Metrics::register(&daemon.metrics);
    let courier = Courier::new(Post::new(config)?, store, metrics, daemon.drain.clone());
    daemon.drain.spawn("webhooks", courier.run());
    Ok(())
}

/// The shell around schedule and slots.
#[derive(Debug)]
pub(super) struct Courier {
    post: Post,
    store: Store,
    metrics: Metrics,
    drain: Drain,
    slots: Slots,
    /// Whose turn it is to write down how an attempt ended: the store has few connections, and others wait for them.
    settling: Arc<Semaphore>,
}

/// A delivery that is under way; ends with its webhook's id.
pub(super) type Flight = BoxFuture<'static, String>;

impl Courier {
    pub(super) fn new(post: Post, store: Store, metrics: Metrics, drain: Drain) -> Self {
        Self { post, store, metrics, drain, slots: Slots::default(), settling: Arc::new(Semaphore::new(1)) }
    }

    async fn run(mut self) {
        let drain = self.drain.clone();
        let mut flights = FuturesUnordered::new();
        let (mut failing, mut tidy_at) = (false, 0);
        while !drain.is_draining() {
            let now = unix_millis();
            let looked = async {
                if tidy_at <= now {
                    self.tidy(now).await?;
                    tidy_at = now + TIDY;
                }
                self.take(now, &mut flights).await?;
                self.wait(now).await
            };
            let wait = match looked.await {
                Ok(wait) => {
                    failing = false;
                    wait
                }
                Err(error) => {
                    if !std::mem::replace(&mut failing, true) {
                        tracing::warn!("webhooks wait until the database answers: {}", Chain(&error));
                    }
                    LOOK
                }
            };
            let queued = self.store.queued();
            tokio::select! {
                () = drain.draining() => break,
                () = queued => {}
                () = tokio::time::sleep(wait) => {}
                Some(webhook) = flights.next(), if !flights.is_empty() => {
                    self.slots.give(&webhook);
                    // Those that are over as well need no look of their own.
                    while let Some(Some(webhook)) = flights.next().now_or_never() {
                        self.slots.give(&webhook);
                    }
                }
            }
        }
        while flights.next().await.is_some() {}
    }

    /// Takes what is due at `now` (milliseconds since the Unix epoch), as far as there are places.
    pub(super) async fn take(&mut self, now: u64, flights: &mut impl Extend<Flight>) -> Result<()> {
        let mut due = self.store.due().await?;
        due.retain(|(_, at)| *at <= now);
        self.slots.order(&mut due, |(webhook, _)| webhook);
        let mut failed = Ok(());
        for (id, _) in due {
            // What cannot be read of one webhook keeps no other waiting.
            if let Err(error) = self.take_of(&id, now, flights).await {
                failed = Err(error);
            }
        }
        failed
    }

    async fn take_of(&mut self, id: &str, now: u64, flights: &mut impl Extend<Flight>) -> Result<()> {
        let free = self.slots.free(id);
        if free == 0 {
            return Ok(());
        }
        // One that is gone by now has taken its deliveries along.
        let Some(webhook) = self.store.webhook(id).await? else { return Ok(()) };
        for delivery in self.store.take(id, now, now + LEASE, free).await? {
            self.slots.take(id);
            // A task of its own: while the courier waits for the store nobody else would see it through.
            let flight = self.drain.spawn("delivery", self.deliver(webhook.clone(), delivery, now));
            let id = id.to_owned();
            flights.extend([async move { flight.await.unwrap_or(id) }.boxed()]);
        }
        Ok(())
    }

    /// How long nothing is to be done, if nothing happens.
    async fn wait(&self, now: u64) -> Result<Duration> {
        // Who has no place waits for one of its own deliveries to end, not for time.
        let due = self.store.due().await?.into_iter().filter(|(webhook, _)| self.slots.free(webhook) > 0);
        let next = due.map(|(_, at)| Duration::from_millis(at.saturating_sub(now))).min();
        Ok(next.map_or(LOOK, |next| next.clamp(SHORTEST, LOOK)))
    }

    fn deliver(
        &self,
        webhook: StoredWebhook,
        delivery: Delivery,
        now: u64,
    ) -> impl Future<Output = String> + Send + 'static {
        let (post, store, metrics) = (self.post.clone(), self.store.clone(), self.metrics.clone());
        let (settling, drain, id) = (self.settling.clone(), self.drain.clone(), webhook.id.clone());
        let delivering = async move {
            let started = tokio::time::Instant::now();
            let answered = post.send(&webhook, &delivery, now).await;
            let took = u64::try_from(started.elapsed().as_millis()).unwrap_or_default();
            let verdict = schedule::after(delivery.attempts, &answered, rand::random());
            count(&metrics, &delivery, verdict, now + took);
            let _turn = settling.acquire().await;
            if let Err(error) = settle(&store, &webhook, &delivery, answered, verdict, now + took).await {
                // It is due again after its time is over, which is what a receiver has to expect.
                tracing::warn!(
                    webhook = webhook.id,
                    event = delivery.event,
                    "a delivery's end is not remembered: {}",
                    Chain(&error)
                );
            }
            webhook.id
        };
        async move {
            // What is cut is tried again by others, or after the next start, when its time is over.
            let cut = async {
                drain.draining().await;
                tokio::time::sleep(LANDING).await;
            };
            tokio::select! {
                id = delivering => id,
                () = cut => id,
            }
        }
    }

    /// Removes what is old, gives up what is too much, and counts the rest.
    async fn tidy(&self, now: u64) -> Result<()> {
        let tidied = self.store.tidy(now).await?;
        for (webhook, given_up) in tidied.overflowed {
            tracing::warn!(
                webhook,
                given_up,
                "too much waits for a webhook's receiver: the oldest was given up"
            );
        }
        self.metrics.waiting.set(tidied.waiting);
        self.metrics.dead.set(tidied.dead);
        Ok(())
    }
}

fn count(metrics: &Metrics, delivery: &Delivery, verdict: Verdict, now: u64) {
    if verdict == Verdict::Delivered {
        metrics.sent.inc();
        metrics.delivery_seconds.observe(now.saturating_sub(delivery.created_at) as f64 / 1000.0);
    } else {
        metrics.failed.inc();
    }
}

/// Writes down how an attempt ended.
async fn settle(
    store: &Store,
    webhook: &StoredWebhook,
    delivery: &Delivery,
    answered: Answered,
    verdict: Verdict,
    now: u64,
) -> Result<()> {
    let Answered { status, error, answer, .. } = answered;
    let why = error.clone().unwrap_or_default();
    let (state, due_at) = match verdict {
        Verdict::Delivered => (Outcome::Delivered, now),
        Verdict::Again { after } => (Outcome::Waiting, now.saturating_add(after)),
        Verdict::Dead | Verdict::Gone => (Outcome::Dead, now),
    };
    store.settle(delivery, state, due_at, now, (status, error, answer)).await?;
    let (id, event) = (&webhook.id, &delivery.event);
    match verdict {
        Verdict::Delivered => tracing::debug!(webhook = id, event, "a webhook's receiver was told"),
        Verdict::Again { after } => {
            tracing::debug!(webhook = id, event, seconds = after / 1000, "a delivery is tried again: {why}");
        }
        Verdict::Dead => tracing::warn!(webhook = id, event, "a delivery was given up: {why}"),
        Verdict::Gone => {
            let mut change =
                store.change(&Actor::own(), "changeWebhook", format!("webhooks/{id}"), now).await?;
            if change.disable_webhook(webhook, GONE).await? {
                change.after(&serde_json::json!({ "enabled": false, "why": GONE }));
                change.commit().await?;
                tracing::warn!(webhook = id, "a webhook was disabled: {GONE}");
            }
        }
    }
    Ok(())
}

const GONE: &str = "its receiver answered 410 Gone";
/// Longer than an attempt takes, in milliseconds: who has not said how one ended by then has died meanwhile.
const LEASE: u64 = 30_000;
/// Without news, for what others have left.
const LOOK: Duration = Duration::from_secs(5);
/// What is due already was not taken because another instance has it.
const SHORTEST: Duration = Duration::from_millis(50);
/// Between looks at what is old, in milliseconds.
const TIDY: u64 = 60_000;
/// Of the drain's time, for attempts under way.
const LANDING: Duration = Duration::from_secs(3);

#[cfg(test)]
mod tests;
