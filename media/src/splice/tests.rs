mod further;

use bytes::Bytes;

use super::*;
use crate::codec::{aac, avc};

const FRAME: i64 = CLOCK / 30;
const SETTINGS: Settings = Settings { grace: 30 * CLOCK, interval: CLOCK * 2 / 5, failback: 10 * CLOCK };

fn avc(height: u32) -> Config {
    let record = Bytes::from_static(&[1, 0x64, 0, 0x1f, 0xff, 0xe0, 0]);
    Config::Avc(avc::Config { record, width: height * 16 / 9, height, frame_rate: None })
}

fn aac() -> Config {
    Config::Aac(aac::Config::parse(&[0x11, 0x90]).unwrap())
}

/// A splicer with encoders of 30 frames a second, a keyframe every two seconds, and sound.
struct World {
    splicer: Splicer,
    now: i64,
    frames: Vec<(Track, i64, u8)>,
    said: Vec<Output>,
}

/// An encoder with a time of its own.
#[derive(Clone, Copy)]
struct Encoder {
    id: Id,
    /// When it began, and its time then.
    began: i64,
    first: i64,
}

impl World {
    fn new() -> Self {
        let now = 1_000 * CLOCK;
        let splicer = Splicer::new(SETTINGS, Some(avc(720)), Some(aac()), now);
        Self { splicer, now, frames: Vec::new(), said: Vec::new() }
    }

    fn join(&mut self, id: u64, rank: Rank, first: i64, video: Config) -> Encoder {
        let id = Id(id);
        self.splicer.join(id, rank, self.now);
        self.splicer.configure(id, video, self.now);
        self.splicer.configure(id, aac(), self.now);
        Encoder { id, began: self.now, first }
    }

    /// `count` frame times, in which these encoders send.
    fn run(&mut self, encoders: &[Encoder], count: i64) {
        for _ in 0..count {
            while let Some(due) = self.splicer.poll_timeout().filter(|due| *due <= self.now) {
                self.splicer.handle_timeout(due);
                let before = self.frames.len() + self.said.len();
                self.collect();
                let again = self.splicer.poll_timeout();
                assert!(again != Some(due) || self.frames.len() + self.said.len() > before, "it spins");
            }
            for encoder in encoders {
                let dts = encoder.first + self.now - encoder.began;
                let keyframe = (self.now - encoder.began) % (2 * CLOCK) == 0;
                let frame = |data: u8| Frame { dts, pts: dts, keyframe, data: Bytes::from(vec![data; 100]) };
                let mark = u8::try_from(encoder.id.0).unwrap();
                self.splicer.push(
                    encoder.id,
                    Track::Audio,
                    Frame { keyframe: true, ..frame(mark) },
                    self.now,
                );
                self.splicer.push(encoder.id, Track::Video, frame(mark), self.now);
                self.collect();
            }
            self.now += FRAME;
        }
    }

    fn collect(&mut self) {
        while let Some(output) = self.splicer.poll_output() {
            match output {
                Output::Frame(track, frame) => self.frames.push((track, frame.dts, frame.data[0])),
                other => self.said.push(other),
            }
        }
    }

    fn leave(&mut self, encoder: Encoder, stopped: bool) {
        self.splicer.leave(encoder.id, stopped, self.now);
        self.collect();
    }

    fn video(&self) -> Vec<(i64, u8)> {
        let video = self.frames.iter().filter(|(track, ..)| *track == Track::Video);
        video.map(|(_, dts, mark)| (*dts, *mark)).collect()
    }

    /// No track's time goes back, and none has a hole of more than `most`.
    fn continuous(&self, most: i64) {
        for track in [Track::Video, Track::Audio] {
            let times: Vec<i64> =
                self.frames.iter().filter(|(of, ..)| *of == track).map(|(_, dts, _)| *dts).collect();
            for pair in times.windows(2) {
                assert!(pair[1] > pair[0] && pair[1] - pair[0] <= most, "{track:?} {pair:?}");
            }
        }
    }

    fn spliced(&self) -> usize {
        self.said.iter().filter(|said| matches!(said, Output::Splice { .. })).count()
    }
}

#[test]
fn one_encoder_keeps_its_times_and_says_goodbye() {
    let mut world = World::new();
    let obs = world.join(1, Rank::Primary, 0, avc(720));
    world.run(&[obs], 300);
    assert_eq!(world.video().last(), Some(&(299 * FRAME, 1)));
    world.continuous(FRAME);
    world.leave(obs, true);
    assert_eq!(world.said, [Output::OnAir(Id(1)), Output::End]);
    assert_eq!(world.splicer.poll_timeout(), None);
}

#[test]
fn an_encoder_that_comes_back_goes_on_where_the_clock_is() {
    for away in [30, 60, 300, 750] {
        let mut world = World::new();
        let obs = world.join(1, Rank::Primary, 5 * CLOCK, avc(720));
        world.run(&[obs], 100);
        world.leave(obs, false);
        world.run(&[], away);
        let again = world.join(2, Rank::Primary, 0, avc(720));
        world.run(&[again], 100);
        // The slate's pictures are up to an interval apart, and nothing is missing between them.
        world.continuous(SETTINGS.interval);
        let (last, _) = *world.video().last().unwrap();
        assert_eq!(last, 5 * CLOCK + (100 + away + 99) * FRAME, "{away}");
        assert_eq!(world.spliced(), 1);
        assert_eq!(world.said.last(), Some(&Output::OnAir(Id(2))));
        assert!(world.said.contains(&Output::Slate { picture: None }));
    }
}

#[test]
fn the_slate_ends_with_the_grace() {
    let mut world = World::new();
    let obs = world.join(1, Rank::Primary, 0, avc(720));
    world.run(&[obs], 100);
    world.leave(obs, false);
    world.run(&[], 31 * 30);
    assert_eq!(world.said.last(), Some(&Output::End));
    let (last, _) = *world.video().last().unwrap();
    assert!((32 * CLOCK..34 * CLOCK).contains(&last), "{last}");
    world.continuous(SETTINGS.interval);
}

#[test]
fn a_standby_takes_over_within_a_group_of_pictures_and_gives_back_when_the_first_is_steady() {
    let mut world = World::new();
    let primary = world.join(1, Rank::Primary, 0, avc(720));
    world.run(&[primary], 10);
    let backup = world.join(2, Rank::Backup, 77 * CLOCK, avc(720));
    world.run(&[primary, backup], 130);
    assert!(world.video().iter().all(|(_, mark)| *mark == 1));
    world.leave(primary, false);
    world.run(&[backup], 100);
    world.continuous(SETTINGS.interval);
    // Shown from the first keyframe after the failure on.
    let first = world.video().iter().position(|(_, mark)| *mark == 2).unwrap();
    let lost = world.video()[first].0 - 140 * FRAME;
    assert!((0..=2 * CLOCK).contains(&lost), "{lost}");

    let again = world.join(3, Rank::Primary, 0, avc(720));
    world.run(&[again, backup], 9 * 30);
    assert_eq!(world.video().last().unwrap().1, 2, "not steady for long enough");
    world.run(&[again, backup], 5 * 30);
    assert_eq!(world.video().last().unwrap().1, 3);
    world.continuous(SETTINGS.interval);
    assert_eq!(world.spliced(), 2);
}

#[test]
fn a_slate_is_never_one_picture() {
    for away in 5..20 {
        let mut world = World::new();
        let obs = world.join(1, Rank::Primary, 0, avc(720));
        world.run(&[obs], 60);
        world.leave(obs, false);
        world.run(&[], away);
        let again = world.join(2, Rank::Primary, 0, avc(720));
        let before = world.frames.len();
        world.run(&[again], 1);
        let times: Vec<i64> = world.video().iter().map(|(dts, _)| *dts).collect();
        let stills = &times[60..times.len() - 1];
        let back = times[times.len() - 1];
        if let [.., before, last] = stills {
            // The last lasts as long as the one before it.
            assert!(
                (last + (last - before)).abs_diff(back) <= u64::try_from(FRAME * 3 / 2).unwrap(),
                "{away}"
            );
        } else {
            assert!(stills.is_empty(), "{away}: {stills:?}");
        }
        assert!(world.frames.len() > before);
    }
}

#[test]
fn the_operators_picture_stands_in_when_there_is_one_of_the_sources_size() {
    let picture = |mark: u8| Frame { dts: 0, pts: 0, keyframe: true, data: Bytes::from(vec![mark; 9]) };
    let mut own = avc(720);
    if let Config::Avc(own) = &mut own {
        own.record = Bytes::from_static(&[1, 0x42, 0, 0x1f, 0xff, 0xe0, 0]);
    }
    let mut world = World::new();
    let obs = world.join(1, Rank::Primary, 0, avc(720));
    world.splicer.set_picture(&avc(480), avc(480), picture(8));
    world.splicer.set_picture(&avc(720), own.clone(), picture(9));
    world.run(&[obs], 100);
    world.leave(obs, false);
    world.run(&[], 90);
    let again = world.join(2, Rank::Primary, 0, avc(720));
    world.run(&[again], 100);
    world.continuous(SETTINGS.interval);
    let marks: Vec<u8> = world.video().chunk_by(|a, b| a.1 == b.1).map(|run| run[0].1).collect();
    assert_eq!(marks, [1, 9, 2]);
    assert!(world.said.contains(&Output::Slate { picture: Some(own) }));
    let back = Output::Splice { video: Some(avc(720)), audio: Some(aac()) };
    assert!(world.said.contains(&back), "the source's configuration comes back with it");

    // Of another size it is of no use.
    world.splicer.configure(again.id, avc(480), world.now);
    world.run(&[again], 60);
    world.leave(again, false);
    world.run(&[], 90);
    assert_eq!(world.video().last().unwrap().1, 2);
    assert_eq!(world.said.last(), Some(&Output::Slate { picture: None }));
}

#[test]
fn a_line_that_stalls_loses_the_air_and_the_standby_loses_nothing_from_its_next_keyframe() {
    let mut world = World::new();
    let primary = world.join(1, Rank::Primary, 0, avc(720));
    world.run(&[primary], 1);
    let backup = world.join(2, Rank::Backup, 0, avc(720));
    world.run(&[primary, backup], 99);
    // The primary is connected and silent.
    world.run(&[backup], 100);
    let video = world.video();
    let first = video.iter().position(|(_, mark)| *mark == 2).unwrap();
    let lost = video[first].0 - 100 * FRAME;
    assert!((0..=2 * CLOCK).contains(&lost), "{lost}");
    world.continuous(SETTINGS.interval);
}

#[test]
fn other_parameter_sets_are_announced_once() {
    let mut world = World::new();
    let obs = world.join(1, Rank::Primary, 0, avc(720));
    world.run(&[obs], 60);
    world.splicer.configure(obs.id, avc(480), world.now);
    world.run(&[obs], 60);
    world.splicer.configure(obs.id, avc(480), world.now);
    world.run(&[obs], 60);
    let expected = Output::Splice { video: Some(avc(480)), audio: Some(aac()) };
    assert_eq!(world.said, [Output::OnAir(Id(1)), expected]);
}

#[test]
fn what_the_broadcast_began_without_is_left_out() {
    let now = 0;
    let mut splicer = Splicer::new(SETTINGS, Some(avc(720)), None, now);
    splicer.join(Id(1), Rank::Primary, now);
    let frame = Frame { dts: 0, pts: 0, keyframe: true, data: Bytes::from_static(b"x") };
    splicer.push(Id(1), Track::Audio, frame.clone(), now);
    assert_eq!(splicer.poll_output(), None);
    splicer.push(Id(1), Track::Video, frame.clone(), now);
    assert_eq!(splicer.poll_output(), Some(Output::OnAir(Id(1))));
    assert_eq!(splicer.poll_output(), Some(Output::Frame(Track::Video, frame)));
}

#[test]
fn another_origins_broadcast_goes_on_with_the_next_keyframe() {
    let mut world = World::new();
    let (end, edge) = (500 * CLOCK, 500 * CLOCK + FRAME);
    let splicer = Splicer::new(SETTINGS, Some(avc(720)), Some(aac()), world.now);
    world.splicer = splicer.resuming(end, edge, world.now);
    world.now += CLOCK / 3;
    let backup = world.join(1, Rank::Backup, 7 * CLOCK, avc(720));
    world.run(&[backup], 90);
    assert_eq!(world.video()[0], (edge + CLOCK / 3, 1), "where it would be, had nothing happened");
    assert_eq!(world.video().len(), 90);
    world.continuous(FRAME);
    assert!(matches!(world.said[..], [Output::Splice { .. }, Output::OnAir(Id(1))]), "{:?}", world.said);
    // Nobody knows what was shown last, so there is nothing to show until somebody sends.
    let mut world = World::new();
    let splicer = Splicer::new(SETTINGS, Some(avc(720)), Some(aac()), world.now);
    world.splicer = splicer.resuming(end, edge, world.now);
    world.run(&[], 300);
    assert_eq!((world.frames.len(), world.said.len()), (0, 0));
}

#[test]
fn sound_that_has_been_missing_for_long_is_not_made_up_all_at_once() {
    let mut world = World::new();
    let obs = world.join(1, Rank::Primary, 0, avc(720));
    world.run(&[obs], 30);
    // The microphone is pulled out; a day later the line fails.
    let day = 24 * 3600 * CLOCK;
    for step in 1..=2 {
        let (dts, now) = (day + step * FRAME, world.now + step * FRAME);
        let frame = Frame { dts, pts: dts, keyframe: true, data: Bytes::from_static(&[1]) };
        world.splicer.push(obs.id, Track::Video, frame, now);
    }
    world.now += 2 * FRAME;
    world.leave(obs, false);
    world.frames.clear();
    world.run(&[], 60);
    let sounds = world.frames.iter().filter(|(track, ..)| *track == Track::Audio).count();
    assert!((1..1_000).contains(&sounds), "{sounds} frames of silence");
}
