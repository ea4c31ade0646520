//! What a program map's stream types are (ISO/IEC 13818-1 table 2-34, and what others have put there), and what to
//! set in the encoder where we do not take one.

use std::borrow::Cow;

use super::section::Stream;
use super::{audio, nal, opus};
use crate::Error;

/// What an elementary stream is to us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Video(nal::Codec),
    Audio(audio::Codec),
    /// Pictures or sound that we do not take.
    Refused(Error),
    /// Neither: captions, cues, metadata.
    Data,
}

/// Reads an entry of the program map.
pub(super) fn kind(stream: &Stream) -> Kind {
    match stream.kind {
        0x1b => Kind::Video(nal::Codec::H264),
        0x24 => Kind::Video(nal::Codec::Hevc),
        0x0f => Kind::Audio(audio::Codec::Adts),
        0x06 => private(stream),
        0x01 => video("MPEG-1 video"),
        0x02 | 0x80 => video("MPEG-2 video"),
        0x10 => video("MPEG-4 part 2"),
        0x1e..=0x20 => video("multiview or scalable H.264"),
        0x21 => video("JPEG 2000"),
        0x25 | 0x28..=0x2b => video("multilayer HEVC"),
        0x33 => video("VVC"),
        0x42 | 0xd2 => video("AVS"),
        0xd1 => video("Dirac"),
        0xea => video("VC-1"),
        0x03 | 0x04 => audio("MPEG audio (MP2 or MP3)"),
        0x11 => audio("AAC in LATM"),
        0x1c => audio("AAC without ADTS"),
        0x2d | 0x2e => audio("MPEG-H audio"),
        0x81 => audio("AC-3"),
        0x82 | 0x85 | 0x8a => audio("DTS"),
        0x83 => audio("Dolby TrueHD"),
        0x84 | 0x87 => audio("E-AC-3"),
        _ => Kind::Data,
    }
}

/// A second stream of a kind that a broadcast has one of.
pub(super) fn second(what: &'static str) -> Error {
    let advice = "send one program with one track of each, its other tracks are left out";
    Error::UnsupportedCodec { codec: Cow::Borrowed(what), advice }
}

/// Private streams say what they are in descriptors.
fn private(stream: &Stream) -> Kind {
    let has = |tag| stream.descriptors.contains(&tag);
    match stream.format.as_ref() {
        Some(b"Opus") => match opus::config(stream.opus.as_deref()) {
            Some(config) => Kind::Audio(audio::Codec::Opus(config)),
            None => audio("Opus whose channels nobody can know"),
        },
        Some(b"AV01") => video("AV1"),
        Some(b"HEVC") => Kind::Video(nal::Codec::Hevc),
        Some(b"VP09") => video("VP9"),
        Some(b"BSSD") => audio("PCM (SMPTE 302M)"),
        Some(b"AC-3") => audio("AC-3"),
        Some(b"EAC3") => audio("E-AC-3"),
        _ if has(DVB_AC3) => audio("AC-3"),
        _ if has(DVB_EAC3) => audio("E-AC-3"),
        _ if has(DVB_DTS) => audio("DTS"),
        _ if has(DVB_AAC) => audio("AAC in a private stream"),
        _ => Kind::Data,
    }
}

fn video(codec: &'static str) -> Kind {
    Kind::Refused(Error::UnsupportedCodec {
        codec: codec.into(),
        advice: "set the encoder's video to H.264 or HEVC",
    })
}

fn audio(codec: &'static str) -> Kind {
    let advice = "set the encoder's audio to AAC (in ADTS, as nearly all do in MPEG-TS) or Opus";
    Kind::Refused(Error::UnsupportedCodec { codec: codec.into(), advice })
}

/// ETSI EN 300 468 table 12.
const DVB_AC3: u8 = 0x6a;
const DVB_EAC3: u8 = 0x7a;
const DVB_DTS: u8 = 0x7b;
const DVB_AAC: u8 = 0x7c;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_told_apart() {
        let stream = |kind, format, descriptors: &[u8]| Stream {
            pid: 0x100,
            kind,
            format,
            opus: None,
            descriptors: descriptors.to_vec(),
        };
        assert_eq!(kind(&stream(0x1b, None, &[])), Kind::Video(nal::Codec::H264));
        for hevc in
            [stream(0x24, None, &[]), stream(0x24, Some(*b"HEVC"), &[5]), stream(6, Some(*b"HEVC"), &[5])]
        {
            assert_eq!(kind(&hevc), Kind::Video(nal::Codec::Hevc));
        }
        assert_eq!(kind(&stream(0x0f, None, &[])), Kind::Audio(audio::Codec::Adts));
        let opus = |channels| Stream { opus: Some(vec![channels]), ..stream(6, Some(*b"Opus"), &[5, 0x7f]) };
        assert!(matches!(kind(&opus(1)), Kind::Audio(audio::Codec::Opus(config)) if config.channels == 1));
        for (stream, name) in [
            (stream(0x02, None, &[]), "MPEG-2 video"),
            (opus(9), "Opus whose channels nobody can know"),
            (stream(0x06, None, &[0x6a]), "AC-3"),
            (stream(0x11, None, &[]), "AAC in LATM"),
        ] {
            let Kind::Refused(Error::UnsupportedCodec { codec, advice }) = kind(&stream) else {
                panic!("{name}")
            };
            assert!(codec == name && advice.starts_with("set the encoder's"), "{codec} {advice}");
        }
        for data in [stream(0x06, None, &[0x59]), stream(0x06, Some(*b"KLVA"), &[5]), stream(0x86, None, &[])]
        {
            assert_eq!(kind(&data), Kind::Data, "{data:?}");
        }
    }
}
