//! Small pictures of what is live: they show the right moment in the right colours, as long as it can be played.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use nearcast_tests::client::{Client, Protocol, Reply};
use nearcast_tests::picture::Luma;
use nearcast_tests::player::{Media, renditions};
use nearcast_tests::publisher::Feed;
use nearcast_tests::vtt::{self, Cue, Index};
use nearcast_tests::world::World;

/// A world that makes a picture each second.
async fn world(name: &str, settings: &str) -> Result<World> {
    let settings = format!("[transcode]\nenabled = false\n[thumbnails]\n{settings}\n");
    World::builder(name).edges(["eu-1"]).setting("origin-1", &settings).start().await
}

/// Grey that is another for each of 25 seconds, from the first picture on; half of it in the colour of BT.709's red.
fn greys() -> Feed {
    let picture = "nullsrc=size=16x16:rate=30,format=yuv420p,\
                   geq=lum='if(lt(X,8),20+8*mod(floor(T+0.01),25),63)':cb='if(lt(X,4),128,102)':cr='if(lt(X,4),128,240)',\
                   scale=640:360:flags=neighbor,setsar=1";
    let tone = "anullsrc=sample_rate=48000:channel_layout=stereo";
    Feed::from_inputs(&["-re", "-f", "lavfi", "-i", picture, "-re", "-f", "lavfi", "-i", tone]).video(&[
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
        "-g",
        "30",
        "-keyint_min",
        "30",
        "-sc_threshold",
        "0",
        "-bf",
        "2",
        "-pix_fmt",
        "yuv420p",
        "-colorspace",
        "bt709",
        "-color_range",
        "tv",
    ])
}

/// The grey of a second as JPEG has it: full range.
fn grey(second: u64) -> f64 {
    (4 + 8 * (second % 25)) as f64 * 255.0 / 219.0
}

/// The broadcast of a channel, as its playlist names it.
async fn broadcast(viewer: &Client, channel: &str) -> Result<String> {
    let list = renditions(viewer, channel).await?;
    let path = &list.first().context("no rendition")?.path;
    Ok(path.split('/').nth(3).context("no broadcast")?.to_owned())
}

/// The answer once it is another than before.
async fn until(viewer: &Client, path: &str, done: impl Fn(&Reply) -> bool) -> Result<Reply> {
    let waiting = Instant::now();
    let mut tick = tokio::time::interval(Duration::from_millis(100));
    loop {
        let reply = viewer.get(path).await?;
        if done(&reply) {
            return Ok(reply);
        }
        if waiting.elapsed() > Duration::from_secs(40) {
            bail!("{path} is still {}: {}", reply.status, String::from_utf8_lossy(&reply.body));
        }
        tick.tick().await;
    }
}

/// Every cue leads to a picture of the second it says.
async fn shows_what_it_says(viewer: &Client, folder: &str, cues: &[Cue]) -> Result<()> {
    for file in cues.iter().map(|cue| &cue.file).collect::<std::collections::BTreeSet<_>>() {
        let reply = viewer.get(&format!("{folder}/{file}")).await?.expect(200)?;
        ensure!(reply.header("content-type") == "image/jpeg", "{file}: {}", reply.header("content-type"));
        ensure!(reply.header("cache-control").contains("immutable"), "{file} may change");
        let picture = Luma::decode(&reply.body).await?;
        for cue in cues.iter().filter(|cue| cue.file == *file) {
            let (x, y, width, height) = cue.area.unwrap_or((0, 0, picture.width, picture.height));
            ensure!((width, height) == (320, 180), "{cue:?} is {width}x{height}");
            let (left, right) = (
                picture.mean(x + 10, y + 10, width / 2 - 20, height - 20)?,
                picture.mean(x + width / 2 + 10, y + 10, width / 2 - 20, height - 20)?,
            );
            let expected = grey(cue.start.round() as u64);
            ensure!((left - expected).abs() <= 2.5, "{cue:?} is {left:.1}, not {expected:.1}");
            ensure!((right - RED).abs() <= 2.5, "red is {right:.1}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_seek_bar_shows_the_moment_it_is_at_until_the_broadcast_is_gone() -> Result<()> {
    let world = world("thumbs", "interval = 1\n[package]\nlinger = 4\nsegment = 1\nwindow = 30").await?;
    let mut publisher = world.broadcast("demo", &greys()).await?;
    let viewer = world.viewer("eu-1", Protocol::H2).await?;
    let folder = format!("/live/demo/{}/thumbs", broadcast(&viewer, "demo").await?);
    let list = format!("{folder}/index.vtt");

    let poster = until(&viewer, "/live/demo/thumb.jpg", |reply| reply.status == 200).await?;
    ensure!(poster.header("cache-control") == "public, max-age=1", "{:?}", poster.headers);
    let early =
        until(&viewer, &list, |reply| reply.body.windows(3).filter(|w| w == b"-->").count() > 3).await?;
    ensure!(early.header("content-type").starts_with("text/vtt"), "{:?}", early.headers);
    let early = Index::parse(early.text()?)?;
    ensure!(early.cues.iter().all(|cue| cue.area.is_none()), "{early:?}");
    shows_what_it_says(&viewer, &folder, &early.cues).await?;
    until(&viewer, "/live/demo/thumb.jpg", |reply| reply.status == 200 && reply.body != poster.body).await?;

    let full = until(&viewer, &list, |reply| {
        reply.status == 200 && String::from_utf8_lossy(&reply.body).contains("sheet.0.jpg")
    });
    let full = Index::parse(full.await?.text()?)?;
    shows_what_it_says(&viewer, &folder, &full.cues).await?;
    let on_sheet = full.cues.iter().filter(|cue| cue.area.is_some()).count();
    ensure!(on_sheet == 25, "{on_sheet} pictures on the sheet");
    // What older lists name is still there.
    shows_what_it_says(&viewer, &folder, &early.cues).await?;

    // Both kinds of players find the moment: by the date, and by the manifest's time.
    let source = Media::parse(viewer.get(&renditions(&viewer, "demo").await?[0].path).await?.text()?)?;
    let newest = source.segments.last().and_then(|segment| segment.date).context("no date")?;
    let now = Index::parse(viewer.get(&list).await?.expect(200)?.text()?)?;
    ensure!((now.zero - full.zero).abs() < 1e-6, "time 0 has moved");
    let at = newest - now.zero;
    let cue = now.cues.last().context("no cue")?;
    ensure!(
        (at - cue.start).abs() < 4.0,
        "the newest segment is at {at}, the newest picture at {}",
        cue.start
    );
    ensure!((at - at.round()).abs() < 0.05, "segments begin at whole seconds, one at {at}");
    let manifest = viewer.get("/live/demo/index.mpd").await?.expect(200)?;
    let start =
        manifest.text()?.split("availabilityStartTime=\"").nth(1).and_then(|rest| rest.split('"').next());
    let start = vtt::date(start.context("no availability start time")?)?;
    ensure!((start - full.zero).abs() < 0.0005, "the manifest begins {} s later", start - full.zero);

    publisher.stop(Duration::from_secs(5)).await?;
    until(&viewer, "/live/demo/thumb.jpg", |reply| reply.status == 404).await?;
    let after = Index::parse(viewer.get(&list).await?.expect(200)?.text()?)?;
    shows_what_it_says(&viewer, &folder, &after.cues).await?;
    until(&viewer, &list, |reply| reply.status == 404).await?;
    // The last to let go of the pictures is their maker.
    let held = async || {
        let samples = world.origin_metrics().await?;
        anyhow::Ok(samples.sum("nearcast_thumbnails_memory_bytes", &[]))
    };
    let waiting = Instant::now();
    while held().await? > 0.0 {
        ensure!(waiting.elapsed() < Duration::from_secs(5), "{} bytes are left", held().await?);
    }
    let samples = world.origin_metrics().await?;
    let count = |what: &str| samples.sum(&format!("nearcast_thumbnails_{what}_total"), &[]);
    let (made, failed, skipped) = (count("pictures"), count("failed"), count("skipped"));
    ensure!(failed == 0.0 && made >= 26.0, "{made} made, {failed} failed, {skipped} skipped");
    eprintln!("{made} pictures, {skipped} skipped");
    Ok(())
}

#[tokio::test]
async fn hevc_with_oblong_pixels_gives_pictures_in_the_right_shape() -> Result<()> {
    let world = world("thumbs-hevc", "interval = 2").await?;
    let feed = Feed::pattern(360).enhanced()?.video(&[
        "-vf",
        "setsar=4/3",
        "-c:v",
        "libx265",
        "-preset",
        "ultrafast",
        "-x265-params",
        "log-level=error:keyint=60:min-keyint=60:scenecut=0:open-gop=0:bframes=2:pools=1",
        "-pix_fmt",
        "yuv420p",
    ]);
    let _publisher = world.broadcast("demo", &feed).await?;
    let viewer = world.viewer("eu-1", Protocol::H1).await?;
    let reply = until(&viewer, "/live/demo/thumb.jpg", |reply| reply.status == 200).await?;
    let picture = Luma::decode(&reply.body).await?;
    ensure!((picture.width, picture.height) == (426, 180), "{}x{}", picture.width, picture.height);
    // The pattern is white at every keyframe.
    let white = picture.mean(0, 0, picture.width, picture.height)?;
    ensure!(white >= 252.0, "white is {white}");

    // A channel without pictures.
    let silent = ["-re", "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000"];
    let radio = Feed::from_inputs(&silent).video(&["-vn"]);
    let _radio = world.broadcast("radio", &radio).await?;
    viewer.get("/live/radio/thumb.jpg").await?.expect(404)?;
    let origin = world.origin_client().await?;
    let why = origin.get("/live/radio/thumb.jpg").await?.expect(404)?;
    ensure!(why.text()?.contains("has no video"), "{}", why.text()?);
    Ok(())
}

#[tokio::test]
async fn an_origin_that_makes_no_pictures_says_so() -> Result<()> {
    let world = world("thumbs-off", "enabled = false").await?;
    let _publisher = world.broadcast("demo", &Feed::pattern(360)).await?;
    let (viewer, origin) = (world.viewer("eu-1", Protocol::H3).await?, world.origin_client().await?);
    let broadcast = broadcast(&viewer, "demo").await?;
    for path in ["/live/demo/thumb.jpg".into(), format!("/live/demo/{broadcast}/thumbs/index.vtt")] {
        viewer.get(&path).await?.expect(404)?;
        let why = origin.get(&path).await?.expect(404)?;
        ensure!(why.text()?.contains("thumbnails.enabled"), "{}", why.text()?);
    }
    ensure!(world.origin.children().is_empty(), "a child runs");
    Ok(())
}

/// The luma of red in JPEG.
const RED: f64 = 76.0;
