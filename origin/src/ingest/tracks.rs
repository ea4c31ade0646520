//! Finds out which tracks a publisher sends before a broadcast begins: its renditions are fixed from then on.

use nearcast_media::frame::CLOCK;
use nearcast_media::{Config, Event, Frame, Track};

/// What a broadcast begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    pub video: Option<Config>,
    pub audio: Option<Config>,
    /// Frames that came while the tracks were not known, video from a keyframe on.
    pub backlog: Vec<(Track, Frame)>,
}

/// Collects until both tracks are known, or one has been alone for long enough.
#[derive(Debug, Default)]
pub struct Tracks {
    video: Option<Config>,
    audio: Option<Config>,
    backlog: Vec<(Track, Frame)>,
    backlog_bytes: usize,
}

impl Tracks {
    /// For a publisher that is already known to send this.
    pub fn known(video: Option<Config>, audio: Option<Config>) -> Self {
        Self { video, audio, ..Self::default() }
    }

    /// Takes what the demuxer gives; answers when the broadcast can begin, and is empty then.
    pub fn push(&mut self, event: Event) -> Option<Start> {
        match event {
            Event::Config(config) => match config.track() {
                Track::Video => self.video = Some(config),
                Track::Audio => self.audio = Some(config),
            },
            Event::Frame(track, frame) => self.keep(track, frame),
        }
        let both = self.video.is_some() && self.audio.is_some();
        // Without a picture or a sound there is nothing to begin with.
        if self.backlog.is_empty() || !(both || self.waited()) {
            return None;
        }
        let Self { video, audio, backlog, .. } = std::mem::take(self);
        Some(Start { video, audio, backlog })
    }

    fn keep(&mut self, track: Track, frame: Frame) {
        // Nothing can be shown before the first keyframe.
        let shown = frame.keyframe || self.backlog.iter().any(|(kept, _)| *kept == Track::Video);
        if track == Track::Audio || shown {
            self.backlog_bytes += frame.data.len();
            self.backlog.push((track, frame));
        }
    }

    fn waited(&self) -> bool {
        let span = match (self.backlog.first(), self.backlog.last()) {
            (Some((_, first)), Some((_, last))) => last.dts - first.dts,
            _ => 0,
        };
        span >= PATIENCE || self.backlog.len() >= MAX_FRAMES || self.backlog_bytes >= MAX_BYTES
    }
}

/// Encoders send both configurations first thing; a second covers the one that starts its camera later.
const PATIENCE: i64 = CLOCK;

/// More than a second of any real stream.
const MAX_FRAMES: usize = 512;

/// A second at 64 Mb/s.
const MAX_BYTES: usize = 8 << 20;

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use nearcast_media::codec::{aac, avc};

    use super::*;

    fn avc() -> avc::Config {
        avc::Config { record: Bytes::from_static(&[1]), width: 16, height: 16, frame_rate: None }
    }

    fn aac() -> aac::Config {
        aac::Config::parse(&[0x12, 0x10]).unwrap()
    }

    fn frame(track: Track, dts: i64, keyframe: bool) -> Event {
        Event::Frame(track, Frame { dts, pts: dts, keyframe, data: Bytes::from_static(b"x") })
    }

    fn times(start: &Start) -> Vec<(Track, i64)> {
        start.backlog.iter().map(|(track, frame)| (*track, frame.dts)).collect()
    }

    #[test]
    fn begins_at_the_first_frame_once_both_tracks_are_known() {
        let mut tracks = Tracks::default();
        assert_eq!(tracks.push(Event::Config(Config::Avc(avc()))), None);
        assert_eq!(tracks.push(Event::Config(Config::Aac(aac()))), None);
        let start = tracks.push(frame(Track::Audio, 0, true)).unwrap();
        assert!(start.video.is_some() && start.audio.is_some());
        assert_eq!(times(&start), [(Track::Audio, 0)]);
    }

    #[test]
    fn a_late_track_gets_a_second_and_nothing_is_lost_meanwhile() {
        let mut tracks = Tracks::default();
        tracks.push(Event::Config(Config::Avc(avc())));
        for n in 0..20 {
            assert_eq!(tracks.push(frame(Track::Video, n * 3_000, n % 10 == 1)), None);
        }
        assert_eq!(tracks.push(Event::Config(Config::Aac(aac()))).map(|start| start.backlog.len()), Some(19));
    }

    #[test]
    fn one_track_alone_begins_after_a_second() {
        let mut tracks = Tracks::default();
        tracks.push(Event::Config(Config::Aac(aac())));
        let start = (0..100).find_map(|n| tracks.push(frame(Track::Audio, n * 2_000, true))).unwrap();
        assert_eq!((start.video, start.backlog.len()), (None, 46));
    }

    #[test]
    fn video_without_a_keyframe_begins_nothing_and_keeps_nothing() {
        let mut tracks = Tracks::default();
        tracks.push(Event::Config(Config::Avc(avc())));
        assert!((0..1_000).all(|n| tracks.push(frame(Track::Video, n * 3_000, false)).is_none()));
        assert_eq!(tracks.backlog_bytes, 0);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut tracks = Tracks::default();
        tracks.push(Event::Config(Config::Avc(avc())));
        let start = (0..MAX_FRAMES).find_map(|_| tracks.push(frame(Track::Video, 0, true))).unwrap();
        assert_eq!(start.backlog.len(), MAX_FRAMES);
    }
}
