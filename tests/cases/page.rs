//! The viewer page in a real browser.

use anyhow::{Context as _, Result, ensure};
use nearcast_tests::browser::{self, Reach, Seen};

use crate::{shared, sound};

#[tokio::test]
async fn chromium_plays_the_page_for_twenty_seconds_over_h3() -> Result<()> {
    let picture = browser::artifacts()?.join("watch.png");
    let seen = browser::watch(shared(), "demo", Reach::Quic, 20, &picture).await?;
    std::fs::write(picture.with_extension("json"), format!("{seen:#?}"))?;
    plays_smoothly(&seen, 20.0)?;
    ensure!(seen.protocols == ["h3"], "media came over {:?}", seen.protocols);
    let node = seen.figures["edge"]["node"].as_str().unwrap_or_default();
    ensure!(["eu-1", "us-1"].contains(&node) && seen.shown.contains(node), "the page shows: {}", seen.shown);
    let latency = seen.figures["latency"].as_f64().context("the page knows no latency")?;
    ensure!((0.2..6.0).contains(&latency), "{latency} s behind live");
    Ok(())
}

#[tokio::test]
async fn chromium_plays_a_broadcast_whose_sound_is_there_in_opus_and_aac() -> Result<()> {
    let world = sound::world("page-sound").await?;
    let _publisher = world.broadcast("demo", &sound::opus()?).await?;
    let picture = browser::artifacts()?.join("sound.png");
    let seen = browser::watch(&world, "demo", Reach::Tcp, 8, &picture).await?;
    plays_smoothly(&seen, 8.0)
}

/// No stall: the playhead moves as fast as the clock, and frames come out of the decoder all the time.
fn plays_smoothly(seen: &Seen, seconds: f64) -> Result<()> {
    ensure!(seen.complaints.is_empty(), "the page complains: {:#?}", seen.complaints);
    ensure!(seen.waiting == 0, "the video stalled {} times", seen.waiting);
    let (first, last) =
        (seen.samples.first().context("no samples")?, seen.samples.last().context("no samples")?);
    let (wall, played) = (last.at - first.at, last.time - first.time);
    ensure!(wall >= seconds, "watched for {wall:.1} s only");
    // A low-latency player speeds up or slows down a little to stay at its distance.
    ensure!((played - wall).abs() < 0.1 * wall, "played {played:.2} s in {wall:.2} s");
    for pair in seen.samples.chunks(4).map(|second| (second[0], second[second.len() - 1])) {
        ensure!(pair.0.at == pair.1.at || pair.1.time > pair.0.time, "stood still at {:.2} s", pair.0.time);
        ensure!(
            pair.0.at == pair.1.at || pair.1.frames > pair.0.frames,
            "no new frame at {:.2} s",
            pair.0.time
        );
    }
    Ok(())
}
