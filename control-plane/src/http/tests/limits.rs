//! How often the API may be called.

use http::{Method, StatusCode};
use serde_json::json;

use super::users::{ask, signed_in};
use crate::access::Rate;
use crate::limits;
use crate::testing::{ADMIN, Answer, NODE, World};

/// A world where a bucket that is empty stays empty for the time of a test.
async fn world() -> (World, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let rate = |burst| Rate { per_second: 0.01, burst };
    let world = World::start_with(directory.path(), |config| {
        config.api.limits =
            limits::Config { wrong_passwords: 0, credential: rate(5), address: rate(4), viewers: rate(8) };
        config.api.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    })
    .await;
    (world, directory)
}

async fn times(world: &World, token: &str, path: &str, from: &str, wanted: StatusCode) -> (usize, Answer) {
    for number in 0.. {
        let answer = world
            .send_with(Method::GET, &format!("/api/v1{path}"), token, &[("x-forwarded-for", from)], "")
            .await;
        if answer.status == StatusCode::TOO_MANY_REQUESTS {
            return (number, answer);
        }
        assert_eq!(answer.status, wanted, "{}", answer.text());
    }
    unreachable!()
}

#[tokio::test]
async fn each_credential_has_a_bucket_wherever_it_is_used_and_an_empty_one_says_when_to_go_on() {
    let (world, _directory) = world().await;
    let anna = signed_in(&world, "anna", json!(["read-only"])).await;
    let token = world.post("/api-tokens", json!({ "scopes": ["read-only"] })).await.json();
    let token = token["token"].as_str().unwrap();
    let (through, emptied) = times(&world, &anna, "/me", "198.51.100.1", StatusCode::OK).await;
    assert_eq!(through, 5);
    assert_eq!(emptied.headers["retry-after"], "100");
    assert!(emptied.problem().detail.contains("go on in 100 s"), "{}", emptied.text());
    assert_eq!(
        times(&world, &anna, "/me", "198.51.100.2", StatusCode::OK).await.0,
        0,
        "the same user elsewhere"
    );
    assert_eq!(times(&world, token, "/me", "198.51.100.1", StatusCode::OK).await.0, 5, "another one here");
    for _ in 0..50 {
        assert_eq!(ask(&world, Method::GET, "/me", ADMIN, json!({})).await.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn who_guesses_tokens_is_told_401_until_the_bucket_of_the_address_is_empty() {
    let (world, _directory) = world().await;
    let anna = signed_in(&world, "anna", json!(["read-only"])).await;
    let guessed =
        times(&world, "ncs_not-one-of-ours", "/nodes", "198.51.100.1", StatusCode::UNAUTHORIZED).await;
    assert_eq!(guessed.0, 4);
    assert_eq!(times(&world, "", "/nodes", "198.51.100.1", StatusCode::UNAUTHORIZED).await.0, 0);
    assert_eq!(times(&world, "", "/nodes", "198.51.100.2", StatusCode::UNAUTHORIZED).await.0, 4);
    // Whoever has a good one there is not kept out by who guesses, nor are viewers.
    assert_eq!(times(&world, &anna, "/nodes", "198.51.100.1", StatusCode::OK).await.0, 5);
    assert_eq!(times(&world, "", "/steer/none", "198.51.100.1", StatusCode::NOT_FOUND).await.0, 8);
}

#[tokio::test]
async fn nodes_and_pages_have_no_limit() {
    let (world, _directory) = world().await;
    for _ in 0..20 {
        let answer = world.send(Method::GET, "/api/v1/snapshot", NODE, "").await;
        assert_eq!(answer.status, StatusCode::OK);
        assert_ne!(world.send(Method::GET, "/", "", "").await.status, StatusCode::TOO_MANY_REQUESTS);
    }
    let counted = world.send(Method::GET, "/api/v1/snapshot", "not-one-of-ours", "").await;
    assert_eq!(counted.status, StatusCode::UNAUTHORIZED);
}
