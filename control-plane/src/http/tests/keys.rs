//! Stream keys that are replaced, and switched off and on.

use std::time::Duration;

use http::{Method, StatusCode};
use nearcast_api::snapshot::KeyHash;
use serde_json::{Value, json};

use super::{snapshot, world};
use crate::keys::hash;
use crate::testing::{ADMIN, World};

/// A channel with one key: the key's id and the key.
async fn with_key(world: &World) -> (String, String) {
    world.post("/channels", json!({ "id": "demo" })).await;
    let made = world.post("/channels/demo/keys", json!({ "label": "OBS" })).await.json();
    (made["id"].as_str().unwrap().to_owned(), made["key"].as_str().unwrap().to_owned())
}

async fn hashes(world: &World) -> Vec<KeyHash> {
    snapshot(&world.get("/snapshot").await).channels["demo"].keys.clone()
}

async fn rotate(world: &World, id: &str, body: Value) -> Value {
    let answer = world.post(&format!("/channels/demo/keys/{id}/rotate"), body).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    assert_eq!(answer.headers["cache-control"], "no-store");
    answer.json()
}

#[tokio::test]
async fn a_key_is_replaced_and_the_old_one_opens_nothing_any_more() {
    let (world, _directory) = world().await;
    let (id, old) = with_key(&world).await;
    let path = format!("/api/v1/channels/demo/keys/{id}/rotate");
    // Without a body.
    let new = world.send(Method::POST, &path, ADMIN, "").await.json();
    assert_eq!((&new["id"], &new["label"], new.get("old_ends_at")), (&json!(id), &json!("OBS"), None));
    assert_ne!(new["key"], json!(old));
    assert_eq!(hashes(&world).await, [hash(new["key"].as_str().unwrap())]);
    let log = world.get("/audit?action=rotateStreamKey").await;
    assert_eq!(log.json()["entries"][0]["target"], format!("channels/demo/keys/{id}"));
    assert!(!log.text().contains(new["key"].as_str().unwrap()) && !log.text().contains(&old));
}

#[tokio::test]
async fn an_old_key_counts_for_its_time_and_is_gone_after_that_and_after_a_restart() {
    let (world, directory) = world().await;
    let (id, old) = with_key(&world).await;
    let kept = rotate(&world, &id, json!({ "kick": false })).await;
    assert!(kept["old_ends_at"].is_u64());
    assert_eq!(hashes(&world).await, [hash(kept["key"].as_str().unwrap()), hash(&old)]);
    // It is nobody else's meanwhile, not even its own channel's as another key.
    world.post("/channels", json!({ "id": "other" })).await;
    for channel in ["demo", "other"] {
        let taken = world.post(&format!("/channels/{channel}/keys"), json!({ "key": old })).await;
        assert_eq!(taken.status, StatusCode::CONFLICT, "{}", taken.text());
    }

    // Again: the first is too old now, whatever was said of it.
    let second = hash(kept["key"].as_str().unwrap());
    let third = rotate(&world, &id, json!({ "kick": false, "grace": 86_400 })).await;
    let third = hash(third["key"].as_str().unwrap());
    assert_eq!(hashes(&world).await, [third, second]);

    // Nodes hear of its end as of any change.
    let fourth = rotate(&world, &id, json!({ "kick": false, "grace": 1 })).await;
    until(&world, &hash(fourth["key"].as_str().unwrap())).await;

    let fifth = rotate(&world, &id, json!({ "kick": false, "grace": 2 })).await;
    world.daemon.drain.begin();
    world.daemon.drain.wait(Duration::from_secs(5)).await.unwrap();
    let world = World::start(directory.path()).await;
    until(&world, &hash(fifth["key"].as_str().unwrap())).await;
}

/// Waits for a snapshot with this one key, as a node does.
async fn until(world: &World, only: &KeyHash) {
    let heard = async {
        let mut current = snapshot(&world.get("/snapshot").await);
        while current.channels["demo"].keys != std::slice::from_ref(only) {
            let news = world.get(&format!("/snapshot?since={}&wait=20", current.version)).await;
            if news.status == StatusCode::OK {
                current.apply(serde_json::from_slice(&news.body).unwrap()).unwrap();
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(15), heard).await.expect("the old key to end");
}

#[tokio::test]
async fn a_key_that_is_switched_off_opens_nothing_until_it_is_on_again() {
    let (world, _directory) = world().await;
    let (id, key) = with_key(&world).await;
    let path = format!("/api/v1/channels/demo/keys/{id}");
    let change = async |body: Value| {
        let answer = world.send(Method::PATCH, &path, ADMIN, body.to_string()).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        answer.json()
    };
    let off = change(json!({ "disabled": true, "label": "stolen" })).await;
    assert_eq!((&off["disabled"], &off["label"]), (&json!(true), &json!("stolen")));
    assert_eq!(hashes(&world).await, []);
    // It stays off with another secret.
    let new = rotate(&world, &id, json!({})).await;
    assert_eq!((&new["disabled"], hashes(&world).await.len()), (&json!(true), 0));
    assert_eq!(change(json!({})).await["disabled"], true);
    assert_eq!(change(json!({ "disabled": false })).await["label"], "stolen");
    assert_eq!(hashes(&world).await, [hash(new["key"].as_str().unwrap())]);
    assert_ne!(new["key"], json!(key));

    for (method, path, body, status, says) in [
        (Method::POST, format!("{path}/rotate"), json!({ "grace": 5 }), 422, "\"kick\": false"),
        (
            Method::POST,
            format!("{path}/rotate"),
            json!({ "kick": false, "grace": 86_401 }),
            422,
            "1 to 86400",
        ),
        (Method::POST, format!("{path}/rotate"), json!({ "kick": false, "grace": 0 }), 422, "1 to 86400"),
        (Method::POST, "/api/v1/channels/demo/keys/none/rotate".into(), json!({}), 404, "none"),
        (Method::PATCH, path.clone(), json!({ "label": "x".repeat(101) }), 422, "label"),
        (Method::PATCH, path.clone(), json!({ "key": "x" }), 422, "key"),
        (Method::PATCH, "/api/v1/channels/demo/keys/none".into(), json!({}), 404, "none"),
    ] {
        let answer = world.send(method, &path, ADMIN, body.to_string()).await;
        let problem = answer.problem();
        assert_eq!(problem.status, status, "{problem:?}");
        assert!(problem.detail.contains(says), "{problem:?}");
    }
}
