use super::*;
use crate::fixtures::{HEVC_AAC, sequence_start, tags};
use crate::mutation;

#[test]
fn a_record_gives_size_frame_rate_and_name() {
    let record = sequence_start(HEVC_AAC, true);
    let config = Config::parse(&record).unwrap();
    assert_eq!((config.width, config.height, config.frame_rate), (160, 90, Some((25, 1))));
    assert_eq!(config.codec_string(), "hvc1.1.6.L30.90");
    assert_eq!(Config::parse(&config.record).as_ref(), Ok(&config));
    // As x265 says it, but that all parameter sets are there.
    assert_eq!(
        (&config.record[..13], config.record[16..19].to_vec()),
        (&record[..13], record[16..19].to_vec())
    );
    assert_eq!(length_size(&config.record), Ok(4));
}

#[test]
fn parameter_sets_between_start_codes_give_the_same_record() {
    let record = Config::parse(&sequence_start(HEVC_AAC, true)).unwrap();
    let mut stream = Vec::new();
    let mut rest = &record.record[23..];
    while let [_, _, 1, high, low, data @ ..] = rest {
        let (unit, next) = data.split_at(usize::from(u16::from_be_bytes([*high, *low])));
        stream.extend_from_slice(&[0, 0, 0, 1]);
        stream.extend_from_slice(unit);
        rest = next;
    }
    assert!(rest.is_empty());
    assert_eq!(Config::from_annexb(&stream).as_ref(), Ok(&record));
    // A transport stream repeats them at each keyframe.
    assert_eq!(Config::from_annexb(&[&stream[..], &stream].concat()), Ok(record));
    assert!(Config::from_annexb(&stream[..40]).is_err(), "parameter sets are missing");
}

#[test]
fn names_follow_the_standard() {
    let named = |head: [u8; 12]| {
        let record = [&[1][..], &head, &[0; 10]].concat();
        Config { record: record.into(), width: 1, height: 1, frame_rate: None }.codec_string()
    };
    assert_eq!(named([1, 0x60, 0, 0, 0, 0xb0, 0, 0, 0, 0, 0, 93]), "hvc1.1.6.L93.B0");
    assert_eq!(named([0x22, 0x20, 0, 0, 0, 0x90, 0, 0, 0, 0, 0, 153]), "hvc1.2.4.H153.90");
    assert_eq!(named([0x41, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 1, 120]), "hvc1.A1.1.L120.0.0.0.0.0.1");
}

#[test]
fn keyframes_are_what_decoding_can_start_with() {
    let video: Vec<_> = tags(HEVC_AAC).into_iter().filter(|tag| tag.is_video).collect();
    let pictures: Vec<bool> = video
        .iter()
        .filter_map(|tag| match tag.body[0] & 0x0f {
            1 => Some(is_keyframe(&tag.body[8..])),
            3 => Some(is_keyframe(&tag.body[5..])),
            _ => None,
        })
        .collect();
    assert_eq!(pictures.iter().filter(|keyframe| **keyframe).count(), 2);
    assert!(pictures[0] && pictures[5]);
    for (header, keyframe) in [(0x2a, true), (0x26, true), (0x20, true), (0x02, false), (0x40, false)] {
        assert_eq!(is_keyframe(&[0, 0, 0, 2, header, 1]), keyframe, "{header:02x}");
    }
}

#[test]
fn delimiters_are_left_out_of_access_units() {
    let stream = [0, 0, 0, 1, 0x46, 1, 0x10, 0, 0, 1, 0x26, 1, 7];
    assert_eq!(from_annexb(&stream).unwrap()[..], [0, 0, 0, 3, 0x26, 1, 7]);
    assert!(from_annexb(&stream[..7]).is_err());
}

#[test]
fn damage_is_refused() {
    let record = sequence_start(HEVC_AAC, true);
    for end in [0, 1, 22, 23, 40, record.len() - 1] {
        assert!(Config::parse(&record[..end]).is_err(), "{end}");
    }
}

#[test]
fn any_bytes_are_survived() {
    let record = sequence_start(HEVC_AAC, true);
    let config = Config::parse(&record).unwrap();
    let picture = [0, 0, 0, 1, 0x46, 1, 0x10, 0, 0, 1, 0x26, 1, 7];
    mutation::run(&[&record, &config.record, &picture], fuzz);
}
