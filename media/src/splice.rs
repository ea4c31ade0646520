//! Several encoders, one broadcast: which of them is on the air, and what stands in while none is.
//!
//! [`Splicer`] takes what each encoder ("source") sends in its own time and gives one run of frames in the broadcast's
//! time. When the source on the air fails, another takes over at a keyframe; while there is none, the last keyframe is
//! repeated with silence (the slate) until one is back or the grace is over. It reads no clock: `now` is an argument,
//! in [`CLOCK`] ticks from any beginning.

mod further;
mod slate;
mod source;

use std::collections::VecDeque;

use crate::frame::CLOCK;
use crate::{Config, Frame, Piece, Track};
use further::Further;
use slate::Slate;
use source::{Entry, Source};

/// How failures are bridged. All times in [`CLOCK`] ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// How long the slate stands in after the last source has gone.
    pub grace: i64,
    /// Between two pictures of the slate: less than a part.
    pub interval: i64,
    /// How long a source of a better rank must have been steady before it goes back on the air.
    pub failback: i64,
}

/// Names one encoder's connection; never reused within a broadcast.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(pub u64);

/// How a source is preferred: the smaller is the better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rank {
    Primary,
    Backup,
}

/// What the broadcast is made of, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Another sequence of frames begins with the next keyframe, of these configurations.
    Splice {
        video: Option<Config>,
        audio: Option<Config>,
    },
    Frame(Track, Frame),
    /// The same of the source's further video track of this number. A configuration that changes comes right after a
    /// splice.
    Further(u8, Piece),
    /// This source is on the air now.
    OnAir(Id),
    /// None is: the slate begins, another sequence of frames, whose video is the operator's picture of this
    /// configuration, or the last keyframe of the same one.
    Slate {
        picture: Option<Config>,
    },
    /// The grace is over, or the last source has said goodbye.
    End,
}

/// Makes one run of frames of several sources.
#[derive(Debug)]
pub struct Splicer {
    settings: Settings,
    /// The track that decides where segments begin.
    leader: Track,
    video: Option<Config>,
    audio: Option<Config>,
    sources: Vec<Source>,
    on_air: Option<OnAir>,
    slate: Slate,
    further: Further,
    /// The broadcast's time less `now`, as the newest leading frame from a source had it; and when that came.
    edge: Option<(i64, i64)>,
    /// Since when there has been no source.
    alone: Option<i64>,
    ended: bool,
    outputs: VecDeque<Output>,
}

/// The source whose frames are the broadcast's.
#[derive(Debug, Clone, Copy)]
struct OnAir {
    id: Id,
    rank: Rank,
    /// The broadcast's time less the source's.
    offset: i64,
    /// Where it began, in the broadcast's time: sound from before is left out.
    from: i64,
}

impl Splicer {
    /// A broadcast of these tracks, of which there is at least one.
    pub fn new(settings: Settings, video: Option<Config>, audio: Option<Config>, now: i64) -> Self {
        let leader = if video.is_some() { Track::Video } else { Track::Audio };
        Self {
            settings,
            leader,
            video,
            audio,
            sources: Vec::new(),
            on_air: None,
            slate: Slate::default(),
            further: Further::default(),
            edge: None,
            alone: Some(now),
            ended: false,
            outputs: VecDeque::new(),
        }
    }

    /// The same as it goes on after another one's, which had come to `end` in the broadcast's time when that was `edge`.
    #[must_use]
    pub fn resuming(mut self, end: i64, edge: i64, now: i64) -> Self {
        self.slate.resume(self.leader, end);
        self.edge = Some((edge - now, now));
        self
    }

    /// What the slate shows from the next failure on, if the source's configuration is still `of` then: an IDR
    /// picture of its own configuration `config`. Without, it is the last keyframe.
    pub fn set_picture(&mut self, of: &Config, config: Config, frame: Frame) {
        if self.video.as_ref() == Some(of) {
            self.slate.set_picture(config, frame);
        }
    }

    /// An encoder begins to send.
    pub fn join(&mut self, id: Id, rank: Rank, now: i64) {
        self.alone = None;
        self.sources.push(Source::new(id, rank, self.leader, now));
    }

    /// A source sends frames of this configuration from now on.
    pub fn configure(&mut self, id: Id, config: Config, now: i64) {
        self.take(id, Entry::Config(config), now);
    }

    /// A source has sent a frame, in its own time.
    pub fn push(&mut self, id: Id, track: Track, frame: Frame, now: i64) {
        self.take(id, Entry::Frame(track, frame), now);
    }

    /// A source has sent a configuration or a frame of a further video track, in its own time.
    pub fn further(&mut self, id: Id, track: u8, piece: Piece, now: i64) {
        self.take(id, Entry::Further(track, piece), now);
    }

    /// A source has gone; `stopped` when it has said so.
    pub fn leave(&mut self, id: Id, stopped: bool, now: i64) {
        self.sources.retain(|source| source.id != id);
        if self.on_air.is_some_and(|on_air| on_air.id == id) {
            self.on_air = None;
        }
        if self.sources.is_empty() && self.alone.is_none() {
            self.alone = Some(now);
            if stopped {
                return self.end();
            }
        }
        self.handle_timeout(now);
    }

    /// Time has passed: call it when [`Self::poll_timeout`] says.
    pub fn handle_timeout(&mut self, now: i64) {
        if self.ended {
            return;
        }
        if let (Some(_), Some((_, heard))) = (self.on_air, self.edge)
            && now - heard >= STALL
        {
            self.on_air = None;
        }
        if self.on_air.is_none() {
            self.choose(now);
        }
        if self.on_air.is_none() {
            self.stand_in(now);
        }
        if self.alone.is_some_and(|since| now - since >= self.settings.grace) {
            self.end();
        }
    }

    /// When to call [`Self::handle_timeout`], unless something happens before.
    pub fn poll_timeout(&self) -> Option<i64> {
        if self.ended {
            return None;
        }
        let over = self.alone.map(|since| since + self.settings.grace);
        let next = self.edge.and_then(|(edge, heard)| match self.on_air {
            Some(_) => Some(heard + STALL),
            None => self.slate.due(self.leader, self.settings.interval).map(|due| due - edge),
        });
        over.into_iter().chain(next).min()
    }

    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    fn take(&mut self, id: Id, entry: Entry, now: i64) {
        // A track that the broadcast began without stays left out.
        let known = match entry.track() {
            Track::Video => self.video.is_some(),
            Track::Audio => self.audio.is_some(),
        };
        let Some(source) = self.sources.iter_mut().find(|source| source.id == id).filter(|_| known) else {
            return;
        };
        let begins = entry.begins(self.leader);
        source.hold(entry, now);
        match self.on_air {
            Some(on_air) if on_air.id == id => self.drain(on_air, now),
            // A better source that has been steady goes on the air with the keyframe that has just come.
            Some(on_air) if begins => {
                let settled = source.steady_since() + self.settings.failback <= now;
                if source.rank < on_air.rank && settled {
                    self.put_on_air(id, now, now);
                }
            }
            Some(_) | None => {}
        }
        self.handle_timeout(now);
    }

    /// Puts the best source on the air that has a keyframe from after the failure, earliest first.
    fn choose(&mut self, now: i64) {
        let since = self.edge.map_or(i64::MIN, |(_, heard)| heard);
        let ready = self.sources.iter().filter(|source| source.begins_at(since).is_some());
        let best = ready.min_by_key(|source| (source.rank, std::cmp::Reverse(source.id)));
        if let Some(id) = best.map(|source| source.id) {
            self.put_on_air(id, since, now);
        }
    }

    /// Puts a source on the air with its first keyframe that came at or after `since`.
    fn put_on_air(&mut self, id: Id, since: i64, now: i64) {
        let Some(source) = self.sources.iter_mut().find(|source| source.id == id) else { return };
        let Some((dts, at)) = source.begins_at(since) else { return };
        source.forget_before(since);
        let (rank, video, audio) = (source.rank, source.video.clone(), source.audio.clone());
        let further = source.further.clone();
        let from = match (self.edge, self.slate.end(self.leader)) {
            // Where it would be, had nothing failed; never before what has been shown.
            (Some((edge, _)), Some(end)) => {
                let from = end.max(at + edge);
                let interval = self.settings.interval;
                self.slate.fill(self.leader, self.audio.as_ref(), from, interval, &mut self.outputs);
                from
            }
            _ => dts,
        };
        if self.edge.is_some() {
            self.splice(video, audio);
        }
        let on_air = OnAir { id, rank, offset: from - dts, from };
        self.on_air = Some(on_air);
        self.outputs.push_back(Output::OnAir(id));
        self.outputs.extend(self.further.begin(further));
        self.drain(on_air, now);
    }

    /// Lets out all that the source on the air has sent.
    fn drain(&mut self, on_air: OnAir, now: i64) {
        loop {
            let source = self.sources.iter_mut().find(|source| source.id == on_air.id);
            let Some((entry, _)) = source.and_then(Source::next) else { return };
            match entry {
                Entry::Config(config) => {
                    let known = match config.track() {
                        Track::Video => &self.video,
                        Track::Audio => &self.audio,
                    };
                    if known.as_ref().is_some_and(|known| *known != config) {
                        match config.track() {
                            Track::Video => self.splice(Some(config), None),
                            Track::Audio => self.splice(None, Some(config)),
                        }
                    }
                }
                Entry::Further(track, piece) => {
                    self.outputs.extend(self.further.take(track, piece, on_air.offset, on_air.from));
                }
                Entry::Frame(track, mut frame) => {
                    if track == self.leader && frame.keyframe && self.further.is_changing() {
                        self.splice(None, None);
                        self.outputs.extend(self.further.change());
                    }
                    frame.dts += on_air.offset;
                    frame.pts += on_air.offset;
                    if track != self.leader && frame.pts < on_air.from && self.slate.end(track).is_some() {
                        continue;
                    }
                    self.slate.follow(track, &frame);
                    if track == self.leader {
                        self.edge = Some((frame.dts - now, now));
                    }
                    self.outputs.push_back(Output::Frame(track, frame));
                }
            }
        }
    }

    /// What comes next begins anew; a configuration that is left out stays.
    fn splice(&mut self, video: Option<Config>, audio: Option<Config>) {
        let renew = |known: &mut Option<Config>, new: Option<Config>| {
            if let (Some(known), Some(new)) = (known.as_mut(), new) {
                *known = new;
            }
            known.clone()
        };
        if video.is_some() && video != self.video {
            self.slate.forget_stills();
        }
        let (video, audio) = (renew(&mut self.video, video), renew(&mut self.audio, audio));
        self.outputs.push_back(Output::Splice { video, audio });
    }

    /// Lets the slate show what is due.
    fn stand_in(&mut self, now: i64) {
        let Some((edge, _)) = self.edge else { return };
        let interval = self.settings.interval;
        self.slate.stand_in(self.leader, self.audio.as_ref(), now + edge, interval, &mut self.outputs);
    }

    fn end(&mut self) {
        if !std::mem::replace(&mut self.ended, true) {
            self.outputs.push_back(Output::End);
        }
    }
}

/// A source that has sent no frame for this long is off the air, connected or not: players of a low-latency stream
/// have about as much in their buffers.
const STALL: i64 = 2 * CLOCK;

#[cfg(test)]
mod tests;
