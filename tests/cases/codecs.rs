//! Codecs beyond H.264 and AAC over enhanced RTMP: untouched as the source, with H.264 beside it.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use nearcast_tests::client::Protocol;
use nearcast_tests::probe;
use nearcast_tests::publisher::Feed;

use crate::playback::follow_all;
use crate::shared;

/// What viewers are to get of a broadcast.
struct Expected {
    /// Pictures, as the playlist lists them.
    video: [Listed; 2],
    /// Sound.
    audio: &'static [Listed],
}

/// Name, codec, what CODECS begins with, and frames in a second.
type Listed = (&'static str, &'static str, &'static str, f64);

#[tokio::test]
async fn hevc_with_further_tracks_is_served_untouched_with_h264_beside_it() -> Result<()> {
    // The second picture and the second sound are left out.
    let feed =
        pattern(&["-map", "0:v", "-map", "0:v", "-map", "1:a", "-map", "1:a", "-c:v:0", "libx265"], HEVC)?
            .audio(&["-c:a:0", "aac", "-c:a:1", "libopus", "-b:a", "96k"]);
    let expected = Expected {
        video: [("source", "hevc", "hvc1.", 30.0), H264],
        audio: &[("audio", "aac", "mp4a.40.2", AAC_RATE)],
    };
    plays("hevc", &feed, &expected).await
}

#[tokio::test]
async fn av1_and_opus_are_served_untouched_with_h264_and_aac_beside_them() -> Result<()> {
    // Asks first what is taken, as encoders may.
    let asking = ["-c:a", "libopus", "-b:a", "96k", "-rtmp_enhanced_codecs", "av01,hvc1,vp09"];
    let feed = pattern(&["-c:v", "libsvtav1"], AV1)?.audio(&asking);
    let expected = Expected {
        video: [("source", "av1", "av01.", 30.0), H264],
        audio: &[("audio", "opus", "Opus", 50.0), AAC],
    };
    plays("av1", &feed, &expected).await
}

#[tokio::test]
async fn vp9_and_flac_are_served_untouched_with_h264_and_aac_beside_them() -> Result<()> {
    let feed = pattern(&["-c:v", "libvpx-vp9"], VP9)?.audio(&["-c:a", "flac", "-frame_size", "1024"]);
    let expected = Expected {
        video: [("source", "vp9", "vp09.", 30.0), H264],
        audio: &[("audio", "flac", "fLaC", AAC_RATE), AAC],
    };
    plays("vp9", &feed, &expected).await
}

#[tokio::test]
async fn codecs_that_enhanced_rtmp_has_and_we_do_not_are_named_to_the_publisher() -> Result<()> {
    let world = shared();
    let key = world.channel("ac3").await?;
    let feed = Feed::pattern(360).enhanced()?.audio(&["-c:a", "ac3"]);
    let mut publisher = feed.publish(&world.rtmp(&key), "publisher-ac3", &world.logs())?;
    let status = publisher.ended(Duration::from_secs(20)).await?;
    let log = publisher.log();
    ensure!(!status.success() && log.contains("AC-3 is not supported"), "FFmpeg was told:\n{log}");
    ensure!(log.contains("set the encoder's audio to AAC, Opus or FLAC"), "no advice in:\n{log}");
    Ok(())
}

/// The test pattern in 360 lines, by an encoder that speaks enhanced RTMP.
fn pattern(codec: &[&str], options: &[&str]) -> Result<Feed> {
    let options = [codec, options, &["-pix_fmt", "yuv420p", "-g", "60"]].concat();
    Ok(Feed::pattern(360).enhanced()?.video(&options))
}

async fn plays(channel: &str, feed: &Feed, expected: &Expected) -> Result<()> {
    let world = shared();
    let _publisher = world.broadcast(channel, feed).await?;
    let viewer = world.viewer("eu-1", Protocol::H2).await?;
    let list = viewer.get(&format!("/live/{channel}/index.m3u8")).await?.expect(200)?;
    announces(list.text()?, expected)?;

    let folder = tempfile::tempdir_in(&world.folder)?;
    let (mut flashes, mut sounds) = (Vec::new(), Vec::new());
    for (rendition, followed) in follow_all(&viewer, channel, 3).await? {
        let name = &rendition.name;
        let (_, codec, _, rate) = expected
            .video
            .iter()
            .chain(expected.audio)
            .find(|(known, ..)| known == name)
            .with_context(|| format!("{name} is not expected"))?;
        let file = folder.path().join(format!("{name}.mp4"));
        std::fs::write(&file, &followed.media)?;
        let stream = probe::decode(&file).await?;
        ensure!(stream.codec_name == *codec, "{name} is {}", stream.codec_name);
        let seconds: f64 = followed.segments.iter().map(|segment| segment.duration).sum();
        let (frames, wanted) = (stream.nb_read_frames as f64, seconds * *rate);
        ensure!((frames - wanted).abs() <= 2.0, "{name}: {frames} frames of {wanted:.1}");
        if rendition.video {
            let size = stream.width.zip(stream.height);
            ensure!(size == Some((640, 360)) && size == rendition.resolution, "{name}: {size:?}");
            flashes.push((rendition.name, probe::flashes(&file).await?));
        } else {
            ensure!(stream.sample_rate.as_deref() == Some("48000"), "{name}: {:?}", stream.sample_rate);
            sounds.push((rendition.name, probe::beeps(&file).await?));
        }
    }
    for (name, flashes) in flashes {
        ensure!(flashes.len() >= 2, "{name} flashed at {flashes:?}");
        for (flash, (sound, beeps)) in flashes.iter().flat_map(|flash| sounds.iter().map(move |s| (flash, s)))
        {
            let off = nearest(beeps, *flash).context("no beep")?;
            ensure!(off.abs() <= 0.06, "{name}: flash {flash:.3} s, {sound} {:+.1} ms later", off * 1e3);
        }
    }
    Ok(())
}

/// How much later than `time` the beep nearest to it is.
fn nearest(beeps: &[f64], time: f64) -> Option<f64> {
    beeps.iter().map(|beep| beep - time).min_by(|a, b| a.abs().total_cmp(&b.abs()))
}

/// Every variant names both of its codecs, so that a player can choose by them alone, the source first, each picture
/// once with every codec of the sound.
fn announces(list: &str, expected: &Expected) -> Result<()> {
    let codecs: Vec<&str> = list
        .lines()
        .filter_map(|line| {
            line.strip_prefix("#EXT-X-STREAM-INF:")?.split_once("CODECS=\"")?.1.split_once('"')
        })
        .map(|(codecs, _)| codecs)
        .collect();
    let named = |codecs: &str, video: &Listed, audio: &Listed| {
        codecs.split_once(',').is_some_and(|(first, second)| first.starts_with(video.2) && second == audio.2)
    };
    let pairs: Vec<_> = expected
        .video
        .iter()
        .flat_map(|video| expected.audio.iter().map(move |audio| (video, audio)))
        .collect();
    let right = codecs.len() == pairs.len()
        && codecs.iter().zip(pairs).all(|(codecs, (video, audio))| named(codecs, video, audio));
    ensure!(right, "the variants are {codecs:?}:\n{list}");
    Ok(())
}

/// What every player knows.
const H264: Listed = ("360p", "h264", "avc1.", 30.0);
const AAC: Listed = ("audio-aac", "aac", "mp4a.40.2", AAC_RATE);
const AAC_RATE: f64 = 48_000.0 / 1024.0;

/// Everything fast: the publisher must not take the cores from what is tested.
const HEVC: &[&str] = &[
    "-preset:v:0",
    "ultrafast",
    "-x265-params",
    "log-level=error:keyint=60:min-keyint=60:scenecut=0:open-gop=0:bframes=2:pools=1",
    "-c:v:1",
    "libx264",
    "-preset:v:1",
    "ultrafast",
    "-b:v",
    "600k",
];
const AV1: &[&str] = &["-preset", "12", "-crf", "45", "-svtav1-params", "pred-struct=1:lp=1"];
const VP9: &[&str] = &["-deadline", "realtime", "-cpu-used", "8", "-lag-in-frames", "0", "-b:v", "600k"];
