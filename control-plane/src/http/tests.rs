mod access;
mod audience;
mod bodies;
mod busy;
mod directory;
mod document;
mod enrol;
mod idempotency;
mod ingest;
mod instances;
mod keys;
mod limits;
mod metadata;
mod oidc;
mod playback;
mod purges;
mod sessions;
mod topology;
mod users;
mod webhooks;

use std::time::{Duration, Instant};

use http::{Method, StatusCode};
use nearcast_api::snapshot::{Snapshot, Update};
use nearcast_api::steer::Steering;
use serde_json::{Value, json};

use crate::keys::hash;
use crate::testing::{ADMIN, NODE, World, spec};

async fn world() -> (World, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    (World::start(directory.path()).await, directory)
}

/// Method, path with made-up ids, and whether anybody may call it, of every operation in the document.
async fn operations(world: &World) -> Vec<(Method, String, bool)> {
    let document = world.get("/openapi.json").await.json();
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        let path = path.replace("{node}", "x-1").replace("{channel}", "x").replace("{key}", "y");
        let path = path.replace("{category}", "c");
        let path = path.replace("{user}", "u").replace("{session}", "s");
        let path = path.replace("{revocation}", "z").replace("{purge}", "7").replace("{token}", "t");
        let path = path.replace("{version}", "7");
        let path = path.replace("{webhook}", "w").replace("{delivery}", "d");
        let path = path.replace("{enrolment}", "e");
        for (method, operation) in item.as_object().unwrap() {
            let open = operation["security"].as_array().unwrap().iter().any(|one| one == &json!({}));
            operations.push((method.to_uppercase().parse().unwrap(), path.clone(), open));
        }
    }
    operations
}

fn snapshot(answer: &crate::testing::Answer) -> Snapshot {
    match serde_json::from_slice(&answer.body).unwrap() {
        Update::Full(snapshot) => snapshot,
        Update::Delta(delta) => panic!("a delta without a base: {delta:?}"),
    }
}

#[tokio::test]
async fn a_channel_is_made_shown_changed_and_deleted() {
    let (world, _directory) = world().await;
    let made = world.post("/channels", json!({ "id": "demo", "title": "Demo" })).await;
    assert_eq!(made.status, StatusCode::CREATED);
    assert_eq!(made.headers["location"], "/api/v1/channels/demo");
    assert_eq!(world.post("/channels", json!({ "id": "demo" })).await.status, StatusCode::CONFLICT);
    assert_eq!(world.get("/channels").await.json()["channels"][0]["title"], "Demo");

    let change = json!({ "title": "Renamed" }).to_string();
    let changed = world.send(Method::PATCH, "/api/v1/channels/demo", ADMIN, change).await;
    assert_eq!(changed.json()["title"], "Renamed");
    assert_eq!(snapshot(&world.get("/snapshot").await).channels["demo"].title, "Renamed");

    assert_eq!(world.delete("/channels/demo").await.status, StatusCode::NO_CONTENT);
    assert_eq!(world.get("/channels/demo").await.status, StatusCode::NOT_FOUND);
    assert!(snapshot(&world.get("/snapshot").await).channels.is_empty());
}

#[tokio::test]
async fn who_has_seen_an_older_channel_does_not_overwrite_a_newer_one() {
    let (world, _directory) = world().await;
    let made = world.post("/channels", json!({ "id": "demo" })).await;
    let seen = made.headers["etag"].to_str().unwrap().to_owned();
    assert_eq!(world.get("/channels/demo").await.headers["etag"], seen.as_str());
    let send = async |method: Method, tag: &str, body: Value| {
        world.send_with(method, "/api/v1/channels/demo", ADMIN, &[("if-match", tag)], body.to_string()).await
    };
    let changed = send(Method::PATCH, &seen, json!({ "title": "One" })).await;
    assert_eq!(changed.status, StatusCode::OK);
    assert_ne!(changed.headers["etag"], seen.as_str());
    let late = send(Method::PATCH, &seen, json!({ "title": "Two" })).await;
    assert_eq!(late.status, StatusCode::PRECONDITION_FAILED);
    assert!(late.problem().detail.contains("has changed"), "{}", late.text());
    assert_eq!(send(Method::DELETE, &seen, json!({})).await.status, StatusCode::PRECONDITION_FAILED);
    assert_eq!(world.get("/channels/demo").await.json()["title"], "One");
    let either = format!("\"x\", {}", changed.headers["etag"].to_str().unwrap());
    assert_eq!(send(Method::PATCH, &either, json!({ "title": "Three" })).await.status, StatusCode::OK);
    assert_eq!(send(Method::DELETE, "*", json!({})).await.status, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn a_stream_key_is_shown_once_and_only_its_hash_is_kept() {
    let (world, directory) = world().await;
    world.post("/channels", json!({ "id": "demo" })).await;
    let made = world.send(Method::POST, "/api/v1/channels/demo/keys", ADMIN, "").await;
    assert_eq!(
        (made.status, made.headers["cache-control"].to_str().unwrap()),
        (StatusCode::CREATED, "no-store")
    );
    let key = made.json()["key"].as_str().unwrap().to_owned();
    assert_eq!(key.len(), 32);
    let hashes = snapshot(&world.get("/snapshot").await).channels["demo"].keys.clone();
    assert_eq!(hashes, [hash(&key)]);

    let listed = world.get("/channels/demo/keys").await;
    assert_eq!(listed.json()["keys"].as_array().unwrap().len(), 1);
    assert!(!listed.text().contains(&key));
    for file in std::fs::read_dir(directory.path()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        assert!(!bytes.windows(key.len()).any(|window| window == key.as_bytes()), "the key is on disk");
    }

    let id = made.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(world.delete(&format!("/channels/demo/keys/{id}")).await.status, StatusCode::NO_CONTENT);
    assert!(snapshot(&world.get("/snapshot").await).channels["demo"].keys.is_empty());
}

#[tokio::test]
async fn a_chosen_key_is_accepted_once_per_channel_and_by_one_channel() {
    let (world, _directory) = world().await;
    for id in ["demo", "other"] {
        world.post("/channels", json!({ "id": id })).await;
    }
    let body = json!({ "key": "demo-stream-key-0001", "label": "runner" });
    let made = world.post("/channels/demo/keys", body.clone()).await;
    assert_eq!((made.status, &made.json()["key"]), (StatusCode::CREATED, &body["key"]));
    let again = world.post("/channels/demo/keys", body.clone()).await;
    assert_eq!((again.status, &again.json()["id"]), (StatusCode::OK, &made.json()["id"]));
    let elsewhere = world.post("/channels/other/keys", body).await;
    assert_eq!(elsewhere.status, StatusCode::CONFLICT);
    assert!(!elsewhere.problem().detail.contains("demo"), "whose key it is, is nobody's business");
}

#[tokio::test]
async fn every_failure_is_a_problem_that_says_what_to_do() {
    let (world, _directory) = world().await;
    world.populate().await;
    world.post("/channels", json!({ "id": "demo" })).await;
    let long = "x".repeat(70_000);
    let edge = |field: &str, value: Value| {
        let mut spec = spec("eu-1", "edge", "eu", &["127.0.0.1"]);
        spec[field] = value;
        spec.to_string()
    };
    let (get, post, put, patch) = (Method::GET, Method::POST, Method::PUT, Method::PATCH);
    for (method, path, body, status, says) in [
        (&get, "/nope", String::new(), 404, "openapi.json"),
        (&patch, "/channels", String::new(), 405, "Allow"),
        (&get, "/channels/none", String::new(), 404, "POST /api/v1/channels"),
        (&get, "/channels/Not-A-Name", String::new(), 400, "a-z"),
        (&get, "/channels/%ff", String::new(), 400, "UTF-8"),
        (&post, "/channels", String::new(), 400, "EOF"),
        (&post, "/channels", "{".into(), 400, "EOF"),
        (&post, "/channels", "[]".into(), 422, "an object"),
        (&patch, "/channels/demo", "[null,null]".into(), 422, "an object"),
        (&post, "/channels", r#"{"title":"x"}"#.into(), 422, "missing field `id`"),
        (&post, "/channels", r#"{"id":"a b"}"#.into(), 422, "id: channel \"a b\""),
        (&post, "/channels", r#"{"id":"x","titel":"y"}"#.into(), 422, "titel"),
        (&post, "/channels", r#"{"id":"x","title":5}"#.into(), 422, "title"),
        (&post, "/channels", r#"{"id":"x","title":"a\nb"}"#.into(), 422, "title"),
        (&post, "/channels", format!(r#"{{"id":"x","title":"{long}"}}"#), 413, "65536"),
        (&post, "/channels", format!(r#"{{"id":"x","title":"{}"}}"#, &long[..300]), 422, "200"),
        (&post, "/channels/none/keys", String::new(), 404, "none"),
        (&post, "/channels/demo/keys", r#"{"key":"short"}"#.into(), 422, "16"),
        (&post, "/channels/demo/keys", r#"{"key":"has a space in the middle"}"#.into(), 422, "key"),
        (&Method::DELETE, "/channels/demo/keys/none", String::new(), 404, "keys"),
        (
            &post,
            "/nodes/ghost/heartbeat",
            r#"{"load":{"cpu":0,"viewers":0,"egress_bps":0}}"#.into(),
            404,
            "PUT",
        ),
        (&post, "/nodes/eu-1/heartbeat", "{}".into(), 422, "load"),
        (&post, "/nodes/ghost/drain", String::new(), 404, "ghost"),
        (&put, "/nodes/us-1", edge("version", json!("1")), 422, "eu-1"),
        (&put, "/nodes/eu-1", edge("urls", json!(["127.0.0.1:8443"])), 422, "http://HOST:PORT"),
        (&put, "/nodes/eu-1", edge("urls", json!(["http://a/", "http://b"])), 422, "slash"),
        (&put, "/nodes/eu-1", edge("addresses", json!(["0.0.0.0"])), 422, "addresses"),
        (&put, "/nodes/eu-1", edge("addresses", json!(["localhost"])), 422, "addresses[0]"),
        (&put, "/nodes/eu-1", edge("location", json!({ "latitude": 91, "longitude": 0 })), 422, "latitude"),
        (&put, "/nodes/eu-1", edge("role", json!("relay")), 422, "role"),
        (&put, "/nodes/edge", spec("edge", "edge", "eu", &["127.0.0.1"]).to_string(), 422, "zone's own"),
        (&get, "/snapshot?since=x", String::new(), 400, "since"),
        (&get, "/steer/none", String::new(), 404, "none"),
        (&get, "/steer/demo?ip=nonsense", String::new(), 400, "ip"),
    ] {
        let answer = world.send(method.clone(), &format!("/api/v1{path}"), ADMIN, body).await;
        let problem = answer.problem();
        assert_eq!(problem.status, status, "{method} {path}: {problem:?}");
        assert!(problem.detail.contains(says), "{method} {path}: {problem:?}");
        assert!(problem.detail.len() < 600);
    }
    let answer = world.send(patch, "/api/v1/channels", ADMIN, "").await;
    assert_eq!(answer.headers["allow"], "GET,HEAD,POST");
}

#[tokio::test]
async fn nodes_register_report_drain_and_are_forgotten() {
    let (world, _directory) = world().await;
    world.populate().await;
    world.post("/channels", json!({ "id": "demo" })).await;
    let beat = json!({
        "load": { "cpu": 0.5, "viewers": 7, "egress_bps": 1_000_000 },
        "broadcasts": [{ "channel": "demo", "id": "b1", "started_at": 5 }]
    });
    let ack = world.send(Method::POST, "/api/v1/nodes/origin-1/heartbeat", NODE, beat.to_string()).await;
    let current = snapshot(&world.get("/snapshot").await);
    assert_eq!(ack.json()["snapshot"], current.version);
    assert_eq!(current.channels["demo"].live.as_ref().unwrap().broadcast.as_str(), "b1");
    assert_eq!(world.get("/channels/demo").await.json()["live"]["origin"], "origin-1");
    let node = world.get("/nodes/origin-1").await.json();
    assert_eq!((&node["status"], &node["load"]["viewers"]), (&json!("ready"), &json!(7)));

    assert_eq!(world.post("/nodes/eu-1/drain", json!({})).await.json()["status"], "draining");
    assert_eq!(world.post("/nodes/eu-1/undrain", json!({})).await.json()["status"], "ready");
    assert_eq!(world.delete("/nodes/eu-1").await.status, StatusCode::NO_CONTENT);
    assert_eq!(world.get("/nodes").await.json()["nodes"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn viewers_are_steered_by_their_address_and_only_admins_by_anothers() {
    let (world, _directory) = world().await;
    world.populate().await;
    world.post("/channels", json!({ "id": "demo" })).await;
    let edges = async |query: &str, token: &str| -> Vec<String> {
        let answer = world.send(Method::GET, &format!("/api/v1/steer/demo{query}"), token, "").await;
        assert_eq!(answer.headers["access-control-allow-origin"], "*");
        let steering: Steering = serde_json::from_slice(&answer.body).unwrap();
        assert!(!steering.live);
        steering.edges.into_iter().map(|edge| edge.node.to_string()).collect()
    };
    assert_eq!(edges("", "").await, ["eu-1", "us-1"], "loopback is in the default region");
    assert_eq!(edges("?ip=203.0.113.9", ADMIN).await, ["us-1", "eu-1"]);
    let refused = world.send(Method::GET, "/api/v1/steer/demo?ip=203.0.113.9", "", "").await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    world.post("/nodes/eu-1/drain", json!({})).await;
    assert_eq!(edges("", "").await, ["us-1"]);
}

#[tokio::test]
async fn a_waiting_node_gets_a_change_within_milliseconds() {
    let (world, _directory) = world().await;
    world.post("/channels", json!({ "id": "demo" })).await;
    let version = snapshot(&world.get("/snapshot").await).version;
    assert_eq!(world.get(&format!("/snapshot?since={version}&wait=0")).await.status, StatusCode::NO_CONTENT);

    let path = format!("/snapshot?since={version}&wait=25");
    let waiting = async { (world.get(&path).await, Instant::now()) };
    let changing = async {
        // The other request is on its way to the same process; one that comes late is answered at once.
        world.post("/channels", json!({ "id": "second" })).await;
        Instant::now()
    };
    let ((answer, arrived), changed) = tokio::join!(waiting, changing);
    let took = arrived.saturating_duration_since(changed);
    assert!(took < Duration::from_millis(500), "{took:?}");
    let Update::Delta(delta) = serde_json::from_slice(&answer.body).unwrap() else { panic!("not a delta") };
    assert_eq!((delta.from, delta.to), (version, version + 1));
    assert!(delta.channels["second"].is_some() && delta.channels.len() == 1);
}

#[tokio::test]
async fn a_drain_lets_waiting_nodes_go() {
    let (world, _directory) = world().await;
    let version = snapshot(&world.get("/snapshot").await).version;
    let path = format!("/snapshot?since={version}&wait=25");
    let drain = world.daemon.drain.clone();
    let waiting = world.get(&path);
    let (answer, ()) = tokio::join!(waiting, async { drain.begin() });
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    drain.wait(Duration::from_secs(5)).await.unwrap();
}

#[tokio::test]
async fn a_second_start_knows_everything_and_never_reuses_a_version() {
    let directory = tempfile::tempdir().unwrap();
    let first = World::start(directory.path()).await;
    first.populate().await;
    first.post("/channels", json!({ "id": "demo", "title": "Demo" })).await;
    first.post("/channels/demo/keys", json!({ "key": "demo-stream-key-0001" })).await;
    first.post("/nodes/us-1/drain", json!({})).await;
    let before = snapshot(&first.get("/snapshot").await);
    first.daemon.drain.begin();
    first.daemon.drain.wait(Duration::from_secs(5)).await.unwrap();

    let second = World::start(directory.path()).await;
    let after = snapshot(&second.get("/snapshot").await);
    assert!(after.version > before.version);
    assert_eq!((after.nodes, after.channels), (before.nodes, before.channels));
}

#[tokio::test]
async fn pages_are_served_or_said_to_be_missing() {
    let (world, _directory) = world().await;
    for path in ["/", "/watch/demo"] {
        let answer = world.send(Method::GET, path, "", "").await;
        if answer.status == StatusCode::SERVICE_UNAVAILABLE {
            assert!(answer.problem().detail.contains("make web"));
            continue;
        }
        assert_eq!(answer.status, StatusCode::OK);
        assert!(answer.text().contains("<!doctype html>"));
        let policy = answer.headers["content-security-policy"].to_str().unwrap();
        assert!(
            policy.contains("media-src 'self' blob: https: http:;") && !policy.contains("unsafe"),
            "{policy}"
        );
        assert_eq!(answer.headers["x-content-type-options"], "nosniff");
        assert_eq!(answer.headers["cache-control"], "no-cache");
    }
    let posted = world.send(Method::POST, "/", "", "").await;
    assert_eq!(
        (posted.status, posted.headers["allow"].to_str().unwrap()),
        (StatusCode::METHOD_NOT_ALLOWED, "GET, HEAD")
    );
}
