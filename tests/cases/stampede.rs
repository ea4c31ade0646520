//! A crowd costs the origin what one viewer costs.

use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use nearcast_tests::client::Protocol;
use nearcast_tests::player::{crowd, renditions};
use nearcast_tests::publisher::Feed;
use nearcast_tests::world::World;

#[tokio::test]
async fn two_hundred_viewers_cause_one_upstream_request_per_object() -> Result<()> {
    let world = World::builder("stampede").edges(["eu-1"]).counted().start().await?;
    let _publisher = world.broadcast("demo", &Feed::pattern(360)).await?;
    let viewer = Arc::new(world.viewer("eu-1", Protocol::H2).await?);
    let source = renditions(&viewer, "demo").await?.swap_remove(0);

    let proxy = world.proxy.as_ref().context("no proxy")?;
    proxy.take();
    crowd(viewer, &source, 200, 8).await?;
    let asked = proxy.take();

    let of_rendition = |path: &&String| path.contains("/source/");
    let media = asked.keys().filter(of_rendition).filter(|path| path.contains(".m4s")).count();
    ensure!(media >= 8, "only {media} parts were asked for: {asked:#?}");
    let twice: Vec<_> = asked.iter().filter(|(path, count)| of_rendition(path) && **count > 1).collect();
    ensure!(twice.is_empty(), "asked for more than once: {twice:#?}");
    Ok(())
}
