//! What is counted of a channel, and of a country: how many watch, for how long, how much they get and how well it plays.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use nearcast_api::audience::{Audience, InCountry, Qoe, Sum};
use nearcast_api::playback::Country;

use super::cmcd::Report;

/// What was watched of a channel, or in a country.
#[derive(Debug)]
pub struct Counters<K> {
    /// Of which one.
    pub of: K,
    bytes: AtomicU64,
    viewer_seconds: AtomicU64,
    qoe: Mutex<Qoe>,
}

/// What was watched of one channel, by its name.
pub type Channel = Counters<Arc<str>>;

/// Where it is counted what somebody gets.
#[derive(Debug, Clone)]
pub struct Seat {
    pub channel: Arc<Channel>,
    /// None where this edge has no way to know in which country anybody is.
    pub country: Option<Arc<Counters<Country>>>,
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

/// How many watch a channel now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Now {
    pub hls: u32,
    pub dash: u32,
    pub other: u32,
    /// Those of them who are in which country.
    pub countries: HashMap<Country, u32>,
}

impl Seat {
    /// An answer of so many bytes.
    pub fn sent(&self, bytes: u64) {
        self.channel.sent(bytes);
        if let Some(country) = &self.country {
            country.sent(bytes);
        }
    }

    /// A player says how it does.
    pub fn heard(&self, report: &Report) {
        self.channel.heard(report);
        if let Some(country) = &self.country {
            country.heard(report);
        }
    }
}

impl<K> Counters<K> {
    pub fn new(of: K) -> Self {
        Self { of, bytes: AtomicU64::new(0), viewer_seconds: AtomicU64::new(0), qoe: Mutex::default() }
    }

    /// An answer of so many bytes.
    fn sent(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// So many watched for another second.
    pub fn watched(&self, viewers: u64) {
        self.viewer_seconds.fetch_add(viewers, Ordering::Relaxed);
    }

    /// A player says how it does.
    fn heard(&self, report: &Report) {
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

    fn viewer_seconds(&self) -> u64 {
        self.viewer_seconds.load(Ordering::Relaxed)
    }

    fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    fn qoe(&self) -> Qoe {
        *self.qoe.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Channel {
    /// What the control plane is told; none of a channel whose name is none of ours.
    pub fn report(&self, now: &Now) -> Option<Audience> {
        Some(Audience {
            channel: self.of.parse().ok()?,
            hls: now.hls,
            dash: now.dash,
            other: now.other,
            viewer_seconds: self.viewer_seconds(),
            bytes: self.bytes(),
            qoe: self.qoe(),
            countries: busiest(&now.countries, MAX_COUNTRIES).into_iter().collect(),
        })
    }
}

impl Counters<Country> {
    /// What the control plane is told.
    pub fn report(&self, viewers: u32) -> InCountry {
        let (viewer_seconds, bytes, qoe) = (self.viewer_seconds(), self.bytes(), self.qoe());
        InCountry { country: self.of, viewers, viewer_seconds, bytes, qoe }
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
    pub fn add(&mut self, player: Player, country: Option<Country>) {
        if let Some(country) = country {
            *self.countries.entry(country).or_default() += 1;
        }
        match player {
            Player::Hls => self.hls += 1,
            Player::Dash => self.dash += 1,
            Player::Other => self.other += 1,
        }
    }

    /// All of them.
    pub fn viewers(&self) -> u32 {
        self.hls.saturating_add(self.dash).saturating_add(self.other)
    }
}

/// The countries with the most viewers, at most so many, the first first.
pub fn busiest(countries: &HashMap<Country, u32>, most: usize) -> Vec<(Country, u32)> {
    let mut busiest: Vec<_> = countries.iter().map(|(country, viewers)| (*country, *viewers)).collect();
    busiest.sort_by_key(|(country, viewers)| (Reverse(*viewers), *country));
    busiest.truncate(most);
    busiest
}

/// Of each channel that the control plane is told of.
const MAX_COUNTRIES: usize = 10;
