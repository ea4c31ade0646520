use super::*;
use crate::{Config, Track, mutation};
use packet::SIZE;
use proptest::prelude::*;

/// FFmpeg 5.1: 128x72, ten pictures a second with two B-frames and a key frame each second; mono AAC at 44.1 kHz.
const CAPTURE: &[u8] = include_bytes!("captures/avc-adts.m2t");
/// The same in HEVC by x265; stereo Opus beside H.264; HEVC of another size beside AAC in LATM.
const HEVC: &[u8] = include_bytes!("captures/hevc-adts.m2t");
const OPUS: &[u8] = include_bytes!("captures/avc-opus.m2t");
const LATM: &[u8] = include_bytes!("captures/hevc-latm.m2t");
/// The PIDs of its video, audio and program map.
const VIDEO: u16 = 0x100;
const AUDIO: u16 = 0x101;
const MAP: u16 = 0x1000;

#[test]
fn a_capture_gives_every_frame_on_one_timeline() {
    let events = all(CAPTURE, 1_316);
    let configs = configs(&events);
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
fn hevc_is_taken_as_h264_is() {
    let events = all(HEVC, 1_316);
    let [Config::Hevc(hevc), Config::Aac(_)] = &configs(&events)[..] else {
        panic!("{:?}", configs(&events))
    };
    assert_eq!((hevc.width, hevc.height, hevc.frame_rate), (128, 72, Some((10, 1))));
    // As FFmpeg reads it.
    let video = frames(&events, Track::Video);
    let composed: Vec<i64> = video.iter().map(|frame| (frame.pts - frame.dts) / 9_000).collect();
    assert_eq!(composed, [2, 4, 2, 0, 4, 2, 0, 4, 2, 0, 2, 4, 2, 0, 2]);
    assert!(video.windows(2).all(|pair| pair[1].dts - pair[0].dts == 9_000));
    let keys: Vec<usize> = (0..15).filter(|n| video[*n].keyframe).collect();
    assert_eq!(keys, [0, 10]);
    let kinds = video.iter().map(|frame| {
        let kinds = crate::codec::avc::nal_units(&frame.data).map(|unit| (unit.unwrap()[0] >> 1) & 0x3f);
        kinds.collect::<Vec<u8>>()
    });
    let expected = [20, 1, 1, 0, 1, 1, 0, 1, 1, 0, 20, 1, 1, 0, 1].map(|kind| vec![kind]);
    assert_eq!(kinds.collect::<Vec<_>>(), expected, "parameter sets are in the configuration");
    assert_eq!(frames(&events, Track::Audio).len(), 66);
}

#[test]
fn another_size_is_another_configuration() {
    let events = all(&[HEVC, &begun_anew(LATM)].concat(), 1_316);
    let sizes: Vec<u32> =
        configs(&events).iter().filter_map(|config| Some(config.picture()?.width)).collect();
    assert_eq!(sizes, [128, 64]);
    assert_eq!(frames(&events, Track::Video).len(), 17);
    // And so is another codec.
    let events = all(&[CAPTURE, &begun_anew(HEVC)].concat(), 1_316);
    let names: Vec<String> = configs(&events).iter().map(|config| config.codec_string()).collect();
    assert_eq!(names, ["avc1.640009", "mp4a.40.2", "hvc1.1.6.L30.90"]);
    assert_eq!(frames(&events, Track::Video).len(), 30);
}

#[test]
fn opus_is_cut_into_packets() {
    let events = all(OPUS, 1_316);
    let [Config::Opus(opus), Config::Avc(_)] = &configs(&events)[..] else {
        panic!("{:?}", configs(&events))
    };
    // FFmpeg's encoder says its delay as what is trimmed from the start.
    assert_eq!((opus.channels, opus.pre_skip, opus.mapping_family), (1, 312, 0));
    let audio = frames(&events, Track::Audio);
    assert!(audio.windows(2).all(|pair| pair[1].dts - pair[0].dts == 1_800));
    // Of `ffmpeg -i avc-opus.m2t -map 0:a -c copy -f data`, without control headers.
    assert_eq!((audio.len(), audio.iter().map(|frame| frame.data.len()).sum::<usize>()), (21, 1_087));
    assert_eq!(frames(&events, Track::Video).len(), 2);
}

#[test]
fn pictures_without_a_time_of_their_own_come_when_they_should() {
    for capture in [CAPTURE, HEVC] {
        // Without the sound, which is handed on before a picture that has to wait for its time.
        let heard = |packet: &&[u8]| packet[1..3] == [0x41, 1] || packet[1..3] == [1, 1];
        let silent = capture.chunks(SIZE).filter(|packet| !heard(packet)).collect::<Vec<_>>().concat();
        let (mut untimed, mut count) = (silent.clone(), 0);
        for packet in untimed.chunks_mut(SIZE).filter(|packet| packet[1..3] == [0x41, 0]) {
            let head = if packet[3] & 0x20 == 0 { 4 } else { 5 + usize::from(packet[4]) };
            if count % 4 != 0 {
                // The timestamps become stuffing.
                packet[head + 7] = 0;
                let length = usize::from(packet[head + 8]);
                packet[head + 9..head + 9 + length].fill(0xff);
            }
            count += 1;
        }
        let mut demuxer = Demuxer::new();
        demuxer.push(&untimed).unwrap();
        demuxer.finish();
        let derived: Vec<_> = std::iter::from_fn(|| demuxer.poll()).collect();
        let timed = all(&silent, SIZE);
        for (derived, timed) in frames(&derived, Track::Video).iter().zip(frames(&timed, Track::Video)) {
            assert_eq!((derived.dts, derived.data.len()), (timed.dts, timed.data.len()));
        }
        assert_eq!((frames(&derived, Track::Video).len(), demuxer.faults().untimed), (15, 11));
    }
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
    twice.extend_from_slice(&begun_anew(CAPTURE));
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
        (LATM, &["AAC in LATM"], 2),
        (include_bytes!("captures/avc-ac3.m2t"), &["AC-3"], 3),
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
    mutation::run_cases(&[head, &OPUS[..SIZE * 12], &HEVC[..SIZE * 24]], 1_500, fuzz);
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

fn configs(events: &[Result<Event>]) -> Vec<&Config> {
    let config = |event| match event {
        &Ok(Event::Config(ref config)) => Some(config),
        _ => None,
    };
    events.iter().filter_map(config).collect()
}

fn frames(events: &[Result<Event>], of: Track) -> Vec<&crate::Frame> {
    let frame = |event| match event {
        &Ok(Event::Frame(track, ref frame)) if track == of => Some(frame),
        _ => None,
    };
    events.iter().filter_map(frame).collect()
}

/// The stream as an encoder sends it that starts again: it says that the continuity counters do.
fn begun_anew(stream: &[u8]) -> Vec<u8> {
    let mut stream = stream.to_vec();
    stream
        .chunks_mut(SIZE)
        .filter(|packet| packet[3] & 0x20 != 0 && packet[4] > 0)
        .for_each(|packet| packet[5] |= 0x80);
    stream
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
