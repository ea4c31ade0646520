//! Reads the origin's messages, decodes, and hands pictures to the rungs.

use std::collections::VecDeque;
use std::io::Read;
use std::sync::Arc;

use bytes::BytesMut;
use ffmpeg_next::frame;

use super::damage::Damage;
use super::encode::{self, Handle, Picture};
use super::libav::{self, Decoder};
use super::output::Output;
use super::shed::Shedder;
use super::{Error, limit_memory, sound, still};
use crate::transcode::wire::{self, Input, Reply, Request, Start, Task};

/// Reads until the end, then lets every rung finish.
pub(super) fn run(mut input: impl Read) -> Result<(), Error> {
    let mut buffer = BytesMut::new();
    let start = match next(&mut input, &mut buffer)? {
        None | Some(Request::End) => return Ok(()),
        Some(Request::Start(start)) => start,
        Some(Request::Sound(start)) => return sound::run(&start, input, &mut buffer),
        Some(Request::Probe(encoder)) => {
            libav::init().map_err(Error::Init)?;
            return encode::probe(encoder);
        }
        Some(Request::Still(wanted)) => {
            let Some(Request::Frame(input)) = next(&mut input, &mut buffer)? else {
                return Err(Error::OutOfOrder);
            };
            return still::picture(&wanted, &input.frame);
        }
        Some(Request::Sheet(wanted)) => return still::sheet(&wanted),
        Some(Request::Slate(wanted)) => return still::slate(&wanted),
        Some(Request::Frame(_) | Request::Wanted { .. }) => return Err(Error::OutOfOrder),
    };
    limit_memory(start.memory_bytes)?;
    libav::init().map_err(Error::Init)?;
    let mut pipeline = Pipeline::new(&start)?;
    let outcome = loop {
        match next(&mut input, &mut buffer) {
            Ok(Some(Request::Frame(frame))) => match pipeline.push(&frame) {
                Ok(()) => {}
                // Its own reason says more than "stopped".
                Err(Error::Thread) => break Ok(()),
                Err(error) => break Err(error),
            },
            Ok(Some(Request::Wanted { rungs })) => match pipeline.keep(rungs) {
                Ok(()) => {}
                Err(error) => break Err(error),
            },
            Ok(Some(Request::End) | None) => break pipeline.flush(),
            Ok(Some(_)) => break Err(Error::OutOfOrder),
            Err(error) => break Err(error),
        }
    };
    outcome.and(pipeline.finish())
}

/// The next message, or nothing at the end of the pipe.
pub(super) fn next(input: &mut impl Read, buffer: &mut BytesMut) -> Result<Option<Request>, Error> {
    loop {
        if let Some(message) = wire::split(buffer)? {
            return Ok(Some(Request::decode(message)?));
        }
        let filled = buffer.len();
        buffer.resize(filled + READ_SIZE, 0);
        let got = input.read(&mut buffer[filled..]).map_err(Error::Read)?;
        buffer.truncate(filled + got);
        if got == 0 {
            return Ok(None);
        }
    }
}

struct Pipeline {
    decoder: Decoder,
    /// Those that run: started by the first picture, which says how big one is.
    rungs: Vec<Option<Handle>>,
    /// The rungs that have had a picture.
    begun: Vec<bool>,
    output: Arc<Output>,
    start: Start,
    shedder: Shedder,
    /// How far behind the newest frame the one before the decoder is.
    behind: i64,
    /// Times of cuts whose picture has not come out of the decoder yet.
    cuts: VecDeque<i64>,
    /// A cut has come that no picture carries yet.
    due: bool,
    /// Time of the picture before.
    last: i64,
    /// Frames left out per rung and not told yet.
    dropped: Vec<u32>,
    damage: Damage,
}

impl Pipeline {
    fn new(start: &Start) -> Result<Self, Error> {
        let decoder = Decoder::open(start.source.codec, &start.source.record, start.decode_threads);
        let decoder = decoder.map_err(Error::OpenDecoder)?;
        Ok(Self {
            decoder,
            rungs: Vec::new(),
            begun: vec![false; start.rungs.len()],
            output: Arc::new(Output::new()),
            start: start.clone(),
            shedder: Shedder::new(start.rungs.iter().map(|rung| rung.task == Task::Encode)),
            behind: 0,
            cuts: VecDeque::new(),
            due: false,
            last: i64::MIN,
            dropped: vec![0; start.rungs.len()],
            damage: Damage::default(),
        })
    }

    fn push(&mut self, input: &Input) -> Result<(), Error> {
        self.behind = i64::from(input.behind);
        if input.cut {
            if self.cuts.len() == MAX_CUTS {
                self.cuts.pop_front();
            }
            self.cuts.push_back(input.frame.pts);
        }
        self.damage.count(self.decoder.send(&input.frame), &self.output)?;
        self.drain()
    }

    /// No more input: gets the last pictures out of the decoder.
    fn flush(&mut self) -> Result<(), Error> {
        // A decoder that was never fed has nothing to give back.
        if self.decoder.finish().is_ok() { self.drain() } else { Ok(()) }
    }

    fn finish(self) -> Result<(), Error> {
        self.rungs.into_iter().flatten().map(Handle::finish).fold(Ok(()), Result::and)
    }

    /// Ends the rungs that are not among `wanted`, after what they still have to encode.
    fn keep(&mut self, wanted: u8) -> Result<(), Error> {
        for index in (0..self.start.rungs.len()).filter(|index| !has(wanted, *index)) {
            self.start.rungs[index].task = Task::Nothing;
            self.shedder.stop(index);
            if let Some(handle) = self.rungs.get_mut(index).and_then(Option::take) {
                handle.finish()?;
            }
        }
        Ok(())
    }

    fn drain(&mut self) -> Result<(), Error> {
        // An error here is the same damage that send reported or will report.
        while let Ok(Some(picture)) = self.decoder.receive() {
            if let Some(pts) = picture.pts() {
                self.spread(picture, pts)?;
            }
        }
        Ok(())
    }

    fn spread(&mut self, picture: frame::Video, pts: i64) -> Result<(), Error> {
        // At or after: when the very picture of a cut was damaged, the next one starts the group.
        while self.cuts.front().is_some_and(|cut| *cut <= pts) {
            self.cuts.pop_front();
            self.due = true;
        }
        // An encoder takes each moment once.
        if pts <= self.last {
            return Ok(());
        }
        self.last = pts;
        let idr = std::mem::take(&mut self.due);
        if self.rungs.is_empty() {
            self.start_rungs(&picture)?;
        }
        let admitted = self.shedder.admit(pts, self.behind, idr);
        let image = Arc::new(picture);
        for (index, admitted) in admitted.iter().enumerate() {
            let Some(rung) = &self.rungs[index] else { continue };
            let after = self.start.rungs[index].after;
            if after.is_some_and(|after| pts <= after) {
                continue;
            }
            if !*admitted {
                self.dropped[index] += 1;
                continue;
            }
            // Whoever goes on where another stopped needs nothing of what that one made.
            let first = !std::mem::replace(&mut self.begun[index], true);
            let idr = idr || first;
            rung.send(Picture { image: Arc::clone(&image), pts, idr })?;
        }
        self.report(idr)
    }

    fn start_rungs(&mut self, picture: &frame::Video) -> Result<(), Error> {
        // 4:2:0 at 8 bits; deeper formats are rare and only make the bound a little looser.
        let bytes = picture.width() as usize * picture.height() as usize * 3 / 2;
        let capacity = (self.start.queue_bytes as usize / bytes.max(1)).clamp(MIN_QUEUE, MAX_QUEUE);
        let (kind, output) = (self.start.encoder, &self.output);
        for (index, rung) in self.start.rungs.iter().enumerate() {
            let number = index as u8;
            self.rungs.push(match rung.task {
                Task::Encode => {
                    Some(Handle::spawn(number, rung.clone(), kind, capacity, Arc::clone(output))?)
                }
                Task::Describe => {
                    encode::describe(number, rung, kind, picture, output)?;
                    None
                }
                Task::Nothing => None,
            });
        }
        Ok(())
    }

    /// Tells what was left out, at cuts and twice a second.
    fn report(&mut self, cut: bool) -> Result<(), Error> {
        for (index, dropped) in self.dropped.iter_mut().enumerate() {
            if *dropped > 0 && (cut || *dropped >= REPORT_EVERY) {
                self.output.send(&Reply::Lag { rung: index as u8, dropped: *dropped })?;
                *dropped = 0;
            }
        }
        Ok(())
    }
}

/// Whether the bit of number `index` is set.
fn has(bits: u8, index: usize) -> bool {
    u32::try_from(index).ok().and_then(|index| bits.checked_shr(index)).is_some_and(|bits| bits & 1 != 0)
}

/// The largest read from the pipe; Linux pipes hold this much by default.
const READ_SIZE: usize = 64 << 10;

/// A decoder holds at most 16 pictures, so more cuts than that wait for nothing.
const MAX_CUTS: usize = 32;

/// Enough to keep decoder and encoders busy beside each other.
const MIN_QUEUE: usize = 4;

/// Enough for every hiccup of the scheduler; what waits longer may as well wait as coded frames.
const MAX_QUEUE: usize = 24;

/// Half a second at 30 frames.
const REPORT_EVERY: u32 = 15;
