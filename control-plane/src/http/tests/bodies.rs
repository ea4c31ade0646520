//! Bodies that nobody means well with.

use http::Method;
use proptest::prelude::*;
use proptest::test_runner::{Config as Cases, TestRunner};
use serde_json::{Value, json};

use super::{operations, world};
use crate::testing::{ADMIN, spec};

/// JSON of any shape, often with names that the API knows.
fn any_json() -> impl Strategy<Value = Value> {
    let name = prop_oneof![
        "[a-z]{1,8}",
        prop::sample::select(vec![
            "id",
            "title",
            "key",
            "label",
            "role",
            "region",
            "addresses",
            "urls",
            "version",
            "location",
            "load",
            "cpu",
            "viewers",
            "egress_bps",
            "broadcasts",
            "channel",
            "started_at",
            "draining",
            "latitude",
            "longitude",
            "at",
            "duration",
            "attributes",
            "id3",
            "X-A",
            "user",
            "password",
            "name",
            "scopes",
            "subject",
            "disabled",
            "old",
        ])
        .prop_map(str::to_owned),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,40}".prop_map(Value::from),
        prop::sample::select(vec!["x-1", "edge", "eu", "127.0.0.1", "http://a", "x"]).prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map(name.clone(), inner, 0..8)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_body_makes_the_server_fail() {
    let (world, _directory) = world().await;
    world.populate().await;
    world.register(&spec("x-1", "edge", "eu", &["127.0.0.1"])).await;
    world.post("/channels", json!({ "id": "x" })).await;
    let mut targets = operations(&world).await;
    targets.retain(|(method, ..)| matches!(*method, Method::POST | Method::PUT | Method::PATCH));
    let body = prop_oneof![
        3 => any_json().prop_map(|value| value.to_string().into_bytes()),
        1 => prop::collection::vec(any::<u8>(), 0..200),
    ];
    let handle = tokio::runtime::Handle::current();
    let cases = Cases { cases: 200, failure_persistence: None, ..Cases::default() };
    let run = || {
        TestRunner::new(cases).run(&(body, 0..targets.len()), |(body, target)| {
            let (method, path, _) = &targets[target];
            let answer = handle.block_on(world.send(method.clone(), path, ADMIN, body));
            prop_assert!(!answer.status.is_server_error(), "{method} {path}: {}", answer.text());
            if answer.status.is_client_error() {
                answer.problem();
            }
            Ok(())
        })
    };
    tokio::task::block_in_place(run).unwrap();
}
