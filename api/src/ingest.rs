//! How publishers do: the health of what they send, what happened to them, and what they may send.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{BroadcastId, ChannelId};

/// What an origin sees of the publisher of a broadcast. Readers skip what they do not know, so a newer origin may say more.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct Health {
    /// How it arrives: `rtmp`, `rtmps`, `srt`, or `forwarded` by another origin.
    pub protocol: String,
    /// What the encoder calls itself; empty when it does not say.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub encoder: String,
    /// Family of the publisher's address: `ipv4` or `ipv6`.
    pub family: String,
    /// It stands by with a backup key.
    #[serde(skip_serializing_if = "is_false")]
    pub backup: bool,
    /// Viewers see what it sends.
    pub on_air: bool,
    /// Seconds since this connection began to publish.
    pub connected_s: u64,
    /// Times it has come back while its broadcast went on.
    pub reconnects: u32,
    /// Bits per second of all tracks.
    pub bitrate: Rate,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub video: Option<Video>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audio: Option<Audio>,
    /// Further video tracks that arrive, for a channel that takes its lower renditions from the publisher.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub further: Vec<Further>,
    /// What the protocol knows of the line; only SRT does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<Line>,
    /// Milliseconds by which the audio's timestamps are ahead of the video's that arrive with them.
    pub drift_ms: i32,
    /// Seconds of media that arrive in a second, over the last ten: below 1 the line or the encoder is too slow.
    pub pace: f32,
    /// Frames that came more than a second later than their timestamps promise.
    pub late_frames: u64,
    /// Timestamps that went back or far ahead and were put right.
    pub jumps: u64,
    /// What is wrong now, worst first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Warning>,
}

/// Bits per second.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct Rate {
    /// Over the last second.
    pub now: u64,
    /// Over the last ten seconds.
    pub mean: u64,
}

/// The video that arrives.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct Video {
    /// RFC 6381 name, such as `avc1.64001f`.
    pub codec: String,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Bits per second.
    pub bitrate: Rate,
    /// Frames per second of media, over the last ten seconds.
    pub frame_rate: f32,
    /// Standard deviation of the time between frames, in milliseconds.
    pub jitter_ms: f32,
    /// Seconds between the last keyframes, on average.
    pub keyframe_s: f32,
    /// Frames from a keyframe to the next, on average.
    pub keyframe_frames: u32,
    /// Frames are sent in another order than they are shown.
    pub b_frames: bool,
    /// Frames that the timestamps have a hole for, since the broadcast began.
    pub missing_frames: u64,
}

/// The audio that arrives.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct Audio {
    /// RFC 6381 name, such as `mp4a.40.2`.
    pub codec: String,
    /// Samples per second.
    pub sample_rate: u32,
    pub channels: u8,
    /// Bits per second.
    pub bitrate: Rate,
}

/// A further video track that arrives.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct Further {
    /// RFC 6381 name, such as `avc1.64001f`.
    pub codec: String,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
}

/// A publisher's line, since it connected.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct Line {
    /// Milliseconds there and back.
    pub rtt_ms: f32,
    /// Milliseconds for which what is lost can be sent again before it is too late.
    pub latency_ms: u32,
    /// Packets that were lost and came again in time.
    pub recovered_packets: u64,
    /// Packets that did not.
    pub lost_packets: u64,
}

/// Something that a publisher should change, in words that say what.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct Warning {
    /// Its name for programs; it never changes its meaning.
    pub code: String,
    /// Viewers do not suffer, it only could be better.
    #[serde(skip_serializing_if = "is_false")]
    pub notice: bool,
    pub text: String,
    /// What was measured, by name with unit: `interval_s`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub numbers: BTreeMap<String, f64>,
    /// Milliseconds since the Unix epoch.
    pub since: u64,
}

/// Something that happened to a publisher.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Event {
    /// Grows by one with each event of an origin since it started.
    pub seq: u64,
    /// Milliseconds since the Unix epoch.
    pub at: u64,
    pub channel: ChannelId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broadcast: Option<BroadcastId>,
    pub kind: Kind,
    /// For programs: the warning's code, the reason of a refusal, `primary` or `backup` for whose line it is or who is on
    /// the air, `takeover` when an encoder has taken the place of another; else empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub code: String,
    /// For people.
    pub text: String,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A broadcast began.
    Started,
    /// A broadcast ended.
    Stopped,
    /// A publisher was sent away.
    Refused,
    WarningRaised,
    WarningCleared,
    /// A publisher's line failed; its broadcast waits for it, or goes on from another publisher.
    Lost,
    /// The publisher came back and its broadcast goes on.
    Reconnected,
    /// Another of the channel's publishers feeds the broadcast now.
    Switched,
    /// Something that only newer software knows.
    #[serde(other)]
    Other,
}

/// The oldest events that the control plane has not acknowledged, in order. They come again until it has.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Events {
    /// What numbers count from: when the origin started, in milliseconds since the Unix epoch.
    pub epoch: u64,
    pub events: Vec<Event>,
}

/// The control plane has all events of an epoch up to this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Acknowledged {
    pub epoch: u64,
    pub seq: u64,
}

/// What a channel's publishers may send; beyond it they are refused. What is left out is as the origin has it, 0 is no
/// limit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct Limits {
    /// Bits per second of everything, averaged over ten seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bitrate: Option<u64>,
    /// Pixels of the picture's longer side.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub width: Option<u32>,
    /// Pixels of the picture's shorter side.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
    /// Frames per second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frame_rate: Option<u32>,
    /// Seconds from a keyframe to the next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keyframe_interval: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audio_channels: Option<u8>,
    /// Samples per second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sample_rate: Option<u32>,
}

impl Limits {
    /// One line on what cannot work.
    ///
    /// # Errors
    /// A limit that nobody could keep.
    pub fn check(&self) -> Result<(), String> {
        let least = |name: &str, value: Option<u64>, least: u64, unit: &str| match value {
            Some(value) if value != 0 && value < least => {
                Err(format!("`{name}` is below {least} {unit}: nobody could publish; 0 is no limit"))
            }
            _ => Ok(()),
        };
        least("limits.bitrate", self.bitrate, 64_000, "bits per second")?;
        least("limits.width", self.width.map(u64::from), 16, "pixels")?;
        least("limits.height", self.height.map(u64::from), 16, "pixels")?;
        least("limits.sample_rate", self.sample_rate.map(u64::from), 7_350, "samples per second")
    }
}

/// The default of a flag goes without saying.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_false(flag: &bool) -> bool {
    !flag
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_newer_software_says_is_read_as_far_as_it_is_known() {
        let health: Health = serde_json::from_str(r#"{"protocol":"moq","smell":"fine","pace":1}"#).unwrap();
        assert_eq!((health.protocol.as_str(), health.pace), ("moq", 1.0));
        let event = r#"{"seq":1,"at":2,"channel":"demo","kind":"beamed_up","text":"x","colour":"red"}"#;
        assert_eq!(serde_json::from_str::<Event>(event).unwrap().kind, Kind::Other);
        assert_eq!(serde_json::to_string(&Kind::WarningRaised).unwrap(), "\"warning_raised\"");
    }

    #[test]
    fn what_goes_without_saying_is_not_said() {
        assert_eq!(serde_json::to_string(&Limits::default()).unwrap(), "{}");
        let warning = serde_json::to_string(&Warning::default()).unwrap();
        assert_eq!(warning, r#"{"code":"","text":"","since":0}"#);
    }
}
