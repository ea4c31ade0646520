//! Enhanced RTMP as it is offered and answered.

use super::*;

#[test]
fn every_way_to_offer_it_is_answered_with_what_is_taken() {
    let codes = Value::Array(vec!["hvc1".into(), "av01".into()]);
    let map = object(&[("*", 4.0.into())]);
    for offer in [
        ("fourCcList", codes),
        ("videoFourCcInfoMap", map.clone()),
        ("audioFourCcInfoMap", map),
        ("capsEx", 1.0.into()),
    ] {
        let info = answer_to(&[("app", "live".into()), offer]);
        assert_eq!(info.get("code"), Some(&"NetConnection.Connect.Success".into()));
        let taken = ["avc1", "hvc1", "av01", "vp09", "mp4a", "Opus", "fLaC"].map(Value::from).to_vec();
        assert_eq!(info.get("fourCcList"), Some(&Value::Array(taken)));
        assert_eq!(info.get("videoFourCcInfoMap").and_then(|map| map.get("vp09")), Some(&Value::Number(5.0)));
        assert_eq!(info.get("audioFourCcInfoMap").and_then(|map| map.get("Opus")), Some(&Value::Number(5.0)));
        assert_eq!(info.get("audioFourCcInfoMap").and_then(|map| map.get("vp09")), None);
        assert_eq!(info.get("capsEx"), Some(&Value::Number(14.0)));
    }
}

#[test]
fn who_does_not_ask_is_not_told() {
    let info = answer_to(&[("app", "live".into())]);
    assert_eq!(info.get("code"), Some(&"NetConnection.Connect.Success".into()));
    assert_eq!((info.get("fourCcList"), info.get("capsEx")), (None, None));
}

/// The information object of the answer.
fn answer_to(connect: &[(&str, Value)]) -> Value {
    let mut session = fresh();
    session.handle_input(&command(0, "connect", 1.0, &[object(connect)])).unwrap();
    amf::read(&sent(&mut session).last().unwrap().payload).unwrap().swap_remove(3)
}
