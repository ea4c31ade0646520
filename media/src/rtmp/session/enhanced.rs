//! What enhanced RTMP lets the two ends tell each other when they connect (Enhanced RTMP v2, "Enhancing
//! NetConnection connect Command").

use crate::flv;
use crate::rtmp::amf::Value;

/// Whether the peer's `connect` says that it speaks enhanced RTMP.
pub(super) fn is_offered(connect: &Value) -> bool {
    OFFERS.iter().any(|name| connect.get(name).is_some())
}

/// The codecs and extensions that are taken, whatever the peer has offered: it chooses.
pub(super) fn answer() -> Vec<(String, Value)> {
    let code = |code: &[u8; 4]| code.escape_ascii().to_string();
    let map = |codes: &[[u8; 4]], flags: f64| {
        Value::Object(codes.iter().map(|each| (code(each), Value::Number(flags))).collect())
    };
    let all = flv::VIDEO_CODECS.iter().chain(&flv::AUDIO_CODECS);
    let list = all.map(|each| Value::String(code(each))).collect();
    [
        ("fourCcList", Value::Array(list)),
        ("videoFourCcInfoMap", map(&flv::VIDEO_CODECS, CAN_DECODE_AND_FORWARD)),
        ("audioFourCcInfoMap", map(&flv::AUDIO_CODECS, CAN_DECODE_AND_FORWARD)),
        ("capsEx", Value::Number(MULTITRACK_MODIFIERS_NANOSECONDS)),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

const OFFERS: [&str; 4] = ["fourCcList", "videoFourCcInfoMap", "audioFourCcInfoMap", "capsEx"];
/// FourCcInfoMask: 1 and 4.
const CAN_DECODE_AND_FORWARD: f64 = 5.0;
/// CapsExMask: 2, 4 and 8; a request to connect elsewhere (1) is never made.
const MULTITRACK_MODIFIERS_NANOSECONDS: f64 = 14.0;
