mod enhanced;
mod peers;

use super::*;
use crate::mutation;
use crate::rtmp::amf::{self, Value};
use crate::rtmp::chunk::Message;
use crate::rtmp::wire::{command, message, object, up_to_publish, values};

#[test]
fn a_publish_waits_for_its_answer_and_nothing_is_lost_meanwhile() {
    let mut session = fresh();
    session.handle_input(&up_to_publish("secret?token=1")).unwrap();
    session.handle_input(&message(4, 7, message::VIDEO, 1, &[0x17, 1])).unwrap();
    assert_eq!(
        events(&mut session),
        [
            Event::Connect {
                app: "live".to_owned(),
                tc_url: "rtmp://host/live".to_owned(),
                encoder: "FMLE/3.0".to_owned()
            },
            Event::Publish { app: "live".to_owned(), key: "secret".to_owned(), query: "token=1".to_owned() },
        ]
    );
    assert_eq!(commands(&mut session), ["_result", "_result", "_result", "_result"]);
    session.accept_publish().unwrap();
    assert_eq!(commands(&mut session), ["onStatus NetStream.Publish.Start"]);
    assert_eq!(
        events(&mut session),
        [Event::Video { timestamp_ms: 7, data: Bytes::from_static(&[0x17, 1]) }]
    );
}

#[test]
fn the_query_may_stand_behind_the_application() {
    let mut session = fresh();
    let connect = object(&[("app", "/live/?token=2".into())]);
    session.handle_input(&command(0, "connect", 1.0, &[connect])).unwrap();
    session.handle_input(&command(0, "createStream", 2.0, &[])).unwrap();
    session.handle_input(&command(1, "publish", 0.0, &[Value::Null, "key".into()])).unwrap();
    let publish =
        Event::Publish { app: "live".to_owned(), key: "key".to_owned(), query: "token=2".to_owned() };
    assert_eq!(events(&mut session).pop(), Some(publish));
}

#[test]
fn a_rejected_publisher_is_told_why_and_read_no_more() {
    let mut session = fresh();
    session.handle_input(&up_to_publish("wrong")).unwrap();
    sent(&mut session);
    session.reject_publish("NetStream.Publish.BadName", "Unknown stream key");
    assert!(session.is_closed());
    let sent = sent(&mut session);
    let status = amf::read(&sent[0].payload).unwrap();
    assert_eq!((sent.len(), sent[0].stream_id), (1, 1));
    assert_eq!(status[3].get("level"), Some(&"error".into()));
    assert_eq!(status[3].get("description"), Some(&"Unknown stream key".into()));
    session.handle_input(&up_to_publish("again")).unwrap();
    assert_eq!(session.poll_output(), None);
}

#[test]
fn a_live_publisher_can_be_turned_away() {
    let mut session = live();
    session.reject_publish("NetStream.Publish.Rejected", "HEVC is not supported");
    assert_eq!(commands(&mut session), ["onStatus NetStream.Publish.Rejected"]);
    assert!(session.is_closed());
}

#[test]
fn a_second_publish_is_refused_and_the_first_goes_on() {
    let mut session = live();
    session.handle_input(&command(1, "publish", 6.0, &[Value::Null, "other".into()])).unwrap();
    assert_eq!(commands(&mut session), ["onStatus NetStream.Publish.BadName"]);
    session.handle_input(&message(4, 0, message::AUDIO, 1, &[0xaf, 1, 2])).unwrap();
    assert!(matches!(events(&mut session)[..], [Event::Audio { .. }]));
}

#[test]
fn every_way_of_stopping_is_one_unpublish_and_media_behind_it_is_dropped() {
    let stops: [&[u8]; 4] = [
        &command(1, "FCUnpublish", 6.0, &[Value::Null, "secret".into()]),
        &command(1, "closeStream", 0.0, &[Value::Null]),
        &command(0, "deleteStream", 0.0, &[Value::Null, 1.0.into()]),
        &[
            command(0, "FCUnpublish", 6.0, &[Value::Null, "secret".into()]),
            command(0, "deleteStream", 7.0, &[Value::Null, 1.0.into()]),
        ]
        .concat(),
    ];
    for stop in stops {
        let mut session = live();
        session.handle_input(stop).unwrap();
        session.handle_input(&message(4, 0, message::AUDIO, 1, &[0xaf, 1, 2])).unwrap();
        assert_eq!(events(&mut session), [Event::Unpublish]);
        assert_eq!(commands(&mut session)[0], "onStatus NetStream.Unpublish.Success");
    }
}

#[test]
fn a_publisher_that_stopped_may_publish_again() {
    let mut session = live();
    session.handle_input(&command(1, "closeStream", 0.0, &[Value::Null])).unwrap();
    session.handle_input(&command(1, "publish", 0.0, &[Value::Null, "secret".into()])).unwrap();
    assert!(matches!(events(&mut session)[..], [Event::Unpublish, Event::Publish { .. }]));
}

#[test]
fn publishing_without_a_key_or_a_stream_is_refused_and_the_connection_kept() {
    let mut session = fresh();
    session.handle_input(&command(0, "connect", 1.0, &[object(&[("app", "live".into())])])).unwrap();
    session.handle_input(&command(1, "publish", 2.0, &[Value::Null, "key".into()])).unwrap();
    session.handle_input(&command(0, "createStream", 3.0, &[])).unwrap();
    for arguments in [&[][..], &[Value::Null], &[Value::Null, "".into()], &[Value::Null, "?token=1".into()]] {
        session.handle_input(&command(1, "publish", 4.0, arguments)).unwrap();
    }
    let refusals = commands(&mut session).iter().filter(|name| name.ends_with("Publish.BadName")).count();
    assert_eq!(refusals, 5);
    assert_eq!(events(&mut session).len(), 1, "only the connect");
}

#[test]
fn players_and_unknown_commands_get_a_polite_no() {
    let mut session = fresh();
    session.handle_input(&command(0, "connect", 1.0, &[object(&[("app", "live".into())])])).unwrap();
    session.handle_input(&command(0, "createStream", 2.0, &[])).unwrap();
    sent(&mut session);
    session.handle_input(&command(0, "getStreamLength", 3.0, &[Value::Null, "key".into()])).unwrap();
    session.handle_input(&command(1, "play", 0.0, &[Value::Null, "key".into()])).unwrap();
    session.handle_input(&command(0, "silent", 0.0, &[])).unwrap();
    assert_eq!(
        commands(&mut session),
        ["_error NetConnection.Call.Failed", "onStatus NetStream.Play.Failed"]
    );
}

#[test]
fn commands_and_metadata_marked_as_amf3_are_read() {
    let behind_format = |values: &[u8]| [&[0], values].concat();
    let mut session = fresh();
    let connect = values(&["connect".into(), 1.0.into(), object(&[("app", "live".into())])]);
    session.handle_input(&message(3, 0, 17, 0, &behind_format(&connect))).unwrap();
    assert!(matches!(events(&mut session)[..], [Event::Connect { .. }]));

    let mut session = live();
    let metadata = values(&["onMetaData".into(), object(&[("encoder", "x".into())])]);
    session.handle_input(&message(3, 0, 15, 1, &behind_format(&metadata))).unwrap();
    assert!(matches!(&events(&mut session)[..], [Event::Metadata(metadata)] if metadata.encoder.is_some()));
}

#[test]
fn metadata_says_what_can_be_true() {
    let mut session = live();
    let fields = object(&[
        ("encoder", Value::String("e".repeat(1_000))),
        ("width", 1_280.0.into()),
        ("height", f64::NAN.into()),
        ("framerate", 29.97.into()),
        ("videodatarate", (-1.0).into()),
        ("audiosamplerate", "44100".into()),
        ("creationdate", Value::Date(0.0)),
    ]);
    for head in [&["@setDataFrame".into(), "onMetaData".into()][..], &["onMetaData".into()]] {
        let payload = values(&[head, std::slice::from_ref(&fields)].concat());
        session.handle_input(&message(4, 0, 18, 1, &payload)).unwrap();
        let expected = Metadata {
            encoder: Some("e".repeat(256)),
            width: Some(1_280),
            frame_rate: Some(29.97),
            ..Metadata::default()
        };
        assert_eq!(events(&mut session), [Event::Metadata(expected)]);
    }
}

#[test]
fn damaged_metadata_is_passed_over() {
    let mut session = live();
    let heads: [&[Value]; 4] = [
        &["@setDataFrame".into()],
        &["@setDataFrame".into(), "onMetaData".into()],
        &["onCuePoint".into()],
        &[],
    ];
    for head in heads {
        session.handle_input(&message(4, 0, 18, 1, &values(head))).unwrap();
    }
    session.handle_input(&message(4, 0, 18, 1, &b"\x0a\0\0\0\x01".repeat(10_000))).unwrap();
    assert_eq!(events(&mut session), []);
}

#[test]
fn pings_are_answered_and_all_bytes_are_acknowledged() {
    let mut session = live();
    session.handle_input(&message(2, 0, message::USER_CONTROL, 0, &[0, 6, 1, 2, 3, 4])).unwrap();
    let reply = sent(&mut session).remove(0);
    assert_eq!((reply.type_id, &reply.payload[..]), (message::USER_CONTROL, &[0, 7, 1, 2, 3, 4][..]));

    session.handle_input(&message(2, 0, message::WINDOW_ACKNOWLEDGEMENT_SIZE, 0, &[0, 0, 4, 0])).unwrap();
    let mut totals = Vec::new();
    for _ in 0..6 {
        session.handle_input(&message(4, 0, message::VIDEO, 1, &[1; 500])).unwrap();
        totals.extend(sent(&mut session).iter().map(|message| {
            assert_eq!(message.type_id, message::ACKNOWLEDGEMENT);
            u64::from(u32::from_be_bytes(message.payload[..].try_into().unwrap()))
        }));
    }
    assert!(totals.len() >= 2 && totals.windows(2).all(|pair| pair[1] > pair[0]), "{totals:?}");
    assert!(*totals.last().unwrap() > session.received.total - 1_024);
}

#[test]
fn acknowledged_totals_wrap() {
    let mut received = Received { total: (1 << 32) + 5, window: 1, ..Received::default() };
    assert_eq!(received.acknowledgement(), Some(5));
}

#[test]
fn an_aggregate_is_its_parts_at_their_own_times() {
    let mut session = live();
    let mut payload = Vec::new();
    for (type_id, time) in [(message::VIDEO, 100_u8), (18, 100), (message::AUDIO, 120)] {
        payload.extend_from_slice(&[type_id, 0, 0, 2, 0, 0, time, 0, 0, 0, 0, 0xaa, type_id, 0, 0, 0, 13]);
    }
    session.handle_input(&message(4, 5_000, message::AGGREGATE, 1, &payload)).unwrap();
    assert_eq!(
        events(&mut session),
        [
            Event::Video { timestamp_ms: 5_000, data: Bytes::from_static(&[0xaa, 9]) },
            Event::Audio { timestamp_ms: 5_020, data: Bytes::from_static(&[0xaa, 8]) },
        ]
    );
    let damaged = message(4, 0, message::AGGREGATE, 1, &payload[..20]);
    assert!(matches!(session.handle_input(&damaged), Err(Error::Malformed { .. })));
}

#[test]
fn a_command_of_one_byte_is_an_error_and_ends_the_connection() {
    for payload in [&[0x05][..], &[0x02], &[]] {
        let mut session = fresh();
        let result = session.handle_input(&message(3, 0, message::COMMAND, 0, payload));
        assert!(matches!(result, Err(Error::Malformed { .. })), "{payload:?}");
        assert!(session.is_closed());
        assert_eq!(session.handle_input(&[0; 100]), Ok(()), "what comes behind is not read");
    }
}

#[test]
fn nested_values_before_a_login_are_an_error() {
    let nested = [&values(&["connect".into(), 1.0.into()])[..], &b"\x0a\0\0\0\x01".repeat(13_000)].concat();
    let result = fresh().handle_input(&message(3, 0, message::COMMAND, 0, &nested));
    assert!(matches!(result, Err(Error::Limit { .. })), "{result:?}");
}

#[test]
fn commands_out_of_order_are_violations() {
    assert!(matches!(
        fresh().handle_input(&command(0, "createStream", 1.0, &[])),
        Err(Error::Protocol { .. })
    ));
    let connect = command(0, "connect", 1.0, &[object(&[("app", "live".into())])]);
    assert!(matches!(fresh().handle_input(&connect.repeat(2)), Err(Error::Protocol { .. })));
}

#[test]
fn streams_commands_and_untaken_replies_are_limited() {
    let limits = Limits::default();
    let flood = |one: Vec<u8>| {
        let mut session = fresh();
        session.handle_input(&command(0, "connect", 1.0, &[object(&[("app", "live".into())])])).unwrap();
        let result = session.handle_input(&one.repeat(200_000));
        match result {
            Err(Error::Limit { limit, .. }) => limit,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(flood(command(0, "createStream", 2.0, &[])), limits.streams);
    assert_eq!(flood(command(0, "getStreamLength", 2.0, &[])), limits.commands);
    assert_eq!(flood(message(2, 0, message::USER_CONTROL, 0, &[0, 6, 1, 2, 3, 4])), limits.replies);

    let mut session = fresh();
    session.handle_input(&up_to_publish("secret")).unwrap();
    let result = session.handle_input(&vec![0; limits.pending + 1]);
    assert!(matches!(result, Err(Error::Limit { .. })), "{result:?}");
}

#[test]
fn a_stranger_may_make_us_hold_little_and_a_publisher_a_picture() {
    let limits = Limits::default();
    let picture = message(6, 0, message::VIDEO, 1, &vec![0x17; limits.control_message + 1]);
    let result = fresh().handle_input(&picture);
    assert!(matches!(result, Err(Error::Limit { .. })), "{result:?}");
    // All but the last chunks of a message of each of four chunk streams.
    const WHOLE_CHUNKS: usize = 12 + 128 + 460 * 129;
    let body = vec![0x17; limits.control_message];
    let begun = |id| message(id, 0, message::VIDEO, 1, &body)[..WHOLE_CHUNKS].to_vec();
    // Each of them is allowed, all of them are too much.
    assert_eq!(fresh().handle_input(&begun(4)), Ok(()));
    let result = fresh().handle_input(&[4, 5, 6, 7].map(begun).concat());
    let what = "RTMP bytes in unfinished messages";
    assert_eq!(result, Err(Error::Limit { what, limit: 2 * limits.control_message }));

    let mut session = live();
    session.handle_input(&picture).unwrap();
    assert!(matches!(events(&mut session)[..], [Event::Video { .. }]));
}

#[test]
fn a_handshake_of_another_protocol_is_refused() {
    let mut session = Session::new(Limits::default());
    let error = session.handle_input(b"GET / HTTP/1.1\r\n\r\n").unwrap_err();
    assert_eq!(error.to_string(), "RTMP handshake violated: the first byte is not version 3");
    assert!(session.is_closed());
}

#[test]
fn any_bytes_are_survived_and_splitting_changes_nothing() {
    let start = up_to_publish("secret?a=b");
    let publish = [
        &start[..],
        &message(
            4,
            0,
            18,
            1,
            &values(&["@setDataFrame".into(), "onMetaData".into(), object(&[("width", 9.0.into())])]),
        ),
        &message(6, 0, message::VIDEO, 1, &[0x17; 300]),
        &message(4, 3, message::AUDIO, 1, &[0xaf; 20]),
        &message(2, 0, message::USER_CONTROL, 0, &[0, 6, 1, 2, 3, 4]),
        &message(2, 0, message::WINDOW_ACKNOWLEDGEMENT_SIZE, 0, &[0, 0, 0, 9]),
        &command(0, "deleteStream", 7.0, &[Value::Null, 1.0.into()]),
    ]
    .concat();
    let tail = &publish[start.len()..];
    mutation::run_cases(&[&publish, &start, tail], 1_500, fuzz);
}

/// A session, and the reader of what it sends.
struct Connection {
    session: Session,
    reader: Assembler,
}

/// A session behind its handshake.
fn fresh() -> Connection {
    let mut session = Session::new(Limits::default());
    session.stage = Stage::Fresh;
    Connection { session, reader: Assembler::new(Limits::default()) }
}

/// A session that publishes.
fn live() -> Connection {
    let mut connection = fresh();
    connection.handle_input(&up_to_publish("secret")).unwrap();
    connection.accept_publish().unwrap();
    events(&mut connection);
    sent(&mut connection);
    connection
}

fn events(session: &mut Session) -> Vec<Event> {
    std::iter::from_fn(|| session.poll_event()).collect()
}

/// The messages that the session has sent since it was last asked.
fn sent(connection: &mut Connection) -> Vec<Message> {
    let mut bytes = BytesMut::new();
    while let Some(output) = connection.poll_output() {
        bytes.extend_from_slice(&output);
    }
    let messages = std::iter::from_fn(|| connection.reader.next(&mut bytes).unwrap()).collect();
    assert!(bytes.is_empty(), "output is whole messages");
    messages
}

/// Names of the commands that were sent, with the code of their information object.
fn commands(connection: &mut Connection) -> Vec<String> {
    let named =
        sent(connection).into_iter().filter(|message| message.type_id == message::COMMAND).map(|message| {
            let values = amf::read(&message.payload).unwrap();
            let name = values[0].as_str().unwrap().to_owned();
            match values.get(3).and_then(|info| info.get("code")).and_then(Value::as_str) {
                Some(code) if name != "_result" => format!("{name} {code}"),
                _ => name,
            }
        });
    named.collect()
}

impl std::ops::Deref for Connection {
    type Target = Session;

    fn deref(&self) -> &Session {
        &self.session
    }
}

impl std::ops::DerefMut for Connection {
    fn deref_mut(&mut self) -> &mut Session {
        &mut self.session
    }
}
