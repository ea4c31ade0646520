//! Recordings of a real encoder (see `media/tests/fixtures`), tag by tag.

use bytes::Bytes;

pub(crate) const HEVC_AAC: &[u8] = include_bytes!("../tests/fixtures/hevc-aac.flv");
pub(crate) const AV1_OPUS: &[u8] = include_bytes!("../tests/fixtures/av1-opus.flv");
pub(crate) const VP9_FLAC: &[u8] = include_bytes!("../tests/fixtures/vp9-flac.flv");
pub(crate) const MULTITRACK: &[u8] = include_bytes!("../tests/fixtures/multitrack.flv");

/// One FLV tag: what an RTMP message of audio or video holds.
#[derive(Debug, Clone)]
pub(crate) struct Tag {
    pub(crate) is_video: bool,
    pub(crate) timestamp_ms: u32,
    pub(crate) body: Bytes,
}

/// The audio and video tags of a file (Adobe FLV 10.1 §E.3).
pub(crate) fn tags(file: &'static [u8]) -> Vec<Tag> {
    let mut rest = &file[13..];
    let mut tags = Vec::new();
    while let [kind, l0, l1, l2, t0, t1, t2, t3, _, _, _, data @ ..] = rest {
        let length = u32::from_be_bytes([0, *l0, *l1, *l2]) as usize;
        let timestamp_ms = u32::from_be_bytes([*t3, *t0, *t1, *t2]);
        if matches!(kind, 8 | 9) {
            let body = Bytes::from_static(&data[..length]);
            tags.push(Tag { is_video: *kind == 9, timestamp_ms, body });
        }
        rest = &data[length + 4..];
    }
    tags
}

/// What follows the FourCC of the first enhanced message of a kind.
pub(crate) fn sequence_start(file: &'static [u8], video: bool) -> Bytes {
    let first = tags(file).into_iter().find(|tag| tag.is_video == video).unwrap();
    first.body.slice(5..)
}
