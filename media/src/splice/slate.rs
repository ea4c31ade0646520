//! What is shown while no source is on the air: a still picture again and again, in silence. It is the operator's where
//! there is one that fits, else the last keyframe.

use std::collections::VecDeque;

use super::Output;
use crate::frame::CLOCK;
use crate::segment::silence;
use crate::{Config, Frame, Track};

/// Where the broadcast's tracks have ended, and what to go on with.
#[derive(Debug, Default)]
pub(super) struct Slate {
    /// The newest keyframe.
    last: Option<Frame>,
    /// The operator's.
    picture: Option<Picture>,
    video: Option<Run>,
    audio: Option<Run>,
    /// It stands in, with this.
    shown: Option<Still>,
    /// Pictures it has shown since it does.
    stills: usize,
}

/// A still that is a sequence of its own.
#[derive(Debug, Clone)]
struct Picture {
    config: Config,
    frame: Frame,
}

/// Which still is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Still {
    Last,
    Picture,
}

/// A track's frames so far.
#[derive(Debug, Clone, Copy)]
struct Run {
    /// Decoding time of the newest frame.
    dts: i64,
    /// How long frames last.
    length: i64,
}

impl Slate {
    /// A frame of a source goes out.
    pub(super) fn follow(&mut self, track: Track, frame: &Frame) {
        self.shown = None;
        if track == Track::Video && frame.keyframe {
            self.last = Some(frame.clone());
        }
        let run = self.run(track);
        let length = match run {
            Some(run) if (1..=CLOCK).contains(&(frame.dts - run.dts)) => frame.dts - run.dts,
            Some(run) => run.length,
            None => FIRST_LENGTH,
        };
        *run = Some(Run { dts: frame.dts, length });
    }

    /// The leading track has ended there, and nobody knows with what.
    pub(super) fn resume(&mut self, leader: Track, end: i64) {
        *self.run(leader) = Some(Run { dts: end - FIRST_LENGTH, length: FIRST_LENGTH });
    }

    /// The source's configuration is another one: what there is to show is of no use to its decoder, or of another
    /// size.
    pub(super) fn forget_stills(&mut self) {
        (self.last, self.picture) = (None, None);
    }

    /// What is shown from the next failure on.
    pub(super) fn set_picture(&mut self, config: Config, frame: Frame) {
        self.picture = Some(Picture { config, frame });
    }

    /// Where the track has ended.
    pub(super) fn end(&self, track: Track) -> Option<i64> {
        let run = match track {
            Track::Video => self.video,
            Track::Audio => self.audio,
        };
        run.map(|run| run.dts + run.length)
    }

    /// When the broadcast's time has come for more; never when there is nothing to show.
    pub(super) fn due(&self, leader: Track, interval: i64) -> Option<i64> {
        let can = leader == Track::Audio || self.last.is_some() || self.picture.is_some();
        self.end(leader).filter(|_| can).map(|end| end + interval)
    }

    /// Shows what is due at `edge`.
    pub(super) fn stand_in(
        &mut self,
        leader: Track,
        audio: Option<&Config>,
        edge: i64,
        interval: i64,
        out: &mut VecDeque<Output>,
    ) {
        while let Some(due) = self.due(leader, interval).filter(|due| *due <= edge) {
            self.begin(self.picture.is_some(), out);
            match leader {
                Track::Video => self.repeat(due - interval, interval, out),
                Track::Audio => {}
            }
            self.silence(audio, due, out);
        }
    }

    /// Closes the gap up to `until`, where a source begins.
    pub(super) fn fill(
        &mut self,
        leader: Track,
        audio: Option<&Config>,
        until: i64,
        interval: i64,
        out: &mut VecDeque<Output>,
    ) {
        if let (Track::Video, Some(end)) = (leader, self.end(leader)) {
            let gap = until - end;
            let can = self.last.is_some() || self.shown == Some(Still::Picture);
            if gap > LEAST_GAP && can {
                // The last lasts as long as the one before it: two at the least.
                let count = (gap / interval.max(1) + 1).max(2);
                // Nobody should see the operator's flash up.
                self.begin(false, out);
                (0..count).for_each(|index| self.repeat(end + gap * index / count, gap / count, out));
            }
            // One alone would last as long as the source's pictures do.
            if let (Some(_), 1, Some(Run { dts, length })) = (self.shown, self.stills, self.video) {
                self.repeat(dts + length / 2, length - length / 2, out);
            }
        }
        self.silence(audio, until, out);
    }

    /// Says once that it stands in, and with what.
    fn begin(&mut self, with_picture: bool, out: &mut VecDeque<Output>) {
        if self.shown.is_none() {
            let picture = self.picture.as_ref().filter(|_| with_picture);
            self.shown = Some(if picture.is_some() { Still::Picture } else { Still::Last });
            out.push_back(Output::Slate { picture: picture.map(|picture| picture.config.clone()) });
            self.stills = 0;
        }
    }

    /// The still at `dts`.
    fn repeat(&mut self, dts: i64, length: i64, out: &mut VecDeque<Output>) {
        let still = match self.shown {
            Some(Still::Picture) => self.picture.as_ref().map(|picture| &picture.frame),
            _ => self.last.as_ref(),
        };
        let Some(still) = still else { return };
        let frame = Frame { dts, pts: dts + (still.pts - still.dts), ..still.clone() };
        self.stills += 1;
        self.video = Some(Run { dts, length });
        out.push_back(Output::Frame(Track::Video, frame));
    }

    /// Silence up to `until`, give or take half a frame. Where sound has been missing for long, that is nobody's to make up.
    fn silence(&mut self, config: Option<&Config>, until: i64, out: &mut VecDeque<Output>) {
        let (Some(config), Some(mut end)) = (config, self.end(Track::Audio)) else { return };
        let Some(sound) = config.sound() else { return };
        let (data, samples) = silence::of(config);
        let rate = i64::from(sound.sample_rate.max(1));
        let length = ((i64::from(samples) * CLOCK + rate / 2) / rate).max(1);
        end = end.max(until - MAX_SILENCE);
        while end + length / 2 <= until {
            let frame = Frame { dts: end, pts: end, keyframe: true, data: data.clone() };
            out.push_back(Output::Frame(Track::Audio, frame));
            self.audio = Some(Run { dts: end, length });
            end += length;
        }
    }

    fn run(&mut self, track: Track) -> &mut Option<Run> {
        match track {
            Track::Video => &mut self.video,
            Track::Audio => &mut self.audio,
        }
    }
}

/// Until there are two frames: a video's at 30 a second.
const FIRST_LENGTH: i64 = CLOCK / 30;

/// More than there is between a failure and the moment when the slate begins.
const MAX_SILENCE: i64 = 10 * CLOCK;

/// Players step over less.
const LEAST_GAP: i64 = CLOCK / 20;
