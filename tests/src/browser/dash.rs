//! dash.js and Shaka Player in Chromium, on a page of the test's own.

use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Deserialize;
use serde_json::json;

use super::{Reach, flags, profile, run};
use crate::world::World;

/// A player of others'.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Player {
    DashJs,
    Shaka,
}

/// What one page with two players saw.
#[derive(Debug, Deserialize)]
pub struct Seen {
    /// At the distance that the manifest suggests.
    pub live: Watched,
    /// At its latency target.
    pub low: Watched,
    /// ALPN names of all media requests.
    pub protocols: Vec<String>,
    /// Errors of the players, uncaught exceptions.
    pub complaints: Vec<String>,
}

/// What one player showed.
#[derive(Debug, Deserialize)]
pub struct Watched {
    /// Four a second.
    pub samples: Vec<Sample>,
    /// `waiting` events: stalls that a viewer would notice.
    pub waiting: u32,
}

/// A video at one moment.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct Sample {
    /// Seconds since the page was opened.
    pub at: f64,
    /// `currentTime`, in seconds.
    pub time: f64,
    /// Decoded so far.
    pub frames: u64,
    /// Seconds behind the manifest's clock.
    pub latency: f64,
    /// The same as the player reckons.
    pub told: f64,
}

/// Plays the manifest at `url`, whose availability start time is `start`, for `seconds`.
pub async fn play(
    world: &World,
    player: Player,
    reach: Reach,
    (url, start): (&str, f64),
    seconds: u32,
    screenshot: &Path,
) -> Result<Seen> {
    let job = json!({
        "player": match player { Player::DashJs => "dash.js", Player::Shaka => "shaka" },
        "url": url, "start": start, "seconds": seconds, "screenshot": screenshot,
        "profile": profile(world)?, "flags": flags(world, reach)?,
    });
    let output = run("dash.mjs", &job.to_string()).await?;
    serde_json::from_str(&output).with_context(|| format!("reading what dash.mjs printed: {output}"))
}

impl Watched {
    /// Seconds of the clock and of the broadcast that went by.
    pub fn spans(&self) -> Option<(f64, f64)> {
        let (first, last) = (self.samples.first()?, self.samples.last()?);
        Some((last.at - first.at, last.time - first.time))
    }

    /// The middle of all latencies, and the worst.
    pub fn latency(&self) -> Option<(f64, f64)> {
        let mut all: Vec<f64> = self.samples.iter().map(|sample| sample.latency).collect();
        all.sort_by(f64::total_cmp);
        Some((*all.get(all.len() / 2)?, *all.last()?))
    }
}
