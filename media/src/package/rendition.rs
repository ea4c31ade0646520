//! One rendition of a broadcast: where its frames come from, its muxer and its window.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;

use super::{Error, Event, LATEST, LEAD, Settings, Snapshot, Spec};
use crate::fmp4;
use crate::frame::{CLOCK, Config, Frame};
use crate::hls::media::Report;
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
    pub(super) init: Bytes,
    pub(super) source: Source,
    /// Decoding time of the newest frame.
    newest: Option<i64>,
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
    muxer: Muxer,
    window: Window,
    /// The playlist since the last change, once somebody has asked for it.
    snapshot: OnceLock<Arc<Snapshot>>,
}

impl Rendition {
    pub(super) fn new(spec: Spec, source: Source) -> Self {
        Self {
            name: spec.name.as_str().into(),
            init: fmp4::init_segment(&spec.config),
            spec,
            source,
            newest: None,
            output: None,
        }
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
        let config = &self.spec.config;
        let output = self.output.get_or_insert_with(|| Output::new(config, shape, settings, started_at));
        let mut made = Vec::new();
        actions.into_iter().for_each(|action| output.muxer.apply(action, &mut made));
        let before = events.len();
        for made in made {
            events.extend(output.window.apply(made).map(|change| Event::of(&self.name, change)));
        }
        if events.len() > before {
            output.forget_snapshot();
            if output.window.is_available() {
                events.push(Event::Playlist { rendition: Arc::clone(&self.name) });
            }
        }
    }

    pub(super) fn end(&mut self, events: &mut Vec<Event>) {
        if let Some(output) = &mut self.output {
            output.window.end();
            output.forget_snapshot();
            events.push(Event::Playlist { rendition: Arc::clone(&self.name) });
        }
    }

    pub(super) fn snapshot(&self, reports: impl FnOnce() -> Vec<Report>) -> Option<Arc<Snapshot>> {
        let output = self.output.as_ref().filter(|output| output.window.is_available())?;
        let make = || Arc::new(Snapshot::new(output.window.playlist(reports())));
        Some(Arc::clone(output.snapshot.get_or_init(make)))
    }

    /// Where its playlist stands, for the others'.
    pub(super) fn report(&self) -> Option<Report> {
        let (last_msn, last_part) = self.window()?.last()?;
        Some(Report { uri: format!("../{}/{}", self.name, File::Media), last_msn, last_part })
    }

    pub(super) fn window(&self) -> Option<&Window> {
        self.output.as_ref().map(|output| &output.window)
    }

    pub(super) fn is_available(&self) -> bool {
        self.window().is_some_and(Window::is_available)
    }

    pub(super) fn is_listed(&self) -> bool {
        self.spec.listed_from_start || self.is_available()
    }
}

impl Output {
    fn new(config: &Config, shape: &Shape, settings: &Settings, started_at: u64) -> Self {
        let (frame, part_target) = match config.sound() {
            None => (shape.frame, shape.part_target),
            Some(sound) => {
                let frame = Duration::from_secs(config.usual_samples().into()) / sound.sample_rate.max(1);
                (frame, fit::audio_part_target(shape.part_target, frame))
            }
        };
        Self {
            muxer: Muxer::new(fmp4::timescale(config), part_target, frame),
            window: Window::new(settings.limits(), started_at, shape.target_duration, part_target),
            snapshot: OnceLock::new(),
        }
    }

    fn forget_snapshot(&mut self) {
        self.snapshot = OnceLock::new();
    }
}

fn limits(shape: &Shape) -> rung::Limits {
    // Just below what rounds to more than the target duration.
    let segment = i64::from(shape.target_duration) * CLOCK + CLOCK * 49 / 100;
    rung::Limits { frame: ticks(shape.part_target), segment }
}

/// How far a frame may be shown before or after it is decoded: no encoder reorders by more than some frames.
const MAX_REORDER: u64 = 2 * CLOCK.unsigned_abs();
