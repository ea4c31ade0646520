//! The DASH manifest of what is packaged.

use super::world::*;
use super::*;
use crate::dash::manifest::{Manifest, Media, Segments};
use crate::frame::CLOCK;

/// A player that counts finds every segment in the playlist where it reckons it to be.
fn agrees_with_the_playlists(broadcast: &Broadcast) -> Manifest {
    let manifest = broadcast.manifest().unwrap();
    let Timeline { zero, date, first } = broadcast.timeline().unwrap();
    let oldest = &broadcast.playlist("source").unwrap().playlist.segments[0];
    assert_eq!(date, manifest.started_at);
    assert_eq!(Some(date + u64::try_from(first - zero).unwrap() / 90), oldest.head.program_date_time);
    for period in &manifest.periods {
        for rendition in &period.renditions {
            let playlist = &broadcast.playlist(&rendition.name).unwrap().playlist;
            let begins = |msn: u64| {
                let at = playlist.segment(msn)?.head.program_date_time? - manifest.started_at;
                Some(i64::try_from(at * 90).unwrap())
            };
            let end = period.end.map_or(u64::MAX, |(end, _)| end);
            let listed = playlist.media_sequence..playlist.end();
            for msn in listed.filter(|msn| (period.first..end).contains(msn)) {
                let begins = begins(msn).unwrap();
                let start = i64::try_from(period.start).unwrap();
                let (reckoned, tolerance) = match &rendition.segments {
                    Segments::Counted { duration } => {
                        (start + ((msn - period.first) * duration).cast_signed(), CLOCK / 4)
                    }
                    Segments::Listed { first, times } => {
                        let time = times[usize::try_from(msn - first).unwrap()].0;
                        // To the millisecond that a playlist can say.
                        ((time - period.media_start).cast_signed() + start, 90)
                    }
                };
                assert!(
                    (begins - reckoned).abs() <= tolerance,
                    "{msn} of {}: {reckoned}, {begins}",
                    rendition.name
                );
            }
        }
    }
    manifest
}

#[test]
fn a_regular_publisher_is_counted_from_its_first_segment_to_its_end() {
    let mut world = World::new(video("source", 720), CAMERA.interval());
    world.broadcast.add_rendition(audio(44_100)).unwrap();
    assert_eq!(world.broadcast.manifest(), None, "nothing to play");
    for second in 0..90 {
        world.run(CAMERA, 44_100, second, 1);
        if second >= 3 {
            let manifest = agrees_with_the_playlists(&world.broadcast);
            let names: Vec<_> = manifest.periods[0].renditions.iter().map(|one| one.name.as_str()).collect();
            assert_eq!((names, manifest.periods.len(), manifest.ended), (vec!["source", "audio"], 1, false));
            assert_eq!(manifest.started_at, STARTED_AT);
            assert!(manifest.published_at.abs_diff(STARTED_AT + 1000 * (second as u64 + 1)) < 100);
            let source = &manifest.periods[0].renditions[0];
            assert_eq!(source.segments, Segments::Counted { duration: 2 * CLOCK.unsigned_abs() });
            assert!(matches!(source.media, Media::Video(picture) if picture.frame_rate == Some((30, 1))));
        }
    }
    world.end();
    let manifest = agrees_with_the_playlists(&world.broadcast);
    let listed =
        |segments: &Segments| matches!(segments, Segments::Listed { times, .. } if times.len() >= 15);
    assert!(manifest.ended && manifest.periods[0].renditions.iter().all(|one| listed(&one.segments)));
    let (next, end) = manifest.periods[0].end.unwrap();
    assert!(next == 45 && end.abs_diff(90 * CLOCK.unsigned_abs()) <= MILLISECOND, "{next} {end}");
}

#[test]
fn every_frame_rate_is_counted() {
    for (frames, seconds, gop) in
        [(25, 1, 50), (30_000, 1001, 60), (60, 1, 100), (24_000, 1001, 48), (30, 1, 50)]
    {
        let camera = Camera { frames, seconds, gop, ..CAMERA };
        let mut world = World::new(video("source", 720), camera.interval());
        world.broadcast.add_rendition(audio(44_100)).unwrap();
        world.run(camera, 44_100, 0, 300);
        let manifest = agrees_with_the_playlists(&world.broadcast);
        let counted =
            |one: &crate::dash::manifest::Rendition| matches!(one.segments, Segments::Counted { .. });
        assert!(
            manifest.periods.iter().all(|period| period.renditions.iter().all(counted)),
            "{frames}/{seconds}"
        );
    }
}

#[test]
fn a_publisher_that_was_away_comes_back_in_a_period_of_its_own() {
    let mut world = World::new(video("source", 720), CAMERA.interval());
    world.broadcast.add_rendition(audio(48_000)).unwrap();
    world.run(CAMERA, 48_000, 0, 10);
    world.run(CAMERA, 48_000, 20, 10);
    let manifest = agrees_with_the_playlists(&world.broadcast);
    let [before, after] = &manifest.periods[..] else { panic!("{:?}", manifest.periods) };
    let is_at = |ticks: u64, seconds: u64| ticks.abs_diff(seconds * CLOCK.unsigned_abs()) <= MILLISECOND;
    let (next, end) = before.end.unwrap();
    assert!(next == 5 && is_at(end, 10), "{next} {end}");
    assert!(after.first == 5 && is_at(after.start, 20) && after.end.is_none(), "{after:?}");
    assert_eq!(after.media_start - before.media_start, after.start - before.start, "one line of time");
    assert_eq!(after.renditions.len(), 2);
}

#[test]
fn a_rung_that_nobody_watches_is_there_to_be_asked_for() {
    let mut world = with_rung(CAMERA, 0, 10, |_| true);
    world.broadcast.rest_rendition("480p").unwrap();
    assert!(world.broadcast.playlist("480p").is_none());
    for index in 300..600 {
        world.push("source", CAMERA.frame(index));
    }
    let manifest = world.broadcast.manifest().unwrap();
    let of = |name: &str| manifest.periods[0].renditions.iter().find(|one| one.name == name).unwrap();
    assert_eq!(of("480p").segments, of("source").segments);
    assert_eq!(of("480p").init, "init.mp4");
}

#[test]
fn keyframes_that_come_as_they_like_are_listed() {
    let mut world = World::new(video("source", 720), CAMERA.interval());
    world.broadcast.add_rendition(audio(48_000)).unwrap();
    let mut audio = 0;
    for index in 0..60 * 30 {
        while audio_frame(48_000, audio).dts <= CAMERA.time(index) {
            world.push("audio", audio_frame(48_000, audio));
            audio += 1;
        }
        let keyframe = index % 73 == 0 || index % 101 == 0;
        world.push("source", Frame { keyframe, ..CAMERA.frame(index) });
        if index > 150 && index % 30 == 0 {
            agrees_with_the_playlists(&world.broadcast);
        }
    }
    let manifest = agrees_with_the_playlists(&world.broadcast);
    let listed = manifest.periods.last().unwrap();
    assert!(
        listed.renditions.iter().all(|one| matches!(one.segments, Segments::Listed { .. })),
        "{listed:?}"
    );
}

/// Publishers' times are rounded to it; in ticks.
const MILLISECOND: u64 = 90;

#[test]
fn a_rung_of_fewer_frames_says_so() {
    let mut broadcast = Broadcast::new("b1", STARTED_AT, settings(), video("source", 720));
    broadcast.add_rendition(Spec { max_frame_rate: Some(15), ..video("480p", 480) }).unwrap();
    broadcast.add_rendition(Spec { max_frame_rate: Some(50), ..video("360p", 360) }).unwrap();
    for index in 0..300 {
        broadcast.push("source", CAMERA.frame(index)).unwrap();
        if index % 2 == 0 {
            broadcast.push("480p", CAMERA.frame(index)).unwrap();
        }
        broadcast.push("360p", CAMERA.frame(index)).unwrap();
    }
    let manifest = broadcast.manifest().unwrap();
    let rate = |media: &Media| match media {
        Media::Video(picture) => picture.frame_rate,
        Media::Audio(_) => None,
    };
    let rates: Vec<_> = manifest.periods[0].renditions.iter().map(|one| rate(&one.media)).collect();
    assert_eq!(rates, [Some((30, 1)), Some((15, 1)), Some((30, 1))]);
}
