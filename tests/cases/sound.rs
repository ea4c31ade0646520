//! Audio that the origin makes: AAC beside what not all players know, lower bitrates, and sound alone.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use nearcast_tests::client::Protocol;
use nearcast_tests::metrics::Samples;
use nearcast_tests::mpd;
use nearcast_tests::player::{Followed, Rendition, Until, follow, multivariant, renditions};
use nearcast_tests::probe;
use nearcast_tests::publisher::Feed;
use nearcast_tests::world::World;
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Command;

/// A world whose origin makes low audio and lists it alone, and no pictures.
pub(crate) async fn world(name: &str) -> Result<World> {
    let settings = "[transcode]\naudio_only = true\nladder = []\n\
                    [[transcode.audio]]\nname = \"audio-64k\"\nbitrate = 64000\n";
    World::builder(name).edges(["eu-1"]).setting("origin-1", settings).start().await
}

/// H.264 and Opus, over enhanced RTMP.
pub(crate) fn opus() -> Result<Feed> {
    Ok(Feed::pattern(360).enhanced()?.audio(&["-c:a", "libopus", "-b:a", "96k"]))
}

/// The named rendition's media, where `ffprobe` finds all that the playlist promised; and when it beeps.
async fn sounds(world: &World, rendition: &Rendition, followed: &Followed) -> Result<Vec<f64>> {
    let name = &rendition.name;
    let file = world.folder.join(format!("{name}.mp4"));
    std::fs::write(&file, &followed.media)?;
    let stream = probe::decode(&file).await?;
    let (codec, samples) = if name == "audio" { ("opus", 960.0) } else { ("aac", 1024.0) };
    ensure!(stream.codec_name == codec, "{name} is {}", stream.codec_name);
    ensure!(stream.sample_rate.as_deref() == Some("48000") && stream.channels == Some(2), "{stream:?}");
    if codec == "aac" {
        ensure!(profile(&file).await? == "LC", "{name} is not AAC-LC");
    }
    let expected = followed.segments.iter().map(|segment| segment.duration).sum::<f64>() * 48_000.0;
    let heard = stream.nb_read_frames as f64 * samples;
    ensure!((heard - expected).abs() <= samples, "{name}: {heard} samples of {expected:.0}");
    probe::beeps(&file).await
}

async fn profile(file: &std::path::Path) -> Result<String> {
    let args = ["-v", "error", "-show_entries", "stream=profile", "-of", "csv=p=0"];
    let output = Command::new("ffprobe").args(args).arg(file).output().await.context("running ffprobe")?;
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// Every beep of one is in the other within `tolerance` seconds, but for the first and the last.
fn together(name: &str, beeps: &[f64], others: &[f64], tolerance: f64) -> Result<()> {
    ensure!(beeps.len() >= 2, "{name} beeps at {beeps:?}");
    for beep in beeps {
        let off = others.iter().map(|other| beep - other).min_by(|a, b| a.abs().total_cmp(&b.abs()));
        let off = off.context("no beep")?;
        // Two seconds apart: what is further off was not recorded.
        ensure!(off.abs() <= tolerance || off.abs() > 1.9, "{name} is {:+.1} ms off", off * 1e3);
        eprintln!("{name}: {:+.2} ms", off * 1e3);
    }
    Ok(())
}

#[tokio::test]
async fn opus_gets_aac_beside_it_in_sync_and_the_lowest_plays_alone() -> Result<()> {
    let world = world("sound").await?;
    let _publisher = world.broadcast("demo", &opus()?).await?;
    let viewer = world.viewer("eu-1", Protocol::H2).await?;
    let list = multivariant(&viewer, "demo").await?;
    let variants: Vec<(&str, &str, bool)> = list
        .variants
        .iter()
        .map(|variant| {
            let codec = variant.codecs.rsplit(',').next().unwrap_or_default();
            (codec, variant.audio.as_deref().unwrap_or_default(), variant.resolution.is_some())
        })
        .collect();
    let expected =
        [("Opus", "audio", true), ("mp4a.40.2", "audio-aac", true), ("mp4a.40.2", "audio-64k", false)];
    ensure!(variants == expected, "the variants are {variants:?}");
    ensure!(list.variants[2].bandwidth < 100_000, "{:?}", list.variants[2]);

    // Whoever comes first gets it whole.
    let manifest = viewer.get("/live/demo/index.mpd").await?.expect(200)?;
    let manifest = manifest.text()?;
    mpd::read(manifest)?;
    let sets = manifest.matches("contentType=\"audio\"").count();
    ensure!(sets == 2, "{sets} sets of audio:\n{manifest}");

    let all = renditions(&viewer, "demo").await?;
    let names: Vec<&str> = all.iter().map(|rendition| rendition.name.as_str()).collect();
    ensure!(names == ["source", "audio-64k", "audio", "audio-aac"], "{names:?}");
    let runs = all.iter().map(|rendition| follow(&viewer, rendition, Until::Segments(4)));
    let runs = futures_util::future::try_join_all(runs).await?;
    let mut beeps = Vec::new();
    for (rendition, followed) in all.iter().zip(runs) {
        let followed = followed.strict()?;
        if !rendition.video {
            beeps.push((rendition.name.as_str(), sounds(&world, rendition, &followed).await?));
        }
    }
    let (_, source) = beeps.iter().find(|(name, _)| *name == "audio").context("no source")?;
    for (name, beeps) in beeps.iter().filter(|(name, _)| *name != "audio") {
        together(name, beeps, source, 0.01)?;
    }
    Ok(())
}

#[tokio::test]
async fn a_killed_child_costs_its_sound_nothing() -> Result<()> {
    let world = world("sound-killed").await?;
    let _publisher = world.broadcast("demo", &opus()?).await?;
    let viewer = world.viewer("eu-1", Protocol::H2).await?;
    let all = renditions(&viewer, "demo").await?;
    let find =
        |name: &str| all.iter().find(|rendition| rendition.name == name).with_context(|| name.to_owned());
    let (source, aac) = (find("audio")?, find("audio-aac")?);
    let watching = async {
        tokio::try_join!(
            follow(&viewer, aac, Until::Segments(5)),
            follow(&viewer, source, Until::Segments(5))
        )
    };
    let killing = async {
        follow(&viewer, source, Until::Segments(1)).await?.strict()?;
        let child = *world.origin.children().first().context("no transcoder runs")?;
        kill_process(Pid::from_raw(child).context("a process id")?, Signal::KILL)?;
        Ok(child)
    };
    let ((made, heard), killed) = tokio::try_join!(watching, killing)?;
    let (made, heard) = (made.strict()?, heard.strict()?);
    ensure!(!world.origin.children().contains(&killed), "it is still there");
    let samples = Samples::read(world.layout.origin.ops).await?;
    let restarts = samples.sum("nearcast_transcode_restarts_total", &[]);
    ensure!(restarts == 1.0, "{restarts} restarts");
    ensure!(made.slowest_reload < Duration::from_secs(2), "a reload took {:?}", made.slowest_reload);
    let (beeps, others) = (sounds(&world, aac, &made).await?, sounds(&world, source, &heard).await?);
    ensure!(beeps.len() >= 4, "a beep is missing: {beeps:?}");
    together("audio-aac", &beeps, &others, 0.01)
}

#[tokio::test]
async fn the_sound_goes_on_when_the_publisher_comes_back_with_another_rate() -> Result<()> {
    let world = world("sound-spliced").await?;
    let key = world.channel("demo").await?;
    let mut first = world.publish("demo", &key, &opus()?).await?;
    let viewer = world.viewer("eu-1", Protocol::H2).await?;
    let all = renditions(&viewer, "demo").await?;
    let aac = all.iter().find(|rendition| rendition.name == "audio-aac").context("no AAC")?;
    let watching = async {
        tokio::try_join!(
            follow(&viewer, aac, Until::Segments(11)),
            follow(&viewer, &all[0], Until::Segments(11))
        )
    };
    let blinking = async {
        follow(&viewer, aac, Until::Segments(2)).await?.strict()?;
        first.kill().await?;
        // How long a line is away is what is tried here, not something to wait for.
        tokio::time::sleep(Duration::from_secs(3)).await;
        let again = Feed::pattern(360).enhanced()?.audio(&["-c:a", "aac", "-ar", "44100", "-ac", "1"]);
        again.publish(&world.rtmp(&key), "publisher-again", &world.logs())
    };
    let ((followed, seen), _publisher) = tokio::try_join!(watching, blinking)?;
    let (followed, seen) = (followed.strict()?, seen.strict()?);
    let discontinuities = followed.segments.iter().filter(|segment| segment.discontinuity).count();
    ensure!(discontinuities == 2, "{discontinuities} discontinuities");
    ensure!(followed.segments.iter().all(|segment| segment.map.as_deref() == Some("init.mp4")), "one form");
    // Both publishers are heard, two beeps of each at least, and seen to be.
    let (sound, picture) = (world.folder.join("spliced.mp4"), world.folder.join("seen.mp4"));
    std::fs::write(&sound, &followed.media)?;
    std::fs::write(&picture, &seen.media)?;
    let (beeps, flashes) = (probe::beeps(&sound).await?, probe::flashes(&picture).await?);
    let splices = beeps.windows(2).filter(|pair| (pair[1] - pair[0] - 2.0).abs() > 0.1).count();
    ensure!(beeps.len() >= 4 && splices == 1, "{beeps:?} beside {flashes:?}");
    together("audio-aac", &beeps, &flashes, 0.06)
}
