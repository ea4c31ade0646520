//! An edge in front of an origin that is not ours: one fetch for a crowd, nothing broken is kept, and a purge is everywhere
//! within two seconds.

use std::time::Instant;

use anyhow::{Result, ensure};
use bytes::Bytes;
use futures_util::future::try_join_all;
use http::{Method, StatusCode};
use nearcast_tests::client::{Client, Protocol, Reply};
use nearcast_tests::foreign::Foreign;
use nearcast_tests::player::renditions;
use nearcast_tests::publisher::Feed;
use nearcast_tests::world::World;
use rustix::process::Signal;
use serde_json::{Value, json};

fn route(origin: &Foreign) -> String {
    format!("[[routes]]\nname = \"packager\"\npath = \"/\"\nupstreams = [{:?}]\n", origin.url())
}

fn status(reply: &Reply) -> &str {
    reply.headers.get("cache-status").and_then(|value| value.to_str().ok()).unwrap_or_default()
}

#[tokio::test]
async fn viewers_of_another_origin_cost_it_one_fetch_and_never_get_half_of_it() -> Result<()> {
    let origin = Foreign::start().await?;
    let world = World::builder("routes").edges(["eu-1"]).setting("eu-1", &route(&origin)).start().await?;
    for protocol in [Protocol::H1, Protocol::H2, Protocol::H3] {
        let viewer = world.viewer("eu-1", protocol).await?;
        let path = format!("/vod/3000000/{protocol:?}.mp4");
        for reply in try_join_all((0..50).map(|_| viewer.get(&path))).await? {
            ensure!(
                reply.status == StatusCode::OK && reply.body.len() == 3_000_000,
                "{protocol:?}: {}",
                reply.status
            );
        }
        let range = viewer.send(Method::GET, &path, &[("range", "bytes=2999990-")], Bytes::new()).await?;
        ensure!(range.status == StatusCode::PARTIAL_CONTENT && range.body.len() == 10);
        ensure!(status(&range).starts_with("eu-1; hit"), "{}", status(&range));
        let head = viewer.send(Method::HEAD, &path, &[], Bytes::new()).await?;
        ensure!(head.body.is_empty() && head.headers["content-length"] == "3000000");
        let head = viewer.send(Method::HEAD, &format!("{path}.other"), &[], Bytes::new()).await?;
        ensure!(
            head.body.is_empty()
                && head.status == StatusCode::OK
                && head.headers["content-length"] == "3000000",
            "{head:?}"
        );
        ensure!(origin.count(&path) == 1, "{} fetches", origin.count(&path));
    }

    let viewer = world.viewer("eu-1", Protocol::H2).await?;
    origin.set_cut(true);
    for path in ["/vod/3000000/cut.mp4", "/vod/1000/cut.m3u8"] {
        let cut = viewer.get(path).await;
        ensure!(
            cut.is_err() || cut.is_ok_and(|reply| reply.status.is_server_error()),
            "half of an answer was whole"
        );
    }
    origin.set_cut(false);
    let whole = viewer.get("/vod/3000000/cut.mp4").await?;
    ensure!(whole.status == StatusCode::OK && whole.body.len() == 3_000_000);

    let good = viewer.get("/vod/10/live.m3u8").await?;
    origin.set_down(true);
    let stands_in = async || -> Result<bool> {
        let reply = viewer.get("/vod/10/live.m3u8").await?;
        ensure!(reply.body == good.body, "{}", reply.status);
        Ok(status(&reply).contains("stale-if-error"))
    };
    while !stands_in().await? {}
    ensure!(viewer.get("/vod/10/other.m3u8").await?.status == StatusCode::SERVICE_UNAVAILABLE);
    Ok(())
}

/// Whether the edge had it, and what it was.
async fn look(viewer: &Client, path: &str) -> Result<(bool, Bytes)> {
    let reply = viewer.get(path).await?.expect(200)?;
    Ok((status(&reply).contains("; hit"), reply.body))
}

#[tokio::test]
async fn a_purge_is_at_every_edge_within_two_seconds() -> Result<()> {
    let origin = Foreign::start().await?;
    let calm = "[transcode]\nenabled = false\n";
    let world = World::builder("purge").setting("origin-1", calm).setting("eu-1", &route(&origin));
    let mut world = world.setting("us-1", &route(&origin)).start().await?;
    let _publisher = world.broadcast("demo", &Feed::pattern(360)).await?;
    let admin = world.admin().await?;
    let viewers = [world.viewer("eu-1", Protocol::H2).await?, world.viewer("us-1", Protocol::H2).await?];
    let source = renditions(&viewers[0], "demo").await?.swap_remove(0);
    let init = source.path.replace("media.m3u8", "init.mp4");
    let cases: [(Value, &[&str], &[&str]); 5] = [
        (json!({ "tag": "match" }), &["/match/10/a", "/match/10/b"], &["/other/10/a", &init]),
        (json!({ "url": "/match/10/a" }), &["/match/10/a"], &["/match/10/b", "/other/10/a"]),
        (json!({ "prefix": "/match/", "soft": true }), &["/match/10/a", "/match/10/b"], &["/other/10/a"]),
        (json!({ "channel": "demo" }), &[&init], &["/match/10/a"]),
        (json!({ "prefix": "/" }), &["/match/10/a", "/other/10/a", &init], &[]),
    ];
    for (order, gone, kept) in cases {
        for (viewer, path) in
            viewers.iter().flat_map(|viewer| gone.iter().chain(kept).map(move |path| (viewer, *path)))
        {
            look(viewer, path).await?;
            ensure!(look(viewer, path).await?.0, "{path} is not kept");
        }
        let begun = Instant::now();
        let reply = admin.send(Method::POST, "/purges?wait=10", &order).await?.expect(200)?;
        let took = begun.elapsed();
        let state: Value = serde_json::from_slice(&reply.body)?;
        ensure!(state["applied"] == json!(["eu-1", "us-1"]) && state["done"] == json!(true), "{state}");
        eprintln!("{order}: at both edges after {} ms", took.as_millis());
        // What is promised of a purge.
        ensure!(took.as_secs_f64() < 2.0, "{order} took {took:?}");
        for viewer in &viewers {
            for path in gone {
                ensure!(!look(viewer, path).await?.0, "{order} left {path}");
            }
            for path in kept {
                ensure!(look(viewer, path).await?.0, "{order} took {path}");
            }
        }
    }

    // An edge that does not hear of it carries it out when it does.
    let path = "/match/10/late";
    look(&viewers[1], path).await?;
    world.edge("us-1")?.signal(Signal::STOP);
    let reply = admin.send(Method::POST, "/purges?wait=1", &json!({ "url": path })).await?.expect(202)?;
    let state: Value = serde_json::from_slice(&reply.body)?;
    ensure!(state["pending"] == json!(["us-1"]), "{state}");
    world.edge("us-1")?.signal(Signal::CONT);
    let purge = format!("/purges/{}", state["id"]);
    while admin.get(&purge).await?["applied"] != json!(["eu-1", "us-1"]) {
        tokio::task::yield_now().await;
    }
    ensure!(!look(&viewers[1], path).await?.0);
    Ok(())
}
