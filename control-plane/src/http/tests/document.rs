//! The OpenAPI document against what really happens.

use std::collections::BTreeSet;

use http::{Method, StatusCode};
use serde_json::json;

use super::{operations, world};
use crate::testing::NODE;

#[tokio::test]
async fn the_document_has_every_route_and_all_but_the_open_ones_need_a_token() {
    let (world, _directory) = world().await;
    let operations = operations(&world).await;
    assert_eq!(operations.len(), 87, "{operations:?}");
    for (method, path, open) in operations {
        let answer = world.send(method.clone(), &path, "", "").await;
        let ends = |ends: &[&str]| ends.iter().any(|end| path.ends_with(end));
        let of_viewers = path.contains("/steer/") || path.ends_with("/directory");
        let of_list = path.ends_with("/categories") && method == Method::GET;
        let signs_in = path.contains("/oidc/") || (path.ends_with("/sessions") && method == Method::POST);
        let of_nobody = ends(&["/openapi.json", "/enrol", "/ca.pem"]);
        assert_eq!(open, of_viewers || of_list || signs_in || of_nobody, "{path}");
        if open {
            assert_ne!(answer.status, StatusCode::UNAUTHORIZED, "{method} {path}");
            continue;
        }
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{method} {path}");
        assert!(answer.problem().detail.contains("Authorization: Bearer"));
        assert!(answer.headers.contains_key("www-authenticate"));
        let wrong = world.send(method.clone(), &path, "not-one-of-ours", "").await;
        assert_eq!(wrong.status, StatusCode::UNAUTHORIZED);

        let of_nodes = path.ends_with("/snapshot")
            || path.contains("/nodes/") && (path.ends_with("/heartbeat") || method == Method::PUT);
        let node = world.send(method.clone(), &path, NODE, "").await;
        assert_eq!(node.status == StatusCode::FORBIDDEN, !of_nodes, "{method} {path}: {}", node.text());
    }
}

#[tokio::test]
async fn the_document_describes_what_is_really_sent() {
    let (world, _directory) = world().await;
    let document = world.get("/openapi.json").await.json();
    let schemas = document["components"]["schemas"].as_object().unwrap();
    for name in [
        "Problem",
        "Spec",
        "Heartbeat",
        "HeartbeatAck",
        "Steering",
        "Update",
        "Snapshot",
        "Delta",
        "ChannelId",
    ] {
        assert!(schemas.contains_key(name), "no schema of {name}");
    }
    // Every reference leads somewhere.
    let text = document.to_string();
    for reference in text.split("#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(schemas.contains_key(name), "a reference to {name}, which is not there");
    }
    let operations = || {
        document["paths"].as_object().unwrap().values().flat_map(|item| item.as_object().unwrap().values())
    };
    let ids: BTreeSet<&str> =
        operations().map(|operation| operation["operationId"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), operations().count(), "two operations share a name");

    world.populate().await;
    world.post("/channels", json!({ "id": "demo" })).await;
    world.post("/channels/demo/keys", json!({})).await;
    world.post("/users", json!({ "id": "anna", "scopes": ["admin"], "subject": "s-1" })).await;
    for (described, asked) in [
        ("/nodes", "/nodes"),
        ("/nodes/{node}", "/nodes/eu-1"),
        ("/channels", "/channels"),
        ("/channels/{channel}", "/channels/demo"),
        ("/channels/{channel}/keys", "/channels/demo/keys"),
        ("/channels/{channel}/ingest", "/channels/demo/ingest"),
        ("/channels/{channel}/events", "/channels/demo/events"),
        ("/api-tokens", "/api-tokens"),
        ("/enrolments", "/enrolments"),
        ("/audit", "/audit"),
        ("/categories", "/categories"),
        ("/directory", "/directory"),
        ("/audience", "/audience"),
        ("/audience/top", "/audience/top"),
        ("/audience/countries", "/audience/countries"),
        ("/forecast", "/forecast?region=eu"),
        ("/users", "/users"),
        ("/users/{user}", "/users/anna"),
        ("/sessions", "/sessions"),
        ("/me", "/me"),
        ("/steer/{channel}", "/steer/demo"),
    ] {
        let schema = &document["paths"][format!("/api/v1{described}")]["get"]["responses"]["200"]["content"];
        let name = schema["application/json"]["schema"]["$ref"].as_str().unwrap().rsplit('/').next().unwrap();
        let properties = schemas[name]["properties"].as_object().unwrap();
        for field in world.get(asked).await.json().as_object().unwrap().keys() {
            assert!(properties.contains_key(field), "{asked} has {field}, {name} does not");
        }
    }
}
