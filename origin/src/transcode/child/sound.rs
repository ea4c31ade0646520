//! Makes sound: decodes once, brings the samples to one form on one grid, and encodes them for every rung.
//!
//! One thread is enough: all of it takes about a hundredth of a core.

mod grid;

use std::io::Read;

use bytes::{Bytes, BytesMut};
use ffmpeg_next::frame;
use nearcast_media::{Frame, frame::CLOCK};

use super::damage::Damage;
use super::decode::next;
use super::libav::sound::{Decoder, Encoder, Resampler};
use super::output::Output;
use super::{Error, libav, limit_memory};
use crate::transcode::wire::{Reply, Request, sound::Start};
use grid::{Arrival, Chunk, Grid};

/// Reads until the end, then encodes what is left.
pub(super) fn run(start: &Start, mut input: impl Read, buffer: &mut BytesMut) -> Result<(), Error> {
    limit_memory(start.memory_bytes)?;
    libav::init().map_err(Error::Init)?;
    let mut pipeline = Pipeline::new(start)?;
    loop {
        match next(&mut input, buffer)? {
            Some(Request::Frame(input)) => pipeline.push(&input.frame)?,
            // All are, always.
            Some(Request::Wanted { .. }) => {}
            Some(Request::End) | None => return pipeline.finish(),
            Some(_) => return Err(Error::OutOfOrder),
        }
    }
}

struct Pipeline {
    rate: u32,
    channels: u8,
    decoder: Decoder,
    /// For samples as the newest were.
    resampler: Option<Resampler>,
    grid: Grid,
    rungs: Vec<Rung>,
    output: Output,
    damage: Damage,
}

struct Rung {
    encoder: Encoder,
    bitrate: u32,
    after: Option<i64>,
    /// Where it began.
    first: Option<i64>,
}

impl Pipeline {
    fn new(start: &Start) -> Result<Self, Error> {
        let Start { sample_rate: rate, channels, .. } = *start;
        let decoder = Decoder::open(start.source.codec, &start.source.record).map_err(Error::OpenDecoder)?;
        let output = Output::new();
        let mut rungs = Vec::new();
        for (index, rung) in start.rungs.iter().enumerate() {
            let fail = |source| Error::EncodeSound { bitrate: rung.bitrate, source };
            let encoder = Encoder::open(rate, channels, rung.bitrate).map_err(fail)?;
            let record = Bytes::copy_from_slice(encoder.specific());
            output.send(&Reply::Config { rung: index as u8, record })?;
            rungs.push(Rung { encoder, bitrate: rung.bitrate, after: rung.after, first: None });
        }
        let grid = Grid::new(rate, channels);
        Ok(Self { rate, channels, decoder, resampler: None, grid, rungs, output, damage: Damage::default() })
    }

    fn push(&mut self, input: &Frame) -> Result<(), Error> {
        self.damage.count(self.decoder.send(input), &self.output)?;
        self.drain()
    }

    fn finish(mut self) -> Result<(), Error> {
        // A decoder that was never fed has nothing to give back.
        if self.decoder.finish().is_ok() {
            self.drain()?;
        }
        self.empty_resampler()?;
        self.grid.pad();
        self.encode()?;
        for (index, rung) in self.rungs.iter_mut().enumerate() {
            rung.encoder.finish().map_err(|source| rung.failed(source))?;
            rung.drain(index as u8, self.rate, &self.output)?;
        }
        Ok(())
    }

    fn drain(&mut self) -> Result<(), Error> {
        // An error here is the same damage that send reported or will report.
        while let Ok(Some(samples)) = self.decoder.receive() {
            if let Some(pts) = samples.pts().filter(|_| samples.rate() > 0 && samples.samples() > 0) {
                self.place(&samples, pts)?;
                self.encode()?;
            }
        }
        Ok(())
    }

    /// Puts samples where they belong.
    fn place(&mut self, samples: &frame::Audio, pts: i64) -> Result<(), Error> {
        if !self.resampler.as_ref().is_some_and(|resampler| resampler.suits(samples)) {
            self.empty_resampler()?;
        }
        let at = scale(pts, self.rate.into(), CLOCK);
        let held = self.resampler.as_ref().map_or(0, Resampler::held);
        match self.grid.arrival(at, held) {
            Arrival::Follows => {}
            Arrival::Late => return Ok(()),
            Arrival::Ahead => {
                self.empty_resampler()?;
                self.grid.skip_to(at);
            }
        }
        let rate = samples.rate();
        let fail = |source| Error::Resample { rate, source };
        let mut resampler = match self.resampler.take() {
            Some(resampler) => resampler,
            None => Resampler::open(samples, self.rate, self.channels).map_err(fail)?,
        };
        let resampled = resampler.run(samples).map_err(fail)?;
        self.resampler = Some(resampler);
        self.fill(&resampled);
        Ok(())
    }

    /// Takes out what is left in the resampler, which is of no use to samples that do not follow.
    fn empty_resampler(&mut self) -> Result<(), Error> {
        let Some(mut resampler) = self.resampler.take().filter(|resampler| resampler.held() > 0) else {
            return Ok(());
        };
        let rest = resampler.flush().map_err(|source| Error::Resample { rate: self.rate, source })?;
        self.fill(&rest);
        Ok(())
    }

    fn fill(&mut self, samples: &frame::Audio) {
        if samples.samples() > 0 {
            self.grid.push((0..samples.planes()).map(|channel| samples.plane(channel)));
        }
    }

    /// Encodes every frame that is whole.
    fn encode(&mut self) -> Result<(), Error> {
        while let Some(Chunk { at, channels }) = self.grid.poll() {
            for (index, rung) in self.rungs.iter_mut().enumerate() {
                rung.first.get_or_insert(at);
                rung.encoder.send(at, &channels).map_err(|source| rung.failed(source))?;
                rung.drain(index as u8, self.rate, &self.output)?;
            }
        }
        Ok(())
    }
}

impl Rung {
    /// Sends what the encoder has ready and nobody has made before. What precedes the first sample is only the
    /// encoder's way to begin.
    fn drain(&mut self, index: u8, rate: u32, output: &Output) -> Result<(), Error> {
        while let Some(packet) = self.encoder.receive().map_err(|source| self.failed(source))? {
            let (Some(data), Some(at)) = (packet.data(), packet.pts()) else { continue };
            let pts = scale(at, CLOCK, rate.into());
            let made = self.after.is_some_and(|after| pts <= after);
            if made || self.first.is_none_or(|first| at < first) {
                continue;
            }
            let frame = Frame { dts: pts, pts, keyframe: true, data: Bytes::copy_from_slice(data) };
            output.send(&Reply::Frame { rung: index, frame })?;
        }
        Ok(())
    }

    fn failed(&self, source: ffmpeg_next::Error) -> Error {
        Error::EncodeSound { bitrate: self.bitrate, source }
    }
}

/// Rounded to the nearest.
fn scale(value: i64, to: i64, from: i64) -> i64 {
    let scaled =
        (i128::from(value) * i128::from(to) + i128::from(from / 2)).div_euclid(i128::from(from.max(1)));
    i64::try_from(scaled).unwrap_or(i64::MAX)
}
