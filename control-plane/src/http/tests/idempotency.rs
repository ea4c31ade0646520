//! Calls that are made again.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::world;
use crate::testing::{ADMIN, Answer, World, postgres};

async fn call(world: &World, path: &str, key: &str, body: &Value) -> Answer {
    let headers = [("idempotency-key", key)];
    world.send_with(Method::POST, &format!("/api/v1{path}"), ADMIN, &headers, body.to_string()).await
}

async fn count(world: &World, path: &str, field: &str) -> usize {
    world.get(path).await.json()[field].as_array().unwrap().len()
}

#[tokio::test]
async fn a_call_that_is_made_again_is_answered_again_and_nothing_happens_twice() {
    let (world, directory) = world().await;
    world.post("/channels", json!({ "id": "demo" })).await;
    let body = json!({ "label": "OBS" });
    let first = call(&world, "/channels/demo/keys", "one", &body).await;
    assert_eq!(first.status, StatusCode::CREATED, "{}", first.text());
    assert!(!first.headers.contains_key("idempotency-replayed"));
    // Bare or quoted, it is the same key.
    for key in ["one", "\"one\""] {
        let again = call(&world, "/channels/demo/keys", key, &body).await;
        assert_eq!((again.status, &again.body), (first.status, &first.body));
        assert_eq!(again.headers["idempotency-replayed"], "true");
        for header in ["content-type", "cache-control"] {
            assert_eq!(again.headers[header], first.headers[header]);
        }
    }
    assert_eq!(count(&world, "/channels/demo/keys", "keys").await, 1);
    let other = call(&world, "/channels/demo/keys", "one", &json!({ "label": "vMix" })).await;
    assert_eq!(other.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(other.problem().detail.contains("Idempotency-Key"), "{}", other.text());
    // Another route or another caller has keys of their own.
    world.post("/channels", json!({ "id": "second" })).await;
    assert_eq!(call(&world, "/channels/second/keys", "one", &body).await.status, StatusCode::CREATED);
    let token = world.post("/api-tokens", json!({ "scopes": ["publisher"] })).await.json();
    let token = token["token"].as_str().unwrap();
    let path = "/api/v1/channels/demo/keys";
    let theirs = async |token: &str| {
        world.send_with(Method::POST, path, token, &[("idempotency-key", "one")], body.to_string()).await
    };
    assert_ne!(theirs(token).await.json()["key"], first.json()["key"]);
    assert_eq!(theirs("not-one-of-ours").await.status, StatusCode::UNAUTHORIZED);
    // Shown once means: not found on any disk.
    let secret = first.json()["key"].as_str().unwrap().to_owned();
    for file in std::fs::read_dir(directory.path()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        assert!(!bytes.windows(secret.len()).any(|window| window == secret.as_bytes()), "the key is on disk");
    }
    // A failure has changed nothing, and is tried afresh.
    let body = json!({ "id": "third" });
    world.post("/channels", body.clone()).await;
    assert_eq!(call(&world, "/channels", "two", &body).await.status, StatusCode::CONFLICT);
    world.delete("/channels/third").await;
    assert_eq!(call(&world, "/channels", "two", &body).await.status, StatusCode::CREATED);
    world.delete("/channels/third").await;
    let again = call(&world, "/channels", "two", &body).await;
    assert_eq!(
        (again.status, &again.headers["location"]),
        (StatusCode::CREATED, &"/api/v1/channels/third".parse().unwrap())
    );
    assert_eq!(world.get("/channels/third").await.status, StatusCode::NOT_FOUND);
    for wrong in ["", &"x".repeat(256)] {
        assert_eq!(call(&world, "/channels", wrong, &body).await.status, StatusCode::BAD_REQUEST);
    }
}

#[tokio::test]
async fn calls_at_the_same_moment_to_two_instances_are_carried_out_once() {
    let database = postgres::database().await;
    let directories = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let world = async |number: usize| {
        World::start_with(directories[number].path(), |config| config.database = database.to_string()).await
    };
    let (a, b) = (world(0).await, world(1).await);
    for round in 0..10 {
        let (key, body) = (format!("round-{round}"), json!({ "scopes": ["read-only"] }));
        let (one, two, three) = tokio::join!(
            call(&a, "/api-tokens", &key, &body),
            call(&b, "/api-tokens", &key, &body),
            call(&a, "/api-tokens", &key, &body),
        );
        let later = call(&b, "/api-tokens", &key, &body).await;
        assert_eq!(later.status, StatusCode::CREATED);
        let mut carried_out = 0;
        for answer in [one, two, three] {
            match answer.status {
                StatusCode::CREATED => assert_eq!(answer.body, later.body),
                StatusCode::CONFLICT => {
                    assert!(answer.problem().detail.contains("still"), "{}", answer.text())
                }
                other => panic!("{other}: {}", answer.text()),
            }
            carried_out += usize::from(
                answer.status == StatusCode::CREATED && !answer.headers.contains_key("idempotency-replayed"),
            );
        }
        assert_eq!(carried_out, 1);
        assert_eq!(count(&a, "/api-tokens", "tokens").await, round + 1);
    }
}

#[tokio::test]
async fn the_document_says_where_the_header_is_taken() {
    let (world, _directory) = world().await;
    let document = world.get("/openapi.json").await.json();
    let takes = |path: &str, method: &str| {
        let parameters =
            document["paths"][format!("/api/v1{path}")][method]["parameters"].as_array().cloned();
        parameters
            .unwrap_or_default()
            .iter()
            .any(|one| one["name"] == "Idempotency-Key" && one["in"] == "header")
    };
    assert!(takes("/channels", "post") && takes("/api-tokens", "post") && takes("/purges", "post"));
    assert!(!takes("/nodes/{node}/heartbeat", "post") && !takes("/channels", "get"));
}
