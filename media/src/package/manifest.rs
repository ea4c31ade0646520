//! The DASH manifest of a broadcast: what its renditions have in each period.

use std::time::Duration;

use super::rendition::Rendition;
use super::{Broadcast, ladder};
use crate::dash::manifest::{Manifest, Media, Period, Rendition as Listed, Segments};
use crate::dash::periods::{Addressing, Period as Stretch};
use crate::frame::{CLOCK, Track};
use crate::segment::LEAD;
use crate::window::Window;

/// What can be played now. `None` until the leader has a whole segment, and sound what is listed of it.
pub(super) fn manifest(broadcast: &Broadcast) -> Option<Manifest> {
    let leader = broadcast.renditions[0].window().filter(|window| window.is_available())?;
    let shape = broadcast.leader.shape()?;
    let (first, oldest, _) = leader.times().next()?;
    // Players take what a period has as all it will ever have: sound comes a little later than the picture.
    let is_late =
        |rendition: &Rendition| rendition.spec.config.track() == Track::Audio && !rendition.is_available();
    if !broadcast.ended && broadcast.renditions.iter().any(is_late) && leader.times().count() < PATIENCE {
        return None;
    }
    let line = Line::of(broadcast)?;
    let target_duration = Duration::from_secs(shape.target_duration.into());
    let started_at = broadcast.started_at.saturating_add_signed(line.zero / MILLISECOND);
    let newest = line.at(broadcast.leader.progress()?);
    let watchable = |stretch: &&Stretch| stretch.end.is_none_or(|(next, _)| next > first);
    let stretches: Vec<&Stretch> = broadcast.periods.iter().filter(watchable).collect();
    let mut periods: Vec<Period> = Vec::new();
    for stretch in stretches {
        let period = period(broadcast, stretch, &line);
        // Players take what a period has as all it will ever have: it waits for those who were in the last.
        let complete = leader.times().any(|(msn, ..)| msn >= stretch.first)
            || periods.last().is_none_or(|last| last.renditions.len() <= period.renditions.len());
        if complete && !period.renditions.is_empty() {
            periods.push(period);
        }
    }
    Some(Manifest {
        id: broadcast.id.clone(),
        started_at,
        published_at: started_at.saturating_add(newest / MILLISECOND.unsigned_abs()),
        ended: broadcast.ended,
        target_duration,
        part_target: shape.part_target,
        // Some players count back by it to the oldest segment, however young the broadcast is; others want to be
        // within it with their delay.
        window: leader.depth().min(span(newest.saturating_sub(line.at(oldest))).max(4 * target_duration)),
        schemes: broadcast.schemes.iter().cloned().collect(),
        periods,
    })
}

/// Where the broadcast's times lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeline {
    /// The frame time that the manifest's times count from: the first segment's, to the millisecond.
    pub zero: i64,
    /// When that was, in milliseconds since the Unix epoch.
    pub date: u64,
    /// The frame time of the oldest picture or sound that can be played.
    pub first: i64,
}

impl Broadcast {
    /// Where its times lie. `None` until the leader has something to play.
    pub fn timeline(&self) -> Option<Timeline> {
        let leader = self.renditions[0].window().filter(|window| window.is_available())?;
        let (_, first, _) = leader.times().next()?;
        let zero = Line::of(self)?.zero;
        Some(Timeline { zero, date: self.started_at.saturating_add_signed(zero / MILLISECOND), first })
    }
}

fn period(broadcast: &Broadcast, stretch: &Stretch, line: &Line) -> Period {
    let part_of = |rendition: &Rendition| {
        let segments = stretch.first..stretch.end.map_or(u64::MAX, |(next, _)| next);
        let goes_on = stretch.end.is_none() && !broadcast.ended;
        let window = rendition.window().filter(|_| rendition.is_available());
        // A player that is told of it would only find what is missing.
        let window = window.filter(|window| !rendition.spec.own || window.has_media(segments.clone()));
        let init = match window.and_then(|window| window.init_of(segments.clone())) {
            Some(init) => init.to_owned(),
            // Nobody has watched it of late: it is made when somebody asks for the segments that the leader has.
            None if goes_on && rendition.is_made() => rendition.newest_init(),
            None => return None,
        };
        let segments = match stretch.addressing {
            Addressing::Counted { duration } if !broadcast.ended => {
                Segments::Counted { duration: duration.unsigned_abs() }
            }
            // At the end everything is known, and what is over is not there any more.
            Addressing::Counted { .. } | Addressing::Listed => {
                let whose =
                    if goes_on && rendition.is_made() { broadcast.renditions[0].window() } else { window };
                let times = whose?.times().filter(|(msn, ..)| segments.contains(msn));
                let listed: Vec<_> = times.collect();
                let times =
                    listed.iter().map(|(_, time, length)| (Line::media(*time), length.unsigned_abs()));
                Segments::Listed { first: listed.first()?.0, times: times.collect() }
            }
        };
        listed(broadcast, rendition, init, segments)
    };
    Period {
        first: stretch.first,
        start: line.at(stretch.start),
        end: stretch.end.map(|(next, end)| (next, line.at(end))),
        media_start: Line::media(stretch.start),
        renditions: in_order(broadcast).into_iter().filter_map(part_of).collect(),
    }
}

/// Video before audio; the source first, then by height.
fn in_order(broadcast: &Broadcast) -> Vec<&Rendition> {
    let height = |rendition: &Rendition| rendition.spec.config.picture().map(|picture| picture.height);
    let mut all: Vec<&Rendition> = broadcast.renditions.iter().collect();
    all[1..].sort_by_key(|rendition| std::cmp::Reverse(height(rendition)));
    all
}

fn listed(broadcast: &Broadcast, rendition: &Rendition, init: String, segments: Segments) -> Option<Listed> {
    let config = rendition.config_of(&init)?;
    let picture = config.picture().map(|mut picture| {
        let measured = broadcast.leader.shape().map(|shape| shape.frame.as_micros().max(1));
        let rounded = measured.and_then(|frame| u32::try_from((1_000_000 + frame / 2) / frame).ok());
        // What a rung's own bitstream says is its encoder's first guess.
        let known = if rendition.spec.own { picture.frame_rate } else { None };
        let source = broadcast.renditions[0].spec.config.picture().and_then(|source| source.frame_rate);
        let rate = known.or(source).or(rounded.filter(|rate| *rate > 0).map(|rate| (rate, 1)));
        picture.frame_rate = match rendition.spec.max_frame_rate {
            Some(most) => rate.map(|rate| capped(rate, most)),
            None => rate,
        };
        Media::Video(picture)
    });
    Some(Listed {
        name: rendition.name.to_string(),
        codec: config.codec_string(),
        media: picture.or(config.sound().map(Media::Audio))?,
        bandwidth: ladder::peak(rendition).max(1),
        independent: rendition.window().is_none_or(Window::is_independent),
        init,
        segments,
    })
}

/// A rate in frames and seconds, or the most there may be in one second.
fn capped((frames, seconds): (u32, u32), most: u16) -> (u32, u32) {
    let most = u32::from(most);
    if u64::from(frames) > u64::from(most) * u64::from(seconds) { (most, 1) } else { (frames, seconds) }
}

/// The manifest's time. Its zero is a whole millisecond, as the availability start time can only say those.
struct Line {
    /// In frame time.
    zero: i64,
}

impl Line {
    fn of(broadcast: &Broadcast) -> Option<Self> {
        Some(Self { zero: broadcast.periods.epoch()?.div_euclid(MILLISECOND) * MILLISECOND })
    }

    /// Frame time on the manifest's line.
    fn at(&self, time: i64) -> u64 {
        u64::try_from(time - self.zero).unwrap_or(0)
    }

    /// Frame time as the files have it.
    fn media(time: i64) -> u64 {
        u64::try_from(time + LEAD * CLOCK).unwrap_or(0)
    }
}

fn span(ticks: u64) -> Duration {
    Duration::from_millis(ticks / MILLISECOND.unsigned_abs())
}

/// In segments: who announced sound and sends none is watched without.
const PATIENCE: usize = 3;

/// In [`CLOCK`] ticks.
const MILLISECOND: i64 = CLOCK / 1000;
