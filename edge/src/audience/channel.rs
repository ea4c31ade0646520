//! What is counted of one channel: how many watch, for how long, how much they get and how well it plays.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use nearcast_api::ChannelId;
use nearcast_api::audience::{self, Audience, Sum};

use super::cmcd::Report;

/// A channel's counters.
#[derive(Debug)]
pub struct Channel {
    name: String,
    bytes: AtomicU64,
    viewer_seconds: AtomicU64,
    qoe: Mutex<audience::Qoe>,
}

/// What a session's player plays, as far as its requests say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Player {
    Hls,
    Dash,
    /// It has not asked for a playlist or manifest.
    #[default]
    Other,
}

/// How many watch now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Now {
    pub hls: u32,
    pub dash: u32,
    pub other: u32,
}

impl Channel {
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            bytes: AtomicU64::new(0),
            viewer_seconds: AtomicU64::new(0),
            qoe: Mutex::default(),
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// An answer of so many bytes.
    pub fn sent(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// So many watched for another second.
    pub fn watched(&self, viewers: u64) {
        self.viewer_seconds.fetch_add(viewers, Ordering::Relaxed);
    }

    /// A player says how it does.
    pub fn heard(&self, report: &Report) {
        let mut qoe = self.qoe.lock().unwrap_or_else(PoisonError::into_inner);
        let add = |sum: &mut Sum, value: Option<u32>| {
            if let Some(value) = value {
                sum.count += 1;
                sum.total += u64::from(value);
            }
        };
        qoe.reports += 1;
        add(&mut qoe.buffer_ms, report.buffer_ms);
        add(&mut qoe.throughput_kbps, report.throughput_kbps);
        add(&mut qoe.bitrate_kbps, report.bitrate_kbps);
        add(&mut qoe.latency_ms, report.latency_ms);
        add(&mut qoe.startup_ms, report.startup_ms);
        add(&mut qoe.starved_ms, report.starved_ms);
        qoe.starved += u64::from(report.starved);
        qoe.failed += u64::from(report.failed);
    }

    /// What the control plane is told; none of a channel whose name is none of ours.
    pub fn report(&self, now: Now) -> Option<Audience> {
        let channel: ChannelId = self.name.parse().ok()?;
        Some(Audience {
            channel,
            hls: now.hls,
            dash: now.dash,
            other: now.other,
            viewer_seconds: self.viewer_seconds.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            qoe: *self.qoe.lock().unwrap_or_else(PoisonError::into_inner),
        })
    }
}

impl Player {
    /// What asks for a file of this path.
    pub fn of(path: &str) -> Option<Self> {
        if path.ends_with(".m3u8") {
            Some(Self::Hls)
        } else if path.ends_with(".mpd") {
            Some(Self::Dash)
        } else {
            None
        }
    }
}

impl Now {
    /// One more.
    pub fn add(&mut self, player: Player) {
        match player {
            Player::Hls => self.hls += 1,
            Player::Dash => self.dash += 1,
            Player::Other => self.other += 1,
        }
    }

    /// All of them.
    pub fn viewers(self) -> u32 {
        self.hls.saturating_add(self.dash).saturating_add(self.other)
    }
}
