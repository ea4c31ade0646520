//! An operator changes who serves whom while everything runs: shields, weights, maintenance, and back again.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};
use http::Method;
use nearcast_tests::admin::Admin;
use nearcast_tests::client::Protocol;
use nearcast_tests::player::{Until, follow, renditions};
use nearcast_tests::publisher::Feed;
use nearcast_tests::world::World;
use serde_json::{Value, json};

#[tokio::test]
async fn edges_ask_the_shields_that_are_published_and_origins_again_after_going_back() -> Result<()> {
    let origin = "[transcode]\nenabled = false\n";
    let world = World::builder("shields").setting("origin-1", origin).counted();
    let mut world = world.start().await?;
    let _publisher = world.broadcast("demo", &Feed::pattern(360)).await?;
    let admin = world.admin().await?;
    publish(&admin, json!({ "regions": { "us": { "shields": ["eu-1"] } } })).await?;
    asks(&mut world, "instead of origins", 1).await?;

    let (upper, lower) =
        (world.viewer("eu-1", Protocol::H2).await?, world.viewer("us-1", Protocol::H2).await?);
    let source = renditions(&lower, "demo").await?.swap_remove(0);
    world.proxy.as_ref().context("no proxy")?.take();
    let watching = (follow(&upper, &source, Until::Segments(3)), follow(&lower, &source, Until::Segments(3)));
    let (above, below) = tokio::try_join!(watching.0, watching.1)?;
    above.strict()?;
    below.strict()?;
    let asked = world.proxy.as_ref().context("no proxy")?.take();
    let media = asked.keys().filter(|path| path.contains(".m4s")).count();
    let twice: Vec<_> =
        asked.iter().filter(|(path, count)| path.contains("/source/") && **count > 1).collect();
    ensure!(media >= 8 && twice.is_empty(), "{media} parts, asked for more than once: {twice:#?}");

    // A viewer who watches notices nothing when the tier goes.
    let watching = follow(&lower, &source, Until::Segments(4));
    let changing = async {
        admin.send(Method::POST, "/topology/versions/0/rollback", &json!({})).await?.expect(201)?;
        asks(&mut world, "asking origins", 1).await
    };
    let (followed, ()) = tokio::try_join!(watching, changing)?;
    followed.strict()?;
    Ok(())
}

#[tokio::test]
async fn viewers_go_where_the_published_topology_sends_them_within_a_second() -> Result<()> {
    let world = World::builder("weights").start().await?;
    let admin = world.admin().await?;
    answered(&world, US).await?;

    let off = json!({ "nodes": { "us-1": { "weight": 0 } } });
    admin.send(Method::PUT, "/topology/draft", &off).await?.expect(200)?;
    let told = admin.send(Method::POST, "/topology/draft/validate", &Value::Null).await?.expect(200)?;
    let told: Value = serde_json::from_slice(&told.body)?;
    ensure!(told["findings"][0]["severity"] == "outage", "{told}");
    let refused = admin.send(Method::POST, "/topology/draft/publish", &json!({})).await?;
    ensure!(refused.status == 409, "us without its edge is published: {}", refused.status);
    let force = json!({ "force": true });
    admin.send(Method::POST, "/topology/draft/publish", &force).await?.expect(201)?;
    answered(&world, EU).await?;
    admin.send(Method::POST, "/topology/versions/0/rollback", &json!({})).await?.expect(201)?;
    answered(&world, US).await?;

    // A maintenance window that begins now and is over in a moment.
    let now = u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?;
    let window = json!({ "node": "us-1", "from": now, "until": now + 5000, "reason": "new disks" });
    publish(&admin, json!({ "maintenance": [window] })).await?;
    answered(&world, EU).await?;
    let node = admin.get("/nodes/us-1").await?;
    ensure!(
        node["status"] == "draining"
            && node["reason"].as_str().is_some_and(|text| text.contains("new disks"))
    );
    answered(&world, US).await?;
    let node = admin.get("/nodes/us-1").await?;
    let offset = node["clock_offset_ms"].as_i64().context("no clock offset")?;
    ensure!(node["status"] == "ready" && offset.abs() < 500, "{node}");
    Ok(())
}

async fn publish(admin: &Admin, topology: Value) -> Result<()> {
    admin.send(Method::PUT, "/topology/draft", &topology).await?.expect(200)?;
    admin.send(Method::POST, "/topology/draft/publish", &json!({ "force": true })).await?.expect(201)?;
    Ok(())
}

/// Waits until `us-1` says whom it asks, for the `count`th time.
async fn asks(world: &mut World, whom: &str, count: usize) -> Result<()> {
    let edge = world.edge("us-1")?;
    let log = edge.log_path().to_owned();
    let said = async || std::fs::read_to_string(&log).is_ok_and(|log| log.matches(whom).count() >= count);
    edge.until("to ask somebody else", said).await
}

/// Waits until DNS sends viewers in us there. A change has a second, and time for this machine to be slow.
async fn answered(world: &World, address: IpAddr) -> Result<()> {
    let began = Instant::now();
    let mut tick = tokio::time::interval(Duration::from_millis(100));
    loop {
        tick.tick().await;
        let answer = world.edge_addresses("203.0.113.0/24").await?;
        if answer.addresses.first() == Some(&address) {
            return Ok(());
        }
        ensure!(began.elapsed() < Duration::from_secs(15), "DNS still says {answer:?}");
    }
}

const EU: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const US: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
