//! A broadcast's packaging: frames of all its renditions in, parts and playlists out.

mod ladder;
mod manifest;
mod memory;
mod metadata;
mod pairs;
mod position;
mod rendition;
mod roster;
mod settings;
mod snapshot;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use bytes::Bytes;

use crate::codec::captions;
use crate::dash::manifest::Manifest;
use crate::dash::periods::Periods;
use crate::fmp4;
use crate::frame::{Config, Frame, Track};
use crate::hls::daterange::History;
use crate::hls::multivariant;
use crate::segment::leader::{Leader, Shape};
use crate::segment::{LATEST, LEAD, audio, video_sample};
use crate::window::Change;
pub use crate::window::Held;
pub use manifest::Timeline;
pub use memory::Move;
pub use metadata::Metadata;
pub use position::Position;
use rendition::{Rendition, Source};
use roster::MAX_RENDITIONS;
pub use settings::Settings;
pub use snapshot::Snapshot;

/// Everything that is packaged of one broadcast.
///
/// Feed it frames with [`push`](Self::push); it reads no clock and does no IO. What it refuses it forgets, and
/// goes on. Memory is bounded by [`Settings`] and the number of renditions.
#[derive(Debug)]
pub struct Broadcast {
    id: String,
    started_at: u64,
    settings: Settings,
    leader: Leader,
    periods: Periods,
    /// The leader first.
    renditions: Vec<Rendition>,
    /// The version of each rendition's first init segment.
    first_init: u32,
    /// Configurations and init segments of those that were dropped, by name.
    dropped: BTreeMap<String, Vec<(Config, Bytes)>>,
    moves: VecDeque<Move>,
    /// The same in every playlist.
    date_ranges: Arc<History>,
    /// Messages in the media so far, and what they are.
    announced: u32,
    schemes: BTreeSet<String>,
    captions: captions::Detector,
    steering: Option<multivariant::Steering>,
    ended: bool,
}

/// A rendition to be packaged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    /// Its name in paths: `source`, `480p`, `audio`.
    pub name: String,
    pub config: Config,
    /// Bits per second that the encoder was asked for; what is measured counts when it is more.
    pub bandwidth: Option<u64>,
    /// Frames per second that the encoder was told to stay at or below.
    pub max_frame_rate: Option<u16>,
    /// List it in the multivariant playlist before it has anything to play.
    pub listed_from_start: bool,
    /// Video that the publisher itself sends beside the leader's, at the same time: where it is missing, it is for good,
    /// and its bitstream knows its frame rate.
    pub own: bool,
}

/// What a frame led to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// A segment of the leader begins with this frame: encoders of other renditions must make it an IDR picture.
    pub starts_segment: bool,
    /// What is new, in order.
    pub events: Vec<Event>,
}

/// Something that can be asked for since the frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    Part {
        rendition: Arc<str>,
        msn: u64,
        part: u32,
    },
    /// A segment is whole, or known to be missing.
    Segment {
        rendition: Arc<str>,
        msn: u64,
    },
    /// [`Broadcast::playlist`] is another than before.
    Playlist {
        rendition: Arc<str>,
    },
    /// [`Broadcast::multivariant`] lists other renditions than before.
    Multivariant,
}

/// What a broadcast does not take.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("the broadcast has no rendition {name:?}")]
    UnknownRendition { name: String },
    #[error("the broadcast already has a rendition {name:?}")]
    DuplicateRendition { name: String },
    #[error("the broadcast has as many renditions as it may: {MAX_RENDITIONS}")]
    TooManyRenditions,
    #[error("{name:?} is video, and an audio-only broadcast cannot gain video: begin a new one")]
    VideoAfterAudio { name: String },
    #[error("the leading rendition cannot be dropped: end the broadcast")]
    DropLeader,
    #[error("the frame's time, {dts} to be shown at {pts}, is impossible in rendition {name:?}")]
    Time { name: String, dts: i64, pts: i64 },
    #[error("the broadcast has {MAX_DATE_RANGES} date ranges already: wait until some are over")]
    TooManyDateRanges,
    #[error("metadata {id:?} cannot be written: {problem}")]
    Metadata { id: String, problem: &'static str },
    #[error("the broadcast has ended")]
    Ended,
}

impl Broadcast {
    /// A broadcast whose path component is `id` and whose frames' time 0 is `started_at`, in milliseconds since the
    /// Unix epoch. `leader` decides where segments begin: the publisher's own video, or its audio when there is
    /// no video.
    pub fn new(id: impl Into<String>, started_at: u64, settings: Settings, leader: Spec) -> Self {
        Self::beginning(id.into(), started_at, settings, leader, 0)
    }

    fn beginning(id: String, started_at: u64, settings: Settings, leader: Spec, first_init: u32) -> Self {
        let settings = settings.sane();
        let source = match leader.config.track() {
            Track::Video => Source::LeadingVideo,
            Track::Audio => Source::LeadingAudio(audio::Clock::new(&leader.config)),
        };
        Self {
            id,
            started_at,
            settings,
            leader: Leader::new(settings.rules()),
            periods: Periods::default(),
            renditions: vec![Rendition::new(leader, source, Vec::new(), first_init)],
            first_init,
            dropped: BTreeMap::new(),
            moves: VecDeque::new(),
            date_ranges: Arc::default(),
            announced: 0,
            schemes: BTreeSet::from([fmp4::ID3_SCHEME.to_owned()]),
            captions: captions::Detector::default(),
            steering: None,
            ended: false,
        }
    }

    /// Tells players who steers them, or that nobody does.
    pub fn steer(&mut self, steering: Option<multivariant::Steering>) {
        self.steering = steering;
    }

    /// Takes the next frame of a rendition, in decoding order.
    pub fn push(&mut self, rendition: &str, frame: Frame) -> Result<Outcome, Error> {
        if self.ended {
            return Err(Error::Ended);
        }
        let unknown = || Error::UnknownRendition { name: rendition.to_owned() };
        let index = self.find(rendition).ok_or_else(unknown)?;
        self.renditions[index].check(&frame)?;
        let was_listed = self.listed();
        self.look_for_captions(index, &frame);
        let mut outcome = Outcome::default();
        let mut actions = Vec::new();
        match &mut self.renditions[index].source {
            Source::LeadingVideo => {
                let sample = video_sample(&frame);
                outcome.starts_segment = self.leader.push(&frame, sample, &mut actions);
            }
            Source::LeadingAudio(clock) => {
                for (frame, sample) in clock.lead(&frame) {
                    outcome.starts_segment |= self.leader.push(&frame, sample, &mut actions);
                }
            }
            Source::Audio(follower) => follower.push(frame),
            Source::Rung(follower) => follower.push(frame),
        }
        let events = &mut outcome.events;
        if let Some(shape) = self.leader.shape() {
            self.periods.follow(self.leader.cuts());
            self.renditions[index].apply(actions, &shape, &self.settings, self.started_at, events);
            // A follower's frame concerns only itself; the leader's lets the others go on.
            let concerned = if index == 0 { 1..self.renditions.len() } else { index..index + 1 };
            self.advance(concerned, &shape, events);
        }
        self.expire_date_ranges();
        if self.listed() != was_listed {
            outcome.events.push(Event::Multivariant);
        }
        if outcome.events.iter().any(|event| matches!(event, Event::Segment { .. })) {
            self.fit(self.settings.memory);
        }
        Ok(outcome)
    }

    /// What comes next of the leader is another sequence of frames, from its next keyframe on: a discontinuity.
    /// Times must go on. A leader or an audio that it brings another configuration for is renewed with it.
    ///
    /// # Errors
    /// [`Error::Ended`]; [`Error::UnknownRendition`] where a configuration has no rendition of its track.
    pub fn splice(
        &mut self,
        configs: impl IntoIterator<Item = (String, Config)>,
    ) -> Result<Vec<Event>, Error> {
        if self.ended {
            return Err(Error::Ended);
        }
        let (mut events, mut actions) = (Vec::new(), Vec::new());
        let discontinuity = self.leader.splice(&mut actions);
        if let Some(shape) = self.leader.shape() {
            self.renditions[0].apply(actions, &shape, &self.settings, self.started_at, &mut events);
            self.advance(1..self.renditions.len(), &shape, &mut events);
        }
        for (name, config) in configs {
            self.renew_from(&name, discontinuity, config)?;
        }
        Ok(events)
    }

    /// A rendition's frames are of another configuration from the newest or the coming discontinuity on.
    ///
    /// # Errors
    /// [`Error::UnknownRendition`], also when the configuration is of the other track.
    pub fn renew(&mut self, rendition: &str, config: Config) -> Result<(), Error> {
        self.renew_from(rendition, self.leader.discontinuity(), config)
    }

    fn renew_from(&mut self, name: &str, discontinuity: Option<u64>, config: Config) -> Result<(), Error> {
        let index =
            self.find(name).filter(|index| self.renditions[*index].spec.config.track() == config.track());
        let Some(index) = index else { return Err(Error::UnknownRendition { name: name.to_owned() }) };
        if *self.renditions[index].newest_config() != config {
            self.renditions[index].renew(discontinuity, config);
        }
        Ok(())
    }

    /// Ends the broadcast and with it every playlist. Encoders of other renditions must have been drained.
    pub fn end(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        if std::mem::replace(&mut self.ended, true) {
            return events;
        }
        let was_listed = self.listed();
        let mut actions = Vec::new();
        self.leader.finish(&mut actions);
        self.periods.follow(self.leader.cuts());
        self.periods.finish(self.leader.progress().unwrap_or(0));
        if let Some(shape) = self.leader.shape() {
            self.renditions[0].apply(actions, &shape, &self.settings, self.started_at, &mut events);
            let (leader, end) = (&self.leader, self.leader.progress().unwrap_or(0));
            for rendition in &mut self.renditions {
                let actions = rendition.finish(leader.cuts(), end, &shape);
                rendition.apply(actions, &shape, &self.settings, self.started_at, &mut events);
                rendition.end(&mut events);
            }
        }
        if self.listed() != was_listed {
            events.push(Event::Multivariant);
        }
        self.fit(self.settings.memory);
        events
    }

    /// The renditions to choose from, with URIs relative to `/live/{channel}/`. `None` until the leader has
    /// something to play.
    pub fn multivariant(&self) -> Option<multivariant::Playlist> {
        self.renditions[0].is_available().then(|| ladder::playlist(self))
    }

    /// The DASH manifest as it stands, with URLs relative to `/live/{channel}/`. `None` until the leader has
    /// something to play.
    pub fn manifest(&self) -> Option<Manifest> {
        manifest::manifest(self)
    }

    /// A rendition's playlist as it stands. `None` until it has something to play.
    pub fn playlist(&self, rendition: &str) -> Option<Arc<Snapshot>> {
        let index = self.find(rendition)?;
        let reports = || {
            let others = self.renditions.iter().enumerate().filter(|(other, _)| *other != index);
            others.filter_map(|(_, other)| other.report()).collect()
        };
        self.renditions[index].snapshot(reports, &self.date_ranges)
    }

    /// The list of a video rendition's keyframes. `None` until it has something to play.
    pub fn i_frames(&self, rendition: &str) -> Option<Arc<Snapshot>> {
        self.renditions[self.find(rendition)?].i_frames(&self.date_ranges)
    }

    /// The media sequence number of the newest segment, whole or not, of a rendition that has a playlist.
    pub fn newest_segment(&self, rendition: &str) -> Option<u64> {
        let window = self.renditions[self.find(rendition)?].window()?;
        window.last().filter(|_| window.is_available()).map(|(msn, _)| msn)
    }

    /// A rendition's init segment: version 0 is `init.mp4`, and each later configuration has the next.
    pub fn init(&self, rendition: &str, version: u32) -> Option<Bytes> {
        self.renditions[self.find(rendition)?].init(version).cloned()
    }

    /// The parts, so far, of the segment that is being made, if it is this one.
    pub fn open_segment(&self, rendition: &str, msn: u64) -> Option<&[Bytes]> {
        self.renditions[self.find(rendition)?].window()?.open_bytes(msn)
    }

    /// The names of its renditions, the leader's first.
    pub fn renditions(&self) -> impl Iterator<Item = &str> {
        self.renditions.iter().map(|rendition| &*rendition.name)
    }

    /// EXT-X-TARGETDURATION of all playlists in seconds, once the first segment has decided it.
    pub fn target_duration(&self) -> Option<u32> {
        self.leader.shape().map(|shape| shape.target_duration)
    }

    fn advance(&mut self, concerned: std::ops::Range<usize>, shape: &Shape, events: &mut Vec<Event>) {
        let Some(progress) = self.leader.progress() else { return };
        for rendition in &mut self.renditions[concerned] {
            let actions = rendition.advance(self.leader.cuts(), progress, shape);
            rendition.apply(actions, shape, &self.settings, self.started_at, events);
        }
    }

    fn find(&self, name: &str) -> Option<usize> {
        self.renditions.iter().position(|rendition| &*rendition.name == name)
    }

    /// What the multivariant playlist lists: one bit for each rendition, and the captions.
    fn listed(&self) -> (u64, captions::Found) {
        if !self.renditions[0].is_available() {
            return Default::default();
        }
        let bits = |bits, rendition: &Rendition| bits << 1 | u64::from(rendition.is_listed());
        (self.renditions.iter().fold(0, bits), self.captions.found())
    }

    /// Captions are the leader's; what is made of it carries them on.
    fn look_for_captions(&mut self, rendition: usize, frame: &Frame) {
        if rendition == 0 && self.looks_for_captions() {
            self.captions.push(frame.pts, &frame.data);
        }
    }

    fn looks_for_captions(&self) -> bool {
        matches!(self.renditions[0].spec.config, Config::Avc(_))
    }
}

impl Event {
    fn of(rendition: &Arc<str>, change: Change) -> Self {
        let rendition = Arc::clone(rendition);
        match change {
            Change::Part { msn, part } => Self::Part { rendition, msn, part },
            Change::Segment { msn } => Self::Segment { rendition, msn },
        }
    }
}

/// Half a second apart through the longest window by default; a kilobyte each at most.
const MAX_DATE_RANGES: usize = 1024;

#[cfg(test)]
mod tests;
