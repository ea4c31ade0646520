//! Headless Chromium on the viewer page, driven by `tests/browser/*.mjs` through playwright-core.

pub mod dash;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;
use serde_json::json;
use tokio::process::Command;

use crate::world::World;

/// What Chromium saw of the page.
#[derive(Debug, Deserialize)]
pub struct Seen {
    /// Four a second.
    pub samples: Vec<Sample>,
    /// `waiting` events: stalls that a viewer would notice.
    pub waiting: u32,
    /// ALPN names of all media requests.
    pub protocols: Vec<String>,
    pub requests: u32,
    /// What the page says of itself (`window.nearcast`).
    pub figures: serde_json::Value,
    /// The figures as they are shown.
    pub shown: String,
    /// Uncaught exceptions and `console.error`.
    pub complaints: Vec<String>,
}

/// The video at one moment.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct Sample {
    /// Seconds since the page was opened.
    pub at: f64,
    /// `currentTime`, in seconds.
    pub time: f64,
    /// Decoded so far.
    pub frames: u64,
    pub dropped: u64,
}

/// How the browser is to reach the edges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// TCP first; QUIC is not forced.
    Tcp,
    /// QUIC from the first request.
    Quic,
}

/// Opens `/watch/{channel}` of the world's control plane and watches for `seconds`.
pub async fn watch(
    world: &World,
    channel: &str,
    reach: Reach,
    seconds: u32,
    screenshot: &Path,
) -> Result<Seen> {
    let url = format!("http://{}/watch/{channel}", world.layout.control);
    let job = json!({
        "url": url, "seconds": seconds, "screenshot": screenshot,
        "profile": profile(world)?, "flags": flags(world, reach)?,
    });
    let output = run("watch.mjs", &job.to_string()).await?;
    serde_json::from_str(&output).with_context(|| format!("reading what watch.mjs printed: {output}"))
}

/// Runs a script of `tests/browser` with Node and returns what it printed.
pub async fn run(script: &str, job: &str) -> Result<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("browser");
    let installed = folder.join("node_modules/playwright-core").exists();
    ensure!(installed, "playwright-core is not installed: run `make setup WITH_TESTS=1`");
    let mut command = Command::new("node");
    command.arg(folder.join(script)).arg(job).kill_on_drop(true);
    let output = command.output().await.context("running node")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{script} failed:\n{said}");
    Ok(String::from_utf8(output.stdout)?)
}

/// Where pictures and figures for people go.
pub fn artifacts() -> Result<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("artifacts");
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// A new profile for every run: nothing of an earlier one is cached.
pub fn profile(world: &World) -> Result<PathBuf> {
    Ok(tempfile::Builder::new().prefix("chromium-").tempdir_in(&world.folder)?.keep())
}

/// Chromium's words for trusting the world's certificate and choosing TCP or QUIC.
pub fn flags(world: &World, reach: Reach) -> Result<Vec<String>> {
    let certificate = world.certificate.as_ref().context("a world without certificate")?;
    let mut flags = vec![format!("--ignore-certificate-errors-spki-list={}", certificate.spki)];
    if reach == Reach::Quic {
        let edges: Vec<String> = world.layout.edges.iter().map(|edge| edge.https.to_string()).collect();
        flags.push(format!("--origin-to-force-quic-on={}", edges.join(",")));
    }
    Ok(flags)
}
