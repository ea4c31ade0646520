//! Which encoder this machine has: tried once at start, in a process of its own, for drivers crash.

use nearcast_service::log::Chain;
use serde::{Deserialize, Serialize};

use super::Config;
use super::process::Process;
use super::wire::Encoder;

/// `transcode.encoder`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Choice {
    #[default]
    Libx264,
    Nvenc,
    Vaapi,
    Qsv,
    /// The first in hardware that works.
    Auto,
}

impl Choice {
    /// What to try, in order, before libx264.
    fn candidates(self) -> &'static [Encoder] {
        match self {
            Self::Libx264 => &[],
            Self::Nvenc => &[Encoder::Nvenc],
            Self::Vaapi => &[Encoder::Vaapi],
            Self::Qsv => &[Encoder::Qsv],
            Self::Auto => &[Encoder::Nvenc, Encoder::Qsv, Encoder::Vaapi],
        }
    }
}

/// The encoder for all broadcasts of this process: the first of those chosen that encodes a picture, else libx264.
pub async fn encoder(config: &Config) -> Encoder {
    if !config.enabled {
        return Encoder::Libx264;
    }
    for candidate in config.encoder.candidates() {
        let tried = match Process::spawn(&config.program) {
            Ok(process) => process.probe(*candidate).await,
            Err(error) => Err(error),
        };
        let encoder = candidate.name();
        match (tried, config.encoder) {
            (Ok(()), _) => {
                tracing::info!(encoder, "lower renditions are encoded in hardware");
                return *candidate;
            }
            (Err(error), Choice::Auto) => {
                tracing::info!(encoder, "an encoder is not here: {}", Chain(&error));
            }
            (Err(error), _) => tracing::warn!(
                encoder,
                "the encoder of the configuration does not work, libx264 is used: {}",
                Chain(&error)
            ),
        }
    }
    tracing::info!(encoder = Encoder::Libx264.name(), "lower renditions are encoded on the CPU");
    Encoder::Libx264
}
