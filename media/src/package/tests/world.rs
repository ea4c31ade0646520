//! Publishers and encoders in virtual time.

use std::time::Duration;

use super::check::Checker;
use super::*;
use crate::codec::{aac, avc};
use crate::frame::CLOCK;

/// 2026-08-01T12:00:00Z
pub(super) const STARTED_AT: u64 = 1_785_585_600_000;

/// Half a minute is listed, so that tests come to its end.
pub(super) fn settings() -> Settings {
    Settings { window: Duration::from_secs(30), ..Settings::default() }
}

fn spec(name: &str, config: Config) -> Spec {
    Spec {
        name: name.into(),
        config,
        bandwidth: None,
        max_frame_rate: None,
        listed_from_start: false,
        own: false,
    }
}

pub(super) fn video(name: &str, height: u32) -> Spec {
    let record = Bytes::from_static(&[1, 0x64, 0, 0x1f, 0xff, 0xe0, 0]);
    spec(name, Config::Avc(avc::Config { record, width: height * 16 / 9, height, frame_rate: None }))
}

pub(super) fn audio(rate: u32) -> Spec {
    let specific = Bytes::from_static(&[0x11, 0x90]);
    spec("audio", Config::Aac(aac::Config { specific, sample_rate: rate, channels: 2, object_type: 2 }))
}

/// Frames of a steady rate, as `frames` in `seconds`.
#[derive(Clone, Copy)]
pub(super) struct Camera {
    pub(super) frames: i64,
    pub(super) seconds: i64,
    pub(super) gop: i64,
    /// Every third frame is shown before the two that precede it in decoding order.
    pub(super) reorder: bool,
    /// FLV counts in milliseconds.
    pub(super) milliseconds: bool,
}

pub(super) const CAMERA: Camera =
    Camera { frames: 30, seconds: 1, gop: 60, reorder: false, milliseconds: true };

impl Camera {
    pub(super) fn time(&self, index: i64) -> i64 {
        let ticks = index * CLOCK * self.seconds / self.frames;
        if self.milliseconds { ticks / 90 * 90 } else { ticks }
    }

    pub(super) fn frame(&self, index: i64) -> Frame {
        let in_gop = index % self.gop;
        // Decoded I P B B P B B: shown one frame late, P two more, B one less.
        let shown = match (self.reorder, in_gop, in_gop % 3) {
            (false, ..) => index,
            (true, 0, _) => index + 1,
            (true, _, 1) if in_gop + 2 < self.gop => index + 3,
            (true, _, 1) => index + 1,
            (true, _, 0 | 2) if in_gop - in_gop.rem_euclid(3) + 1 + 2 >= self.gop && in_gop % 3 == 2 => {
                index + 1
            }
            (true, ..) => index,
        };
        Frame {
            dts: self.time(index),
            pts: self.time(shown),
            keyframe: in_gop == 0,
            data: Bytes::from(vec![0; 2000]),
        }
    }

    pub(super) fn interval(&self) -> Duration {
        Duration::from_micros(u64::try_from(1_000_000 * self.seconds / self.frames).unwrap())
    }
}

pub(super) fn audio_frame(rate: i64, index: i64) -> Frame {
    let time = index * 1024 * 1000 / rate * 90;
    Frame { dts: time, pts: time, keyframe: true, data: Bytes::from_static(&[0x21; 300]) }
}

pub(super) struct World {
    pub(super) broadcast: Broadcast,
    pub(super) checker: Checker,
    /// Which of the leader's frames began segments.
    pub(super) cuts: Vec<i64>,
}

impl World {
    pub(super) fn new(leader: Spec, frame: Duration) -> Self {
        let broadcast = Broadcast::new("b1", STARTED_AT, settings(), leader);
        Self { broadcast, checker: Checker::new(frame + Duration::from_millis(2)), cuts: Vec::new() }
    }

    pub(super) fn push(&mut self, rendition: &str, frame: Frame) -> Vec<Event> {
        let pts = frame.pts;
        let Outcome { starts_segment, events } = self.broadcast.push(rendition, frame).unwrap();
        if starts_segment {
            self.cuts.push(pts);
        }
        self.checker.check(&self.broadcast, &events);
        events
    }

    /// Video and audio, interleaved, for `seconds` from `from`.
    pub(super) fn run(&mut self, camera: Camera, rate: i64, from: i64, seconds: i64) {
        let frames = from * camera.frames / camera.seconds..(from + seconds) * camera.frames / camera.seconds;
        let mut audio = from * rate / 1024..(from + seconds) * rate / 1024;
        for index in frames {
            let frame = camera.frame(index);
            let due = audio.clone().take_while(|index| audio_frame(rate, *index).dts <= frame.dts).count();
            for index in audio.by_ref().take(due) {
                self.push("audio", audio_frame(rate, index));
            }
            self.push("source", frame);
        }
    }

    pub(super) fn end(&mut self) {
        let events = self.broadcast.end();
        self.checker.check(&self.broadcast, &events);
    }
}

/// A broadcast of video and audio, followed to its end.
pub(super) fn followed(camera: Camera, rate: u32, seconds: i64) -> World {
    let mut world = World::new(video("source", 720), camera.interval());
    world.broadcast.add_rendition(audio(rate)).unwrap();
    world.run(camera, i64::from(rate), 0, seconds);
    world.end();
    world.checker.aligned(camera.interval() + Duration::from_millis(25));
    for name in ["source", "audio"] {
        let playlist = world.checker.last(name);
        assert!(playlist.ended && playlist.open.is_none());
    }
    world
}

/// A world with rungs that repeat the source's frames `delay` frames later, as an encoder does.
pub(super) fn with_rung(camera: Camera, delay: i64, seconds: i64, mut has: impl FnMut(i64) -> bool) -> World {
    let mut world = World::new(video("source", 720), camera.interval());
    world.broadcast.add_rendition(audio(48_000)).unwrap();
    world.broadcast.add_rendition(video("480p", 480)).unwrap();
    for second in 0..seconds {
        for index in second * 30..(second + 1) * 30 {
            for audio in index * 48_000 / 30 / 1024..(index + 1) * 48_000 / 30 / 1024 {
                world.push("audio", audio_frame(48_000, audio));
            }
            world.push("source", camera.frame(index));
            let Some(late) = Some(index - delay).filter(|late| *late >= 0 && has(*late)) else { continue };
            // Without reordering, in the order of presentation.
            let pts = camera.time(late);
            let keyframe = world.cuts.contains(&pts);
            world.push("480p", Frame { dts: pts, pts, keyframe, data: Bytes::from(vec![0; 500]) });
        }
    }
    world
}
