//! What viewers get: every rendition, over every protocol, by the rules, decodable and in sync.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use futures_util::future::try_join_all;
use nearcast_tests::client::{Client, Protocol};
use nearcast_tests::player::{Followed, Rendition, Until, follow, renditions};
use nearcast_tests::probe;
use tokio::process::Command;

use crate::shared;

#[tokio::test]
async fn every_rendition_keeps_the_rules_over_h1() -> Result<()> {
    every_rendition_keeps_the_rules("eu-1", Protocol::H1).await
}

#[tokio::test]
async fn every_rendition_keeps_the_rules_over_h2() -> Result<()> {
    every_rendition_keeps_the_rules("us-1", Protocol::H2).await
}

#[tokio::test]
async fn every_rendition_keeps_the_rules_over_h3() -> Result<()> {
    every_rendition_keeps_the_rules("eu-1", Protocol::H3).await
}

async fn every_rendition_keeps_the_rules(edge: &str, protocol: Protocol) -> Result<()> {
    let viewer = shared().viewer(edge, protocol).await?;
    let all = follow_all(&viewer, "demo", 3).await?;
    let names: Vec<&str> = all.iter().map(|(rendition, _)| rendition.name.as_str()).collect();
    ensure!(names == ["source", "480p", "360p", "audio"], "the ladder is {names:?}");
    for (rendition, followed) in &all {
        // Segments of all renditions cover the same time.
        let (ours, first) = (followed.epoch, all[0].1.epoch);
        ensure!((ours - first).abs() < 0.005, "{} is {:.1} ms off", rendition.name, (ours - first) * 1e3);
    }
    Ok(())
}

#[tokio::test]
async fn every_rendition_decodes_and_sound_and_picture_stay_together() -> Result<()> {
    let viewer = shared().viewer("us-1", Protocol::H3).await?;
    let folder = tempfile::tempdir_in(&shared().folder)?;
    let mut flashes = Vec::new();
    let mut beeps = Vec::new();
    for (rendition, followed) in follow_all(&viewer, "demo", 5).await? {
        let file = folder.path().join(format!("{}.mp4", rendition.name));
        std::fs::write(&file, &followed.media)?;
        decodes(&file, &rendition, &followed).await?;
        if rendition.video {
            flashes.push((rendition.name, probe::flashes(&file).await?));
        } else {
            beeps = probe::beeps(&file).await?;
        }
    }
    for (name, flashes) in flashes {
        ensure!(flashes.len() >= 4, "{name} flashed at {flashes:?}");
        for flash in &flashes {
            let nearest = beeps.iter().map(|beep| beep - flash).min_by(|a, b| a.abs().total_cmp(&b.abs()));
            let off = nearest.context("no beep")?;
            ensure!(off.abs() <= 0.045, "{name}: flash {flash:.3} s, sound {:+.1} ms later", off * 1e3);
        }
    }
    Ok(())
}

/// Every frame that the playlist promised must come out of a decoder that we did not write.
async fn decodes(file: &Path, rendition: &Rendition, followed: &Followed) -> Result<()> {
    let stream = probe::decode(file).await?;
    let seconds: f64 = followed.segments.iter().map(|segment| segment.duration).sum();
    let rate = if rendition.video { 30.0 } else { 48_000.0 / 1024.0 };
    let expected = seconds * rate;
    let frames = stream.nb_read_frames as f64;
    ensure!((frames - expected).abs() <= 2.0, "{}: {frames} frames of {expected:.1}", rendition.name);
    let size = stream.width.zip(stream.height);
    ensure!(
        size == rendition.resolution,
        "{}: {size:?} is announced {:?}",
        rendition.name,
        rendition.resolution
    );
    Ok(())
}

#[tokio::test]
async fn delta_updates_lead_to_the_same_playlist() -> Result<()> {
    let viewer = shared().viewer("eu-1", Protocol::H3).await?;
    let renditions = renditions(&viewer, "demo").await?;
    let runs = renditions.iter().map(|rendition| follow(&viewer, rendition, Until::Delta));
    try_join_all(runs).await?.into_iter().try_for_each(|followed| followed.strict().map(|_| ()))
}

#[tokio::test]
async fn a_foreign_http3_client_gets_the_same_bytes() -> Result<()> {
    let at = shared().layout.edge("eu-1").context("no edge")?.https;
    let viewer = shared().viewer("eu-1", Protocol::H2).await?;
    let source = renditions(&viewer, "demo").await?.swap_remove(0);
    let init = source.path.replace("media.m3u8", "init.mp4");
    let folder = tempfile::tempdir_in(&shared().folder)?;
    // ngtcp2 and nghttp3: no line in common with quinn and h3.
    let output = Command::new("gtlsclient")
        .args(["--quiet", "--exit-on-all-streams-close", "--no-quic-dump", "--no-http-dump"])
        .arg(format!("--download={}", folder.path().display()))
        .args([at.ip().to_string(), at.port().to_string(), format!("https://{at}{init}")])
        .output()
        .await
        .context("running gtlsclient (Debian: ngtcp2-client)")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "gtlsclient: {said}");
    let got = std::fs::read(folder.path().join("init.mp4")).with_context(|| format!("gtlsclient: {said}"))?;
    ensure!(got == viewer.get(&init).await?.expect(200)?.body, "other bytes over the foreign client");
    Ok(())
}

#[tokio::test]
async fn an_edge_announces_h3_and_lets_pages_read_it() -> Result<()> {
    let at = shared().layout.edge("eu-1").context("no edge")?.https;
    for protocol in [Protocol::H1, Protocol::H2] {
        let reply =
            shared().viewer("eu-1", protocol).await?.get("/live/demo/index.m3u8").await?.expect(200)?;
        let announced = reply.header("alt-svc");
        ensure!(
            announced.contains(&format!("h3=\":{}\"", at.port())),
            "{protocol:?}: alt-svc is {announced:?}"
        );
        ensure!(reply.header("access-control-allow-origin") == "*", "{protocol:?}: no CORS");
    }
    Ok(())
}

/// All renditions of a channel at once, strictly.
pub(crate) async fn follow_all(
    viewer: &Client,
    channel: &str,
    segments: usize,
) -> Result<Vec<(Rendition, Followed)>> {
    let renditions = renditions(viewer, channel).await?;
    let runs = renditions.iter().map(|rendition| follow(viewer, rendition, Until::Segments(segments)));
    let runs = try_join_all(runs).await?;
    let strict = runs.into_iter().map(Followed::strict).collect::<Result<Vec<_>>>()?;
    Ok(renditions.into_iter().zip(strict).collect())
}
