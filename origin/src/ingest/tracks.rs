//! Finds out which tracks a publisher sends before a broadcast begins: its renditions are fixed from then on.

use std::collections::BTreeMap;

use nearcast_media::frame::CLOCK;
use nearcast_media::{Config, Event, Frame, Piece, Track};

/// What a broadcast begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    pub video: Option<Config>,
    pub audio: Option<Config>,
    /// Further video tracks by their numbers.
    pub further: BTreeMap<u8, Config>,
    /// Frames that came while the tracks were not known, video from a keyframe on.
    pub backlog: Vec<Event>,
}

/// Collects until both tracks are known, or one has been alone for long enough.
#[derive(Debug, Default)]
pub struct Tracks {
    video: Option<Config>,
    audio: Option<Config>,
    further: BTreeMap<u8, Config>,
    /// Further video tracks may come, and nothing says how many.
    patient: bool,
    backlog: Vec<Event>,
    backlog_bytes: usize,
}

impl Start {
    /// Time of the newest frame, in [`CLOCK`] ticks.
    pub fn newest(&self) -> i64 {
        self.backlog.iter().filter_map(frame).map(|(_, frame)| frame.dts).max().unwrap_or(0)
    }
}

impl Tracks {
    /// For a publisher whose `further` video tracks are wanted, or not.
    pub fn new(further: bool) -> Self {
        Self { patient: further, ..Self::default() }
    }

    /// For a publisher that is already known to send this.
    pub fn known(video: Option<Config>, audio: Option<Config>, further: BTreeMap<u8, Config>) -> Self {
        Self { video, audio, further, ..Self::default() }
    }

    /// Takes what the demuxer gives; answers when the broadcast can begin, and is empty then.
    pub fn push(&mut self, event: Event) -> Option<Start> {
        match event {
            Event::Config(config) => match config.track() {
                Track::Video => self.video = Some(config),
                Track::Audio => self.audio = Some(config),
            },
            Event::Further(track, Piece::Config(config)) => drop(self.further.insert(track, config)),
            Event::Frame(..) | Event::Further(_, Piece::Frame(_)) => self.keep(event),
        }
        let both = self.video.is_some() && self.audio.is_some() && !self.patient;
        // Without a picture or a sound there is nothing to begin with.
        if self.backlog.is_empty() || !(both || self.waited()) {
            return None;
        }
        // What is beside the first picture needs one.
        if self.video.is_none() {
            self.further.clear();
            self.backlog.retain(|event| matches!(event, Event::Frame(..)));
        }
        let Self { video, audio, further, backlog, .. } = std::mem::take(self);
        (!backlog.is_empty()).then_some(Start { video, audio, further, backlog })
    }

    fn keep(&mut self, event: Event) {
        let Some((track, Frame { keyframe, data, .. })) = frame(&event) else { return };
        // Nothing can be shown before the first keyframe.
        let shown = *keyframe || self.backlog.iter().filter_map(frame).any(|(kept, _)| kept == track);
        if track == SOUND || shown {
            self.backlog_bytes += data.len();
            self.backlog.push(event);
        }
    }

    fn waited(&self) -> bool {
        let time = |event: Option<&Event>| event.and_then(frame).map_or(0, |(_, frame)| frame.dts);
        let span = time(self.backlog.last()) - time(self.backlog.first());
        span >= PATIENCE || self.backlog.len() >= MAX_FRAMES || self.backlog_bytes >= MAX_BYTES
    }
}

/// A frame, and a number for its track.
fn frame(event: &Event) -> Option<(i16, &Frame)> {
    match event {
        Event::Frame(Track::Audio, frame) => Some((SOUND, frame)),
        Event::Frame(Track::Video, frame) => Some((0, frame)),
        Event::Further(track, Piece::Frame(frame)) => Some((i16::from(*track), frame)),
        Event::Config(_) | Event::Further(_, Piece::Config(_)) => None,
    }
}

const SOUND: i16 = -1;

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
        let time = |event: &Event| match event {
            Event::Frame(track, frame) => (*track, frame.dts),
            other => panic!("{other:?}"),
        };
        start.backlog.iter().map(time).collect()
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

    #[test]
    fn where_further_tracks_are_wanted_they_get_a_second_too() {
        let further = |dts: i64| {
            let frame = Frame { dts, pts: dts, keyframe: dts > 30_000, data: Bytes::from_static(b"x") };
            Event::Further(2, Piece::Frame(frame))
        };
        let begun = |comes: bool| {
            let mut tracks = Tracks::new(true);
            tracks.push(Event::Config(Config::Avc(avc())));
            tracks.push(Event::Config(Config::Aac(aac())));
            let mut frames = (0..).map(|n| n * 3_000);
            frames.find_map(|dts| {
                if comes && dts == 60_000 {
                    assert_eq!(tracks.push(Event::Further(2, Piece::Config(Config::Avc(avc())))), None);
                }
                let first = tracks.push(frame(Track::Video, dts, dts == 0));
                first.or_else(|| tracks.push(further(dts)).filter(|_| comes))
            })
        };
        let start = begun(true).unwrap();
        assert_eq!((start.further.into_keys().collect::<Vec<_>>(), start.backlog.len()), (vec![2], 50));
        assert_eq!(begun(false).unwrap().further.len(), 0, "one that never comes stops nothing");
        // Without a first picture there is nothing to be beside of.
        let mut tracks = Tracks::new(true);
        tracks.push(Event::Config(Config::Aac(aac())));
        tracks.push(Event::Further(2, Piece::Config(Config::Avc(avc()))));
        let start = (0..100).find_map(|n| {
            let sound = tracks.push(frame(Track::Audio, n * 2_000, true));
            sound.or_else(|| tracks.push(further(n * 2_000)))
        });
        let start = start.unwrap();
        assert!(start.further.is_empty() && times(&start).iter().all(|(track, _)| *track == Track::Audio));
    }
}
