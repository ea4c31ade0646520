//! The transcode child by itself: a real bitstream in, every rung's frames out, cut where it was told.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

#[path = "support/child.rs"]
mod child;

use std::process::Command;

use bytes::Bytes;
use nearcast_media::codec::avc;
use nearcast_media::codec::captions::triples;
use nearcast_media::flv;
use nearcast_media::frame::{CLOCK, Event, Frame};
use nearcast_origin::transcode::wire::{Codec, Encoder, Input, Reply, Request, Rung, Source, Start, Task};

const COUNT: u32 = 40;

/// A source of `frames` pictures at 30 per second with a keyframe each second and B-frames between, by the
/// system's own FFmpeg, in decoding order.
fn source(frames: u32) -> (avc::Config, Vec<Frame>) {
    let picture = format!("testsrc2=size=320x240:rate=30:duration={}", f64::from(frames) / 30.0);
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-f", "lavfi", "-i", &picture, "-pix_fmt", "yuv420p", "-c:v", "libx264"])
        .args([
            "-preset",
            "ultrafast",
            "-bf",
            "2",
            "-g",
            "30",
            "-sc_threshold",
            "0",
            "-x264-params",
            "aud=1:b-pyramid=none",
        ])
        .args(["-f", "h264", "-"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let units = access_units(&output.stdout);
    assert_eq!(units.len(), frames as usize);
    let config = avc::Config::from_annexb(units[0]).unwrap();
    let mut data: Vec<Bytes> = units.iter().map(|unit| avc::from_annexb(unit).unwrap()).collect();
    let shown = display_order(&data);
    let tick = CLOCK / 30;
    let frames = data.drain(..).zip(shown).zip(0..).map(|((data, shown), n)| Frame {
        dts: (n - 2) * tick,
        pts: shown * tick,
        keyframe: avc::is_idr(&data),
        data,
    });
    (config, frames.collect())
}

/// Splits an Annex B stream at its access unit delimiters.
fn access_units(stream: &[u8]) -> Vec<&[u8]> {
    let delimiter = [0, 0, 0, 1, 9];
    let starts: Vec<usize> =
        stream.windows(5).enumerate().filter(|(_, w)| *w == delimiter).map(|(at, _)| at).collect();
    let ends = starts.iter().skip(1).copied().chain([stream.len()]);
    starts.iter().zip(ends).map(|(start, end)| &stream[*start..end]).collect()
}

/// Display positions of a stream of I, P and runs of non-reference B pictures: a reference picture is shown
/// after the B pictures that follow it.
fn display_order(units: &[Bytes]) -> Vec<i64> {
    let is_b = |unit: &Bytes| {
        let slice = avc::nal_units(unit).map(Result::unwrap).find(|nal| nal[0] & 0x1f == 1);
        slice.is_some_and(|nal| nal[0] >> 5 == 0)
    };
    let mut shown = vec![0; units.len()];
    let (mut next, mut at) = (0, 0);
    while at < units.len() {
        let bs = units[at + 1..].iter().take_while(|unit| is_b(unit)).count();
        for b in 0..bs {
            shown[at + 1 + b] = next;
            next += 1;
        }
        shown[at] = next;
        next += 1;
        at += 1 + bs;
    }
    shown
}

fn rung(width: u32, height: u32, max_fps: u16) -> Rung {
    let preset = "ultrafast".into();
    Rung { width, height, bitrate: 300_000, max_fps, preset, task: Task::Encode, after: None }
}

fn start(record: Bytes) -> Request {
    Request::Start(Start {
        source: Source { codec: Codec::Avc, record },
        rungs: vec![rung(240, 180, 0), rung(160, 120, 15)],
        encoder: Encoder::Libx264,
        decode_threads: 1,
        queue_bytes: 64 << 20,
        memory_bytes: 1 << 30,
    })
}

#[test]
fn every_rung_keeps_the_times_and_starts_a_group_exactly_at_each_cut() {
    let (config, frames) = source(COUNT);
    let keyframes: Vec<i64> = frames.iter().filter(|frame| frame.keyframe).map(|frame| frame.pts).collect();
    assert_eq!(keyframes, [0, 90_000]);
    // A cut need not be a keyframe: a source with rare keyframes is cut anyway.
    let cuts = [0, 45_000, 90_000];
    let mut requests = vec![start(config.record)];
    requests.extend(
        frames
            .iter()
            .map(|f| Request::Frame(Input { frame: f.clone(), cut: cuts.contains(&f.pts), behind: 0 })),
    );
    requests.push(Request::End);
    let (replies, status, complaint) = child::run(&requests);
    assert!(status.success() && complaint.is_empty(), "{status} {complaint}");

    for (rung, (width, count)) in [(240, COUNT as usize), (160, COUNT as usize / 2)].into_iter().enumerate() {
        let of_rung = |reply: &&Reply| match reply {
            Reply::Config { rung: r, .. } | Reply::Frame { rung: r, .. } => usize::from(*r) == rung,
            other => panic!("{other:?}"),
        };
        let mut replies = replies.iter().filter(of_rung);
        let Some(Reply::Config { record, .. }) = replies.next() else { panic!("a frame before its config") };
        let config = avc::Config::parse(record).unwrap();
        assert_eq!((config.width, config.height), (width, width * 3 / 4));
        let frames: Vec<&Frame> = replies
            .map(|reply| match reply {
                Reply::Frame { frame, .. } => frame,
                other => panic!("a second {other:?}"),
            })
            .collect();
        let idr: Vec<i64> = frames.iter().filter(|f| f.keyframe).map(|f| f.pts).collect();
        assert_eq!(idr, cuts, "rung {rung}");
        assert!(frames.iter().all(|f| f.keyframe == avc::is_idr(&f.data) && f.pts == f.dts));
        let step = CLOCK / 30 * if rung == 0 { 1 } else { 2 };
        if rung == 0 {
            assert!(frames.windows(2).all(|pair| pair[1].pts - pair[0].pts == step));
        }
        assert!(frames.len().abs_diff(count) <= 1, "{} frames", frames.len());
    }
}

#[test]
fn a_stream_that_is_no_video_ends_the_child_with_a_sentence() {
    let (config, mut frames) = source(75);
    for frame in &mut frames {
        frame.data = Bytes::from_static(&[0, 0, 0, 9, 0x65, 1, 2]);
    }
    let mut requests = vec![start(config.record)];
    requests.extend(
        frames.iter().map(|f| Request::Frame(Input { frame: f.clone(), cut: f.keyframe, behind: 0 })),
    );
    let (replies, status, complaint) = child::run(&requests);
    assert!(replies.iter().all(|reply| matches!(reply, Reply::Damaged { .. })), "{replies:?}");
    assert_eq!(status.code(), Some(1));
    assert!(complaint.contains("source frames in a row cannot be decoded"), "{complaint}");
}

#[test]
fn damaged_frames_are_counted_and_the_rest_goes_on() {
    let (config, mut frames) = source(COUNT);
    frames[7].data = Bytes::from_static(&[0, 0, 0, 9, 0x65, 1, 2]);
    let mut requests = vec![start(config.record)];
    requests.extend(
        frames.iter().map(|f| Request::Frame(Input { frame: f.clone(), cut: f.keyframe, behind: 0 })),
    );
    let (replies, status, _) = child::run(&requests);
    assert!(status.success());
    let last = replies.iter().rev().find_map(|reply| match reply {
        Reply::Frame { rung: 0, frame } => Some(frame.pts),
        _ => None,
    });
    assert_eq!(last, frames.iter().map(|frame| frame.pts).max());
    let damaged = replies.iter().filter(|reply| matches!(reply, Reply::Damaged { frames: 1 })).count();
    assert_eq!(damaged, 1);
}

#[test]
fn a_child_that_is_behind_pauses_its_last_rung_and_goes_on_with_an_idr_picture() {
    let (config, frames) = source(150);
    // Late by more and more during the second second.
    let behind =
        |pts: i64| if (90_000..180_000).contains(&pts) { 90_000 + pts.unsigned_abs() as u32 } else { 0 };
    let mut requests = vec![start(config.record)];
    requests.extend(
        frames
            .iter()
            .map(|f| Request::Frame(Input { frame: f.clone(), cut: f.keyframe, behind: behind(f.pts) })),
    );
    let (replies, status, _) = child::run(&requests);
    assert!(status.success());
    let of = |rung: u8| {
        let frame = move |reply: &Reply| match reply {
            Reply::Frame { rung: r, frame } if *r == rung => Some((frame.pts, frame.keyframe)),
            _ => None,
        };
        replies.iter().filter_map(frame).collect::<Vec<_>>()
    };
    assert_eq!(of(0).len(), 150, "the best rung lost nothing");
    let last = of(1);
    let hole = last.windows(2).find(|pair| pair[1].0 - pair[0].0 > CLOCK / 5).unwrap();
    // Half a second to catch up, then a pause up to the next cut.
    assert!((120_000..150_000).contains(&hole[0].0) && hole[1] == (180_000, true), "{hole:?}");
    let dropped: u32 =
        replies.iter().map(|r| if let Reply::Lag { rung: 1, dropped } = r { *dropped } else { 0 }).sum();
    assert!((10..=20).contains(&dropped), "{dropped}");
}

/// The configuration and the frames of rung number `rung`.
fn of(replies: &[Reply], rung: u8) -> (Vec<Bytes>, Vec<Frame>) {
    let (mut configs, mut frames) = (Vec::new(), Vec::new());
    for reply in replies {
        match reply {
            Reply::Config { rung: r, record } if *r == rung => configs.push(record.clone()),
            Reply::Frame { rung: r, frame } if *r == rung => frames.push(frame.clone()),
            _ => {}
        }
    }
    (configs, frames)
}

fn with(record: &Bytes, tasks: [(Task, Option<i64>); 2]) -> Request {
    let Request::Start(mut start) = start(record.clone()) else { unreachable!("a start") };
    for (rung, (task, after)) in start.rungs.iter_mut().zip(tasks) {
        (rung.task, rung.after) = (task, after);
    }
    Request::Start(start)
}

#[test]
fn a_rung_is_described_before_it_runs_and_later_encoders_have_the_same_configuration() {
    let (config, frames) = source(COUNT);
    let input = |f: &Frame| Request::Frame(Input { frame: f.clone(), cut: f.keyframe, behind: 0 });
    let child = |start: Request, frames: &[Frame]| {
        let requests: Vec<_> = [start].into_iter().chain(frames.iter().map(input)).collect();
        let (replies, status, complaint) = child::run(&requests);
        assert!(status.success() && complaint.is_empty(), "{status} {complaint}");
        replies
    };
    let described = child(with(&config.record, [(Task::Describe, None), (Task::Encode, None)]), &frames[..6]);
    let (first, none) = of(&described, 0);
    assert!(first.len() == 1 && none.is_empty(), "{described:?}");
    assert!(!of(&described, 1).1.is_empty());
    // Other pictures, and a rung that runs.
    let later = child(with(&config.record, [(Task::Encode, None), (Task::Nothing, None)]), &frames[30..]);
    let (second, some) = of(&later, 0);
    assert!(!some.is_empty() && of(&later, 1) == (vec![], vec![]));
    assert_eq!(second, first, "its init segment is in caches already");
}

#[test]
fn a_child_goes_on_with_the_picture_after_the_last_that_another_made() {
    let (config, frames) = source(COUNT);
    let tick = CLOCK / 30;
    let tasks = [(Task::Encode, Some(7 * tick)), (Task::Encode, None)];
    let mut requests = vec![with(&config.record, tasks)];
    requests.extend(
        frames.iter().map(|f| Request::Frame(Input { frame: f.clone(), cut: f.keyframe, behind: 0 })),
    );
    // The second rung is given up in the middle.
    requests.insert(25, Request::Wanted { rungs: 0b01 });
    let (replies, status, complaint) = child::run(&requests);
    assert!(status.success() && complaint.is_empty(), "{status} {complaint}");
    let (_, first) = of(&replies, 0);
    let times: Vec<_> = first.iter().map(|frame| frame.pts / tick).collect();
    assert_eq!(times, (8..i64::from(COUNT)).collect::<Vec<_>>());
    let keyframes: Vec<_> = first.iter().filter(|f| f.keyframe).map(|f| f.pts / tick).collect();
    assert_eq!(keyframes, [8, 30], "the first stands for itself");
    let (_, second) = of(&replies, 1);
    assert!(second[0].pts == 0 && second.last().unwrap().pts < 25 * tick, "{}", second.len());
}

#[test]
fn captions_of_the_source_are_the_captions_of_every_rung() {
    let (config, mut frames) = source(COUNT);
    // Each picture says which it is, in the order pictures are shown.
    for frame in &mut frames {
        let n = u8::try_from(frame.pts * 30 / CLOCK).unwrap();
        frame.data = [&captions(n)[..], &frame.data].concat().into();
    }
    let mut requests = vec![start(config.record)];
    requests.extend(
        frames.iter().map(|f| Request::Frame(Input { frame: f.clone(), cut: f.keyframe, behind: 0 })),
    );
    requests.push(Request::End);
    let (replies, status, complaint) = child::run(&requests);
    assert!(status.success() && complaint.is_empty(), "{status} {complaint}");
    let said = |frames: &mut dyn Iterator<Item = &Frame>| -> Vec<[u8; 3]> {
        frames.flat_map(|frame| triples(&frame.data)).collect()
    };
    frames.sort_by_key(|frame| frame.pts);
    let source = said(&mut frames.iter());
    assert_eq!(source.len(), 2 * COUNT as usize);
    // The second rung shows every other picture, and says what the others said all the same.
    for rung in [0, 1] {
        let mut of_rung = replies.iter().filter_map(|reply| match reply {
            Reply::Frame { rung: r, frame } if *r == rung => Some(frame),
            _ => None,
        });
        let said = said(&mut of_rung);
        assert!(said.len() >= source.len() - 2, "rung {rung}: {} of {}", said.len(), source.len());
        assert_eq!(said, source[..said.len()], "rung {rung}");
    }
}

/// An SEI NAL unit with two caption triples (ATSC A/53 part 4 §6.2.3): characters of CC1, and filler.
fn captions(n: u8) -> Vec<u8> {
    let mut unit = vec![6, 4, 17];
    unit.extend_from_slice(b"\xb5\x00\x31GA94\x03\x42\xff");
    unit.extend_from_slice(&[0xfc, 0x80 | (n + 0x20), 0x41, 0xfd, 0x80, 0x80, 0xff, 0x80]);
    [&(unit.len() as u32).to_be_bytes()[..], &unit].concat()
}

#[test]
fn sources_of_every_codec_get_their_h264() {
    let recordings: [(Codec, &[u8]); 3] = [
        (Codec::Hevc, include_bytes!("../../media/tests/fixtures/hevc-aac.flv")),
        (Codec::Av1, include_bytes!("../../media/tests/fixtures/av1-opus.flv")),
        (Codec::Vp9, include_bytes!("../../media/tests/fixtures/vp9-flac.flv")),
    ];
    for (codec, file) in recordings {
        let (record, frames) = recorded(file);
        let Request::Start(mut all) = start(record) else { panic!("not a start") };
        all.source.codec = codec;
        all.rungs.truncate(1);
        (all.rungs[0].width, all.rungs[0].height) = (160, 90);
        let mut requests = vec![Request::Start(all)];
        requests.extend(
            frames.iter().map(|f| Request::Frame(Input { frame: f.clone(), cut: f.keyframe, behind: 0 })),
        );
        requests.push(Request::End);
        let (replies, status, complaint) = child::run(&requests);
        assert!(status.success() && complaint.is_empty(), "{codec:?}: {status} {complaint}");
        let made: Vec<(i64, bool)> = replies
            .iter()
            .filter_map(|reply| match reply {
                Reply::Frame { frame, .. } => Some((frame.pts, frame.keyframe)),
                _ => None,
            })
            .collect();
        let mut shown: Vec<(i64, bool)> = frames.iter().map(|frame| (frame.pts, frame.keyframe)).collect();
        shown.sort_unstable();
        assert_eq!(made, shown, "{codec:?}");
    }
}

/// The video of an FLV file: its configuration and its frames.
fn recorded(file: &'static [u8]) -> (Bytes, Vec<Frame>) {
    let (mut rest, mut demuxer) = (&file[13..], flv::Demuxer::new());
    let (mut record, mut frames) = (Bytes::new(), Vec::new());
    while let [kind, l0, l1, l2, t0, t1, t2, t3, _, _, _, data @ ..] = rest {
        let length = u32::from_be_bytes([0, *l0, *l1, *l2]) as usize;
        if *kind == 9 {
            let time = u32::from_be_bytes([*t3, *t0, *t1, *t2]);
            let mut event = demuxer.video(time, Bytes::from_static(&data[..length])).unwrap();
            while let Some(found) = event {
                match found {
                    Event::Config(config) => record = config.record(),
                    Event::Frame(_, frame) => frames.push(frame),
                    Event::Further(..) => panic!("nobody wants it"),
                }
                event = demuxer.poll_event();
            }
        }
        rest = &data[length + 4..];
    }
    assert_eq!(frames.len(), 10);
    (record, frames)
}
