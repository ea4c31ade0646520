//! The elementary streams that are taken: from packets to frames on one timeline.

use std::collections::VecDeque;

use super::audio::{self, Audio};
use super::nal::Codec;
use super::names::{self, Kind};
use super::packet::Packet;
use super::pes::{Assembler, Taken, Unit};
use super::section::Stream;
use super::video::{self, Timed, Video};
use super::{CLOCK, Faults};
use crate::timeline::Timeline;
use crate::{Error, Event, Frame, Result, Track};

/// The one video and the one audio stream that are followed.
#[derive(Debug)]
pub(super) struct Streams {
    timeline: Timeline,
    video: Option<Video>,
    audio: Option<Audio>,
    /// What was refused, so that it is said once.
    refused: Vec<Error>,
    pub(super) faults: Faults,
}

type Events = VecDeque<Result<Event>>;

impl Streams {
    pub(super) fn new() -> Self {
        let timeline = Timeline::new(CLOCK);
        Self { timeline, video: None, audio: None, refused: Vec::new(), faults: Faults::default() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.video.is_none() && self.audio.is_none()
    }

    /// Follows the first stream of each kind that the program has; one that it had before goes on.
    pub(super) fn select(&mut self, streams: &[Stream], events: &mut Events) {
        let (mut video, mut audio) = (None, None);
        for stream in streams {
            match names::kind(stream) {
                Kind::Video(codec) if video.is_none() => video = Some((stream.pid, codec)),
                Kind::Audio(codec) if audio.is_none() => audio = Some((stream.pid, codec)),
                Kind::Video(_) => self.refuse(names::second("a second video track"), events),
                Kind::Audio(_) => self.refuse(names::second("a second audio track"), events),
                Kind::Refused(error) => self.refuse(error, events),
                Kind::Data => {}
            }
        }
        self.select_video(video, events);
        self.select_audio(audio);
    }

    fn select_video(&mut self, chosen: Option<(u16, Codec)>, events: &mut Events) {
        if self.video.as_ref().map(|video| (video.pid, video.codec())) == chosen {
            return;
        }
        self.finish(events);
        let old = self.video.take();
        // A stream that moves is the same to viewers.
        self.video = chosen.map(|(pid, codec)| match old {
            Some(old) if old.codec() == codec => old.moved(pid),
            _ => Video::new(pid, codec),
        });
    }

    fn select_audio(&mut self, chosen: Option<(u16, audio::Codec)>) {
        let old = self.audio.take();
        self.audio = chosen.map(|(pid, codec)| match old {
            Some(old) if old.is(&codec) => {
                if old.pid == pid {
                    old
                } else {
                    old.moved(pid)
                }
            }
            _ => Audio::new(pid, codec),
        });
    }

    /// Takes a packet, of whatever PID.
    pub(super) fn push(&mut self, packet: &Packet<'_>, events: &mut Events) {
        let Some(payload) = packet.payload else { return };
        let (is_video, packets) = match (&mut self.video, &mut self.audio) {
            (Some(video), _) if video.pid == packet.pid => (true, &mut video.packets),
            (_, Some(audio)) if audio.pid == packet.pid => (false, &mut audio.packets),
            _ => return,
        };
        let between = packets.is_empty();
        let taken = packets.follow(packet.counter, packet.discontinuity);
        if taken == Taken::Again {
            return;
        }
        if taken == Taken::Lost || packet.unusable {
            packets.reset();
            count(&mut self.faults.lost);
            if between {
                // What has come of the access unit so far had ended.
                self.finish_video(events);
            }
            self.damage(is_video);
        }
        if !packet.unusable {
            self.assemble(is_video, packet.starts, payload, events);
        }
    }

    /// Nothing follows: what has no announced end ends here.
    pub(super) fn finish(&mut self, events: &mut Events) {
        let ended = self.video.as_mut().map(|video| video.packets.finish());
        if let Some(ended) = ended {
            self.take(true, ended, events);
        }
        self.finish_video(events);
    }

    fn assemble(&mut self, is_video: bool, starts: bool, payload: &[u8], events: &mut Events) {
        let Some(packets) = self.packets(is_video) else { return };
        let ended = if starts { packets.finish() } else { Ok(None) };
        let whole = packets.push(starts, payload);
        self.take(is_video, ended, events);
        if is_video && starts {
            self.pictures(events, |video, found| video.announce(payload, found));
        }
        self.take(is_video, whole, events);
    }

    fn packets(&mut self, is_video: bool) -> Option<&mut Assembler> {
        if is_video {
            self.video.as_mut().map(|video| &mut video.packets)
        } else {
            self.audio.as_mut().map(|audio| &mut audio.packets)
        }
    }

    fn take(&mut self, is_video: bool, unit: Result<Option<Unit>>, events: &mut Events) {
        match unit {
            Ok(None) => {}
            Ok(Some(unit)) if is_video => self.pictures(events, |video, found| video.take(&unit, found)),
            Ok(Some(unit)) => self.sound(&unit, events),
            Err(_) => {
                count(&mut self.faults.damaged);
                self.damage(is_video);
            }
        }
    }

    /// A part of a track is missing: it was lost, or damaged, and is counted as such.
    fn damage(&mut self, is_video: bool) {
        match (&mut self.video, &mut self.audio) {
            (Some(video), _) if is_video => video.damage(),
            (_, Some(audio)) if !is_video => audio.damage(),
            _ => {}
        }
    }

    /// What is open of the video has ended.
    fn finish_video(&mut self, events: &mut Events) {
        self.pictures(events, Video::finish);
    }

    /// Hands on what the video stream finds.
    fn pictures(&mut self, events: &mut Events, find: impl FnOnce(&mut Video, &mut video::Found)) {
        let mut found = Vec::new();
        if let Some(video) = &mut self.video {
            find(video, &mut found);
        }
        for timed in found {
            match timed {
                Ok(timed) => self.picture(timed, events),
                Err(_) => count(&mut self.faults.damaged),
            }
        }
    }

    fn picture(&mut self, timed: Timed, events: &mut Events) {
        let Some(picture) = timed.picture else { return count(&mut self.faults.early_frames) };
        events.extend(picture.config.map(|config| Ok(Event::Config(config))));
        if picture.data.is_empty() {
            return;
        }
        if timed.derived {
            count(&mut self.faults.untimed);
        }
        let (dts, intended) = self.place(Track::Video, timed.dts);
        let pts = intended.saturating_add(timed.composition).max(dts);
        let frame = Frame { dts, pts, keyframe: picture.keyframe, data: picture.data };
        events.push_back(Ok(Event::Frame(Track::Video, frame)));
    }

    /// Takes a PES packet of sound.
    fn sound(&mut self, unit: &Unit, events: &mut Events) {
        let Some(audio) = &mut self.audio else { return };
        let mut sounds = Vec::new();
        let read = audio.take(unit, |sound| sounds.push(sound));
        for sound in sounds {
            events.extend(sound.config.map(|config| Ok(Event::Config(config))));
            let (dts, _) = self.place(Track::Audio, sound.time);
            let frame = Frame { dts, pts: dts, keyframe: true, data: sound.data };
            events.push_back(Ok(Event::Frame(Track::Audio, frame)));
        }
        match read {
            Ok(false) => {}
            Err(error @ Error::UnsupportedCodec { .. }) => self.refuse(error, events),
            Ok(true) | Err(_) => count(&mut self.faults.damaged),
        }
    }

    fn place(&mut self, track: Track, raw: i64) -> (i64, i64) {
        let placed = self.timeline.place(track, raw & TIMESTAMP);
        if placed.jumped {
            count(&mut self.faults.jumps);
        }
        if placed.stepped_back {
            count(&mut self.faults.steps_back);
        }
        (placed.dts, placed.intended)
    }

    fn refuse(&mut self, error: Error, events: &mut Events) {
        if !self.refused.contains(&error) && self.refused.len() < MAX_REFUSED {
            self.refused.push(error.clone());
            events.push_back(Err(error));
        }
    }
}

fn count(counter: &mut u64) {
    *counter = counter.saturating_add(1);
}

const TIMESTAMP: i64 = (1 << 33) - 1;
/// Names of codecs are few; this bounds what is remembered all the same.
const MAX_REFUSED: usize = 16;
