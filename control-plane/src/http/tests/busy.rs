//! What many calls at once leave each other.

use futures_util::future::join_all;
use http::{Method, StatusCode};
use serde_json::json;

use super::webhooks::{open_world, webhook};
use crate::testing::ADMIN;
use crate::testing::receiver::Receiver;

#[tokio::test]
async fn changes_do_not_wait_for_what_receivers_are_told() {
    let (world, _directory) = open_world().await;
    world.post("/channels", json!({ "id": "demo" })).await;
    let mut receivers = Vec::new();
    for _ in 0..3 {
        let receiver = Receiver::start().await;
        webhook(&world, json!({ "url": receiver.url, "events": ["channel.changed"] })).await;
        receivers.push(receiver);
    }
    // The store has four connections, and all of this wants one.
    for round in 0..4 {
        let change = |number| {
            let body = json!({ "title": format!("{round} {number}") }).to_string();
            world.send(Method::PATCH, "/api/v1/channels/demo", ADMIN, body)
        };
        let answers = join_all((0..8).map(change)).await;
        let late: Vec<_> = answers.iter().filter(|answer| answer.status != StatusCode::OK).collect();
        assert!(late.is_empty(), "{}", late[0].text());
    }
    for receiver in &mut receivers {
        for _ in 0..4 * 8 {
            assert_eq!(receiver.next_event().await["type"], "channel.changed");
        }
    }
}
