//! Webhooks from the call that makes one to the receiver that is told.

use std::collections::BTreeSet;
use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::world;
use crate::Config;
use crate::testing::receiver::{Receiver, Reply};
use crate::testing::{ADMIN, NODE, World, postgres};

fn open(config: &mut Config) {
    config.webhooks.allow_http = true;
    config.webhooks.private_addresses = true;
}

pub(super) async fn open_world() -> (World, TempDir) {
    let directory = tempfile::tempdir().unwrap();
    (World::start_with(directory.path(), open).await, directory)
}

/// A new webhook's id.
pub(super) async fn webhook(world: &World, body: Value) -> String {
    let made = world.post("/webhooks", body).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text());
    made.json()["id"].as_str().unwrap().to_owned()
}

async fn deliveries(world: &World, webhook: &str) -> Vec<Value> {
    let answer = world.get(&format!("/webhooks/{webhook}/deliveries")).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    answer.json()["deliveries"].as_array().unwrap().clone()
}

/// Looks until they are as they should be.
async fn until(world: &World, webhook: &str, what: &str, is_so: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    let seen = async {
        loop {
            let deliveries = deliveries(world, webhook).await;
            if is_so(&deliveries) {
                return deliveries;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), seen).await.unwrap_or_else(|_| panic!("never {what}"))
}

fn of_kind(deliveries: &[Value], kind: &str) -> usize {
    deliveries.iter().filter(|delivery| delivery["type"] == kind).count()
}

async fn beat(world: &World, broadcasts: &[(&str, &str)]) {
    let broadcasts: Vec<Value> = broadcasts
        .iter()
        .map(|(channel, id)| json!({ "channel": channel, "id": id, "started_at": 5 }))
        .collect();
    let beat = json!({ "load": { "cpu": 0, "viewers": 0, "egress_bps": 0 }, "broadcasts": broadcasts });
    let answer = world.send(Method::POST, "/api/v1/nodes/origin-1/heartbeat", NODE, beat.to_string()).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
}

#[tokio::test]
async fn a_webhook_is_made_shown_changed_and_deleted_and_its_secret_shown_once() {
    let (world, _directory) = world().await;
    world.post("/channels", json!({ "id": "demo" })).await;
    let body = json!({
        "url": "https://example.net/hook/key-in-the-path", "label": "Discord",
        "events": ["channel.ended", "channel.live", "channel.live"], "channels": ["demo"]
    });
    let made = world.post("/webhooks", body).await;
    assert_eq!(
        (made.status, &made.headers["cache-control"]),
        (StatusCode::CREATED, &"no-store".parse().unwrap())
    );
    let (id, secret) = (made.json()["id"].as_str().unwrap().to_owned(), made.json()["secret"].clone());
    assert!(secret.as_str().unwrap().starts_with("whsec_"));
    assert_eq!(made.headers["location"], format!("/api/v1/webhooks/{id}").as_str());
    let path = format!("/webhooks/{id}");
    let shown = world.get(&path).await;
    assert_eq!(shown.json()["events"], json!(["channel.live", "channel.ended"]));
    assert_eq!((&shown.json()["enabled"], &shown.headers["etag"]), (&json!(true), &made.headers["etag"]));

    let patch = async |tag: &str, body: Value| {
        let path = format!("/api/v1{path}");
        world.send_with(Method::PATCH, &path, ADMIN, &[("if-match", tag)], body.to_string()).await
    };
    let seen = made.headers["etag"].to_str().unwrap();
    let changed = patch(seen, json!({ "enabled": false })).await;
    assert_eq!((changed.status, &changed.json()["enabled"]), (StatusCode::OK, &json!(false)));
    assert_eq!(changed.json()["label"], "Discord", "what is left out stays");
    let late = patch(seen, json!({ "label": "x" })).await;
    assert_eq!(late.status, StatusCode::PRECONDITION_FAILED);
    assert!(late.problem().detail.contains(&id));
    let off = world.post(&format!("{path}/test"), json!({})).await;
    assert_eq!((off.status, off.problem().detail.contains("enabled")), (StatusCode::CONFLICT, true));

    let rotated = world.post(&format!("{path}/rotate-secret"), json!({})).await;
    assert_eq!(rotated.headers["cache-control"], "no-store");
    assert_ne!(rotated.json()["secret"], secret);
    let until = rotated.json()["old_secret_until"].as_u64().unwrap();
    assert!(until > rotated.json()["created_at"].as_u64().unwrap() + 23 * 3600 * 1000);
    let log = world.get("/audit?target=webhooks").await.text() + &world.get(&path).await.text();
    let listed = world.get("/webhooks").await;
    for secret in [&secret, &rotated.json()["secret"]] {
        assert!(!log.contains(secret.as_str().unwrap()) && !listed.text().contains(secret.as_str().unwrap()));
    }
    assert!(!log.replace(&world.get(&path).await.text(), "").contains("key-in-the-path"));
    assert_eq!(listed.json()["webhooks"].as_array().unwrap().len(), 1);
    assert_eq!(world.delete(&path).await.status, StatusCode::NO_CONTENT);
    assert_eq!(world.get(&path).await.status, StatusCode::NOT_FOUND);
    let actions = world.get("/audit").await.json();
    let actions: Vec<_> =
        actions["entries"].as_array().unwrap().iter().map(|entry| &entry["action"]).collect();
    assert_eq!(actions[..3], ["deleteWebhook", "rotateWebhookSecret", "changeWebhook"]);
}

#[tokio::test]
async fn what_cannot_be_is_refused_with_what_to_do() {
    let (world, _directory) = world().await;
    world.post("/channels", json!({ "id": "demo" })).await;
    let url = "https://example.net/";
    for (body, status, says) in [
        (json!({}), 422, "url"),
        (json!({ "url": "http://example.net/" }), 422, "webhooks.allow_http"),
        (json!({ "url": "https://127.0.0.1/" }), 422, "webhooks.private_addresses"),
        (json!({ "url": 5 }), 422, "url"),
        (json!({ "url": format!("{url}{}", "x".repeat(3000)) }), 422, "2048"),
        (json!({ "url": format!("{url}{}", "x".repeat(70_000)) }), 413, "65536"),
        (json!({ "url": url, "label": "x".repeat(101) }), 422, "label"),
        (json!({ "url": url, "events": ["channel.gone"] }), 422, "channel.gone"),
        (json!({ "url": url, "channels": ["A B"] }), 422, "channels"),
        (json!({ "url": url, "channels": ["none"] }), 404, "none"),
        (json!({ "url": url, "channels": ["demo"], "events": ["node.down"] }), 422, "node.down"),
        (json!({ "url": url, "secret": "mine" }), 422, "secret"),
    ] {
        let answer = world.post("/webhooks", body.clone()).await;
        let problem = answer.problem();
        assert_eq!(problem.status, status, "{body}: {problem:?}");
        assert!(problem.detail.contains(says) && problem.detail.len() < 600, "{body}: {problem:?}");
    }
    let id = webhook(&world, json!({ "url": url })).await;
    for (path, says) in [
        ("deliveries?limit=0", "limit"),
        ("deliveries?cursor=x", "next"),
        ("deliveries?state=lost", "waiting"),
    ] {
        let problem = world.get(&format!("/webhooks/{id}/{path}")).await.problem();
        assert!(problem.status >= 400 && problem.detail.contains(says), "{path}: {problem:?}");
    }
    let problem = world.post(&format!("/webhooks/{id}/deliveries/evt_x/retry"), json!({})).await.problem();
    assert_eq!((problem.status, problem.detail.contains("evt_x")), (404, true));

    for _ in 0..10 {
        webhook(&world, json!({ "url": url, "channels": ["demo"] })).await;
    }
    let full = world.post("/webhooks", json!({ "url": url, "channels": ["demo"] })).await;
    assert_eq!((full.status, full.problem().detail.contains("10")), (StatusCode::CONFLICT, true));
}

#[tokio::test]
async fn a_token_makes_and_sees_webhooks_of_what_it_may_look_at() {
    let (world, _directory) = world().await;
    for id in ["demo", "other"] {
        world.post("/channels", json!({ "id": id })).await;
    }
    let token = async |body: Value| {
        world.post("/api-tokens", body).await.json()["token"].as_str().unwrap().to_owned()
    };
    let limited = token(json!({ "scopes": ["publisher"], "channels": ["demo"] })).await;
    let publisher = token(json!({ "scopes": ["publisher"] })).await;
    let operator = token(json!({ "scopes": ["operator"] })).await;
    let reader = token(json!({ "scopes": ["read-only"] })).await;
    let url = "https://example.net/";
    let make = async |token: &str, body: Value| {
        world.send(Method::POST, "/api/v1/webhooks", token, body.to_string()).await
    };
    for (token, body, says) in [
        (&limited, json!({ "url": url, "channels": ["demo"] }), None),
        (&limited, json!({ "url": url }), Some("/api/v1/channels/demo")),
        (&limited, json!({ "url": url, "events": ["node.down"] }), Some("/api/v1/channels/demo")),
        (&limited, json!({ "url": url, "channels": ["demo", "other"] }), Some("/api/v1/channels/demo")),
        (&publisher, json!({ "url": url, "channels": ["other"] }), None),
        (&publisher, json!({ "url": url, "events": ["channel.live"] }), None),
        (&publisher, json!({ "url": url, "events": ["node.down"] }), Some("operator")),
        (&publisher, json!({ "url": url }), Some("operator")),
        (&operator, json!({ "url": url, "events": ["node.down"] }), None),
        (&reader, json!({ "url": url, "channels": ["demo"] }), Some("scope")),
    ] {
        let answer = make(token, body.clone()).await;
        match says {
            None => assert_eq!(answer.status, StatusCode::CREATED, "{body}: {}", answer.text()),
            Some(says) => {
                assert_eq!(answer.status, StatusCode::FORBIDDEN, "{body}");
                assert!(answer.problem().detail.contains(says), "{body}: {}", answer.text());
            }
        }
    }
    let see = async |token: &str| {
        let listed = world.send(Method::GET, "/api/v1/webhooks", token, "").await.json();
        let webhooks = listed["webhooks"].as_array().unwrap().clone();
        webhooks.into_iter().map(|webhook| webhook["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let (own, all) = (see(&limited).await, see(&operator).await);
    assert_eq!((own.len(), see(&publisher).await.len(), all.len()), (1, 3, 4));
    let others = all.iter().find(|id| !own.contains(id)).unwrap();
    for (method, path) in [
        (Method::GET, ""),
        (Method::DELETE, ""),
        (Method::POST, "/rotate-secret"),
        (Method::POST, "/test"),
        (Method::GET, "/deliveries"),
        (Method::POST, "/deliveries/evt_x/retry"),
    ] {
        let path = format!("/api/v1/webhooks/{others}{path}");
        let answer = world.send(method, &path, &limited, "").await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{path}: {}", answer.text());
    }
    // Nor is one's own webhook a way to what is others'.
    for body in [json!({ "channels": [] }), json!({ "channels": ["other"] })] {
        let path = format!("/api/v1/webhooks/{}", own[0]);
        let answer = world.send(Method::PATCH, &path, &limited, body.to_string()).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{body}: {}", answer.text());
    }
}

#[tokio::test]
async fn a_broadcast_that_goes_live_is_told_once_though_its_line_blinks() {
    let (world, _directory) = open_world().await;
    let mut receiver = Receiver::start().await;
    world.populate().await;
    for id in ["demo", "other"] {
        world.post("/channels", json!({ "id": id, "title": "Demo" })).await;
    }
    let id = webhook(&world, json!({ "url": receiver.url, "channels": ["demo"] })).await;
    beat(&world, &[("demo", "b1"), ("other", "o1")]).await;
    let live = receiver.next_event().await;
    assert_eq!((&live["type"], &live["data"]["broadcast"]), (&json!("channel.live"), &json!("b1")));
    assert_eq!((&live["data"]["title"], &live["data"]["origin"]), (&json!("Demo"), &json!("origin-1")));
    beat(&world, &[("other", "o1")]).await;
    until(&world, &id, "over", |told| of_kind(told, "channel.ended") == 1).await;
    beat(&world, &[("demo", "b1"), ("other", "o1")]).await;
    let told = until(&world, &id, "back", |told| of_kind(told, "channel.ended") == 0).await;
    assert_eq!(told.len(), 1, "{told:?}");

    let key = world.post("/channels/demo/keys", json!({ "label": "OBS" })).await.json();
    let event = receiver.next_event().await;
    assert_eq!((&event["type"], &event["data"]["key"]), (&json!("key.created"), &key["id"]));
    assert!(!event.to_string().contains(key["key"].as_str().unwrap()));
    let patch = json!({ "title": "New", "settings": { "record": true } }).to_string();
    world.send(Method::PATCH, "/api/v1/channels/demo", ADMIN, patch.clone()).await;
    assert_eq!(receiver.next_event().await["data"]["changed"], json!(["title", "settings"]));
    world.send(Method::PATCH, "/api/v1/channels/demo", ADMIN, patch).await;
    world.delete(&format!("/channels/demo/keys/{}", key["id"].as_str().unwrap())).await;
    assert_eq!(receiver.next_event().await["type"], "key.deleted", "a change that changes nothing is none");
    beat(&world, &[("demo", "b2"), ("other", "o1")]).await;
    let both = [receiver.next_event().await, receiver.next_event().await];
    let both: BTreeSet<_> = both.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(both, ["channel.ended", "channel.live"].into());
    world.delete("/channels/demo").await;
    assert_eq!(receiver.next_event().await["type"], "channel.deleted");
}

#[tokio::test]
async fn an_operator_is_told_of_nodes() {
    let (world, _directory) = open_world().await;
    let mut receiver = Receiver::start().await;
    let body = json!({ "url": receiver.url, "events": ["node.registered", "node.ready", "node.draining", "node.forgotten"] });
    let id = webhook(&world, body).await;
    world.register(&crate::testing::spec("eu-1", "edge", "eu", &["127.0.0.1"])).await;
    let load = json!({ "cpu": 0.1, "viewers": 0, "egress_bps": 0 });
    world.beat("eu-1", json!({ "load": load })).await;
    let first = [receiver.next_event().await, receiver.next_event().await];
    let first: BTreeSet<_> = first.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(first, ["node.registered", "node.ready"].into());
    for (method, path, kind) in [
        (Method::POST, "/nodes/eu-1/drain", "node.draining"),
        (Method::POST, "/nodes/eu-1/undrain", "node.ready"),
        (Method::DELETE, "/nodes/eu-1", "node.forgotten"),
    ] {
        let answer = world.send(method, &format!("/api/v1{path}"), ADMIN, "").await;
        assert!(answer.status.is_success(), "{}", answer.text());
        let event = receiver.next_event().await;
        assert_eq!((&event["type"], &event["data"]["node"]), (&json!(kind), &json!("eu-1")));
    }
    until(&world, &id, "all delivered", |told| told.iter().all(|one| one["state"] == "delivered")).await;
    let first = world.get(&format!("/webhooks/{id}/deliveries?limit=2&state=delivered")).await.json();
    let next = first["next"].as_str().unwrap();
    let second = world.get(&format!("/webhooks/{id}/deliveries?limit=3&cursor={next}")).await.json();
    assert_eq!((second["deliveries"].as_array().unwrap().len(), second.get("next")), (3, None));
}

#[tokio::test]
async fn what_waits_is_there_after_a_restart_and_tried_again_when_asked() {
    let directory = tempfile::tempdir().unwrap();
    let mut receiver = Receiver::start().await;
    let first = World::start_with(directory.path(), open).await;
    let id = webhook(&first, json!({ "url": receiver.url })).await;
    let busy = Reply { header: Some(("retry-after", "600".into())), ..Reply::status(503) };
    receiver.answers([Reply { body: "out of order".into(), ..busy }]);
    let test = first.post(&format!("/webhooks/{id}/test"), json!({})).await;
    assert_eq!((test.status, &test.json()["type"]), (StatusCode::ACCEPTED, &json!("test")));
    let event = receiver.next_event().await;
    assert_eq!((&event["id"], &event["data"]["webhook"]), (&test.json()["id"], &json!(id)));
    until(&first, &id, "failed", |told| told[0]["status"] == 503).await;
    first.daemon.drain.begin();
    first.daemon.drain.wait(Duration::from_secs(5)).await.unwrap();

    let second = World::start_with(directory.path(), open).await;
    let waiting = &deliveries(&second, &id).await[0];
    assert_eq!((&waiting["state"], &waiting["attempts"]), (&json!("waiting"), &json!(1)));
    assert_eq!((&waiting["answer"], &waiting["body"]), (&json!("out of order"), &event));
    assert!(waiting["next_attempt_at"].as_u64().unwrap() > waiting["created_at"].as_u64().unwrap());
    let path = format!("/webhooks/{id}/deliveries/{}/retry", waiting["id"].as_str().unwrap());
    let again = second.post(&path, json!({})).await;
    assert_eq!(again.status, StatusCode::ACCEPTED, "{}", again.text());
    assert_eq!(receiver.next_event().await, event);
    until(&second, &id, "delivered", |told| told[0]["state"] == "delivered").await;
}

#[tokio::test]
async fn of_two_instances_one_delivers() {
    let database = postgres::database().await;
    let directories = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let instance = async |directory: &TempDir| {
        let change = |config: &mut Config| {
            config.database = database.to_string();
            open(config);
        };
        World::start_with(directory.path(), change).await
    };
    let (a, b) = (instance(&directories[0]).await, instance(&directories[1]).await);
    let mut receiver = Receiver::start().await;
    a.post("/channels", json!({ "id": "demo" })).await;
    a.populate().await;
    let id = webhook(&b, json!({ "url": receiver.url, "channels": ["demo"] })).await;
    for round in 0..5 {
        let broadcast = format!("b{round}");
        beat(&a, &[("demo", &broadcast)]).await;
        // The other instance has seen it as well, and written down what it saw.
        let there = async {
            while b.get("/channels/demo").await.json()["live"]["broadcast"] != broadcast.as_str() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), there).await.expect("the other instance");
        until(&a, &id, "live", |told| of_kind(told, "channel.live") == round + 1).await;
    }
    let told = until(&a, &id, "all told", |told| {
        told.len() == 9 && told.iter().all(|one| one["state"] == "delivered")
    })
    .await;
    assert!(told.iter().all(|one| one["attempts"] == 1), "{told:?}");
    assert_eq!((of_kind(&told, "channel.live"), of_kind(&told, "channel.ended")), (5, 4));
    let mut ids = BTreeSet::new();
    for _ in 0..9 {
        assert!(ids.insert(receiver.next().await.headers["webhook-id"].to_str().unwrap().to_owned()));
    }
    assert!(receiver.is_idle());
}

#[tokio::test]
async fn the_document_describes_every_event() {
    let (world, _directory) = world().await;
    let document = world.get("/openapi.json").await.json();
    let webhooks = document["webhooks"].as_object().unwrap();
    assert_eq!(webhooks.len(), crate::webhooks::Kind::ALL.len());
    for (kind, item) in webhooks {
        let operation = &item["post"];
        assert!(operation["summary"].as_str().unwrap().len() > 10);
        let schema = &operation["requestBody"]["content"]["application/json"]["schema"]["properties"];
        assert_eq!(schema["type"]["enum"], json!([kind]));
        let name = schema["data"]["$ref"].as_str().unwrap().rsplit('/').next().unwrap();
        assert!(document["components"]["schemas"].get(name).is_some(), "{name}");
        assert_eq!(operation["parameters"].as_array().unwrap().len(), 3);
    }
}
