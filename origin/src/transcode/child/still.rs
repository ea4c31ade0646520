//! A child's shortest life: one keyframe becomes a small picture, small pictures become a sheet, or a file a slate.

use ffmpeg_next::frame;
use nearcast_media::Frame;

use super::libav::{self, Decoder, jpeg};
use super::output::Output;
use super::{Error, encode, limit_memory};
use crate::transcode::wire::{self, Jpeg, MAX_FRAME, MAX_PICTURE, Reply, Rung, Sheet, Slate, Still, Task};

/// Answers with a picture of `frame`.
pub(super) fn picture(still: &Still, frame: &Frame) -> Result<(), Error> {
    prepare(still.memory_bytes)?;
    let mut decoder =
        Decoder::open(still.source.codec, &still.source.record, 1).map_err(Error::OpenDecoder)?;
    let image = first(&mut decoder, frame).map_err(|source| Error::Undecodable(1, source))?;
    let (width, height) = (image.width(), image.height());
    let ratio = image.aspect_ratio();
    let (to_width, to_height) = fit((width, height), (ratio.0, ratio.1), still.height.into());
    let mut small = jpeg::convert(&image, to_width, to_height).map_err(|source| Error::Scale {
        width,
        height,
        source,
    })?;
    answer(&mut small, MAX_PICTURE)
}

/// Answers with a picture of all the pictures.
pub(super) fn sheet(sheet: &Sheet) -> Result<(), Error> {
    prepare(sheet.memory_bytes)?;
    let (columns, count) = (u32::from(sheet.columns).max(1), sheet.pictures.len() as u32);
    let (width, height) = (u32::from(sheet.width), u32::from(sheet.height));
    let (all_width, all_height) = (columns * width, count.div_ceil(columns).saturating_mul(height));
    let fail = |source| Error::Encode { width: all_width, height: all_height, source };
    let mut canvas = jpeg::canvas(all_width, all_height).map_err(fail)?;
    for (place, file) in (0..).zip(&sheet.pictures) {
        let picture = jpeg::decode(file).map_err(fail)?;
        jpeg::paste(&mut canvas, &picture, place % columns * width, place / columns * height)
            .map_err(fail)?;
    }
    answer(&mut canvas, MAX_FRAME as usize)
}

/// Answers with an IDR picture of the file, whole, in its shape and in the middle of the picture.
pub(super) fn slate(slate: &Slate) -> Result<(), Error> {
    prepare(slate.memory_bytes)?;
    let Slate { width, height, .. } = *slate;
    let fail = |source| Error::Encode { width, height, source };
    let (even_width, even_height) = (width & !1, height & !1);
    if even_width < 2 || even_height < 2 {
        return Err(fail(ffmpeg_next::Error::InvalidData));
    }
    let image = jpeg::open(&slate.file).map_err(fail)?;
    let mut picture = jpeg::letterbox(&image, even_width, even_height).map_err(fail)?;
    picture.set_pts(Some(0));
    let rung = Rung {
        width: even_width,
        height: even_height,
        bitrate: SLATE_BITRATE,
        max_fps: 0,
        preset: "medium".into(),
        task: Task::Encode,
        after: None,
    };
    let output = Output::new();
    let mut encoder = encode::describe(0, &rung, wire::Encoder::Libx264, &picture, &output)?;
    encoder.send(&mut picture, true).map_err(fail)?;
    encoder.finish().map_err(fail)?;
    encode::drain(&mut encoder, &rung, 0, &output)
}

fn prepare(memory_bytes: u64) -> Result<(), Error> {
    limit_memory(memory_bytes)?;
    // A picture may wait; what is live may not. Where that is forbidden it is as important as the rest.
    let _as_before = rustix::process::nice(NICE);
    libav::init().map_err(Error::Init)
}

/// The picture that comes of one keyframe alone.
fn first(decoder: &mut Decoder, frame: &Frame) -> Result<frame::Video, ffmpeg_next::Error> {
    decoder.send(frame)?;
    if let Some(picture) = decoder.receive()? {
        return Ok(picture);
    }
    decoder.finish()?;
    decoder.receive()?.ok_or(ffmpeg_next::Error::InvalidData)
}

/// Sends the picture, the coarser the more there is in it, in `most` bytes.
fn answer(picture: &mut frame::Video, most: usize) -> Result<(), Error> {
    let (width, height) = (picture.width(), picture.height());
    let fail = |source| Error::Encode { width, height, source };
    let side = |length: u32| u16::try_from(length).map_err(|_| fail(ffmpeg_next::Error::InvalidData));
    let (to_width, to_height) = (side(width)?, side(height)?);
    for quality in QUALITIES {
        let data = jpeg::encode(picture, quality).map_err(fail)?;
        if data.len() <= most {
            let jpeg = Jpeg { width: to_width, height: to_height, data: data.into() };
            return Output::new().send(&Reply::Jpeg(jpeg));
        }
    }
    Err(fail(ffmpeg_next::Error::BufferTooSmall))
}

/// The size of a picture that keeps its shape, of square pixels, and no higher than `limit` or than it was. Even sides,
/// as 4:2:0 has them.
fn fit((width, height): (u32, u32), ratio: (i32, i32), limit: u32) -> (u32, u32) {
    let (num, den) = match ratio {
        (num @ 1.., den @ 1..) => (f64::from(num), f64::from(den)),
        _ => (1.0, 1.0),
    };
    // Width over height.
    let shape = f64::from(width.max(1)) * num / (f64::from(height.max(1)) * den);
    let to_height = f64::from(height.min(limit)).min(f64::from(limit) * WIDEST / shape);
    let even = |side: f64| ((side / 2.0).round() as u32 * 2).max(2);
    (even(to_height * shape), even(to_height))
}

/// libav's quantizers for JPEG, best first; the first is what pictures have that are not extraordinary.
const QUALITIES: [u8; 4] = [4, 8, 16, 31];

/// Bits per second of a slate, which is but one picture: some of them are spent on it.
const SLATE_BITRATE: u32 = 4_000_000;

/// Times the height: wider than any cinema, and a bound for a pixel shape that makes no sense.
const WIDEST: f64 = 4.0;

/// Half way to the least important.
const NICE: i32 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_keep_the_shape_that_viewers_see() {
        for (size, ratio, expected) in [
            ((1920, 1080), (0, 1), (320, 180)),
            ((1280, 720), (1, 1), (320, 180)),
            // Anamorphic PAL, 16:9 and 4:3.
            ((720, 576), (64, 45), (320, 180)),
            ((720, 576), (16, 15), (240, 180)),
            ((640, 360), (4, 3), (426, 180)),
            // From a telephone.
            ((1080, 1920), (1, 1), (102, 180)),
            // Not made larger.
            ((160, 90), (1, 1), (160, 90)),
            ((2, 2), (1, 1), (2, 2)),
            ((4096, 2), (1, 1), (720, 2)),
            ((1920, 1080), (i32::MAX, 1), (720, 2)),
            ((1920, 1080), (1, i32::MAX), (2, 180)),
            ((0, 0), (0, 0), (2, 2)),
        ] {
            assert_eq!(fit(size, ratio, 180), expected, "{size:?} {ratio:?}");
        }
        assert_eq!(fit((1920, 1080), (1, 1), 181), (322, 182));
    }
}
