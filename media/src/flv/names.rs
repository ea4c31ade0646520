//! Names for the codecs that are refused, and what to set in the encoder instead.

use std::borrow::Cow;

use crate::Error;

/// A legacy video codec id (Adobe FLV 10.1 §E.4.3.1, and the ids that others have taken).
pub(super) fn video(id: u8) -> Error {
    let (codec, advice) = match id {
        1 => ("Motion JPEG".into(), VIDEO_ADVICE),
        2 => ("Sorenson H.263".into(), VIDEO_ADVICE),
        3 => ("Screen Video".into(), VIDEO_ADVICE),
        4 => ("VP6".into(), VIDEO_ADVICE),
        5 => ("VP6 with alpha".into(), VIDEO_ADVICE),
        6 => ("Screen Video 2".into(), VIDEO_ADVICE),
        8 => ("H.263".into(), VIDEO_ADVICE),
        9 => ("MPEG-4 part 2".into(), VIDEO_ADVICE),
        12 => ("HEVC under codec id 12".into(), ENHANCED_ADVICE),
        13 => ("AV1 under codec id 13".into(), ENHANCED_ADVICE),
        other => (format!("FLV video codec {other}").into(), VIDEO_ADVICE),
    };
    refused(codec, advice)
}

/// A legacy sound format (Adobe FLV 10.1 §E.4.2.1).
pub(super) fn audio(format: u8) -> Error {
    refused(
        match format {
            0 | 3 => "PCM".into(),
            1 => "ADPCM".into(),
            2 | 14 => "MP3".into(),
            4..=6 => "Nellymoser".into(),
            7 => "G.711 A-law".into(),
            8 => "G.711 mu-law".into(),
            11 => "Speex".into(),
            13 => "Opus under sound format 13".into(),
            other => format!("FLV sound format {other}").into(),
        },
        AUDIO_ADVICE,
    )
}

/// An enhanced RTMP video codec (Enhanced RTMP v2, "Enhanced Video") that is not carried.
pub(super) fn video_code(code: &[u8; 4]) -> Error {
    let codec = match code {
        b"vvc1" => "VVC".into(),
        b"vp08" => "VP8".into(),
        other => four_cc("video", other),
    };
    refused(codec, VIDEO_ADVICE)
}

/// An enhanced RTMP audio codec (Enhanced RTMP v2, "Enhanced Audio") that is not carried.
pub(super) fn audio_code(code: &[u8; 4]) -> Error {
    let codec = match code {
        b"ac-3" => "AC-3".into(),
        b"ec-3" => "E-AC-3".into(),
        b".mp3" => "MP3".into(),
        other => four_cc("audio", other),
    };
    refused(codec, AUDIO_ADVICE)
}

/// A configuration that is not in the form of MP4 files.
pub(super) fn transport_stream_start() -> Error {
    refused("video configured as in MPEG-2 TS".into(), ENHANCED_ADVICE)
}

fn four_cc(what: &str, code: &[u8; 4]) -> Cow<'static, str> {
    format!("{what} codec \"{}\"", code.escape_ascii()).into()
}

fn refused(codec: Cow<'static, str>, advice: &'static str) -> Error {
    Error::UnsupportedCodec { codec, advice }
}

const VIDEO_ADVICE: &str = "set the encoder's video to H.264, HEVC, AV1 or VP9";
const ENHANCED_ADVICE: &str = "set the encoder to enhanced RTMP, or its video to H.264";
const AUDIO_ADVICE: &str = "set the encoder's audio to AAC, Opus or FLAC";
