//! An edge that asks another edge: the origin is asked once for both, and the one below does not depend on the other.

use anyhow::{Context as _, Result, ensure};
use nearcast_tests::client::Protocol;
use nearcast_tests::metrics::Samples;
use nearcast_tests::player::{Until, follow, renditions};
use nearcast_tests::publisher::Feed;
use nearcast_tests::world::World;

#[tokio::test]
async fn two_edges_in_a_row_ask_the_origin_once_and_the_lower_outlives_the_upper() -> Result<()> {
    let origin = "[transcode]\nenabled = false\n";
    let world = World::builder("tiers").below("us-1", "eu-1").setting("origin-1", origin).counted();
    let mut world = world.start().await?;
    let _publisher = world.broadcast("demo", &Feed::pattern(360)).await?;
    let (upper, lower) =
        (world.viewer("eu-1", Protocol::H2).await?, world.viewer("us-1", Protocol::H2).await?);
    let source = renditions(&lower, "demo").await?.swap_remove(0);
    let proxy = world.proxy.as_ref().context("no proxy")?;
    proxy.take();
    let watching = (follow(&upper, &source, Until::Segments(3)), follow(&lower, &source, Until::Segments(3)));
    let (above, below) = tokio::try_join!(watching.0, watching.1)?;
    above.strict()?;
    below.strict()?;
    let asked = proxy.take();
    let media = asked.keys().filter(|path| path.contains(".m4s")).count();
    let twice: Vec<_> =
        asked.iter().filter(|(path, count)| path.contains("/source/") && **count > 1).collect();
    ensure!(media >= 8 && twice.is_empty(), "{media} parts, asked for more than once: {twice:#?}");
    // The edge below is no viewer of the one above.
    let ops = world.layout.edge("eu-1").context("no edge")?.ops;
    let viewers = Samples::read(ops).await?.sum("nearcast_edge_viewers", &[]);
    ensure!(viewers == 1.0, "{viewers} viewers");

    // Connections are used again and again.
    let samples = Samples::read(world.layout.edge("us-1").context("no edge")?.ops).await?;
    let asked = samples.sum("nearcast_upstream_requests_total", &[]);
    let connections = samples.sum("nearcast_upstream_connections_total", &[]);
    ensure!(
        connections >= 1.0 && asked > 5.0 * connections,
        "{connections} connections for {asked} requests"
    );

    let watching = follow(&lower, &source, Until::Segments(4));
    let losing = world.edge("eu-1")?.kill();
    let (followed, ()) = tokio::try_join!(watching, losing)?;
    let followed = followed.strict_but_for_a_lost_origin()?;
    let holes = followed.holes();
    ensure!(holes.iter().all(|hole| hole.abs() < 0.1), "media is missing: {holes:?}");
    Ok(())
}
