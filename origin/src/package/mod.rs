//! Broadcasts: frames of all renditions become parts and playlists that requests can wait for.

mod begin;
mod broadcast;
mod budget;
mod channels;
mod feed;
pub mod id;
pub mod program;
mod rungs;
pub mod slate;
mod store;

use std::time::Duration;

use nearcast_api::ladder::AUDIO_PREFIX;
use nearcast_media::hls::multivariant::Steering;
use nearcast_media::package::Settings;
use serde::{Deserialize, Serialize};

pub use begin::{Before, Handover};
pub use broadcast::{Broadcast, Media, Progress};
pub use channels::{Busy, Channels, Claim, Stores};
pub use feed::{Air, Feed, Heard, Notes, Over, Word};
pub(crate) use feed::{Input, QUEUE_FRAMES};
pub use store::Stored;

/// The name of the publisher's own video among a broadcast's renditions.
pub const SOURCE: &str = "source";

/// The name of the publisher's audio.
pub const AUDIO: &str = "audio";

/// Whether a rendition of this name is sound without pictures: all that are begin alike.
pub fn is_audio(rendition: &str) -> bool {
    rendition == AUDIO || rendition.starts_with(AUDIO_PREFIX)
}

/// `[package]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Seconds after which a segment ends at the next keyframe: 0.5 to 10. Set the encoder's keyframe interval
    /// to this, or to a divisor.
    pub segment: f64,
    /// Seconds in a part: 0.1 to `segment`. Shorter is nearer to live and costs more requests.
    pub part: f64,
    /// Seconds of media in a playlist, at least seven target durations: up to 3600.
    pub window: f64,
    /// Seconds between keyframes up to which segments wait for one; beyond, they begin without: `segment` to 20.
    pub longest_gop: f64,
    /// Bytes of media in memory at most, all broadcasts together. Beyond, the oldest segments of the largest go
    /// to the `[dvr]` directory or, without one, away.
    pub memory_bytes: usize,
    /// Bytes of one broadcast in memory at most.
    pub broadcast_bytes: usize,
    /// Seconds a broadcast can be watched to its end after its publisher has stopped.
    pub linger: u64,
    /// URL of a content steering server that players ask which pathway to take; empty for none.
    pub steering: String,
    /// The pathway that this origin's renditions are on, when there is a steering server.
    pub pathway: String,
}

impl Default for Config {
    fn default() -> Self {
        let settings = Settings::default();
        Self {
            segment: settings.segment.as_secs_f64(),
            part: settings.part.as_secs_f64(),
            window: settings.window.as_secs_f64(),
            longest_gop: settings.longest_gop.as_secs_f64(),
            memory_bytes: 1 << 30,
            broadcast_bytes: settings.memory,
            linger: 60,
            steering: String::new(),
            pathway: ".".into(),
        }
    }
}

impl Config {
    /// Says what cannot work, if anything.
    pub fn check(&self) -> Result<(), String> {
        for (key, value, least, most) in [
            ("segment", self.segment, 0.5, 10.0),
            ("part", self.part, 0.1, self.segment),
            ("window", self.window, 0.0, 3600.0),
            ("longest_gop", self.longest_gop, self.segment, 20.0),
        ] {
            if !(least..=most).contains(&value) {
                return Err(format!("`package.{key}` must be {least} to {most} seconds"));
            }
        }
        if !self.steering.bytes().all(|b| b.is_ascii_graphic() && b != b'"') {
            return Err("`package.steering` must be a URL, relative to index.m3u8 or whole".into());
        }
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
        if self.pathway.is_empty() || !self.pathway.bytes().all(plain) {
            return Err("`package.pathway` must be one or more of A-Z a-z 0-9 . - _".into());
        }
        Ok(())
    }

    /// Who steers players, if anybody does.
    fn steering(&self) -> Option<Steering> {
        let server = Some(&self.steering).filter(|server| !server.is_empty())?.clone();
        Some(Steering { server, pathway: Some(self.pathway.clone()) })
    }

    fn settings(&self) -> Settings {
        Settings {
            segment: Duration::from_secs_f64(self.segment),
            part: Duration::from_secs_f64(self.part),
            window: Duration::from_secs_f64(self.window),
            longest_gop: Duration::from_secs_f64(self.longest_gop),
            memory: self.broadcast_bytes,
            ..Settings::default()
        }
    }

    fn linger(&self) -> Duration {
        Duration::from_secs(self.linger)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_that_do_not_fit_together_are_refused() {
        let with = |change: fn(&mut Config)| {
            let mut config = Config::default();
            change(&mut config);
            config.check().unwrap_err()
        };
        assert_eq!(Config::default().check(), Ok(()));
        assert!(with(|config| config.part = 3.0).contains("`package.part` must be 0.1 to 2 seconds"));
        assert!(with(|config| config.segment = f64::NAN).contains("package.segment"));
        assert!(with(|config| config.steering = "a b".into()).contains("package.steering"));
        assert!(with(|config| config.pathway = "\"".into()).contains("package.pathway"));
        assert!(with(|config| config.longest_gop = 1.0).contains("package.longest_gop"));
    }
}
