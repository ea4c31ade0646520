//! `make bench-latency`: glass to glass, from a picture that tells the time to a browser that reads it.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use nearcast_benches::clock;
use nearcast_benches::report::{self, Row, percentile};
use nearcast_tests::browser::{self, Reach};
use nearcast_tests::publisher::Feed;
use nearcast_tests::world::World;
use serde::Deserialize;
use serde_json::json;
use tokio::task::JoinSet;

#[tokio::main]
async fn main() -> ExitCode {
    report::exit(run().await)
}

async fn run() -> Result<()> {
    let world = World::builder("bench-latency").edges(["eu-1"]).start().await?;
    let key = world.channel(CHANNEL).await?;
    let size = format!("{}x{}", clock::WIDTH, clock::HEIGHT);
    let rate = clock::FRAMES_PER_SECOND.to_string();
    // The sound comes first: were its clock behind the picture's, FFmpeg would hold every picture back.
    let sound = ["-re", "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000"];
    let queue = ["-thread_queue_size", "64", "-fflags", "nobuffer", "-probesize", "32"];
    let picture = ["-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", &size, "-r", &rate, "-i", "pipe:0"];
    let feed = Feed::from_inputs(&[sound.as_slice(), &queue, &picture].concat());
    let program = feed.program(&world.rtmp(&key)).named("publisher").piped();
    let mut publisher = program.start(&world.logs())?;
    let mut tasks = JoinSet::new();
    tasks.spawn(clock::write(publisher.stdin()?));
    let edge = world.layout.edges.first().context("no edge")?.plain;
    world.playable(&mut publisher, edge, CHANNEL).await?;

    say(&format!("Watching for {SECONDS} s"));
    let seen = watch(&world).await?;
    let seconds: Vec<f64> = seen.latencies.iter().map(|millis| millis / 1e3).collect();
    ensure!(seconds.len() > 100, "only {} frames could be read", seconds.len());
    for percent in [5.0, 50.0, 95.0, 99.0] {
        say(&format!("{percent:>4} %  {:.3} s", percentile(&seconds, percent)));
    }
    say(&format!("{} frames read, {} unreadable, {} stalls", seconds.len(), seen.unreadable, seen.waiting));
    say(&format!("over {}, {:.2} s behind live by the page's own figure", seen.protocol, seen.latency));

    // One run a second: the median of the frames shown in it.
    let runs = seconds.chunks(30).map(|second| percentile(second, 50.0)).collect();
    let name = "glass to glass, LL-HLS 0.5 s parts, origin + edge + Chromium";
    let row = Row::of(name, "s", runs).within("budget", BUDGET);
    let tail = Row::of("the same, 95th percentile of frames", "s", vec![percentile(&seconds, 95.0)]);
    let kept = row.ours <= BUDGET;
    say(&format!("\n{}", report::write("latency", &[row, tail])?));
    ensure!(kept, "the median is over {BUDGET} s");
    Ok(())
}

/// What `tests/browser/latency.mjs` prints.
#[derive(Debug, Deserialize)]
struct Seen {
    /// Milliseconds from the frame's making to its showing, one for each frame that was shown.
    latencies: Vec<f64>,
    /// Frames whose time could not be read.
    unreadable: u32,
    waiting: u32,
    protocol: String,
    /// `window.nearcast.latency`, in seconds.
    latency: f64,
}

async fn watch(world: &World) -> Result<Seen> {
    let job = json!({
        "url": format!("http://{}/watch/{CHANNEL}", world.layout.control),
        "seconds": SECONDS,
        "settle": SETTLE,
        "profile": browser::profile(world)?,
        "flags": browser::flags(world, Reach::Quic)?,
    });
    let output = browser::run("latency.mjs", &job.to_string()).await?;
    serde_json::from_str(&output).with_context(|| format!("reading what latency.mjs printed: {output}"))
}

fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

const CHANNEL: &str = "clock";
/// A player takes some seconds to find its distance to the live edge.
const SETTLE: u32 = 10;
const SECONDS: u32 = 30;
/// Design section 6: 2.5 s for LL-HLS with parts of 0.5 s.
const BUDGET: f64 = 2.5;
