//! DASH: others' players and readers on the files that HLS viewers get, through an edge.

use std::process::Output;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use nearcast_tests::client::{Client, Protocol, Reply};
use nearcast_tests::mpd::{self, Manifest};
use nearcast_tests::process::Process;
use nearcast_tests::publisher::Feed;
use nearcast_tests::world::World;
use tokio::process::Command;
use tokio::time::timeout;

#[tokio::test]
async fn a_growing_segment_comes_part_by_part_and_is_what_hls_viewers_get() -> Result<()> {
    let (world, _publisher) = live("dash-segments", &Feed::pattern(360)).await?;
    let origin = world.origin_client().await?;
    for protocol in [Protocol::H1, Protocol::H2, Protocol::H3] {
        let edge = world.viewer("eu-1", protocol).await?;
        let (manifest, reply) = manifest(&edge).await?;
        ensure!(reply.header("content-type") == "application/dash+xml", "{reply:?}");
        ensure!(manifest.live && manifest.periods.iter().all(|period| period.counted), "{manifest:?}");
        let folder = folder(&reply)?;
        for rendition in ["source", "audio"] {
            // The segment after the newest: it has not begun, and is answered when it has, part by part.
            let next = end(&origin, &folder, rendition).await? + 1;
            let name = format!("{folder}/{rendition}/{next}.m4s");
            let grown = edge.get(&name).await?.expect(200)?;
            let spread = grown.total.saturating_sub(grown.first_byte);
            ensure!(grown.headers.get("content-length").is_none(), "{name}: its length was known");
            ensure!(spread > Duration::from_millis(1000), "{name} came within {spread:?}");
            ensure!(grown.first_byte > Duration::from_millis(50), "{name} was there already");

            let whole = origin.get(&name).await?.expect(200)?;
            ensure!(whole.body == grown.body, "{name} is another at the origin");
            let again = edge.get(&name).await?.expect(200)?;
            ensure!(again.header("cache-status") == "eu-1; hit", "{name}: {}", again.header("cache-status"));
            ensure!(
                again.body == grown.body && again.header("content-length") == grown.body.len().to_string()
            );
            let mut parts = Vec::new();
            for part in 0.. {
                let reply = origin.get(&format!("{folder}/{rendition}/{next}.{part}.m4s")).await?;
                if reply.status != 200 {
                    break;
                }
                parts.extend_from_slice(&reply.body);
            }
            ensure!(parts == grown.body, "{name} is not its parts");
        }
    }
    Ok(())
}

#[tokio::test]
async fn ffmpeg_reads_regular_and_irregular_broadcasts_to_their_end() -> Result<()> {
    // Keyframes as they come: at each white flash, and now and then between.
    let wild = [
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
        "-pix_fmt",
        "yuv420p",
        "-g",
        "300",
        "-force_key_frames",
        "expr:gt(mod(floor(t*7.3)*floor(t*3.1),5),3)",
    ];
    for (name, feed) in [("regular", Feed::pattern(360)), ("irregular", Feed::pattern(360).video(&wild))] {
        let (mut world, mut publisher) = live(&format!("dash-{name}"), &feed).await?;
        let edge = world.viewer("eu-1", Protocol::H1).await?;
        let origin = world.origin_client().await?;
        let (_, reply) = manifest(&edge).await?;
        let folder = folder(&reply)?;
        // Enough for a pattern to show. FFmpeg takes the presentation time offset, ten seconds, off the time of day
        // where it counts, so it is that much behind and needs a broadcast that is older.
        while end(&origin, &folder, "source").await? < 8 {}
        let (now, _) = manifest(&edge).await?;
        let counted = now.periods.last().context("no period")?.counted;
        ensure!(counted == (name == "regular"), "{name}: {now:?}");
        let plain = world.layout.edge("eu-1").context("no edge")?.plain;
        decodes(&format!("http://{plain}/live/demo/index.mpd"), name).await?;

        publisher.stop(Duration::from_secs(5)).await?;
        let is_over = async || manifest(&edge).await.is_ok_and(|(now, _)| !now.live);
        world.origin.until("at the broadcast's end", is_over).await?;
        let (now, _) = manifest(&edge).await?;
        ensure!(now.periods.iter().all(|period| period.duration.is_some()), "{name}: {now:?}");
    }
    Ok(())
}

/// FFmpeg's DASH demuxer finds picture and sound behind the manifest and decodes some seconds of both.
async fn decodes(url: &str, name: &str) -> Result<()> {
    let probe = ["-v", "error", "-show_entries", "stream=codec_name", "-of", "csv=p=0", url];
    let output = run("ffprobe", &probe).await?;
    let said = String::from_utf8_lossy(&output.stderr);
    let mut codecs: Vec<_> = std::str::from_utf8(&output.stdout)?.lines().collect();
    // Each is there twice: in its program, and alone.
    codecs.retain(|codec| !codec.is_empty());
    codecs.sort_unstable();
    codecs.dedup();
    ensure!(codecs == ["aac", "h264"], "{name}: ffprobe finds {codecs:?}: {said}");
    let decode = ["-v", "error", "-xerror", "-i", url, "-t", "4", "-f", "null", "-"];
    let output = run("ffmpeg", &decode).await?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success() && said.trim().is_empty(), "{name}: ffmpeg: {said}");
    Ok(())
}

/// What a program says that has half a minute for it.
async fn run(program: &str, arguments: &[&str]) -> Result<Output> {
    let running = Command::new(program).args(arguments).kill_on_drop(true).output();
    let ended = timeout(Duration::from_secs(30), running).await;
    ended.with_context(|| format!("{program} hangs"))?.with_context(|| format!("running {program}"))
}

/// A world with one edge and `demo` live in it, without a ladder.
async fn live(name: &str, feed: &Feed) -> Result<(World, Process)> {
    let builder = World::builder(name).edges(["eu-1"]);
    let world = builder.setting("origin-1", "[transcode]\nenabled = false\n").start().await?;
    let publisher = world.broadcast("demo", feed).await?;
    Ok((world, publisher))
}

/// The manifest, which keeps the rules.
async fn manifest(edge: &Client) -> Result<(Manifest, Reply)> {
    let reply = edge.get("/live/demo/index.mpd").await?.expect(200)?;
    Ok((mpd::read(reply.text()?)?, reply))
}

/// The path of the broadcast that a manifest is of.
fn folder(manifest: &Reply) -> Result<String> {
    let id = manifest.text()?.split("<Period id=\"").nth(1).and_then(|rest| rest.split('.').next());
    Ok(format!("/live/demo/{}", id.context("no broadcast")?))
}

/// Waits for the next part; then the number of the segment that is being made.
async fn end(origin: &Client, folder: &str, rendition: &str) -> Result<u64> {
    let text = origin.get(&format!("{folder}/{rendition}/media.m3u8")).await?.expect(200)?;
    let hint = text.text()?.split("#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"").nth(1).context("no hint")?;
    let file = hint.split('"').next().unwrap_or_default().to_owned();
    origin.get(&format!("{folder}/{rendition}/{file}")).await?.expect(200)?;
    file.split('.').next().and_then(|msn| msn.parse().ok()).context("no hint")
}
