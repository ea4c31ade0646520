use super::*;
use crate::mutation;
use crate::rtmp::wire::{header, message};

const AUDIO: u8 = 8;
const VIDEO: u8 = 9;

#[test]
fn a_message_in_many_chunks_is_put_together() {
    let payload: Vec<u8> = (0..=255).cycle().take(1_000).collect();
    let messages = read(&message(4, 40, VIDEO, 1, &payload)).unwrap();
    assert_eq!(
        messages,
        [Message { type_id: VIDEO, stream_id: 1, timestamp_ms: 40, payload: payload.into() }]
    );
}

#[test]
fn chunk_streams_may_be_interleaved() {
    // A video message of three chunks, with an audio message and a ping between its chunks, and the audio itself
    // cut by another audio stream.
    let bytes = [
        &header(6, 40, 300, VIDEO, 1)[..],
        &[6; 128],
        &header(4, 41, 200, AUDIO, 1),
        &[4; 128],
        &[0xc6],
        &[6; 128],
        &header(2, 0, 6, 4, 0),
        &[0, 6, 1, 2, 3, 4],
        &[0xc4],
        &[4; 72],
        &[0xc6],
        &[6; 44],
    ]
    .concat();
    let messages = read(&bytes).unwrap();
    let facts: Vec<_> = messages
        .iter()
        .map(|message| (message.type_id, message.timestamp_ms, message.payload.len()))
        .collect();
    assert_eq!(facts, [(4, 0, 6), (AUDIO, 41, 200), (VIDEO, 40, 300)]);
    assert!(messages[1].payload.iter().all(|byte| *byte == 4));
    assert!(messages[2].payload.iter().all(|byte| *byte == 6));
}

#[test]
fn headers_are_completed_from_the_chunk_stream() {
    let bytes = [
        &message(4, 1_000, AUDIO, 1, &[1, 1])[..],
        &[0x44, 0, 0, 20, 0, 0, 3, AUDIO, 2, 2, 2], // type 1: delta 20, length 3
        &[0x84, 0, 0, 30, 3, 3, 3],                 // type 2: delta 30
        &[0xc4, 4, 4, 4],                           // type 3: the same again
    ]
    .concat();
    let times: Vec<_> =
        read(&bytes).unwrap().iter().map(|message| (message.timestamp_ms, message.payload.len())).collect();
    assert_eq!(times, [(1_000, 2), (1_020, 3), (1_050, 3), (1_080, 3)]);
}

#[test]
fn chunk_stream_ids_have_one_two_or_three_bytes() {
    let body = |basic: &[u8]| [basic, &header(3, 0, 1, AUDIO, 1)[1..], &[9]].concat();
    for basic in [&[0x3f][..], &[0, 0], &[0, 255], &[1, 0, 1], &[1, 255, 255]] {
        assert_eq!(read(&body(basic)).unwrap().len(), 1, "{basic:?}");
    }
    // 64 + 1 + 0 * 256 in both of the longer forms is one chunk stream.
    let bytes = [body(&[0, 1]), vec![0xc1, 1, 0, 7]].concat();
    assert_eq!(read(&bytes).unwrap().len(), 2);
}

#[test]
fn extended_timestamps_are_read_whether_repeated_or_not() {
    let payload = [7; 300];
    let repeated = message(4, 0x0100_0000, VIDEO, 1, &payload);
    let forgotten = [
        &header(4, 0x0100_0000, 300, VIDEO, 1)[..],
        &payload[..128],
        &[0xc4],
        &payload[128..256],
        &[0xc4],
        &payload[256..],
    ]
    .concat();
    for bytes in [repeated, forgotten] {
        let messages = read(&bytes).unwrap();
        assert_eq!((messages[0].timestamp_ms, &messages[0].payload[..]), (0x0100_0000, &payload[..]));
    }
}

#[test]
fn extended_deltas_wrap_without_a_panic() {
    let bytes = [
        &message(4, 0xffff_fff0, AUDIO, 1, &[1])[..],
        &[0x84, 0, 0, 0x20, 2],                         // over 2^32
        &[0x84, 0xff, 0xff, 0xff, 0, 0, 0, 5, 3],       // an extended delta that need not be one
        &[0xc4, 0, 0, 0, 5, 4],                         // and again
        &[0x84, 0xff, 0xff, 0xff, 255, 255, 255, 0, 5], // a delta of nearly 2^32
    ]
    .concat();
    let times: Vec<_> = read(&bytes).unwrap().iter().map(|message| message.timestamp_ms).collect();
    assert_eq!(times, [0xffff_fff0, 0x10, 0x15, 0x1a, 0x1a_u32.wrapping_add(0xffff_ff00)]);
}

#[test]
fn the_chunk_size_changes_from_the_next_chunk_on() {
    let bytes = [
        message(2, 0, 1, 0, &4_096_u32.to_be_bytes()),
        header(4, 0, 3_000, VIDEO, 1),
        vec![1; 3_000],
        message(2, 0, 1, 0, &128_u32.to_be_bytes()),
        message(4, 0, VIDEO, 1, &[2; 300]),
    ]
    .concat();
    let sizes: Vec<_> = read(&bytes).unwrap().iter().map(|message| message.payload.len()).collect();
    assert_eq!(sizes, [3_000, 300]);
    for size in [0_u32, 1, 127, 0x8000_0000] {
        assert!(matches!(read(&message(2, 0, 1, 0, &size.to_be_bytes())), Err(Error::Malformed { .. })));
    }
}

#[test]
fn an_aborted_message_is_forgotten() {
    let bytes = [
        &header(4, 0, 300, VIDEO, 1)[..],
        &[1; 128],
        &message(2, 0, 2, 0, &4_u32.to_be_bytes()),
        &message(2, 0, 2, 0, &99_u32.to_be_bytes()),
        &message(4, 9, VIDEO, 1, &[2; 5]),
    ]
    .concat();
    let messages = read(&bytes).unwrap();
    assert_eq!(messages.len(), 1);
    assert_eq!((messages[0].timestamp_ms, &messages[0].payload[..]), (9, &[2; 5][..]));
}

#[test]
fn empty_messages_have_no_payload_and_no_end() {
    let bytes = [message(4, 5, AUDIO, 1, &[]), vec![0xc4, 0xc4]].concat();
    assert_eq!(read(&bytes).unwrap().len(), 3);
}

#[test]
fn violations_end_the_connection() {
    assert!(matches!(read(&[0xc4]), Err(Error::Protocol { .. })), "type 3 on a fresh chunk stream");
    assert!(matches!(read(&[0x84, 0, 0, 0]), Err(Error::Protocol { .. })), "type 2 on a fresh chunk stream");
    let inside = [&header(4, 0, 300, VIDEO, 1)[..], &[1; 128], &header(4, 0, 300, VIDEO, 1)].concat();
    assert!(matches!(read(&inside), Err(Error::Protocol { .. })), "a message inside another");
}

#[test]
fn a_ping_may_open_a_chunk_stream_with_a_type_1_header() {
    let messages = read(&[0x42, 0, 0, 1, 0, 0, 6, 4, 0, 7, 0, 0, 0, 1]).unwrap();
    assert_eq!((messages[0].type_id, messages[0].stream_id), (4, 0));
}

#[test]
fn sizes_and_counts_are_limited() {
    let limits = Limits::default();
    let limit = |result: Result<Vec<Message>>| match result {
        Err(Error::Limit { limit, .. }) => limit,
        other => panic!("{other:?}"),
    };
    assert_eq!(limit(read(&header(4, 0, limits.media_message + 1, VIDEO, 1))), limits.media_message);
    assert_eq!(limit(read(&header(4, 0, limits.control_message + 1, 20, 1))), limits.control_message);
    let opened: Vec<u8> =
        (2..63).flat_map(|id| header(id, 0, 200, VIDEO, 1).into_iter().chain([0; 128])).collect();
    assert_eq!(limit(read(&opened)), limits.chunk_streams);

    // Three messages of 4 MiB: more than may be pending, but one after the other.
    let large = 4 << 20;
    let mut flood = message(2, 0, 1, 0, &0x7fff_ffff_u32.to_be_bytes());
    for id in [4, 5, 6] {
        flood.extend(header(id, 0, large, VIDEO, 1));
        flood.extend(vec![0; large]);
    }
    assert_eq!(read(&flood).unwrap().len(), 3, "finished messages are no longer pending");
    let mut assembler = Assembler::new(Limits { pending: 1_000, ..limits });
    let unfinished = [&header(4, 0, 2_000, VIDEO, 1)[..], &[0; 128]].concat();
    let mut input = BytesMut::from(&unfinished[..]);
    for _ in 0..7 {
        assert_eq!(assembler.next(&mut input).unwrap(), None);
        input.extend_from_slice(&[&[0xc4][..], &[0; 128]].concat());
    }
    assert!(matches!(assembler.next(&mut input), Err(Error::Limit { limit: 1_000, .. })));
}

#[test]
fn any_bytes_are_survived_and_splitting_changes_nothing() {
    let interleaved = [
        &message(2, 0, 1, 0, &200_u32.to_be_bytes())[..],
        &header(6, 40, 300, VIDEO, 1),
        &[6; 200],
        &header(4, 41, 10, AUDIO, 1),
        &[4; 10],
        &[0xc6],
        &[6; 100],
        &[0xc4],
        &[5; 10],
        &[0x84, 0, 0, 9],
        &[5; 10],
    ]
    .concat();
    let extended = [
        &message(4, 0x0100_0000, VIDEO, 1, &[7; 300])[..],
        &header(5, 0x0100_0000, 130, VIDEO, 1),
        &[7; 128],
        &[0xc5, 7, 7],
        &message(2, 0, 2, 0, &4_u32.to_be_bytes()),
    ]
    .concat();
    mutation::run(&[&interleaved, &extended], fuzz);
}

fn read(bytes: &[u8]) -> Result<Vec<Message>> {
    let mut assembler = Assembler::new(Limits::default());
    let mut input = BytesMut::from(bytes);
    let mut messages = Vec::new();
    while let Some(message) = assembler.next(&mut input)? {
        messages.push(message);
    }
    Ok(messages)
}
