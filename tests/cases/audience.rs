//! Who watches and from where, as an operator sees it in the numbers and a viewer in the directory.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use nearcast_tests::cli::control;
use nearcast_tests::process::daemon;
use nearcast_tests::publisher::Feed;
use nearcast_tests::world::World;
use serde_json::Value;
use tokio::process::Command;

/// The geo tests' database has this loopback address in Peru, and no other.
const PERU: &str = "127.0.9.7";
const NOWHERE: &str = "127.0.0.1";

#[tokio::test]
async fn viewers_are_counted_where_they_are_and_channels_are_found_where_they_are_watched() -> Result<()> {
    let places = concat!(env!("CARGO_MANIFEST_DIR"), "/../geo/testdata/places.mmdb");
    let world = World::builder("audience")
        .edges(["eu-1"])
        .setting("eu-1", &format!("[access]\ncountries = {places:?}\n"))
        .setting("origin-1", "[transcode]\nenabled = false\n");
    let mut world = world.start().await?;
    let _publisher = world.broadcast("demo", &Feed::pattern(360)).await?;
    let admin = world.admin().await?;

    // Two players in Peru and one that nobody can place, until the control plane has heard some seconds of them.
    let edge = world.layout.edge("eu-1").context("no edge")?.plain;
    let playlist = format!("http://{edge}/live/demo/index.m3u8");
    let players = [(PERU, "a"), (PERU, "b"), (NOWHERE, "c")];
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    let mut looks = 0;
    loop {
        tick.tick().await;
        for (address, player) in players {
            let status = fetch(address, &format!("{playlist}?CMCD=sid%3D%22{player}%22%2Cbl%3D3000")).await?;
            ensure!(status == "200", "{address} got {status}");
        }
        let found = admin.get("/directory?watched_in=PE").await?;
        let viewers = admin.get("/viewers").await?;
        let watched = viewers["channels"]["demo"]["regions"]["eu"]["viewer_seconds"].as_u64().unwrap_or(0);
        if found["channels"][0]["id"] == "demo" && watched >= 12 {
            break;
        }
        looks += 1;
        if looks > 30 {
            bail!("in 30 s nobody was found: {found} {viewers}");
        }
    }
    let nothing = admin.get("/directory?watched_in=DE").await?;
    ensure!(nothing["channels"] == serde_json::json!([]), "{nothing}");

    // A stop keeps the minute that is under way: what was watched is there after it.
    world.control.stop(Duration::from_secs(20)).await?;
    let config = world.folder.join("config/control.toml");
    let ops = world.layout.control_ops;
    world.control = daemon("nearcast-control", "control-again", &config, ops, &world.logs()).await?;
    let peru = told(&world, &["--country", "PE"]).await?;
    let all = told(&world, &["--channel", "demo"]).await?;
    let sum = |told: &Value, field: &str| {
        let buckets = told["buckets"].as_array().into_iter().flatten();
        buckets.filter_map(|bucket| bucket[field].as_u64()).sum::<u64>()
    };
    let (there, everywhere) = (sum(&peru, "viewer_seconds"), sum(&all, "viewer_seconds"));
    ensure!(there > 0 && there < everywhere, "{there} of {everywhere} s were watched in Peru");
    ensure!(
        sum(&peru, "egress_bytes") > 0 && sum(&peru, "egress_bytes") < sum(&all, "egress_bytes"),
        "{peru}"
    );
    // Of a minute that began meanwhile there may be hardly anything.
    let mut buckets = peru["buckets"].as_array().into_iter().flatten();
    ensure!(
        buckets.any(|one| one["viewers_peak"] == 2
            && one["qoe"]["buffer_ms"].as_f64().is_some_and(|buffer| (2900.0..=3000.0).contains(&buffer))),
        "{peru}"
    );
    let countries = told(&world, &["--top", "countries"]).await?;
    let lines = countries["countries"].as_array().into_iter().flatten();
    let mut named: Vec<_> = lines.filter_map(|one| one["country"].as_str()).collect();
    named.sort_unstable();
    ensure!(named == ["PE", "ZZ"], "{countries}");
    Ok(())
}

/// The status of a request from an address of this machine.
async fn fetch(from: &str, url: &str) -> Result<String> {
    let words =
        ["--silent", "--output", "/dev/null", "--write-out", "%{http_code}", "--interface", from, url];
    let output =
        Command::new("curl").args(words).kill_on_drop(true).output().await.context("running curl")?;
    Ok(String::from_utf8(output.stdout)?)
}

/// What `nearcast-control audience` says.
async fn told(world: &World, words: &[&str]) -> Result<Value> {
    let words = [&["audience"], words, &["--since", "1h", "--json"]].concat();
    let said = control(world.layout.control, world.admin_token(), &words).await?;
    Ok(serde_json::from_str(&said.done()?)?)
}
