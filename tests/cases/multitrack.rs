//! A publisher's own renditions: several video tracks in one enhanced RTMP connection.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use http::Method;
use nearcast_tests::client::{Client, Protocol};
use nearcast_tests::player::{Media, Rendition, Until, follow, multivariant, renditions};
use nearcast_tests::probe;
use nearcast_tests::publisher::Feed;
use nearcast_tests::world::World;
use serde_json::{Value, json};

use crate::ingest::{until, warning};
use crate::playback::follow_all;

#[tokio::test]
async fn further_video_tracks_are_the_lower_renditions_of_a_channel_that_wants_them() -> Result<()> {
    let world = world("multitrack").await?;
    let key = channel(&world, "own", &json!({ "from_publisher": true })).await?;
    let mut publisher = world.publish("own", &key, &tracks(720, 360, &[])?).await?;
    let viewer = world.viewer("eu-1", Protocol::H2).await?;

    let list = multivariant(&viewer, "own").await?;
    let listed: Vec<_> = list.variants.iter().map(|v| (v.resolution, v.frame_rate)).collect();
    let (high, low) = ((Some((1280, 720)), Some(30.0)), (Some((640, 360)), Some(30.0)));
    ensure!(listed == [high, low], "{listed:?}");
    ensure!(list.variants.iter().all(|v| v.codecs.starts_with("avc1.") && v.codecs.ends_with("mp4a.40.2")));
    let bandwidth = |index: usize| list.variants[index].bandwidth;
    ensure!((300_000..2 * bandwidth(0) / 3).contains(&bandwidth(1)), "{} {}", bandwidth(0), bandwidth(1));

    let mut times = Vec::new();
    for (rendition, followed) in follow_all(&viewer, "own", 3).await? {
        times.push(followed.segments.iter().map(|segment| (segment.msn, segment.date)).collect::<Vec<_>>());
        if rendition.name == "360p" {
            let file = world.folder.join("360p.mp4");
            std::fs::write(&file, &followed.media)?;
            let stream = probe::decode(&file).await?;
            ensure!((stream.width, stream.height) == (Some(640), Some(360)), "{stream:?}");
            let wanted = followed.segments.iter().map(|segment| segment.duration).sum::<f64>() * 30.0;
            let frames = stream.nb_read_frames as f64;
            ensure!((frames - wanted).abs() <= 2.0, "{frames} frames of {wanted:.1}");
        }
    }
    let [source, own, _] = &times[..] else { anyhow::bail!("{} renditions", times.len()) };
    let same = source.iter().filter(|segment| own.contains(segment)).count();
    ensure!(same >= 2, "the source's segments are {source:?}, those of 360p {own:?}");
    ensure!(world.origin.children().is_empty(), "something is transcoded");
    let manifest = viewer.get("/live/own/index.mpd").await?.expect(200)?;
    ensure!(manifest.text()?.contains("id=\"360p\""), "{}", manifest.text()?);

    // While nobody sends there is no picture in that size, and then there is again.
    let own =
        renditions(&viewer, "own").await?.into_iter().find(|one| one.name == "360p").context("no 360p")?;
    let before = gaps(&viewer, &own).await?;
    ensure!(before.is_empty(), "{before:?}");
    publisher.kill().await?;
    missing(&viewer, &own).await?;
    let _again = world.publish("own", &key, &tracks(720, 360, &[])?).await?;
    let mut tick = tokio::time::interval(Duration::from_millis(250));
    let back = async {
        loop {
            tick.tick().await;
            let list = read(&viewer, &own).await?;
            if list.segments.last().is_some_and(|segment| !segment.gap && segment.discontinuity) {
                return anyhow::Ok(());
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), back).await.context("360p does not come back")??;
    follow(&viewer, &own, Until::Segments(2)).await?.strict()?;
    ensure!(world.origin.children().is_empty(), "something is transcoded");
    Ok(())
}

#[tokio::test]
async fn tracks_that_do_not_fit_are_told_in_the_channels_health() -> Result<()> {
    let world = world("tracks").await?;
    let admin = world.admin().await?;
    // A channel that has not asked for them.
    let plain = channel(&world, "plain", &json!({ "steps": [] })).await?;
    let _plain = world.publish("plain", &plain, &tracks(360, 180, &[])?).await?;
    let viewer = world.viewer("eu-1", Protocol::H2).await?;
    let names: Vec<_> = renditions(&viewer, "plain").await?.into_iter().map(|one| one.name).collect();
    ensure!(names == ["source", "audio"], "{names:?}");
    let health = |channel: &str| format!("/channels/{channel}/ingest");
    let found = |code: &'static str| move |state: &Value| warning(&state["publishers"][0]["health"], code);
    let text = until(&admin, &health("plain"), found("track_left_out")).await?;
    ensure!(text.contains("one video and one audio are taken"), "{text}");

    // One whose second picture has its keyframes elsewhere.
    let apart = channel(&world, "apart", &json!({ "from_publisher": true })).await?;
    let _apart = world
        .publish("apart", &apart, &tracks(360, 180, &["-g:v:1", "50", "-keyint_min:v:1", "50"])?)
        .await?;
    let text = until(&admin, &health("apart"), found("keyframes_apart")).await?;
    ensure!(text.starts_with("the keyframes of 180p are not where the source's are"), "{text}");
    let all = renditions(&viewer, "apart").await?;
    let own = all.iter().find(|one| one.name == "180p").context("no 180p")?;
    missing(&viewer, own).await?;
    follow(&viewer, &all[0], Until::Segments(2)).await?.strict()?;
    Ok(())
}

/// A world whose origin would encode rungs all the time for channels that do not say otherwise.
async fn world(name: &str) -> Result<World> {
    let origin = "[transcode]\non_demand = false\npreset = \"ultrafast\"\n[thumbnails]\nenabled = false\n";
    World::builder(name).edges(["eu-1"]).setting("origin-1", origin).start().await
}

/// A channel with a ladder of its own; its key, which an origin knows no earlier than the ladder.
async fn channel(world: &World, id: &str, ladder: &Value) -> Result<String> {
    let admin = world.admin().await?;
    let body = json!({ "id": id, "settings": { "ladder": ladder } });
    admin.send(Method::POST, "/channels", &body).await?.expect(201)?;
    admin.create_key(id).await
}

/// The test pattern in two sizes.
fn tracks(high: u32, low: u32, more: &[&str]) -> Result<Feed> {
    let size = format!("{}x{low}", low * 16 / 9);
    let common = "-map 0:v -map 0:v -map 1:a -c:v libx264 -preset ultrafast -tune zerolatency -pix_fmt yuv420p -g 60 \
                  -keyint_min 60 -sc_threshold 0 -b:v:0 1500k -b:v:1 500k";
    let video: Vec<&str> =
        common.split_whitespace().chain(["-s:v:1", &size]).chain(more.iter().copied()).collect();
    Ok(Feed::pattern(high).enhanced()?.video(&video))
}

/// Numbers of the segments that are missing.
async fn gaps(viewer: &Client, rendition: &Rendition) -> Result<Vec<u64>> {
    let list = read(viewer, rendition).await?;
    Ok(list.segments.iter().filter(|segment| segment.gap).map(|segment| segment.msn).collect())
}

/// Returns once a segment is missing.
async fn missing(viewer: &Client, rendition: &Rendition) -> Result<()> {
    let mut tick = tokio::time::interval(Duration::from_millis(250));
    let waiting = async {
        while gaps(viewer, rendition).await?.is_empty() {
            tick.tick().await;
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(Duration::from_secs(20), waiting).await.context("nothing is missing")?
}

async fn read(viewer: &Client, rendition: &Rendition) -> Result<Media> {
    let reply = viewer.get(&rendition.path).await?.expect(200)?;
    Media::parse(reply.text()?)
}
