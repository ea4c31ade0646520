//! How publishers do and what happened to them, from an origin's heartbeat to the operator.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::world;
use crate::testing::{NODE, World};

async fn beat(world: &World, beat: Value) -> Value {
    let path = "/api/v1/nodes/origin-1/heartbeat";
    let answer = world.send(Method::POST, path, NODE, beat.to_string()).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    answer.json()
}

fn load() -> Value {
    json!({ "cpu": 0.5, "viewers": 0, "egress_bps": 0 })
}

fn event(seq: u64, channel: &str, text: &str) -> Value {
    json!({ "seq": seq, "at": 1_000 + seq, "channel": channel, "kind": "warning_raised", "code": "drift", "text": text })
}

/// Numbers and texts of the channel's log.
async fn log(world: &World, query: &str) -> Vec<(u64, String)> {
    let answer = world.get(&format!("/channels/demo/events{query}")).await.json();
    let events = answer["events"].as_array().unwrap().iter();
    events.map(|event| (event["id"].as_u64().unwrap(), event["text"].as_str().unwrap().to_owned())).collect()
}

#[tokio::test]
async fn health_is_what_the_last_heartbeat_said_of_it() {
    let (world, _directory) = world().await;
    world.populate().await;
    world.post("/channels", json!({ "id": "demo" })).await;
    assert_eq!(world.get("/channels/demo/ingest").await.json(), json!({ "publishers": [] }));
    assert_eq!(world.get("/channels/none/ingest").await.status, StatusCode::NOT_FOUND);

    let warning = json!({ "code": "drift", "text": "the audio is 250 ms ahead", "numbers": { "drift_ms": 250.0 }, "since": 5 });
    let health = json!({ "protocol": "rtmp", "pace": 0.5, "warnings": [warning], "newer": "than this" });
    let broadcast = |health: Option<&Value>| {
        let mut broadcast = json!({ "channel": "demo", "id": "b1", "started_at": 7, "newer": true });
        if let Some(health) = health {
            broadcast["health"] = json!([health]);
        }
        json!({ "load": load(), "broadcasts": [broadcast], "newer": [] })
    };
    let version = beat(&world, broadcast(Some(&health))).await["snapshot"].clone();
    // A heartbeat without health changes nothing, and health changes no snapshot.
    for next in [None, Some(&health)] {
        assert_eq!(beat(&world, broadcast(next)).await["snapshot"], version);
        let publishers = world.get("/channels/demo/ingest").await.json()["publishers"].clone();
        assert_eq!(publishers.as_array().unwrap().len(), 1);
        let publisher = &publishers[0];
        assert_eq!((&publisher["origin"], &publisher["broadcast"]), (&json!("origin-1"), &json!("b1")));
        assert_eq!((&publisher["live"], &publisher["started_at"]), (&json!(true), &json!(7)));
        assert_eq!(publisher["health"]["pace"], 0.5);
        assert_eq!(publisher["health"]["warnings"][0]["numbers"]["drift_ms"], 250.0);
    }
    let standby = json!({ "protocol": "srt", "backup": true });
    let two = json!({ "channel": "demo", "id": "b1", "started_at": 7, "health": [health, standby] });
    beat(&world, json!({ "load": load(), "broadcasts": [two] })).await;
    let publishers = world.get("/channels/demo/ingest").await.json()["publishers"].clone();
    assert_eq!(publishers.as_array().unwrap().len(), 2);
    assert_eq!(publishers[1]["health"]["backup"], true);
    let waiting = json!({ "channel": "demo", "id": "b1", "started_at": 7, "health": [] });
    beat(&world, json!({ "load": load(), "broadcasts": [waiting] })).await;
    let live = json!({ "origin": "origin-1", "broadcast": "b1", "started_at": 7 });
    assert_eq!(world.get("/channels/demo/ingest").await.json(), json!({ "live": live, "publishers": [] }));

    beat(&world, json!({ "load": load() })).await;
    assert_eq!(world.get("/channels/demo/ingest").await.json(), json!({ "publishers": [] }));
}

#[tokio::test]
async fn events_are_kept_once_however_often_they_come_and_outlive_a_restart() {
    let (world, directory) = world().await;
    world.populate().await;
    world.post("/channels", json!({ "id": "demo" })).await;
    let told = |epoch: u64, events: &[Value]| json!({ "load": load(), "events": { "epoch": epoch, "events": events } });
    let (a, b, c) = (event(1, "demo", "a"), event(2, "gone", "b"), event(3, "demo", "c"));
    let ack = beat(&world, told(9, &[a.clone(), b.clone()])).await;
    assert_eq!(ack["events"], json!({ "epoch": 9, "seq": 2 }));
    // The answer was lost, so all come again, with one more.
    let ack = beat(&world, told(9, &[a, b, c.clone()])).await;
    assert_eq!(ack["events"], json!({ "epoch": 9, "seq": 3 }));
    // Another life of the origin counts anew.
    beat(&world, told(10, &[event(1, "demo", "d")])).await;

    let all = log(&world, "").await;
    assert_eq!(all.iter().map(|(_, text)| text.as_str()).collect::<Vec<_>>(), ["a", "c", "d"]);
    assert_eq!(log(&world, &format!("?after={}", all[0].0)).await, all[1..]);
    assert_eq!(log(&world, "?after=0&limit=1").await, all[..1]);
    assert_eq!(log(&world, "?limit=1").await, all[2..]);
    assert_eq!(
        world.get(&format!("/channels/demo/events?after={}", all[2].0)).await.json()["last"],
        all[2].0
    );
    for wrong in ["?limit=0", "?limit=501", "?after=x", "?before=1"] {
        assert!(
            world.get(&format!("/channels/demo/events{wrong}")).await.status.is_client_error(),
            "{wrong}"
        );
    }
    assert_eq!(world.get("/channels/none/events").await.status, StatusCode::NOT_FOUND);

    drop(world);
    let world = World::start(directory.path()).await;
    assert_eq!(log(&world, "").await, all);
    beat(&world, told(9, &[c])).await;
    assert_eq!(log(&world, "").await, all, "told again after a restart");
}

#[tokio::test]
async fn the_newest_events_of_a_channel_are_kept() {
    let (world, _directory) = world().await;
    world.populate().await;
    world.post("/channels", json!({ "id": "demo" })).await;
    let events: Vec<_> = (1..=600).map(|n| event(n, "demo", &n.to_string())).collect();
    beat(&world, json!({ "load": load(), "events": { "epoch": 1, "events": events } })).await;
    let kept = log(&world, "?limit=500").await;
    assert_eq!((kept.len(), kept[0].1.as_str(), kept[499].1.as_str()), (500, "101", "600"));
    world.delete("/channels/demo").await;
    world.post("/channels", json!({ "id": "demo" })).await;
    assert_eq!(log(&world, "").await, [], "another channel of that name has its own past");
}
