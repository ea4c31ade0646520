use super::*;
use crate::fixtures::{AV1_OPUS, sequence_start, tags};
use crate::mutation;

#[test]
fn a_record_gives_size_and_name() {
    let record = sequence_start(AV1_OPUS, true);
    let config = Config::parse(&record).unwrap().unwrap();
    assert_eq!((config.width, config.height), (160, 90));
    assert_eq!(config.codec_string(), "av01.0.00M.08");
    assert_eq!(config.record, record, "SVT-AV1's own");
}

#[test]
fn a_keyframe_gives_what_a_bare_record_leaves_out() {
    let record = sequence_start(AV1_OPUS, true);
    assert_eq!(Config::parse(&record[..4]), Ok(None));
    let keyframe = units().swap_remove(0);
    let config = Config::from_keyframe(&keyframe).unwrap();
    assert_eq!((config.width, config.height, config.codec_string()), (160, 90, "av01.0.00M.08".to_owned()));
    assert!(Config::from_keyframe(&units()[1]).is_err());
}

#[test]
fn keyframes_are_what_decoding_can_start_with() {
    let keyframes: Vec<bool> = units().iter().map(|unit| is_keyframe(unit)).collect();
    assert_eq!(keyframes, [true, false, false, false, false, true, false, false, false, false]);
}

#[test]
fn the_delimiter_goes_and_nothing_is_copied() {
    let unit = units().swap_remove(0);
    let normal = normalise(&unit).unwrap();
    assert_eq!(normal, unit[2..]);
    assert_eq!(normal.as_ptr(), unit[2..].as_ptr());
    assert!(normalise(&Bytes::from_static(&[0x12, 0])).is_err());
    assert!(normalise(&Bytes::from_static(&[0x32, 9, 1])).is_err(), "its size is too large");
    assert!(normalise(&Bytes::from_static(&[0x30, 9, 1])).is_ok(), "the last may leave its size out");
}

#[test]
fn high_dynamic_range_is_in_the_name() {
    // Main profile, reduced header, level 8, 16x16; ten bits, BT.2020 with PQ, limited range, position 2.
    let bits = "000 1 1 01000 0011 0011 1111 1111 000 000 1 0 1 00001001 00010000 00001001 0 10 0 0 1";
    let bits: Vec<bool> = bits.chars().filter(|bit| *bit != ' ').map(|bit| bit == '1').collect();
    let payload: Vec<u8> = bits
        .chunks(8)
        .map(|byte| byte.iter().enumerate().fold(0, |all, (at, bit)| all | u8::from(*bit) << (7 - at)))
        .collect();
    let mut unit = BytesMut::new();
    obu::put(&mut unit, obu::SEQUENCE_HEADER, &payload);
    let config = Config::from_keyframe(&unit).unwrap();
    assert_eq!((config.width, config.height), (16, 16));
    assert_eq!(config.codec_string(), "av01.0.08M.10.0.112.09.16.09.0");
}

#[test]
fn damage_is_refused() {
    let record = sequence_start(AV1_OPUS, true);
    for damaged in [&record[..3], &record[..8], &[0x01, 0, 0, 0], &[0x81, 0, 0, 0, 0x80]] {
        assert!(Config::parse(damaged).is_err(), "{damaged:02x?}");
    }
}

#[test]
fn any_bytes_are_survived() {
    let record = sequence_start(AV1_OPUS, true);
    let units = units();
    mutation::run(&[&record, &units[0][..64], &units[1]], fuzz);
}

/// The temporal units of the recording.
fn units() -> Vec<Bytes> {
    let video = tags(AV1_OPUS).into_iter().filter(|tag| tag.is_video && tag.body[0] & 0x0f == 1);
    video.map(|tag| tag.body.slice(5..)).collect()
}
