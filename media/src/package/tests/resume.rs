//! A broadcast whose origin is lost, and the one that goes on with it.

use super::check::Checker;
use super::*;

/// Twenty-one seconds of it here, the rest from another origin on.
fn lost(leader: Spec, camera: Camera) -> (World, World) {
    let mut world = World::new(leader.clone(), camera.interval());
    world.broadcast.add_rendition(audio(48_000)).unwrap();
    world.run(camera, 48_000, 0, 21);
    let at = world.broadcast.position().unwrap();
    let mut broadcast = Broadcast::resume("b1", settings(), leader, &at);
    broadcast.add_rendition(audio(48_000)).unwrap();
    let checker = Checker::new(camera.interval() + Duration::from_millis(2));
    (world, World { broadcast, checker, cuts: Vec::new() })
}

#[test]
fn numbers_dates_and_names_go_on_at_a_discontinuity() {
    let (old, mut new) = lost(video("source", 720), CAMERA);
    let before = old.checker.last("source");
    // The next encoder's first frames are of no use: decoding cannot begin there.
    new.run(CAMERA, 48_000, 21, 12);
    for (rendition, begins) in [("source", 22_000), ("audio", 22_000)] {
        let after = new.checker.last(rendition);
        let first = &after.segments[0].head;
        assert_eq!((before.end(), after.media_sequence), (10, 11), "the tenth is being made and lost");
        assert_eq!((before.discontinuity_sequence, after.discontinuity_sequence), (0, 0));
        assert!(first.discontinuity);
        assert_eq!(first.map.as_ref().unwrap().uri, "init.1.mp4");
        assert!(first.program_date_time.unwrap().abs_diff(STARTED_AT + begins) < 25, "{first:?}");
        assert_eq!((after.target_duration, after.segments.len()), (before.target_duration, 5));
        assert!(new.broadcast.init(rendition, 1).is_some() && new.broadcast.init(rendition, 0).is_none());
    }
    let source = new.checker.last("source");
    assert_eq!(source.part_target, before.part_target);
    assert_eq!(new.broadcast.position().map(|at| (at.msn, at.discontinuities, at.init)), Some((16, 1, 1)));
}

#[test]
fn the_manifest_counts_from_the_same_moment() {
    let (old, mut new) = lost(video("source", 720), CAMERA);
    new.run(CAMERA, 48_000, 22, 12);
    let (before, after) = (old.broadcast.manifest().unwrap(), new.broadcast.manifest().unwrap());
    assert_eq!(before.started_at, after.started_at);
    assert_eq!(
        new.broadcast.timeline().map(|line| line.zero),
        old.broadcast.timeline().map(|line| line.zero)
    );
    assert_eq!(after.periods.len(), 1);
    assert_eq!(after.periods[0].start, 22 * CLOCK.unsigned_abs());
}

#[test]
fn a_broadcast_without_a_segment_is_nowhere() {
    let mut world = World::new(video("source", 720), CAMERA.interval());
    (0..60).for_each(|index| drop(world.push("source", CAMERA.frame(index))));
    assert_eq!(world.broadcast.position(), None);
}

#[test]
fn sound_alone_goes_on_as_well() {
    let mut broadcast = Broadcast::new("b1", STARTED_AT, settings(), audio(48_000));
    (0..600).for_each(|index| drop(broadcast.push("audio", audio_frame(48_000, index)).unwrap()));
    let at = broadcast.position().unwrap();
    let mut next = Broadcast::resume("b1", settings(), audio(48_000), &at);
    (700..1_200).for_each(|index| drop(next.push("audio", audio_frame(48_000, index)).unwrap()));
    let playlist = &next.playlist("audio").unwrap().playlist;
    assert_eq!(playlist.media_sequence, at.msn + 1);
    assert!(playlist.segments[0].head.discontinuity);
}
