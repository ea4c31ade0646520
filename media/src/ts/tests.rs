use super::*;
use crate::{Config, Track, mutation};
use packet::SIZE;
use proptest::prelude::*;

/// FFmpeg 5.1: 128x72, ten pictures a second with two B-frames and a key frame each second; mono AAC at 44.1 kHz.
const CAPTURE: &[u8] = include_bytes!("captures/avc-adts.m2t");
/// The PIDs of its video, audio and program map.
const VIDEO: u16 = 0x100;
const AUDIO: u16 = 0x101;
const MAP: u16 = 0x1000;

#[test]
fn a_capture_gives_every_frame_on_one_timeline() {
    let events = all(CAPTURE, 1_316);
    let configs: Vec<&Config> = events
        .iter()
        .filter_map(|event| match event {
            Ok(Event::Config(config)) => Some(config),
            _ => None,
        })
        .collect();
    let [Config::Avc(avc), Config::Aac(aac)] = configs[..] else { panic!("{configs:?}") };
    assert_eq!((avc.width, avc.height, avc.frame_rate), (128, 72, Some((10, 1))));
    assert_eq!((aac.sample_rate, aac.channels, aac.object_type), (44_100, 1, 2));

    let video = frames(&events, Track::Video);
    assert_eq!(video.len(), 15);
    assert!(video.windows(2).all(|pair| pair[1].dts - pair[0].dts == 9_000));
    let keys: Vec<usize> = (0..15).filter(|n| video[*n].keyframe).collect();
    assert_eq!(keys, [0, 10]);
    // B-frames: shown in another order, all of them.
    let mut shown: Vec<i64> = video.iter().map(|frame| frame.pts).collect();
    assert!(!shown.is_sorted());
    shown.sort_unstable();
    assert!(shown.windows(2).all(|pair| pair[1] - pair[0] == 9_000));
    let units = crate::codec::avc::nal_units(&video[0].data).map(|unit| unit.unwrap()[0] & 0x1f);
    assert!(units.into_iter().all(|kind| !matches!(kind, 7..=9)), "parameter sets are in the configuration");

    let audio = frames(&events, Track::Audio);
    assert!(audio.len().abs_diff(44_100 * 3 / 2 / 1_024) <= 3, "{}", audio.len());
    let steps: Vec<i64> = audio.windows(2).map(|pair| pair[1].dts - pair[0].dts).collect();
    assert!(steps.iter().all(|step| (2_089..=2_091).contains(step)), "{steps:?}");
    // FFmpeg starts sound and picture together; its encoder's delay and the B-frames lie between.
    assert!((video[0].pts - audio[0].pts).abs() < 27_000, "{} {}", video[0].pts, audio[0].pts);
}

#[test]
fn the_same_comes_out_as_ffmpeg_reads() {
    // Of `ffmpeg -i avc-adts.m2t -map 0:a -c copy -f data`, without the seven bytes of each head.
    let audio: Vec<usize> =
        frames(&all(CAPTURE, 188), Track::Audio).iter().map(|frame| frame.data.len()).collect();
    assert_eq!(audio.iter().sum::<usize>(), 6_199);
}

#[test]
fn a_missing_packet_costs_its_access_unit_only() {
    let whole = all(CAPTURE, CAPTURE.len());
    let video = frames(&whole, Track::Video);
    // The first picture has the only parameter sets of its second; what begins the second may be its end.
    let second =
        CAPTURE.chunks(SIZE).enumerate().filter(|(_, packet)| packet[1..3] == [0x41, 0]).nth(1).unwrap().0;
    for (n, packet) in CAPTURE.chunks(SIZE).enumerate().skip(second + 1) {
        let pid = u16::from_be_bytes([packet[1] & 0x1f, packet[2]]);
        if packet[3] & 0x10 == 0 || !(pid == VIDEO || pid == AUDIO) {
            continue;
        }
        let holed = [&CAPTURE[..n * SIZE], &CAPTURE[(n + 1) * SIZE..]].concat();
        let mut demuxer = Demuxer::new();
        demuxer.push(&holed).unwrap();
        demuxer.finish();
        let events: Vec<_> = std::iter::from_fn(|| demuxer.poll()).collect();
        let left = frames(&events, Track::Video);
        assert!(left.len() + 2 >= video.len(), "packet {n}: {} of {}", left.len(), video.len());
        // Nothing tells that a first or a last packet is missing.
        let of_pid = |at: &usize| {
            CAPTURE[at * SIZE + 1] & 0x1f == packet[1] & 0x1f && CAPTURE[at * SIZE + 2] == packet[2]
        };
        let told = (0..n).any(|at| of_pid(&at)) && (n + 1..CAPTURE.len() / SIZE).any(|at| of_pid(&at));
        // What is left is not damaged.
        assert!(
            !told || left.iter().all(|frame| video.iter().any(|whole| whole.data == frame.data)),
            "packet {n}"
        );
        assert_eq!(demuxer.faults().lost, u64::from(told), "packet {n}: {:?}", demuxer.faults());
    }
}

#[test]
fn duplicates_say_nothing_new() {
    let doubled: Vec<u8> = CAPTURE.chunks(SIZE).flat_map(|packet| [packet, packet].concat()).collect();
    assert_eq!(all(&doubled, 999), all(CAPTURE, 999));
}

#[test]
fn time_goes_through_the_wrap() {
    // Half a second before 2^33.
    let offset = (1_i64 << 33) - 45_000 - 126_000;
    let events = all(&shifted(CAPTURE, offset), 1_316);
    assert_eq!(events, all(CAPTURE, 1_316));
}

#[test]
fn a_clock_that_starts_again_is_followed() {
    let mut twice = CAPTURE.to_vec();
    // The continuity counters start again too, which an encoder announces.
    let mut again = CAPTURE.to_vec();
    again
        .chunks_mut(SIZE)
        .filter(|packet| packet[3] & 0x20 != 0 && packet[4] > 0)
        .for_each(|packet| packet[5] |= 0x80);
    twice.extend_from_slice(&again);
    let events = all(&twice, 1_316);
    for track in [Track::Video, Track::Audio] {
        let frames = frames(&events, track);
        assert!(frames.windows(2).all(|pair| (0..30_000).contains(&(pair[1].dts - pair[0].dts))));
        assert!(frames.last().unwrap().dts > 2 * 90_000);
    }
}

#[test]
fn the_map_may_move_the_streams() {
    let mut moved = CAPTURE.to_vec();
    for packet in moved.chunks_mut(SIZE) {
        let pid = u16::from_be_bytes([packet[1] & 0x1f, packet[2]]);
        if pid == VIDEO {
            packet[2] = 0x50;
        } else if pid == MAP {
            let end = 5 + usize::from(packet[7]) + 3;
            let entry = (5..end).find(|at| packet[*at..].starts_with(&[0x1b, 0xe1, 0])).unwrap();
            packet[entry + 2] = 0x50;
            packet[10] ^= 2;
            let crc = section::crc(&packet[5..end - 4]).to_be_bytes();
            packet[end - 4..end].copy_from_slice(&crc);
        }
    }
    let events = all(&[CAPTURE, &moved].concat(), 1_316);
    let configs = events.iter().filter(|event| matches!(event, Ok(Event::Config(_)))).count();
    assert_eq!((configs, frames(&events, Track::Video).len()), (2, 30));
}

#[test]
fn a_damaged_map_is_not_believed() {
    let mut damaged = CAPTURE.to_vec();
    damaged.chunks_mut(SIZE).filter(|packet| packet[1] & 0x1f == 0x10).for_each(|packet| packet[20] ^= 0x40);
    let mut demuxer = Demuxer::new();
    demuxer.push(&damaged).unwrap();
    assert_eq!(demuxer.poll(), None);
    assert!(demuxer.faults().damaged > 0 && !demuxer.is_hopeless());
}

#[test]
fn other_codecs_are_refused_by_name_and_the_rest_goes_on() {
    let captures: [(&[u8], &[&str], usize); 3] = [
        (include_bytes!("captures/mpeg2-mp2.m2t"), &["MPEG-2 video", "MPEG audio (MP2 or MP3)"], 0),
        (include_bytes!("captures/hevc-latm.m2t"), &["HEVC", "AAC in LATM"], 0),
        (include_bytes!("captures/avc-opus.m2t"), &["Opus"], 2),
    ];
    for (capture, names, pictures) in captures {
        let events = all(capture, 1_316);
        let refused: Vec<&str> = events
            .iter()
            .filter_map(|event| match event {
                Err(Error::UnsupportedCodec { codec, .. }) => Some(codec.as_ref()),
                _ => None,
            })
            .collect();
        assert_eq!(refused, names);
        assert_eq!(frames(&events, Track::Video).len(), pictures);
        let mut demuxer = Demuxer::new();
        demuxer.push(capture).unwrap();
        assert_eq!(demuxer.is_hopeless(), pictures == 0);
    }
}

#[test]
fn what_is_no_transport_stream_is_said_early() {
    let mut demuxer = Demuxer::new();
    let flv = [b"FLV\x01\x05\0\0\0\x09", &[7; 991][..]].concat();
    let error = (0..100).find_map(|_| demuxer.push(&flv).err()).unwrap();
    assert!(error.to_string().contains("-f mpegts"), "{error}");
}

#[test]
fn a_picture_that_never_ends_is_not_held() {
    let mut demuxer = Demuxer::new();
    demuxer.push(CAPTURE).unwrap();
    let mut counter = 0;
    let begun = CAPTURE.chunks(SIZE).rfind(|packet| packet[1..3] == [0x41, 0]).unwrap();
    demuxer.push(begun).unwrap();
    for n in 0..40_000_u32 {
        let mut packet = [0x55; SIZE];
        packet[..4].copy_from_slice(&[0x47, 1, 0, 0x10 | (begun[3].wrapping_add(counter + 1) & 0x0f)]);
        counter = (counter + 1) & 0x0f;
        demuxer.push(&packet).unwrap();
        if n % 100 == 0 {
            while demuxer.poll().is_some() {}
        }
    }
    assert!(demuxer.faults().damaged > 0);
}

#[test]
fn any_bytes_are_survived() {
    let head = &CAPTURE[..SIZE * 24];
    let opus: &[u8] = include_bytes!("captures/avc-opus.m2t");
    mutation::run_cases(&[head, &opus[..SIZE * 12]], 1_500, fuzz);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn any_split_gives_the_same(sizes in proptest::collection::vec(1_usize..1_500, 1..40), junk in 0_usize..300) {
        // Junk in the middle, so that packets begin anywhere.
        let at = SIZE * 30;
        let stream = [&CAPTURE[..at], &vec![0x46; junk], &CAPTURE[at..]].concat();
        let (mut demuxer, mut events, mut rest) = (Demuxer::new(), Vec::new(), &stream[..]);
        for size in sizes.iter().cycle() {
            let (piece, behind) = rest.split_at((*size).min(rest.len()));
            demuxer.push(piece).unwrap();
            events.extend(std::iter::from_fn(|| demuxer.poll()));
            rest = behind;
            if rest.is_empty() {
                break;
            }
        }
        demuxer.finish();
        events.extend(std::iter::from_fn(|| demuxer.poll()));
        prop_assert_eq!(&events, &all(CAPTURE, CAPTURE.len()));
        prop_assert_eq!(demuxer.faults().skipped_bytes, junk as u64);
    }
}

fn frames(events: &[Result<Event>], of: Track) -> Vec<&crate::Frame> {
    let frame = |event| match event {
        &Ok(Event::Frame(track, ref frame)) if track == of => Some(frame),
        _ => None,
    };
    events.iter().filter_map(frame).collect()
}

/// The stream with `offset` added to every PTS and DTS.
fn shifted(stream: &[u8], offset: i64) -> Vec<u8> {
    let mut stream = stream.to_vec();
    for packet in stream.chunks_mut(SIZE) {
        let pid = u16::from_be_bytes([packet[1] & 0x1f, packet[2]]);
        if packet[1] & 0x40 == 0 || !(pid == VIDEO || pid == AUDIO) {
            continue;
        }
        let start = if packet[3] & 0x20 == 0 { 4 } else { 5 + usize::from(packet[4]) };
        let count = usize::from(packet[start + 7] >> 6).saturating_sub(1);
        for at in (0..count).map(|n| start + 9 + 5 * n) {
            let [a, b, c, d, e] = [0, 1, 2, 3, 4].map(|n| i64::from(packet[at + n]));
            let time = ((a >> 1) & 7) << 30 | b << 22 | (c >> 1) << 15 | d << 7 | e >> 1;
            let time = (time + offset) & ((1 << 33) - 1);
            let byte = |value: i64| u8::try_from(value & 0xff).unwrap();
            packet[at] = (packet[at] & 0xf0) | byte((time >> 29) & 0x0e) | 1;
            packet[at + 1] = byte(time >> 22);
            packet[at + 2] = byte(time >> 14) | 1;
            packet[at + 3] = byte(time >> 7);
            packet[at + 4] = byte(time << 1) | 1;
        }
    }
    stream
}
