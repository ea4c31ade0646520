//! What goes wrong outside: each gets one clear answer and harms nothing else.

use std::time::Duration;

use anyhow::{Result, ensure};
use nearcast_api::Problem;
use nearcast_tests::client::Protocol;
use nearcast_tests::player::{Until, follow, renditions};
use nearcast_tests::process::Process;
use nearcast_tests::publisher::Feed;

use crate::shared;

#[tokio::test]
async fn an_unknown_channel_is_a_404_that_says_so() -> Result<()> {
    for protocol in [Protocol::H1, Protocol::H2, Protocol::H3] {
        let viewer = shared().viewer("eu-1", protocol).await?;
        let reply = viewer.get("/live/nobody/index.m3u8").await?.expect(404)?;
        ensure!(reply.header("content-type") == Problem::CONTENT_TYPE, "{protocol:?}: {:?}", reply.headers);
        let problem: Problem = serde_json::from_slice(&reply.body)?;
        ensure!(problem.status == 404 && problem.detail.contains("live"), "{problem:?}");
        ensure!(reply.header("cache-control").contains("max-age="), "not cacheable: {:?}", reply.headers);
    }
    Ok(())
}

#[tokio::test]
async fn a_wrong_stream_key_is_refused_in_words() -> Result<()> {
    let mut publisher = publish("wrong-key", "not-a-key", &Feed::pattern(360))?;
    refused(&mut publisher, "key").await?;
    demo_goes_on().await
}

#[tokio::test]
async fn a_second_publisher_is_refused_and_the_first_goes_on() -> Result<()> {
    let world = shared();
    let key = world.channel("busy").await?;
    let mut first = world.publish("busy", &key, &Feed::pattern(360)).await?;
    let mut second = publish("second", &key, &Feed::pattern(360))?;
    refused(&mut second, "live").await?;
    ensure!(first.running(), "the first publisher was thrown out:\n{}", first.last_words());
    let viewer = world.viewer("eu-1", Protocol::H3).await?;
    let source = renditions(&viewer, "busy").await?.swap_remove(0);
    follow(&viewer, &source, Until::Segments(1)).await?.strict()?;
    Ok(())
}

#[tokio::test]
async fn codecs_we_do_not_take_are_named_to_the_publisher() -> Result<()> {
    let world = shared();
    for (channel, feed, codec) in [
        ("sorenson", Feed::pattern(360).video(&["-c:v", "flv1", "-b:v", "1M"]), "Sorenson"),
        ("mp3", Feed::pattern(360).audio(&["-c:a", "libmp3lame", "-ar", "44100"]), "MP3"),
    ] {
        let key = world.channel(channel).await?;
        refused(&mut publish(channel, &key, &feed)?, codec).await?;
    }
    demo_goes_on().await
}

pub(crate) fn publish(name: &str, key: &str, feed: &Feed) -> Result<Process> {
    feed.publish(&shared().rtmp(key), &format!("publisher-{name}"), &shared().logs())
}

/// FFmpeg must give up, and what it prints must carry our reason.
pub(crate) async fn refused(publisher: &mut Process, reason: &str) -> Result<()> {
    let status = publisher.ended(LIMIT).await?;
    ensure!(!status.success(), "the publisher ended as if all was well");
    let log = publisher.log();
    ensure!(log.contains(reason), "no {reason:?} in what FFmpeg was told:\n{log}");
    Ok(())
}

pub(crate) async fn demo_goes_on() -> Result<()> {
    let viewer = shared().viewer("eu-1", Protocol::H3).await?;
    let source = renditions(&viewer, "demo").await?.swap_remove(0);
    follow(&viewer, &source, Until::Segments(1)).await?.strict()?;
    Ok(())
}

const LIMIT: Duration = Duration::from_secs(20);
