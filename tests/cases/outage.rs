//! The control plane is on no media path: without it everything that plays goes on, and more can begin.

use anyhow::{Result, ensure};
use nearcast_tests::client::Protocol;
use nearcast_tests::player::{Until, follow, renditions};
use nearcast_tests::publisher::Feed;
use nearcast_tests::world::World;

#[tokio::test]
async fn without_the_control_plane_viewers_and_publishers_go_on() -> Result<()> {
    let mut world = World::builder("outage").edges(["eu-1"]).start().await?;
    let later_key = world.channel("later").await?;
    let _publisher = world.broadcast("demo", &Feed::pattern(360)).await?;
    let viewer = world.viewer("eu-1", Protocol::H3).await?;
    let source = renditions(&viewer, "demo").await?.swap_remove(0);

    let watching = follow(&viewer, &source, Until::Segments(4));
    let outage = async {
        world.control.kill().await?;
        // A viewer who comes now, and a publisher whose channel no snapshot shows as live.
        let newcomer = world.viewer("eu-1", Protocol::H2).await?;
        let demo = renditions(&newcomer, "demo").await?.swap_remove(0);
        follow(&newcomer, &demo, Until::Segments(2)).await?.strict()?;
        let _later = world.publish("later", &later_key, &Feed::pattern(360)).await?;
        let later = renditions(&newcomer, "later").await?.swap_remove(0);
        follow(&newcomer, &later, Until::Segments(2)).await?.strict()
    };
    let (watched, _) = tokio::try_join!(watching, outage)?;
    let watched = watched.strict()?;
    ensure!(watched.segments.len() >= 4, "only {} segments came", watched.segments.len());
    Ok(())
}
