use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use futures_util::future::join_all;
use nearcast_service::daemon::Daemon;
use nearcast_service::metrics::Registry;
use serde_json::Value;

use super::*;
use crate::store::Database;
use crate::testing::receiver::{Received, Receiver, Reply};
use crate::webhooks::{About, Kind, Secret, Spec};

/// A courier in virtual time: each pass makes the attempts that are due then, and waits for them.
struct World {
    courier: Courier,
    store: Store,
    _directory: tempfile::TempDir,
}

const NOW: u64 = 1_700_000_000_000;
const OPEN: Config = Config { allow_http: true, private_addresses: true, ca: std::path::PathBuf::new() };

impl World {
    async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&Database::Sqlite(directory.path().join("control.db"))).await.unwrap();
        let metrics = Metrics::register(&Registry::new());
        let courier = Courier::new(Post::new(&OPEN).unwrap(), store.clone(), metrics, Daemon::new().drain);
        Self { courier, store, _directory: directory }
    }

    async fn webhook(&self, id: &str, url: &str) -> StoredWebhook {
        let spec =
            Spec { url: url.into(), label: String::new(), events: vec![], channels: vec![], enabled: true };
        let webhook = StoredWebhook {
            id: id.into(),
            spec,
            disabled_because: None,
            secret: Secret::random(),
            old_secret: None,
            created_at: NOW,
        };
        let mut change = self.store.change(&Actor::own(), "test", id, NOW).await.unwrap();
        change.add_webhook(&webhook).await.unwrap();
        change.commit().await.unwrap();
        webhook
    }

    /// Something happens.
    async fn happens(&self) {
        let mut change = self.store.change(&Actor::own(), "test", "demo", NOW).await.unwrap();
        let about = About::channel(&"demo".parse().unwrap(), "Demo", Vec::new());
        change.tell(Kind::ChannelCreated, about).await.unwrap();
        change.commit().await.unwrap();
    }

    async fn pass(&mut self, now: u64) {
        let mut flights = Vec::new();
        self.courier.take(now, &mut flights).await.unwrap();
        for webhook in join_all(flights).await {
            self.courier.slots.give(&webhook);
        }
    }

    async fn deliveries(&self, webhook: &str) -> Vec<Delivery> {
        self.store.deliveries(webhook, None, None, 100).await.unwrap()
    }

    async fn delivery(&self) -> Delivery {
        let [delivery] = <[_; 1]>::try_from(self.deliveries("w").await).unwrap();
        delivery
    }
}

/// HMAC as RFC 2104 writes it, made of the hash alone.
fn signature(secret: &str, received: &Received) -> String {
    let mut key = BASE64.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
    key.resize(64, 0);
    let header = |name: &str| received.headers[name].to_str().unwrap();
    let signed = format!("{}.{}.{}", header("webhook-id"), header("webhook-timestamp"), received.body);
    let pad = |with: u8, text: &[u8]| {
        let padded: Vec<u8> = key.iter().map(|byte| byte ^ with).chain(text.iter().copied()).collect();
        digest(&SHA256, &padded).as_ref().to_vec()
    };
    format!("v1,{}", BASE64.encode(pad(0x5c, &pad(0x36, signed.as_bytes()))))
}

#[tokio::test]
async fn a_delivery_is_signed_and_says_what_it_is() {
    let (mut world, mut receiver) = (World::start().await, Receiver::start().await);
    let webhook = world.webhook("w", &receiver.url).await;
    world.happens().await;
    world.pass(NOW + 1500).await;
    let received = receiver.next().await;
    assert_eq!(received.headers["webhook-signature"], signature(webhook.secret.expose(), &received).as_str());
    assert_eq!(received.headers["webhook-timestamp"], "1700000001");
    assert_eq!(received.headers["content-type"], "application/json");
    assert!(received.headers["user-agent"].to_str().unwrap().starts_with("nearcast-control/"));
    let body: Value = serde_json::from_str(&received.body).unwrap();
    assert_eq!((&body["type"], &body["at"]), (&"channel.created".into(), &NOW.into()));
    assert_eq!(body["id"], received.headers["webhook-id"].to_str().unwrap());
    let delivery = world.delivery().await;
    assert_eq!((delivery.state, delivery.status, delivery.attempts), (Outcome::Delivered, Some(200), 1));
    assert!(delivery.done_at.is_some() && delivery.error.is_none());
    world.pass(NOW + 3_600_000).await;
    assert!(receiver.is_idle(), "what is delivered is not sent again");
    assert_eq!((world.courier.metrics.sent.get(), world.courier.metrics.failed.get()), (1, 0));
}

#[tokio::test]
async fn what_fails_is_sent_again_under_the_same_id() {
    let (mut world, mut receiver) = (World::start().await, Receiver::start().await);
    let webhook = world.webhook("w", &receiver.url).await;
    receiver.answers([Reply { body: "x".repeat(100_000), ..Reply::status(500) }]);
    world.happens().await;
    world.pass(NOW).await;
    let first = receiver.next().await;
    let failed = world.delivery().await;
    assert_eq!((failed.state, failed.status), (Outcome::Waiting, Some(500)));
    assert!(failed.error.unwrap().contains("500"));
    assert_eq!(failed.answer.unwrap().len(), 1024);
    world.pass(failed.due_at - 1).await;
    assert!(receiver.is_idle(), "too early");
    world.pass(failed.due_at).await;
    let second = receiver.next().await;
    assert_eq!((&first.headers["webhook-id"], &first.body), (&second.headers["webhook-id"], &second.body));
    assert_ne!(first.headers["webhook-timestamp"], second.headers["webhook-timestamp"]);
    assert_eq!(second.headers["webhook-signature"], signature(webhook.secret.expose(), &second).as_str());
    assert_eq!(world.delivery().await.state, Outcome::Delivered);
}

#[tokio::test]
async fn what_fails_for_a_day_is_given_up_and_can_be_tried_again() {
    let (mut world, mut receiver) = (World::start().await, Receiver::start().await);
    world.webhook("w", &receiver.url).await;
    receiver.answers(vec![Reply::status(404); 9]);
    world.happens().await;
    let mut now = NOW;
    for step in schedule::STEPS {
        world.pass(now).await;
        receiver.next().await;
        let waiting = world.delivery().await;
        let wait = waiting.due_at - now;
        // An attempt takes a moment of its own.
        assert!((step * 4 / 5..step * 6 / 5 + 5000).contains(&wait), "{wait} for {step}");
        now = waiting.due_at;
    }
    world.pass(now).await;
    receiver.next().await;
    let dead = world.delivery().await;
    assert_eq!((dead.state, dead.attempts), (Outcome::Dead, 9));
    world.pass(now * 2).await;
    assert!(receiver.is_idle());
    assert_eq!(world.courier.metrics.failed.get(), 9);

    let mut change = world.store.change(&Actor::own(), "test", "w", now).await.unwrap();
    change.retry_delivery("w", &dead.event).await.unwrap();
    change.commit().await.unwrap();
    world.pass(now).await;
    assert_eq!(receiver.next().await.headers["webhook-id"], dead.event.as_str());
    assert_eq!(world.delivery().await.state, Outcome::Delivered);
}

#[tokio::test]
async fn who_is_gone_is_told_nothing_more() {
    let (mut world, mut receiver) = (World::start().await, Receiver::start().await);
    world.webhook("w", &receiver.url).await;
    receiver.answers([Reply::status(410)]);
    world.happens().await;
    world.pass(NOW).await;
    receiver.next().await;
    let webhook = world.store.webhook("w").await.unwrap().unwrap();
    assert!(!webhook.spec.enabled && webhook.disabled_because.unwrap().contains("410"));
    assert_eq!(world.delivery().await.state, Outcome::Dead);
    world.happens().await;
    assert_eq!(world.deliveries("w").await.len(), 1, "nothing is queued for it");
    let log =
        world.store.audit(&crate::store::Which::default(), crate::store::Page::Before(99), 9).await.unwrap();
    assert!(log.iter().any(|entry| entry.action == "changeWebhook" && entry.actor == "nearcast-control"));
}

#[tokio::test]
async fn who_is_busy_is_left_alone_as_long_as_it_says() {
    let (mut world, mut receiver) = (World::start().await, Receiver::start().await);
    world.webhook("w", &receiver.url).await;
    receiver.answers([Reply { header: Some(("retry-after", "120".into())), ..Reply::status(503) }]);
    world.happens().await;
    world.pass(NOW).await;
    receiver.next().await;
    assert!(world.delivery().await.due_at >= NOW + 120_000);
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let (mut world, mut receiver) = (World::start().await, Receiver::start().await);
    world.webhook("w", &receiver.url).await;
    receiver.answers([Reply { header: Some(("location", receiver.url.clone())), ..Reply::status(307) }]);
    world.happens().await;
    world.pass(NOW).await;
    receiver.next().await;
    assert!(receiver.is_idle());
    assert!(world.delivery().await.error.unwrap().contains("change the URL"));
}

#[tokio::test]
async fn after_a_rotation_both_secrets_sign_for_a_day() {
    let (mut world, mut receiver) = (World::start().await, Receiver::start().await);
    let old = world.webhook("w", &receiver.url).await.secret;
    let (new, until) = (Secret::random(), NOW + 1000);
    let mut change = world.store.change(&Actor::own(), "test", "w", NOW).await.unwrap();
    change.rotate_webhook_secret("w", &new, until).await.unwrap();
    change.commit().await.unwrap();
    world.happens().await;
    world.pass(NOW).await;
    let both = receiver.next().await;
    let signatures = [new.expose(), old.expose()].map(|secret| signature(secret, &both));
    assert_eq!(both.headers["webhook-signature"], signatures.join(" ").as_str());
    world.happens().await;
    world.pass(until).await;
    let later = receiver.next().await;
    assert_eq!(later.headers["webhook-signature"], signature(new.expose(), &later).as_str());
}

#[tokio::test]
async fn nothing_is_sent_to_private_addresses_whatever_name_leads_there() {
    let (mut world, mut receiver) = (World::start().await, Receiver::start().await);
    world.courier.post = Post::new(&Config { allow_http: true, ..Config::default() }).unwrap();
    for (id, host) in [("a", "127.0.0.1"), ("n", "localhost"), ("m", "[::ffff:127.0.0.1]")] {
        world.webhook(id, &receiver.at(host)).await;
    }
    world.happens().await;
    world.pass(NOW).await;
    for id in ["a", "n", "m"] {
        let delivery = &world.deliveries(id).await[0];
        let error = delivery.error.as_ref().unwrap();
        assert!(delivery.state == Outcome::Waiting && error.contains("does not connect to"), "{id}: {error}");
    }
    assert!(receiver.is_idle());
}

#[tokio::test]
async fn a_slow_receiver_keeps_nobody_waiting() {
    let mut world = World::start().await;
    let (slow, mut fast) = (Receiver::start().await, Receiver::start().await);
    world.webhook("slow", &slow.url).await;
    slow.answers(vec![Reply { silent: true, ..Reply::default() }; 20]);
    for _ in 0..20 {
        world.happens().await;
    }
    let mut flights = FuturesUnordered::new();
    world.courier.take(NOW, &mut flights).await.unwrap();
    world.webhook("fast", &fast.url).await;
    world.happens().await;
    world.courier.take(NOW, &mut flights).await.unwrap();
    assert_eq!(flights.len(), 5, "four to the one, and one to the other");
    assert_eq!(flights.next().await.unwrap(), "fast");
    fast.next().await;
    assert_eq!(world.deliveries("fast").await[0].state, Outcome::Delivered);
    assert!(world.deliveries("slow").await.iter().all(|delivery| delivery.state == Outcome::Waiting));
}

#[tokio::test]
async fn what_nobody_can_reach_says_why() {
    let mut world = World::start().await;
    world.webhook("w", "http://127.0.0.1:1/").await;
    world.happens().await;
    world.pass(NOW).await;
    let delivery = world.delivery().await;
    assert_eq!((delivery.state, delivery.status), (Outcome::Waiting, None));
    assert!(delivery.error.unwrap().contains("cannot be reached"));
}
