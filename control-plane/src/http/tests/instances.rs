//! Two instances on one PostgreSQL: what one is told, both say.

use std::time::Duration;

use http::{Method, StatusCode};
use nearcast_api::node::Status;
use nearcast_api::snapshot::{Snapshot, Update};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::snapshot;
use crate::keys::hash;
use crate::testing::{ADMIN, NODE, World, postgres};

pub(super) async fn two() -> (World, World, [TempDir; 2]) {
    let database = postgres::database().await;
    let directories = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let world = async |directory: &TempDir| {
        World::start_with(directory.path(), |config| config.database = database.to_string()).await
    };
    (world(&directories[0]).await, world(&directories[1]).await, directories)
}

/// Waits for a snapshot that is as it should be, as a node does.
async fn until(world: &World, what: &str, is_so: impl Fn(&Snapshot) -> bool) -> Snapshot {
    let seen = async {
        let mut version = 0;
        let mut current = Snapshot::default();
        loop {
            let answer = world.get(&format!("/snapshot?since={version}&wait=20")).await;
            if answer.status == StatusCode::OK {
                current.apply(serde_json::from_slice(&answer.body).unwrap()).unwrap();
                version = current.version;
            }
            if is_so(&current) {
                return current;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), seen).await.unwrap_or_else(|_| panic!("never {what}"))
}

async fn beat(world: &World, node: &str, mut beat: Value) -> Value {
    beat["load"] = json!({ "cpu": 0.5, "viewers": 7, "egress_bps": 1 });
    let path = format!("/api/v1/nodes/{node}/heartbeat");
    let answer = world.send(Method::POST, &path, NODE, beat.to_string()).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    answer.json()
}

#[tokio::test]
async fn what_one_instance_is_told_the_other_says() {
    let (a, b, _directories) = two().await;
    a.post("/channels", json!({ "id": "demo" })).await;
    let key = a.post("/channels/demo/keys", json!({})).await;
    assert_eq!(key.status, StatusCode::CREATED);
    until(&b, "with the channel and its key", |now| {
        now.channels.get("demo").is_some_and(|channel| channel.keys.len() == 1)
    })
    .await;
    // Nodes talk to the first.
    a.populate().await;
    let live = json!({ "broadcasts": [{ "channel": "demo", "id": "b1", "started_at": 5 }] });
    beat(&a, "origin-1", live).await;
    until(&b, "live and ready", |now| {
        let ready = now.nodes.values().filter(|node| node.status == Status::Ready).count();
        now.channels["demo"].live.is_some() && ready == 3
    })
    .await;

    b.post("/nodes/eu-1/drain", json!({})).await;
    until(&a, "draining", |now| now.nodes["eu-1"].status == Status::Draining).await;

    // Told by one, shown by the other: what is in no snapshot.
    let token = b.post("/api-tokens", json!({ "scopes": ["read-only"] })).await.json();
    let (id, token) = (token["id"].as_str().unwrap(), token["token"].as_str().unwrap());
    let opens = async |world: &World, status: StatusCode| {
        let asked = async {
            while world.send(Method::GET, "/api/v1/nodes", token, "").await.status != status {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), asked).await.expect("the other's token")
    };
    opens(&a, StatusCode::OK).await;
    b.delete(&format!("/api-tokens/{id}")).await;
    opens(&a, StatusCode::UNAUTHORIZED).await;

    let actors = b.get("/audit").await.json();
    assert!(actors["entries"].as_array().unwrap().iter().any(|entry| entry["action"] == "createChannel"));
}

#[tokio::test]
async fn nodes_of_one_carry_out_what_the_other_orders() {
    let (a, b, _directories) = two().await;
    a.post("/channels", json!({ "id": "demo" })).await;
    a.populate().await;
    let live = json!({ "broadcasts": [{ "channel": "demo", "id": "b1", "started_at": 5 }] });
    beat(&a, "origin-1", live.clone()).await;
    until(&b, "live", |now| now.channels.get("demo").is_some_and(|channel| channel.live.is_some())).await;

    let ordering = b.post("/purges?wait=20", json!({ "tag": "news" }));
    let carrying_out = async {
        let ordered = until(&a, "purging", |now| now.purges.newest() > 0).await.purges.newest();
        for edge in ["eu-1", "us-1"] {
            beat(&a, edge, json!({ "purged": ordered })).await;
        }
    };
    let (done, ()) = tokio::join!(ordering, carrying_out);
    assert_eq!((done.status, &done.json()["done"]), (StatusCode::OK, &json!(true)), "{}", done.text());

    let said = b.post("/channels/demo/metadata", json!({ "class": "com.example.goal" })).await;
    assert_eq!(said.status, StatusCode::ACCEPTED, "{}", said.text());
    let heard = async {
        loop {
            let ack = beat(&a, "origin-1", live.clone()).await;
            if let Some(commands) = ack["metadata"].as_array().filter(|commands| !commands.is_empty()) {
                assert_eq!(commands.len(), 1);
                return commands[0]["metadata"]["class"].clone();
            }
        }
    };
    let heard = tokio::time::timeout(Duration::from_secs(10), heard).await.expect("the command");
    assert_eq!(heard, "com.example.goal");
}

#[tokio::test]
async fn an_old_key_ends_at_all_instances_and_they_have_one_directory() {
    let (a, b, _directories) = two().await;
    a.post("/channels", json!({ "id": "demo", "title": "Chess" })).await;
    a.post("/categories", json!({ "id": "chess", "names": { "en": "Chess" } })).await;
    let key = a.post("/channels/demo/keys", json!({})).await.json();
    until(&b, "with the key", |now| now.channels.get("demo").is_some_and(|channel| channel.keys.len() == 1))
        .await;
    let path = format!("/channels/demo/keys/{}/rotate", key["id"].as_str().unwrap());
    let new = b.post(&path, json!({ "kick": false, "grace": 1 })).await.json();
    let new = hash(new["key"].as_str().unwrap());
    for world in [&a, &b] {
        until(world, "with the new key only", |now| now.channels["demo"].keys == [new.clone()]).await;
        let found = world.get("/directory?q=chess&live=false").await.json();
        assert_eq!(found["channels"][0]["id"], "demo");
        let categories = world.get("/categories").await.json();
        assert_eq!(categories["categories"].as_array().unwrap().len(), 23);
    }
}

#[tokio::test]
async fn a_node_that_changes_instances_gets_the_whole_snapshot() {
    let (a, b, _directories) = two().await;
    a.post("/channels", json!({ "id": "demo" })).await;
    let there = until(&b, "with the channel", |now| now.channels.contains_key("demo")).await;
    let here = snapshot(&a.get("/snapshot").await);
    assert_ne!(here.version >> 28, there.version >> 28, "no version is used twice");
    let answer = b.get(&format!("/snapshot?since={}", here.version)).await;
    let Update::Full(whole) = serde_json::from_slice(&answer.body).unwrap() else { panic!("a delta") };
    assert_eq!(whole.channels, here.channels);
}

#[tokio::test]
async fn changes_at_the_same_moment_do_not_undo_each_other() {
    let (a, b, _directories) = two().await;
    a.post("/channels", json!({ "id": "demo" })).await;
    for round in 0..20 {
        let patch = async |world: &World, body: Value| {
            let answer = world.send(Method::PATCH, "/api/v1/channels/demo", ADMIN, body.to_string()).await;
            assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        };
        let title = format!("Round {round}");
        let (record, closed) = (round % 2 == 0, round % 3 == 0);
        tokio::join!(
            patch(&a, json!({ "settings": { "record": record } })),
            patch(&b, json!({ "settings": { "closed": closed } })),
            patch(&a, json!({ "title": &title })),
        );
        let now = b.get("/channels/demo").await.json();
        assert_eq!((&now["title"], &now["settings"]["record"]), (&json!(title), &json!(record)));
        assert_eq!(now["settings"]["closed"], json!(closed));
    }
    let orders = async |world: &World| {
        let ordered = world.post("/purges?wait=0", json!({ "tag": "x" })).await;
        assert!(ordered.status.is_success(), "{}", ordered.text());
        ordered.json()["id"].as_u64().unwrap()
    };
    let (one, other) = tokio::join!(orders(&a), orders(&b));
    assert_ne!(one, other);
}
