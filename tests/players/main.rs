//! Others' DASH players in Chromium, whose pictures are judged by the clock: a program of its own, so that none of the other
//! cases takes the processor from the browser.

use anyhow::{Context as _, Result, ensure};
use nearcast_tests::browser::dash::{Player, Watched, play};
use nearcast_tests::browser::{Reach, artifacts};
use nearcast_tests::client::Protocol;
use nearcast_tests::mpd;
use nearcast_tests::process::Process;
use nearcast_tests::publisher::Feed;
use nearcast_tests::world::World;

#[tokio::test]
async fn dash_js_plays_live_and_low_latency_over_h2() -> Result<()> {
    plays(Player::DashJs, Reach::Tcp, "h2").await
}

#[tokio::test]
async fn shaka_plays_live_and_low_latency_over_h3() -> Result<()> {
    plays(Player::Shaka, Reach::Quic, "h3").await
}

static BROWSER: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Seconds in a segment of the pattern.
const SEGMENT: f64 = 2.0;

async fn plays(player: Player, reach: Reach, protocol: &str) -> Result<()> {
    // Each browser plays twice; two of them would measure each other.
    let _alone = BROWSER.lock().await;
    let (world, _publisher) = live(&format!("dash-{player:?}")).await?;
    let edge = world.viewer("eu-1", Protocol::H2).await?;
    let manifest = mpd::read(edge.get("/live/demo/index.mpd").await?.expect(200)?.text()?)?;
    let at = world.layout.edge("eu-1").context("no edge")?.https;
    let url = format!("https://{at}/live/demo/index.mpd");
    let picture = artifacts()?.join(format!("dash-{player:?}.png"));
    let seen = play(&world, player, reach, (&url, manifest.availability_start), 20, &picture).await?;
    std::fs::write(picture.with_extension("json"), format!("{seen:#?}"))?;
    ensure!(seen.complaints.is_empty(), "{player:?} complains: {:#?}", seen.complaints);
    ensure!(seen.protocols == [protocol], "media came over {:?}", seen.protocols);

    let (live, worst) = smooth(&seen.live, "live")?;
    let (low, worst_low) = smooth(&seen.low, "low latency")?;
    let target = manifest.target_latency.context("no latency target")?;
    eprintln!(
        "{player:?}: {live:.2} s (worst {worst:.2}) live, {low:.2} s (worst {worst_low:.2}) low latency"
    );
    // How near exactly is the machine's affair; a player that cannot read a segment while it grows is further away.
    ensure!(low < target + SEGMENT, "{low:.2} s behind live, and the target is {target:.2} s");
    ensure!(low < live, "low latency is not lower: {low:.2} s and {live:.2} s");
    Ok(())
}

/// The playhead moves as fast as the clock, frames come out of the decoder, nothing stalls. Its latency.
fn smooth(watched: &Watched, name: &str) -> Result<(f64, f64)> {
    ensure!(watched.waiting == 0, "{name}: the video stalled {} times", watched.waiting);
    let (wall, played) = watched.spans().context("no samples")?;
    // A player speeds up or slows down by four per cent to stay at its distance.
    ensure!((played - wall).abs() < 0.1 * wall, "{name}: played {played:.2} s in {wall:.2} s");
    for second in watched.samples.chunks_exact(4) {
        let (first, last) = (second[0], second[3]);
        ensure!(last.time > first.time, "{name}: stood still at {:.2} s", first.time);
        ensure!(last.frames > first.frames, "{name}: no new frame at {:.2} s", first.time);
    }
    watched.latency().context("no samples")
}

async fn live(name: &str) -> Result<(World, Process)> {
    let builder = World::builder(name).edges(["eu-1"]);
    let world = builder.setting("origin-1", "[transcode]\nenabled = false\n").start().await?;
    let publisher = world.broadcast("demo", &Feed::pattern(360)).await?;
    Ok((world, publisher))
}
