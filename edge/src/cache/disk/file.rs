//! A segment's file: its head, its bytes and a checksum over both.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use aws_lc_rs::digest::{Context, Digest, SHA256};
use bytes::Bytes;
use http::HeaderValue;

use crate::cache::object::Object;

/// Writes a file under another name first, so that one with the right name is whole, or the machine has crashed.
pub(super) fn write(file: &Path, path: &str, object: &Object) -> io::Result<u32> {
    let (kind, body) = (object.content_type.as_bytes(), &object.body);
    let age = Instant::now().saturating_duration_since(object.produced);
    let produced = now_ms().saturating_sub(u64::try_from(age.as_millis()).unwrap_or(u64::MAX));
    let too_long = |_| io::Error::from(io::ErrorKind::FileTooLarge);
    let mut head = MAGIC.to_vec();
    head.extend(u16::try_from(path.len()).map_err(too_long)?.to_be_bytes());
    head.extend(u16::try_from(kind.len()).map_err(too_long)?.to_be_bytes());
    head.extend(u32::try_from(body.len()).map_err(too_long)?.to_be_bytes());
    head.extend(produced.to_be_bytes());
    head.extend_from_slice(path.as_bytes());
    head.extend_from_slice(kind);
    let size = u32::try_from(head.len() + body.len() + SUM).map_err(too_long)?;
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    let new = file.with_extension("new");
    let written = fs::File::create(&new).and_then(|mut out| {
        out.write_all(&head)?;
        out.write_all(body)?;
        out.write_all(checksum(&head, body).as_ref())
    });
    written.and_then(|()| fs::rename(&new, file)).inspect_err(|_| drop(fs::remove_file(&new)))?;
    Ok(size)
}

/// Reads a file; anything that is not as [`write()`] left it is an error.
pub(super) fn read(file: &Path) -> io::Result<(String, Object)> {
    parse(Bytes::from(fs::read(file)?)).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

fn parse(bytes: Bytes) -> Option<(String, Object)> {
    let head = Head::parse(&bytes)?;
    let body = head.end..head.end + head.body;
    if bytes.len() != body.end + SUM
        || checksum(&bytes[..head.end], &bytes[body.clone()]).as_ref() != &bytes[body.end..]
    {
        return None;
    }
    let age = Duration::from_millis(now_ms().saturating_sub(head.produced));
    let produced = Instant::now().checked_sub(age).unwrap_or_else(first_instant);
    let object =
        Object { body: bytes.slice(body), content_type: head.kind, produced, max_age: Duration::ZERO };
    Some((head.path, object))
}

/// A file's path and size, by its beginning.
pub(super) fn head_of(file: &Path) -> io::Result<(String, u32)> {
    let mut begin = Vec::with_capacity(LONGEST_HEAD);
    let open = fs::File::open(file)?;
    let length = open.metadata()?.len();
    open.take(LONGEST_HEAD as u64).read_to_end(&mut begin)?;
    let head = Head::parse(&begin).ok_or(io::ErrorKind::InvalidData)?;
    let size = u32::try_from(head.end + head.body + SUM).map_err(io::Error::other)?;
    if u64::from(size) == length { Ok((head.path, size)) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

/// What stands before a body.
struct Head {
    path: String,
    kind: HeaderValue,
    /// Bytes of the body.
    body: usize,
    /// Milliseconds since the Unix epoch.
    produced: u64,
    /// Where the body begins.
    end: usize,
}

impl Head {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let rest = bytes.strip_prefix(MAGIC)?;
        let (path, rest) = rest.split_first_chunk()?;
        let (kind, rest) = rest.split_first_chunk()?;
        let (body, rest) = rest.split_first_chunk()?;
        let (produced, rest) = rest.split_first_chunk()?;
        let path = rest.get(..usize::from(u16::from_be_bytes(*path)))?;
        let kind = rest.get(path.len()..path.len() + usize::from(u16::from_be_bytes(*kind)))?;
        Some(Self {
            end: bytes.len() - rest.len() + path.len() + kind.len(),
            path: String::from_utf8(path.to_vec()).ok()?,
            kind: HeaderValue::from_bytes(kind).ok()?,
            body: usize::try_from(u32::from_be_bytes(*body)).ok()?,
            produced: u64::from_be_bytes(*produced),
        })
    }
}

fn checksum(head: &[u8], body: &[u8]) -> Digest {
    let mut context = Context::new(&SHA256);
    context.update(head);
    context.update(body);
    context.finish()
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// For what is older than the machine has been running.
fn first_instant() -> Instant {
    static FIRST: OnceLock<Instant> = OnceLock::new();
    *FIRST.get_or_init(Instant::now)
}

/// Any bytes as a file.
pub fn fuzz(data: &[u8]) {
    if let Some((path, object)) = parse(Bytes::copy_from_slice(data)) {
        assert!(path.len() + object.body.len() < data.len(), "a file has grown");
    }
    if let Some(head) = Head::parse(data) {
        assert!(head.end <= data.len());
    }
}

/// The format's version.
const MAGIC: &[u8] = b"nearcast segment 1\n";
/// Bytes of the checksum at the end.
const SUM: usize = 32;
/// Paths are below 300 bytes, types below 100.
const LONGEST_HEAD: usize = 1024;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn fuzz_survives_damage(edits in prop::collection::vec((0..400usize, any::<u8>()), 0..6), cut in 0..50usize) {
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("file");
            let object = Object {
                body: vec![7; 100].into(),
                content_type: HeaderValue::from_static("video/mp4"),
                produced: Instant::now(),
                max_age: Duration::ZERO,
            };
            write(&file, "/live/demo/b1/source/7.m4s", &object).unwrap();
            let mut bytes = fs::read(&file).unwrap();
            for (at, byte) in edits {
                let at = at % bytes.len();
                bytes[at] = byte;
            }
            bytes.truncate(bytes.len().saturating_sub(cut));
            fuzz(&bytes);
        }
    }
}
