//! A publisher's line fails: viewers keep their session, and the same broadcast goes on.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use nearcast_tests::browser::artifacts;
use nearcast_tests::client::{Client, Protocol};
use nearcast_tests::player::{Followed, Rendition, Until, follow, renditions};
use nearcast_tests::publisher::Feed;
use nearcast_tests::world::World;
use serde_json::json;
use tokio::process::Command;

async fn world(name: &str, failover: &str) -> Result<World> {
    let origin = format!("[transcode]\nenabled = false\n{failover}");
    World::builder(name).edges(["eu-1"]).setting("origin-1", &origin).start().await
}

async fn source(viewer: &Client) -> Result<Rendition> {
    Ok(renditions(viewer, "demo").await?.swap_remove(0))
}

fn discontinuities(followed: &Followed) -> usize {
    followed.segments.iter().filter(|segment| segment.discontinuity).count()
}

/// Kills the publisher's connection and returns after `away`; what a viewer followed meanwhile.
async fn blink(name: &str, away: Duration, again: &Feed) -> Result<Followed> {
    let world = world(name, "").await?;
    let key = world.channel("demo").await?;
    let mut first = world.publish("demo", &key, &Feed::pattern(360)).await?;
    let viewer = world.viewer("eu-1", Protocol::H2).await?;
    let source = source(&viewer).await?;
    let segments = usize::try_from(away.as_secs() / 2).unwrap_or(0) + 8;
    let watching = follow(&viewer, &source, Until::Segments(segments));
    let blinking = async {
        follow(&viewer, &source, Until::Segments(2)).await?;
        first.kill().await?;
        // How long a line is away is what is tried here, not something to wait for.
        tokio::time::sleep(away).await;
        again.publish(&world.rtmp(&key), "publisher-again", &world.logs())
    };
    let (followed, mut publisher) = tokio::try_join!(watching, blinking)?;
    ensure!(publisher.running(), "the publisher that came back has ended:\n{}", publisher.last_words());
    let now = renditions(&viewer, "demo").await?.swap_remove(0);
    ensure!(now.path == source.path, "viewers were sent to another broadcast: {}", now.path);
    followed.strict()
}

#[tokio::test]
async fn a_publisher_back_after_2_s_goes_on_in_the_same_broadcast() -> Result<()> {
    let followed = blink("blink-2", Duration::from_secs(2), &Feed::pattern(360)).await?;
    // One where the slate begins, one where the publisher is back.
    ensure!(discontinuities(&followed) == 2, "{} discontinuities", discontinuities(&followed));
    let holes = followed.holes();
    ensure!(holes.iter().all(|hole| hole.abs() < 0.1), "media is missing: {holes:?}");
    Ok(())
}

#[tokio::test]
async fn a_publisher_back_after_10_s_with_another_size_goes_on_in_the_same_broadcast() -> Result<()> {
    let followed = blink("blink-10", Duration::from_secs(10), &Feed::pattern(270)).await?;
    let maps: Vec<_> = followed.segments.iter().filter_map(|segment| segment.map.as_deref()).collect();
    ensure!(maps.first() == Some(&"init.mp4") && maps.last() == Some(&"init.1.mp4"), "maps are {maps:?}");
    let holes = followed.holes();
    ensure!(holes.iter().all(|hole| hole.abs() < 0.1), "media is missing: {holes:?}");
    Ok(())
}

#[tokio::test]
async fn a_publisher_back_after_25_s_goes_on_in_the_same_broadcast() -> Result<()> {
    let followed = blink("blink-25", Duration::from_secs(25), &Feed::pattern(360)).await?;
    // One where the slate begins, one where the publisher is back.
    ensure!(discontinuities(&followed) == 2, "{} discontinuities", discontinuities(&followed));
    Ok(())
}

#[tokio::test]
async fn a_publisher_that_does_not_come_back_ends_the_broadcast_after_the_grace() -> Result<()> {
    let world = world("grace", "[failover]\ngrace = 4\n").await?;
    let key = world.channel("demo").await?;
    let mut publisher = world.publish("demo", &key, &Feed::pattern(360)).await?;
    let viewer = world.viewer("eu-1", Protocol::H1).await?;
    let source = source(&viewer).await?;
    let watching = follow(&viewer, &source, Until::Ended);
    let (followed, ()) = tokio::try_join!(watching, async { publisher.kill().await })?;
    let followed = followed.strict()?;
    let slate: f64 = followed.segments.iter().map(|segment| segment.duration).sum();
    ensure!(slate > 3.0, "the slate stood in for {slate:.1} s");
    Ok(())
}

#[tokio::test]
async fn viewers_see_the_operators_picture_while_nobody_publishes() -> Result<()> {
    let picture = artifacts()?.join("slate.png");
    let drawn = ["-v", "error", "-y", "-f", "lavfi", "-i", "color=red:size=320x320", "-frames:v", "1"];
    let drawn = Command::new("ffmpeg").args(drawn).arg(&picture).status().await?;
    ensure!(drawn.success(), "ffmpeg cannot draw a picture");
    let world = world("slate", &format!("[failover]\nslate = {picture:?}\n")).await?;
    let key = world.channel("demo").await?;
    let mut first = world.publish("demo", &key, &Feed::pattern(360)).await?;
    let viewer = world.viewer("eu-1", Protocol::H2).await?;
    let source = source(&viewer).await?;
    follow(&viewer, &source, Until::Segments(1)).await?.strict()?;
    first.kill().await?;
    let followed = follow(&viewer, &source, Until::Segments(4)).await?.strict()?;
    let slate = followed.segments.iter().find(|segment| segment.map.as_deref() == Some("init.1.mp4"));
    let slate = &slate.context("no slate")?.uri;
    let folder = source.path.strip_suffix("media.m3u8").context("a playlist's path")?;
    let mut media = viewer.get(&format!("{folder}init.1.mp4")).await?.expect(200)?.body.to_vec();
    media.extend_from_slice(&viewer.get(&format!("{folder}{slate}")).await?.expect(200)?.body);
    let file = world.folder.join("slate.mp4");
    std::fs::write(&file, &media)?;
    // The picture's middle is the notice, and black is beside it.
    for (crop, red) in [("crop=8:8:316:176", true), ("crop=8:8:20:176", false)] {
        let filter = format!("{crop},scale=1:1,format=rgb24");
        let arguments = ["-v", "error", "-i", file.to_str().context("a path")?, "-vf", &filter];
        let end = ["-frames:v", "1", "-f", "rawvideo", "-"];
        let output = Command::new("ffmpeg").args(arguments).args(end).output().await?;
        let [r, g, b] = output.stdout[..] else {
            anyhow::bail!("{}", String::from_utf8_lossy(&output.stderr))
        };
        ensure!(if red { r > 200 && g < 60 && b < 60 } else { r < 40 }, "{crop}: {r} {g} {b}");
    }
    Ok(())
}

#[tokio::test]
async fn a_backup_takes_over_when_the_first_encoder_is_killed_and_gives_back() -> Result<()> {
    let world = world("backup", "[failover]\nfailback = 4\n").await?;
    let key = world.channel("demo").await?;
    let backup_key = world.admin().await?.create_backup_key("demo").await?;

    let mut first = world.publish("demo", &key, &Feed::pattern(360)).await?;
    let backup = Feed::pattern(360).publish(&world.rtmp(&backup_key), "publisher-backup", &world.logs())?;
    let viewer = world.viewer("eu-1", Protocol::H2).await?;
    let source = source(&viewer).await?;
    let watching = follow(&viewer, &source, Until::Segments(14));
    let failing = async {
        follow(&viewer, &source, Until::Segments(3)).await?;
        first.kill().await?;
        follow(&viewer, &source, Until::Segments(3)).await?;
        Feed::pattern(360).publish(&world.rtmp(&key), "publisher-again", &world.logs())
    };
    let (followed, again) = tokio::try_join!(watching, failing)?;
    let followed = followed.strict()?;
    // Over to the backup, with or without a picture that stands in up to its keyframe, and back to the first.
    let count = discontinuities(&followed);
    ensure!((2..=3).contains(&count), "{count} discontinuities");
    let holes = followed.holes();
    ensure!(holes.iter().all(|hole| hole.abs() < 0.1), "media is missing: {holes:?}");
    drop((backup, again));
    Ok(())
}

#[tokio::test]
async fn the_newest_encoder_wins_where_the_channel_says_so() -> Result<()> {
    let world = world("newest", "").await?;
    let key = world.channel("demo").await?;
    let admin = world.admin().await?;
    let settings = json!({ "settings": { "takeover": "newest" } });
    admin.send(http::Method::PATCH, "/channels/demo", &settings).await?.expect(200)?;
    let mut first = world.publish("demo", &key, &Feed::pattern(360)).await?;
    let viewer = world.viewer("eu-1", Protocol::H2).await?;
    let source = source(&viewer).await?;
    let _second = Feed::pattern(360).publish(&world.rtmp(&key), "publisher-second", &world.logs())?;
    first.ended(Duration::from_secs(20)).await?;
    let followed = follow(&viewer, &source, Until::Segments(3)).await?;
    followed.strict()?;
    Ok(())
}
