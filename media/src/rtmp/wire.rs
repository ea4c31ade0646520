//! Chunks written by hand for tests, so that they can be wrong in every way.

use super::amf::Value;

/// A type 0 chunk header.
pub(super) fn header(id: u8, timestamp: u32, length: usize, type_id: u8, stream_id: u32) -> Vec<u8> {
    assert!((2..64).contains(&id));
    let mut bytes = vec![id];
    bytes.extend_from_slice(&timestamp.min(0xff_ffff).to_be_bytes()[1..]);
    bytes.extend_from_slice(&u32::try_from(length).unwrap().to_be_bytes()[1..]);
    bytes.push(type_id);
    bytes.extend_from_slice(&stream_id.to_le_bytes());
    if timestamp >= 0xff_ffff {
        bytes.extend_from_slice(&timestamp.to_be_bytes());
    }
    bytes
}

/// A whole message in chunks of 128 bytes.
pub(super) fn message(id: u8, timestamp: u32, type_id: u8, stream_id: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = header(id, timestamp, payload.len(), type_id, stream_id);
    for (index, part) in payload.chunks(128).enumerate() {
        if index > 0 {
            bytes.push(0xc0 | id);
            if timestamp >= 0xff_ffff {
                bytes.extend_from_slice(&timestamp.to_be_bytes());
            }
        }
        bytes.extend_from_slice(part);
    }
    bytes
}

/// The payload of a command or data message.
pub(super) fn values(values: &[Value]) -> Vec<u8> {
    let mut payload = Vec::new();
    values.iter().for_each(|value| value.write(&mut payload));
    payload
}

pub(super) fn object(properties: &[(&str, Value)]) -> Value {
    Value::Object(properties.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect())
}

/// A command message on message stream `stream_id`.
pub(super) fn command(stream_id: u32, name: &str, transaction: f64, rest: &[Value]) -> Vec<u8> {
    let all = [&[name.into(), transaction.into()][..], rest].concat();
    message(3, 0, 20, stream_id, &values(&all))
}

/// What an encoder sends up to and with its publish request.
pub(super) fn up_to_publish(key: &str) -> Vec<u8> {
    let connect = object(&[
        ("app", "live".into()),
        ("flashVer", "FMLE/3.0".into()),
        ("tcUrl", "rtmp://host/live".into()),
    ]);
    [
        command(0, "connect", 1.0, &[connect]),
        command(0, "releaseStream", 2.0, &[Value::Null, key.into()]),
        command(0, "FCPublish", 3.0, &[Value::Null, key.into()]),
        command(0, "createStream", 4.0, &[Value::Null]),
        command(1, "publish", 5.0, &[Value::Null, key.into(), "live".into()]),
    ]
    .concat()
}
