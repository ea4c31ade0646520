//! Metadata, captions, keyframe lists and steering, as playlists and media show them.

use super::check::in_memory;
use super::world::{CAMERA, Camera, STARTED_AT, World, audio, audio_frame, video, with_rung};
use super::*;
use crate::codec::captions::tests::sei;
use crate::hls::daterange::Value;
use crate::hls::multivariant::{ClosedCaptions, Steering};
use crate::hls::request::Skip;

fn goal(id: &str, at: Option<u64>) -> Metadata {
    Metadata {
        id: id.into(),
        at,
        duration: Some(Duration::from_secs(5)),
        class: Some("com.example.goal".into()),
        attributes: vec![("X-TEAM".into(), Value::Text("home".into()))],
        scheme: fmp4::ID3_SCHEME.into(),
        data: Bytes::from_static(b"ID3"),
    }
}

fn announce(world: &mut World, metadata: Metadata) {
    let events = world.broadcast.announce(metadata).unwrap();
    world.checker.check(&world.broadcast, &events);
}

/// Segment, part, presentation time in milliseconds since the broadcast's start, and id of every message.
fn messages(broadcast: &Broadcast, rendition: &str, segments: u64) -> Vec<(u64, u32, u64, u32)> {
    let mut found = Vec::new();
    for msn in 0..segments {
        for part in 0.. {
            let Some(data) = in_memory(broadcast.part(rendition, msn, part)) else { break };
            let data = data.concat();
            let mut rest = &data[..];
            while &rest[4..8] == b"emsg" {
                let number = |at: usize| u32::from_be_bytes(rest[at..at + 4].try_into().unwrap());
                let (size, timescale, low, id) = (number(0), number(12), number(20), number(28));
                assert_eq!(number(16), 0);
                found.push((msn, part, u64::from(low) * 1000 / u64::from(timescale) - 10_000, id));
                rest = &rest[size as usize..];
            }
        }
    }
    found
}

#[test]
fn an_event_stands_in_every_playlist_and_in_front_of_the_part_that_holds_it() {
    let mut world = with_rung(CAMERA, 5, 6, |_| true);
    announce(&mut world, goal("soon", Some(STARTED_AT + 9_700)));
    announce(&mut world, goal("late", Some(STARTED_AT + 1_000)));
    announce(&mut world, goal("now", None));
    announce(&mut world, goal("soon", None));
    world.run(CAMERA, 48_000, 6, 6);
    for name in ["source", "480p", "audio"] {
        let snapshot = world.broadcast.playlist(name).unwrap();
        let ranges: Vec<(&str, u64)> =
            snapshot.playlist.date_ranges.iter().map(|range| (range.id.as_str(), range.start)).collect();
        // The newest frame was shown at 5967 ms.
        let expected =
            [("soon", STARTED_AT + 9_700), ("late", STARTED_AT + 1_000), ("now", STARTED_AT + 5_966)];
        assert_eq!(ranges, expected, "{name}");
    }
    // 15 frames to a part: 9.7 s is in the fourth of segment 4, the newest part at the time was the last of 2.
    let source = messages(&world.broadcast, "source", 6);
    assert_eq!(source, [(2, 3, 1_000, 2), (2, 3, 5_966, 3), (4, 3, 9_700, 1)]);
    assert_eq!(messages(&world.broadcast, "audio", 6), []);
    let keys = world.broadcast.i_frames("source").unwrap();
    assert_eq!(keys.playlist.date_ranges.len(), 3);
    world.end();
}

#[test]
fn a_rung_that_joins_carries_what_is_to_come() {
    let mut world = World::new(video("source", 720), CAMERA.interval());
    announce(&mut world, goal("first", Some(STARTED_AT + 3_100)));
    for index in 0..61 {
        world.push("source", CAMERA.frame(index));
    }
    world.broadcast.add_rendition(video("480p", 480)).unwrap();
    for index in 61..240 {
        world.push("source", CAMERA.frame(index));
        world.push("480p", CAMERA.frame(index - 61 + 60));
    }
    let expected = [(1, 2, 3_100, 1)];
    assert_eq!(messages(&world.broadcast, "source", 3), expected);
    assert_eq!(messages(&world.broadcast, "480p", 3), expected);
}

#[test]
fn sound_alone_carries_messages_itself() {
    let mut world = World::new(audio(48_000), Duration::from_micros(21_333));
    announce(&mut world, goal("a", Some(STARTED_AT + 2_000)));
    for index in 0..300 {
        world.push("audio", audio_frame(48_000, index));
    }
    assert_eq!(messages(&world.broadcast, "audio", 2).first().map(|(_, _, at, _)| *at), Some(2_000));
    assert!(world.broadcast.i_frames("audio").is_none());
}

#[test]
fn a_keyframe_behind_a_message_is_still_found() {
    let mut world = World::new(video("source", 720), CAMERA.interval());
    announce(&mut world, goal("a", Some(STARTED_AT + 2_100)));
    for index in 0..200 {
        world.push("source", CAMERA.frame(index));
    }
    assert_eq!(messages(&world.broadcast, "source", 3), [(1, 0, 2_100, 1)]);
    let keys = world.broadcast.i_frames("source").unwrap();
    let offset = |msn| keys.playlist.segment(msn).unwrap().byte_range.unwrap().offset;
    assert_eq!(offset(0), Some(0));
    assert!(offset(1) > Some(0), "the checker compares it with the moof's place");
}

#[test]
fn what_is_over_leaves_with_its_segments() {
    let mut world = World::new(video("source", 720), CAMERA.interval());
    world.broadcast.add_rendition(audio(48_000)).unwrap();
    world.run(CAMERA, 48_000, 0, 4);
    announce(&mut world, goal("a", None));
    // It is over after 9 s; 30 s are listed.
    let listed = |world: &World| world.broadcast.playlist("audio").unwrap().playlist.date_ranges.len();
    world.run(CAMERA, 48_000, 4, 34);
    assert_eq!(listed(&world), 1);
    world.run(CAMERA, 48_000, 38, 8);
    assert_eq!(listed(&world), 0);
    let delta = world.broadcast.playlist("source").unwrap();
    let delta = std::str::from_utf8(delta.delta(Skip::DateRanges)).unwrap();
    assert!(delta.contains("RECENTLY-REMOVED-DATERANGES=\"a\""), "{delta}");
    world.run(CAMERA, 48_000, 46, 60);
    world.end();
}

#[test]
fn what_no_playlist_can_hold_is_refused() {
    let mut world = World::new(video("source", 720), CAMERA.interval());
    let attribute =
        |name: &str, value| Metadata { attributes: vec![(name.into(), value)], ..goal("a", None) };
    let text = |text: &str| Value::Text(text.into());
    for metadata in [
        goal("", None),
        goal("a\"b", None),
        goal("a\nb", None),
        Metadata { class: Some("\"".into()), ..goal("a", None) },
        attribute("TEAM", text("x")),
        attribute("X-a", text("x")),
        attribute("X-A", text("a\tb")),
        attribute("X-A", Value::Plain("1,B=2".into())),
    ] {
        assert!(matches!(world.broadcast.announce(metadata), Err(Error::Metadata { .. })));
    }
    for at in [0, u64::MAX] {
        announce(&mut world, Metadata { at: Some(at), ..goal(&format!("at {at}"), None) });
    }
    for index in 0..MAX_DATE_RANGES - 2 {
        world.broadcast.announce(goal(&index.to_string(), None)).unwrap();
    }
    assert_eq!(world.broadcast.announce(goal("z", None)), Err(Error::TooManyDateRanges));
    world.run(CAMERA, 48_000, 0, 0);
    world.end();
    assert_eq!(world.broadcast.announce(goal("y", None)), Err(Error::Ended));
}

#[test]
fn captions_are_declared_when_somebody_speaks_in_them() {
    let speak = |triples: &'static [[u8; 3]]| {
        let mut world = World::new(video("source", 720), CAMERA.interval());
        for index in 0..180 {
            let frame = CAMERA.frame(index);
            world.push(
                "source",
                Frame { data: [&sei(triples)[..], &frame.data[..1000]].concat().into(), ..frame },
            );
        }
        world.broadcast.multivariant().unwrap()
    };
    let list = speak(&[]);
    assert_eq!((list.captions.len(), &list.variants[0].closed_captions), (0, &Some(ClosedCaptions::None)));
    let list = speak(&[[0xfc, 0x80, 0x80]]);
    assert_eq!(
        (list.captions.len(), &list.variants[0].closed_captions),
        (0, &None),
        "there is room for some"
    );
    let list = speak(&[[0xfc, 0x94, 0x20], [0xff, 0x02, 0x22], [0xfe, b'H', b'i']]);
    let ids: Vec<&str> = list.captions.iter().map(|captions| captions.instream_id.as_str()).collect();
    assert_eq!(ids, ["CC1", "SERVICE1"]);
    let group = Some(ClosedCaptions::Group(list.captions[0].group.clone()));
    assert!(list.variants.iter().all(|variant| variant.closed_captions == group));
    assert!(list.render().starts_with("#EXTM3U\n#EXT-X-VERSION:7\n"), "services need version 7");
}

#[test]
fn keyframes_are_listed_beside_each_picture_with_what_they_take() {
    let world = with_rung(CAMERA, 3, 10, |_| true);
    let list = world.broadcast.multivariant().unwrap();
    let uris: Vec<&str> = list.i_frames.iter().map(|list| list.uri.as_str()).collect();
    assert_eq!(uris, ["b1/source/iframe.m3u8", "b1/480p/iframe.m3u8"]);
    let source = &list.i_frames[0];
    assert_eq!((source.codecs.as_deref(), source.resolution), (Some("avc1.64001f"), Some((1280, 720))));
    // 2000 bytes and the head of the fragment every two seconds.
    assert!((8_000..9_500).contains(&source.bandwidth), "{}", source.bandwidth);
    assert_eq!(source.average_bandwidth, Some(source.bandwidth));
    // Where most segments begin between keyframes, the others are gaps.
    let mut world = World::new(video("source", 720), CAMERA.interval());
    let camera = Camera { gop: 250, ..CAMERA };
    (0..1000).for_each(|index| drop(world.push("source", camera.frame(index))));
    let keys = &world.broadcast.i_frames("source").unwrap().playlist;
    assert!(keys.segments.iter().any(|key| key.gap) && keys.segments.iter().any(|key| !key.gap));
}

#[test]
fn a_steered_broadcast_names_its_pathway_on_every_variant() {
    let mut world = with_rung(CAMERA, 3, 6, |_| true);
    assert!(!world.broadcast.multivariant().unwrap().render().contains("PATHWAY-ID"));
    let steering = Steering { server: "/steering".into(), pathway: Some("eu".into()) };
    world.broadcast.steer(Some(steering));
    let list = world.broadcast.multivariant().unwrap();
    assert!(list.variants.iter().all(|variant| variant.pathway.as_deref() == Some("eu")));
    assert!(list.i_frames.iter().all(|list| list.pathway.as_deref() == Some("eu")));
    assert!(list.render().contains("#EXT-X-CONTENT-STEERING:SERVER-URI=\"/steering\",PATHWAY-ID=\"eu\"\n"));
    world.end();
}

#[test]
fn a_rung_that_rested_tells_nothing_of_what_is_past_and_all_that_is_to_come() {
    let mut world = with_rung(CAMERA, 0, 9, |_| true);
    announce(&mut world, goal("soon", Some(STARTED_AT + 13_500)));
    world.broadcast.rest_rendition("480p").unwrap();
    world.checker.forget("480p");
    for second in 9..11 {
        announce(&mut world, goal(&format!("in {second}"), None));
        (second * 30..(second + 1) * 30).for_each(|index| drop(world.push("source", CAMERA.frame(index))));
    }
    // It wakes with the segment of the twelfth second.
    for index in 330..480 {
        world.push("source", CAMERA.frame(index));
        let pts = CAMERA.time(index);
        let keyframe = world.cuts.contains(&pts);
        world.push("480p", Frame { dts: pts, pts, keyframe, data: Bytes::from(vec![1; 400]) });
    }
    let told: Vec<_> = messages(&world.broadcast, "480p", 8).iter().map(|(.., time, _)| *time).collect();
    assert_eq!(told, [13_500]);
    assert_eq!(messages(&world.broadcast, "source", 8).len(), 3);
}
