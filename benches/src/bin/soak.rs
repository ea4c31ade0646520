//! `make soak`: 20 broadcasts at once, source only, each with viewers, for MINUTES (5); does the memory of origin and edge
//! stay flat?

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use nearcast_benches::memory;
use nearcast_benches::report::{self, Row};
use nearcast_tests::client::Protocol;
use nearcast_tests::player::{crowd, renditions};
use nearcast_tests::publisher::Feed;
use nearcast_tests::world::World;
use tokio::process::Command;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

#[tokio::main]
async fn main() -> ExitCode {
    let minutes = std::env::args().nth(1).unwrap_or_else(|| "5".to_owned());
    report::exit(match minutes.parse() {
        Ok(minutes @ 4..=1440) => run(minutes).await,
        _ => Err(anyhow!("soak takes a number of minutes from 4 to 1440, not {minutes:?}")),
    })
}

async fn run(minutes: u32) -> Result<()> {
    let world =
        World::builder("soak").edges(["eu-1"]).setting("origin-1", SOURCE_ONLY).setting("eu-1", SMALL);
    let mut world = world.start().await?;
    let file = world.folder.join("loop.flv");
    encode(&file).await?;
    let feed = Feed::from_inputs(&["-re", "-stream_loop", "-1", "-i", &file.to_string_lossy()]);
    let feed = feed.video(&["-c:v", "copy"]).audio(&["-c:a", "copy"]);
    say(&format!("{} MiB with no broadcast", memory::resident(world.origin.id())?.round()));
    let mut publishers = Vec::new();
    for number in 1..=BROADCASTS {
        publishers.push(world.broadcast(&format!("soak-{number}"), &feed).await?);
    }
    let mut viewers = JoinSet::new();
    for number in 1..=BROADCASTS {
        let channel = format!("soak-{number}");
        let client =
            Arc::new(world.viewer("eu-1", if number % 2 == 0 { Protocol::H2 } else { Protocol::H3 }).await?);
        let source = renditions(&client, &channel).await?.swap_remove(0);
        // More parts than there are in the time.
        viewers.spawn(async move { crowd(client, &source, VIEWERS, usize::MAX).await.context(channel) });
    }
    say(&format!("{BROADCASTS} broadcasts are live, with {VIEWERS} viewers each"));

    let begin = Instant::now();
    let edge = world.edge("eu-1")?.id();
    let (mut samples, mut at_edge) = (Vec::new(), Vec::new());
    for sample in 1..=minutes * PER_MINUTE {
        sleep_until(begin + INTERVAL * sample).await;
        world.all_run()?;
        for publisher in &mut publishers {
            ensure!(publisher.running(), "{} has ended:\n{}", publisher.name(), publisher.last_words());
        }
        if let Some(ended) = viewers.try_join_next() {
            bail!("viewers of {:?} have stopped", ended??);
        }
        let mib = memory::resident(world.origin.id())?;
        at_edge.push(memory::resident(edge)?);
        let thumbs = world.origin_metrics().await?.sum("nearcast_thumbnails_memory_bytes", &[]) / MIB;
        say(&format!(
            "{:>4} s  origin {mib:.1} MiB, thumbnails {thumbs:.1}; edge {:.1} MiB",
            (INTERVAL * sample).as_secs(),
            at_edge.last().copied().unwrap_or_default()
        ));
        samples.push(mib);
    }
    let live = world.origin_metrics().await?.sum("nearcast_package_live", &[]);
    say(&format!("{live} broadcasts are live at the end"));

    let growth = [growth(&samples, minutes), growth(&at_edge, minutes)];
    let row = |who: &str, growth: f64| {
        let measure = format!("{who} RSS in the last minute over the third");
        Row::of(&measure, "ratio", vec![growth]).within("budget", FLAT)
    };
    let rows = [
        row("origin", growth[0]),
        Row::of("origin RSS, 20 broadcasts of 360p", "MiB", samples),
        row("edge", growth[1]),
        Row::of("edge RSS, 64 MiB of cache, 100 viewers", "MiB", at_edge),
    ];
    let flat = growth.iter().all(|growth| *growth <= FLAT);
    say(&format!("\n{}", report::write("soak", &rows)?));
    say(if flat { "flat" } else { "not flat" });
    ensure!(flat, "memory grew: origin and edge by {growth:.2?}");
    Ok(())
}

/// The last minute's most over the third's. In the first minute the windows fill, in the second the allocator finds its
/// size.
fn growth(samples: &[f64], minutes: u32) -> f64 {
    let minute = |from: usize| {
        let minute = samples.iter().skip(from * PER_MINUTE as usize).take(PER_MINUTE as usize);
        minute.copied().fold(0.0, f64::max)
    };
    minute(minutes as usize - 1) / minute(2)
}

/// Half a minute of 360p: copied, twenty of them cost little.
async fn encode(file: &Path) -> Result<()> {
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-v", "error", "-y", "-f", "lavfi", "-i", "testsrc2=size=640x360:rate=30"]);
    ffmpeg.args(["-f", "lavfi", "-i", "sine=sample_rate=48000", "-t", "30", "-pix_fmt", "yuv420p"]);
    ffmpeg.args(["-c:v", "libx264", "-preset", "ultrafast", "-g", "60", "-keyint_min", "60"]);
    ffmpeg.args([
        "-sc_threshold",
        "0",
        "-b:v",
        "800k",
        "-maxrate",
        "800k",
        "-bufsize",
        "800k",
        "-c:a",
        "aac",
    ]);
    ensure!(ffmpeg.arg(file).status().await?.success(), "the stream could not be encoded");
    Ok(())
}

fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// The window is full long before the end, and of thumbnails two sheets' worth, which are what is kept: what grows after
/// that is a leak.
const SOURCE_ONLY: &str =
    "[transcode]\nenabled = false\n[package]\nwindow = 30.0\n[thumbnails]\ninterval = 3\n";
const MIB: f64 = 1024.0 * 1024.0;
/// Full within the first minute.
const SMALL: &str = "[cache]\nmemory = \"64MiB\"\n";
const BROADCASTS: usize = 20;
/// Of each broadcast.
const VIEWERS: usize = 5;
const INTERVAL: Duration = Duration::from_secs(10);
const PER_MINUTE: u32 = 6;
/// Allocators breathe; to lose a twentieth of what comes in would show within the two minutes between.
const FLAT: f64 = 1.05;
