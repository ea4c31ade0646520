//! A broadcast's life: it begins, ends properly, comes back as another; and programs stop when asked.

use anyhow::{Context as _, Result};
use nearcast_tests::client::Protocol;
use nearcast_tests::player::{Until, follow, renditions};
use nearcast_tests::publisher::Feed;
use nearcast_tests::world::World;

use crate::shared;

#[tokio::test]
async fn a_publisher_that_stops_ends_the_playlist_and_one_that_returns_begins_anew() -> Result<()> {
    let world = shared();
    let key = world.channel("comeback").await?;
    let mut publisher = world.publish("comeback", &key, &Feed::pattern(360)).await?;
    let viewer = world.viewer("eu-1", Protocol::H3).await?;
    let first = renditions(&viewer, "comeback").await?;

    let source = first.first().context("no rendition")?;
    let watching = follow(&viewer, source, Until::Ended);
    let stopping = async {
        follow(&viewer, source, Until::Segments(1)).await?.strict()?;
        publisher.stop(std::time::Duration::from_secs(10)).await
    };
    let (watched, _) = tokio::try_join!(watching, stopping)?;
    watched.strict()?;

    // Until the new broadcast has its first segments, viewers still see the one that has ended.
    let mut again = world.publish("comeback", &key, &Feed::pattern(360)).await?;
    let viewer = world.viewer("us-1", Protocol::H2).await?;
    let mut source_again = source.clone();
    let anew = async || {
        if let Ok(mut second) = renditions(&viewer, "comeback").await {
            source_again = second.swap_remove(0);
        }
        source_again.path != source.path
    };
    again.until("seen as another broadcast", anew).await?;
    follow(&viewer, &source_again, Until::Segments(1)).await?.strict()?;
    Ok(())
}

#[tokio::test]
async fn every_program_stops_cleanly_when_asked_while_it_is_busy() -> Result<()> {
    let world = World::builder("stop").edges(["eu-1"]).start().await?;
    let publisher = world.broadcast("demo", &Feed::pattern(360)).await?;
    let viewer = world.viewer("eu-1", Protocol::H2).await?;
    let source = renditions(&viewer, "demo").await?.swap_remove(0);
    follow(&viewer, &source, Until::Segments(1)).await?.strict()?;
    world.stop().await?;
    drop(publisher);
    Ok(())
}
