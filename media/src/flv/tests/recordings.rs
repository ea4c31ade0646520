//! What a real encoder sends over enhanced RTMP.

use super::*;
use crate::fixtures::{AV1_OPUS, HEVC_AAC, MULTITRACK, Tag, VP9_FLAC, tags};

#[test]
fn hevc_with_b_frames_and_legacy_aac() {
    let (configs, frames, faults) = demux(HEVC_AAC);
    assert_eq!(configs, ["hvc1.1.6.L30.90 160x90", "mp4a.40.2 48000 Hz"]);
    let video = of(&frames, Track::Video);
    assert_eq!(
        video.iter().map(|frame| frame.dts / 90).collect::<Vec<_>>(),
        (0..10).map(|n| n * 40).collect::<Vec<_>>()
    );
    assert_eq!(keyframes(&video), [0, 5]);
    let mut shown: Vec<i64> = video.iter().map(|frame| frame.pts / 90).collect();
    assert!(!shown.is_sorted(), "B-frames are reordered");
    shown.sort_unstable();
    assert_eq!(shown, (2..12).map(|n| n * 40).collect::<Vec<_>>());
    assert_eq!(of(&frames, Track::Audio).len(), 20);
    assert_eq!(faults, Faults::default());
}

#[test]
fn av1_and_opus() {
    let (configs, frames, faults) = demux(AV1_OPUS);
    assert_eq!(configs, ["av01.0.00M.08 160x90", "Opus 48000 Hz"]);
    let video = of(&frames, Track::Video);
    assert_eq!((video.len(), keyframes(&video)), (10, vec![0, 5]));
    assert!(video.iter().all(|frame| frame.pts == frame.dts && frame.data[..2] != [0x12, 0]));
    assert_eq!(of(&frames, Track::Audio).len(), 21);
    assert_eq!(faults, Faults::default());
}

#[test]
fn vp9_says_its_size_with_the_first_keyframe_and_flac_says_more_at_its_end() {
    let (configs, frames, faults) = demux(VP9_FLAC);
    assert_eq!(configs, ["fLaC 48000 Hz", "vp09.00.10.08 160x90"]);
    let video = of(&frames, Track::Video);
    assert_eq!((video.len(), keyframes(&video)), (10, vec![0, 5]));
    assert_eq!(of(&frames, Track::Audio).len(), 19);
    assert_eq!(faults, Faults::default());
}

#[test]
fn a_vp9_track_begins_at_its_first_keyframe_and_another_size_is_another_configuration() {
    let video: Vec<Tag> = tags(VP9_FLAC).into_iter().filter(|tag| tag.is_video).collect();
    let mut demuxer = Demuxer::new();
    assert_eq!(demuxer.video(0, video[0].body.clone()).unwrap(), None);
    assert_eq!(demuxer.video(0, video[3].body.clone()).unwrap(), None);
    assert_eq!(demuxer.faults().early_frames, 1);
    let mut keyframe = video[2].body.to_vec();
    assert!(matches!(demuxer.video(40, keyframe.clone().into()), Ok(Some(Event::Config(_)))));
    assert!(matches!(demuxer.poll_event(), Some(Event::Frame(..))));
    assert_eq!(demuxer.poll_event(), None);
    // Wider by 16 pixels: behind the synchronisation code and four bits come 16 of width.
    assert_eq!(keyframe[5..9], [0x82, 0x49, 0x83, 0x42]);
    keyframe[9..11].copy_from_slice(&[0x00, 0x0a]);
    assert!(matches!(demuxer.video(80, keyframe.into()), Ok(Some(Event::Config(_)))));
}

#[test]
fn of_many_tracks_the_first_is_taken() {
    let (configs, frames, faults) = demux(MULTITRACK);
    assert_eq!(configs, ["hvc1.1.6.L30.90 160x90", "mp4a.40.2 48000 Hz"]);
    assert_eq!(of(&frames, Track::Video).len(), 6);
    assert_eq!(
        faults.other_tracks,
        tags(MULTITRACK).iter().filter(|tag| matches!(tag.body[0], 0x95 | 0x96 | 0xa6)).count() as u64
    );
}

#[test]
fn tracks_in_one_message_are_told_apart() {
    let [start, frame] = start_and_frame();
    let length = |data: &[u8]| u32::try_from(data.len()).unwrap().to_be_bytes()[1..].to_vec();
    let track = |id: u8, data: &[u8]| [&[id][..], &length(data), data].concat();
    let mut demuxer = Demuxer::new();
    // Many tracks of one codec, the second in front.
    let many = [&b"\x96\x10av01"[..], &track(1, b"other"), &track(0, &start)].concat();
    assert!(matches!(demuxer.video(0, many.into()), Ok(Some(Event::Config(Config::Av1(_))))));
    // Many tracks of many codecs, one of which is not carried.
    let many = [&b"\x96\x21vvc1"[..], &track(1, b"other"), b"av01", &track(0, &frame)].concat();
    assert!(
        matches!(demuxer.video(40, many.into()), Ok(Some(Event::Frame(Track::Video, frame))) if frame.keyframe)
    );
    assert_eq!(demuxer.faults().other_tracks, 2);
    let cut = [&b"\x96\x21vvc1"[..], &track(1, b"other"), b"av"].concat();
    assert!(matches!(demuxer.video(80, cut.into()), Err(Error::Malformed { .. })));
}

#[test]
fn modifiers_are_read_and_nanoseconds_count() {
    let [start, frame] = start_and_frame();
    let mut demuxer = Demuxer::new();
    demuxer.video(0, [&b"\x90av01"[..], &start].concat().into()).unwrap();
    let mut at = |nanoseconds: u32, unknown: &[u8]| {
        let [_, nanoseconds @ ..] = nanoseconds.to_be_bytes();
        // The unknown modifier first; then three bytes of nanoseconds (type 0) before coded frames (1).
        let body = [&[0x97][..], unknown, &[2], &nanoseconds, &[0x01], b"av01", &frame].concat();
        match demuxer.video(100, body.into()).unwrap() {
            Some(Event::Frame(_, frame)) => frame.dts,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(at(0, &[]), 0);
    assert_eq!(at(500_000, &[0, 9, 0x17]), 45);
    let long = [&[255, 1, 0][..], &[7; 257], &[0x37]].concat();
    assert_eq!(at(900_000, &long), 81);
    assert_eq!(at(0, &[]), 81, "time never falls");
}

#[test]
fn commands_and_colours_say_nothing() {
    let mut demuxer = Demuxer::new();
    for body in [&b"\xd1\x00"[..], b"\xd4hvc1\x02\x00\x09colorInfo", b"\x92hvc1"] {
        assert_eq!(demuxer.video(0, Bytes::copy_from_slice(body)), Ok(None), "{body:02x?}");
    }
    assert_eq!(demuxer.audio(0, Bytes::from_static(b"\x94Opus\x01\x02\0\0\0\x03")), Ok(None));
}

#[test]
fn any_damage_to_a_recording_is_survived() {
    for file in [HEVC_AAC, AV1_OPUS, VP9_FLAC, MULTITRACK] {
        let short = tags(file).into_iter().filter(|tag| tag.body.len() < 256);
        let seed: Vec<u8> = short
            .flat_map(|tag| {
                let mut message = vec![u8::from(!tag.is_video)];
                message.extend_from_slice(&tag.timestamp_ms.to_be_bytes());
                message.push(u8::try_from(tag.body.len()).unwrap());
                message.extend_from_slice(&tag.body);
                message
            })
            .collect();
        mutation::run_cases(&[&seed], 500, fuzz);
    }
}

/// The configurations in words, in order; the frames; and what was put right.
fn demux(file: &'static [u8]) -> (Vec<String>, Vec<(Track, Frame)>, Faults) {
    let mut demuxer = Demuxer::new();
    let (mut configs, mut frames) = (Vec::new(), Vec::new());
    for found in tags(file).into_iter().flat_map(|tag| take(&mut demuxer, tag)) {
        match found {
            Event::Config(config) => {
                let size = config.picture().map(|p| format!("{}x{}", p.width, p.height));
                let rate = config.sound().map(|sound| format!("{} Hz", sound.sample_rate));
                configs.push(format!("{} {}", config.codec_string(), size.or(rate).unwrap()));
            }
            Event::Frame(track, frame) => frames.push((track, frame)),
            Event::Further(..) => panic!("nobody wants it"),
        }
    }
    (configs, frames, demuxer.faults())
}

/// All that a message brings.
fn take(demuxer: &mut Demuxer, Tag { is_video, timestamp_ms, body }: Tag) -> Vec<Event> {
    let first = match is_video {
        true => demuxer.video(timestamp_ms, body),
        false => demuxer.audio(timestamp_ms, body),
    };
    first.unwrap().into_iter().chain(std::iter::from_fn(|| demuxer.poll_event())).collect()
}

fn of(frames: &[(Track, Frame)], track: Track) -> Vec<Frame> {
    frames.iter().filter(|(of, _)| *of == track).map(|(_, frame)| frame.clone()).collect()
}

fn keyframes(frames: &[Frame]) -> Vec<usize> {
    frames.iter().enumerate().filter(|(_, frame)| frame.keyframe).map(|(index, _)| index).collect()
}

/// An AV1 configuration and the first frame that follows it.
fn start_and_frame() -> [Bytes; 2] {
    let video: Vec<Bytes> =
        tags(AV1_OPUS).into_iter().filter(|tag| tag.is_video).map(|tag| tag.body).collect();
    [video[0].slice(5..), video[2].slice(5..)]
}

#[test]
fn further_video_tracks_are_taken_where_they_are_wanted() {
    let (mut demuxer, mut first, mut further) = (Demuxer::new().with_further(1), Vec::new(), Vec::new());
    let mut sizes = Vec::new();
    for found in tags(MULTITRACK).into_iter().flat_map(|tag| take(&mut demuxer, tag)) {
        match found {
            Event::Frame(Track::Video, frame) => first.push((frame.dts, frame.keyframe)),
            Event::Further(1, Piece::Frame(frame)) => further.push((frame.dts, frame.keyframe)),
            Event::Further(1, Piece::Config(config)) => {
                sizes.push((config.codec_string(), config.picture().unwrap().height));
            }
            Event::Config(_) | Event::Frame(Track::Audio, _) => {}
            other @ Event::Further(..) => panic!("{other:?}"),
        }
    }
    assert_eq!(sizes, [("avc1.42c00b".to_owned(), 90)]);
    let times = |frames: &[(i64, bool)]| frames.iter().map(|(dts, _)| *dts).collect::<Vec<_>>();
    assert_eq!(times(&further), times(&first), "the same pictures");
    assert!(further.len() == 6 && first[0].1 && further[0].1);
    let sounds = tags(MULTITRACK).iter().filter(|tag| tag.body[0] == 0x95).count() as u64;
    assert_eq!((demuxer.faults().other_tracks, demuxer.faults().lost_further), (sounds, 0));
}

#[test]
fn what_is_wrong_with_a_further_track_disturbs_no_other() {
    let [start, frame] = start_and_frame();
    let length = |data: &[u8]| u32::try_from(data.len()).unwrap().to_be_bytes()[1..].to_vec();
    let track = |id: u8, data: &[u8]| [&[id][..], &length(data), data].concat();
    let mut demuxer = Demuxer::new().with_further(2);
    let mut send = |time: u32, body: &[&[u8]]| {
        let mut events = vec![demuxer.video(time, body.concat().into()).unwrap()];
        events.extend(std::iter::from_fn(|| demuxer.poll_event()).map(Some));
        let said = events.into_iter().flatten().map(|event| match event {
            Event::Config(_) => (0, "config", 0),
            Event::Frame(_, frame) => (0, "frame", frame.dts),
            Event::Further(id, Piece::Config(_)) => (id, "config", 0),
            Event::Further(id, Piece::Frame(frame)) => (id, "frame", frame.dts),
        });
        (said.collect::<Vec<_>>(), demuxer.faults().lost_further, demuxer.faults().other_tracks)
    };
    // A frame before its configuration, a broken configuration, an unknown codec, a good one, one too many.
    let bodies =
        [track(0, &start), track(1, b"?"), track(2, &start), track(7, &start), track(9, &start)].concat();
    let (said, ..) = send(0, &[b"\x96\x10av01", &bodies]);
    assert_eq!(said, [(0, "config", 0), (2, "config", 0), (7, "config", 0)]);
    let (said, lost, left) = send(0, &[b"\x96\x21vvc1", &track(3, &start), b"av01", &track(7, &frame)]);
    assert_eq!((said, lost, left), (vec![(7, "frame", 0)], 1, 2));
    assert_eq!(send(5_000, &[b"\x96\x11av01", &track(0, &frame), &track(7, &frame)]).0.len(), 2);
    // Its clock is set: it goes on when the first track's has been, in step with that.
    let (said, lost, _) = send(900_000, &[b"\x96\x11av01", &track(7, &frame)]);
    assert_eq!((said, lost), (vec![], 2));
    let (said, ..) =
        send(900_040, &[b"\x96\x11av01", &track(0, &frame), &track(2, &frame), &track(7, &frame)]);
    let [(0, "frame", at), others @ ..] = &said[..] else { panic!("{said:?}") };
    assert!(others.len() == 2 && others.iter().all(|(_, _, time)| time == at), "{said:?}");
    let many: Vec<u8> = (0..40).flat_map(|_| track(200, b"")).collect();
    assert_eq!(send(900_080, &[b"\x96\x11av01", &many]).2, 42);
}
