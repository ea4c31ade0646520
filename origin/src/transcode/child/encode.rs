//! One rung: a thread that scales shared pictures and encodes them, IDR pictures only where told.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use ffmpeg_next::frame;
use nearcast_media::codec::avc;
use nearcast_media::{Frame, frame::CLOCK};

use super::Error;
use super::captions::Captions;
use super::libav::{Encoder, Scaler};
use super::output::Output;
use crate::transcode::wire::{self, Reply, Rung};

/// A decoded picture on its way to every rung.
#[derive(Clone)]
pub(super) struct Picture {
    pub(super) image: Arc<frame::Video>,
    pub(super) pts: i64,
    pub(super) idr: bool,
}

/// The decoder's end of a rung's queue.
pub(super) struct Handle {
    queue: SyncSender<Picture>,
    thread: JoinHandle<Result<(), Error>>,
}

impl Handle {
    /// Starts rung number `index` with a queue of `capacity` pictures.
    pub(super) fn spawn(
        index: u8,
        rung: Rung,
        encoder: wire::Encoder,
        capacity: usize,
        output: Arc<Output>,
    ) -> Result<Self, Error> {
        let (queue, pictures) = sync_channel(capacity);
        let name = format!("rung-{}x{}", rung.width, rung.height);
        // Made in its thread, where its scaler must stay.
        let run = move || Worker::new(index, rung, encoder, output).run(&pictures);
        let thread = std::thread::Builder::new().name(name).spawn(run).map_err(Error::Process)?;
        Ok(Self { queue, thread })
    }

    /// Waits while the queue is full: then coded frames wait behind it, in the pipe and in the origin.
    pub(super) fn send(&self, picture: Picture) -> Result<(), Error> {
        self.queue.send(picture).map_err(|_| Error::Thread)
    }

    /// Lets the thread finish its queue, and returns how it ended.
    pub(super) fn finish(self) -> Result<(), Error> {
        drop(self.queue);
        self.thread.join().unwrap_or(Err(Error::Thread))
    }
}

struct Worker {
    index: u8,
    rung: Rung,
    kind: wire::Encoder,
    pace: Pace,
    scaler: Scaler,
    /// Opened by the first picture, which says the source's colours and pixel shape.
    encoder: Option<Encoder>,
    captions: Captions,
    output: Arc<Output>,
}

impl Worker {
    fn new(index: u8, rung: Rung, kind: wire::Encoder, output: Arc<Output>) -> Self {
        let (scaler, pace) = (Scaler::new(kind, rung.width, rung.height), Pace::new(rung.max_fps));
        Self { index, rung, kind, pace, scaler, encoder: None, captions: Captions::default(), output }
    }

    fn run(&mut self, pictures: &Receiver<Picture>) -> Result<(), Error> {
        for picture in pictures {
            self.encode(&picture)?;
        }
        if let Some(encoder) = &mut self.encoder {
            encoder.finish().map_err(|source| failed(&self.rung, source))?;
            drain(encoder, &self.rung, self.index, &self.output)?;
        }
        Ok(())
    }

    fn encode(&mut self, picture: &Picture) -> Result<(), Error> {
        self.captions.take(&picture.image);
        if !self.pace.due(picture.pts, picture.idr) {
            return Ok(());
        }
        let fail = |source| failed(&self.rung, source);
        if self.encoder.is_none() {
            self.encoder = Some(describe(self.index, &self.rung, self.kind, &picture.image, &self.output)?);
        }
        let Some(encoder) = &mut self.encoder else { return Err(Error::Thread) };
        let (width, height) = (picture.image.width(), picture.image.height());
        let scaled =
            self.scaler.scale(&picture.image).map_err(|source| Error::Scale { width, height, source })?;
        self.captions.give(scaled).map_err(fail)?;
        encoder.send(scaled, picture.idr).map_err(fail)?;
        drain(encoder, &self.rung, self.index, &self.output)
    }
}

/// Opens the rung's encoder for pictures like `image` and tells its configuration, which depends on nothing else:
/// an encoder that is opened for the same rung later has the same.
pub(super) fn describe(
    index: u8,
    rung: &Rung,
    kind: wire::Encoder,
    image: &frame::Video,
    output: &Output,
) -> Result<Encoder, Error> {
    let encoder = Encoder::open(kind, rung, image).map_err(|source| failed(rung, source))?;
    let config = avc::Config::from_annexb(encoder.parameter_sets()).map_err(Error::ParameterSets)?;
    output.send(&Reply::Config { rung: index, record: config.record })?;
    Ok(encoder)
}

/// Whether `kind` works here.
pub(super) fn probe(kind: wire::Encoder) -> Result<(), Error> {
    let sets = super::libav::probe(kind).map_err(|source| Error::Probe { name: kind.name(), source })?;
    avc::Config::from_annexb(&sets).map(drop).map_err(Error::ParameterSets)
}

/// Sends what the encoder has ready.
pub(super) fn drain(encoder: &mut Encoder, rung: &Rung, index: u8, output: &Output) -> Result<(), Error> {
    while let Some(packet) = encoder.receive().map_err(|source| failed(rung, source))? {
        let (Some(data), Some(pts)) = (packet.data(), packet.pts()) else { continue };
        // Without B-frames pictures are decoded in the order they are shown.
        let data = avc::from_annexb(data).map_err(Error::Picture)?;
        let frame = Frame { dts: pts, pts, keyframe: packet.is_key(), data };
        output.send(&Reply::Frame { rung: index, frame })?;
    }
    Ok(())
}

fn failed(rung: &Rung, source: ffmpeg_next::Error) -> Error {
    Error::Encode { width: rung.width, height: rung.height, source }
}

/// Leaves out pictures of a source that is faster than the rung may be.
struct Pace {
    interval: i64,
    next: i64,
}

impl Pace {
    fn new(max_fps: u16) -> Self {
        let interval = if max_fps == 0 { 0 } else { CLOCK / i64::from(max_fps) };
        Self { interval, next: i64::MIN }
    }

    fn due(&mut self, pts: i64, idr: bool) -> bool {
        // A publisher's millisecond clock jitters. Less than half, or twice the pace would slip through.
        let slack = self.interval / 3;
        if !idr && pts < self.next.saturating_sub(slack) {
            return false;
        }
        let on_time = pts.abs_diff(self.next) <= slack as u64;
        self.next = if on_time { self.next } else { pts }.saturating_add(self.interval);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(source_fps: i64, max_fps: u16) -> usize {
        let mut pace = Pace::new(max_fps);
        // Whole milliseconds, as RTMP has them.
        let pts = |n: i64| n * 1000 / source_fps * 90;
        (0..source_fps * 10).filter(|n| pace.due(pts(*n), n % (source_fps * 2) == 0)).count()
    }

    #[test]
    fn a_rung_keeps_its_pace() {
        assert_eq!(kept(60, 30), 300);
        assert_eq!(kept(50, 25), 250);
        assert_eq!(kept(30, 30), 300);
        assert_eq!(kept(30, 60), 300);
        assert_eq!(kept(60, 0), 600);
        assert!((295..=305).contains(&kept(50, 30)), "{}", kept(50, 30));
    }
}
