//! Sound through libav: a decoder, a resampler to one form, and AAC-LC.
#![allow(unsafe_code, reason = "ffmpeg-next cannot say how much a resampler will give")]

use ffmpeg_next::software::resampling;
use ffmpeg_next::{ChannelLayout, Error, Packet, Rational, codec, decoder, encoder, ffi, format, frame};
use nearcast_media::{Frame, frame::CLOCK};

use super::{OUT_OF_MEMORY, extradata, id, packet, parameters, some};
use crate::transcode::wire;

/// A decoder of sound.
pub(in crate::transcode::child) struct Decoder(decoder::Audio);

impl Decoder {
    /// `record` is what a [`wire::Source`] has.
    pub(in crate::transcode::child) fn open(kind: wire::Codec, record: &[u8]) -> Result<Self, Error> {
        let context = codec::Context::from_parameters(parameters(kind, record)?)?;
        // The reference decoder; libav's own one gives its first samples late.
        let libopus = (kind == wire::Codec::Opus).then(|| decoder::find_by_name("libopus")).flatten();
        let codec = libopus.or_else(|| decoder::find(id(kind))).ok_or(Error::DecoderNotFound)?;
        let mut decoder = context.decoder();
        decoder.set_packet_time_base(Rational(1, CLOCK as i32));
        Ok(Self(decoder.open_as(codec)?.audio()?))
    }

    /// Takes one frame. Drain [`Self::receive`] before the next.
    pub(in crate::transcode::child) fn send(&mut self, input: &Frame) -> Result<(), Error> {
        self.0.send_packet(&packet(input)?)
    }

    /// No more input: [`Self::receive`] gives what is left.
    pub(in crate::transcode::child) fn finish(&mut self) -> Result<(), Error> {
        self.0.send_eof()
    }

    /// The next samples, if there are some yet.
    pub(in crate::transcode::child) fn receive(&mut self) -> Result<Option<frame::Audio>, Error> {
        let mut samples = frame::Audio::empty();
        let ready = some(self.0.receive_frame(&mut samples))?;
        Ok(ready.map(|()| {
            // A source of which nobody knows where its channels are.
            if samples.channel_layout().is_empty() {
                samples.set_channel_layout(ChannelLayout::default(samples.channels().into()));
            }
            samples
        }))
    }
}

/// Brings samples of one form to the one that is encoded.
pub(in crate::transcode::child) struct Resampler {
    context: resampling::Context,
    rate: u32,
    layout: ChannelLayout,
}

impl Resampler {
    /// From samples like `input` to this rate and number of channels.
    pub(in crate::transcode::child) fn open(
        input: &frame::Audio,
        rate: u32,
        channels: u8,
    ) -> Result<Self, Error> {
        let layout = ChannelLayout::default(channels.into());
        let (from, to) = ((input.format(), input.channel_layout(), input.rate()), (SAMPLE, layout, rate));
        let context = resampling::Context::get(from.0, from.1, from.2, to.0, to.1, to.2)?;
        Ok(Self { context, rate, layout })
    }

    /// Whether it is for samples like `input`.
    pub(in crate::transcode::child) fn suits(&self, input: &frame::Audio) -> bool {
        let from = self.context.input();
        (from.format, from.channel_layout, from.rate)
            == (input.format(), input.channel_layout(), input.rate())
    }

    /// How many samples it has taken and not given.
    pub(in crate::transcode::child) fn held(&self) -> i64 {
        self.context.delay().map_or(0, |delay| delay.output)
    }

    /// What can be given of all it has taken with `input`.
    pub(in crate::transcode::child) fn run(&mut self, input: &frame::Audio) -> Result<frame::Audio, Error> {
        let mut output = self.room(input.samples())?;
        self.context.run(input, &mut output)?;
        Ok(output)
    }

    /// What is left.
    pub(in crate::transcode::child) fn flush(&mut self) -> Result<frame::Audio, Error> {
        let mut output = self.room(0)?;
        self.context.flush(&mut output)?;
        Ok(output)
    }

    /// Room for all there can be after so many more samples.
    fn room(&mut self, more: usize) -> Result<frame::Audio, Error> {
        let more = i32::try_from(more).map_err(|_| Error::InvalidData)?;
        // SAFETY: the context is open, and the function only reads it.
        let most = unsafe { ffi::swr_get_out_samples(self.context.as_mut_ptr(), more) };
        let most = usize::try_from(most).map_err(|_| Error::from(most))?;
        samples(most.max(1), self.layout, self.rate)
    }
}

/// AAC in its low complexity profile.
pub(in crate::transcode::child) struct Encoder {
    codec: encoder::audio::Encoder,
    layout: ChannelLayout,
    rate: u32,
}

impl Encoder {
    pub(in crate::transcode::child) fn open(rate: u32, channels: u8, bitrate: u32) -> Result<Self, Error> {
        let codec = encoder::find(codec::Id::AAC).ok_or(Error::EncoderNotFound)?;
        let layout = ChannelLayout::default(channels.into());
        let mut context = codec::Context::new_with_codec(codec);
        // The configuration goes into the sample entry.
        context.set_flags(codec::Flags::GLOBAL_HEADER);
        let mut audio = context.encoder().audio()?;
        audio.set_rate(i32::try_from(rate).map_err(|_| Error::InvalidData)?);
        audio.set_channel_layout(layout);
        audio.set_channels(layout.channels());
        audio.set_format(SAMPLE);
        audio.set_time_base(Rational(1, i32::try_from(rate).map_err(|_| Error::InvalidData)?));
        audio.set_bit_rate(bitrate as usize);
        Ok(Self { codec: audio.open_as(codec)?, layout, rate })
    }

    /// AudioSpecificConfig.
    pub(in crate::transcode::child) fn specific(&self) -> &[u8] {
        extradata(self.codec.as_ref())
    }

    /// Takes the samples of one frame, each channel's by itself, that begin `at` this sample. Drain
    /// [`Self::receive`] before the next.
    pub(in crate::transcode::child) fn send(&mut self, at: i64, channels: &[Vec<f32>]) -> Result<(), Error> {
        let length = channels.first().map_or(0, Vec::len);
        let mut input = samples(length, self.layout, self.rate)?;
        if input.planes() != channels.len() {
            return Err(Error::InvalidData);
        }
        for (index, channel) in channels.iter().enumerate() {
            input.plane_mut(index).copy_from_slice(channel);
        }
        input.set_pts(Some(at));
        self.codec.send_frame(&input)
    }

    /// No more input: [`Self::receive`] gives what is left.
    pub(in crate::transcode::child) fn finish(&mut self) -> Result<(), Error> {
        self.codec.send_eof()
    }

    /// The next frame, if there is one yet. Its time is that of the first sample which a decoder gives for it: the
    /// encoder's own delay is not in there.
    pub(in crate::transcode::child) fn receive(&mut self) -> Result<Option<Packet>, Error> {
        let mut packet = Packet::empty();
        some(self.codec.receive_packet(&mut packet)).map(|ready| ready.map(|()| packet))
    }
}

/// Room for samples, which is there or an error.
fn samples(length: usize, layout: ChannelLayout, rate: u32) -> Result<frame::Audio, Error> {
    let mut samples = frame::Audio::new(SAMPLE, length, layout);
    samples.set_rate(rate);
    samples.set_channels(u16::try_from(layout.channels()).unwrap_or(u16::MAX));
    if samples.planes() == 0 { Err(OUT_OF_MEMORY) } else { Ok(samples) }
}

/// The form that the AAC encoder takes.
const SAMPLE: format::Sample = format::Sample::F32(format::sample::Type::Planar);
