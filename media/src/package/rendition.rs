//! One rendition of a broadcast: where its frames come from, its muxer and its window.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;

use super::{Error, Event, LATEST, LEAD, Settings, Snapshot, Spec};
use crate::fmp4::{self, EventMessage};
use crate::frame::{CLOCK, Config, Frame, Track};
use crate::hls::daterange::History;
use crate::hls::media::{Playlist, Report};
use crate::path::File;
use crate::segment::cuts::Cuts;
use crate::segment::leader::Shape;
use crate::segment::muxer::Muxer;
use crate::segment::{Action, audio, fit, rung, ticks};
use crate::window::Window;

#[derive(Debug)]
pub(super) struct Rendition {
    pub(super) spec: Spec,
    pub(super) name: Arc<str>,
    /// Each configuration it had, and its init segment.
    inits: Vec<(Config, Bytes)>,
    /// The version of the first of them.
    first_init: u32,
    /// Configurations to come, and the discontinuities from which on they count.
    renewals: VecDeque<(u64, Config)>,
    pub(super) source: Source,
    /// Decoding time of the newest frame.
    newest: Option<i64>,
    /// Messages that came before there was a muxer.
    early_events: Vec<EventMessage>,
    /// Since the leader's shape is known.
    output: Option<Output>,
}

/// How its frames find their segments.
#[derive(Debug)]
pub(super) enum Source {
    LeadingVideo,
    LeadingAudio(audio::Clock),
    Audio(audio::Follower),
    Rung(rung::Follower),
}

#[derive(Debug)]
struct Output {
    part_target: Duration,
    muxer: Muxer,
    window: Window,
    /// The playlist since the last change, once somebody has asked for it.
    snapshot: OnceLock<Arc<Snapshot>>,
    /// The same of the list of keyframes.
    i_frames: OnceLock<Arc<Snapshot>>,
}

impl Rendition {
    /// `inits` are those of an earlier rendition of this name.
    pub(super) fn new(spec: Spec, source: Source, inits: Vec<(Config, Bytes)>, first_init: u32) -> Self {
        let mut rendition = Self {
            name: spec.name.as_str().into(),
            inits,
            first_init,
            renewals: VecDeque::new(),
            spec,
            source,
            newest: None,
            early_events: Vec::new(),
            output: None,
        };
        rendition.configure(rendition.spec.config.clone());
        rendition
    }

    /// What is left of it when it is dropped: the bytes that its init segments' names stand for.
    pub(super) fn into_inits(self) -> Vec<(Config, Bytes)> {
        self.inits
    }

    /// Refuses times that cannot be: before the file's beginning, absurdly late, or going back.
    pub(super) fn check(&mut self, frame: &Frame) -> Result<(), Error> {
        let possible = -LEAD * CLOCK..LATEST;
        let reordered = frame.pts.saturating_sub(frame.dts).unsigned_abs() <= MAX_REORDER;
        let rises = self.newest.is_none_or(|newest| newest <= frame.dts);
        if !(possible.contains(&frame.dts) && possible.contains(&frame.pts) && reordered && rises) {
            return Err(Error::Time { name: self.spec.name.clone(), dts: frame.dts, pts: frame.pts });
        }
        self.newest = Some(frame.dts);
        Ok(())
    }

    /// What a follower does now that the leader has come as far as `progress`.
    pub(super) fn advance(&mut self, cuts: &Cuts, progress: i64, shape: &Shape) -> Vec<Action> {
        let mut actions = Vec::new();
        match &mut self.source {
            Source::LeadingVideo | Source::LeadingAudio(_) => {}
            Source::Audio(follower) => follower.advance(cuts, progress, &mut actions),
            Source::Rung(follower) => {
                follower.advance(cuts, progress, limits(shape), &mut actions);
            }
        }
        actions
    }

    /// What a follower does at the leader's end.
    pub(super) fn finish(&mut self, cuts: &Cuts, end: i64, shape: &Shape) -> Vec<Action> {
        let mut actions = Vec::new();
        match &mut self.source {
            Source::LeadingVideo | Source::LeadingAudio(_) => {}
            Source::Audio(follower) => follower.finish(cuts, end, &mut actions),
            Source::Rung(follower) => follower.finish(cuts, limits(shape), &mut actions),
        }
        actions
    }

    /// Makes parts and puts them into the window.
    pub(super) fn apply(
        &mut self,
        actions: Vec<Action>,
        shape: &Shape,
        settings: &Settings,
        started_at: u64,
        events: &mut Vec<Event>,
    ) {
        if actions.is_empty() {
            return;
        }
        let (before, mut made) = (events.len(), Vec::new());
        for action in actions {
            // A configuration counts from the segment on that begins at its discontinuity.
            if let Action::Frame(_, Some(start)) | Action::Gap { start, .. } = &action {
                self.renew_at(start.discontinuities, shape);
            }
            let (config, version) = (&self.spec.config, self.version());
            let begin = || Output::new(config, version, shape, settings, started_at);
            if let (None, Source::Rung(_), Action::Frame(_, Some(start))) =
                (&self.output, &self.source, &action)
            {
                // Whoever watched was told, in other renditions.
                self.early_events.retain(|event| event.time >= start.time);
            }
            let output = self.output.get_or_insert_with(begin);
            self.early_events.drain(..).for_each(|event| output.muxer.announce(event));
            output.muxer.apply(action, &mut made);
            for made in made.drain(..) {
                events.extend(output.window.apply(made).map(|change| Event::of(&self.name, change)));
            }
        }
        let Some(output) = &mut self.output else { return };
        if events.len() > before {
            output.forget_snapshot();
            if output.window.is_available() {
                events.push(Event::Playlist { rendition: Arc::clone(&self.name) });
            }
        }
    }

    /// Lets go of everything it has made, to begin anew after that.
    pub(super) fn rest(&mut self) {
        if let Source::Rung(follower) = &self.source {
            self.source = Source::Rung(rung::Follower::after(follower.last()));
            self.early_events = self.pending_events().to_vec();
            (self.output, self.newest) = (None, None);
            for (_, config) in std::mem::take(&mut self.renewals) {
                self.configure(config);
            }
        }
    }

    /// From this discontinuity on its frames are of another configuration; at once where it has no segment.
    pub(super) fn renew(&mut self, discontinuities: Option<u64>, config: Config) {
        match (discontinuities, &mut self.source) {
            (Some(from), Source::Audio(follower)) => follower.renew(from, &config),
            (None, Source::Audio(follower)) => *follower = audio::Follower::new(&config),
            // The leader's frames are placed as they come.
            (_, Source::LeadingAudio(clock)) => *clock = audio::Clock::new(&config),
            (_, Source::LeadingVideo | Source::Rung(_)) => {}
        }
        match discontinuities.filter(|_| self.output.is_some()) {
            Some(from) => self.renewals.push_back((from, config)),
            None => self.configure(config),
        }
    }

    fn renew_at(&mut self, discontinuities: u64, shape: &Shape) {
        while let Some((_, config)) = self.renewals.pop_front_if(|(from, _)| *from <= discontinuities) {
            self.configure(config);
            let version = self.version();
            if let Some(output) = &mut self.output {
                output.renew(&self.spec.config, shape, version);
            }
        }
    }

    /// Segments that begin from now on are of this configuration. What has a name keeps its bytes, so another
    /// init segment gets the next one.
    fn configure(&mut self, config: Config) {
        let init = fmp4::init_segment(&config);
        if self.inits.last().is_none_or(|(_, last)| *last != init) {
            self.inits.push((config.clone(), init));
        }
        self.spec.config = config;
    }

    /// Of the newest init segment.
    pub(super) fn version(&self) -> u32 {
        let before = u32::try_from(self.inits.len().saturating_sub(1)).unwrap_or(u32::MAX);
        self.first_init.saturating_add(before)
    }

    /// Made of the leader's video, whenever somebody asks for it.
    pub(super) fn is_made(&self) -> bool {
        matches!(self.source, Source::Rung(_)) && !self.spec.own
    }

    /// See [`rung::Follower::is_astray`].
    pub(super) fn is_astray(&self) -> bool {
        matches!(&self.source, Source::Rung(follower) if follower.is_astray())
    }

    /// The name of its newest init segment.
    pub(super) fn newest_init(&self) -> String {
        File::Init { version: self.version() }.to_string()
    }

    /// The init segment of a version.
    pub(super) fn init(&self, version: u32) -> Option<&Bytes> {
        Some(&self.of_version(version)?.1)
    }

    /// The configuration that the init segment of this name is of.
    pub(super) fn config_of(&self, init: &str) -> Option<&Config> {
        match File::parse(init) {
            Ok(File::Init { version }) => Some(&self.of_version(version)?.0),
            _ => None,
        }
    }

    fn of_version(&self, version: u32) -> Option<&(Config, Bytes)> {
        self.inits.get(usize::try_from(version.checked_sub(self.first_init)?).ok()?)
    }

    /// The configuration of what has come in last: it may count only from a discontinuity to come.
    pub(super) fn newest_config(&self) -> &Config {
        self.renewals.back().map_or(&self.spec.config, |(_, config)| config)
    }

    pub(super) fn end(&mut self, events: &mut Vec<Event>) {
        if let Some(output) = &mut self.output {
            output.window.end();
            output.forget_snapshot();
            events.push(Event::Playlist { rendition: Arc::clone(&self.name) });
        }
    }

    pub(super) fn snapshot(
        &self,
        reports: impl FnOnce() -> Vec<Report>,
        ranges: &Arc<History>,
    ) -> Option<Arc<Snapshot>> {
        let output = self.output.as_ref().filter(|output| output.window.is_available())?;
        let make = || snapshot(output.window.playlist(reports()), ranges);
        Some(Arc::clone(output.snapshot.get_or_init(make)))
    }

    /// The list of its keyframes, if they are few enough to be listed.
    pub(super) fn i_frames(&self, ranges: &Arc<History>) -> Option<Arc<Snapshot>> {
        let output = self.output.as_ref().filter(|output| output.window.is_available())?;
        self.spec.config.picture()?;
        Some(Arc::clone(output.i_frames.get_or_init(|| snapshot(output.window.i_frames(), ranges))))
    }

    /// Puts a message into the media, whose time is `now`.
    pub(super) fn announce(&mut self, event: EventMessage, now: i64) {
        match &mut self.output {
            Some(output) => output.muxer.announce(event),
            None => {
                // One that nobody watches has no use for the past.
                self.early_events.retain(|event| event.time >= now);
                self.early_events.push(event);
            }
        }
    }

    /// The messages whose time has not come.
    pub(super) fn pending_events(&self) -> &[EventMessage] {
        self.output.as_ref().map_or(&self.early_events, |output| output.muxer.pending_events())
    }

    /// Something in its playlist has changed that is not the media's.
    pub(super) fn touch(&mut self, events: &mut Vec<Event>) {
        if let Some(output) = self.output.as_mut().filter(|output| output.window.is_available()) {
            output.forget_snapshot();
            events.push(Event::Playlist { rendition: Arc::clone(&self.name) });
        }
    }

    /// Where its playlist stands, for the others'.
    pub(super) fn report(&self) -> Option<Report> {
        let (last_msn, last_part) = self.window()?.last()?;
        Some(Report { uri: format!("../{}/{}", self.name, File::Media), last_msn, last_part })
    }

    pub(super) fn window(&self) -> Option<&Window> {
        self.output.as_ref().map(|output| &output.window)
    }

    /// To change it in a way that players need not be told of at once.
    pub(super) fn window_mut(&mut self) -> Option<&mut Window> {
        let output = self.output.as_mut()?;
        output.forget_snapshot();
        Some(&mut output.window)
    }

    /// Segments that somebody else keeps and nobody will ask for any more.
    pub(super) fn take_gone(&mut self) -> Vec<u64> {
        self.output.as_mut().map(|output| output.window.take_gone()).unwrap_or_default()
    }

    pub(super) fn is_available(&self) -> bool {
        self.window().is_some_and(Window::is_available)
    }

    pub(super) fn is_listed(&self) -> bool {
        // The publisher's own says by what it sends how much that is.
        let has_more_than_gaps = || self.window().is_some_and(|window| window.rate().peak() > 0);
        self.spec.listed_from_start || self.is_available() && (!self.spec.own || has_more_than_gaps())
    }
}

impl Output {
    fn new(config: &Config, version: u32, shape: &Shape, settings: &Settings, started_at: u64) -> Self {
        let frame = frame_duration(config, shape);
        let part_target = match config.track() {
            Track::Video => shape.part_target,
            Track::Audio => fit::audio_part_target(shape.part_target, frame),
        };
        let mut window = Window::new(settings.window, started_at, shape.target_duration, part_target);
        window.renew(version);
        Self {
            part_target,
            muxer: Muxer::new(fmp4::timescale(config), part_target, frame),
            window,
            snapshot: OnceLock::new(),
            i_frames: OnceLock::new(),
        }
    }

    /// PART-TARGET never changes, so parts of other frames are cut to fit.
    fn renew(&mut self, config: &Config, shape: &Shape, version: u32) {
        self.muxer.renew(fmp4::timescale(config), self.part_target, frame_duration(config, shape));
        self.window.renew(version);
    }

    fn forget_snapshot(&mut self) {
        (self.snapshot, self.i_frames) = Default::default();
    }
}

fn snapshot(playlist: Playlist, ranges: &Arc<History>) -> Arc<Snapshot> {
    let date_ranges = ranges.ranges().cloned().collect();
    Arc::new(Snapshot::new(Playlist { date_ranges, ..playlist }, Arc::clone(ranges)))
}

/// How long a frame lasts: exactly for audio, about for video.
fn frame_duration(config: &Config, shape: &Shape) -> Duration {
    let audio = |rate: u32| Duration::from_secs(config.usual_samples().into()) / rate.max(1);
    config.sound().map_or(shape.frame, |sound| audio(sound.sample_rate))
}

fn limits(shape: &Shape) -> rung::Limits {
    // Just below what rounds to more than the target duration.
    let segment = i64::from(shape.target_duration) * CLOCK + CLOCK * 49 / 100;
    rung::Limits { frame: ticks(shape.part_target), segment }
}

/// How far a frame may be shown before or after it is decoded: no encoder reorders by more than some frames.
const MAX_REORDER: u64 = 2 * CLOCK.unsigned_abs();
