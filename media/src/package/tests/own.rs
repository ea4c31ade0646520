//! What the publisher itself sends beside its first picture.

use super::world::{CAMERA, World, video};
use super::*;
use crate::frame::CLOCK;

/// A publisher's source and its own picture in 480 lines, `own` of which says for a frame of the source whether there is
/// one, and whether that is a keyframe.
fn world(seconds: i64, mut own: impl FnMut(i64, &mut World) -> Option<bool>) -> World {
    let mut world = World::new(video("source", 720), CAMERA.interval());
    world.broadcast.add_rendition(Spec { own: true, ..video("480p", 480) }).unwrap();
    for index in 0..seconds * 30 {
        world.push("source", CAMERA.frame(index));
        if let Some(keyframe) = own(index, &mut world) {
            let data = Bytes::from(vec![0; 500]);
            world.push("480p", Frame { keyframe, data, ..CAMERA.frame(index) });
        }
    }
    world
}

fn gaps(world: &World) -> Vec<u64> {
    let playlist = &world.broadcast.playlist("480p").unwrap().playlist;
    let numbered = (playlist.media_sequence..).zip(&playlist.segments);
    numbered.filter(|(_, segment)| segment.gap).map(|(msn, _)| msn).collect()
}

#[test]
fn a_picture_with_the_sources_keyframes_has_the_sources_segments() {
    let mut world = world(20, |index, _| Some(index % 60 == 0));
    let list = world.broadcast.multivariant().unwrap();
    let listed: Vec<_> = list.variants.iter().map(|variant| (&*variant.uri, variant.resolution)).collect();
    assert_eq!(
        listed,
        [("b1/source/media.m3u8", Some((1280, 720))), ("b1/480p/media.m3u8", Some((853, 480)))]
    );
    let media = world.broadcast.manifest().unwrap().render();
    assert!(media.contains("id=\"480p\""), "{media}");
    assert_eq!(gaps(&world), []);
    world.end();
    world.checker.aligned(Duration::from_millis(1));
    assert_eq!(world.checker.last("480p").segments.len(), world.checker.last("source").segments.len());
}

#[test]
fn keyframes_elsewhere_leave_gaps_and_are_told_until_they_are_in_step() {
    let world = world(30, |index, world| {
        assert_eq!(world.broadcast.is_astray("480p"), (301..781).contains(&index), "{index}");
        // From 10 s on a third of a second late, until 25 s.
        Some(if (300..760).contains(&index) { index % 60 == 10 } else { index % 60 == 0 })
    });
    assert_eq!(gaps(&world), (5..13).collect::<Vec<_>>());
    let playlist = world.broadcast.playlist("480p").unwrap().playlist.clone();
    assert!(playlist.independent_segments && !playlist.segments[4].gap && !playlist.segments[13].gap);
    world.checker.aligned(Duration::from_millis(1));
}

#[test]
fn without_frames_the_playlist_goes_on_with_gaps_and_comes_back_otherwise_configured() {
    let mut world = world(20, |index, world| {
        if (300..420).contains(&index) {
            let source = world.broadcast.newest_segment("source").unwrap();
            assert!(source - world.broadcast.newest_segment("480p").unwrap() <= 1, "at {index}");
            if index == 419 {
                // Its publisher is back.
                let events = world.broadcast.splice([]).unwrap();
                world.checker.check(&world.broadcast, &events);
                world.broadcast.renew("480p", video("480p", 482).config).unwrap();
            }
            return None;
        }
        Some(index % 60 == 0)
    });
    assert_eq!(gaps(&world), [5, 6]);
    let playlist = world.broadcast.playlist("480p").unwrap().playlist.clone();
    let map = |segment: usize| playlist.segments[segment].head.map.as_ref().unwrap().uri.clone();
    assert_eq!((map(4), map(6), map(7)), ("init.mp4".into(), "init.mp4".into(), "init.1.mp4".into()));
    assert!(playlist.segments[7].head.discontinuity);
    world.end();
    assert!(world.checker.last("480p").ended);
}

#[test]
fn a_picture_that_never_comes_has_gaps_and_is_not_listed() {
    let world = world(10, |_, _| None);
    assert_eq!(gaps(&world), [0, 1, 2, 3]);
    assert_eq!(world.broadcast.multivariant().unwrap().variants.len(), 1);
    assert!(!world.broadcast.manifest().unwrap().render().contains("480p"));
    assert_eq!(world.broadcast.newest_segment("source"), Some(4));
    assert!(world.cuts.contains(&(8 * CLOCK)));
}

#[test]
fn its_bitstream_knows_its_frame_rate() {
    let mut world = World::new(video("source", 720), CAMERA.interval());
    let Config::Avc(config) = video("480p", 480).config else { panic!() };
    let config = Config::Avc(crate::codec::avc::Config { frame_rate: Some((15, 1)), ..config });
    world.broadcast.add_rendition(Spec { own: true, config, ..video("480p", 480) }).unwrap();
    for index in 0..300 {
        world.push("source", CAMERA.frame(index));
        if index % 2 == 0 {
            world.push("480p", CAMERA.frame(index));
        }
    }
    let list = world.broadcast.multivariant().unwrap();
    assert_eq!(
        list.variants.iter().map(|variant| variant.frame_rate).collect::<Vec<_>>(),
        [Some(30_000), Some(15_000)]
    );
    assert!(world.broadcast.manifest().unwrap().render().contains("frameRate=\"15\""));
    assert_eq!(gaps(&world), []);
}
