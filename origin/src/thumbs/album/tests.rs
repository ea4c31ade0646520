//! Hours of broadcasts in no time: what is listed is there, and memory stays where it was.

use super::*;

const INTERVAL: i64 = 10 * CLOCK;

/// An album whose sheets are made at once, over a window of this many seconds.
struct World {
    album: Album,
    window: i64,
    now: i64,
}

impl World {
    fn new(window: i64) -> Self {
        Self { album: Album::new(10), window: window * CLOCK, now: 0 }
    }

    fn timeline(&self) -> Timeline {
        Timeline { zero: 0, date: 1_785_585_600_000, first: (self.now - self.window).max(0) }
    }

    /// A keyframe every two seconds for this many.
    fn run(&mut self, seconds: i64) {
        let end = self.now + seconds * CLOCK;
        while self.now < end {
            if self.album.is_due(self.now) {
                self.album.add(picture(self.now), Some(self.timeline().first));
                if let Some(due) = self.album.due_sheet() {
                    assert_eq!(due.pictures.len(), 25);
                    self.album.add_sheet(due.number, vec![1; 1000].into());
                }
            }
            self.now += 2 * CLOCK;
        }
    }

    /// Everything listed is there, in order, up to now, and no older than the window.
    fn check(&self) -> Vec<Cue> {
        let cues = self.album.index(&self.timeline()).cues;
        for cue in &cues {
            let there = match cue.file {
                Thumb::Picture { n } => self.album.picture(n),
                Thumb::Sheet { n } => self.album.sheet(n),
                Thumb::Index => None,
            };
            assert!(there.is_some_and(|file| !file.is_empty()), "{cue:?}");
        }
        assert!(cues.windows(2).all(|pair| pair[0].end == pair[1].start));
        let first = (self.timeline().first / 90).unsigned_abs();
        assert!(cues.first().is_some_and(|cue| cue.start <= first && cue.end > first));
        assert!(cues.last().is_some_and(|cue| cue.end >= (self.now / 90).unsigned_abs()));
        cues
    }
}

fn picture(at: i64) -> Picture {
    Picture { at, width: 320, height: 180, file: vec![0; 100].into() }
}

fn dues(album: &mut Album, times: impl IntoIterator<Item = i64>) -> Vec<i64> {
    times.into_iter().filter(|at| album.is_due(*at)).collect()
}

#[test]
fn the_first_keyframe_of_each_interval_is_due() {
    let at = |ms: i64| ms * 90;
    let mut album = Album::new(10);
    assert_eq!(dues(&mut album, (0..7).map(|n| at(7_000 + n * 4_000))), [at(7_000), at(19_000), at(27_000)]);
    // Two keyframes a second short of 24 and 30 pictures, as television has them.
    let mut album = Album::new(10);
    assert_eq!(dues(&mut album, (0..12).map(|n| at(n * 1_999))), [0, at(9_995), at(19_990)]);
    // A keyframe every 20 seconds is all there is; after a pause it goes on.
    let mut album = Album::new(10);
    assert_eq!(dues(&mut album, [0, at(20_000), at(40_000), at(4_000_000), at(4_000_001)]).len(), 4);
    // Times that fall are never due twice.
    assert!(!album.is_due(at(1)) && !album.is_due(i64::MIN) && album.is_due(i64::MAX));
}

#[test]
fn what_is_listed_is_there_however_long_it_goes_on() {
    for window in [30, 600, 3600] {
        let mut world = World::new(window);
        let mut most = 0;
        for _ in 0..1000 {
            world.run(20);
            let cues = world.check();
            assert!(cues.len() as i64 <= window / 10 + 2, "{} cues", cues.len());
            most = most.max(world.album.bytes());
        }
        let runs = window / 250 + 3;
        assert!(most as i64 <= 50 * 100 + runs * 1000, "{most} bytes in a window of {window} s");
        assert_eq!(world.album.next, 2000);
    }
}

#[test]
fn a_picture_moves_to_its_sheet() {
    let mut world = World::new(600);
    world.run(240);
    let cues = world.check();
    assert_eq!(cues[7], Cue { start: 70_000, end: 80_000, file: Thumb::Picture { n: 7 }, area: None });
    world.run(20);
    let cues = world.check();
    let area = Some(Area { x: 640, y: 180, width: 320, height: 180 });
    assert_eq!(cues[7], Cue { start: 70_000, end: 80_000, file: Thumb::Sheet { n: 0 }, area });
    assert_eq!(cues[25].file, Thumb::Picture { n: 25 });
    assert!(world.album.picture(7).is_some(), "older lists name it");
    world.run(250);
    world.check();
    assert!(world.album.picture(7).is_none() && world.album.picture(25).is_some());
    assert!(world.album.newest().is_some());
}

#[test]
fn sheets_have_room_for_the_largest_picture() {
    let mut album = Album::new(10);
    for n in 0..25 {
        let (width, height) = if n < 12 { (320, 180) } else { (102, 200) };
        album.add(Picture { width, height, ..picture(n * INTERVAL) }, None);
    }
    let due = album.due_sheet().unwrap();
    assert_eq!((due.width, due.height), (320, 200));
    album.add_sheet(0, vec![1].into());
    let timeline = Timeline { zero: 0, date: 0, first: 0 };
    let area = album.index(&timeline).cues[24].area;
    assert_eq!(area, Some(Area { x: 1280, y: 800, width: 102, height: 200 }));
}

#[test]
fn a_sheet_that_cannot_be_made_holds_up_no_other_and_its_pictures_stay() {
    let mut album = Album::new(10);
    for n in 0..75 {
        album.add(picture(n * INTERVAL), None);
        if let Some(due) = album.due_sheet().filter(|due| due.number > 0) {
            album.add_sheet(due.number, vec![1].into());
        }
    }
    assert!(album.sheet(0).is_none() && album.sheet(1).is_some() && album.sheet(2).is_some());
    let cues = album.index(&Timeline { zero: 0, date: 0, first: 0 }).cues;
    assert_eq!(
        (cues.len(), cues[3].file, cues[30].file),
        (75, Thumb::Picture { n: 3 }, Thumb::Sheet { n: 1 })
    );
    assert!(album.picture(3).is_some());
}

#[test]
fn bytes_are_bounded_and_the_newest_stay() {
    let mut world = World::new(3600);
    world.run(3600);
    assert!(world.album.bytes() > 10_000);
    world.album.shrink(5000);
    assert!(world.album.bytes() <= 5000, "{}", world.album.bytes());
    assert!(world.album.newest().is_some());
    let (oldest, left) = (world.album.runs[0].number, world.album.runs.len());
    assert!(oldest > 0 && world.album.sheet(oldest - 1).is_none());
    world.album.shrink(0);
    assert!(left > 1 && world.album.runs.len() == 1 && world.album.newest().is_some());
    world.run(600);
    assert_eq!(world.album.next, 420);
}

#[test]
fn what_comes_late_is_left_out() {
    let mut album = Album::new(10);
    album.add(picture(INTERVAL), None);
    album.add(picture(INTERVAL), None);
    album.add(picture(0), None);
    assert_eq!((album.next, album.bytes()), (1, 100));
    let empty = Album::new(10);
    assert!(empty.newest().is_none() && empty.picture(0).is_none() && empty.due_sheet().is_none());
}
