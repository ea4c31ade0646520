use super::*;
use crate::mutation;

struct Case {
    record: &'static str,
    size: (u32, u32),
    frame_rate: Option<(u32, u32)>,
    name: &'static str,
}

/// Records that x264 made, through FFmpeg.
const CASES: &[Case] = &[
    Case {
        record: "01640028ffe1001b67640028acd940780227e5c044000003000400000300f03c60c65801000468ef8fcb\
                 fdf8f800",
        size: (1920, 1080),
        frame_rate: Some((30, 1)),
        name: "avc1.640028",
    },
    Case {
        record: "0142c028ffe100196742c028da01e0089f970110000003001000000303c0f1832a01000468ce0fc8",
        size: (1920, 1080),
        frame_rate: Some((30, 1)),
        name: "avc1.42c028",
    },
    Case {
        record: "0142c01fffe100176742c01fda014016ec0440000003004000000c83c60ca801000468ce0fc8",
        size: (1280, 720),
        frame_rate: Some((25, 1)),
        name: "avc1.42c01f",
    },
    Case {
        record: "0142c00dffe100156742c00dda0507ec04400000fa40003a9803c50aa801000468ce0fc8",
        size: (320, 240),
        frame_rate: Some((30_000, 1_001)),
        name: "avc1.42c00d",
    },
    Case {
        record: "0142c02affe100186742c02ada01581879bc0440000003004000001e03c60ca801000468ce0fc8",
        size: (1366, 768),
        frame_rate: Some((60, 1)),
        name: "avc1.42c02a",
    },
    // High 4:2:2 at 10 bits, interlaced.
    Case {
        record: "017a001effe10018677a001eb6ce80b424d8088000000300800000190f8a155001000468de0fc8fefafa00",
        size: (720, 576),
        frame_rate: Some((25, 1)),
        name: "avc1.7a001e",
    },
];

#[test]
fn records_give_size_frame_rate_and_name() {
    for case in CASES {
        let record = hex(case.record);
        let config = Config::parse(&record).unwrap();
        assert_eq!((config.width, config.height), case.size, "{}", case.name);
        assert_eq!(config.frame_rate, case.frame_rate, "{}", case.name);
        assert_eq!(config.codec_string(), case.name);
        assert_eq!(config.record, record, "a record with 4-byte lengths is kept as it is");
    }
}

#[test]
fn records_with_shorter_lengths_are_normalised() {
    for (byte, size) in [(0xfc, 1), (0xfd, 2), (0xff, 4)] {
        let mut record = hex(CASES[0].record);
        record[4] = byte;
        assert_eq!(length_size(&record), Ok(size));
        assert_eq!(Config::parse(&record).unwrap().record, hex(CASES[0].record));
    }
    let mut reserved = hex(CASES[0].record);
    reserved[4] = 0xfe;
    assert!(Config::parse(&reserved).is_err());
}

#[test]
fn missing_format_fields_are_filled_in() {
    let whole = hex(CASES[0].record);
    let config = Config::parse(&whole[..whole.len() - 4]).unwrap();
    assert_eq!(config.record, whole);
}

#[test]
fn extradata_between_start_codes_gives_the_same_record() {
    for case in CASES {
        let config = Config::parse(&hex(case.record)).unwrap();
        let mut extradata = vec![0];
        for unit in config.sps().iter().chain(&config.pps()) {
            extradata.extend_from_slice(&[0, 0, 1]);
            extradata.extend_from_slice(unit);
        }
        assert_eq!(Config::from_annexb(&extradata).unwrap(), config);
    }
    assert!(Config::from_annexb(&[0, 0, 0, 1, 0x68, 1, 2]).is_err(), "no sequence parameter set");
}

#[test]
fn parameter_sets_are_slices_of_the_record() {
    let config = Config::parse(&hex(CASES[0].record)).unwrap();
    assert_eq!(config.sps()[0][..5], [0x67, 0x64, 0, 0x28, 0xac]);
    assert_eq!(config.pps(), [Bytes::from_static(&[0x68, 0xef, 0x8f, 0xcb])][..].to_vec());
    assert!(config.record.as_ptr_range().contains(&config.pps()[0].as_ptr()));
}

#[test]
fn access_units_are_normalised_without_a_copy_when_they_can_be() {
    let four = Bytes::from_static(&[0, 0, 0, 2, 0x06, 1, 0, 0, 0, 3, 0x65, 8, 9]);
    let normal = normalise(&four, 4).unwrap();
    assert_eq!(normal.as_ptr(), four.as_ptr());
    assert_eq!(normalise(&Bytes::from_static(&[2, 0x06, 1, 3, 0x65, 8, 9]), 1).unwrap(), four);
    assert_eq!(normalise(&Bytes::from_static(&[0, 2, 0x06, 1, 0, 0, 0, 3, 0x65, 8, 9]), 2).unwrap(), four);
    assert!(is_idr(&four));
    assert!(!is_idr(&[0, 0, 0, 2, 0x41, 1]));
    for damaged in [&[][..], &[0, 0, 0, 0], &[0, 0, 0, 9, 0x65], &[0, 0, 1]] {
        assert!(normalise(&Bytes::copy_from_slice(damaged), 4).is_err(), "{damaged:02x?}");
    }
}

#[test]
fn start_codes_and_lengths_are_turned_into_each_other() {
    let stream = [0, 0, 0, 1, 0x09, 0xf0, 0, 0, 1, 0x06, 5, 0x80, 0, 0, 0, 1, 0x65, 1, 0, 0, 3, 0, 7, 0, 0];
    let access_unit = from_annexb(&stream).unwrap();
    assert_eq!(
        access_unit[..],
        [0, 0, 0, 3, 0x06, 5, 0x80, 0, 0, 0, 7, 0x65, 1, 0, 0, 3, 0, 7],
        "the delimiter and trailing zeros go"
    );
    assert_eq!(
        to_annexb(&access_unit).unwrap()[..],
        [0, 0, 0, 1, 0x06, 5, 0x80, 0, 0, 0, 1, 0x65, 1, 0, 0, 3, 0, 7]
    );
    assert!(from_annexb(&[0, 0, 1, 0, 0, 1]).is_err());
}

#[test]
fn absurd_sizes_are_refused() {
    // Widths of 2^30 macroblocks, in a baseline parameter set.
    let mut unit = vec![0x67, 66, 0, 30, 0b1110_1100];
    unit.extend_from_slice(&[0x00, 0x00, 0x03, 0x00, 0x03, 0xff, 0xff, 0xff, 0xff, 0xff]);
    assert!(Config::from_annexb(&[&[0, 0, 1][..], &unit, &[0, 0, 1, 0x68, 1]].concat()).is_err());
}

#[test]
fn any_bytes_are_survived() {
    let records: Vec<Vec<u8>> = CASES.iter().map(|case| hex(case.record)).collect();
    let access_unit = vec![0, 0, 0, 2, 0x06, 1, 0, 0, 0, 3, 0x65, 8, 9];
    let stream = vec![0, 0, 0, 1, 0x67, 0x64, 0, 0x28, 0, 0, 1, 0x68, 5, 0x80, 0, 0, 0, 1, 0x65, 1, 0, 0, 3];
    let seeds: Vec<&[u8]> = records.iter().chain([&access_unit, &stream]).map(Vec::as_slice).collect();
    mutation::run(&seeds, fuzz);
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}
