//! Who watched, how much and how well, over time: heartbeats become minutes, minutes become longer buckets. Pure.
//!
//! [`Meter`] makes minutes of what nodes say, `store/audience.rs` keeps them and rolls them up, [`series`] makes of them
//! what is asked for. There are buckets of regions, of nodes, and of channels and of viewers' countries in regions; of
//! channels the most watched of each bucket and region, and one for all others together.

pub mod amounts;
mod counted;
pub mod meter;
pub mod series;

use serde::{Deserialize, Serialize};

pub use amounts::Amounts;
pub use meter::Meter;
use nearcast_api::Region;

/// `[audience]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Hours for which minutes are kept.
    pub minutes: u64,
    /// Days for which buckets of ten minutes are kept.
    pub ten_minutes: u64,
    /// Days for which hours are kept; a forecast stands on them.
    pub hours: u64,
    /// Days for which days are kept.
    pub days: u64,
    /// The channels of a region that have buckets of their own: those that are watched most. All others share one.
    pub channels: u32,
}

/// Whose a bucket is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    pub kind: Kind,
    /// The region's, the node's, the channel's or the country's; of all other channels together [`OTHERS`].
    pub name: Box<str>,
    pub region: Box<str>,
}

/// What a bucket is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    Channel,
    /// Of viewers whose country is known.
    Country,
    Node,
    Region,
}

/// What channels or countries are compared by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// The most viewers at a time.
    #[default]
    Viewers,
    Egress,
    WatchTime,
}

/// A bucket as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bucket {
    /// When it begins, in milliseconds since the Unix epoch.
    pub at: u64,
    pub key: Key,
    pub amounts: Amounts,
}

/// How long buckets are, from the shortest to the longest: each is made of those before it. In milliseconds.
pub const WIDTHS: [u64; 4] = [MINUTE, 10 * MINUTE, HOUR, DAY];
pub const MINUTE: u64 = 60_000;
pub const HOUR: u64 = 60 * MINUTE;
pub const DAY: u64 = 24 * HOUR;
/// No channel is called so.
pub const OTHERS: &str = "";

impl Key {
    fn new(kind: Kind, name: &str, region: &Region) -> Self {
        Self { kind, name: name.into(), region: region.as_str().into() }
    }
}

impl Kind {
    /// Its word in the store.
    pub fn word(self) -> &'static str {
        match self {
            Self::Channel => "channel",
            Self::Country => "country",
            Self::Node => "node",
            Self::Region => "region",
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self { minutes: 6, ten_minutes: 7, hours: 90, days: 5 * 365, channels: 200 }
    }
}

impl Config {
    /// For how long buckets of each of [`WIDTHS`] are kept, in milliseconds.
    pub fn kept(&self) -> [u64; 4] {
        [self.minutes * HOUR, self.ten_minutes * DAY, self.hours * DAY, self.days * DAY]
    }

    /// One line on what cannot work.
    pub fn check(&self) -> Result<(), String> {
        let limits = [
            ("minutes", self.minutes, 2, 48),
            ("ten_minutes", self.ten_minutes, 1, 90),
            ("hours", self.hours, 7, 800),
            ("days", self.days, 30, 36_500),
            ("channels", self.channels.into(), 1, 10_000),
        ];
        for (key, value, least, most) in limits {
            if !(least..=most).contains(&value) {
                return Err(format!("audience.{key} is {value}: use {least} to {most}"));
            }
        }
        Ok(())
    }
}
