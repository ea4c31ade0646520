//! A camera's picture instead of a test pattern: motion, noise, B-frames.

use anyhow::{Result, ensure};
use nearcast_tests::browser::artifacts;
use nearcast_tests::client::Protocol;
use nearcast_tests::probe;
use nearcast_tests::publisher::Feed;
use tokio::process::Command;

use crate::playback::follow_all;
use crate::shared;

#[tokio::test]
async fn real_footage_comes_out_whole_on_every_rung() -> Result<()> {
    let _publisher = shared().broadcast("footage", &Feed::footage()?).await?;
    let viewer = shared().viewer("eu-1", Protocol::H2).await?;
    for (rendition, followed) in follow_all(&viewer, "footage", 4).await? {
        let file = artifacts()?.join(format!("footage-{}.mp4", rendition.name));
        std::fs::write(&file, &followed.media)?;
        let stream = probe::decode(&file).await?;
        ensure!(stream.width.zip(stream.height) == rendition.resolution, "{}: {stream:?}", rendition.name);
        ensure!(stream.nb_read_frames >= 150, "{}: {} frames", rendition.name, stream.nb_read_frames);
        if rendition.video {
            // For people to look at.
            let picture = file.with_extension("png");
            let mut ffmpeg = Command::new("ffmpeg");
            ffmpeg.args(["-v", "error", "-y", "-i"]).arg(&file).args([
                "-vf",
                "thumbnail=50",
                "-frames:v",
                "1",
            ]);
            ensure!(ffmpeg.arg(&picture).status().await?.success(), "no picture of {}", rendition.name);
        }
    }
    Ok(())
}
