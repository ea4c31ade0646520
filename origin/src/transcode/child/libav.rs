//! The only file that touches libav's pointers: a decoder, a scaler and an encoder with what a live ladder needs.
#![allow(unsafe_code, reason = "ffmpeg-next has no safe setter for extradata, max_pixels and rc_buffer_size")]

mod hardware;
pub(super) mod jpeg;
mod profile;
pub(super) mod sound;

use std::ptr;

use ffmpeg_next::codec::{self, threading};
use ffmpeg_next::software::scaling;
use ffmpeg_next::{
    self as ff, Dictionary, Error, Packet, Rational, color, decoder, encoder, ffi, format, frame,
};
use nearcast_media::{Frame, Track, frame::CLOCK};

use crate::transcode::wire;

/// A decoder without delay of its own.
pub(super) struct Decoder(decoder::Video);

impl Decoder {
    /// `record` is a decoder configuration as MP4 has it; with H.264 and HEVC, packets then are length-prefixed.
    pub(super) fn open(kind: wire::Codec, record: &[u8], threads: u16) -> Result<Self, Error> {
        let id = id(kind);
        let mut context = codec::Context::from_parameters(parameters(kind, record)?)?;
        // Frame threads would hold one picture each; slices cost no time.
        context.set_threading(threading::Config {
            count: usize::from(threads),
            ..threading::Config::kind(threading::Type::Slice)
        });
        // SAFETY: the context is ours and not open yet; max_pixels is a plain number read at each new size.
        unsafe { (*context.as_mut_ptr()).max_pixels = MAX_PIXELS }
        if kind == wire::Codec::Av1 {
            // dav1d counts its own delay in frames, and this says none.
            context.set_flags(codec::Flags::LOW_DELAY);
        }
        // FFmpeg's own AV1 decoder needs hardware.
        let dav1d = (kind == wire::Codec::Av1).then(|| decoder::find_by_name("libdav1d")).flatten();
        let codec = dav1d.or_else(|| decoder::find(id)).ok_or(Error::DecoderNotFound)?;
        let mut decoder = context.decoder();
        decoder.set_packet_time_base(Rational(1, CLOCK as i32));
        Ok(Self(decoder.open_as(codec)?.video()?))
    }

    /// Takes one access unit. Drain [`Self::receive`] before the next.
    pub(super) fn send(&mut self, input: &Frame) -> Result<(), Error> {
        self.0.send_packet(&packet(input)?)
    }

    /// No more input: [`Self::receive`] gives what is left.
    pub(super) fn finish(&mut self) -> Result<(), Error> {
        self.0.send_eof()
    }

    /// The next picture in display order, if there is one yet.
    pub(super) fn receive(&mut self) -> Result<Option<frame::Video>, Error> {
        let mut picture = frame::Video::empty();
        some(self.0.receive_frame(&mut picture)).map(|ready| ready.map(|()| picture))
    }
}

/// What a decoder must know before it is opened.
fn parameters(kind: wire::Codec, record: &[u8]) -> Result<codec::Parameters, Error> {
    let mut parameters = codec::Parameters::new();
    parameters.set_medium(match kind.track() {
        Track::Video => ff::media::Type::Video,
        Track::Audio => ff::media::Type::Audio,
    });
    parameters.set_id(id(kind));
    // SAFETY: `parameters` owns its AVCodecParameters and has no extradata yet. The buffer comes from
    // av_mallocz with the padding libavcodec asks for, `record.len()` of its bytes are written, and
    // avcodec_parameters_free releases it with `parameters`.
    unsafe {
        let padding = ffi::AV_INPUT_BUFFER_PADDING_SIZE as usize;
        let buffer: *mut u8 = ffi::av_mallocz(record.len() + padding).cast();
        if buffer.is_null() {
            return Err(OUT_OF_MEMORY);
        }
        ptr::copy_nonoverlapping(record.as_ptr(), buffer, record.len());
        let raw = parameters.as_mut_ptr();
        (*raw).extradata = buffer;
        (*raw).extradata_size = record.len() as i32;
    }
    Ok(parameters)
}

/// A frame for a decoder.
fn packet(input: &Frame) -> Result<Packet, Error> {
    let mut packet = Packet::new(input.data.len());
    let Some(data) = packet.data_mut().filter(|data| data.len() == input.data.len()) else {
        return Err(OUT_OF_MEMORY);
    };
    data.copy_from_slice(&input.data);
    packet.set_pts(Some(input.pts));
    packet.set_dts(Some(input.dts));
    if input.keyframe {
        packet.set_flags(codec::packet::Flags::KEY);
    }
    Ok(packet)
}

/// libav's name.
fn id(kind: wire::Codec) -> codec::Id {
    match kind {
        wire::Codec::Avc => codec::Id::H264,
        wire::Codec::Hevc => codec::Id::HEVC,
        wire::Codec::Av1 => codec::Id::AV1,
        wire::Codec::Vp9 => codec::Id::VP9,
        wire::Codec::Aac => codec::Id::AAC,
        wire::Codec::Opus => codec::Id::OPUS,
        wire::Codec::Flac => codec::Id::FLAC,
    }
}

/// The extradata of a context that is open.
fn extradata(context: &codec::Context) -> &[u8] {
    // SAFETY: the context is open, so extradata is null or points to extradata_size bytes that live and
    // stay unchanged as long as the context; the slice borrows it.
    unsafe {
        let raw = context.as_ptr();
        match usize::try_from((*raw).extradata_size) {
            Ok(length) if !(*raw).extradata.is_null() => std::slice::from_raw_parts((*raw).extradata, length),
            _ => &[],
        }
    }
}

/// Brings pictures of any size and format to one size in 4:2:0, keeping time.
///
/// A scaling context must stay in the thread that made it, so this is made where it is used.
pub(super) struct Scaler {
    context: Option<scaling::Context>,
    output: frame::Video,
    layout: format::Pixel,
    width: u32,
    height: u32,
}

impl Scaler {
    /// For pictures of this size that `kind` takes.
    pub(super) fn new(kind: wire::Encoder, width: u32, height: u32) -> Self {
        let layout = hardware::layout(kind);
        Self { context: None, output: frame::Video::empty(), layout, width, height }
    }

    /// The picture at the scaler's size, valid until the next call.
    pub(super) fn scale(&mut self, input: &frame::Video) -> Result<&mut frame::Video, Error> {
        let same = |context: &scaling::Context| {
            let from = context.input();
            (from.format, from.width, from.height) == (input.format(), input.width(), input.height())
        };
        if !self.context.as_ref().is_some_and(same) {
            let to = (self.layout, self.width, self.height, scaling::Flags::BICUBIC);
            let from = (input.format(), input.width(), input.height());
            self.context = Some(scaling::Context::get(from.0, from.1, from.2, to.0, to.1, to.2, to.3)?);
        }
        let Some(context) = &mut self.context else { return Err(Error::Bug) };
        // SAFETY: `output` is ours alone. Its buffers exist after alloc or the null check returns, and
        // av_frame_make_writable leaves it whole or fails.
        unsafe {
            if self.output.is_empty() {
                self.output.alloc(self.layout, self.width, self.height);
                if self.output.is_empty() {
                    return Err(OUT_OF_MEMORY);
                }
            }
            // The encoder may still hold the last picture.
            if ffi::av_frame_make_writable(self.output.as_mut_ptr()) < 0 {
                return Err(OUT_OF_MEMORY);
            }
        }
        context.run(input, &mut self.output)?;
        self.output.set_pts(input.pts());
        Ok(&mut self.output)
    }
}

/// H.264 for live: no B-frames, no lookahead, IDR pictures only where asked.
pub(super) struct Encoder {
    codec: encoder::video::Encoder,
    /// Where it takes its pictures from, if not from main memory.
    frames: Option<hardware::Frames>,
}

impl Encoder {
    /// Opens for pictures like `source` scaled to `rung`.
    pub(super) fn open(kind: wire::Encoder, rung: &wire::Rung, source: &frame::Video) -> Result<Self, Error> {
        let codec = encoder::find_by_name(kind.name()).ok_or(Error::EncoderNotFound)?;
        let mut context = codec::Context::new_with_codec(codec);
        // Parameter sets go into the decoder configuration record, not before every IDR picture.
        context.set_flags(codec::Flags::GLOBAL_HEADER);
        let mut video = context.encoder().video()?;
        video.set_width(rung.width);
        video.set_height(rung.height);
        video.set_format(hardware::layout(kind));
        video.set_time_base(Rational(1, CLOCK as i32));
        // Only rate control's first guess: it follows the real times (force-cfr=0 below).
        video.set_frame_rate(Some(Rational(30, 1)));
        video.set_aspect_ratio(aspect_ratio(rung, source));
        video.set_color_range(range(source));
        video.set_colorspace(source.color_space());
        video.set_color_primaries(source.color_primaries());
        video.set_color_transfer_characteristic(source.color_transfer_characteristic());
        video.set_bit_rate(rung.bitrate as usize);
        video.set_max_bit_rate(rung.bitrate as usize);
        video.set_max_b_frames(0);
        video.set_gop(profile::longest_gop(kind));
        // SAFETY: the context is ours and not open yet; rc_buffer_size is a plain number of bits.
        unsafe { (*video.as_mut_ptr()).rc_buffer_size = i32::try_from(rung.bitrate).unwrap_or(i32::MAX) }
        let frames = hardware::Frames::open(kind, rung.width, rung.height)?;
        if let Some(frames) = &frames {
            frames.attach(&mut video)?;
        }
        let options = profile::options(kind, rung);
        Ok(Self { codec: video.open_with(Dictionary::from_iter(options))?, frames })
    }

    /// SPS and PPS in Annex B form.
    pub(super) fn parameter_sets(&self) -> &[u8] {
        extradata(self.codec.as_ref())
    }

    /// Takes a picture of the rung's size. Drain [`Self::receive`] before the next.
    pub(super) fn send(&mut self, picture: &mut frame::Video, idr: bool) -> Result<(), Error> {
        picture.set_kind(if idr { ff::picture::Type::I } else { ff::picture::Type::None });
        match &self.frames {
            Some(frames) => {
                let uploaded = frames.upload(picture)?;
                self.codec.send_frame(&uploaded)
            }
            None => self.codec.send_frame(picture),
        }
    }

    /// No more input: [`Self::receive`] gives what is left.
    pub(super) fn finish(&mut self) -> Result<(), Error> {
        self.codec.send_eof()
    }

    /// The next access unit in Annex B form, if there is one yet.
    pub(super) fn receive(&mut self) -> Result<Option<Packet>, Error> {
        let mut packet = Packet::empty();
        some(self.codec.receive_packet(&mut packet)).map(|ready| ready.map(|()| packet))
    }
}

/// Encodes one grey picture and says whether that gave parameter sets and an IDR picture.
pub(super) fn probe(kind: wire::Encoder) -> Result<Vec<u8>, Error> {
    let rung = wire::Rung {
        width: 640,
        height: 360,
        bitrate: 800_000,
        max_fps: 0,
        preset: "veryfast".into(),
        task: wire::Task::Encode,
        after: None,
    };
    let mut picture = frame::Video::new(hardware::layout(kind), rung.width, rung.height);
    for plane in 0..picture.planes() {
        picture.data_mut(plane).fill(128);
    }
    picture.set_pts(Some(0));
    let mut encoder = Encoder::open(kind, &rung, &picture)?;
    encoder.send(&mut picture, true)?;
    encoder.finish()?;
    let packet = encoder.receive()?.ok_or(Error::InvalidData)?;
    if !packet.is_key() {
        return Err(Error::InvalidData);
    }
    Ok(encoder.parameter_sets().to_vec())
}

/// Makes `captions` the picture's caption bytes; the encoder writes them into the bitstream.
pub(super) fn set_captions(picture: &mut frame::Video, captions: &[u8]) -> Result<(), Error> {
    picture.remove_side_data(CAPTIONS);
    if captions.is_empty() {
        return Ok(());
    }
    let mut data = picture.new_side_data(CAPTIONS, captions.len()).ok_or(OUT_OF_MEMORY)?;
    // SAFETY: the new side data holds `captions.len()` bytes that belong to this picture alone.
    unsafe { ptr::copy_nonoverlapping(captions.as_ptr(), (*data.as_mut_ptr()).data, captions.len()) }
    Ok(())
}

/// Prepares the library: the only words it may say are errors, on stderr.
pub(super) fn init() -> Result<(), Error> {
    ff::init()?;
    ff::log::set_level(ff::log::Level::Fatal);
    Ok(())
}

/// "Nothing yet" and "nothing more" are answers, not failures.
fn some<T>(result: Result<T, Error>) -> Result<Option<T>, Error> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Error::Eof | Error::Other { errno: ff::error::EAGAIN }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The shape of one pixel after scaling, so that the whole picture keeps its shape.
fn aspect_ratio(rung: &wire::Rung, source: &frame::Video) -> Rational {
    let sar = source.aspect_ratio();
    let (num, den) = if sar.0 > 0 && sar.1 > 0 { (i64::from(sar.0), i64::from(sar.1)) } else { (1, 1) };
    let num = num * i64::from(source.width()) * i64::from(rung.height);
    let den = den * i64::from(source.height()) * i64::from(rung.width);
    // Sides are rounded to even numbers; a pixel within a percent of square is square.
    if den == 0 || (num - den).abs() * 100 <= den {
        return Rational(1, 1);
    }
    let (mut to_num, mut to_den) = (1, 1);
    // SAFETY: av_reduce only writes to the two numbers. H.264 has 16 bits for each.
    unsafe { ffi::av_reduce(&raw mut to_num, &raw mut to_den, num, den, i64::from(u16::MAX)) };
    Rational(to_num, to_den)
}

/// The scaler turns the formats that imply full range into limited range and leaves the others.
fn range(source: &frame::Video) -> color::Range {
    use format::Pixel;
    match source.format() {
        Pixel::YUVJ420P | Pixel::YUVJ422P | Pixel::YUVJ444P | Pixel::YUVJ440P => color::Range::MPEG,
        _ => source.color_range(),
    }
}

/// CEA-608 and CEA-708 bytes as ATSC A/53 part 4 has them.
pub(super) const CAPTIONS: frame::side_data::Type = frame::side_data::Type::A53CC;

const OUT_OF_MEMORY: Error = Error::Other { errno: ff::error::ENOMEM };

/// 4096x2304, level 5.2: a bigger picture is no live source but an attempt on memory.
const MAX_PIXELS: i64 = 4096 * 2304;
