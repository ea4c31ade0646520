//! The init segment: what a decoder must know before the first fragment (CMAF header, ISO/IEC 23000-19 §7.3.1).

use bytes::{BufMut, Bytes, BytesMut};

use super::boxes::{write, write_full};
use super::{TRACK_ID, entry, timescale};
use crate::{Config, Track};

/// `ftyp` and `moov` for a file of one track.
pub fn init_segment(config: &Config) -> Bytes {
    let mut out = BytesMut::with_capacity(1024);
    write(&mut out, b"ftyp", |out| {
        out.put_slice(b"iso6");
        out.put_u32(0);
        out.put_slice(b"iso6cmfc");
        out.put_slice(entry::brand(config));
    });
    write(&mut out, b"moov", |out| {
        movie_header(out);
        write(out, b"trak", |out| track(out, config));
        write(out, b"mvex", |out| {
            write_full(out, b"trex", 0, 0, |out| {
                out.put_u32(TRACK_ID);
                out.put_u32(1);
                // Every fragment says duration, size and flags itself.
                out.put_bytes(0, 12);
            });
        });
    });
    out.freeze()
}

fn movie_header(out: &mut BytesMut) {
    write_full(out, b"mvhd", 0, 0, |out| {
        out.put_bytes(0, 8);
        out.put_u32(1000);
        out.put_u32(0);
        out.put_u32(0x0001_0000);
        out.put_u16(0x0100);
        out.put_bytes(0, 10);
        matrix(out);
        out.put_bytes(0, 24);
        out.put_u32(TRACK_ID + 1);
    });
}

fn track(out: &mut BytesMut, config: &Config) {
    let (width, height, volume) =
        config.picture().map_or((0, 0, 0x0100), |picture| (picture.width, picture.height, 0));
    // Enabled and in the movie.
    write_full(out, b"tkhd", 0, 3, |out| {
        out.put_bytes(0, 8);
        out.put_u32(TRACK_ID);
        out.put_bytes(0, 4 + 4 + 8 + 2 + 2);
        out.put_u16(volume);
        out.put_u16(0);
        matrix(out);
        out.put_u32(width << 16);
        out.put_u32(height << 16);
    });
    write(out, b"mdia", |out| {
        write_full(out, b"mdhd", 0, 0, |out| {
            out.put_bytes(0, 8);
            out.put_u32(timescale(config));
            out.put_u32(0);
            out.put_u16(UNDETERMINED);
            out.put_u16(0);
        });
        let (handler, name): (&[u8; 4], &[u8]) = match config.track() {
            Track::Video => (b"vide", b"video\0"),
            Track::Audio => (b"soun", b"audio\0"),
        };
        write_full(out, b"hdlr", 0, 0, |out| {
            out.put_u32(0);
            out.put_slice(handler);
            out.put_bytes(0, 12);
            out.put_slice(name);
        });
        write(out, b"minf", |out| media_information(out, config));
    });
}

fn media_information(out: &mut BytesMut, config: &Config) {
    match config.track() {
        Track::Video => write_full(out, b"vmhd", 0, 1, |out| out.put_bytes(0, 8)),
        Track::Audio => write_full(out, b"smhd", 0, 0, |out| out.put_bytes(0, 4)),
    }
    write(out, b"dinf", |out| {
        write_full(out, b"dref", 0, 0, |out| {
            out.put_u32(1);
            // The media is in this file.
            write_full(out, b"url ", 0, 1, |_| {});
        });
    });
    write(out, b"stbl", |out| {
        write_full(out, b"stsd", 0, 0, |out| {
            out.put_u32(1);
            entry::write(out, config);
        });
        // No samples here: they are all in fragments.
        for table in [b"stts", b"stsc", b"stco"] {
            write_full(out, table, 0, 0, |out| out.put_u32(0));
        }
        write_full(out, b"stsz", 0, 0, |out| out.put_u64(0));
    });
}

/// The unity matrix.
fn matrix(out: &mut BytesMut) {
    for value in [0x0001_0000, 0, 0, 0, 0x0001_0000, 0, 0, 0, 0x4000_0000] {
        out.put_u32(value);
    }
}

/// `und` in packed ISO 639-2/T.
const UNDETERMINED: u16 = 0x55c4;
