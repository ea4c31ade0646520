//! `make soak`: 20 broadcasts at once, source only, for MINUTES (5); does the origin's memory stay flat?

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, anyhow, ensure};
use nearcast_benches::memory;
use nearcast_benches::report::{self, Row};
use nearcast_tests::publisher::Feed;
use nearcast_tests::world::World;
use tokio::process::Command;
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
    let world = World::builder("soak").edges(["eu-1"]).setting("origin-1", SOURCE_ONLY);
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
    say(&format!("{BROADCASTS} broadcasts are live"));

    let begin = Instant::now();
    let mut samples = Vec::new();
    for sample in 1..=minutes * PER_MINUTE {
        sleep_until(begin + INTERVAL * sample).await;
        world.all_run()?;
        for publisher in &mut publishers {
            ensure!(publisher.running(), "{} has ended:\n{}", publisher.name(), publisher.last_words());
        }
        let mib = memory::resident(world.origin.id())?;
        let thumbs = world.origin_metrics().await?.sum("nearcast_thumbnails_memory_bytes", &[]) / MIB;
        say(&format!("{:>4} s  {mib:.1} MiB, thumbnails {thumbs:.1}", (INTERVAL * sample).as_secs()));
        samples.push(mib);
    }
    let live = world.origin_metrics().await?.sum("nearcast_package_live", &[]);
    say(&format!("{live} broadcasts are live at the end"));

    let minute = |from: usize| {
        let minute = samples.iter().skip(from * PER_MINUTE as usize).take(PER_MINUTE as usize);
        minute.copied().fold(0.0, f64::max)
    };
    // In the first minute the windows fill, in the second the allocator finds its size.
    let (third, last) = (minute(2), minute(minutes as usize - 1));
    let growth = last / third;
    let row = Row::of("origin RSS in the last minute over the third", "ratio", vec![growth]);
    let rows = [row.within("budget", FLAT), Row::of("origin RSS, 20 broadcasts of 360p", "MiB", samples)];
    let flat = growth <= FLAT;
    say(&format!("\n{}", report::write("soak", &rows)?));
    say(if flat { "flat" } else { "not flat" });
    ensure!(flat, "memory grew from {third:.1} to {last:.1} MiB");
    Ok(())
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
const BROADCASTS: usize = 20;
const INTERVAL: Duration = Duration::from_secs(10);
const PER_MINUTE: u32 = 6;
/// Allocators breathe; to lose a twentieth of what comes in would show within the two minutes between.
const FLAT: f64 = 1.05;
