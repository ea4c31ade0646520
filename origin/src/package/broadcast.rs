//! One broadcast, shared: the packaging core behind a lock, and a signal for those who wait for what comes next.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;
use nearcast_api::BroadcastId;
use nearcast_media::frame::CLOCK;
use nearcast_media::package::{self, Event, Held, Settings, Snapshot, Spec};
use nearcast_media::path::File;
use nearcast_media::{Config as TrackConfig, Frame, Track};
use tokio::sync::watch;

use super::begin::Beginning;
use super::budget::Budget;
use super::rungs::{self, Standing};
use super::store::Stored;
use super::{AUDIO, Config, SOURCE, is_audio};
use crate::dvr::Shelf;
use crate::metrics::Package as Metrics;
use crate::thumbs::Thumbs;
use crate::transcode::Ladder;

/// A broadcast that is live, or over and still served.
pub struct Broadcast {
    id: BroadcastId,
    /// What its files are kept under.
    folder: String,
    started_at: u64,
    taken_over_at: Option<u64>,
    pub(super) ladder: Ladder,
    pub(super) thumbs: Thumbs,
    metrics: Metrics,
    budget: Arc<Budget>,
    /// For what leaves memory.
    pub(super) shelf: Option<Shelf>,
    pub(super) me: Weak<Self>,
    state: Mutex<State>,
    /// Grows with every part, playlist and end.
    pub(super) version: watch::Sender<u64>,
}

/// What a broadcast consists of.
pub(super) struct Tracks {
    pub(super) video: Option<TrackConfig>,
    pub(super) audio: Option<TrackConfig>,
    /// What is made of the video.
    pub(super) ladder: Ladder,
    pub(super) thumbs: Thumbs,
}

/// A segment as far as it exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    pub parts: Vec<Bytes>,
    /// Nothing will be added.
    pub whole: bool,
}

/// Something one may ask a broadcast for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Media<T> {
    Ready(T),
    /// It is the next to come: look again after a change.
    Expected,
    /// Another origin has the broadcast.
    Moved,
    /// It never was, is no more, or will not be soon.
    Unknown,
}

pub(super) struct State {
    pub(super) core: package::Broadcast,
    /// How each rung stands.
    pub(super) rungs: Vec<Standing>,
    /// When there first was something to play.
    playable: Option<Instant>,
    over: bool,
    /// It goes on at another origin.
    moved: bool,
}

impl Broadcast {
    /// A broadcast of a video, an audio or both.
    pub(super) fn new(
        beginning: Beginning,
        config: &Config,
        tracks: Tracks,
        metrics: Metrics,
        budget: Arc<Budget>,
        shelf: Option<Shelf>,
    ) -> Arc<Self> {
        let Tracks { video, audio, ladder, thumbs } = tracks;
        let Beginning { id, folder, started_at, taken_over_at, newest, position } = beginning;
        // The newest frame is what happens now.
        let zero = started_at.saturating_add_signed(-(newest / (CLOCK / 1000)));
        let spec = |name: &str, config| Spec {
            name: name.to_owned(),
            config,
            bandwidth: None,
            max_frame_rate: None,
            listed_from_start: true,
            own: false,
        };
        let source = video.map(|config| spec(SOURCE, config));
        let audio = audio.map(|config| spec(AUDIO, config));
        let mut specs = source.into_iter().chain(audio);
        let leader = specs.next().unwrap_or_else(|| unreachable!("a broadcast has a track"));
        let (spill, audio_only) = (shelf.is_some(), ladder.audio_only);
        let settings = Settings { spill, audio_only, ..config.settings() };
        let mut core = match &position {
            Some(position) => package::Broadcast::resume(id.as_str(), settings, leader, position),
            None => package::Broadcast::new(id.as_str(), zero, settings, leader),
        };
        core.steer(config.steering());
        for spec in specs {
            // The second of two different names in a new broadcast always fits.
            let _fits = core.add_rendition(spec);
        }
        let rungs = rungs::begin_own(&mut core, &ladder);
        let state = State { core, rungs, playable: None, over: false, moved: false };
        let (state, version) = (Mutex::new(state), watch::Sender::new(0));
        let share = Arc::clone(&budget);
        let broadcast = Arc::new_cyclic(|me| Self {
            id,
            folder,
            started_at,
            taken_over_at,
            ladder,
            thumbs,
            metrics,
            budget,
            shelf,
            me: me.clone(),
            state,
            version,
        });
        share.join(&broadcast);
        broadcast
    }

    pub fn id(&self) -> &BroadcastId {
        &self.id
    }

    /// Milliseconds since the Unix epoch.
    pub fn started_at(&self) -> u64 {
        self.started_at
    }

    /// When this origin took it over from another, on the same clock.
    pub fn taken_over_at(&self) -> Option<u64> {
        self.taken_over_at
    }

    /// The name of what is kept of it, this origin's part of it.
    pub fn folder(&self) -> &str {
        &self.folder
    }

    /// True once its publisher has stopped and all is packaged.
    pub fn is_over(&self) -> bool {
        self.state().over
    }

    /// Tells of everything that may turn [`Media::Expected`] into something else.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    /// The target duration of all playlists in seconds; 0 until the first segment has decided it.
    pub fn target_duration(&self) -> u32 {
        self.state().core.target_duration().unwrap_or(0)
    }

    /// The multivariant playlist, once there is something to play and the ladder has begun, or has had its time.
    pub fn multivariant(&self) -> Media<String> {
        let state = self.state();
        if state.moved {
            return Media::Moved;
        }
        let Some(playlist) = state.core.multivariant() else { return state.pending() };
        // A player reads it once, so a rung that is missing here is missing for good.
        let complete = state.rungs.iter().all(|rung| rung.config.is_some()) && self.has_own(&state);
        let waited = state.playable.is_some_and(|since| since.elapsed() > LADDER_DELAY);
        if complete || waited || state.over { Media::Ready(playlist.render()) } else { Media::Expected }
    }

    /// The DASH manifest, from when the multivariant playlist is there.
    pub fn manifest(&self) -> Media<String> {
        match self.multivariant() {
            Media::Ready(_) => {}
            Media::Expected => return Media::Expected,
            Media::Moved => return Media::Moved,
            Media::Unknown => return Media::Unknown,
        }
        let state = self.state();
        let manifest = state.core.manifest();
        manifest.map_or_else(|| state.pending(), |manifest| Media::Ready(manifest.render()))
    }

    /// A rendition's playlist, or its list of keyframes, as it stands.
    pub fn playlist(&self, rendition: &str, file: File) -> Media<Arc<Snapshot>> {
        let state = self.state();
        let found = match file {
            File::IFrames => state.core.i_frames(rendition),
            _ => state.core.playlist(rendition),
        };
        match found {
            // What it has to say of it may be the past.
            Some(_) if state.moved => Media::Moved,
            Some(snapshot) if self.is_fit(&state, rendition) => Media::Ready(snapshot),
            Some(_) => state.pending(),
            None if file == File::IFrames && is_audio(rendition) => Media::Unknown,
            None if self.has(&state, rendition) => state.pending(),
            None => Media::Unknown,
        }
    }

    /// A segment that is being made, or has just been whole, from its part `from` on: ready when there is such a
    /// part. The one after it is expected, for who reckons by the clock asks for it a little early.
    pub fn segment(&self, rendition: &str, msn: u64, from: usize) -> Media<Progress> {
        let state = self.state();
        let rest = |parts: &[Bytes]| parts.get(from..).unwrap_or_default().to_vec();
        if let Some(Held::Memory(parts)) = state.core.segment(rendition, msn) {
            return Media::Ready(Progress { parts: rest(&parts), whole: true });
        }
        if let Some(parts) = state.core.open_segment(rendition, msn).filter(|parts| parts.len() > from) {
            return Media::Ready(Progress { parts: rest(parts), whole: false });
        }
        let expected = if self.is_fit(&state, rendition) {
            let end = state.core.playlist(rendition).map(|snapshot| snapshot.playlist.end());
            end.is_some_and(|end| (end..=end.saturating_add(1)).contains(&msn))
        } else {
            self.will_have(&state, msn)
        };
        if expected { state.pending() } else { Media::Unknown }
    }

    /// A file's bytes, or where they are. A segment that is not whole is none: see [`Self::segment`].
    pub fn bytes(&self, rendition: &str, file: File) -> Media<Stored> {
        let state = self.state();
        let core = &state.core;
        let found = match file {
            File::Init { version } => core.init(rendition, version).map(|init| (Held::Memory(vec![init]), 0)),
            File::Part { msn, part } => core.part(rendition, msn, part).map(|part| (part, msn)),
            File::Segment { msn } => core.segment(rendition, msn).map(|segment| (segment, msn)),
            File::Media | File::IFrames => None,
        };
        if let Some(stored) = found.and_then(|(held, msn)| self.stored(held, rendition, msn)) {
            return Media::Ready(stored);
        }
        let next = match file {
            File::Init { version: 0 } => self.has(&state, rendition),
            File::Part { msn, .. } if !self.is_fit(&state, rendition) => self.will_have(&state, msn),
            File::Part { .. } => core.playlist(rendition).is_some_and(|snapshot| {
                snapshot.playlist.preload_hint.as_ref().is_some_and(|hint| hint.uri == file.to_string())
            }),
            File::Init { .. } | File::Segment { .. } | File::Media | File::IFrames => false,
        };
        if next { state.pending() } else { Media::Unknown }
    }

    /// Its small pictures.
    pub fn thumbs(&self) -> &Thumbs {
        &self.thumbs
    }

    /// Where its times lie, once there is something to play.
    pub fn timeline(&self) -> Option<package::Timeline> {
        self.state().core.timeline()
    }

    /// Packages a frame of the publisher's. True when a segment begins with it.
    pub(super) fn push(&self, track: Track, frame: Frame) -> bool {
        let rendition = match track {
            Track::Video => {
                self.thumbs.see(&frame, || self.timeline().map(|timeline| timeline.first));
                SOURCE
            }
            Track::Audio => AUDIO,
        };
        self.package(rendition, frame)
    }

    /// Says something at a moment of the broadcast, in every playlist and in the media.
    ///
    /// # Errors
    /// What a playlist cannot hold, too much of it, or a broadcast that is over.
    pub fn announce(&self, metadata: package::Metadata) -> Result<(), package::Error> {
        let events = self.state().core.announce(metadata)?;
        self.tell(&events);
        Ok(())
    }

    /// What comes next is another sequence of frames, of these configurations.
    pub(super) fn splice(&self, video: Option<TrackConfig>, audio: Option<TrackConfig>) {
        if let Some(video) = &video {
            self.thumbs.renew(video);
        }
        let named = |name: &str, config: Option<TrackConfig>| config.map(|config| (name.to_owned(), config));
        let configs = named(SOURCE, video).into_iter().chain(named(AUDIO, audio));
        let spliced = self.state().core.splice(configs);
        match spliced {
            Ok(events) => self.tell(&events),
            Err(error) => tracing::warn!(broadcast = %self.id, "another sequence cannot begin: {error}"),
        }
    }

    /// Another origin goes on with it.
    pub(super) fn leave(&self) {
        let mut state = self.state();
        (state.over, state.moved) = (true, true);
        drop(state);
        self.version.send_modify(|version| *version += 1);
    }

    /// Ends every playlist.
    pub(super) fn finish(&self) {
        let mut state = self.state();
        let State { core, rungs, .. } = &mut *state;
        for (plan, _) in self.ladder.all().zip(rungs).filter(|(_, standing)| standing.is_asleep()) {
            // Nobody can wake it any more.
            let _known = core.drop_rendition(plan.name);
        }
        let events = state.core.end();
        state.over = true;
        drop(state);
        self.tell(&events);
        self.version.send_modify(|version| *version += 1);
    }

    pub(super) fn package(&self, rendition: &str, frame: Frame) -> bool {
        let mut state = self.state();
        let outcome = match state.core.push(rendition, frame) {
            Ok(outcome) => outcome,
            Err(error) => {
                self.metrics.rejected_frames.inc();
                tracing::debug!(broadcast = %self.id, rendition, "a frame is left out: {error}");
                return false;
            }
        };
        if state.playable.is_none() && state.core.target_duration().is_some() {
            state.playable = Some(Instant::now());
        }
        drop(state);
        self.tell(&outcome.events);
        outcome.starts_segment
    }

    fn tell(&self, events: &[Event]) {
        if events.is_empty() {
            return;
        }
        let parts = events.iter().filter(|event| matches!(event, Event::Part { .. })).count();
        self.metrics.parts.inc_by(parts as u64);
        self.version.send_modify(|version| *version += 1);
        if events.iter().any(|event| matches!(event, Event::Segment { .. })) {
            self.move_out();
            self.budget.settle();
        }
    }

    /// Whether there is, or will be, such a rendition.
    fn has(&self, state: &State, rendition: &str) -> bool {
        state.core.renditions().any(|name| name == rendition)
            || self.ladder.find(rendition).is_some_and(|rung| state.rungs[rung].config.is_none())
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// What is not there yet will come, but for a broadcast that is over.
    fn pending<T>(&self) -> Media<T> {
        match self.over {
            _ if self.moved => Media::Moved,
            true => Media::Unknown,
            false => Media::Expected,
        }
    }
}

impl fmt::Debug for Broadcast {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Broadcast")
            .field("id", &self.id)
            .field("over", &self.is_over())
            .finish_non_exhaustive()
    }
}

/// For the ladder's first frames on a machine that is busy.
const LADDER_DELAY: Duration = Duration::from_secs(3);
