use rml_rtmp::rml_amf0;

use super::*;
use crate::mutation;
use crate::rtmp::wire::{object, values};

#[test]
fn values_survive_writing_and_reading() {
    let all = [
        Value::Number(-1.5),
        Value::Boolean(true),
        Value::from("text"),
        Value::String("long".repeat(20_000)),
        object(&[("a", 1.0.into()), ("", Value::Null), ("nested", object(&[("b", "c".into())]))]),
        Value::Array(vec![Value::Undefined, Value::Date(1.0e12)]),
    ];
    assert_eq!(read(&values(&all)).unwrap(), all);
}

#[test]
fn another_implementation_reads_what_is_written() {
    let all = [Value::Number(2.0), Value::from("x"), object(&[("k", Value::Boolean(false))]), Value::Null];
    let theirs = rml_amf0::deserialize(&mut &values(&all)[..]).unwrap();
    let properties = [("k".to_owned(), rml_amf0::Amf0Value::Boolean(false))].into();
    assert_eq!(
        theirs,
        [
            rml_amf0::Amf0Value::Number(2.0),
            rml_amf0::Amf0Value::Utf8String("x".to_owned()),
            rml_amf0::Amf0Value::Object(properties),
            rml_amf0::Amf0Value::Null,
        ]
    );
}

#[test]
fn every_type_is_read_as_the_nearest_value() {
    let cases: &[(&[u8], Value)] = &[
        (b"\x08\0\0\0\x63\0\x01a\x05\0\0\x09", object(&[("a", Value::Null)])), // a wrong count
        (b"\x08\0\0\0\x01\0\x01a\x05", object(&[("a", Value::Null)])),         // no end marker
        (b"\x10\0\x05Class\0\x01a\x01\x01\0\0\x09", object(&[("a", Value::Boolean(true))])),
        (b"\x07\0\x01", Value::Undefined),
        (b"\x0d", Value::Undefined),
        (b"\x0b\x42\x6d\x1a\x94\xa2\0\0\0\0\x3c", Value::Date(1.0e12)),
        (b"\x0c\0\0\0\x02hi", Value::from("hi")),
        (b"\x0f\0\0\0\x04<a/>", Value::from("<a/>")),
        (b"\x02\0\x02\xff\xfe", Value::from("\u{fffd}\u{fffd}")),
    ];
    for (bytes, value) in cases {
        assert_eq!(read(bytes).as_ref(), Ok(&vec![value.clone()]), "{bytes:02x?}");
    }
}

#[test]
fn truncation_is_an_error_everywhere() {
    let whole = values(&[object(&[("key", "value".into()), ("date", Value::Date(0.0))])]);
    for end in 1..whole.len() {
        assert!(matches!(read(&whole[..end]), Err(Error::Malformed { .. })), "{end}");
    }
    for bytes in [&b"\x02\0\x05abc"[..], b"\x0c\xff\xff\xff\xffabc", b"\x0a\xff\xff\xff\xff\x05", b"\x11\x01"]
    {
        assert!(matches!(read(bytes), Err(Error::Malformed { .. })), "{bytes:02x?}");
    }
}

#[test]
fn nesting_is_limited() {
    for nested in [
        b"\x0a\0\0\0\x01".repeat(13_000),
        b"\x03\0\x01a".repeat(13_000),
        b"\x08\0\0\0\x01\0\x01a".repeat(8_000),
    ] {
        assert_eq!(read(&nested), Err(Error::Limit { what: "AMF0 nesting levels", limit: MAX_DEPTH }));
    }
}

#[test]
fn a_flood_of_small_values_is_limited() {
    let limit = Err(Error::Limit { what: "AMF0 values in a message", limit: MAX_VALUES });
    assert_eq!(read(&[NULL; 65_536]), limit);
    let array = [&b"\x0a\0\x10\0\0"[..], &[NULL; 65_000]].concat();
    assert_eq!(read(&array), limit);
    assert_eq!(read(&[NULL; MAX_VALUES]).unwrap().len(), MAX_VALUES);
}

#[test]
fn any_bytes_are_survived() {
    let connect = values(&["connect".into(), 1.0.into(), object(&[("app", "live".into())])]);
    let kinds = b"\x08\0\0\0\x01\0\x01a\x05\0\0\x09\x10\0\x01C\0\x01a\x01\x01\0\0\x09\x07\0\x01\x0d\x0a\0\0\0\x01\x0c\0\0\0\x02hi";
    mutation::run(&[&connect, kinds], fuzz);
}
