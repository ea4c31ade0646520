//! `make bench-transcode`: what a ladder costs in CPU time, beside the `ffmpeg` program making the same renditions.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use nearcast_benches::cpu;
use nearcast_benches::report::{self, Row};
use nearcast_tests::metrics::Samples;
use nearcast_tests::process::Program;
use nearcast_tests::world::World;

#[tokio::main]
async fn main() -> ExitCode {
    report::exit(run().await)
}

async fn run() -> Result<()> {
    let world =
        World::builder("bench-transcode").edges(["eu-1"]).setting("origin-1", SAME_WORK).start().await?;
    let key = world.channel("bench").await?;
    let clip = clip(&world.folder).await?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    // Alternated, so that a slow minute of the machine does not fall on one side.
    for round in 1..=ROUNDS {
        ours.push(origin(&world, &clip, &world.rtmp(&key)).await?);
        theirs.push(ffmpeg(&clip, &world.logs()).await?);
        let last = |runs: &[f64]| runs.last().copied().unwrap_or_default();
        say(&format!("{round}/{ROUNDS}  origin {:.2} s, ffmpeg {:.2} s", last(&ours), last(&theirs)));
    }
    let peer = report::percentile(&theirs, 50.0);
    let per_second = |seconds: f64| seconds / f64::from(SECONDS);
    let name = "CPU of 720p30 to 480p and 360p, ingest and packaging included";
    let mut row = Row::of(name, "CPU-s per s", ours.into_iter().map(per_second).collect())
        .within(&version().await?, per_second(peer));
    row.at_least = Some(1.0 / MOST);
    let (ratio, least) = (row.ratio.unwrap_or_default(), 1.0 / MOST);
    say(&format!("\n{}", report::write("transcode", &[row])?));
    say(&format!("{:.3} times the CPU time of ffmpeg; the limit is {MOST}", 1.0 / ratio));
    ensure!(ratio >= least, "the ladder costs more than {MOST} times what ffmpeg needs");
    Ok(())
}

/// A publisher's 720p30, made once and then sent without being encoded again.
async fn clip(folder: &Path) -> Result<PathBuf> {
    let clip = folder.join("clip.flv");
    let length = SECONDS.to_string();
    let args = ["-hide_banner", "-loglevel", "error", "-y", "-t", &length]
        .into_iter()
        .chain(["-f", "lavfi", "-i", "testsrc2=size=1280x720:rate=30", "-t", &length])
        .chain(["-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000", "-c:v", "libx264"])
        .chain(["-preset", "veryfast", "-pix_fmt", "yuv420p", "-g", "60", "-sc_threshold", "0", "-b:v", "3M"])
        .chain(["-c:a", "aac", "-b:a", "128k"]);
    let mut maker = Program::system("ffmpeg").args(args).args([clip.to_string_lossy()]).start(folder)?;
    let status = maker.ended(LIMIT).await?;
    ensure!(status.success(), "cannot make the clip:\n{}", maker.last_words());
    Ok(clip)
}

/// CPU seconds of the origin and its transcoder from a publisher's first byte to the end of its broadcast.
async fn origin(world: &World, clip: &Path, url: &str) -> Result<f64> {
    let id = world.origin.id();
    let had = frames(world).await?;
    let before = cpu::seconds_with_children(id)?;
    let clip = clip.to_string_lossy();
    let args = ["-hide_banner", "-loglevel", "error", "-re", "-i", &*clip, "-c", "copy", "-f", "flv", url];
    let mut publisher = Program::system("ffmpeg").args(args).named("publisher").start(&world.logs())?;
    let status = publisher.ended(LIMIT).await?;
    ensure!(status.success(), "the publisher failed:\n{}", publisher.last_words());
    // The child's time counts once the origin has waited for it.
    while cpu::has_children(id)? {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let made = frames(world).await?;
    for (rung, (made, had)) in RUNGS.iter().zip(made.into_iter().zip(had)) {
        ensure!(made - had >= f64::from(SECONDS) * 30.0 - 2.0, "{rung} had only {} frames", made - had);
    }
    Ok(cpu::seconds_with_children(id)? - before)
}

/// How many frames each rung has had so far.
async fn frames(world: &World) -> Result<Vec<f64>> {
    let samples = Samples::read(world.layout.origin.ops).await?;
    let of = |rung: &&str| samples.sum("nearcast_transcode_frames_total", &[&format!("rung=\"{rung}\"")]);
    Ok(RUNGS.iter().map(of).collect())
}

/// CPU seconds of `ffmpeg` for the same rungs with the same encoder settings.
async fn ffmpeg(clip: &Path, logs: &Path) -> Result<f64> {
    let clip = clip.to_string_lossy();
    let mut program = Program::system("ffmpeg").named("peer").args([
        "-hide_banner",
        "-loglevel",
        "info",
        "-nostats",
        "-benchmark",
        "-re",
        "-threads",
        "1",
        "-i",
        &*clip,
    ]);
    for (size, rate) in [("854x480", "1400k"), ("640x360", "800k")] {
        program = program
            .args([
                "-map",
                "0:v",
                "-s",
                size,
                "-sws_flags",
                "bicubic",
                "-c:v",
                "libx264",
                "-preset",
                "veryfast",
            ])
            .args(["-tune", "zerolatency", "-profile:v", "high", "-threads", "1", "-bf", "0"])
            .args(["-x264-params", "scenecut=0:open_gop=0:force-cfr=0", "-forced-idr", "1"])
            .args(["-force_key_frames", "expr:gte(t,n_forced*2)", "-b:v", rate, "-maxrate", rate])
            .args([
                "-bufsize",
                rate,
                "-f",
                "mp4",
                "-movflags",
                "frag_keyframe+empty_moov",
                "-y",
                "/dev/null",
            ]);
    }
    let mut peer = program.start(logs)?;
    let status = peer.ended(LIMIT).await?;
    ensure!(status.success(), "ffmpeg failed:\n{}", peer.last_words());
    let log = peer.log();
    let times =
        log.lines().rfind(|line| line.starts_with("bench: utime=")).context("no times from ffmpeg")?;
    let of = |name: &str| -> Result<f64> {
        let value = times.split_whitespace().find_map(|word| word.strip_prefix(name));
        Ok(value.context("a time is missing")?.trim_end_matches('s').parse()?)
    };
    Ok(of("utime=")? + of("stime=")?)
}

async fn version() -> Result<String> {
    let output = tokio::process::Command::new("ffmpeg").arg("-version").output().await?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(text.split_whitespace().take(3).filter(|word| *word != "version").collect::<Vec<_>>().join(" "))
}

fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

const ROUNDS: u32 = 3;

/// Nobody watches, and `ffmpeg` makes no thumbnails.
const SAME_WORK: &str = "[transcode]\non_demand = false\n[thumbnails]\nenabled = false\n";

const RUNGS: [&str; 2] = ["480p", "360p"];

/// Of media, and so of each run.
const SECONDS: u32 = 30;

/// For a run that takes as long as its media.
const LIMIT: Duration = Duration::from_secs(120);

/// Times the CPU time of ffmpeg.
const MOST: f64 = 1.15;
