//! Messages over pipes that are cut anywhere, damaged or hostile.

use proptest::prelude::*;

use super::*;

fn frame() -> Frame {
    Frame { dts: -9, pts: 3_000_000_000, keyframe: true, data: Bytes::from_static(b"\0\0\0\x01\x65") }
}

fn requests() -> Vec<Request> {
    let rung = Rung {
        width: 640,
        height: 360,
        bitrate: 800_000,
        max_fps: 30,
        preset: "veryfast".into(),
        task: Task::Encode,
        after: None,
    };
    let start = Start {
        source: Source { codec: Codec::Vp9, record: Bytes::from_static(&[1, 100, 0, 31]) },
        rungs: vec![rung.clone(), Rung { task: Task::Describe, after: Some(-90_000), ..rung }],
        encoder: Encoder::Libx264,
        decode_threads: 1,
        queue_bytes: 64 << 20,
        memory_bytes: 1 << 30,
    };
    vec![
        Request::Start(start),
        Request::Frame(Input { frame: frame(), cut: true, behind: 90_000 }),
        Request::Probe(Encoder::Vaapi),
        Request::Sound(sound::Start {
            source: Source { codec: Codec::Opus, record: Bytes::from_static(b"OpusHead") },
            sample_rate: 48_000,
            channels: 2,
            rungs: vec![
                sound::Rung { bitrate: 128_000, after: None },
                sound::Rung { bitrate: 64_000, after: Some(-1920) },
            ],
            memory_bytes: 1 << 30,
        }),
        Request::Wanted { rungs: 0b10 },
        Request::Still(Still {
            source: Source { codec: Codec::Hevc, record: Bytes::from_static(&[1, 2]) },
            height: 180,
            memory_bytes: 1 << 30,
        }),
        Request::Sheet(Sheet {
            columns: 5,
            width: 320,
            height: 180,
            memory_bytes: 1 << 30,
            pictures: vec![Bytes::from_static(b"\xff\xd8"), Bytes::new()],
        }),
        Request::Slate(Slate {
            width: 1280,
            height: 720,
            memory_bytes: 1 << 30,
            file: Bytes::from_static(b"\xff\xd8"),
        }),
        Request::End,
    ]
}

fn replies() -> Vec<Reply> {
    vec![
        Reply::Config { rung: 1, record: Bytes::from_static(&[1, 2]) },
        Reply::Frame { rung: 0, frame: frame() },
        Reply::Lag { rung: 2, dropped: 60 },
        Reply::Damaged { frames: 3 },
        Reply::Jpeg(Jpeg { width: 320, height: 180, data: Bytes::from_static(b"\xff\xd8") }),
    ]
}

fn seeds() -> Vec<BytesMut> {
    let mut seeds = vec![BytesMut::new(); 2];
    requests().iter().for_each(|request| request.encode(&mut seeds[0]));
    replies().iter().for_each(|reply| reply.encode(&mut seeds[1]));
    seeds
}

#[test]
fn messages_survive_the_pipe_however_it_is_cut() {
    let [ask, answer] = seeds().try_into().unwrap();
    let (mut buffer, mut got) = (BytesMut::new(), Vec::new());
    for byte in ask {
        buffer.put_u8(byte);
        while let Some(message) = split(&mut buffer).unwrap() {
            got.push(Request::decode(message).unwrap());
        }
    }
    assert_eq!(got, requests());

    let (mut buffer, mut got) = (answer, Vec::new());
    while let Some(message) = split(&mut buffer).unwrap() {
        got.push(Reply::decode(message).unwrap());
    }
    assert_eq!(got, replies());
    assert!(buffer.is_empty());
}

#[test]
fn a_length_is_refused_before_it_is_believed() {
    let mut buffer = BytesMut::from(&[0xff, 0xff, 0xff, 0xff, FRAME][..]);
    assert_eq!(split(&mut buffer), Err(Error::TooLong(u32::MAX)));
}

proptest! {
    #[test]
    fn any_bytes_are_harmless(data in prop::collection::vec(any::<u8>(), 0..512)) {
        fuzz(&data);
    }

    #[test]
    fn a_damaged_stream_is_harmless(which in 0usize..2, at in any::<prop::sample::Index>(), byte: u8, cut in any::<prop::sample::Index>()) {
        let mut data = seeds().swap_remove(which);
        let at = at.index(data.len());
        data[at] = byte;
        let end = cut.index(data.len());
        fuzz(&data[..end]);
        fuzz(&data);
    }
}
