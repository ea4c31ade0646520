use bytes::Bytes;
use nearcast_media::{Frame, Track};

use super::*;

/// The publishers of a channel, second by second.
struct World {
    lines: Lines,
    start: Instant,
    second: u64,
    heard: Vec<(u64, Kind, &'static str)>,
}

struct Encoder {
    monitor: Shared,
    air: Air,
    sends: bool,
}

impl World {
    fn new() -> Self {
        let mut lines = Lines::default();
        lines.show(Some("b1".parse().unwrap()));
        Self { lines, start: Instant::now(), second: 0, heard: Vec::new() }
    }

    fn now(&self) -> Instant {
        self.start + Duration::from_secs(self.second)
    }

    fn encoder(&mut self, backup: bool) -> Encoder {
        let monitor = self.lines.open(Source { protocol: "srt", backup, ..Source::default() }, self.now());
        let air = Air::default();
        self.lines.feed(&monitor, air.clone());
        Encoder { monitor, air, sends: true }
    }

    fn close(&mut self, encoder: &Encoder, leaves: bool) {
        let said = self.lines.close(&encoder.monitor, leaves, self.now());
        self.heard.extend(said.map(|(kind, code, _)| (self.second, kind, code)));
    }

    /// Some seconds in which these are connected.
    fn run(&mut self, seconds: u64, encoders: &[&Encoder]) -> Seen {
        let mut last = Seen::default();
        for _ in 0..seconds {
            self.second += 1;
            for encoder in encoders.iter().filter(|encoder| encoder.sends) {
                let dts = i64::try_from(self.second).unwrap() * 90_000;
                let frame = Frame { dts, pts: dts, keyframe: true, data: Bytes::from_static(&[0; 4_000]) };
                lock(&encoder.monitor).frame(Track::Video, &frame, self.now());
            }
            last = self.lines.look(self.now(), 0);
            self.heard.extend(last.said.iter().map(|(kind, code, _)| (self.second, *kind, *code)));
        }
        last
    }
}

#[test]
fn a_backup_takes_over_and_gives_back() {
    let mut world = World::new();
    let (first, backup) = (world.encoder(false), world.encoder(true));
    first.air.set(true);
    world.run(3, &[&first, &backup]);
    let health = world.lines.health(world.now());
    assert_eq!(
        health.iter().map(|one| (one.backup, one.on_air)).collect::<Vec<_>>(),
        [(false, true), (true, false)]
    );

    world.close(&first, false);
    backup.air.set(true);
    let seen = world.run(2, &[&backup]);
    assert!(seen.health.is_some_and(|health| health.backup && health.on_air));
    let again = world.encoder(false);
    world.run(2, &[&backup, &again]);
    again.air.set(true);
    backup.air.set(false);
    assert!(world.run(1, &[&backup, &again]).other, "the metrics are another's now");
    let expected = [
        (3, Kind::Lost, "primary"),
        (4, Kind::Switched, "backup"),
        (6, Kind::Reconnected, "primary"),
        (8, Kind::Switched, "primary"),
    ];
    assert_eq!(world.heard, expected);
    let health = world.lines.health(world.now());
    assert_eq!(
        health.iter().map(|one| (one.backup, one.reconnects)).collect::<Vec<_>>(),
        [(false, 1), (true, 0)]
    );
}

#[test]
fn a_publisher_whose_old_connection_is_not_known_to_be_dead_is_back_not_another() {
    let mut world = World::new();
    let mut first = world.encoder(false);
    first.air.set(true);
    world.run(3, &[&first]);
    first.sends = false;
    world.run(5, &[&first]);
    let again = world.encoder(false);
    world.close(&first, true);
    again.air.set(true);
    world.run(2, &[&again]);
    assert_eq!(world.heard, [(7, Kind::Lost, "primary"), (9, Kind::Reconnected, "primary")]);
}

#[test]
fn a_line_that_fails_without_a_word_is_told_of_once() {
    let mut world = World::new();
    let mut first = world.encoder(false);
    first.air.set(true);
    world.run(3, &[&first]);
    first.sends = false;
    world.run(6, &[&first]);
    first.sends = true;
    world.run(3, &[&first]);
    first.sends = false;
    world.run(6, &[&first]);
    world.close(&first, false);
    let again = world.encoder(false);
    world.run(1, &[&again]);
    let (lost, back) = (Kind::Lost, Kind::Reconnected);
    let expected = [(7, lost), (10, back), (16, lost), (19, back)];
    assert_eq!(world.heard, expected.map(|(second, kind)| (second, kind, "primary")));
}

#[test]
fn an_encoder_that_takes_the_place_of_one_that_sends_has_taken_over() {
    let mut world = World::new();
    let first = world.encoder(false);
    first.air.set(true);
    world.run(3, &[&first]);
    let second = world.encoder(false);
    world.close(&first, true);
    second.air.set(true);
    world.run(2, &[&second]);
    assert_eq!(world.heard, [(4, Kind::Switched, "takeover")]);
    assert_eq!(world.lines.health(world.now())[0].reconnects, 0);
}

#[test]
fn who_stops_or_never_sent_anything_has_lost_no_line() {
    let mut world = World::new();
    let first = world.encoder(false);
    world.run(2, &[&first]);
    world.close(&first, true);
    let silent = world.lines.open(Source::default(), world.now());
    assert_eq!(world.lines.close(&silent, false, world.now()), None);
    assert_eq!(
        (world.heard.as_slice(), world.lines.is_connected(), world.lines.is_over()),
        (&[][..], false, false)
    );
    world.lines.show(None);
    assert!(world.lines.is_over());
}
