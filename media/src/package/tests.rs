use std::time::Duration;

use super::*;
use crate::frame::CLOCK;

mod announce;
mod check;
mod hostile;
mod manifest;
mod own;
mod resume;
mod sounds;
mod spill;
mod world;

use world::{CAMERA, Camera, STARTED_AT, World, audio, audio_frame, followed, settings, video, with_rung};

#[test]
fn segments_are_the_publishers_keyframe_intervals_and_parts_are_full() {
    let mut world = World::new(video("source", 720), CAMERA.interval());
    world.broadcast.add_rendition(audio(48_000)).unwrap();
    world.run(CAMERA, 48_000, 0, 60);
    let playlist = world.checker.last("source");
    assert_eq!(playlist.target_duration, 2);
    assert!(playlist.independent_segments);
    assert_eq!(playlist.part_target, Some(Duration::from_millis(502)));
    assert!(playlist.segments.iter().all(|segment| segment.duration == Duration::from_secs(2)));
    let parts: Vec<usize> = playlist.segments.iter().map(|segment| segment.parts.len()).collect();
    assert_eq!(&parts[parts.len() - 4..], [0, 4, 4, 4]);
    assert_eq!(playlist.reports.len(), 1);
    // 30 s and the open segment are listed; the delta leaves out what ends more than 12 s from the end.
    assert_eq!(playlist.duration().as_secs(), 31);
    assert!(playlist.render_delta().contains("SKIPPED-SEGMENTS=9"), "{}", playlist.render_delta());
    let first = STARTED_AT + 2000 * playlist.media_sequence;
    assert_eq!(playlist.segments[0].head.program_date_time, Some(first));
}

#[test]
fn the_first_segment_comes_out_when_its_end_is_known() {
    let mut world = World::new(video("source", 720), CAMERA.interval());
    for index in 0..60 {
        assert_eq!(world.push("source", CAMERA.frame(index)), []);
        assert!(world.broadcast.playlist("source").is_none() && world.broadcast.multivariant().is_none());
    }
    let events = world.push("source", CAMERA.frame(60));
    assert_eq!(events.first(), Some(&Event::Part { rendition: "source".into(), msn: 0, part: 0 }));
    assert_eq!(events.last(), Some(&Event::Multivariant));
    assert_eq!(world.broadcast.target_duration(), Some(2));
    assert_eq!(world.cuts, [0, 2 * CLOCK]);
}

#[test]
fn common_frame_rates_and_sampling_rates_keep_the_rules() {
    for (frames, seconds, gop) in [(30_000, 1001, 60), (25, 1, 50), (24, 1, 48), (50, 1, 100), (60, 1, 60)] {
        for milliseconds in [true, false] {
            let camera = Camera { frames, seconds, gop, milliseconds, ..CAMERA };
            let world = followed(camera, if milliseconds { 44_100 } else { 48_000 }, 30);
            assert_eq!(world.checker.last("source").target_duration, 2, "{frames}/{seconds}");
        }
    }
}

#[test]
fn a_long_keyframe_interval_is_cut_where_it_must_be() {
    let world = followed(Camera { gop: 250, ..CAMERA }, 48_000, 60);
    let playlist = world.checker.last("source");
    assert_eq!(playlist.target_duration, 4);
    assert!(!playlist.independent_segments);
    assert!(world.cuts.len() > 12, "{:?}", world.cuts);
    // With the frame told to the encoder, a rung has keyframes there.
    assert!(world.cuts.iter().any(|cut| cut % (250 * 3000) != 0));
}

#[test]
fn reordered_frames_keep_their_place() {
    for gop in [60, 250] {
        let camera = Camera { reorder: true, gop, ..CAMERA };
        let world = followed(camera, 44_100, 40);
        let playlist = world.checker.last("source");
        let first = playlist.segments[0].head.program_date_time.unwrap();
        // The first picture is shown one frame after it is decoded.
        assert_eq!((first - STARTED_AT) % 1000, if gop == 60 { 33 } else { 366 });
    }
}

#[test]
fn slow_video_has_parts_of_whole_frames() {
    for (frames, seconds) in [(1, 1), (3, 1), (7, 1), (1, 2)] {
        let camera = Camera { frames, seconds, gop: 2 * frames.max(1), ..CAMERA };
        followed(camera, 48_000, 40);
    }
}

#[test]
fn video_alone_has_no_audio_group() {
    let mut world = World::new(video("source", 720), CAMERA.interval());
    for index in 0..300 {
        world.push("source", CAMERA.frame(index));
    }
    world.end();
    let playlist = world.broadcast.multivariant().unwrap();
    assert!(playlist.audio.is_empty() && playlist.variants[0].audio.is_none());
    assert_eq!(playlist.variants[0].frame_rate, Some(30_000));
}

#[test]
fn audio_alone_leads_itself() {
    for rate in [44_100, 48_000, 8_000] {
        let interval = Duration::from_micros(1_024_000_000 / rate);
        let mut world = World::new(audio(u32::try_from(rate).unwrap()), interval);
        let rate = i64::try_from(rate).unwrap();
        for index in 0..60 * rate / 1024 {
            // A hole of 200 ms is filled with silence.
            if index % 400 > 200 * rate / 1_024_000 {
                world.push("audio", audio_frame(rate, index));
            }
        }
        world.end();
        let playlist = world.broadcast.multivariant().unwrap();
        assert!(playlist.audio.is_empty());
        assert_eq!(playlist.variants[0].uri, "b1/audio/media.m3u8");
        assert_eq!(playlist.variants[0].codecs.as_deref(), Some("mp4a.40.2"));
        assert_eq!(world.checker.last("audio").target_duration, 2);
        assert_eq!(world.checker.last("audio").discontinuity_sequence, 0);
    }
}

#[test]
fn a_late_rung_takes_the_numbers_of_the_source() {
    for gop in [60, 250] {
        let camera = Camera { gop, ..CAMERA };
        let mut world = with_rung(camera, 20, 30, |index| index > 190);
        let playlist = world.broadcast.playlist("480p").unwrap().playlist.clone();
        let first = playlist.segments[0].head.program_date_time.unwrap() - STARTED_AT;
        assert_eq!(playlist.media_sequence, if gop == 60 { 4 } else { 2 });
        assert_eq!(first, if gop == 60 { 8000 } else { 8333 });
        assert!(playlist.independent_segments);
        world.checker.aligned(Duration::from_millis(25));
        world.end();
        assert!(world.checker.last("480p").ended);
    }
}

#[test]
fn a_rung_that_loses_frames_shows_a_gap_and_goes_on_in_step() {
    let mut world = with_rung(CAMERA, 5, 20, |index| !(190..400).contains(&index));
    let playlist = world.checker.last("480p");
    let gaps: Vec<bool> = playlist.segments.iter().map(|segment| segment.gap).collect();
    assert_eq!(&gaps[..8], [false, false, false, true, true, true, true, false]);
    assert_eq!(playlist.segments[3].parts.len(), 0);
    assert!(playlist.segments.iter().all(|segment| segment.duration == Duration::from_secs(2)));
    assert!(world.broadcast.part("480p", 3, 0).is_some() && world.broadcast.segment("480p", 3).is_none());
    world.checker.aligned(Duration::from_millis(25));
    world.end();
}

#[test]
fn a_rung_that_rested_begins_anew_after_what_it_had() {
    let mut world = with_rung(CAMERA, 0, 9, |_| true);
    let had = world.broadcast.newest_segment("480p").unwrap();
    assert_eq!(had, 4);
    let old = world.broadcast.part("480p", had, 0).unwrap();
    world.broadcast.rest_rendition("480p").unwrap();
    world.checker.forget("480p");
    assert!(world.broadcast.playlist("480p").is_none() && world.broadcast.init("480p", 0).is_some());
    assert_eq!(world.broadcast.multivariant().unwrap().variants.len(), 1);
    // Its encoder begins with the segment before, and is faster than the source.
    for index in 180..270 {
        let pts = CAMERA.time(index);
        let keyframe = world.cuts.contains(&pts);
        world.push("480p", Frame { dts: pts, pts, keyframe, data: Bytes::from(vec![1; 400]) });
    }
    assert_eq!(world.broadcast.newest_segment("480p"), None, "what has a name keeps its bytes");
    for index in 270..430 {
        world.push("source", CAMERA.frame(index));
        let pts = CAMERA.time(index);
        let keyframe = world.cuts.contains(&pts);
        world.push("480p", Frame { dts: pts, pts, keyframe, data: Bytes::from(vec![1; 400]) });
    }
    let playlist = &world.broadcast.playlist("480p").unwrap().playlist;
    assert_eq!((playlist.media_sequence, playlist.discontinuity_sequence), (5, 0));
    assert!(playlist.segments.iter().all(|segment| !segment.gap && !segment.head.discontinuity));
    assert_eq!(world.broadcast.newest_segment("480p"), world.broadcast.newest_segment("source"));
    assert_ne!(world.broadcast.part("480p", 5, 0), Some(old));
}

#[test]
fn a_dropped_rung_comes_back_under_new_numbers() {
    let mut world = with_rung(CAMERA, 0, 10, |_| true);
    world.broadcast.drop_rendition("480p").unwrap();
    assert!(world.broadcast.playlist("480p").is_none());
    assert_eq!(world.broadcast.drop_rendition("source"), Err(Error::DropLeader));
    world.broadcast.add_rendition(video("480p", 480)).unwrap();
    for index in 300..420 {
        let frame = CAMERA.frame(index);
        world.broadcast.push("source", frame.clone()).unwrap();
        world.broadcast.push("480p", frame).unwrap();
    }
    assert_eq!(world.broadcast.playlist("480p").unwrap().playlist.media_sequence, 5);
    assert_eq!(world.broadcast.init("480p", 1), None, "the same configuration has the same name");
}

#[test]
fn a_rung_that_comes_back_as_another_leaves_its_init_segment_what_it_was() {
    let maps = |world: &World| -> Vec<String> {
        let playlist = &world.broadcast.playlist("480p").unwrap().playlist;
        let of = |segment: &Arc<crate::hls::media::Segment>| segment.head.map.as_ref().unwrap().uri.clone();
        playlist.segments.iter().map(of).collect()
    };
    for dropped in [true, false] {
        let mut world = with_rung(CAMERA, 0, 10, |_| true);
        let had = world.broadcast.init("480p", 0).unwrap();
        if dropped {
            world.broadcast.drop_rendition("480p").unwrap();
            world.broadcast.add_rendition(video("480p", 360)).unwrap();
        } else {
            world.broadcast.rest_rendition("480p").unwrap();
            world.broadcast.renew("480p", video("480p", 360).config).unwrap();
        }
        for index in 300..480 {
            let frame = CAMERA.frame(index);
            world.broadcast.push("source", frame.clone()).unwrap();
            world.broadcast.push("480p", frame).unwrap();
        }
        assert!(maps(&world).iter().all(|uri| uri == "init.1.mp4"), "{:?}", maps(&world));
        assert_eq!(world.broadcast.init("480p", 0), Some(had.clone()));
        assert!(world.broadcast.init("480p", 1).is_some_and(|init| init != had));
    }
}

#[test]
fn the_ladder_lists_the_source_first_and_what_it_takes_to_play() {
    let mut world = with_rung(CAMERA, 3, 10, |_| true);
    let mut announced = video("360p", 360);
    announced.bandwidth = Some(800_000);
    announced.listed_from_start = true;
    world.broadcast.add_rendition(announced).unwrap();
    let playlist = world.broadcast.multivariant().unwrap();
    let uris: Vec<&str> = playlist.variants.iter().map(|variant| variant.uri.as_str()).collect();
    assert_eq!(uris, ["b1/source/media.m3u8", "b1/480p/media.m3u8", "b1/360p/media.m3u8"]);
    let source = &playlist.variants[0];
    assert_eq!(source.codecs.as_deref(), Some("avc1.64001f,mp4a.40.2"));
    assert_eq!(source.resolution, Some((1280, 720)));
    // 30 frames of 2000 bytes and 47 of 300, and what wraps them.
    assert!((590_000..640_000).contains(&source.bandwidth), "{}", source.bandwidth);
    assert!(source.average_bandwidth.is_some_and(|average| average <= source.bandwidth));
    assert!(playlist.variants[2].bandwidth > 900_000);
    assert_eq!(playlist.audio[0].channels, Some(2));
    assert_eq!(playlist.audio[0].uri.as_deref(), Some("b1/audio/media.m3u8"));
    assert!(playlist.independent_segments);
}

#[test]
fn a_publisher_that_was_away_leaves_a_discontinuity_in_every_rendition() {
    let mut world = World::new(video("source", 720), CAMERA.interval());
    world.broadcast.add_rendition(audio(48_000)).unwrap();
    world.run(CAMERA, 48_000, 0, 10);
    world.run(CAMERA, 48_000, 100, 10);
    world.run(CAMERA, 48_000, 3600, 10);
    for name in ["source", "audio"] {
        let playlist = world.checker.last(name);
        let jumps = playlist.segments.iter().filter(|segment| segment.head.discontinuity).count() as u64;
        assert_eq!(playlist.discontinuity_sequence + jumps, 2, "{name}");
    }
    world.checker.aligned(Duration::from_millis(60));
    world.end();
}

#[test]
fn video_that_stalls_holds_audio_and_comes_back_at_a_keyframe() {
    let mut world = World::new(video("source", 720), CAMERA.interval());
    world.broadcast.add_rendition(audio(48_000)).unwrap();
    world.run(CAMERA, 48_000, 0, 5);
    for index in 5 * 48_000 / 1024..30 * 48_000 / 1024 {
        world.push("audio", audio_frame(48_000, index));
    }
    let before = world.checker.last("audio").last();
    // Frame 901 is no keyframe.
    for index in 901..1200 {
        world.push("source", CAMERA.frame(index));
    }
    assert!(world.checker.last("audio").last() > before);
    world.checker.aligned(Duration::from_millis(60));
    world.end();
}

#[test]
fn sound_that_stops_becomes_silence() {
    let mut world = World::new(video("source", 720), CAMERA.interval());
    world.broadcast.add_rendition(audio(48_000)).unwrap();
    world.run(CAMERA, 48_000, 0, 10);
    for index in 300..600 {
        world.push("source", CAMERA.frame(index));
    }
    let (video, _) = world.checker.last("source").last().unwrap();
    let (audio, _) = world.checker.last("audio").last().unwrap();
    assert!(video - audio <= 1, "{video} {audio}");
    world.run(CAMERA, 48_000, 20, 10);
    world.checker.aligned(Duration::from_millis(60));
    assert!(world.checker.last("audio").segments.iter().all(|segment| !segment.head.discontinuity));
    world.end();
}

#[test]
fn what_cannot_be_is_refused_and_harms_nothing() {
    let mut world = World::new(video("source", 720), CAMERA.interval());
    world.push("source", CAMERA.frame(0));
    let at = |dts, pts| Frame { dts, pts, keyframe: true, data: Bytes::new() };
    for (dts, pts) in [(i64::MAX, i64::MAX), (i64::MIN, 0), (0, i64::MIN), (0, 100 * CLOCK), (-1, 0)] {
        assert!(matches!(world.broadcast.push("source", at(dts, pts)), Err(Error::Time { .. })));
    }
    assert!(matches!(world.broadcast.push("x", at(0, 0)), Err(Error::UnknownRendition { .. })));
    assert!(matches!(
        world.broadcast.add_rendition(video("source", 1)),
        Err(Error::DuplicateRendition { .. })
    ));
    let mut alone = Broadcast::new("b", 0, Settings::default(), audio(48_000));
    assert!(matches!(alone.add_rendition(video("source", 1)), Err(Error::VideoAfterAudio { .. })));
    world.end();
    assert_eq!(world.broadcast.push("source", CAMERA.frame(1)), Err(Error::Ended));
    assert_eq!(world.broadcast.end(), []);
}

#[test]
fn memory_is_bounded() {
    let small = Settings { memory: 100_000, ..settings() };
    let mut broadcast = Broadcast::new("b", 0, small, video("source", 720));
    for index in 0..3000 {
        broadcast.push("source", CAMERA.frame(index)).unwrap();
    }
    // A segment of 60 frames of 2000 bytes is already more.
    let playlist = broadcast.playlist("source").unwrap();
    assert_eq!(playlist.playlist.segments.len(), 1);
    assert!(broadcast.segment("source", 48).is_some() && broadcast.segment("source", 47).is_none());

    let mut broadcast = Broadcast::new("b", 0, settings(), video("source", 720));
    for index in 0..6000 {
        broadcast.push("source", CAMERA.frame(index)).unwrap();
    }
    // Listed are 85 to 98; what has left stays for as long again.
    let first = broadcast.playlist("source").unwrap().playlist.media_sequence;
    assert_eq!(first, 84);
    assert!(broadcast.segment("source", first - 15).is_some());
    assert!(broadcast.segment("source", first - 18).is_none());
}
