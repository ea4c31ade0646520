//! What is kept of a broadcast: recordings that equal what was live, and a window that reaches back to disk.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use http::Method;
use nearcast_tests::client::Protocol;
use nearcast_tests::player::{Media, Until, follow, renditions, resolve};
use nearcast_tests::probe;
use nearcast_tests::process::{Process, Program};
use nearcast_tests::publisher::Feed;
use nearcast_tests::recording::{self, Recording, everything, samples};
use nearcast_tests::world::World;
use serde_json::json;

const SOURCE_ONLY: &str = "[transcode]\nenabled = false\n";

#[tokio::test]
async fn a_recording_is_what_was_live_to_the_sample() -> Result<()> {
    let mut world = World::builder("record").edges(["eu-1"]).setting("origin-1", SOURCE_ONLY).start().await?;
    // One is recorded because its settings say so, the other is not.
    let admin = world.admin().await?;
    let kept = json!({ "id": "kept", "settings": { "record": true } });
    admin.send(Method::POST, "/channels", &kept).await?.expect(201)?;
    let key = admin.create_key("kept").await?;
    let mut other = world.broadcast("other", &Feed::pattern(360)).await?;
    let mut publisher = world.publish("kept", &key, &Feed::footage()?).await?;

    let viewer = world.viewer("eu-1", Protocol::H2).await?;
    let all = renditions(&viewer, "kept").await?;
    let watching = follow(&viewer, &all[0], Until::Ended);
    let stopping = async {
        follow(&viewer, &all[0], Until::Segments(3)).await?.strict()?;
        publisher.stop(Duration::from_secs(10)).await
    };
    let (watched, _) = tokio::try_join!(watching, stopping)?;
    watched.strict()?;
    other.stop(Duration::from_secs(10)).await?;

    let complete =
        async || Recording::of(&world, "kept").is_some_and(|kept| kept.complete(&["source", "audio"]));
    world_until(&world, "complete", complete).await?;
    let kept = Recording::of(&world, "kept").context("no recording")?;
    for rendition in &all {
        let (live, file) = everything(&viewer, rendition).await?;
        let names: Vec<String> = live.iter().map(|(name, _)| name.clone()).collect();
        ensure!(kept.segments(&rendition.name) == names, "{}: not the same segments", rendition.name);
        let folder = kept.folder.join(&rendition.name);
        for (name, bytes) in &live {
            ensure!(std::fs::read(folder.join(name))? == *bytes, "{}: {name} differs", rendition.name);
        }
        let joined = world.folder.join(format!("{}.mp4", rendition.name));
        std::fs::write(&joined, file)?;
        let kind = if rendition.video { "v" } else { "a" };
        let (was, is) = (samples(&joined, kind).await?, samples(&kept.index(), kind).await?);
        ensure!(
            was.len() > 150 && was == is,
            "{}: {} frames were live, {} are kept",
            rendition.name,
            was.len(),
            is.len()
        );
    }
    ensure!(Recording::of(&world, "other").is_none(), "a channel is recorded that did not ask for it");
    world_until(&world, "no longer noted as open", async || recording::open(&world) == 0).await?;
    world.all_run()
}

#[tokio::test]
async fn a_recording_survives_the_origins_death() -> Result<()> {
    let settings = format!("{SOURCE_ONLY}[record]\nenabled = true\nplaylist_interval = 1\n");
    let mut world = World::builder("crash").edges(["eu-1"]).setting("origin-1", &settings).start().await?;
    let publisher = world.broadcast("demo", &Feed::pattern(360)).await?;
    let started = async || {
        let long =
            |recording: Recording| ["source", "audio"].iter().all(|name| recording.segments(name).len() >= 3);
        Recording::of(&world, "demo").is_some_and(long)
    };
    world_until(&world, "recorded", started).await?;
    world.origin.kill().await?;
    drop(publisher);
    ensure!(recording::open(&world) == 1, "nothing says that the recording is open");

    let config = world.folder.join("config/origin-1.toml").to_string_lossy().into_owned();
    let again =
        Program::ours("nearcast-origin")?.named("origin-1-again").args(["--config".to_owned(), config]);
    world.origin = again.start(&world.logs())?;
    world.origin.ready(world.layout.origin.ops).await?;
    let kept = Recording::of(&world, "demo").context("the recording is gone")?;
    world_until(&world, "complete", async || {
        kept.complete(&["source", "audio"]) && recording::open(&world) == 0
    })
    .await?;
    let (pictures, sounds) = (samples(&kept.index(), "v").await?, samples(&kept.index(), "a").await?);
    let (segments, heard) = (kept.segments("source").len(), kept.segments("audio").len());
    ensure!(pictures.len() == segments * 60, "{} pictures in {segments} segments of 2 s", pictures.len());
    ensure!(sounds.len().abs_diff(heard * 94) <= heard, "{} sounds in {heard} segments", sounds.len());
    ensure!(world.origin_metrics().await?.sum("nearcast_record_recovered_total", &[]) == 1.0, "not counted");
    Ok(())
}

#[tokio::test]
async fn a_store_that_refuses_harms_no_viewer() -> Result<()> {
    // Nobody, not even root, can write below a file.
    let settings = format!("{SOURCE_ONLY}[record]\nenabled = true\nurl = \"/proc/version/recordings\"\n");
    let (mut world, mut publisher) = broadcast_and_watch("refused", &settings).await?;
    let log = world.origin.log();
    ensure!(log.contains("cannot store"), "nothing was said:\n{log}");
    let metrics = world.origin_metrics().await?;
    ensure!(metrics.sum("nearcast_record_failed_writes_total", &[]) > 0.0, "nothing was counted");
    publisher.stop(Duration::from_secs(10)).await?;
    world.all_run()
}

#[tokio::test]
async fn a_full_disk_stops_the_recording_and_nothing_else() -> Result<()> {
    let settings =
        format!("{SOURCE_ONLY}[record]\nenabled = true\nplaylist_interval = 1\nmax_bytes = 400000\n");
    let (mut world, mut publisher) = broadcast_and_watch("full", &settings).await?;
    let log = world.origin.log();
    ensure!(log.contains("recording stops, for the disk is full"), "nothing was said:\n{log}");
    let metrics = world.origin_metrics().await?;
    ensure!(metrics.sum("nearcast_record_full", &[]) == 1.0, "nothing was counted");
    let used = metrics.sum("nearcast_record_disk_bytes", &[]);
    ensure!((1.0..=420_000.0).contains(&used), "{used} bytes are on disk");
    publisher.stop(Duration::from_secs(10)).await?;
    world.all_run()
}

#[tokio::test]
async fn viewers_go_back_to_what_memory_has_no_room_for() -> Result<()> {
    // The shortest window, of which the channel wants another.
    let settings = format!("{SOURCE_ONLY}[package]\nwindow = 0.0\nbroadcast_bytes = 200000\n");
    let mut world = World::builder("dvr").edges(["eu-1"]).setting("origin-1", &settings).start().await?;
    let admin = world.admin().await?;
    admin.create_channel("demo", "demo").await?;
    let dvr = json!({ "settings": { "dvr": 60 } });
    admin.send(Method::PATCH, "/channels/demo", &dvr).await?.expect(200)?;
    let key = admin.create_key("demo").await?;
    let mut publisher = world.publish("demo", &key, &Feed::pattern(360)).await?;
    let viewer = world.viewer("eu-1", Protocol::H3).await?;
    let source = renditions(&viewer, "demo").await?.swap_remove(0);
    let followed = follow(&viewer, &source, Until::Segments(10)).await?.strict()?;

    // What has just been watched, once more, from the origin's disk.
    let origin = world.origin_client().await?;
    let list = Media::parse(origin.get(&source.path).await?.expect(200)?.text()?)?;
    ensure!(list.msn == 0, "{} segments have left a window of a minute", list.msn);
    let mut back =
        origin.get(&resolve(&source.path, list.map.as_deref().context("no map")?)).await?.body.to_vec();
    for segment in &followed.segments {
        back.extend_from_slice(&origin.get(&resolve(&source.path, &segment.uri)).await?.expect(200)?.body);
    }
    ensure!(back == followed.media, "other bytes came back from disk");
    let metrics = world.origin_metrics().await?;
    let read = metrics.sum("nearcast_dvr_read_bytes_total", &[]);
    let (disk, memory) =
        (metrics.sum("nearcast_dvr_disk_bytes", &[]), metrics.sum("nearcast_package_memory_bytes", &[]));
    ensure!(read > 0.0 && disk > 1_000_000.0, "{disk} bytes are on disk, {read} were read");
    // The newest segments stay, however small the budget.
    ensure!(memory < 1_000_000.0, "{memory} bytes are in memory");

    // A viewer who seeks back gets the oldest through the edge, and it decodes.
    let oldest = resolve(&source.path, &list.segments.first().context("no segment")?.uri);
    let mut file =
        viewer.get(&source.path.replace("media.m3u8", "init.mp4")).await?.expect(200)?.body.to_vec();
    file.extend_from_slice(&viewer.get(&oldest).await?.expect(200)?.body);
    let path = world.folder.join("oldest.mp4");
    std::fs::write(&path, file)?;
    ensure!(probe::decode(&path).await?.nb_read_frames == 60, "the oldest segment is not whole");

    publisher.stop(Duration::from_secs(10)).await?;
    world.all_run()?;
    let dvr = world.folder.join("data/origin-1/dvr");
    ensure!(files(&dvr) > 1, "nothing is kept while viewers may still finish");
    world.stop().await?;
    ensure!(files(&dvr) == 1, "what nobody can ask for any more is still on disk");
    Ok(())
}

/// A world with `demo` live, watched strictly for some seconds.
async fn broadcast_and_watch(name: &str, settings: &str) -> Result<(World, Process)> {
    let world = World::builder(name).edges(["eu-1"]).setting("origin-1", settings).start().await?;
    let publisher = world.broadcast("demo", &Feed::pattern(360)).await?;
    let viewer = world.viewer("eu-1", Protocol::H2).await?;
    for rendition in renditions(&viewer, "demo").await? {
        follow(&viewer, &rendition, Until::Segments(2)).await?.strict()?;
    }
    Ok((world, publisher))
}

async fn world_until(world: &World, what: &str, done: impl AsyncFn() -> bool) -> Result<()> {
    let wait = async {
        let mut tick = tokio::time::interval(Duration::from_millis(50));
        while !done().await {
            tick.tick().await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(20), wait).await;
    waited.with_context(|| format!("the recording is not {what}:\n{}", world.origin.last_words()))
}

/// How many files are below a folder.
fn files(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| if entry.path().is_dir() { files(&entry.path()) } else { 1 }).sum()
}
