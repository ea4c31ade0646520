mod recordings;

use super::*;
use crate::mutation;

const RECORD: &[u8] = &[
    1, 0x42, 0xc0, 0x0d, 0xff, 0xe1, 0, 21, 0x67, 0x42, 0xc0, 0x0d, 0xda, 0x05, 0x07, 0xec, 0x04, 0x40, 0, 0,
    0xfa, 0x40, 0, 0x3a, 0x98, 0x03, 0xc5, 0x0a, 0xa8, 1, 0, 4, 0x68, 0xce, 0x0f, 0xc8,
];

#[test]
fn configurations_come_first_and_once() {
    let mut demuxer = Demuxer::new();
    let Some(Event::Config(Config::Avc(config))) = demuxer.video(0, video_header()).unwrap() else {
        panic!()
    };
    assert_eq!((config.width, config.height), (320, 240));
    assert_eq!(demuxer.video(900, video_header()).unwrap(), None, "the same again says nothing");
    let Some(Event::Config(Config::Aac(config))) = demuxer.audio(0, audio_header(0x11, 0x90)).unwrap() else {
        panic!()
    };
    assert_eq!((config.sample_rate, config.channels), (48_000, 2));
    assert_eq!(demuxer.audio(900, audio_header(0x11, 0x90)).unwrap(), None);
    assert!(matches!(demuxer.audio(901, audio_header(0x12, 0x10)).unwrap(), Some(Event::Config(_))));
}

#[test]
fn frames_are_slices_of_their_message() {
    let mut demuxer = ready();
    let body = picture(true, 66, &[0, 0, 0, 3, 0x65, 8, 9]);
    let Some(Event::Frame(Track::Video, frame)) = demuxer.video(1_000, body.clone()).unwrap() else {
        panic!()
    };
    assert_eq!((frame.dts, frame.pts, frame.keyframe), (0, 66 * 90, true));
    assert_eq!(frame.data, body[5..]);
    assert_eq!(frame.data.as_ptr(), body[5..].as_ptr());
    let Some(Event::Frame(Track::Audio, frame)) = demuxer.audio(1_023, sound()).unwrap() else { panic!() };
    assert_eq!(
        (frame.dts, frame.pts, frame.keyframe, &frame.data[..]),
        (23 * 90, 23 * 90, true, &[1, 2, 3][..])
    );
    assert_eq!(demuxer.faults(), Faults::default());
}

#[test]
fn keyframes_are_what_the_picture_says_not_the_tag() {
    let mut demuxer = ready();
    let Some(Event::Frame(_, frame)) = demuxer.video(0, picture(true, 0, &[0, 0, 0, 2, 0x41, 1])).unwrap()
    else {
        panic!()
    };
    assert!(!frame.keyframe);
}

#[test]
fn frames_before_their_configuration_are_dropped_and_counted() {
    let mut demuxer = Demuxer::new();
    assert_eq!(demuxer.video(0, picture(true, 0, &[0, 0, 0, 2, 0x65, 1])).unwrap(), None);
    assert_eq!(demuxer.audio(0, sound()).unwrap(), None);
    assert_eq!(demuxer.faults().early_frames, 2);
}

#[test]
fn empty_messages_say_nothing() {
    let mut demuxer = ready();
    for body in [&[][..], &[0x57, 0], &[0x17, 2, 0, 0, 0], &[0x27, 1, 0, 0, 0]] {
        assert_eq!(demuxer.video(0, Bytes::copy_from_slice(body)).unwrap(), None, "{body:02x?}");
    }
    for body in [&[][..], &[0xaf], &[0xaf, 1]] {
        assert_eq!(demuxer.audio(0, Bytes::copy_from_slice(body)).unwrap(), None, "{body:02x?}");
    }
}

#[test]
fn other_codecs_are_refused_by_name() {
    let cases: &[(bool, &[u8], &str)] = &[
        (true, &[0x22, 0, 0], "Sorenson H.263"),
        (true, &[0x14], "VP6"),
        (true, &[0x1c, 0, 0, 0, 0], "HEVC under codec id 12"),
        (true, b"\x90vvc1rest", "VVC"),
        (true, b"\x91vp08rest", "VP8"),
        (true, b"\x95av01rest", "video configured as in MPEG-2 TS"),
        (true, b"\x90x\"\xffz", "video codec \"x\\\"\\xffz\""),
        (true, b"\x96\x00vvc1\x00", "VVC"),
        (false, &[0x2f, 1], "MP3"),
        (false, &[0xb2, 1], "Speex"),
        (false, b"\x90.mp3", "MP3"),
        (false, b"\x91ac-3", "AC-3"),
        (false, b"\x90ec-3", "E-AC-3"),
        (false, b"\x95\x20.mp3\x00\x00\x00\x00", "MP3"),
    ];
    let mut demuxer = ready();
    for (video, body, name) in cases {
        let body = Bytes::copy_from_slice(body);
        let error = if *video { demuxer.video(0, body) } else { demuxer.audio(0, body) }.unwrap_err();
        let Error::UnsupportedCodec { codec, advice } = error else { panic!("{error:?}") };
        assert_eq!(codec, *name);
        assert!(advice.contains(if *video { "H.264" } else { "AAC" }));
    }
}

#[test]
fn damage_is_an_error_and_the_next_frame_is_fine() {
    let mut demuxer = ready();
    let damaged: [&[u8]; 4] =
        [&[0x17], &[0x17, 1, 0, 0], &[0x17, 9, 0, 0, 0, 1], &[0x17, 1, 0, 0, 0, 0, 0, 0, 9, 0x65]];
    for body in damaged {
        assert!(matches!(demuxer.video(0, Bytes::copy_from_slice(body)), Err(Error::Malformed { .. })));
    }
    assert!(demuxer.video(0, picture(true, 20_000, &[0, 0, 0, 2, 0x65, 1])).is_err());
    assert_eq!(dts(&mut demuxer, Track::Video, 40), 0);
}

#[test]
fn short_nal_unit_lengths_become_four_bytes() {
    let mut record = RECORD.to_vec();
    record[4] = 0xfd;
    let mut demuxer = Demuxer::new();
    demuxer.video(0, [&[0x17, 0, 0, 0, 0][..], &record].concat().into()).unwrap();
    let Some(Event::Frame(_, frame)) = demuxer.video(0, picture(true, 0, &[0, 2, 0x65, 1])).unwrap() else {
        panic!()
    };
    assert_eq!(frame.data[..], [0, 0, 0, 2, 0x65, 1]);
}

#[test]
fn negative_composition_times_are_raised_to_the_decoding_time() {
    let mut demuxer = ready();
    let Some(Event::Frame(_, frame)) = demuxer.video(5, picture(true, -40, &[0, 0, 0, 2, 0x65, 1])).unwrap()
    else {
        panic!()
    };
    assert_eq!((frame.dts, frame.pts), (0, 0));
}

#[test]
fn time_starts_at_the_first_frame_and_goes_through_the_wrap() {
    let mut demuxer = ready();
    let start = u32::MAX - 49;
    let times: Vec<i64> =
        (0..4).map(|n: u32| dts(&mut demuxer, Track::Video, start.wrapping_add(n * 40))).collect();
    assert_eq!(times, [0, 40, 80, 120]);
    assert_eq!(dts(&mut demuxer, Track::Audio, start.wrapping_add(90)), 90);
    assert_eq!(demuxer.faults(), Faults::default());
}

#[test]
fn the_second_track_may_start_before_the_first() {
    let mut demuxer = ready();
    assert_eq!(dts(&mut demuxer, Track::Audio, 5_000), 0);
    assert_eq!(dts(&mut demuxer, Track::Video, 4_960), 0);
    assert_eq!(dts(&mut demuxer, Track::Video, 5_010), 10);
    assert_eq!(demuxer.faults(), Faults::default());
}

#[test]
fn a_step_back_is_raised_and_a_jump_is_rebased_with_both_tracks_in_step() {
    let mut demuxer = ready();
    for ms in [100_000, 100_040, 100_080] {
        dts(&mut demuxer, Track::Video, ms);
    }
    dts(&mut demuxer, Track::Audio, 100_060);
    assert_eq!(dts(&mut demuxer, Track::Video, 100_030), 80);
    assert_eq!(demuxer.faults(), Faults { steps_back: 1, ..Faults::default() });
    assert_eq!(dts(&mut demuxer, Track::Video, 100_120), 120);

    // The encoder's clock starts again; one audio frame of the old clock is still on its way.
    assert_eq!(dts(&mut demuxer, Track::Video, 0), 160);
    assert_eq!(dts(&mut demuxer, Track::Audio, 100_083), 83);
    assert_eq!(dts(&mut demuxer, Track::Audio, 3), 163);
    assert_eq!(dts(&mut demuxer, Track::Video, 40), 200);
    assert_eq!(dts(&mut demuxer, Track::Audio, 26), 186);
    assert_eq!(demuxer.faults(), Faults { steps_back: 1, jumps: 2, ..Faults::default() });
}

#[test]
fn a_leap_forward_is_rebased_too() {
    let mut demuxer = ready();
    dts(&mut demuxer, Track::Video, 0);
    assert_eq!(dts(&mut demuxer, Track::Video, 40), 40);
    assert_eq!(dts(&mut demuxer, Track::Video, 9_000), 9_000, "a pause is kept");
    assert_eq!(dts(&mut demuxer, Track::Video, 9_040), 9_040);
    assert_eq!(dts(&mut demuxer, Track::Video, 3_600_000), 9_080);
    assert_eq!(demuxer.faults().jumps, 1);
}

#[test]
fn tracks_of_different_clocks_start_together() {
    let mut demuxer = ready();
    dts(&mut demuxer, Track::Video, 900_000);
    assert_eq!(dts(&mut demuxer, Track::Video, 900_040), 40);
    assert_eq!(dts(&mut demuxer, Track::Audio, 0), 40);
    assert_eq!(dts(&mut demuxer, Track::Audio, 23), 63);
    assert_eq!(dts(&mut demuxer, Track::Video, 900_080), 80);
}

#[test]
fn any_bytes_are_survived() {
    let messages = |list: &[(u8, u32, Bytes)]| {
        list.iter().fold(Vec::new(), |mut data, (track, time, body)| {
            data.push(*track);
            data.extend_from_slice(&time.to_be_bytes());
            data.push(u8::try_from(body.len()).unwrap());
            data.extend_from_slice(body);
            data
        })
    };
    let idr = picture(true, 66, &[0, 0, 0, 3, 0x65, 8, 9]);
    let seed = messages(&[
        (0, 0, video_header()),
        (1, 0, audio_header(0x11, 0x90)),
        (0, 0, idr.clone()),
        (1, 3, sound()),
        (0, 40, idr.clone()),
        (0, 5, idr.clone()),
        (1, 900_000, sound()),
        (0, u32::MAX, idr),
    ]);
    mutation::run(&[&seed, b"\x00\x00\x00\x00\x00\x05\x90hvc1"], fuzz);
}

fn ready() -> Demuxer {
    let mut demuxer = Demuxer::new();
    demuxer.video(0, video_header()).unwrap();
    demuxer.audio(0, audio_header(0x11, 0x90)).unwrap();
    demuxer
}

/// The decoding time, in milliseconds, that a frame with this timestamp gets.
fn dts(demuxer: &mut Demuxer, track: Track, timestamp_ms: u32) -> i64 {
    let event = match track {
        Track::Video => demuxer.video(timestamp_ms, picture(true, 0, &[0, 0, 0, 2, 0x65, 1])),
        Track::Audio => demuxer.audio(timestamp_ms, sound()),
    };
    match event.unwrap() {
        Some(Event::Frame(_, frame)) => frame.dts / 90,
        other => panic!("{other:?}"),
    }
}

fn video_header() -> Bytes {
    [&[0x17, 0, 0, 0, 0][..], RECORD].concat().into()
}

fn audio_header(first: u8, second: u8) -> Bytes {
    vec![0xaf, 0, first, second].into()
}

fn picture(keyframe: bool, composition_ms: i32, access_unit: &[u8]) -> Bytes {
    let [_, a, b, c] = composition_ms.to_be_bytes();
    [&[if keyframe { 0x17 } else { 0x27 }, 1, a, b, c][..], access_unit].concat().into()
}

fn sound() -> Bytes {
    Bytes::from_static(&[0xaf, 1, 1, 2, 3])
}
