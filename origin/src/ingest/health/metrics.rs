//! Health as metrics: set with every look, and gone with the broadcast.

use nearcast_api::ChannelId;
use nearcast_api::ingest::{Health, Warning};

use super::advice::CHECKS;
use crate::metrics::{ChannelLabels, ChannelTrackLabels, Publisher, WarningLabels};

impl Publisher {
    /// A channel's publisher does so now.
    pub(super) fn tell(&self, channel: &ChannelId, health: &Health) {
        let labels = ChannelLabels { channel: channel.to_string() };
        if let Some(video) = &health.video {
            self.set_bitrate(channel, "video", video.bitrate.mean);
            self.frame_rate.get_or_create(&labels).set(video.frame_rate.into());
            self.keyframe_interval.get_or_create(&labels).set(video.keyframe_s.into());
            self.missing_frames.get_or_create(&labels).set(whole(video.missing_frames));
        }
        if let Some(audio) = &health.audio {
            self.set_bitrate(channel, "audio", audio.bitrate.mean);
        }
        self.drift_ms.get_or_create(&labels).set(health.drift_ms.into());
        self.pace.get_or_create(&labels).set(health.pace.into());
        self.late_frames.get_or_create(&labels).set(whole(health.late_frames));
        self.jumps.get_or_create(&labels).set(whole(health.jumps));
        self.reconnects.get_or_create(&labels).set(health.reconnects.into());
    }

    /// These of a channel's warnings are raised, and no others.
    pub(super) fn warn(&self, channel: &ChannelId, raised: &[Warning]) {
        for check in &CHECKS {
            let labels = WarningLabels { channel: channel.to_string(), code: check.code };
            if raised.iter().any(|warning| warning.code == check.code) {
                self.warnings.get_or_create(&labels).set(1);
            } else {
                self.warnings.remove(&labels);
            }
        }
    }

    /// The channel is not live any more.
    pub(super) fn forget(&self, channel: &ChannelId) {
        let labels = ChannelLabels { channel: channel.to_string() };
        for track in ["video", "audio"] {
            self.bitrate.remove(&ChannelTrackLabels { channel: channel.to_string(), track });
        }
        for family in [&self.frame_rate, &self.keyframe_interval, &self.pace] {
            family.remove(&labels);
        }
        for family in [&self.missing_frames, &self.late_frames, &self.jumps, &self.reconnects, &self.drift_ms]
        {
            family.remove(&labels);
        }
        self.warn(channel, &[]);
    }

    fn set_bitrate(&self, channel: &ChannelId, track: &'static str, bitrate: u64) {
        let labels = ChannelTrackLabels { channel: channel.to_string(), track };
        self.bitrate.get_or_create(&labels).set(whole(bitrate));
    }
}

fn whole(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
