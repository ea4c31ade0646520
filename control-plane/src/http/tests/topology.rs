//! The topology from a draft to what nodes and viewers see of it.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{snapshot, world};
use crate::testing::{ADMIN, Answer, NODE, World};

const DRAFT: &str = "/api/v1/topology/draft";

async fn put(world: &World, topology: Value) -> Answer {
    world.send(Method::PUT, DRAFT, ADMIN, topology.to_string()).await
}

async fn publish(world: &World, how: Value) -> Answer {
    world.post("/topology/draft/publish", how).await
}

async fn edges(world: &World) -> Vec<String> {
    let steering = world.get("/steer/demo").await.json();
    let edges = steering["edges"].as_array().unwrap();
    edges.iter().map(|edge| edge["node"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_draft_is_explained_published_numbered_and_gone_back_from() {
    let (world, _directory) = world().await;
    world.populate().await;
    world.post("/channels", json!({ "id": "demo" })).await;
    let load = json!({ "cpu": 0.1, "viewers": 40, "egress_bps": 0 });
    world.beat("us-1", json!({ "load": load })).await;
    let first = world.get("/topology").await;
    assert_eq!(
        (first.json()["version"].as_u64(), &first.headers["etag"]),
        (Some(0), &"\"0\"".parse().unwrap())
    );
    assert_eq!(world.get("/topology/draft").await.status, StatusCode::NOT_FOUND);
    assert_eq!(edges(&world).await, ["eu-1", "us-1"]);

    let begun = put(&world, json!({ "routes": [{ "from": ["eu"], "to": ["us"] }] })).await;
    assert_eq!((begun.status, begun.json()["base"].as_u64()), (StatusCode::OK, Some(0)), "{}", begun.text());
    let patch = json!({ "nodes": { "eu-1": { "weight": 50 } } }).to_string();
    let drafted = world.send(Method::PATCH, DRAFT, ADMIN, patch).await;
    assert_eq!(drafted.json()["topology"]["routes"][0]["to"], json!(["us"]));
    assert_eq!(edges(&world).await, ["eu-1", "us-1"], "a draft changes nothing");
    let report = world.post("/topology/draft/validate", json!({})).await.json();
    assert_eq!(report["differences"].as_array().unwrap().len(), 2, "{report}");
    assert_eq!((&report["regions"]["us"]["viewers"], &report["viewers_moved"]), (&json!(40), &json!(0)));

    let published = publish(&world, json!({ "note": "eu goes to us" })).await;
    assert_eq!(published.status, StatusCode::CREATED, "{}", published.text());
    assert_eq!(published.headers["location"], "/api/v1/topology/versions/1");
    assert_eq!(edges(&world).await, ["us-1", "eu-1"]);
    let now = snapshot(&world.get("/snapshot").await);
    assert_eq!((now.nodes["eu-1"].weight, now.topology.routes.len()), (50, 1));
    assert_eq!(world.get("/nodes/eu-1").await.json()["plan"]["weight"], 50);
    assert_eq!(world.get("/topology/draft").await.status, StatusCode::NOT_FOUND, "it is published");

    // Back to the one of the beginning, which nobody published.
    let back = world.post("/topology/versions/0/rollback", json!({ "note": "as it was" })).await;
    assert_eq!(
        (back.status, back.json()["version"].as_u64()),
        (StatusCode::CREATED, Some(2)),
        "{}",
        back.text()
    );
    assert_eq!(edges(&world).await, ["eu-1", "us-1"]);
    let versions = world.get("/topology/versions?limit=1").await.json();
    assert_eq!((&versions["versions"][0]["copy_of"], &versions["next"]), (&json!(0), &json!("2")));
    let older = world.get("/topology/versions?limit=1&cursor=2").await.json();
    assert_eq!((&older["versions"][0]["note"], &older["next"]), (&json!("eu goes to us"), &Value::Null));
    assert_eq!(world.get("/topology/versions/1").await.json()["topology"]["nodes"]["eu-1"]["weight"], 50);
    assert_eq!(world.get("/topology/versions/3").await.status, StatusCode::NOT_FOUND);

    let log = world.get("/audit?target=topology").await.json();
    let actions: Vec<_> =
        log["entries"].as_array().unwrap().iter().map(|one| one["action"].as_str().unwrap()).collect();
    assert_eq!(
        actions,
        ["rollBackTopology", "publishTopology", "changeTopologyDraft", "changeTopologyDraft"]
    );
}

#[tokio::test]
async fn a_draft_that_somebody_else_overtook_is_refused_until_that_was_seen() {
    let (world, _directory) = world().await;
    let etag =
        put(&world, json!({ "regions": { "eu": { "title": "Europe" } } })).await.headers["etag"].clone();
    let only = [("if-match", etag.to_str().unwrap())];
    let body = json!({ "regions": { "us": { "title": "America" } } }).to_string();
    let changed = world.send_with(Method::PATCH, DRAFT, ADMIN, &only, body.clone()).await;
    assert_eq!(changed.status, StatusCode::OK, "{}", changed.text());
    for method in [Method::PUT, Method::PATCH, Method::DELETE] {
        let late = world.send_with(method, DRAFT, ADMIN, &only, body.clone()).await;
        assert_eq!(late.status, StatusCode::PRECONDITION_FAILED);
        assert!(late.problem().detail.contains("ETag"));
    }
    let late = world.send_with(Method::POST, &format!("{DRAFT}/publish"), ADMIN, &only, "").await;
    assert_eq!(late.status, StatusCode::PRECONDITION_FAILED);

    // Version 1 is published beside the draft, which was begun from version 0.
    world.post("/topology/versions/0/rollback", json!({})).await;
    let outdated = publish(&world, json!({})).await;
    assert_eq!(outdated.status, StatusCode::CONFLICT);
    assert!(outdated.problem().detail.contains("`\"base\": 1`"), "{}", outdated.text());
    assert_eq!(publish(&world, json!({ "base": 1 })).await.status, StatusCode::CREATED);
    assert_eq!(world.send(Method::DELETE, DRAFT, ADMIN, "").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn nobody_loses_a_regions_edges_without_meaning_it() {
    let (world, _directory) = world().await;
    world.populate().await;
    put(&world, json!({ "nodes": { "us-1": { "weight": 0 } } })).await;
    let refused = publish(&world, json!({})).await;
    assert_eq!(refused.status, StatusCode::CONFLICT);
    let detail = refused.problem().detail;
    assert!(detail.contains("region us would have no edge") && detail.contains("force"), "{detail}");
    assert_eq!(world.get("/topology").await.json()["version"], 0);
    assert_eq!(publish(&world, json!({ "force": true })).await.status, StatusCode::CREATED);
}

#[tokio::test]
async fn what_no_topology_can_be_is_refused_with_its_name_and_the_draft_stays() {
    let (world, _directory) = world().await;
    put(&world, json!({ "regions": { "eu": { "title": "Europe" } } })).await;
    for (topology, name) in [
        (json!({ "regoins": {} }), "regoins"),
        (json!({ "nodes": { "eu-1": { "wieght": 3 } } }), "nodes.eu-1.wieght"),
        (json!({ "nodes": { "eu-1": { "weight": 3000 } } }), "nodes.eu-1.weight"),
        (json!({ "nodes": { "Not A Name": {} } }), "Not A Name"),
        (json!([]), "an object"),
    ] {
        let refused = put(&world, topology).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.text());
        assert!(refused.problem().detail.contains(name), "{}", refused.text());
    }
    let how = publish(&world, json!({ "note": "x".repeat(201) })).await;
    assert_eq!(how.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(world.get("/topology/draft").await.json()["topology"]["regions"]["eu"]["title"], "Europe");
    let huge = json!({ "regions": { "eu": { "title": "x".repeat(2 << 20) } } });
    assert_eq!(put(&world, huge).await.status, StatusCode::PAYLOAD_TOO_LARGE);
    let by_node = world.send(Method::PUT, DRAFT, NODE, "{}").await;
    assert_eq!(by_node.status, StatusCode::FORBIDDEN);
}
