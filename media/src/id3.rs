//! ID3 tags of text frames (ID3v2.4), the timed metadata that HLS players read.

use bytes::{BufMut, Bytes, BytesMut};

/// A tag of these frames: `TIT2`, or `TXXX:` with a description of one's own, and a text each. A name that is no text
/// frame's is left out, as is what follows a zero.
pub fn tag<'a>(frames: impl IntoIterator<Item = (&'a str, &'a str)>) -> Bytes {
    let mut body = BytesMut::new();
    for (name, text) in frames {
        let (kind, description) = match name.split_once(':') {
            Some((kind, description)) => (kind, Some(description)),
            None => (name, None),
        };
        let valid =
            kind.len() == 4 && kind.starts_with('T') && kind.bytes().all(|b| b.is_ascii_alphanumeric());
        if !valid || (kind == "TXXX") != description.is_some() {
            continue;
        }
        let mut content = BytesMut::new();
        content.put_u8(UTF_8);
        if let Some(description) = description {
            content.put_slice(until_zero(description));
            content.put_u8(0);
        }
        content.put_slice(until_zero(text));
        content.put_u8(0);
        body.put_slice(kind.as_bytes());
        body.put_slice(&size(content.len()));
        body.put_u16(0);
        body.put_slice(&content);
    }
    let mut tag = BytesMut::with_capacity(10 + body.len());
    tag.put_slice(b"ID3\x04\0\0");
    tag.put_slice(&size(body.len()));
    tag.put_slice(&body);
    tag.freeze()
}

/// Seven bits to a byte (§6.2), so that no byte is 255.
fn size(length: usize) -> [u8; 4] {
    [21, 14, 7, 0].map(|shift| (length >> shift & 0x7f) as u8)
}

fn until_zero(text: &str) -> &[u8] {
    text.split('\0').next().unwrap_or_default().as_bytes()
}

const UTF_8: u8 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_a_head_and_its_frames() {
        let tag =
            tag([("TIT2", "Tör"), ("TXXX:team", "home"), ("WXXX", "x"), ("TXXX", "x"), ("TIT2:x", "y")]);
        let title = b"TIT2\0\0\0\x06\0\0\x03T\xc3\xb6r\0";
        let own = b"TXXX\0\0\0\x0b\0\0\x03team\0home\0";
        let head = b"ID3\x04\0\0\0\0\0\x25";
        assert_eq!(tag, [&head[..], title, own].concat());
    }

    #[test]
    fn sizes_have_seven_bits_to_a_byte() {
        assert_eq!(size(0x0fff_ffff), [0x7f; 4]);
        assert_eq!(size(257), [0, 0, 2, 1]);
        let long = "x".repeat(300);
        let tag = tag([("TIT2", long.as_str())]);
        assert_eq!(tag[6..10], size(tag.len() - 10));
    }
}
