use std::time::Duration;

use super::*;
use crate::codec::{aac, av1, avc, flac, hevc, opus, vp9};
use crate::fixtures::{AV1_OPUS, HEVC_AAC, VP9_FLAC, sequence_start};
use crate::frame::CLOCK;
use crate::segment::LEAD;

/// The boxes of `data`, or `None` where sizes do not add up.
fn boxes(mut data: &[u8]) -> Option<Vec<(&str, &[u8])>> {
    let mut found = Vec::new();
    while !data.is_empty() {
        let size = u32::from_be_bytes(data.get(..4)?.try_into().ok()?) as usize;
        found.push((std::str::from_utf8(&data[4..8]).ok()?, data.get(8..size)?));
        data = &data[size..];
    }
    Some(found)
}

/// The content of the box at a path of names; children of the sample entries start after their fixed fields.
fn find<'a>(data: &'a [u8], path: &[&str]) -> &'a [u8] {
    path.iter().fold(data, |data, name| {
        let (_, content) = boxes(data).unwrap().into_iter().find(|(kind, _)| kind == name).unwrap();
        let fixed = match *name {
            "stsd" | "dref" => 8,
            "avc1" | "hvc1" | "av01" | "vp09" => 78,
            "mp4a" | "Opus" | "fLaC" => 28,
            _ => 0,
        };
        &content[fixed..]
    })
}

fn u32_at(data: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(data[at..at + 4].try_into().unwrap())
}

/// First decoding time, durations and bytes of a fragment's samples.
pub(crate) fn read_fragment(data: &[u8]) -> (u64, Vec<u32>, Vec<u32>) {
    let header = find(data, &["moof", "traf", "tfhd"]);
    let shared = (u32_at(header, 0) & 8 != 0).then(|| u32_at(header, 8));
    let run = find(data, &["moof", "traf", "trun"]);
    let flags = u32_at(run, 0);
    let fields = [0x100, 0x200, 0x400, 0x800].iter().filter(|field| flags & **field != 0).count();
    let field = |sample: u32, field: usize| u32_at(run, 12 + 4 * (sample as usize * fields + field));
    let duration = |sample| shared.unwrap_or_else(|| field(sample, 0));
    let samples = 0..u32_at(run, 4);
    let time = find(data, &["moof", "traf", "tfdt"]);
    (
        u64::from(u32_at(time, 4)) << 32 | u64::from(u32_at(time, 8)),
        samples.clone().map(duration).collect(),
        samples.map(|sample| field(sample, usize::from(shared.is_none()))).collect(),
    )
}

fn sample(dts: i64, composition_offset: i32, keyframe: bool, data: &'static [u8]) -> Sample {
    Sample { dts, composition_offset, keyframe, data: Bytes::from_static(data) }
}

#[test]
fn a_video_header_holds_the_configuration_record() {
    let record = Bytes::from_static(&[1, 0x64, 0, 0x1f, 0xff]);
    let config = avc::Config { record: record.clone(), width: 1280, height: 720, frame_rate: None };
    let init = init_segment(&Config::Avc(config));
    assert_eq!(find(&init, &["moov", "trak", "mdia", "minf", "stbl", "stsd", "avc1", "avcC"]), &record[..]);
    assert_eq!(u32_at(find(&init, &["moov", "trak", "mdia", "mdhd"]), 12), 90_000);
    let header = find(&init, &["moov", "trak", "tkhd"]);
    assert_eq!([u32_at(header, 76) >> 16, u32_at(header, 80) >> 16], [1280, 720]);
    assert_eq!(u32_at(find(&init, &["moov", "mvex", "trex"]), 4), TRACK_ID);
    assert_eq!(&find(&init, &["ftyp"])[..4], b"iso6");
}

#[test]
fn an_audio_header_holds_the_specific_config_and_counts_in_samples() {
    let config = aac::Config::parse(&[0x11, 0x90]).unwrap();
    let init = init_segment(&Config::Aac(config));
    let descriptor = find(&init, &["moov", "trak", "mdia", "minf", "stbl", "stsd", "mp4a", "esds"]);
    // The lengths of the nested descriptors reach exactly to the end.
    assert_eq!(usize::from(descriptor[5]), descriptor.len() - 6);
    assert!(descriptor.windows(4).any(|bytes| bytes == [0x05, 2, 0x11, 0x90]));
    assert_eq!(u32_at(find(&init, &["moov", "trak", "mdia", "mdhd"]), 12), 48_000);
}

#[test]
fn every_codec_has_its_sample_entry() {
    let opus = opus::Config::parse(b"OpusHead\x01\x02\x38\x01\x44\xac\0\0\0\0\0").unwrap();
    let flac = flac::Config::parse(&sequence_start(VP9_FLAC, false)).unwrap();
    let vp9 =
        vp9::Config { record: Bytes::from_static(&[0, 10, 0x82, 2, 2, 2, 0, 0]), width: 160, height: 90 };
    let cases = [
        (Config::Hevc(hevc::Config::parse(&sequence_start(HEVC_AAC, true)).unwrap()), "hvc1", "hvcC", 90_000),
        (
            Config::Av1(av1::Config::parse(&sequence_start(AV1_OPUS, true)).unwrap().unwrap()),
            "av01",
            "av1C",
            90_000,
        ),
        (Config::Vp9(vp9), "vp09", "vpcC", 90_000),
        (Config::Opus(opus), "Opus", "dOps", 48_000),
        (Config::Flac(flac), "fLaC", "dfLa", 48_000),
    ];
    for (config, entry, record, timescale) in cases {
        let init = init_segment(&config);
        let table = ["moov", "trak", "mdia", "minf", "stbl", "stsd"];
        assert_eq!(find(&init, &[&table[..], &[entry, record]].concat()), &config.record()[..], "{entry}");
        assert_eq!(u32_at(find(&init, &["moov", "trak", "mdia", "mdhd"]), 12), timescale);
        let header = find(&init, &["moov", "trak", "tkhd"]);
        let size = config.picture().map_or([0, 0], |picture| [picture.width, picture.height]);
        assert_eq!([u32_at(header, 76) >> 16, u32_at(header, 80) >> 16], size);
    }
}

#[test]
fn a_fragment_points_at_its_own_media() {
    let samples = [
        (sample(90_000, 3000, true, b"\0\0\0\x02\x65i"), 3000),
        (sample(93_000, 6000, false, b"\0\0\0\x01\x41"), 3003),
        (sample(96_003, -10, false, b"\0\0\0\x01\x01"), 3000),
    ];
    let fragment = fragment(7, &samples, &[], 90_000);
    assert_eq!(u32_at(find(&fragment, &["moof", "mfhd"]), 4), 7);
    let time = find(&fragment, &["moof", "traf", "tfdt"]);
    assert_eq!((time[0], u32_at(time, 4), u32_at(time, 8)), (1, 0, 90_000));
    let run = find(&fragment, &["moof", "traf", "trun"]);
    assert_eq!((run[0], u32_at(run, 0) & 0xff_ffff, u32_at(run, 4)), (1, 0xf01, 3));
    let fields: Vec<u32> = (0..12).map(|field| u32_at(run, 12 + 4 * field)).collect();
    let negative = (-10_i32).cast_unsigned();
    let sync = 0x0200_0000;
    let other = 0x0101_0000;
    assert_eq!(fields, [3000, 6, sync, 3000, 3003, 5, other, 6000, 3000, 5, other, negative]);
    let media = &fragment[u32_at(run, 8) as usize..];
    assert_eq!(media, b"\0\0\0\x02\x65i\0\0\0\x01\x41\0\0\0\x01\x01");
}

#[test]
fn what_all_samples_share_is_said_once() {
    let samples = [(sample(0, 0, true, b"abc"), 1024), (sample(1024, 0, true, b"d"), 1024)];
    let fragment = fragment(1, &samples, &[], 48_000);
    let header = find(&fragment, &["moof", "traf", "tfhd"]);
    assert_eq!(u32_at(header, 0), 0x02_0028);
    assert_eq!([u32_at(header, 8), u32_at(header, 12)], [1024, 0x0200_0000]);
    let run = find(&fragment, &["moof", "traf", "trun"]);
    assert_eq!(u32_at(run, 0) & 0xff_ffff, 0x201);
    assert_eq!([u32_at(run, 12), u32_at(run, 16)], [3, 1]);
}

#[test]
fn a_time_before_zero_and_an_empty_fragment_are_still_well_formed() {
    let early = fragment(1, &[(sample(-5, 0, true, b""), 1)], &[], 1);
    assert_eq!(u32_at(find(&early, &["moof", "traf", "tfdt"]), 8), 0);
    assert!(boxes(&fragment(1, &[], &[], 1)).is_some());
}

#[test]
fn messages_stand_in_front_of_the_fragment_and_move_nothing_in_it() {
    let event = EventMessage {
        scheme: ID3_SCHEME.into(),
        time: 0x1_0000_0002 - LEAD * CLOCK,
        duration: Some(Duration::from_millis(7)),
        id: 9,
        data: Bytes::from_static(b"ID3"),
    };
    let without = EventMessage { duration: None, scheme: "a\0b".into(), ..event.clone() };
    let samples = [(sample(0, 0, true, b"abc"), 1024)];
    let plain = fragment(1, &samples, &[], 90_000);
    let with = fragment(1, &samples, &[event, without], 90_000);
    let message = find(&with, &["emsg"]);
    let fields: Vec<u32> = (0..6).map(|field| u32_at(message, 4 * field)).collect();
    assert_eq!(fields, [0x0100_0000, 90_000, 1, 2, 630, 9]);
    assert_eq!(&message[24..], b"https://aomedia.org/emsg/ID3\0\0ID3");
    let all = boxes(&with).unwrap();
    let second = all[1].1;
    assert_eq!((u32_at(second, 16), &second[24..]), (u32::MAX, &b"a\0\0ID3"[..]));
    assert_eq!(with[events_len(&with)..], plain, "offsets count from the moof");
    assert_eq!(events_len(&plain), 0);
}
