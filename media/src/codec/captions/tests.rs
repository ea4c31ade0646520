use super::*;
use crate::mutation;

/// An SEI NAL unit behind its length, with these caption triples.
pub(crate) fn sei(triples: &[[u8; 3]]) -> Vec<u8> {
    let mut payload = ATSC_CC_DATA.to_vec();
    payload.extend_from_slice(&[0x40 | u8::try_from(triples.len()).unwrap(), 0xff]);
    payload.extend(triples.iter().flatten());
    payload.push(0xff);
    let mut unit = vec![SEI, 4, u8::try_from(payload.len()).unwrap()];
    // Two zeros are followed by a 3 where a start code could be seen (ITU-T H.264 §7.4.1).
    for byte in payload {
        if byte <= 3 && unit.ends_with(&[0, 0]) {
            unit.push(3);
        }
        unit.push(byte);
    }
    unit.push(0x80);
    [&u32::try_from(unit.len()).unwrap().to_be_bytes()[..], &unit].concat()
}

type Case = (&'static str, &'static [[u8; 3]], &'static [&'static str]);

/// Captions, and what is found in them.
const CASES: &[Case] = &[
    ("padding alone", &[[0xfc, 0x80, 0x80], [0xfd, 0x80, 0x80]], &[]),
    ("field 1, first channel: resume caption loading", &[[0xfc, 0x94, 0x20]], &["CC1"]),
    ("field 1, second channel", &[[0xfc, 0x1c, 0x20]], &["CC2"]),
    ("field 2, both channels", &[[0xfd, 0x94, 0x20], [0xfd, 0x1c, 0x20]], &["CC3", "CC4"]),
    ("not valid", &[[0xf8, 0x94, 0x20]], &[]),
    ("characters name nobody", &[[0xfc, 0xc8, 0xe9]], &[]),
    // Size code 2: 4 bytes; service 1 with 2 of them.
    ("a packet of service 1", &[[0xff, 0x02, 0x22], [0xfe, b'H', b'i']], &["SERVICE1"]),
    (
        "services 2 and 9",
        &[[0xff, 0x04, 0x41], [0xfe, b'x', 0xe1], [0xfe, 9, b'y'], [0xfe, 0, 0]],
        &["SERVICE2", "SERVICE9"],
    ),
    ("a packet without a beginning", &[[0xfe, 0x22, b'H']], &[]),
    ("an empty block is nobody", &[[0xff, 0x01, 0x20]], &[]),
    ("a block that is longer than its packet", &[[0xff, 0x01, 0x3f]], &[]),
];

#[test]
fn everybody_who_speaks_is_found() {
    for (name, triples_sent, ids) in CASES {
        let unit = sei(triples_sent);
        assert_eq!(triples(&unit), *triples_sent, "{name}");
        let mut detector = Detector::default();
        (0..20).for_each(|pts| detector.push(pts, &unit));
        assert!(detector.found().present);
        assert!(detector.found().instream_ids().eq(ids.iter().copied()), "{name}: {:?}", detector.found());
    }
}

#[test]
fn a_packet_is_put_together_in_the_order_pictures_are_shown() {
    let mut detector = Detector::default();
    for group in 0..10 {
        // Decoded first, shown last.
        for (shown, triple) in [(0, [0xff, 0x03, 0x24]), (2, [0xfe, b'c', b'd']), (1, [0xfe, b'a', b'b'])] {
            detector.push(3 * group + shown, &sei(&[triple]));
        }
    }
    assert!(detector.found().instream_ids().eq(["SERVICE1"]));
}

#[test]
fn video_without_captions_has_none() {
    let mut detector = Detector::default();
    for unit in [&[0, 0, 0, 2, 0x65, 1][..], &[0, 0, 0, 4, 6, 5, 1, 0x80], &[0, 0, 0, 9, 6], &[]] {
        detector.push(0, unit);
    }
    assert_eq!(detector.found(), Found::default());
    assert_eq!(detector.found().instream_ids().count(), 0);
}

#[test]
fn any_bytes_are_survived() {
    let seeds: Vec<Vec<u8>> = CASES.iter().map(|(_, triples, _)| sei(triples)).collect();
    let seeds: Vec<&[u8]> = seeds.iter().map(Vec::as_slice).collect();
    mutation::run(&seeds, fuzz);
}
