//! Publishers over SRT and RTMPS: what they send comes out whole, and who may not publish is told so.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use nearcast_tests::client::Protocol;
use nearcast_tests::lossy::{Line, Lossy};
use nearcast_tests::metrics::Samples;
use nearcast_tests::probe;
use nearcast_tests::process::{Process, Program};
use nearcast_tests::publisher::Feed;
use nearcast_tests::world::World;

use crate::playback::follow_all;

const PASSPHRASE: &str = "correct-horse-battery";

#[tokio::test]
async fn publishers_over_srt_and_rtmps_are_watched_like_any_other() -> Result<()> {
    let world = world("srt", &[]).await?;
    for (channel, url) in [
        ("plain", world.srt(&world.channel("plain").await?)),
        ("controlled", world.srt(&format!("#!::r={},m=publish", world.channel("controlled").await?))),
        ("tls", world.rtmps(&world.channel("tls").await?)),
    ] {
        let mut publisher =
            Feed::pattern(360).publish(&url, &format!("publisher-{channel}"), &world.logs())?;
        whole(&world, &mut publisher, channel, 2, &H264_AAC).await?;
    }
    // GStreamer's MPEG-TS and SRT have nothing in common with FFmpeg's but libsrt.
    let key = world.channel("gstreamer").await?;
    let uri = format!("srt://{}?streamid={key}", world.layout.origin.srt);
    let pipeline = format!(
        "videotestsrc is-live=true ! video/x-raw,width=640,height=360,framerate=30/1 ! x264enc tune=zerolatency \
         speed-preset=ultrafast key-int-max=60 ! video/x-h264,profile=baseline ! mpegtsmux name=mux alignment=7 ! \
         srtsink uri={uri} wait-for-connection=false audiotestsrc is-live=true ! audio/x-raw,rate=48000,channels=2 ! \
         voaacenc ! aacparse ! mux."
    );
    let gstreamer = Program::system("gst-launch-1.0").named("publisher-gstreamer");
    let mut gstreamer = gstreamer.args(["-q"]).args(pipeline.split_whitespace()).start(&world.logs())?;
    whole(&world, &mut gstreamer, "gstreamer", 2, &H264_AAC).await
}

#[tokio::test]
async fn hevc_and_opus_over_srt_are_watched_untouched() -> Result<()> {
    let world = world("srt-codecs", &[]).await?;
    let hevc =
        ["-c:v", "libx265", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-b:v", "600k", "-x265-params"];
    let x265 =
        "log-level=error:keyint=60:min-keyint=60:scenecut=0:open-gop=0:bframes=2:pools=1:frame-threads=1";
    let pattern = Feed::pattern(360);
    for (channel, feed, sent) in [
        ("hevc", pattern.clone().video(&[&hevc[..], &[x265]].concat()), Sent { video: "hevc", ..H264_AAC }),
        (
            "opus",
            pattern.clone().audio(&["-c:a", "libopus", "-b:a", "96k"]),
            Sent { audio: "opus", sound_rate: 50.0, ..H264_AAC },
        ),
    ] {
        let url = world.srt(&world.channel(channel).await?);
        let mut publisher = feed.publish(&url, &format!("publisher-{channel}"), &world.logs())?;
        whole(&world, &mut publisher, channel, 2, &sent).await?;
    }
    // A picture goes on air without the sound that we do not take, and the log says what to set.
    let url = world.srt(&world.channel("mp2").await?);
    let feed = pattern.audio(&["-c:a", "mp2", "-b:a", "128k"]);
    let mut publisher = feed.publish(&url, "publisher-mp2", &world.logs())?;
    world.playable(&mut publisher, world.layout.edges.first().context("no edge")?.plain, "mp2").await?;
    let viewer = world.viewer("eu-1", Protocol::H2).await?;
    let list = viewer.get("/live/mp2/index.m3u8").await?.expect(200)?;
    let list = list.text()?;
    ensure!(list.contains("avc1.") && !list.contains("mp4a"), "the picture alone is not listed:\n{list}");
    let told = "a track of a publisher is left out: MPEG audio (MP2 or MP3) is not supported: set the encoder's \
                audio to AAC";
    ensure!(world.origin.log().contains(told), "the origin does not say why:\n{}", world.origin.last_words());
    let faults = "lost: 0, damaged: 0, jumps: 0, steps_back: 0, early_frames: 0, untimed: 0";
    publisher.stop(LIMIT).await?;
    until(async || world.origin.log().matches("connection ends").count() == 3).await?;
    let clean = world.origin.log().matches(faults).count();
    ensure!(clean == 3, "the origin saw faults in {} of 3:\n{}", 3 - clean, world.origin.last_words());
    Ok(())
}

#[tokio::test]
async fn callers_that_may_not_publish_are_told_why() -> Result<()> {
    let world = world("srt-refused", &["env", "NEARCAST_SRT__PASSPHRASE=correct-horse-battery"]).await?;
    let key = world.channel("demo").await?;
    let with = |key: &str, passphrase: &str| format!("{}&passphrase={passphrase}", world.srt(key));
    for (name, url, told, logged) in [
        ("unknown", with("not-a-key", PASSPHRASE), "Application-defined", "unknown stream key"),
        ("nobody", with("", PASSPHRASE), "Application-defined", "there is no stream id"),
        (
            "viewer",
            with(&format!("#!::r={key},m=request"), PASSPHRASE),
            "Application-defined",
            "it asks to play",
        ),
        ("wrong", with(&key, "another-passphrase"), "Incorrect passphrase", "its passphrase is another"),
        ("open", world.srt(&key), "Password required", "it has no passphrase"),
    ] {
        let mut publisher = Feed::pattern(360).publish(&url, &format!("publisher-{name}"), &world.logs())?;
        let status = publisher.ended(LIMIT).await?;
        ensure!(!status.success(), "{name} ended as if all was well");
        ensure!(publisher.log().contains(told), "{name} is not told {told:?}:\n{}", publisher.log());
        ensure!(world.origin.log().contains(logged), "the origin says no {logged:?} of {name}");
    }
    // All of that harms nobody, and each length of key is taken, also when keys are changed every two seconds or so.
    for (channel, length) in [("aes-128", 16), ("aes-192", 24), ("aes-256", 32)] {
        let url = with(&world.channel(channel).await?, PASSPHRASE);
        let url = format!("{url}&pbkeylen={length}&kmrefreshrate=150&kmpreannounce=60");
        let name = format!("publisher-{channel}");
        let mut publisher = Feed::pattern(360).publish(&url, &name, &world.logs())?;
        whole(&world, &mut publisher, channel, 1, &H264_AAC).await?;
        publisher.stop(LIMIT).await?;
    }
    until(async || world.origin.log().matches("connection ends").count() == 3).await?;
    let clean = world.origin.log().matches("lost: 0, damaged: 0").count();
    ensure!(clean == 3, "the origin saw faults in {} of 3:\n{}", 3 - clean, world.origin.last_words());
    let panics = world.origin_metrics().await?.sum("nearcast_panics_total", &[]);
    ensure!(panics == 0.0, "{panics} panics");
    Ok(())
}

#[tokio::test]
async fn a_line_that_loses_one_packet_in_twenty_loses_nothing() -> Result<()> {
    let world = world("srt-loss", &[]).await?;
    let key = world.channel("demo").await?;
    let line = Line { loss_percent: 5.0, delay: Duration::from_millis(10), seed: 5 };
    let line = Lossy::start(world.layout.origin.srt, line).await?;
    // FFmpeg counts latency in microseconds.
    let url = format!("srt://{}?pkt_size=1316&latency=200000&streamid={key}", line.address);
    let mut publisher = Feed::pattern(360).publish(&url, "publisher-lossy", &world.logs())?;
    whole(&world, &mut publisher, "demo", 5, &H264_AAC).await?;
    publisher.stop(LIMIT).await?;
    until(async || world.origin.log().contains("connection ends")).await?;
    let counted: Samples = world.origin_metrics().await?;
    let recovered = counted.sum("nearcast_ingest_srt_recovered_packets_total", &[]);
    let damaged = counted.sum("nearcast_ingest_failed_total", &["damaged_message"]);
    ensure!(line.lost() > 50, "the line lost only {}", line.lost());
    ensure!(recovered > 20.0, "{recovered} packets came a second time, of {} that were lost", line.lost());
    ensure!(damaged == 0.0, "{damaged} damaged");
    let log = world.origin.log();
    ensure!(log.contains("lost: 0, damaged: 0"), "the origin saw faults:\n{}", world.origin.last_words());
    Ok(())
}

#[tokio::test]
async fn too_many_connections_from_one_address_are_told_so() -> Result<()> {
    let world = world("ingest-limits", &["env", "NEARCAST_RTMP__PER_ADDRESS=1"]).await?;
    let keys = [world.channel("one").await?, world.channel("two").await?];
    let urls = [world.rtmp(&keys[0]), world.rtmps(&keys[1])];
    let mut first = Feed::pattern(360).publish(&urls[0], "publisher-first", &world.logs())?;
    whole(&world, &mut first, "one", 1, &H264_AAC).await?;
    let mut second = Feed::pattern(360).publish(&urls[1], "publisher-second", &world.logs())?;
    ensure!(!second.ended(LIMIT).await?.success(), "the second was let in");
    ensure!(second.log().contains("your address"), "it is not told why:\n{}", second.log());
    let refused = world.origin_metrics().await?.sum("nearcast_ingest_refused_total", &["per_address"]);
    ensure!(refused == 1.0 && first.running(), "{refused} refused");
    Ok(())
}

/// What a publisher sends, and viewers get.
struct Sent {
    video: &'static str,
    audio: &'static str,
    /// Frames of sound in a second.
    sound_rate: f64,
}

const H264_AAC: Sent = Sent { video: "h264", audio: "aac", sound_rate: 48_000.0 / 1_024.0 };

/// Every rendition keeps the rules at an edge and decodes without a fault; picture and sound belong together.
async fn whole(
    world: &World,
    publisher: &mut Process,
    channel: &str,
    segments: usize,
    sent: &Sent,
) -> Result<()> {
    let edge = world.layout.edges.first().context("no edge")?;
    world.playable(publisher, edge.plain, channel).await?;
    let viewer = world.viewer(edge.name, Protocol::H2).await?;
    let folder = tempfile::tempdir_in(&world.folder)?;
    let all = follow_all(&viewer, channel, segments).await?;
    ensure!(all.len() == 2, "{channel} has {} renditions", all.len());
    let (mut flashes, mut beeps) = (Vec::new(), Vec::new());
    for (rendition, followed) in all {
        let file = folder.path().join(format!("{}.mp4", rendition.name));
        std::fs::write(&file, &followed.media)?;
        let seconds: f64 = followed.segments.iter().map(|segment| segment.duration).sum();
        let (codec, rate) = if rendition.video { (sent.video, 30.0) } else { (sent.audio, sent.sound_rate) };
        frames(&file, codec, seconds * rate)
            .await
            .with_context(|| format!("{channel} {}", rendition.name))?;
        if rendition.video {
            flashes = probe::flashes(&file).await?;
        } else {
            beeps = probe::beeps(&file).await?;
        }
    }
    for flash in flashes {
        let nearest = beeps.iter().map(|beep| beep - flash).min_by(|a, b| a.abs().total_cmp(&b.abs()));
        // GStreamer's pattern does not flash.
        let off = nearest.context("no beep")?;
        ensure!(off.abs() <= 0.06, "{channel}: flash {flash:.3} s, sound {:+.1} ms later", off * 1e3);
    }
    Ok(())
}

async fn frames(file: &Path, codec: &str, expected: f64) -> Result<()> {
    let stream = probe::decode(file).await?;
    let decoded = stream.nb_read_frames as f64;
    ensure!(stream.codec_name == codec, "it is {}, not {codec}", stream.codec_name);
    ensure!((decoded - expected).abs() <= 2.0, "{decoded} frames of {expected:.1}");
    Ok(())
}

/// A world of one edge, without a ladder; its origin is started by these words.
async fn world(name: &str, words: &[&'static str]) -> Result<World> {
    let world = World::builder(name).edges(["eu-1"]).under("origin-1", words);
    world.setting("origin-1", "[transcode]\nenabled = false\n").start().await
}

async fn until(mut done: impl AsyncFnMut() -> bool) -> Result<()> {
    let mut tick = tokio::time::interval(Duration::from_millis(50));
    let poll = async {
        while !done().await {
            tick.tick().await;
        }
    };
    tokio::time::timeout(LIMIT, poll).await.context("it does not come about")
}

const LIMIT: Duration = Duration::from_secs(20);
