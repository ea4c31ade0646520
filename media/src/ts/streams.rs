//! The elementary streams that are taken: from packets to frames on one timeline.

use std::collections::VecDeque;

use super::names::{self, Kind};
use super::packet::Packet;
use super::pes::{self, Assembler, Taken, Unit};
use super::section::Stream;
use super::{Faults, adts, h264};
use crate::codec::avc;
use crate::timeline::{Clock, Timeline};
use crate::{Config, Error, Event, Frame, Result, Track};

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

#[derive(Debug)]
struct Video {
    pid: u16,
    packets: Assembler,
    reader: h264::Reader,
    /// An access unit whose end is not known: PES packets without a timestamp, or with the same, belong to it.
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    pts: i64,
    dts: i64,
    data: Vec<u8>,
}

#[derive(Debug)]
struct Audio {
    pid: u16,
    packets: Assembler,
    reader: adts::Reader,
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
                Kind::H264 if video.is_none() => video = Some(stream.pid),
                Kind::Adts if audio.is_none() => audio = Some(stream.pid),
                Kind::H264 => self.refuse(names::second("a second video track"), events),
                Kind::Adts => self.refuse(names::second("a second audio track"), events),
                Kind::Refused(error) => self.refuse(error, events),
                Kind::Data => {}
            }
        }
        if self.video.as_ref().map(|video| video.pid) != video {
            // A stream that moves is the same to viewers, so what is known of its configuration stays.
            self.finish(events);
            let reader = self.video.take().map(|old| old.reader).unwrap_or_default();
            self.video =
                video.map(|pid| Video { pid, packets: Assembler::new(MAX_PICTURE), reader, open: None });
        }
        if self.audio.as_ref().map(|audio| audio.pid) != audio {
            let mut reader = self.audio.take().map(|old| old.reader).unwrap_or_default();
            reader.reset();
            self.audio = audio.map(|pid| Audio { pid, packets: Assembler::new(MAX_SOUND), reader });
        }
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
        if let Some(Ok(Some(unit))) = ended {
            self.picture(unit, events);
        }
        self.finish_video(events);
    }

    fn assemble(&mut self, is_video: bool, starts: bool, payload: &[u8], events: &mut Events) {
        let packets = match (is_video, &mut self.video, &mut self.audio) {
            (true, Some(video), _) => &mut video.packets,
            (false, _, Some(audio)) => &mut audio.packets,
            _ => return,
        };
        let ended = if starts { packets.finish() } else { Ok(None) };
        let whole = packets.push(starts, payload);
        self.take(is_video, ended, events);
        if is_video && starts {
            // Its time says that the access unit before it has ended, a whole picture before it does.
            let next = pes::times(payload);
            let open = self.video.as_ref().and_then(|video| video.open.as_ref());
            if next.is_some() && open.is_some_and(|open| next != Some((open.pts, open.dts))) {
                self.finish_video(events);
            }
        }
        self.take(is_video, whole, events);
    }

    fn take(&mut self, is_video: bool, unit: Result<Option<Unit>>, events: &mut Events) {
        match unit {
            Ok(None) => {}
            Ok(Some(unit)) if is_video => self.picture(unit, events),
            Ok(Some(unit)) => self.sound(&unit, events),
            Err(_) => {
                count(&mut self.faults.damaged);
                self.damage(is_video);
            }
        }
    }

    /// A part of a track is missing: what is open of it cannot be used.
    fn damage(&mut self, is_video: bool) {
        match (&mut self.video, &mut self.audio) {
            (Some(video), _) if is_video => {
                // It was lost, or damaged, and is counted as such.
                video.open = None;
            }
            (_, Some(audio)) if !is_video => audio.reader.reset(),
            _ => {}
        }
    }

    /// Takes a PES packet of pictures.
    fn picture(&mut self, unit: Unit, events: &mut Events) {
        let Some(video) = &mut self.video else { return };
        let begins = unit.times();
        match (&mut video.open, begins) {
            (Some(open), begins) if begins.is_none_or(|times| times == (open.pts, open.dts)) => {
                if open.data.len().saturating_add(unit.data.len()) > MAX_PICTURE {
                    video.open = None;
                    count(&mut self.faults.damaged);
                } else {
                    open.data.extend_from_slice(&unit.data);
                }
            }
            (_, Some((pts, dts))) => {
                self.finish_video(events);
                if let Some(video) = &mut self.video {
                    video.open = Some(Open { pts, dts, data: unit.data.into() });
                }
            }
            // It belongs to one that was left out.
            _ => {}
        }
    }

    /// The access unit that is open has ended.
    fn finish_video(&mut self, events: &mut Events) {
        let Some(video) = &mut self.video else { return };
        let Some(Open { pts, dts, data }) = video.open.take() else { return };
        let composition = CLOCK.difference(pts, dts);
        match video.reader.read(&data) {
            Ok(None) => count(&mut self.faults.early_frames),
            Ok(Some(_)) if composition > MAX_COMPOSITION => count(&mut self.faults.damaged),
            Ok(Some(picture)) => {
                events.extend(picture.config.map(|config| Ok(Event::Config(Config::Avc(config)))));
                if picture.data.is_empty() {
                    return;
                }
                let (dts, intended) = self.place(Track::Video, dts);
                let pts = intended.saturating_add(composition).max(dts);
                let keyframe = avc::is_idr(&picture.data);
                let frame = Frame { dts, pts, keyframe, data: picture.data };
                events.push_back(Ok(Event::Frame(Track::Video, frame)));
            }
            Err(_) => count(&mut self.faults.damaged),
        }
    }

    /// Takes a PES packet of sound.
    fn sound(&mut self, unit: &Unit, events: &mut Events) {
        let Some(audio) = &mut self.audio else { return };
        let skipped = audio.reader.skipped;
        let mut sounds = Vec::new();
        let read = audio.reader.read(unit.pts, &unit.data, |sound| sounds.push(sound));
        if audio.reader.skipped > skipped {
            count(&mut self.faults.damaged);
        }
        for sound in sounds {
            events.extend(sound.config.map(|config| Ok(Event::Config(Config::Aac(config)))));
            let (dts, _) = self.place(Track::Audio, sound.time);
            let frame = Frame { dts, pts: dts, keyframe: true, data: sound.data };
            events.push_back(Ok(Event::Frame(Track::Audio, frame)));
        }
        match read {
            Ok(()) => {}
            Err(error @ Error::UnsupportedCodec { .. }) => self.refuse(error, events),
            Err(_) => count(&mut self.faults.damaged),
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

/// 90 kHz in 33 bits (ISO/IEC 13818-1 §2.4.3.7).
const CLOCK: Clock = Clock { bits: 33, per_ms: crate::frame::CLOCK / 1_000 };
const TIMESTAMP: i64 = (1 << 33) - 1;
/// Ten seconds: no encoder reorders over more; a segment could not hold it.
const MAX_COMPOSITION: i64 = 10 * crate::frame::CLOCK;
/// A key frame at 100 Mbit/s has about 2 MiB.
const MAX_PICTURE: usize = 4 << 20;
/// What a PES packet's length can say, which sound always has, and the packet that it ends in.
const MAX_SOUND: usize = 65 << 10;
/// Names of codecs are few; this bounds what is remembered all the same.
const MAX_REFUSED: usize = 16;
