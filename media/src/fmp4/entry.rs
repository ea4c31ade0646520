//! Sample entries: which decoder a track needs, and how it is set up.

use bytes::{BufMut, BytesMut};

use super::boxes::{self, write_full};
use crate::frame::{Config, Picture, Sound};

/// The brand of files with this codec (ISO/IEC 23000-19 annex A and others), or the one of all where it has none.
pub(super) fn brand(config: &Config) -> &'static [u8; 4] {
    match config {
        Config::Avc(_) => b"avc1",
        Config::Hevc(_) => b"hvc1",
        Config::Av1(_) => b"av01",
        Config::Aac(_) => b"mp41",
        Config::Vp9(_) | Config::Opus(_) | Config::Flac(_) => b"isom",
    }
}

/// Writes a track's one sample entry.
pub(super) fn write(out: &mut BytesMut, config: &Config) {
    let (entry, record) = match config {
        Config::Avc(_) => (b"avc1", b"avcC"),
        Config::Hevc(_) => (b"hvc1", b"hvcC"),
        Config::Av1(_) => (b"av01", b"av1C"),
        Config::Vp9(_) => (b"vp09", b"vpcC"),
        Config::Aac(_) => (b"mp4a", b"esds"),
        Config::Opus(_) => (b"Opus", b"dOps"),
        Config::Flac(_) => (b"fLaC", b"dfLa"),
    };
    boxes::write(out, entry, |out| {
        out.put_bytes(0, 6);
        out.put_u16(1);
        if let Some(picture) = config.picture() {
            visual(out, &picture);
        }
        if let Some(sound) = config.sound() {
            audio(out, &sound, if let Config::Flac(flac) = config { flac.bits } else { 16 });
        }
        match config {
            Config::Aac(aac) => write_full(out, record, 0, 0, |out| elementary_stream(out, &aac.specific)),
            _ => boxes::write(out, record, |out| out.put_slice(&config.record())),
        }
    });
}

/// VisualSampleEntry (ISO/IEC 14496-12 §12.1.3). Aspect ratio and colour are in the bitstream.
fn visual(out: &mut BytesMut, picture: &Picture) {
    let side = |pixels: u32| u16::try_from(pixels).unwrap_or(u16::MAX);
    out.put_bytes(0, 16);
    out.put_u16(side(picture.width));
    out.put_u16(side(picture.height));
    // 72 dpi
    out.put_u32(0x0048_0000);
    out.put_u32(0x0048_0000);
    out.put_u32(0);
    out.put_u16(1);
    out.put_bytes(0, 32);
    out.put_u16(24);
    out.put_u16(0xffff);
}

/// AudioSampleEntry (ISO/IEC 14496-12 §12.2.3).
fn audio(out: &mut BytesMut, sound: &Sound, sample_bits: u8) {
    out.put_bytes(0, 8);
    out.put_u16(u16::from(sound.channels));
    out.put_u16(u16::from(sample_bits));
    out.put_u32(0);
    // 16.16 fixed point; a rate that does not fit is only in the codec's own configuration.
    out.put_u32(u16::try_from(sound.sample_rate).map_or(0, |rate| u32::from(rate) << 16));
}

/// ES_Descriptor (ISO/IEC 14496-1 §7.2.6.5).
fn elementary_stream(out: &mut BytesMut, specific: &[u8]) {
    let specific_len = u8::try_from(specific.len().min(MAX_SPECIFIC)).unwrap_or(0);
    let decoder_len = 13 + 2 + specific_len;
    out.put_slice(&[0x03, 3 + 2 + decoder_len + 3, 0, 0, 0]);
    // DecoderConfigDescriptor: MPEG-4 audio, an audio stream, no buffer or bit rates stated.
    out.put_slice(&[0x04, decoder_len, 0x40, 0x15]);
    out.put_bytes(0, 11);
    out.put_slice(&[0x05, specific_len]);
    out.put_slice(&specific[..usize::from(specific_len)]);
    // SLConfigDescriptor: as in MP4 files.
    out.put_slice(&[0x06, 1, 2]);
}

/// What lets every descriptor's length fit in seven bits. An AudioSpecificConfig takes some five bytes.
const MAX_SPECIFIC: usize = 96;
