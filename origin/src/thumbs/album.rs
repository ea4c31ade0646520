//! The pictures that a broadcast has: which are due, which are there, and what the list of them says.
//!
//! Pictures are numbered in a row, and each run of [`PER_SHEET`] becomes a sheet. A whole run is kept or dropped at a
//! time, so memory is bounded by the window; [`Album::shrink`] bounds it in bytes.

use std::collections::VecDeque;

use bytes::Bytes;
use nearcast_media::frame::CLOCK;
use nearcast_media::package::Timeline;
use nearcast_media::path::Thumb;
use nearcast_media::vtt::{Area, Cue, Index};

/// Places on a sheet, left to right and down.
pub(super) const COLUMNS: u8 = 5;
pub(super) const PER_SHEET: u64 = 25;

/// One broadcast's pictures. Times are the frames', in [`CLOCK`] ticks.
#[derive(Debug)]
pub(super) struct Album {
    interval: i64,
    /// When the first keyframe was, and the number of the newest interval since then that has had its turn.
    first: Option<i64>,
    turn: i64,
    /// Number of the picture that comes next.
    next: u64,
    /// Oldest first.
    runs: VecDeque<Run>,
    bytes: usize,
}

/// The pictures of one sheet.
#[derive(Debug)]
struct Run {
    number: u64,
    pictures: Vec<Picture>,
    sheet: Option<Bytes>,
}

/// A small picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Picture {
    /// When it is to be seen.
    pub(super) at: i64,
    /// Pixels.
    pub(super) width: u16,
    pub(super) height: u16,
    /// A JPEG file; empty once it is only on its sheet.
    pub(super) file: Bytes,
}

/// A run that is full and has no sheet yet.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Due {
    pub(super) number: u64,
    /// Of one place, in pixels.
    pub(super) width: u16,
    pub(super) height: u16,
    pub(super) pictures: Vec<Bytes>,
}

impl Album {
    /// For a picture every `interval` seconds.
    pub(super) fn new(interval: u32) -> Self {
        let interval = i64::from(interval.max(1)) * CLOCK;
        Self { interval, first: None, turn: -1, next: 0, runs: VecDeque::new(), bytes: 0 }
    }

    /// The same after another album of the broadcast, which had this many pictures at most: numbers go on beyond.
    pub(super) fn after(self, pictures: u64) -> Self {
        let next = if pictures > 0 { (pictures / PER_SHEET + 1) * PER_SHEET } else { 0 };
        Self { next, ..self }
    }

    /// Whether a keyframe of this time is to become a picture. It is asked once of each.
    pub(super) fn is_due(&mut self, at: i64) -> bool {
        let first = *self.first.get_or_insert(at);
        // Times are rounded: who comes a little early is on time.
        let since = at.saturating_sub(first).saturating_add(self.interval / EARLY);
        let turn = since.div_euclid(self.interval);
        let due = turn > self.turn;
        self.turn = self.turn.max(turn);
        due
    }

    /// Adds a picture and drops those runs of which nothing has been listed for a while. `oldest` is the time of the
    /// oldest frame that can be played.
    pub(super) fn add(&mut self, picture: Picture, oldest: Option<i64>) {
        let newest = self.runs.back().and_then(|run| run.pictures.last()).map(|newest| newest.at);
        if newest.is_some_and(|newest| picture.at <= newest) {
            return;
        }
        self.bytes += picture.file.len();
        if self.next.is_multiple_of(PER_SHEET) {
            self.runs.push_back(Run { number: self.next / PER_SHEET, pictures: Vec::new(), sheet: None });
        }
        self.next += 1;
        if let Some(run) = self.runs.back_mut() {
            run.pictures.push(picture);
        }
        // Lists that are cached still name what has just left.
        let kept = oldest.unwrap_or(i64::MIN).saturating_sub(self.interval);
        while let Some(after) = self.runs.get(1).and_then(|run| run.pictures.first())
            && after.at <= kept
        {
            self.drop_oldest();
        }
    }

    /// The next sheet to make.
    pub(super) fn due_sheet(&self) -> Option<Due> {
        // The newest first: one that cannot be made holds up no other.
        let run = self.runs.iter().rev().find(|run| run.sheet.is_none() && run.is_full())?;
        let (width, height) = run.place();
        let pictures = run.pictures.iter().map(|picture| picture.file.clone()).collect();
        Some(Due { number: run.number, width, height, pictures })
    }

    /// The sheet of a run, whose own pictures are listed no longer. Those of the run before it go: no list that names
    /// them is cached any more.
    pub(super) fn add_sheet(&mut self, number: u64, sheet: Bytes) {
        let mut freed = 0;
        for run in self.runs.iter_mut().filter(|run| run.number < number && run.sheet.is_some()) {
            for picture in &mut run.pictures {
                freed += std::mem::take(&mut picture.file).len();
            }
        }
        self.bytes -= freed;
        if let Some(run) = self.runs.iter_mut().find(|run| run.number == number && run.sheet.is_none()) {
            self.bytes += sheet.len();
            run.sheet = Some(sheet);
        }
    }

    /// Drops the oldest runs until `bytes` are left, but for the one that is being filled.
    pub(super) fn shrink(&mut self, bytes: usize) {
        while self.bytes > bytes && self.runs.len() > 1 {
            self.drop_oldest();
        }
    }

    /// Bytes of all files.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// One picture, while it has a file of its own.
    pub(super) fn picture(&self, number: u64) -> Option<Bytes> {
        let index = usize::try_from(number % PER_SHEET).ok()?;
        let file = &self.run(number / PER_SHEET)?.pictures.get(index)?.file;
        (!file.is_empty()).then(|| file.clone())
    }

    /// One sheet.
    pub(super) fn sheet(&self, number: u64) -> Option<Bytes> {
        self.run(number)?.sheet.clone()
    }

    /// The newest picture.
    pub(super) fn newest(&self) -> Option<Bytes> {
        self.picture(self.next.checked_sub(1)?)
    }

    /// The pictures of what can be played. Each stands for the time up to the next.
    pub(super) fn index(&self, timeline: &Timeline) -> Index {
        let ms = |at: i64| u64::try_from((at - timeline.zero).max(0) / (CLOCK / 1000)).unwrap_or(0);
        let all = || self.runs.iter().flat_map(|run| (0..).zip(&run.pictures).map(move |one| (run, one)));
        let ends = all().skip(1).map(|(_, (_, next))| Some(next.at)).chain([None]);
        let cue = |((run, (place, picture)), end): ((&Run, (u64, &Picture)), Option<i64>)| {
            let end = end.unwrap_or(picture.at.saturating_add(self.interval));
            let (start, end_ms) = (ms(picture.at), ms(end));
            // Two in one millisecond cannot be told apart.
            if end <= timeline.first || end_ms <= start {
                return None;
            }
            let area = run.sheet.is_some().then(|| run.area(place, picture));
            let file = match area {
                Some(_) => Thumb::Sheet { n: run.number },
                None => Thumb::Picture { n: run.number * PER_SHEET + place },
            };
            Some(Cue { start, end: end_ms, file, area })
        };
        Index { zero: timeline.date, cues: all().zip(ends).filter_map(cue).collect() }
    }

    fn run(&self, number: u64) -> Option<&Run> {
        self.runs.iter().find(|run| run.number == number)
    }

    fn drop_oldest(&mut self) {
        let Some(run) = self.runs.pop_front() else { return };
        let pictures: usize = run.pictures.iter().map(|picture| picture.file.len()).sum();
        self.bytes -= pictures + run.sheet.map_or(0, |sheet| sheet.len());
    }
}

impl Run {
    fn is_full(&self) -> bool {
        self.pictures.len() as u64 >= PER_SHEET
    }

    /// The size of a place on the sheet: pictures differ where the source's shape has changed.
    fn place(&self) -> (u16, u16) {
        let largest = |(width, height): (u16, u16), picture: &Picture| {
            (width.max(picture.width), height.max(picture.height))
        };
        self.pictures.iter().fold((0, 0), largest)
    }

    fn area(&self, place: u64, picture: &Picture) -> Area {
        let (width, height) = self.place();
        let (column, row) = (place % u64::from(COLUMNS), place / u64::from(COLUMNS));
        Area {
            x: column as u32 * u32::from(width),
            y: row as u32 * u32::from(height),
            width: picture.width.into(),
            height: picture.height.into(),
        }
    }
}

/// The part of an interval that a keyframe may be early.
const EARLY: i64 = 20;

#[cfg(test)]
mod tests;
