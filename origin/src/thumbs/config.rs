//! What the operator decides about thumbnails, `[thumbnails]`.

use serde::{Deserialize, Serialize};

/// `[thumbnails]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Make small pictures of what is live: `thumb.jpg` of a channel, and `thumbs/index.vtt` of a broadcast for seek
    /// bars.
    pub enabled: bool,
    /// Seconds from one picture to the next, each of a keyframe: 1 to 300.
    pub interval: u32,
    /// Pixels that pictures are high: 36 to 360. The width follows from the source's shape.
    pub height: u16,
    /// Pictures of all broadcasts that may be in the making at a time, each in a child process: 1 to 64.
    pub processes: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { enabled: true, interval: 10, height: 180, processes: 2 }
    }
}

impl Config {
    /// Says what cannot work, if anything.
    pub fn check(&self) -> Result<(), String> {
        let within = |key: &str, value: usize, least: usize, most: usize, unit: &str| match value {
            value if (least..=most).contains(&value) => Ok(()),
            _ => Err(format!("`thumbnails.{key}` must be {least} to {most}{unit}")),
        };
        within("interval", self.interval as usize, 1, 300, " seconds")?;
        within("height", self.height.into(), 36, 360, " pixels")?;
        within("processes", self.processes, 1, 64, "")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_work_is_said() {
        assert_eq!(Config::default().check(), Ok(()));
        let with = |change: fn(&mut Config)| {
            let mut config = Config::default();
            change(&mut config);
            config.check().unwrap_err()
        };
        assert_eq!(with(|config| config.interval = 0), "`thumbnails.interval` must be 1 to 300 seconds");
        assert_eq!(with(|config| config.height = 1080), "`thumbnails.height` must be 36 to 360 pixels");
        assert_eq!(with(|config| config.processes = 0), "`thumbnails.processes` must be 1 to 64");
    }
}
