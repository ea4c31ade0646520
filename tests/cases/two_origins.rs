//! Two origins: a channel's encoders publish to either, and its broadcast outlives the one that has it.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use nearcast_tests::browser::{self, Reach};
use nearcast_tests::client::{Client, Protocol};
use nearcast_tests::metrics::Samples;
use nearcast_tests::player::{Rendition, Until, follow, renditions};
use nearcast_tests::probe;
use nearcast_tests::process::{Process, Program};
use nearcast_tests::publisher::Feed;
use nearcast_tests::world::World;
use rustix::process::Signal;

/// The first encoder publishes to `origin-1`, the one that stands by to `origin-2`, and both are heard.
struct Show {
    world: World,
    key: String,
    first: Process,
    _backup: Process,
    viewer: Client,
    watched: Rendition,
}

impl Show {
    /// Viewers watch `rendition`.
    async fn begin(name: &str, rendition: &str, transcode: &str) -> Result<Self> {
        let settings = &format!("[failover]\nfailback = 4\n[transcode]\n{transcode}");
        let world = World::builder(name).edges(["eu-1"]).standby();
        let mut world = world.setting("origin-1", settings).setting("origin-2", settings).start().await?;
        let key = world.channel("demo").await?;
        let backup_key = world.admin().await?.create_backup_key("demo").await?;
        let first = world.publish("demo", &key, &Feed::pattern(360)).await?;
        let second = world.layout.standby.clone().context("no second origin")?;
        let url = format!("rtmp://{}/live/{backup_key}", second.rtmp);
        let backup = Feed::pattern(360).publish(&url, "publisher-backup", &world.logs())?;
        let passed_on = async || {
            let samples = Samples::read(second.ops).await;
            samples.is_ok_and(|samples| samples.sum("nearcast_ingest_forwarded", &[]) == 1.0)
        };
        world.standby.as_mut().context("no second origin")?.until("passing frames on", passed_on).await?;
        let viewer = world.viewer("eu-1", Protocol::H2).await?;
        let all = renditions(&viewer, "demo").await?;
        let watched = all.into_iter().find(|one| one.name == rendition).context("no such rendition")?;
        Ok(Self { world, key, first, _backup: backup, viewer, watched })
    }

    /// What the second origin has gone on with.
    async fn takeovers(&self) -> Result<f64> {
        let second = self.world.layout.standby.as_ref().context("no second origin")?;
        Ok(Samples::read(second.ops).await?.sum("nearcast_package_takeovers_total", &[]))
    }
}

#[tokio::test]
async fn a_backup_at_another_origin_takes_over_when_the_first_encoder_is_killed() -> Result<()> {
    let mut show = Show::begin("two-encoders", "source", SOURCE_ONLY).await?;
    let viewer = show.world.viewer("eu-1", Protocol::H1).await?;
    let watching = follow(&viewer, &show.watched, Until::Segments(10));
    let failing = async {
        follow(&show.viewer, &show.watched, Until::Segments(2)).await?;
        show.first.kill().await
    };
    let (followed, ()) = tokio::try_join!(watching, failing)?;
    let followed = followed.strict()?;
    let holes = followed.holes();
    ensure!(holes.iter().all(|hole| hole.abs() < 0.1), "media is missing: {holes:?}");
    ensure!(followed.segments.iter().any(|segment| segment.discontinuity), "nobody took over");
    ensure!(show.takeovers().await? == 0.0, "the broadcast stays where it is");
    Ok(())
}

#[tokio::test]
async fn a_broadcast_goes_on_at_the_second_origin_when_the_first_is_killed() -> Result<()> {
    let mut show = Show::begin("lost-origin", "source", SOURCE_ONLY).await?;
    let viewer = show.world.viewer("eu-1", Protocol::H2).await?;
    let watching = follow(&viewer, &show.watched, Until::Segments(16));
    let losing = async {
        follow(&show.viewer, &show.watched, Until::Segments(3)).await?;
        show.world.origin.kill().await?;
        show.first.ended(Duration::from_secs(10)).await?;
        follow(&show.viewer, &show.watched, Until::Segments(3)).await?;
        // It comes back, and with it the first encoder: its frames go where the broadcast is now.
        let file = show.world.folder.join("config/origin-1.toml");
        let args = ["--config".to_owned(), file.to_string_lossy().into_owned()];
        let again = Program::ours("nearcast-origin")?.named("origin-1-again").args(args);
        let mut origin = again.start(&show.world.logs())?;
        origin.ready(show.world.layout.origin.ops).await?;
        let again = Feed::pattern(360);
        let publisher = again.publish(&show.world.rtmp(&show.key), "publisher-again", &show.world.logs())?;
        Ok((origin, publisher))
    };
    let (followed, (mut origin, mut publisher)) = tokio::try_join!(watching, losing)?;
    ensure!(origin.running() && publisher.running(), "{}", publisher.last_words());
    let followed = followed.strict_but_for_a_lost_origin()?;
    let now = renditions(&viewer, "demo").await?.swap_remove(0);
    ensure!(now.path == show.watched.path, "viewers were sent to another broadcast: {}", now.path);
    let holes = followed.holes();
    // At most a keyframe interval, where the origin was lost.
    ensure!(holes.iter().all(|hole| *hole > -0.1 && *hole < 2.5), "media is missing: {holes:?}");
    ensure!(holes.iter().filter(|hole| **hole > 0.1).count() <= 1, "media is missing: {holes:?}");
    let numbers: Vec<u64> = followed.segments.iter().map(|segment| segment.msn).collect();
    // The one that was being made is a gap, where nothing of it had been made.
    let steps: Vec<u64> =
        numbers.windows(2).map(|pair| pair[1] - pair[0]).filter(|step| *step != 1).collect();
    ensure!(steps.is_empty() || steps == [2], "numbers are {numbers:?}");
    ensure!(show.takeovers().await? == 1.0, "the broadcast went on elsewhere once");
    let back = Samples::read(show.world.layout.origin.ops).await?;
    ensure!(back.sum("nearcast_ingest_forwarded", &[]) == 1.0, "the first encoder's frames are passed on");
    ensure!(back.sum("nearcast_package_broadcasts_total", &[]) == 0.0, "no other broadcast has begun");
    Ok(())
}

#[tokio::test]
async fn a_broadcast_goes_on_at_the_second_origin_when_the_first_is_stopped() -> Result<()> {
    let mut show = Show::begin("drained-origin", "240p", LADDER).await?;
    let viewer = show.world.viewer("eu-1", Protocol::H2).await?;
    let watching = follow(&viewer, &show.watched, Until::Segments(10));
    let stopping = async {
        follow(&show.viewer, &show.watched, Until::Segments(3)).await?;
        show.world.origin.stop(Duration::from_secs(15)).await
    };
    let (followed, status) = tokio::try_join!(watching, stopping)?;
    ensure!(status.success(), "the origin ended with {status}");
    let followed = followed.strict_but_for_a_lost_origin()?;
    let holes = followed.holes();
    ensure!(holes.iter().all(|hole| *hole > -0.1 && *hole < 2.5), "media is missing: {holes:?}");
    ensure!(show.takeovers().await? == 1.0, "the broadcast went on elsewhere once");
    // Another encoder makes the rung now, from the first picture on.
    let folder = show.watched.path.strip_suffix("media.m3u8").context("a playlist's path")?;
    let mut media = viewer.get(&format!("{folder}init.1.mp4")).await?.expect(200)?.body.to_vec();
    let mut seconds = 0.0;
    for segment in followed.segments.iter().filter(|segment| segment.map.as_deref() == Some("init.1.mp4")) {
        let part = viewer.get(&format!("{folder}{}", segment.uri)).await?.expect(200)?;
        media.extend_from_slice(&part.body);
        seconds += segment.duration;
    }
    ensure!(seconds > 4.0, "only {seconds:.1} s come from the second origin");
    let file = show.world.folder.join("240p.mp4");
    std::fs::write(&file, &media)?;
    let stream = probe::decode(&file).await?;
    let frames = stream.nb_read_frames as f64;
    ensure!((frames - 30.0 * seconds).abs() <= 2.0, "{frames} frames in {seconds:.1} s");
    Ok(())
}

#[tokio::test]
async fn chromium_goes_on_when_an_origin_is_killed() -> Result<()> {
    let show = Show::begin("lost-origin-page", "source", SOURCE_ONLY).await?;
    let picture = browser::artifacts()?.join("lost-origin.png");
    let watching = browser::watch(&show.world, "demo", Reach::Tcp, 20, &picture);
    let losing = async {
        follow(&show.viewer, &show.watched, Until::Segments(5)).await?;
        // In the middle of a segment, which is what is tried here.
        tokio::time::sleep(Duration::from_millis(600)).await;
        show.world.origin.signal(Signal::KILL);
        Ok(())
    };
    let (seen, ()) = tokio::try_join!(watching, losing)?;
    ensure!(show.takeovers().await? == 1.0, "the broadcast went on elsewhere once");
    let (mut frozen, mut longest) = (seen.samples[0], 0.0_f64);
    for sample in &seen.samples {
        if sample.frames > frozen.frames {
            frozen = *sample;
        }
        longest = longest.max(sample.at - frozen.at);
    }
    // A keyframe interval, and a segment until there is a playlist again, less what the player had.
    ensure!(longest < 4.0, "the picture stood still for {longest:.1} s");
    let [.., end] = seen.samples[..] else { anyhow::bail!("no samples") };
    ensure!(end.at - frozen.at < 0.5, "the picture stands still at the end");
    Ok(())
}

const SOURCE_ONLY: &str = "enabled = false\n";
const LADDER: &str =
    "preset = \"ultrafast\"\n[[transcode.ladder]]\nname = \"240p\"\nheight = 240\nbitrate = 300000\n";
