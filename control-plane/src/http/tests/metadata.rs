//! Metadata from the API to the answers that an origin's heartbeats get.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::world;
use crate::testing::{NODE, World};

async fn beat(world: &World, node: &str, broadcasts: Value, received: &[u64]) -> Vec<Value> {
    let load = json!({ "cpu": 0.5, "viewers": 7, "egress_bps": 1 });
    let body = json!({ "load": load, "broadcasts": broadcasts, "received": received }).to_string();
    let path = format!("/api/v1/nodes/{node}/heartbeat");
    let ack = world.send(Method::POST, &path, NODE, body).await.json();
    ack["metadata"].as_array().cloned().unwrap_or_default()
}

#[tokio::test]
async fn metadata_reaches_the_origin_of_a_live_channel_and_is_told_until_it_is_heard() {
    let (world, _directory) = world().await;
    world.populate().await;
    world.post("/channels", json!({ "id": "demo" })).await;
    let path = "/channels/demo/metadata";
    let refused = world.post(path, json!({ "id": "goal" })).await;
    assert_eq!(refused.status, StatusCode::CONFLICT);
    assert!(refused.problem().detail.contains("demo is not live"));
    assert_eq!(world.post("/channels/none/metadata", json!({})).await.status, StatusCode::NOT_FOUND);

    let live = json!([{ "channel": "demo", "id": "b1", "started_at": 5 }]);
    assert_eq!(beat(&world, "origin-1", live.clone(), &[]).await, [] as [Value; 0]);
    let goal = json!({ "id": "goal", "duration": 5.0, "attributes": { "X-TEAM": "home" } });
    let accepted = world.post(path, goal.clone()).await;
    assert_eq!(accepted.status, StatusCode::ACCEPTED);
    assert_eq!(accepted.json(), json!({ "id": "goal", "broadcast": "b1" }));
    let unnamed = world.post(path, json!({})).await.json();
    assert_eq!(unnamed["id"].as_str().map(str::len), Some(8), "{unnamed}");

    assert_eq!(beat(&world, "eu-1", json!([]), &[]).await, [] as [Value; 0], "it is another node's");
    let told = beat(&world, "origin-1", live.clone(), &[]).await;
    assert_eq!(told.len(), 2);
    assert_eq!((&told[0]["metadata"], &told[0]["broadcast"]), (&goal, &json!("b1")));
    assert_eq!(beat(&world, "origin-1", live.clone(), &[]).await, told);
    let number = told[0]["number"].as_u64().unwrap();
    assert_eq!(beat(&world, "origin-1", live.clone(), &[number]).await, told[1..]);
    let number = told[1]["number"].as_u64().unwrap();
    assert_eq!(beat(&world, "origin-1", live, &[number]).await, [] as [Value; 0]);
}

#[tokio::test]
async fn too_much_and_nonsense_are_refused() {
    let (world, _directory) = world().await;
    world.populate().await;
    world.post("/channels", json!({ "id": "demo" })).await;
    beat(&world, "origin-1", json!([{ "channel": "demo", "id": "b1", "started_at": 5 }]), &[]).await;
    let path = "/channels/demo/metadata";
    let wrong = world.post(path, json!({ "at": 5 })).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(wrong.problem().detail.starts_with("at: "));
    let mut status = StatusCode::ACCEPTED;
    for _ in 0..300 {
        status = world.post(path, json!({})).await.status;
        if status != StatusCode::ACCEPTED {
            break;
        }
    }
    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
}
