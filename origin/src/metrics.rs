//! What an origin counts.

use std::sync::atomic::AtomicU64;

use nearcast_media::Track;
use nearcast_service::metrics::{Counter, EncodeLabelSet, Family, Gauge, Registry};

nearcast_service::metrics! {
    /// What arrives from publishers.
    pub struct Ingest: "ingest" {
        /// Publishers' connections now open.
        pub connections: Gauge,
        /// Connections refused because there were too many, from one address or all together.
        pub rejected_connections: Counter,
        /// Bytes received from publishers.
        pub received_bytes: Counter,
        /// Frames received, by track.
        pub frames: Family<TrackLabels, Counter>,
        /// Requests to publish that were refused, by reason.
        pub refused: Family<ReasonLabels, Counter>,
        /// Connections ended because of what the publisher sent or did not send, by reason.
        pub failed: Family<ReasonLabels, Counter>,
        /// Publishers whose frames go to another origin, where their channel is live.
        pub forwarded: Gauge,
        /// Packets of SRT publishers that were lost on the way and came in time when sent again.
        pub srt_recovered_packets: Counter,
        /// Packets of SRT publishers that came too late or never.
        pub srt_lost_packets: Counter,
        /// Round trip time to a channel's SRT publisher, in seconds, by channel.
        pub srt_rtt: Family<ChannelLabels, Gauge<f64, AtomicU64>>,
    }
}

nearcast_service::metrics! {
    /// How the publishers of live channels do; a channel's series end with its broadcast.
    pub struct Publisher: "publisher" {
        /// Bits per second over the last ten seconds, by track.
        pub bitrate: Family<ChannelTrackLabels, Gauge>,
        /// Frames per second of video.
        pub frame_rate: Family<ChannelLabels, Gauge<f64, AtomicU64>>,
        /// Seconds from a keyframe to the next, on average.
        pub keyframe_interval: Family<ChannelLabels, Gauge<f64, AtomicU64>>,
        /// Milliseconds by which the audio is ahead of the video.
        pub drift_ms: Family<ChannelLabels, Gauge>,
        /// Seconds of media that arrive in a second.
        pub pace: Family<ChannelLabels, Gauge<f64, AtomicU64>>,
        /// Frames that the timestamps have a hole for, in this broadcast.
        pub missing_frames: Family<ChannelLabels, Gauge>,
        /// Frames that came more than a second late, in this broadcast.
        pub late_frames: Family<ChannelLabels, Gauge>,
        /// Timestamps that jumped, in this broadcast.
        pub jumps: Family<ChannelLabels, Gauge>,
        /// Times the publisher has come back, in this broadcast.
        pub reconnects: Family<ChannelLabels, Gauge>,
        /// Warnings that are raised, by code.
        pub warnings: Family<WarningLabels, Gauge>,
        /// Events that the control plane was away for too long to hear of.
        pub lost_events: Counter,
    }
}

nearcast_service::metrics! {
    /// What the transcode children do.
    pub struct Transcode: "transcode" {
        /// Frames that were made, by rung.
        pub frames: Family<RungLabels, Counter>,
        /// Children that ended before their broadcast.
        pub restarts: Counter,
        /// Source frames the ladder went without, because the child was behind or away.
        pub skipped_frames: Counter,
        /// Pictures a rung went without because the encoders were behind, by rung.
        pub shed_frames: Family<RungLabels, Counter>,
        /// Source frames that could not be decoded.
        pub damaged_frames: Counter,
    }
}

nearcast_service::metrics! {
    /// Small pictures of what is live.
    pub struct Thumbnails: "thumbnails" {
        /// Pictures made.
        pub pictures: Counter,
        /// Sheets of pictures made.
        pub sheets: Counter,
        /// Pictures and sheets that could not be made.
        pub failed: Counter,
        /// Pictures left out because others were being made.
        pub skipped: Counter,
        /// Bytes of pictures and sheets in memory, all broadcasts together.
        pub memory_bytes: Gauge,
    }
}

nearcast_service::metrics! {
    /// What is packaged.
    pub struct Package: "package" {
        /// Broadcasts now live.
        pub live: Gauge,
        /// Broadcasts begun.
        pub broadcasts: Counter,
        /// Broadcasts of another origin that went on here.
        pub takeovers: Counter,
        /// Parts made, all renditions together.
        pub parts: Counter,
        /// Times that another encoder, or the same with other settings, went on in a broadcast.
        pub splices: Counter,
        /// Times that the slate began to stand in for a publisher.
        pub slates: Counter,
        /// Frames that could not be packaged, all renditions together.
        pub rejected_frames: Counter,
        /// Bytes of media in memory, all broadcasts together.
        pub memory_bytes: Gauge,
    }
}

nearcast_service::metrics! {
    /// What viewers can go back to on disk.
    pub struct Dvr: "dvr" {
        /// Bytes on disk.
        pub disk_bytes: Gauge,
        /// Bytes written.
        pub written_bytes: Counter,
        /// Bytes read back for requests.
        pub read_bytes: Counter,
        /// Segments that could not be kept, because the disk was full, slow or broken.
        pub lost_segments: Counter,
        /// 1 while the disk is full.
        pub full: Gauge,
    }
}

nearcast_service::metrics! {
    /// What is recorded.
    pub struct Record: "record" {
        /// Recordings of live broadcasts, and of those just over that are not complete yet.
        pub active: Gauge,
        /// Recordings completed.
        pub completed: Counter,
        /// Recordings completed that a crash had left open.
        pub recovered: Counter,
        /// Recordings deleted because they were too old or too many.
        pub deleted: Counter,
        /// Bytes stored.
        pub stored_bytes: Counter,
        /// Segments that are missing from recordings, because the store was slow, full or away.
        pub lost_segments: Counter,
        /// Writes that the store did not take; most are tried again.
        pub failed_writes: Counter,
        /// Bytes of all recordings, where they are in a directory.
        pub disk_bytes: Gauge,
        /// 1 while nothing is recorded because the disk is full.
        pub full: Gauge,
    }
}

nearcast_service::metrics! {
    /// What is served.
    pub struct Serve: "serve" {
        /// Requests answered, by kind of resource and status.
        pub requests: Family<RequestLabels, Counter>,
        /// Requests now waiting for a playlist or a part that does not exist yet.
        pub blocked: Gauge,
    }
}

/// All of them.
#[derive(Debug, Clone)]
pub struct Metrics {
    pub ingest: Ingest,
    pub publisher: Publisher,
    pub transcode: Transcode,
    pub thumbnails: Thumbnails,
    pub package: Package,
    pub dvr: Dvr,
    pub record: Record,
    pub serve: Serve,
}

impl Metrics {
    /// Adds the metrics to the registry; call it once per registry.
    pub fn register(registry: &Registry) -> Self {
        Self {
            ingest: Ingest::register(registry),
            publisher: Publisher::register(registry),
            transcode: Transcode::register(registry),
            thumbnails: Thumbnails::register(registry),
            package: Package::register(registry),
            dvr: Dvr::register(registry),
            record: Record::register(registry),
            serve: Serve::register(registry),
        }
    }
}

/// Labels of [`Ingest::srt_rtt`] and most of [`Publisher`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ChannelLabels {
    pub channel: String,
}

/// Labels of [`Publisher::bitrate`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ChannelTrackLabels {
    pub channel: String,
    /// `video` or `audio`
    pub track: &'static str,
}

/// Labels of [`Publisher::warnings`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct WarningLabels {
    pub channel: String,
    pub code: &'static str,
}

/// Labels of [`Ingest::frames`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct TrackLabels {
    /// `video` or `audio`
    pub track: &'static str,
}

impl TrackLabels {
    /// Of a track.
    pub fn of(track: Track) -> Self {
        Self {
            track: match track {
                Track::Video => "video",
                Track::Audio => "audio",
            },
        }
    }
}

/// Labels of [`Ingest::refused`] and [`Ingest::failed`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ReasonLabels {
    pub reason: &'static str,
}

/// Labels of [`Transcode::shed_frames`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RungLabels {
    pub rung: String,
}

/// Labels of [`Serve::requests`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RequestLabels {
    /// `multivariant`, `manifest`, `media`, `iframes`, `init`, `segment`, `part`,
    /// `thumbnail` or `other`
    pub kind: &'static str,
    pub status: u16,
}
