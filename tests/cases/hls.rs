//! What playlists say beyond segments and parts: keyframes, captions and events, as independent readers see them.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use nearcast_tests::browser::{self, Reach};
use nearcast_tests::captions;
use nearcast_tests::client::{Client, Protocol};
use nearcast_tests::player::{Media, Rendition, Until, follow, keyframes, multivariant, renditions, resolve};
use nearcast_tests::probe;
use nearcast_tests::publisher::Feed;
use nearcast_tests::world::World;
use serde::Deserialize;
use serde_json::json;
use tokio::process::Command;

use crate::shared;

#[tokio::test]
async fn every_listed_keyframe_decodes_by_itself() -> Result<()> {
    let viewer = shared().viewer("us-1", Protocol::H2).await?;
    let list = multivariant(&viewer, "demo").await?;
    ensure!(list.i_frames.len() == 3, "keyframes of {:?}", list.i_frames);
    let folder = tempfile::tempdir_in(&shared().folder)?;
    for i_frames in &list.i_frames {
        let path = resolve("/live/demo/index.m3u8", &i_frames.uri);
        let keyframes = keyframes(&viewer, &path, 4).await?;
        ensure!(keyframes.len() == 4, "{path} lists {} keyframes", keyframes.len());
        for keyframe in keyframes {
            let file = folder.path().join("keyframe.mp4");
            std::fs::write(&file, keyframe.media)?;
            let picture = probe::first_picture(&file).await?;
            let size = picture.width.zip(picture.height);
            ensure!(size == i_frames.resolution, "{path}, keyframe {}: {picture:?}", keyframe.msn);
        }
    }
    Ok(())
}

#[tokio::test]
async fn captions_are_declared_and_read_the_same_in_the_source_and_in_a_rung() -> Result<()> {
    let folder = tempfile::tempdir_in(&shared().folder)?;
    let clip = captions::captioned(folder.path(), 480, "NEARCAST").await?;
    let input = ["-re", "-stream_loop", "-1", "-i", &clip.to_string_lossy()].map(str::to_owned);
    let input: Vec<&str> = input.iter().map(String::as_str).collect();
    let feed = Feed::from_inputs(&input).video(&["-c:v", "copy"]).audio(&["-an"]);
    let _publisher = shared().broadcast("captioned", &feed).await?;
    let viewer = shared().viewer("eu-1", Protocol::H2).await?;
    let list = multivariant(&viewer, "captioned").await?;
    ensure!(list.captions.iter().map(|(id, _)| id.as_str()).eq(["CC1"]), "{:?}", list.captions);
    ensure!(list.variants.iter().all(|variant| variant.captions.as_deref() == Some("\"captions\"")));
    let silent = multivariant(&viewer, "demo").await?;
    ensure!(silent.variants.iter().all(|variant| variant.captions.as_deref() == Some("NONE")));

    let renditions = renditions(&viewer, "captioned").await?;
    ensure!(renditions.len() == 2, "a source and a rung: {renditions:?}");
    let mut read = Vec::new();
    for rendition in &renditions {
        let followed = follow(&viewer, rendition, Until::Segments(3)).await?.strict()?;
        let file = folder.path().join(format!("{}.mp4", rendition.name));
        std::fs::write(&file, &followed.media)?;
        read.push(captions::read(&file).await?);
    }
    for (rendition, text) in renditions.iter().zip(&read) {
        let said = text.matches("NEARCAST").count();
        ensure!(said >= 2, "{} says it {said} times: {text}", rendition.name);
    }
    Ok(())
}

/// What `metadata.mjs` saw.
#[derive(Debug, Deserialize)]
struct Seen {
    /// Media time that was announced, in milliseconds since the Unix epoch.
    at: f64,
    status: u16,
    parsed: Vec<serde_json::Value>,
    ranges: BTreeMap<String, Range>,
    cues: Vec<Cue>,
    errors: Vec<serde_json::Value>,
}

#[derive(Debug, Deserialize)]
struct Range {
    start: f64,
    duration: f64,
    team: String,
}

#[derive(Debug, Deserialize)]
struct Cue {
    r#type: String,
    key: String,
    data: String,
    /// Media time of the playhead when the cue became active.
    playing: f64,
}

#[tokio::test]
async fn an_event_is_in_every_playlist_and_in_the_media_and_players_see_it_when_it_happens() -> Result<()> {
    let world = World::builder("metadata")
        .edges(["eu-1"])
        .setting("nearcast-origin", "[transcode]\nenabled = false\n");
    let world = world.start().await?;
    let _publisher = world.broadcast("demo", &Feed::pattern(360)).await?;
    let api = format!("http://{}/api/v1/channels/demo/metadata", world.layout.control);
    let edge = world.layout.edge("eu-1").context("no edge")?.https;
    let hls = Path::new(env!("CARGO_MANIFEST_DIR")).join("../web/node_modules/hls.js/dist/hls.js");
    let event = json!({
        "id": "goal-1", "duration": 2.5, "class": "com.example.goal",
        "attributes": { "X-TEAM": "home", "X-SCORE": 2 }, "id3": { "TIT2": "Goal" },
    });
    let job = json!({
        "url": format!("https://{edge}/live/demo/index.m3u8"), "hls": hls, "api": api,
        "token": world.admin_token(), "metadata": event,
        "profile": browser::profile(&world)?, "flags": browser::flags(&world, Reach::Tcp)?,
    });
    let printed = browser::run("metadata.mjs", &job.to_string()).await?;
    let seen: Seen = serde_json::from_str(&printed).with_context(|| format!("reading {printed}"))?;
    ensure!(seen.status == 202 && !seen.parsed.is_empty(), "{seen:#?}");
    ensure!(seen.errors.iter().all(|error| error["fatal"] != json!(true)), "{:?}", seen.errors);
    let range = seen.ranges.get("goal-1").with_context(|| format!("no date range: {seen:#?}"))?;
    ensure!((range.start, range.duration, range.team.as_str()) == (seen.at, 2.5, "home"), "{range:?}");
    for (scheme, key, data) in
        [("https://aomedia.org/emsg/ID3", "TIT2", "Goal"), ("com.apple.quicktime.HLS", "X-TEAM", "home")]
    {
        let cue = seen.cues.iter().find(|cue| cue.r#type == scheme && cue.key == key);
        let cue = cue.with_context(|| format!("no cue {key}: {seen:#?}"))?;
        ensure!(cue.data == data, "{cue:?}");
        // Cues are looked for a few times a second.
        let late = cue.playing - seen.at;
        ensure!((-100.0..500.0).contains(&late), "{key} was seen {late} ms after it happened");
    }

    let viewer = world.viewer("eu-1", Protocol::H2).await?;
    for rendition in renditions(&viewer, "demo").await? {
        the_event_is_in(&viewer, &rendition, seen.at, &world.folder).await?;
    }
    Ok(())
}

/// The date range by its time, and in video the message in front of the media that holds it.
async fn the_event_is_in(viewer: &Client, rendition: &Rendition, at: f64, folder: &Path) -> Result<()> {
    let path = &rendition.path;
    for path in [path.clone(), path.replace("media.m3u8", "iframe.m3u8")] {
        if path.contains("iframe") && !rendition.video {
            continue;
        }
        let list = Media::parse(viewer.get(&path).await?.expect(200)?.text()?)?;
        let range = list.ranges.iter().find(|range| range.id == "goal-1");
        let range = range.with_context(|| format!("{path} has no date range"))?;
        ensure!(
            (range.start * 1000.0 - at).abs() < 1.0 && range.text.contains("X-SCORE=2"),
            "{path}: {range:?}"
        );
    }
    let list = Media::parse(viewer.get(path).await?.expect(200)?.text()?)?;
    let holds = |date: f64, duration: f64| (date..date + duration).contains(&(at / 1000.0));
    let segment = list.segments.iter().find(|segment| holds(segment.date.unwrap_or(0.0), segment.duration));
    let segment = segment.context("the event's segment has gone")?;
    let bytes = viewer.get(&resolve(path, &segment.uri)).await?.expect(200)?.body;
    let init = viewer.get(&path.replace("media.m3u8", "init.mp4")).await?.expect(200)?.body;
    let file = folder.join(format!("event-{}.mp4", rendition.name));
    std::fs::write(&file, [&init[..], &bytes].concat())?;
    let probed = Command::new("ffprobe").args(["-v", "trace"]).arg(&file).output().await?;
    let boxes = String::from_utf8_lossy(&probed.stderr).into_owned();
    ensure!(boxes.contains("type:'emsg'") == rendition.video, "{path}: emsg in {}", segment.uri);
    // What follows the message decodes as before.
    ensure!(probe::decode(&file).await?.nb_read_frames > 0);
    Ok(())
}
