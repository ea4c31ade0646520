//! How a channel's broadcasts are to be, as its admin decides it.

use serde::{Deserialize, Serialize};

use crate::ingest::Limits;
use crate::ladder::Ladder;
use crate::playback::Playback;

/// A channel's own settings. What is left out is decided by the origin's configuration.
///
/// A node ignores what it does not know, so that it can be older than the control plane; the API refuses it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "schema", schema(as = ChannelSettings))]
#[serde(default)]
pub struct Settings {
    /// Nobody can publish, and what is live ends at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub closed: Option<bool>,
    /// What happens when a second encoder publishes while the first is still sending.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub takeover: Option<Takeover>,
    /// What its publishers may send.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,
    /// Its lower renditions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ladder: Option<Ladder>,
    /// Seconds that viewers can go back while it is live (DVR), 30 to 3600. It holds for broadcasts that begin after it was
    /// set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dvr: Option<u32>,
    /// Keep its broadcasts as recordings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record: Option<bool>,
    /// Who may watch it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub playback: Option<Playback>,
}

impl Settings {
    /// Whether nobody can publish.
    pub fn is_closed(&self) -> bool {
        self.closed.unwrap_or(false)
    }

    /// Says what cannot be, if anything, and what can.
    pub fn check(&self) -> Result<(), String> {
        if self.dvr.is_some_and(|seconds| !(30..=3600).contains(&seconds)) {
            return Err("`dvr` is 30 to 3600 seconds; null for the origin's `package.window`".to_owned());
        }
        self.limits.as_ref().map_or(Ok(()), Limits::check)?;
        self.ladder.as_ref().map_or(Ok(()), Ladder::check)?;
        self.playback.as_ref().map_or(Ok(()), Playback::check)
    }
}

/// Who keeps the channel when two encoders publish with keys of the same rank.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Takeover {
    /// The first keeps it, unless it has gone quiet.
    #[default]
    Refuse,
    /// The newest takes over, and the first is disconnected.
    Newest,
}
