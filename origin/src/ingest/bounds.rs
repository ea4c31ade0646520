//! What a publisher may send: held against every configuration, frame and read. No clock: `now` is an argument.

use std::time::{Duration, Instant};

use nearcast_api::ingest;
use nearcast_media::frame::CLOCK;
use nearcast_media::{Config as TrackConfig, Event, Frame, Picture, Piece, Sound, Track};
use serde::{Deserialize, Serialize};

use super::access::Denied;
use super::health::{bits, short};

/// `[limits]`: beyond these a publisher is refused, in words that say what to set. 0 is no limit; a channel may have its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Bounds {
    /// Bits per second of everything that comes, averaged over ten seconds; a burst may bring ten seconds' worth at once.
    pub bitrate: u64,
    /// Pixels of the picture's longer side.
    pub width: u32,
    /// Pixels of the picture's shorter side.
    pub height: u32,
    /// Frames per second.
    pub frame_rate: u32,
    /// Seconds from a keyframe to the next.
    pub keyframe_interval: u32,
    /// Channels of the audio.
    pub audio_channels: u8,
    /// Samples per second of the audio.
    pub sample_rate: u32,
}

/// A limit, and what was sent instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Breach {
    /// Which limit, for metrics and events.
    pub reason: &'static str,
    text: String,
}

impl Breach {
    /// The origin where the channel is live does not take the publisher.
    pub(super) fn elsewhere(text: String) -> Self {
        Self { reason: "elsewhere", text }
    }

    /// Its key opens the channel no longer.
    pub(super) fn denied(denied: &Denied) -> Self {
        Self { reason: denied.reason(), text: denied.to_string() }
    }
}

/// Watches one publisher.
#[derive(Debug)]
pub struct Guard {
    limits: Bounds,
    /// Bytes that may still come at once, and when that was so.
    allowance: f64,
    at: Instant,
    /// The newest media time, and the bytes of the media up to it; the same when measuring began.
    media: Option<Media>,
    /// Time of the last keyframe.
    keyframe: Option<i64>,
    /// Time of the first frame of those that are counted, and how many.
    pictures: Option<(i64, u32)>,
}

/// Media that came: from when, up to when, how many bytes.
#[derive(Debug, Clone, Copy)]
struct Media {
    from: i64,
    to: i64,
    bytes: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            bitrate: 80_000_000,
            width: 4_096,
            height: 2_304,
            frame_rate: 120,
            keyframe_interval: 0,
            audio_channels: 8,
            sample_rate: 96_000,
        }
    }
}

impl Bounds {
    /// Says what cannot work, if anything.
    pub fn check(&self) -> Result<(), String> {
        let Self { bitrate, width, height, sample_rate, .. } = *self;
        let (bitrate, sample_rate) = (Some(bitrate), Some(sample_rate));
        let limits = ingest::Limits { bitrate, sample_rate, ..ingest::Limits::default() };
        ingest::Limits { width: Some(width), height: Some(height), ..limits }.check()
    }

    /// These, with what a channel has otherwise.
    #[must_use]
    pub fn with(self, own: &ingest::Limits) -> Self {
        Self {
            bitrate: own.bitrate.unwrap_or(self.bitrate),
            width: own.width.unwrap_or(self.width),
            height: own.height.unwrap_or(self.height),
            frame_rate: own.frame_rate.unwrap_or(self.frame_rate),
            keyframe_interval: own.keyframe_interval.unwrap_or(self.keyframe_interval),
            audio_channels: own.audio_channels.unwrap_or(self.audio_channels),
            sample_rate: own.sample_rate.unwrap_or(self.sample_rate),
        }
    }
}

impl Guard {
    pub fn new(limits: Bounds, now: Instant) -> Self {
        let allowance = capacity(limits.bitrate);
        Self { limits, allowance, at: now, media: None, keyframe: None, pictures: None }
    }

    /// Takes what is fed to the broadcast.
    ///
    /// # Errors
    /// [`Breach`] when a limit is passed; the publisher must be sent away.
    pub fn observe(&mut self, event: &Event) -> Result<(), Breach> {
        match event {
            Event::Config(config) => self.config(config),
            Event::Frame(track, frame) => self.frame(*track, frame),
            Event::Further(_, Piece::Config(config)) => self.size(config),
            Event::Further(_, Piece::Frame(frame)) => {
                self.count(frame);
                Ok(())
            }
        }
    }

    /// Takes bytes that were read, and says how long to wait before more are: a publisher far above its limit is read
    /// at twice the limit until it is sent away, which is ten seconds later at most.
    ///
    /// # Errors
    /// [`Breach`] when more has come than the bitrate allows.
    pub fn received(&mut self, bytes: usize, now: Instant) -> Result<Duration, Breach> {
        let limit = self.limits.bitrate;
        if limit == 0 {
            return Ok(Duration::ZERO);
        }
        let capacity = capacity(limit);
        let earned =
            now.saturating_duration_since(self.at).as_secs_f64() * bytes_per_second(limit) * TOLERANCE;
        self.at = self.at.max(now);
        self.allowance = (self.allowance + earned).min(capacity) - bytes as f64;
        if self.allowance < 0.0 {
            return Err(self.too_much(limit));
        }
        if self.allowance > capacity / 2.0 {
            return Ok(Duration::ZERO);
        }
        Ok(Duration::from_secs_f64(bytes as f64 / bytes_per_second(limit) / THROTTLE).min(LONGEST_PAUSE))
    }

    fn too_much(&self, limit: u64) -> Breach {
        // By its own clock, the stream says what it has; how fast it came was also up to us.
        let sent = self.media.map_or(0, |Media { from, to, bytes }| {
            let seconds = (to - from) as f64 / CLOCK as f64;
            if seconds < 1.0 { 0 } else { (bytes as f64 * 8.0 / seconds) as u64 }
        });
        // Anything above the limit that came in real time is more than the limit, if only by the burst.
        let measured = if sent > limit { bits(sent) } else { format!("more than {}", bits(limit)) };
        breach(
            "bitrate",
            format!(
                "bitrate limit: you send {measured}, this channel takes {}: set audio and video together to at most {}",
                bits(limit),
                bits(limit / 20 * 19)
            ),
        )
    }

    fn config(&mut self, config: &TrackConfig) -> Result<(), Breach> {
        self.size(config)?;
        if config.track() == Track::Video {
            // What the bitstream says of its frame rate is often wrong: frames are counted instead.
            (self.keyframe, self.pictures) = (None, None);
        }
        self.sound(config)
    }

    fn size(&self, config: &TrackConfig) -> Result<(), Breach> {
        let limits = self.limits;
        if let Some(Picture { width, height, .. }) = config.picture() {
            let (long, short_side) = (width.max(height), width.min(height));
            if above(long, limits.width) || above(short_side, limits.height) {
                let or = |limit: u32| if limit == 0 { "any".to_owned() } else { limit.to_string() };
                let most = format!("{}x{}", or(limits.width), or(limits.height));
                return Err(breach(
                    "resolution",
                    format!(
                        "resolution limit: you send {width}x{height}, this channel takes {most}: lower the encoder's \
                         output resolution"
                    ),
                ));
            }
        }
        Ok(())
    }

    fn sound(&self, config: &TrackConfig) -> Result<(), Breach> {
        let limits = self.limits;
        let Some(Sound { sample_rate, channels }) = config.sound() else { return Ok(()) };
        if above(channels, limits.audio_channels) {
            let most = limits.audio_channels;
            return Err(breach(
                "audio_channels",
                format!(
                    "audio limit: you send {channels} channels, this channel takes {most}: set the encoder to {most}"
                ),
            ));
        }
        if above(sample_rate, limits.sample_rate) {
            let most = limits.sample_rate;
            return Err(breach(
                "sample_rate",
                format!(
                    "audio limit: you send {sample_rate} Hz, this channel takes {most} Hz: set the encoder to 48000 Hz or less"
                ),
            ));
        }
        Ok(())
    }

    fn count(&mut self, frame: &Frame) {
        let media = self.media.get_or_insert(Media { from: frame.dts, to: frame.dts, bytes: 0 });
        media.to = media.to.max(frame.dts);
        media.bytes = media.bytes.saturating_add(frame.data.len() as u64);
        if media.to - media.from > 10 * CLOCK {
            // Half of it stays, so that there is always something to tell.
            *media = Media { from: media.to - (media.to - media.from) / 2, bytes: media.bytes / 2, ..*media };
        }
    }

    fn frame(&mut self, track: Track, frame: &Frame) -> Result<(), Breach> {
        self.count(frame);
        if track == Track::Audio {
            return Ok(());
        }
        if frame.keyframe {
            self.keyframe = Some(frame.dts);
        }
        let interval = self.keyframe.map_or(0.0, |last| (frame.dts - last) as f64 / CLOCK as f64);
        if self.limits.keyframe_interval > 0 && interval > f64::from(self.limits.keyframe_interval) + 0.1 {
            let most = self.limits.keyframe_interval;
            return Err(breach(
                "keyframe_interval",
                format!(
                    "keyframe limit: {} s without a keyframe, this channel takes {most} s: set the encoder's keyframe \
                     interval to {} s",
                    short(interval),
                    most.min(2)
                ),
            ));
        }
        let (first, count) = self.pictures.get_or_insert((frame.dts, 0));
        let seconds = (frame.dts - *first) as f64 / CLOCK as f64;
        if seconds < COUNTED {
            *count = count.saturating_add(1);
            return Ok(());
        }
        let rate = f64::from(*count) / seconds;
        self.pictures = Some((frame.dts, 1));
        self.frame_rate(rate)
    }

    fn frame_rate(&self, rate: f64) -> Result<(), Breach> {
        let most = self.limits.frame_rate;
        // Timestamps in milliseconds and clocks that differ make 60 a little more at times.
        if most == 0 || rate <= f64::from(most) * TOLERANCE {
            return Ok(());
        }
        Err(breach(
            "frame_rate",
            format!(
                "frame rate limit: you send {} frames/s, this channel takes {most}: set the encoder to {most} or less",
                short(rate)
            ),
        ))
    }
}

fn breach(reason: &'static str, text: String) -> Breach {
    Breach { reason, text }
}

fn above<T: PartialOrd + Default>(value: T, limit: T) -> bool {
    limit != T::default() && value > limit
}

fn capacity(limit: u64) -> f64 {
    bytes_per_second(limit) * BURST
}

fn bytes_per_second(limit: u64) -> f64 {
    limit as f64 / 8.0
}

/// Seconds over which the bitrate is averaged.
const BURST: f64 = 10.0;
/// Encoders hit their target only about, and the protocol takes a little as well.
const TOLERANCE: f64 = 1.05;
/// A publisher above its limit is read at so many times the limit.
const THROTTLE: f64 = 2.0;
/// Between two reads; below every timeout.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// Seconds of video over which frames are counted.
const COUNTED: f64 = 3.0;

#[cfg(test)]
mod tests;
