//! Webhooks and what they are told.

use nearcast_api::node::Spec as NodeSpec;

use super::*;
use crate::webhooks::{About, Kind, Secret, Spec, watch};

on_both! {
    a_webhook_is_kept_with_its_secrets
    what_happens_is_queued_for_who_wants_it
    a_delivery_is_taken_by_one_and_again_when_its_time_is_over
    a_broadcast_begins_once_and_ends_when_it_has_not_come_back
    a_node_is_told_of_by_who_sees_it_first
    what_is_old_or_too_much_is_tidied_up
    deliveries_are_read_in_pages
}

fn webhook(id: &str, events: &[Kind], channels: &[&str]) -> StoredWebhook {
    let spec = Spec {
        url: "https://example.net/hook".into(),
        label: "Discord".into(),
        events: events.to_vec(),
        channels: channels.iter().map(|id| id.parse().unwrap()).collect(),
        enabled: true,
    };
    let secret = Secret::random();
    StoredWebhook { id: id.into(), spec, disabled_because: None, secret, old_secret: None, created_at: 1 }
}

fn about(channel: &str) -> About {
    About::channel(&channel.parse().unwrap(), "Title", Vec::new())
}

fn spec(id: &str) -> NodeSpec {
    NodeSpec {
        id: id.parse().unwrap(),
        role: Role::Edge,
        region: "eu".parse().unwrap(),
        location: None,
        addresses: vec!["127.0.0.1".parse().unwrap()],
        urls: Vec::new(),
        version: "1".into(),
    }
}

async fn told(store: &Store, webhook: &str) -> Vec<String> {
    let mut deliveries = store.deliveries(webhook, None, None, 100).await.unwrap();
    deliveries.reverse();
    deliveries.into_iter().map(|delivery| delivery.kind).collect()
}

async fn a_webhook_is_kept_with_its_secrets(place: Place) {
    let first = webhook("w1", &[Kind::ChannelLive, Kind::NodeDown], &["demo", "other"]);
    {
        let store = place.open().await;
        made!(store, add_webhook(&first)).unwrap();
        made!(store, add_webhook(&webhook("w2", &[], &[]))).unwrap();
    }
    let store = place.open().await;
    assert_eq!(store.webhook("w1").await.unwrap().unwrap(), first);
    let new = Secret::random();
    made!(store, rotate_webhook_secret("w1", &new, 10)).unwrap();
    let rotated = store.webhook("w1").await.unwrap().unwrap();
    assert_eq!(rotated.secrets(9).collect::<Vec<_>>(), [&new, &first.secret]);
    assert_eq!(rotated.secrets(10).collect::<Vec<_>>(), [&new]);
    assert_eq!(rotated.etag(), first.etag(), "nobody's change is refused for a rotation");
    assert!(made!(store, disable_webhook(&rotated, "gone")).unwrap());
    assert!(!made!(store, disable_webhook(&rotated, "gone")).unwrap());
    let disabled = store.webhook("w1").await.unwrap().unwrap();
    assert_eq!((disabled.spec.enabled, disabled.disabled_because.as_deref()), (false, Some("gone")));
    let spec = Spec { url: "https://example.net/new".into(), ..first.spec.clone() };
    made!(store, set_webhook("w1", &spec)).unwrap();
    let changed = store.webhook("w1").await.unwrap().unwrap();
    assert_eq!((&changed.spec, &changed.disabled_because), (&spec, &None));
    assert_ne!(changed.etag(), first.etag());
    assert!(!made!(store, disable_webhook(&rotated, "gone")).unwrap(), "that was another URL");
    made!(store, delete_webhook("w1")).unwrap();
    assert!(matches!(made!(store, delete_webhook("w1")), Err(Error::NoWebhook(_))));
    assert!(matches!(made!(store, set_webhook("w1", &spec)), Err(Error::NoWebhook(_))));
    assert_eq!(store.webhooks().await.unwrap().len(), 1);
}

async fn what_happens_is_queued_for_who_wants_it(place: Place) {
    let store = place.open().await;
    for (id, events, channels) in [
        ("all", &[][..], &[][..]),
        ("live", &[Kind::ChannelLive], &[]),
        ("demo", &[], &["x", "demo"]),
        ("demo2", &[], &["demo2", "d"]),
        ("down", &[Kind::NodeDown], &[]),
        ("off", &[], &[]),
    ] {
        made!(store, add_webhook(&webhook(id, events, channels))).unwrap();
    }
    let off = store.webhook("off").await.unwrap().unwrap();
    made!(store, set_webhook("off", &Spec { enabled: false, ..off.spec })).unwrap();
    made!(store, tell(Kind::ChannelCreated, about("demo"))).unwrap();
    made!(store, tell(Kind::ChannelLive, about("other"))).unwrap();
    made!(store, tell(Kind::NodeDown, About::node(&spec("eu-1")))).unwrap();
    made!(store, tell_test("demo2")).unwrap();
    let (created, live, down) = ("channel.created", "channel.live", "node.down");
    for (id, expected) in [
        ("all", &[created, live, down][..]),
        ("live", &[live]),
        ("demo", &[created]),
        ("demo2", &["test"]),
        ("down", &[down]),
        ("off", &[]),
    ] {
        let mut told = told(&store, id).await;
        told.sort();
        assert_eq!(told, expected, "{id}");
    }
    // What does not happen is not told.
    let mut change = store.change(&Actor::own(), "test", "all", 1).await.unwrap();
    change.tell(Kind::ChannelDeleted, about("demo")).await.unwrap();
    drop(change);
    assert_eq!(told(&store, "all").await.len(), 3);
    made!(store, delete_webhook("all")).unwrap();
    assert_eq!(told(&store, "all").await.len(), 0);
}

async fn a_delivery_is_taken_by_one_and_again_when_its_time_is_over(place: Place) {
    let (a, b) = (place.open().await, place.open().await);
    made!(a, add_webhook(&webhook("w", &[], &[]))).unwrap();
    made!(a, add_webhook(&webhook("idle", &[], &["none"]))).unwrap();
    for _ in 0..5 {
        made!(a, tell(Kind::ChannelCreated, about("demo"))).unwrap();
    }
    assert_eq!(a.due().await.unwrap(), [("w".to_owned(), 1)]);
    assert_eq!(a.take("w", 0, 30, 9).await.unwrap(), []);
    let (one, other) = tokio::join!(a.take("w", 1, 30, 9), b.take("w", 1, 30, 9));
    let mut taken = one.unwrap();
    taken.extend(other.unwrap());
    assert_eq!(taken.len(), 5);
    assert!(taken.iter().all(|delivery| delivery.attempts == 1));
    assert_eq!(b.due().await.unwrap(), [("w".to_owned(), 30)]);
    let settle = async |store: &Store, delivery: &Delivery, outcome, due_at| {
        let answered = (Some(500), Some("it answered 500".to_owned()), "no".to_owned());
        store.settle(delivery, outcome, due_at, 7, answered).await.unwrap();
    };
    settle(&a, &taken[0], Outcome::Delivered, 0).await;
    settle(&b, &taken[1], Outcome::Waiting, 20).await;
    settle(&b, &taken[2], Outcome::Dead, 0).await;
    // Whoever had these two has died.
    assert_eq!(b.take("w", 29, 60, 9).await.unwrap().len(), 1);
    let again = b.take("w", 30, 60, 9).await.unwrap();
    assert_eq!(again.len(), 2);
    assert!(again.iter().all(|delivery| delivery.attempts == 2));
    // Or has it only been slow? What it says now is no news.
    let late = taken.iter().find(|old| old.event == again[0].event).unwrap();
    settle(&a, late, Outcome::Dead, 0).await;
    let states = a.deliveries("w", Some(Outcome::Dead), None, 9).await.unwrap();
    let [dead] = states.as_slice() else { panic!("{states:?}") };
    assert_eq!((&dead.event, dead.status, dead.done_at), (&taken[2].event, Some(500), Some(7)));
    assert_eq!(dead.answer.as_deref(), Some("no"));

    let anew = made!(a, retry_delivery("w", &dead.event)).unwrap();
    assert_eq!((anew.state, anew.attempts, anew.done_at), (Outcome::Waiting, 0, None));
    assert!(matches!(made!(a, retry_delivery("w", "evt_none")), Err(Error::NoDelivery { .. })));
}

async fn a_broadcast_begins_once_and_ends_when_it_has_not_come_back(place: Place) {
    let (a, b) = (place.open().await, place.open().await);
    let demo: ChannelId = "demo".parse().unwrap();
    made!(a, create_channel(&demo, "Demo", 1)).unwrap();
    made!(a, add_webhook(&webhook("w", &[], &[]))).unwrap();
    let live = |broadcast: &str| Live {
        origin: "origin-1".parse().unwrap(),
        broadcast: broadcast.parse().unwrap(),
        started_at: 5,
        taken_over_at: None,
    };
    let change = async |store: &Store, old: Option<&Live>, new: Option<&Live>, now| {
        let told = watch::channel(&demo, "Demo", old, new, now);
        store.set_live(&demo, new, &told).await.unwrap();
    };
    let b1 = live("b1");
    change(&a, None, Some(&b1), 100).await;
    change(&b, None, Some(&b1), 101).await;
    assert_eq!(told(&a, "w").await, ["channel.live"]);
    // Its line blinks.
    change(&a, Some(&b1), None, 200).await;
    change(&b, Some(&b1), None, 201).await;
    assert_eq!(told(&a, "w").await, ["channel.live", "channel.ended"]);
    assert_eq!(a.take("w", 10_199, 10_200, 9).await.unwrap().len(), 1, "only the begin is due");
    change(&b, None, Some(&b1), 300).await;
    assert_eq!(told(&a, "w").await, ["channel.live"]);
    change(&a, Some(&b1), None, 400).await;
    let due = a.take("w", 10_400, 99_999, 9).await.unwrap();
    assert_eq!(due.len(), 2);
    for delivery in &due {
        a.settle(delivery, Outcome::Delivered, 0, 10_401, (Some(200), None, String::new())).await.unwrap();
    }
    // Long after, when all that was told is forgotten.
    a.tidy(10_402 + 3 * 24 * 3600 * 1000).await.unwrap();
    assert_eq!(told(&a, "w").await.len(), 0);
    change(&place.open().await, None, Some(&b1), 500).await;
    assert_eq!(told(&a, "w").await.len(), 0, "it is the same broadcast");
    let b2 = live("b2");
    change(&a, Some(&b1), Some(&b2), 600).await;
    let mut next = told(&a, "w").await;
    next.sort();
    assert_eq!(next, ["channel.ended", "channel.live"]);
}

async fn a_node_is_told_of_by_who_sees_it_first(place: Place) {
    let (a, b) = (place.open().await, place.open().await);
    made!(a, add_webhook(&webhook("w", &[], &[]))).unwrap();
    let eu = spec("eu-1");
    a.put_node(&eu, 1).await.unwrap();
    a.put_node(&NodeSpec { version: "2".into(), ..eu.clone() }, 2).await.unwrap();
    let mut before = None;
    for (at, status) in [(3, Status::Ready), (4, Status::Down), (5, Status::Ready), (6, Status::Draining)] {
        a.set_node_status(&eu, before, status, at).await.unwrap();
        b.set_node_status(&eu, before, status, at + 1).await.unwrap();
        before = Some(status);
    }
    // One that comes late, with what was true before.
    b.set_node_status(&eu, None, Status::Joining, 9).await.unwrap();
    b.set_node_status(&eu, Some(Status::Joining), Status::Ready, 10).await.unwrap();
    assert_eq!(
        told(&a, "w").await,
        ["node.registered", "node.ready", "node.down", "node.ready", "node.draining"]
    );
}

async fn what_is_old_or_too_much_is_tidied_up(place: Place) {
    const DAY: u64 = 24 * 3600 * 1000;
    let store = place.open().await;
    made!(store, add_webhook(&webhook("w", &[], &[]))).unwrap();
    for _ in 0..5 {
        made!(store, tell(Kind::ChannelCreated, about("demo"))).unwrap();
    }
    let tidied = store.tidy_above(10, 3).await.unwrap();
    assert_eq!((tidied.waiting, tidied.dead), (3, 2));
    assert_eq!(tidied.overflowed, [("w".to_owned(), 2)]);
    let dead = store.deliveries("w", Some(Outcome::Dead), None, 9).await.unwrap();
    assert!(dead[0].error.as_ref().unwrap().contains("10,000"));
    let delivery = &store.take("w", 10, 20, 1).await.unwrap()[0];
    store.settle(delivery, Outcome::Delivered, 0, 10, (Some(200), None, String::new())).await.unwrap();
    let again = store.tidy_above(10 + 3 * DAY, 3).await.unwrap();
    assert_eq!((again.waiting, again.dead, again.overflowed.len()), (2, 2, 0));
    assert_eq!(store.deliveries("w", None, None, 9).await.unwrap().len(), 5);
    store.tidy(11 + 3 * DAY).await.unwrap();
    assert_eq!(store.deliveries("w", None, None, 9).await.unwrap().len(), 4);
    let all = store.tidy(11 + 30 * DAY).await.unwrap();
    assert_eq!((all.waiting, all.dead), (0, 0));
}

async fn deliveries_are_read_in_pages(place: Place) {
    let store = place.open().await;
    made!(store, add_webhook(&webhook("w", &[], &[]))).unwrap();
    for at in [1, 2, 2, 2, 3] {
        let mut change = store.change(&Actor::own(), "test", "all", at).await.unwrap();
        change.tell(Kind::ChannelCreated, about("demo")).await.unwrap();
        change.commit().await.unwrap();
    }
    let (mut seen, mut last): (Vec<String>, Option<(u64, String)>) = (Vec::new(), None);
    loop {
        let before = last.as_ref().map(|(at, event)| (*at, event.as_str()));
        let page = store.deliveries("w", Some(Outcome::Waiting), before, 2).await.unwrap();
        let Some(end) = page.last() else { break };
        last = Some((end.created_at, end.event.clone()));
        seen.extend(page.into_iter().map(|delivery| delivery.event));
    }
    assert_eq!(seen.len(), 5);
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 5);
}
