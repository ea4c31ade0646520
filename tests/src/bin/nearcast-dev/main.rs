//! `make run`: the whole platform on this machine until Ctrl-C.

mod ports;
mod say;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use futures_util::future::select_all;
use nearcast_tests::process::Process;
use nearcast_tests::publisher::Feed;
use nearcast_tests::world::{Layout, World};
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main]
async fn main() -> ExitCode {
    if std::env::args_os().len() > 1 {
        say::line("nearcast-dev takes no arguments: it starts the whole platform here, see `make help`");
        return ExitCode::from(2);
    }
    match run(Path::new("run")).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say::line(&format!("\n{error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn run(folder: &Path) -> Result<()> {
    ports::check(&Layout::development())?;
    std::fs::create_dir_all(folder)?;
    let folder = folder.canonicalize()?;
    empty(&folder.join("logs"))?;
    let mut stop = Stop::new()?;

    say::line("Starting Nearcast on this machine");
    let starting = World::builder("development").progress(say::step).start_development(&folder);
    let mut world = tokio::select! {
        world = starting => world?,
        () = stop.asked() => return Ok(()),
    };
    let key = stream_key(&world, &folder.join("data/demo.key")).await?;
    let mut publisher = None;
    if std::env::var("PUBLISH").as_deref() != Ok("none") {
        let feed = Feed::broadcast(720);
        publisher = Some(tokio::select! {
            publisher = world.publish(CHANNEL, &key, &feed) => publisher?,
            () = stop.asked() => return shut_down(world, None, stop).await,
        });
        say::step(&format!("test broadcast on channel {CHANNEL}"));
    }
    say::ready(&world, CHANNEL, &key, publisher.is_some());

    let failure = tokio::select! {
        ended = first_to_end(&mut world, publisher.as_mut()) => Some(ended),
        () = stop.asked() => None,
    };
    if let Some(failure) = &failure {
        say::line(&format!("\n{failure}"));
    }
    shut_down(world, publisher, stop).await?;
    ensure!(failure.is_none(), "stopped because a program ended: see above");
    Ok(())
}

/// The demo channel's stream key: made at the first start, the same ever after.
async fn stream_key(world: &World, file: &PathBuf) -> Result<String> {
    let admin = world.admin().await?;
    if let Ok(key) = std::fs::read_to_string(file) {
        return Ok(key.trim().to_owned());
    }
    // A control plane that outlived the file knows the channel already.
    if !admin.exists(&format!("/channels/{CHANNEL}")).await? {
        admin.create_channel(CHANNEL, "Demo").await?;
    }
    let key = admin.create_key(CHANNEL).await?;
    std::fs::write(file, &key).with_context(|| format!("keeping the stream key in {}", file.display()))?;
    Ok(key)
}

/// What to say when a program ends that should not.
async fn first_to_end(world: &mut World, publisher: Option<&mut Process>) -> String {
    let all = [&mut world.control, &mut world.origin].into_iter();
    let all = all.chain(&mut world.edges).chain(publisher);
    let ends = all.map(|process| Box::pin(async move { (process.exit().await, process) }));
    let ((status, process), _, _) = select_all(ends).await;
    let (name, log) = (process.name(), process.log_path().display());
    format!("{name} ended ({status}); the end of {log}:\n{}", process.last_words())
}

/// Publisher first, then what viewers see, then what those need.
async fn shut_down(world: World, publisher: Option<Process>, mut stop: Stop) -> Result<()> {
    say::line("\nStopping (Ctrl-C again to stop at once)");
    let World { control, origin, edges, .. } = world;
    let all = publisher.into_iter().chain(edges).chain([origin, control]);
    let stopping = async {
        for mut process in all {
            if process.running() {
                process.stop(STOP_LIMIT).await?;
                say::step(process.name());
            }
        }
        Ok(())
    };
    tokio::select! {
        done = stopping => done,
        // Dropping the processes kills them.
        () = stop.asked() => Ok(()),
    }
}

fn empty(folder: &Path) -> Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("emptying {}", folder.display()))
        }
        _ => Ok(()),
    }
}

/// Ctrl-C and SIGTERM.
struct Stop {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

impl Stop {
    fn new() -> Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn asked(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

const CHANNEL: &str = "demo";
/// Daemons drain for ten seconds at most.
const STOP_LIMIT: Duration = Duration::from_secs(15);
