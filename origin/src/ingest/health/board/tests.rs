use bytes::Bytes;
use nearcast_media::{Event, Frame, Track};
use nearcast_service::metrics::Registry;

use super::*;

fn board() -> (Board, Registry) {
    let registry = Registry::new();
    (Board::new(Metrics::register(&registry)), registry)
}

fn channel(name: &str) -> ChannelId {
    name.parse().unwrap()
}

fn live(channel: &str, id: &str) -> node::Broadcast {
    node::Broadcast {
        channel: channel.parse().unwrap(),
        id: id.parse().unwrap(),
        started_at: 1,
        taken_over_at: None,
        health: None,
    }
}

fn told(board: &Board) -> Vec<(Kind, String)> {
    let events = board.pending().map(|events| events.events).unwrap_or_default();
    if let Some(last) = events.last() {
        let epoch = board.pending().map_or(0, |events| events.epoch);
        board.acknowledge(Acknowledged { epoch, seq: last.seq });
    }
    events
        .into_iter()
        .map(|event| (event.kind, event.broadcast.map(String::from).unwrap_or_default()))
        .collect()
}

fn open(board: &Board) -> Probe {
    board.open(&channel("demo"), Source { protocol: "rtmp", ..Source::default() }, Bounds::default())
}

#[test]
fn begin_and_end_are_told_once_and_take_the_series_along() {
    let (board, registry) = board();
    let probe = open(&board);
    board.live(&[live("demo", "b1")]);
    board.live(&[live("demo", "b1")]);
    board.look(Instant::now());
    assert!(registry.render().contains("nearcast_publisher_pace{channel=\"demo\"}"));
    // Another configuration is another broadcast of the same publisher.
    board.live(&[live("demo", "b2")]);
    drop(probe);
    board.live(&[]);
    let (started, stopped) = (Kind::Started, Kind::Stopped);
    let expected = [(started, "b1"), (stopped, "b1"), (started, "b2"), (stopped, "b2")];
    assert_eq!(told(&board), expected.map(|(kind, id)| (kind, id.to_owned())));
    assert_eq!(told(&board), []);
    assert!(!registry.render().contains("channel=\"demo\""), "{}", registry.render());
    assert!(board.state().channels.is_empty());
}

#[test]
fn a_publisher_who_comes_back_to_its_broadcast_is_told_of_when_frames_come() {
    let (board, _registry) = board();
    drop(open(&board));
    assert!(board.state().channels.is_empty(), "it never was live");
    let first = open(&board);
    first.feeds(&Air::default());
    board.live(&[live("demo", "b1")]);
    drop(first);
    let mut second = open(&board);
    let later = Instant::now() + Duration::from_secs(5);
    board.look(later);
    assert_eq!(told(&board), [(Kind::Started, "b1".to_owned()), (Kind::Lost, "b1".to_owned())]);
    let frame = Frame { dts: 0, pts: 0, keyframe: true, data: Bytes::from_static(&[0; 4_000]) };
    let aac = nearcast_media::codec::aac::Config::parse(&[0x12, 0x10]).unwrap();
    second.observe(&Event::Config(nearcast_media::Config::Aac(aac))).unwrap();
    second.observe(&Event::Frame(Track::Audio, frame)).unwrap();
    board.look(later);
    assert_eq!(told(&board), [(Kind::Reconnected, "b1".to_owned())]);
    let mut beats = [live("demo", "b1")];
    board.describe(&mut beats);
    assert_eq!(beats[0].health.as_ref().unwrap()[0].reconnects, 1);
}

#[test]
fn an_encoder_that_tries_again_and_again_is_one_refusal() {
    let (board, _registry) = board();
    for _ in 0..20 {
        board.refused(&channel("demo"), "bitrate", "bitrate limit: you send 3 Mb/s");
    }
    board.refused(&channel("demo"), "resolution", "resolution limit");
    let events = board.pending().unwrap().events;
    assert_eq!(events.iter().map(|event| event.code.as_str()).collect::<Vec<_>>(), ["bitrate", "resolution"]);
    assert_eq!(events[0].text, "bitrate limit: you send 3 Mb/s");
}

#[test]
fn health_of_very_many_is_told_in_turns() {
    let (board, _registry) = board();
    let probes: Vec<_> = (0..600)
        .map(|n| board.open(&channel(&format!("c{n}")), Source::default(), Bounds::default()))
        .collect();
    let all: Vec<_> = (0..600).map(|n| live(&format!("c{n}"), "b")).collect();
    let mut seen = vec![false; 600];
    for _ in 0..3 {
        let mut beat = all.clone();
        board.describe(&mut beat);
        assert_eq!(beat.iter().filter(|broadcast| broadcast.health.is_some()).count(), HEALTH_AT_ONCE);
        beat.iter().zip(&mut seen).for_each(|(broadcast, seen)| *seen |= broadcast.health.is_some());
    }
    assert!(seen.iter().all(|seen| *seen));
    drop(probes);
}
