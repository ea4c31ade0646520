//! Purges from the API to snapshots, and how far heartbeats say the edges are.

use std::time::Duration;

use http::{Method, StatusCode};
use nearcast_api::purge::Purges;
use nearcast_api::snapshot::Update;
use serde_json::{Value, json};

use super::{snapshot, world};
use crate::testing::{NODE, World};

async fn beat(world: &World, node: &str, purged: u64) {
    let load = json!({ "cpu": 0.5, "viewers": 7, "egress_bps": 1 });
    let body = json!({ "load": load, "purged": purged }).to_string();
    world.send(Method::POST, &format!("/api/v1/nodes/{node}/heartbeat"), NODE, body).await;
}

#[tokio::test]
async fn a_purge_is_in_the_next_snapshot_and_done_when_every_edge_says_so() {
    let (world, directory) = world().await;
    world.populate().await;
    let before = snapshot(&world.get("/snapshot").await);
    let ordered = world.post("/purges?wait=0", json!({ "tag": "match-7", "soft": true })).await;
    assert_eq!(ordered.status, StatusCode::ACCEPTED);
    let view = ordered.json();
    let id = view["id"].as_u64().unwrap();
    assert_eq!(ordered.headers["location"], format!("/api/v1/purges/{id}"));
    let edges = view["pending"].as_array().unwrap().clone();
    assert!(!edges.is_empty() && view["done"] == json!(false) && view["tag"] == json!("match-7"), "{view}");

    let delta = world.get(&format!("/snapshot?since={}", before.version)).await;
    let Update::Delta(delta) = serde_json::from_slice(&delta.body).unwrap() else { panic!("no delta") };
    assert_eq!((delta.purges.len(), delta.purges[0].id, delta.purges[0].order.soft), (1, id, true));

    let waiting = world.post("/purges?wait=20", json!({ "url": "/vod/a" }));
    let reporting = async {
        loop {
            let newest = snapshot(&world.get("/snapshot").await).purges.newest();
            if newest > id {
                for edge in &edges {
                    beat(&world, edge.as_str().unwrap(), newest).await;
                }
                return;
            }
        }
    };
    let (done, ()) = tokio::join!(waiting, reporting);
    assert_eq!((done.status, done.json()["done"].clone()), (StatusCode::OK, json!(true)));
    assert_eq!(done.json()["applied"].as_array().unwrap(), &edges);
    assert_eq!(world.get(&format!("/purges/{id}")).await.json()["done"], json!(true));
    assert_eq!(world.get("/purges").await.json()["purges"].as_array().unwrap().len(), 2);
    assert_eq!(world.get("/purges/5").await.status, StatusCode::NOT_FOUND);

    for _ in 0..Purges::MAX {
        world.post("/purges?wait=0", json!({ "tag": "more" })).await;
    }
    let known = snapshot(&world.get("/snapshot").await).purges;
    world.daemon.drain.begin();
    world.daemon.drain.wait(Duration::from_secs(10)).await.unwrap();
    let again = World::start(directory.path()).await;
    assert_eq!(snapshot(&again.get("/snapshot").await).purges, known, "a restart forgets none");
    assert!(known.floor >= id);
}

#[tokio::test]
async fn what_cannot_be_purged_is_refused_in_words() {
    let (world, _directory) = world().await;
    let long = format!("/{}", "x".repeat(2048));
    let cases: [(Value, &str); 9] = [
        (json!({}), "exactly one"),
        (json!({ "url": "/a", "tag": "b" }), "exactly one"),
        (json!({ "url": "a.html" }), "https://HOST/PATH"),
        (json!({ "url": "https:///a" }), "https://HOST/PATH"),
        (json!({ "prefix": "/a b" }), "percent-encoded"),
        (json!({ "url": long }), "2048"),
        (json!({ "tag": "" }), "1 to 1024"),
        (json!({ "channel": "Not A Name" }), "channel"),
        (json!({ "tags": "a" }), "tags"),
    ];
    for (body, says) in cases {
        let refused = world.post("/purges", body.clone()).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{body}");
        assert!(refused.problem().detail.contains(says), "{}", refused.problem().detail);
    }
    assert!(snapshot(&world.get("/snapshot").await).purges.is_empty());
}
