//! Single pictures: from a source's format to what JPEG has, into a file and back.

use std::ffi::c_int;

use ffmpeg_next::codec::{self, Flags};
use ffmpeg_next::software::scaling;
use ffmpeg_next::{Error, Packet, Rational, color, decoder, encoder, ffi, format, frame};

use super::{OUT_OF_MEMORY, some};
use crate::transcode::wire::PNG_FILE;

/// Brings a picture to this size, and its colours to JPEG's: BT.601, full range (JFIF 1.02).
pub(in super::super) fn convert(
    input: &frame::Video,
    width: u32,
    height: u32,
) -> Result<frame::Video, Error> {
    // By way of RGB: from one YUV to another swscale keeps matrix and range of deeper formats.
    let (matrix, full) = (matrix(input), i32::from(is_full(input)));
    let rgb = scale(input, format::Pixel::RGB24, (width, height), (matrix, full), (BT601, 1))?;
    scale(&rgb, LAYOUT, (width, height), (BT601, 1), (BT601, 1))
}

/// The picture as a JPEG file. `quality` is a quantizer: from 2, which is best, to 31.
pub(in super::super) fn encode(picture: &mut frame::Video, quality: u8) -> Result<Vec<u8>, Error> {
    let codec = encoder::find(codec::Id::MJPEG).ok_or(Error::EncoderNotFound)?;
    let mut context = codec::Context::new_with_codec(codec);
    // Without the library's name in the file.
    context.set_flags(Flags::QSCALE | Flags::BITEXACT);
    let mut video = context.encoder().video()?;
    video.set_width(picture.width());
    video.set_height(picture.height());
    video.set_format(LAYOUT);
    video.set_color_range(color::Range::JPEG);
    video.set_time_base(Rational(1, 1));
    let scale = c_int::from(quality) * ffi::FF_QP2LAMBDA as c_int;
    // SAFETY: the context is ours and not open yet, the picture is ours; both are plain numbers.
    unsafe {
        (*video.as_mut_ptr()).global_quality = scale;
        (*picture.as_mut_ptr()).quality = scale;
    }
    picture.set_pts(Some(0));
    let mut encoder = video.open()?;
    encoder.send_frame(picture)?;
    encoder.send_eof()?;
    let mut packet = Packet::empty();
    encoder.receive_packet(&mut packet)?;
    Ok(packet.data().ok_or(Error::InvalidData)?.to_vec())
}

/// The picture in a JPEG file that [`encode`] has made.
pub(in super::super) fn decode(file: &[u8]) -> Result<frame::Video, Error> {
    let picture = open(file)?;
    if picture.format() == LAYOUT { Ok(picture) } else { Err(Error::InvalidData) }
}

/// The picture in a JPEG or PNG file.
pub(in super::super) fn open(file: &[u8]) -> Result<frame::Video, Error> {
    let id = if file.starts_with(PNG_FILE) { codec::Id::PNG } else { codec::Id::MJPEG };
    let codec = decoder::find(id).ok_or(Error::DecoderNotFound)?;
    let mut context = codec::Context::new();
    // SAFETY: the context is ours and not open yet; max_pixels is a plain number.
    unsafe { (*context.as_mut_ptr()).max_pixels = super::MAX_PIXELS }
    let mut decoder = context.decoder().open_as(codec)?.video()?;
    decoder.send_packet(&Packet::copy(file))?;
    decoder.send_eof()?;
    let mut picture = frame::Video::empty();
    some(decoder.receive_frame(&mut picture))?.ok_or(Error::InvalidData)?;
    Ok(picture)
}

/// The picture as large as it fits, in the middle of a black one of this size that video has: of BT.709 colours where it
/// is high, else of BT.601's, in video range. Even sides.
pub(in super::super) fn letterbox(
    input: &frame::Video,
    width: u32,
    height: u32,
) -> Result<frame::Video, Error> {
    let (from_width, from_height) = (u64::from(input.width().max(1)), u64::from(input.height().max(1)));
    let wide = u64::from(width) * from_height <= u64::from(height) * from_width;
    let (fit_width, fit_height) = match wide {
        true => (u64::from(width), u64::from(width) * from_height / from_width),
        false => (u64::from(height) * from_width / from_height, u64::from(height)),
    };
    // Neither is larger than the picture it goes into.
    let even = |side: u64| u32::try_from(side).unwrap_or(0).max(2) & !1;
    let (fit_width, fit_height) = (even(fit_width), even(fit_height));
    let (space, matrix) = match height >= 720 {
        true => (color::Space::BT709, ffi::SWS_CS_ITU709 as c_int),
        false => (color::Space::SMPTE170M, BT601),
    };
    // JPEG files are BT.601 in full range; PNG files are RGB.
    let rgb = scale(input, format::Pixel::RGB24, (fit_width, fit_height), (BT601, 1), (BT601, 1))?;
    let layout = format::Pixel::YUV420P;
    let picture = scale(&rgb, layout, (fit_width, fit_height), (BT601, 1), (matrix, 0))?;
    let mut canvas = blank(layout, width, height)?;
    for (plane, level) in [16, 128, 128].into_iter().enumerate() {
        canvas.data_mut(plane).fill(level);
    }
    paste(&mut canvas, &picture, (width - fit_width) / 4 * 2, (height - fit_height) / 4 * 2)?;
    canvas.set_color_space(space);
    canvas.set_color_range(color::Range::MPEG);
    Ok(canvas)
}

/// A black picture that others are put on.
pub(in super::super) fn canvas(width: u32, height: u32) -> Result<frame::Video, Error> {
    let mut canvas = blank(LAYOUT, width, height)?;
    for (plane, level) in [0, 128, 128].into_iter().enumerate() {
        canvas.data_mut(plane).fill(level);
    }
    Ok(canvas)
}

/// Puts `picture` on `canvas` with its upper left corner at `x` and `y`, which are even. What does not fit is an error.
pub(in super::super) fn paste(
    canvas: &mut frame::Video,
    picture: &frame::Video,
    x: u32,
    y: u32,
) -> Result<(), Error> {
    let fits = x.saturating_add(picture.width()) <= canvas.width()
        && y.saturating_add(picture.height()) <= canvas.height();
    let planar = matches!(picture.format(), LAYOUT | format::Pixel::YUV420P);
    if !fits || !planar || picture.format() != canvas.format() {
        return Err(Error::InvalidData);
    }
    for plane in 0..3 {
        let shift = u32::from(plane > 0);
        let (x, y) = ((x >> shift) as usize, (y >> shift) as usize);
        let width = picture.plane_width(plane) as usize;
        let (from, to) = (picture.stride(plane), canvas.stride(plane));
        let rows = canvas.data_mut(plane).chunks_exact_mut(to).skip(y);
        for (row, line) in rows.zip(picture.data(plane).chunks_exact(from)) {
            row[x..x + width].copy_from_slice(&line[..width]);
        }
    }
    Ok(())
}

/// One step: size, format, and colours as (matrix, full range) on either side.
fn scale(
    input: &frame::Video,
    layout: format::Pixel,
    (width, height): (u32, u32),
    from: (c_int, c_int),
    to: (c_int, c_int),
) -> Result<frame::Video, Error> {
    let flags = scaling::Flags::BICUBIC | scaling::Flags::ACCURATE_RND | scaling::Flags::FULL_CHR_H_INT;
    let mut context =
        scaling::Context::get(input.format(), input.width(), input.height(), layout, width, height, flags)?;
    // SAFETY: the context is ours and whole; the coefficients are tables of the library that live for ever. Neutral
    // brightness is 0, neutral contrast and saturation are 1 in 16.16. A refusal leaves the context as it was.
    let refused = unsafe {
        let (inverse, table) = (ffi::sws_getCoefficients(from.0), ffi::sws_getCoefficients(to.0));
        ffi::sws_setColorspaceDetails(context.as_mut_ptr(), inverse, from.1, table, to.1, 0, 1 << 16, 1 << 16)
    };
    if refused < 0 {
        return Err(Error::InvalidData);
    }
    let mut output = blank(layout, width, height)?;
    context.run(input, &mut output)?;
    Ok(output)
}

/// A picture of which nothing is set yet.
fn blank(layout: format::Pixel, width: u32, height: u32) -> Result<frame::Video, Error> {
    let picture = frame::Video::new(layout, width, height);
    // Without buffers it has no planes.
    if picture.planes() == 0 { Err(OUT_OF_MEMORY) } else { Ok(picture) }
}

/// The matrix that a picture's colours are coded with. One that does not say has what its size stands for.
fn matrix(picture: &frame::Video) -> c_int {
    let known = match picture.color_space() {
        color::Space::BT709 => ffi::SWS_CS_ITU709,
        color::Space::FCC => ffi::SWS_CS_FCC,
        color::Space::SMPTE240M => ffi::SWS_CS_SMPTE240M,
        color::Space::BT2020NCL | color::Space::BT2020CL => ffi::SWS_CS_BT2020,
        color::Space::BT470BG | color::Space::SMPTE170M => ffi::SWS_CS_ITU601,
        _ if picture.height() >= 720 => ffi::SWS_CS_ITU709,
        _ => ffi::SWS_CS_ITU601,
    };
    known as c_int
}

fn is_full(picture: &frame::Video) -> bool {
    use format::Pixel;
    let implied =
        matches!(picture.format(), Pixel::YUVJ420P | Pixel::YUVJ422P | Pixel::YUVJ444P | Pixel::YUVJ440P);
    implied || picture.color_range() == color::Range::JPEG
}

/// What JPEG files are made of: 4:2:0 in full range.
const LAYOUT: format::Pixel = format::Pixel::YUVJ420P;

const BT601: c_int = ffi::SWS_CS_ITU601 as c_int;

#[cfg(test)]
mod tests {
    use super::*;

    /// A picture of one colour.
    fn flat(layout: format::Pixel, size: (u32, u32), levels: [u16; 3]) -> frame::Video {
        let mut picture = frame::Video::new(layout, size.0, size.1);
        for (plane, level) in levels.into_iter().enumerate() {
            let deep = layout == format::Pixel::YUV420P10LE;
            let bytes = picture.data_mut(plane);
            match deep {
                true => bytes.chunks_exact_mut(2).for_each(|pair| pair.copy_from_slice(&level.to_le_bytes())),
                false => bytes.fill(level as u8),
            }
        }
        picture
    }

    /// The colour in the middle.
    fn colour(picture: &frame::Video) -> [u8; 3] {
        [0, 1, 2].map(|plane| {
            let (x, y) = (picture.plane_width(plane) as usize / 2, picture.plane_height(plane) as usize / 2);
            picture.data(plane)[y * picture.stride(plane) + x]
        })
    }

    fn close(got: [u8; 3], expected: [u8; 3]) -> bool {
        got.iter().zip(expected).all(|(got, expected)| got.abs_diff(expected) <= 3)
    }

    #[test]
    fn colours_are_what_they_were_in_the_source() {
        use format::Pixel::{YUV420P, YUV420P10LE, YUVJ420P};
        // Red, as each of them codes it, and as JFIF does.
        let red = [76, 85, 255];
        for (layout, size, space, levels, expected) in [
            (YUV420P, (1280, 720), color::Space::BT709, [63, 102, 240], red),
            (YUV420P, (1280, 720), color::Space::Unspecified, [63, 102, 240], red),
            (YUV420P, (640, 360), color::Space::Unspecified, [81, 90, 240], red),
            (YUV420P10LE, (640, 360), color::Space::BT709, [252, 408, 960], red),
            (YUVJ420P, (640, 360), color::Space::SMPTE170M, [76, 85, 255], red),
            (YUV420P, (640, 360), color::Space::BT709, [235, 128, 128], [255, 128, 128]),
            (YUV420P, (640, 360), color::Space::BT709, [16, 128, 128], [0, 128, 128]),
        ] {
            let mut source = flat(layout, size, levels);
            source.set_color_space(space);
            let mut small = convert(&source, 320, 180).unwrap();
            let file = encode(&mut small, 4).unwrap();
            let seen = decode(&file).unwrap();
            assert_eq!((seen.width(), seen.height()), (320, 180));
            let got = colour(&seen);
            assert!(close(got, expected), "{layout:?} {space:?} {levels:?}: {got:?}");
        }
    }

    #[test]
    fn a_slate_is_whole_and_in_the_middle() {
        let red = flat(LAYOUT, (64, 64), [76, 85, 255]);
        for (size, expected, edge) in
            [((1280, 720), [63, 102, 240], (10, 360)), ((64, 360), [81, 90, 240], (32, 10))]
        {
            let slate = letterbox(&red, size.0, size.1).unwrap();
            assert_eq!((slate.width(), slate.height()), size);
            assert!(close(colour(&slate), expected), "{size:?}: {:?}", colour(&slate));
            let (x, y): (usize, usize) = edge;
            assert_eq!(slate.data(0)[y * slate.stride(0) + x], 16, "{size:?}: black beside it");
        }
    }

    #[test]
    fn pictures_lie_where_they_were_put() {
        let mut canvas = canvas(64, 32).unwrap();
        paste(&mut canvas, &flat(LAYOUT, (32, 16), [200, 100, 150]), 32, 16).unwrap();
        let at = |x: usize, y: usize| {
            [0, 1, 2].map(|plane| {
                let shift = usize::from(plane > 0);
                canvas.data(plane)[(y >> shift) * canvas.stride(plane) + (x >> shift)]
            })
        };
        assert_eq!(
            [at(31, 31), at(32, 15), at(32, 16), at(63, 31)],
            [[0, 128, 128], [0, 128, 128], [200, 100, 150], [200, 100, 150]]
        );
        let mut small = super::canvas(16, 16).unwrap();
        assert!(paste(&mut small, &flat(LAYOUT, (32, 16), [0; 3]), 0, 0).is_err());
        assert!(paste(&mut small, &flat(LAYOUT, (8, 8), [0; 3]), u32::MAX, 0).is_err());
    }

    #[test]
    fn what_is_no_jpeg_is_an_error() {
        let file = encode(&mut canvas(64, 64).unwrap(), 4).unwrap();
        assert!(decode(&file).is_ok());
        for broken in [&b""[..], b"\xff\xd8", b"GIF89a", &file[..8]] {
            assert!(decode(broken).is_err(), "{broken:?}");
        }
    }
}
