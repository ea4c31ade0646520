//! Names for the codecs that are refused, and what to set in the encoder instead.

use std::borrow::Cow;

use crate::Error;
use crate::cursor::Cursor;

/// A legacy video codec id (Adobe FLV 10.1 §E.4.3.1, and the ids that others have taken).
pub(super) fn video(id: u8) -> Error {
    refused(
        match id {
            1 => "Motion JPEG".into(),
            2 => "Sorenson H.263".into(),
            3 => "Screen Video".into(),
            4 => "VP6".into(),
            5 => "VP6 with alpha".into(),
            6 => "Screen Video 2".into(),
            8 => "H.263".into(),
            9 => "MPEG-4 part 2".into(),
            12 => "HEVC".into(),
            13 => "AV1".into(),
            other => format!("FLV video codec {other}").into(),
        },
        VIDEO_ADVICE,
    )
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
            13 => "Opus".into(),
            other => format!("FLV sound format {other}").into(),
        },
        AUDIO_ADVICE,
    )
}

/// An enhanced RTMP video body, by FourCC (Enhanced RTMP v2, "Enhanced Video").
pub(super) fn enhanced_video(head: u8, cursor: Cursor<'_>) -> Error {
    let codec = match packet(head & 0x0f, cursor, VIDEO_MULTITRACK) {
        Packet::Multitrack => "multitrack video".into(),
        Packet::Codec(code) => match &code {
            b"hvc1" => "HEVC".into(),
            b"vvc1" => "VVC".into(),
            b"av01" => "AV1".into(),
            b"vp09" => "VP9".into(),
            b"vp08" => "VP8".into(),
            b"avc1" => "H.264 in enhanced RTMP messages".into(),
            other => four_cc("video", other),
        },
        Packet::Unknown => "video in enhanced RTMP messages".into(),
    };
    refused(codec, VIDEO_ADVICE)
}

/// An enhanced RTMP audio body, by FourCC (Enhanced RTMP v2, "Enhanced Audio").
pub(super) fn enhanced_audio(head: u8, cursor: Cursor<'_>) -> Error {
    let codec = match packet(head & 0x0f, cursor, AUDIO_MULTITRACK) {
        Packet::Multitrack => "multitrack audio".into(),
        Packet::Codec(code) => match &code {
            b"Opus" => "Opus".into(),
            b"ac-3" => "AC-3".into(),
            b"ec-3" => "E-AC-3".into(),
            b"fLaC" => "FLAC".into(),
            b".mp3" => "MP3".into(),
            b"mp4a" => "AAC in enhanced RTMP messages".into(),
            other => four_cc("audio", other),
        },
        Packet::Unknown => "audio in enhanced RTMP messages".into(),
    };
    refused(codec, AUDIO_ADVICE)
}

enum Packet {
    Multitrack,
    Codec([u8; 4]),
    Unknown,
}

fn packet(packet_type: u8, mut cursor: Cursor<'_>, multitrack: u8) -> Packet {
    match packet_type {
        kind if kind == multitrack => Packet::Multitrack,
        MODIFIED => Packet::Unknown,
        _ => cursor.array::<4>().map_or(Packet::Unknown, Packet::Codec),
    }
}

fn four_cc(what: &str, code: &[u8; 4]) -> Cow<'static, str> {
    format!("{what} codec \"{}\"", code.escape_ascii()).into()
}

fn refused(codec: Cow<'static, str>, advice: &'static str) -> Error {
    Error::UnsupportedCodec { codec, advice }
}

const VIDEO_ADVICE: &str = "set the encoder's video to one track of H.264";
const AUDIO_ADVICE: &str = "set the encoder's audio to one track of AAC";
const VIDEO_MULTITRACK: u8 = 6;
const AUDIO_MULTITRACK: u8 = 5;
/// A body with modifiers before its FourCC; the same value for both kinds.
const MODIFIED: u8 = 7;
