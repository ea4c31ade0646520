//! Writes boxes inside boxes (ISO/IEC 14496-12 §4.2).

use bytes::{BufMut, BytesMut};

/// Writes a box: its size is filled in when `content` has been written.
///
/// Boxes are at most a part long, far below the 4 GiB that a 32-bit size holds.
pub(super) fn write(out: &mut BytesMut, kind: &[u8; 4], content: impl FnOnce(&mut BytesMut)) {
    let start = out.len();
    out.put_u32(0);
    out.put_slice(kind);
    content(out);
    let size = u32::try_from(out.len() - start).unwrap_or(u32::MAX);
    out[start..start + 4].copy_from_slice(&size.to_be_bytes());
}

/// Writes a box that begins with a version and 24 flags.
pub(super) fn write_full(
    out: &mut BytesMut,
    kind: &[u8; 4],
    version: u8,
    flags: u32,
    content: impl FnOnce(&mut BytesMut),
) {
    write(out, kind, |out| {
        out.put_u32(u32::from(version) << 24 | flags);
        content(out);
    });
}
