//! What an encoder says of its stream in `onMetaData`: hints for people, never trusted for decoding.

use super::amf::Value;

/// The fields of `onMetaData` (Adobe FLV 10.1 §E.5) that can be true.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Metadata {
    /// Name and version of the encoder, at most 256 characters.
    pub encoder: Option<String>,
    /// Pixels.
    pub width: Option<u32>,
    /// Pixels.
    pub height: Option<u32>,
    /// Frames per second.
    pub frame_rate: Option<f64>,
    /// Kilobits per second.
    pub video_rate: Option<f64>,
    /// Kilobits per second.
    pub audio_rate: Option<f64>,
    /// Samples per second.
    pub sample_rate: Option<u32>,
}

impl Metadata {
    /// Reads the values of a data message, when it is one about the stream.
    pub(super) fn parse(values: &[Value]) -> Option<Self> {
        let values = match values.split_first()? {
            (Value::String(name), rest) if name == "@setDataFrame" => rest,
            _ => values,
        };
        let [Value::String(name), object, ..] = values else { return None };
        if name != "onMetaData" {
            return None;
        }
        let number = |name| {
            let value = object.get(name)?.as_number()?;
            (value.is_finite() && value > 0.0 && value < MAX_NUMBER).then_some(value)
        };
        // Positive and bounded above, so nothing is lost but a fraction.
        let whole = |name| number(name).map(|value| value.round() as u32);
        let encoder = object.get("encoder").and_then(Value::as_str);
        Some(Self {
            encoder: encoder.map(|name| name.chars().take(MAX_ENCODER).collect()),
            width: whole("width"),
            height: whole("height"),
            frame_rate: number("framerate"),
            video_rate: number("videodatarate"),
            audio_rate: number("audiodatarate"),
            sample_rate: whole("audiosamplerate"),
        })
    }
}

const MAX_ENCODER: usize = 256;
/// No field comes near; more is garbage.
const MAX_NUMBER: f64 = 10_000_000.0;
