//! What people publish with, each seen through an edge by the strict client and by a decoder we did not write.

use std::time::Duration;

use anyhow::{Result, ensure};
use nearcast_tests::client::Protocol;
use nearcast_tests::obs::Obs;
use nearcast_tests::player::{Until, follow, renditions};
use nearcast_tests::probe;
use nearcast_tests::process::{Process, Program};

use crate::playback::follow_all;
use crate::shared;

#[tokio::test]
async fn obs_publishes_and_ends() -> Result<()> {
    let world = shared();
    let key = world.channel("obs").await?;
    let home = tempfile::tempdir_in(&world.folder)?;
    let server = format!("rtmp://{}/live", world.layout.origin.rtmp);
    let mut obs = Obs::start(&server, &key, home.path(), &world.logs()).await?;
    watch("obs", &mut obs.process).await?;

    let viewer = world.viewer("us-1", Protocol::H2).await?;
    let source = renditions(&viewer, "obs").await?.swap_remove(0);
    let stop = async { obs.process.stop(Duration::from_secs(15)).await };
    let (watched, _) = tokio::try_join!(follow(&viewer, &source, Until::Ended), stop)?;
    watched.strict()?;
    Ok(())
}

#[tokio::test]
async fn gstreamer_publishes_with_its_own_client_and_with_librtmp() -> Result<()> {
    let world = shared();
    let (own, librtmp) = (world.channel("gst-own").await?, world.channel("gst-librtmp").await?);
    let own = format!("rtmp2sink location={}", world.rtmp(&own));
    let librtmp = format!("rtmpsink location={}\\ live=1", world.rtmp(&librtmp));
    let mut own = gstreamer("gst-own", &own)?;
    let mut librtmp = gstreamer("gst-librtmp", &librtmp)?;
    tokio::try_join!(watch("gst-own", &mut own), watch("gst-librtmp", &mut librtmp))?;
    Ok(())
}

/// A test picture and a tone, to one of its sinks, which keeps the time: live sources behind on a busy machine would
/// make its muxer stamp pictures as they arrive.
fn gstreamer(name: &str, sink: &str) -> Result<Process> {
    let line = format!(
        "videotestsrc pattern=ball ! video/x-raw,width=640,height=360,framerate=30/1 \
         ! x264enc speed-preset=ultrafast key-int-max=60 bitrate=600 ! h264parse ! queue \
         ! flvmux name=mux streamable=true ! {sink} sync=true \
         audiotestsrc ! audio/x-raw,rate=44100,channels=2 ! voaacenc bitrate=96000 ! aacparse ! queue ! mux."
    );
    Program::system("sh")
        .named(name)
        .args(["-c", &format!("exec gst-launch-1.0 --quiet {line}")])
        .start(&shared().logs())
}

/// A broadcast of 360 lines at 30 frames a second, with sound: strictly, and every frame decoded.
async fn watch(channel: &str, publisher: &mut Process) -> Result<()> {
    let world = shared();
    let edge = world.layout.edge("eu-1").map(|edge| edge.plain);
    let edge = edge.ok_or_else(|| anyhow::anyhow!("no edge"))?;
    world.playable(publisher, edge, channel).await?;
    let viewer = world.viewer("eu-1", Protocol::H3).await?;
    let folder = tempfile::tempdir_in(&world.folder)?;
    let followed = follow_all(&viewer, channel, 3).await?;
    let names: Vec<&str> = followed.iter().map(|(rendition, _)| rendition.name.as_str()).collect();
    ensure!(names == ["source", "audio"], "{channel} has {names:?}");
    for (rendition, followed) in &followed {
        let file = folder.path().join(format!("{}.mp4", rendition.name));
        std::fs::write(&file, &followed.media)?;
        let stream = probe::decode(&file).await?;
        let seconds: f64 = followed.segments.iter().map(|segment| segment.duration).sum();
        if rendition.video {
            ensure!(stream.width.zip(stream.height) == Some((640, 360)), "{channel}: {stream:?}");
            let frames = stream.nb_read_frames as f64;
            ensure!((frames - 30.0 * seconds).abs() <= 2.0, "{channel}: {frames} frames in {seconds} s");
        } else {
            ensure!(stream.codec_name == "aac" && stream.channels == Some(2), "{channel}: {stream:?}");
        }
    }
    Ok(())
}
