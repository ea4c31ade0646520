//! Watches one publisher's frames and their times, and knows how it does. No clock: `now` is an argument.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use nearcast_api::ingest::{Audio, Further, Health, Line, Rate, Video, Warning};
use nearcast_media::frame::CLOCK;
use nearcast_media::{Config, Frame, Picture, Piece, Sound, Track};

use super::advice::{CHECKS, Facts};
use super::alarm::{Alarm, Change};
use super::pictures::{Pictures, Step};
use super::window::{Span, Sum, Window};
use crate::package::Notes;

/// Who publishes, and how it reached us.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Source {
    /// `rtmp`, `rtmps`, `srt`, or `forwarded` by another origin.
    pub protocol: &'static str,
    /// What the encoder calls itself, or empty.
    pub encoder: String,
    /// The publisher's address is an IPv6 one.
    pub ipv6: bool,
    /// It came with a key of those that stand by.
    pub backup: bool,
}

/// The state of one publisher, over all its connections to a broadcast.
#[derive(Debug)]
pub(super) struct Monitor {
    source: Source,
    connected: Instant,
    reconnects: u32,
    video: Option<Video>,
    audio: Option<Audio>,
    further: BTreeMap<u8, Further>,
    line: Option<Line>,
    window: Window,
    pictures: Pictures,
    newest: [Option<(i64, Instant)>; 2],
    /// Milliseconds by which audio is ahead, smoothed.
    drift: f64,
    /// The least that a frame's arrival was behind its time so far, in milliseconds.
    lead: Option<(f64, Instant)>,
    late: u64,
    missing: u64,
    jumps: u64,
    /// Of this connection's demuxer.
    put_right: u64,
    left_out: Vec<&'static str>,
    notes: Notes,
    alarms: BTreeMap<&'static str, Raised>,
}

/// An alarm, and when it went off in milliseconds since the Unix epoch.
#[derive(Debug, Default)]
struct Raised {
    alarm: Alarm,
    since: u64,
}

/// A warning that came or went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Turn {
    pub(super) change: Change,
    pub(super) code: &'static str,
    pub(super) text: String,
}

impl Monitor {
    pub(super) fn new(source: Source, now: Instant) -> Self {
        Self {
            source,
            connected: now,
            reconnects: 0,
            video: None,
            audio: None,
            further: BTreeMap::new(),
            line: None,
            window: Window::new(now),
            pictures: Pictures::default(),
            newest: [None; 2],
            drift: 0.0,
            lead: None,
            late: 0,
            missing: 0,
            jumps: 0,
            put_right: 0,
            left_out: Vec::new(),
            notes: Notes::default(),
            alarms: BTreeMap::new(),
        }
    }

    /// The publisher has come back: what is counted goes on, what is measured begins anew.
    pub(super) fn succeed(&mut self, source: Source, now: Instant) -> Self {
        Self {
            reconnects: self.reconnects.saturating_add(1),
            video: self.video.take(),
            audio: self.audio.take(),
            late: self.late,
            missing: self.missing,
            jumps: self.jumps,
            alarms: std::mem::take(&mut self.alarms),
            ..Self::new(source, now)
        }
    }

    /// What the encoder calls itself may come after it began to publish.
    pub(super) fn encoder(&mut self, name: &str) {
        self.source.encoder = name.chars().filter(|c| !c.is_control()).take(MAX_NAME).collect();
    }

    /// A track that is taken begins, or is decoded otherwise from now on.
    pub(super) fn config(&mut self, config: &Config) {
        let codec = config.codec_string();
        if let Some(Picture { width, height, .. }) = config.picture() {
            self.pictures.restart();
            self.video = Some(Video { codec: codec.clone(), width, height, ..Video::default() });
        }
        if let Some(Sound { sample_rate, channels }) = config.sound() {
            self.audio = Some(Audio { codec, sample_rate, channels, ..Audio::default() });
        }
    }

    /// A frame of a track that is taken has arrived.
    pub(super) fn frame(&mut self, track: Track, frame: &Frame, now: Instant) {
        let second = self.window.at(now);
        second.reach(frame.dts);
        match track {
            Track::Video => {
                second.video.push(frame.data.len());
                match self.pictures.push(frame) {
                    Step::First => {}
                    Step::After(ms) => second.step(ms),
                    Step::Hole(missing) => {
                        second.missing += missing;
                        self.missing += missing;
                    }
                }
            }
            Track::Audio => {
                second.audio.push(frame.data.len());
                second.loudest = second.loudest.max(frame.data.len());
            }
        }
        self.keep_time(frame.dts, now);
        self.newest[index(track)] = Some((frame.dts, now));
        // A track that has stopped does not drift.
        if let [Some((video, seen)), Some((audio, heard))] = self.newest
            && now.saturating_duration_since(seen.min(heard)) < LATE
        {
            let ahead = (audio - video) as f64 * 1_000.0 / CLOCK as f64;
            self.drift += (ahead - self.drift) * SMOOTH;
        }
    }

    /// Timestamps that this connection's demuxer has put right so far.
    pub(super) fn put_right(&mut self, jumps: u64, now: Instant) {
        let new = jumps.saturating_sub(self.put_right);
        self.put_right = jumps;
        self.jumps += new;
        self.window.at(now).jumps += new;
    }

    /// Something of a further video track has arrived.
    pub(super) fn further(&mut self, track: u8, piece: &Piece, now: Instant) {
        match piece {
            Piece::Frame(frame) => self.window.at(now).further.push(frame.data.len()),
            Piece::Config(config) => {
                let Some(Picture { width, height, .. }) = config.picture() else { return };
                self.further.insert(track, Further { codec: config.codec_string(), width, height });
            }
        }
    }

    /// What is known of the line.
    pub(super) fn line(&mut self, line: Line) {
        self.line = Some(line);
    }

    /// A track is not taken.
    pub(super) fn leave_out(&mut self, words: &'static str) {
        if !self.left_out.contains(&words) {
            self.left_out.push(words);
        }
    }

    /// What the broadcast has to say of its own renditions.
    pub(super) fn note(&mut self, notes: Notes) {
        self.notes = notes;
    }

    /// Frames have come on this connection.
    pub(super) fn flows(&self) -> bool {
        self.newest.iter().any(Option::is_some)
    }

    /// Since the last frame.
    pub(super) fn quiet(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.heard())
    }

    /// When the last frame came.
    fn heard(&self) -> Instant {
        let [video, audio] = self.newest.map(|newest| newest.map_or(self.connected, |(_, at)| at));
        video.max(audio)
    }

    /// Looks at everything once; call it every second. `wall` is in milliseconds since the Unix epoch.
    pub(super) fn look(&mut self, now: Instant, wall: u64) -> Vec<Turn> {
        let health = self.measure(now);
        let facts = self.facts(&health, now);
        let verdicts: Vec<_> = CHECKS.iter().map(|check| (check.code, (check.judge)(&facts))).collect();
        let mut turns = Vec::new();
        for (code, verdict) in verdicts {
            let Raised { alarm, since } = self.alarms.entry(code).or_default();
            let before = alarm.raised().map(|bad| bad.text.clone());
            let Some(change) = alarm.look(verdict, now) else { continue };
            *since = wall;
            let text = alarm.raised().map(|bad| bad.text.clone()).or(before).unwrap_or_default();
            turns.push(Turn { change, code, text });
        }
        turns
    }

    /// How it does, as of the last look.
    pub(super) fn health(&mut self, now: Instant) -> Health {
        let mut health = self.measure(now);
        health.warnings = CHECKS.iter().filter_map(|check| self.warning(check.code, check.notice)).collect();
        health
    }

    fn warning(&self, code: &'static str, notice: bool) -> Option<Warning> {
        let Raised { alarm, since } = self.alarms.get(code)?;
        let bad = alarm.raised()?;
        let numbers = bad.numbers.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
        Some(Warning { code: code.to_owned(), notice, text: bad.text.clone(), numbers, since: *since })
    }

    fn measure(&mut self, now: Instant) -> Health {
        let _turned = self.window.at(now);
        let (one, ten) = (self.window.last(1, 0), self.window.last(10, 0));
        let rate = |of: fn(&Span) -> Sum| Rate { now: one.carried(of(&one)), mean: ten.carried(of(&ten)) };
        let (mean, jitter) = ten.steps().unwrap_or_default();
        let groups = self.pictures.groups();
        let video = self.video.as_ref().map(|video| Video {
            bitrate: rate(|span| span.total.video),
            frame_rate: if mean > 0.0 { tidy(1_000.0 / mean) } else { 0.0 },
            jitter_ms: tidy(jitter),
            keyframe_s: tidy(groups.mean),
            keyframe_frames: groups.frames,
            b_frames: self.pictures.b_frames,
            missing_frames: self.missing,
            ..video.clone()
        });
        let audio = self
            .audio
            .as_ref()
            .map(|audio| Audio { bitrate: rate(|span| span.total.audio), ..audio.clone() });
        Health {
            protocol: self.source.protocol.to_owned(),
            encoder: self.source.encoder.clone(),
            family: if self.source.ipv6 { "ipv6" } else { "ipv4" }.to_owned(),
            backup: self.source.backup,
            on_air: false,
            connected_s: now.saturating_duration_since(self.connected).as_secs(),
            reconnects: self.reconnects,
            bitrate: rate(|span| span.total.all()),
            video,
            audio,
            further: self.further.values().cloned().collect(),
            line: self.line,
            drift_ms: self.drift as i32,
            pace: tidy(ten.pace().unwrap_or(1.0)),
            late_frames: self.late,
            jumps: self.jumps,
            warnings: Vec::new(),
        }
    }

    fn facts<'a>(&'a self, health: &'a Health, now: Instant) -> Facts<'a> {
        let quiet = |track| {
            let at = self.newest[index(track)].map_or(self.connected, |(_, at)| at);
            now.saturating_duration_since(at)
        };
        let ten = self.window.last(10, 0);
        let tens = || (0..6).map(|n| self.window.last(10, n * 10)).map(|span| span.carried(span.total.video));
        let swing = (self.window.len() >= 60).then(|| (tens().min().unwrap_or(0), tens().max().unwrap_or(0)));
        Facts {
            health,
            age: self.window.age(now),
            quiet: self.quiet(now),
            video_quiet: quiet(Track::Video),
            audio_quiet: quiet(Track::Audio),
            ten,
            minute: self.window.last(60, 0),
            swing,
            groups: self.pictures.groups(),
            without_keyframe: self.pictures.without_keyframe(),
            frames: self.pictures.frames,
            silent: ten.seconds >= 10 && ten.total.audio.frames > 0 && ten.total.loudest <= SILENT,
            left_out: &self.left_out,
            notes: &self.notes,
        }
    }

    /// Compares a frame's arrival with the best that any has done.
    fn keep_time(&mut self, dts: i64, now: Instant) {
        let arrived = self.window.age(now).as_secs_f64() * 1_000.0;
        let behind = arrived - dts as f64 * 1_000.0 / CLOCK as f64;
        let Some((best, at)) = self.lead else { return self.lead = Some((behind, now)) };
        // The encoder's clock may run slower than ours by a thousandth.
        let allowed = best + now.saturating_duration_since(at).as_secs_f64();
        if behind <= allowed {
            self.lead = Some((behind, now));
        } else if behind > allowed + LATE.as_secs_f64() * 1_000.0 {
            self.late += 1;
        }
    }
}

fn index(track: Track) -> usize {
    match track {
        Track::Video => 0,
        Track::Audio => 1,
    }
}

/// Three digits are enough for people and make heartbeats small.
fn tidy(value: f64) -> f32 {
    ((value * 100.0).round() / 100.0) as f32
}

/// Two seconds or so of frames.
const SMOOTH: f64 = 0.01;
const LATE: Duration = Duration::from_secs(1);
const MAX_NAME: usize = 100;
/// Bytes: AAC says a frame of silence in about ten; the softest sound takes more than this.
const SILENT: usize = 24;

#[cfg(test)]
mod tests;
