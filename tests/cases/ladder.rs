//! The ladder: rungs that are made while somebody watches them, and a transcoder that is killed.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use nearcast_tests::client::{Client, Protocol};
use nearcast_tests::metrics::Samples;
use nearcast_tests::mpd;
use nearcast_tests::player::{Followed, Media, Rendition, Until, follow, renditions};
use nearcast_tests::probe;
use nearcast_tests::publisher::Feed;
use nearcast_tests::world::World;
use rustix::process::{Pid, Signal, kill_process};

/// A world whose origin makes 240p of whatever is larger.
async fn world(name: &str, settings: &str) -> Result<World> {
    let ladder = "[[transcode.ladder]]\nname = \"240p\"\nheight = 240\nbitrate = 300000\n";
    World::builder(name)
        .edges(["eu-1"])
        .setting("origin-1", &format!("[transcode]\npreset = \"ultrafast\"\n{settings}\n{ladder}"))
        .setting("eu-1", "[follow]\nidle = 1\n")
        .start()
        .await
}

/// The source and the rung of a broadcast.
async fn both(viewer: &Client) -> Result<(Rendition, Rendition)> {
    let all = renditions(viewer, "demo").await?;
    let names: Vec<&str> = all.iter().map(|rendition| rendition.name.as_str()).collect();
    ensure!(names == ["source", "240p", "audio"], "the ladder is {names:?}");
    ensure!(all[1].resolution == Some((426, 240)), "{:?}", all[1]);
    Ok((all[0].clone(), all[1].clone()))
}

/// Frames that come out of a decoder, which must be all that the playlist promised.
async fn decodes(world: &World, name: &str, followed: &Followed) -> Result<()> {
    let file = world.folder.join(format!("{name}.mp4"));
    std::fs::write(&file, &followed.media)?;
    let stream = probe::decode(&file).await?;
    let expected = followed.segments.iter().map(|segment| segment.duration).sum::<f64>() * 30.0;
    let frames = stream.nb_read_frames as f64;
    ensure!((frames - expected).abs() <= 2.0, "{name}: {frames} frames of {expected:.1}");
    Ok(())
}

/// Returns once no transcoder runs.
async fn idle(world: &World) -> Result<()> {
    let waiting = Instant::now();
    let mut tick = tokio::time::interval(Duration::from_millis(50));
    while !world.origin.children().is_empty() {
        ensure!(waiting.elapsed() < Duration::from_secs(20), "a transcoder runs for nobody");
        tick.tick().await;
    }
    Ok(())
}

#[tokio::test]
async fn a_rung_is_made_while_somebody_watches_it() -> Result<()> {
    let world = world("on-demand", "linger = 1").await?;
    let _publisher = world.broadcast("demo", &Feed::pattern(360)).await?;
    let viewer = world.viewer("eu-1", Protocol::H2).await?;
    let (source, rung) = both(&viewer).await?;
    idle(&world).await?;
    follow(&viewer, &source, Until::Segments(1)).await?.strict()?;
    ensure!(world.origin.children().is_empty(), "the source alone needs no transcoder");

    let mut ends = Vec::new();
    for round in ["first", "second"] {
        let asked = Instant::now();
        let reply = viewer.get(&rung.path).await?.expect(200)?;
        let took = asked.elapsed();
        ensure!(took < Duration::from_secs(4), "the {round} viewer waited {took:?}");
        let list = Media::parse(reply.text()?)?;
        let behind = Media::parse(viewer.get(&source.path).await?.expect(200)?.text()?)?;
        let (rung_end, source_end) = (list.growing_msn(), behind.growing_msn());
        ensure!(source_end.abs_diff(rung_end) <= 1, "{round}: {rung_end} beside the source's {source_end}");
        ensure!(!reply.text()?.contains("EXT-X-GAP"), "{round}: a gap");
        ends.push(rung_end);

        let (watched, source) = tokio::try_join!(
            follow(&viewer, &rung, Until::Segments(2)),
            follow(&viewer, &source, Until::Segments(2))
        )?;
        let (watched, source) = (watched.strict()?, source.strict()?);
        let off = (watched.epoch - source.epoch) * 1e3;
        ensure!(off.abs() < 5.0, "{round}: the rung is {off:.1} ms off");
        decodes(&world, &format!("240p-{round}"), &watched).await?;
        eprintln!("the {round} viewer waited {took:?}");
        idle(&world).await?;
    }
    ensure!(ends[1] > ends[0] + 1, "the second round is later: {ends:?}");

    // A DASH player never asks for a playlist: the manifest has the rung, and its next segment wakes it.
    let reply = viewer.get("/live/demo/index.mpd").await?.expect(200)?;
    mpd::read(reply.text()?)?;
    ensure!(reply.text()?.contains("<Representation id=\"240p\""), "{}", reply.text()?);
    let newest = Media::parse(viewer.get(&source.path).await?.expect(200)?.text()?)?.growing_msn();
    let folder = rung.path.strip_suffix("/media.m3u8").context("a playlist's path")?;
    let segment = viewer.get(&format!("{folder}/{newest}.m4s")).await?.expect(200)?;
    ensure!(segment.body.len() > 10_000, "a segment of {} bytes", segment.body.len());
    Ok(())
}

#[tokio::test]
async fn a_killed_transcoder_costs_its_rung_nothing() -> Result<()> {
    let world = world("transcoder", "linger = 30").await?;
    let _publisher = world.broadcast("demo", &Feed::pattern(360)).await?;
    let viewer = world.viewer("eu-1", Protocol::H2).await?;
    let (source, rung) = both(&viewer).await?;
    // It runs from here on.
    follow(&viewer, &rung, Until::Segments(1)).await?.strict()?;
    let watching = follow(&viewer, &rung, Until::Segments(4));
    let killing = async {
        follow(&viewer, &source, Until::Segments(1)).await?.strict()?;
        let child = *world.origin.children().first().context("no transcoder runs")?;
        kill_process(Pid::from_raw(child).context("a process id")?, Signal::KILL)?;
        Ok(child)
    };
    let (watched, killed) = tokio::try_join!(watching, killing)?;
    let watched = watched.strict()?;
    ensure!(!world.origin.children().contains(&killed), "it is still there");
    let samples = Samples::read(world.layout.origin.ops).await?;
    let restarts = samples.sum("nearcast_transcode_restarts_total", &[]);
    ensure!(restarts == 1.0, "{restarts} restarts");
    eprintln!("the slowest reload took {:?}", watched.slowest_reload);
    decodes(&world, "240p-killed", &watched).await
}
