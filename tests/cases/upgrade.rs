//! An edge is replaced by another process while it serves: no viewer's request fails.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use http_body_util::BodyExt as _;
use nearcast_service::client::{Config, Http};
use nearcast_service::http::Body;
use nearcast_tests::client::{Client, Protocol};
use nearcast_tests::player::{Until, follow, renditions};
use nearcast_tests::publisher::Feed;
use nearcast_tests::world::World;

/// Asks for `paths` in turns until told to stop; how often it got them.
async fn load(client: &Http, base: &str, paths: &[String], stop: &AtomicBool) -> Result<u64> {
    let mut count = 0;
    while !stop.load(Ordering::Relaxed) {
        for path in paths {
            let request = http::Request::get(format!("{base}{path}")).body(Body::empty())?;
            let response =
                client.request(request).await.with_context(|| format!("request {count}, {path}"))?;
            ensure!(response.status() == 200, "{path} was answered {}", response.status());
            response.into_body().collect().await.with_context(|| format!("body {count} of {path}"))?;
            count += 1;
        }
    }
    Ok(count)
}

#[tokio::test]
async fn no_request_fails_while_an_edge_is_replaced_sixty_times() -> Result<()> {
    let origin = "[transcode]\nenabled = false\n";
    let world = World::builder("upgrade").edges(["eu-1"]).setting("origin-1", origin);
    // As many sockets as threads: all of them are handed on.
    let world = world.setting("eu-1", "[http]\nworkers = 2\n");
    let mut world = world.start().await?;
    let _publisher = world.broadcast("demo", &Feed::pattern(360)).await?;
    let viewer = world.viewer("eu-1", Protocol::H2).await?;
    let source = renditions(&viewer, "demo").await?.swap_remove(0);
    follow(&viewer, &source, Until::Segments(1)).await?.strict()?;
    drop(viewer);

    let at = world.layout.edge("eu-1").context("no edge")?;
    let (plain, secure, ops) = (format!("http://{}", at.plain), format!("https://{}", at.https), at.ops);
    let roots = world.certificate.as_ref().context("no certificate")?.roots.clone();
    let h1 = Http::with_roots(&Config::default(), roots.clone())?;
    let h2 = Http::with_roots(&Config::default(), roots.clone())?;
    let folder = source.path.strip_suffix("media.m3u8").context("a playlist's path")?;
    let paths = ["/live/demo/index.m3u8".to_owned(), source.path.clone(), format!("{folder}init.mp4")];
    let stop = AtomicBool::new(false);
    // Each a new connection: what runs on an old one ends with its process.
    let h3 = async {
        let mut count = 0;
        while !stop.load(Ordering::Relaxed) {
            let client = Client::connect(&secure, Protocol::H3, &roots).await?;
            client.get(&source.path).await?.expect(200)?;
            count += 1;
        }
        anyhow::Ok(count)
    };
    let edge = world.edge("eu-1")?;
    let replacing = async {
        for _ in 0..60 {
            edge.replace(ops).await?;
        }
        stop.store(true, Ordering::Relaxed);
        anyhow::Ok(())
    };
    let loads = (load(&h1, &plain, &paths, &stop), load(&h2, &secure, &paths, &stop));
    let (one, two, three, ()) = tokio::try_join!(loads.0, loads.1, h3, replacing)?;
    ensure!(one > 100 && two > 100 && three > 10, "only {one}, {two} and {three} requests");

    // The last of them serves, and stops when it is asked to.
    let viewer = world.viewer("eu-1", Protocol::H2).await?;
    follow(&viewer, &source, Until::Segments(1)).await?.strict()?;
    world.edge("eu-1")?.stop(Duration::from_secs(20)).await?;
    Ok(())
}
