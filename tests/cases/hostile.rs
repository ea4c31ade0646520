//! Crowds and attackers: what they cost, and that other viewers do not notice.

mod attack;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use nearcast_tests::client::Protocol;
use nearcast_tests::metrics::Samples;
use nearcast_tests::player::{Media, Until, follow, renditions};
use nearcast_tests::publisher::Feed;
use nearcast_tests::world::World;
use tokio::task::JoinSet;

const ORIGIN: &str = "[transcode]\nenabled = false\n";

#[tokio::test]
async fn two_thousand_wait_for_one_playlist_and_the_origin_is_asked_once() -> Result<()> {
    let world =
        World::builder("waiters").edges(["eu-1"]).setting("origin-1", ORIGIN).counted().start().await?;
    let _publisher = world.broadcast("demo", &Feed::pattern(360)).await?;
    let mut clients = Vec::new();
    for _ in 0..20 {
        clients.push(Arc::new(world.viewer("eu-1", Protocol::H2).await?));
    }
    let source = renditions(&clients[0], "demo").await?.swap_remove(0);
    let mut list = Media::parse(clients[0].get(&source.path).await?.expect(200)?.text()?)?;
    let proxy = world.proxy.as_ref().context("no proxy")?;
    proxy.take();
    for round in 0..3 {
        let reload =
            format!("{}?_HLS_msn={}&_HLS_part={}", source.path, list.growing_msn(), list.growing.len());
        let mut waiting = JoinSet::new();
        for client in (0..2_000).map(|at| Arc::clone(&clients[at % clients.len()])) {
            let reload = reload.clone();
            waiting.spawn(async move { client.get(&reload).await?.expect(200) });
        }
        let replies = waiting.join_all().await.into_iter().collect::<Result<Vec<_>>>()?;
        let mut waited: Vec<Duration> = replies.iter().map(|reply| reply.total).collect();
        waited.sort();
        eprintln!(
            "round {round}: from {:?} to {:?}, half within {:?}",
            waited[0], waited[1999], waited[1000]
        );
        let distinct: std::collections::BTreeSet<_> =
            replies.iter().map(|reply| reply.body.clone()).collect();
        // Those who came after the part were told of later ones as well.
        ensure!(distinct.len() <= 4, "{} different playlists", distinct.len());
        list = Media::parse(replies.iter().max_by_key(|reply| reply.body.len()).context("none")?.text()?)?;
    }
    let asked = proxy.take();
    let twice: Vec<_> =
        asked.iter().filter(|(path, count)| path.contains("/source/") && **count > 1).collect();
    ensure!(twice.is_empty(), "asked for more than once: {twice:#?}");
    Ok(())
}

#[tokio::test]
async fn ten_thousand_idle_connections_cost_little_and_viewers_watch_on() -> Result<()> {
    let world = World::builder("idle").edges(["eu-1"]).setting("origin-1", ORIGIN);
    let world = world.setting("eu-1", "[http]\nidle_timeout = 120\n").start().await?;
    let _publisher = world.broadcast("demo", &Feed::pattern(360)).await?;
    let viewer = world.viewer("eu-1", Protocol::H3).await?;
    let source = renditions(&viewer, "demo").await?.swap_remove(0);
    let ops = world.layout.edge("eu-1").context("no edge")?.ops;
    let before = memory(ops).await?;
    let mut idle = Vec::new();
    while idle.len() < 10_000 {
        let batch = (0..50).map(|_| async {
            let client = world.viewer("eu-1", Protocol::H2).await?;
            client.get("/live/demo/index.m3u8").await?.expect(200)?;
            anyhow::Ok(client)
        });
        idle.extend(futures_util::future::try_join_all(batch).await?);
    }
    let samples = Samples::read(ops).await?;
    let open = samples.sum("nearcast_http_connections", &[]);
    let each = (memory(ops).await? - before) / idle.len() as f64;
    eprintln!("{open} connections (HTTP/2 over TLS), {:.1} KiB each", each / 1024.0);
    ensure!(open >= 10_000.0, "{open} connections are open");
    ensure!(each < 64.0 * 1024.0, "an idle connection costs {each} bytes");
    follow(&viewer, &source, Until::Segments(2)).await?.strict()?;
    Ok(())
}

#[tokio::test]
async fn attackers_are_cut_off_in_bounded_memory_and_a_viewer_does_not_notice() -> Result<()> {
    let world = World::builder("attack").edges(["eu-1"]).setting("origin-1", ORIGIN);
    let world = world.setting("eu-1", "[http]\nidle_timeout = 3\n").start().await?;
    let _publisher = world.broadcast("demo", &Feed::pattern(360)).await?;
    let viewer = world.viewer("eu-1", Protocol::H2).await?;
    let source = renditions(&viewer, "demo").await?.swap_remove(0);
    let edge = world.layout.edge("eu-1").context("no edge")?;
    let roots = &world.certificate.as_ref().context("no certificate")?.roots;
    let before = memory(edge.ops).await?;

    let attacks = async {
        let start = Instant::now();
        tokio::try_join!(
            attack::slow_headers(edge.plain, 300),
            attack::endless_header(edge.plain),
            attack::long_url(edge.plain, 200_000),
        )?;
        attack::rapid_reset(edge.https, roots, 50_000).await?;
        attack::made_you_reset(edge.https, roots, 5_000).await?;
        attack::endless_continuation(edge.https, roots).await?;
        attack::header_bomb(edge.https, roots, 500).await?;
        for pattern in ["/live/none-{}/index.m3u8", "/live/demo/b1/source/{}.m4s", "/nothing/{}"] {
            attack::missing_names(edge.plain, pattern, 30_000).await?;
        }
        eprintln!("all attacks took {:?}", start.elapsed());
        anyhow::Ok(())
    };
    let watching = async {
        let followed = follow(&viewer, &source, Until::Segments(6)).await?;
        followed.strict()?;
        anyhow::Ok(())
    };
    let mut most = 0.0f64;
    let measuring = async {
        let mut ticks = tokio::time::interval(Duration::from_millis(500));
        loop {
            ticks.tick().await;
            most = most.max(memory(edge.ops).await?);
        }
    };
    let attacked = async { tokio::try_join!(attacks, watching).map(drop) };
    let ended: Result<()> = tokio::select! {
        attacked = attacked => attacked,
        failed = measuring => failed,
    };
    ended?;
    let grown = (most.max(memory(edge.ops).await?) - before) / 1048576.0;
    eprintln!("the edge's memory grew by {grown:.1} MiB at most");
    ensure!(grown < 96.0, "attackers cost {grown} MiB");
    // Who comes later is served as ever.
    world.viewer("eu-1", Protocol::H3).await?.get("/live/demo/index.m3u8").await?.expect(200)?;
    let panics = Samples::read(edge.ops).await?.sum("nearcast_http_handler_panics_total", &[]);
    ensure!(panics == 0.0, "{panics} handlers panicked");
    Ok(())
}

/// Resident bytes of a process.
async fn memory(ops: SocketAddr) -> Result<f64> {
    let bytes = Samples::read(ops).await?.sum("nearcast_process_resident_memory_bytes", &[]);
    ensure!(bytes > 0.0, "no memory is reported");
    Ok(bytes)
}
