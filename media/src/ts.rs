//! MPEG-TS (ISO/IEC 13818-1) as publishers send it over SRT: bytes in, configurations and frames of one program out.
#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::cast_possible_truncation)
)]

mod adts;
mod audio;
mod nal;
mod names;
mod opus;
mod packet;
mod pes;
mod picture;
mod program;
mod section;
mod streams;
mod video;

use std::collections::VecDeque;

use crate::timeline::Clock;
use crate::{Error, Event, Result};
use packet::{Packet, Sync};
use program::Program;
use streams::Streams;

/// Turns the bytes of one publisher into configurations and frames.
///
/// It follows the first program of the stream, and in it the first track of pictures (H.264 or HEVC) and the first of
/// sound (AAC in ADTS or Opus) that we take. It holds no more than two PES packets of each.
#[derive(Debug)]
pub struct Demuxer {
    sync: Sync,
    program: Program,
    streams: Streams,
    events: VecDeque<Result<Event>>,
    /// Whether any packet has come.
    begun: bool,
}

/// What was wrong in the bytes so far and was left out or put right.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Faults {
    /// Bytes between packets.
    pub skipped_bytes: u64,
    /// Times that packets were missing (ISO/IEC 13818-1 §2.4.3.3).
    pub lost: u64,
    /// Access units, sounds and tables left out because they were damaged or incomplete.
    pub damaged: u64,
    /// Timestamps that went back, or forward by more than ten seconds, and were re-based onto the track's last.
    pub jumps: u64,
    /// Timestamps a little before the track's last, raised to it.
    pub steps_back: u64,
    /// Pictures that came before the first parameter sets.
    pub early_frames: u64,
    /// Pictures whose time the stream did not say, so that it was derived from those around them.
    pub untimed: u64,
}

impl Demuxer {
    pub fn new() -> Self {
        Self {
            sync: Sync::new(),
            program: Program::default(),
            streams: Streams::new(),
            events: VecDeque::new(),
            begun: false,
        }
    }

    /// Takes bytes, however they were cut; [`Self::poll`] gives what was in them.
    ///
    /// # Errors
    /// [`Error::Protocol`] when what has come so far is no MPEG-TS: nothing that follows will be.
    pub fn push(&mut self, data: &[u8]) -> Result<()> {
        let Self { sync, program, streams, events, begun } = self;
        sync.push(data, |bytes| {
            *begun = true;
            match Packet::parse(bytes) {
                Ok(packet) if program.takes(packet.pid) => {
                    if program.push(&packet, &mut streams.faults) {
                        streams.select(program.streams(), events);
                    }
                }
                Ok(packet) => streams.push(&packet, events),
                Err(_) => streams.faults.damaged = streams.faults.damaged.saturating_add(1),
            }
        });
        if !*begun && sync.skipped > PATIENCE {
            let problem = "this is no MPEG-TS: set the encoder's container to MPEG-TS (FFmpeg: -f mpegts)";
            return Err(Error::Protocol { protocol: "MPEG-TS", problem });
        }
        Ok(())
    }

    /// Nothing follows: what was waiting for its end is whole.
    pub fn finish(&mut self) {
        self.streams.finish(&mut self.events);
    }

    /// The next thing found. [`Error::UnsupportedCodec`] names a stream that is left out, once; the others go on.
    pub fn poll(&mut self) -> Option<Result<Event>> {
        self.events.pop_front()
    }

    /// Whether the program is known to have nothing that we take.
    pub fn is_hopeless(&self) -> bool {
        self.program.is_known() && self.streams.is_empty()
    }

    /// What was left out or put right so far.
    pub fn faults(&self) -> Faults {
        Faults { skipped_bytes: self.sync.skipped, ..self.streams.faults }
    }
}

impl Default for Demuxer {
    fn default() -> Self {
        Self::new()
    }
}

/// Fuzz body: any bytes give frames in order, and the same ones however they are cut.
pub fn fuzz(data: &[u8]) {
    let whole = all(data, data.len());
    let mut last = [i64::MIN; 2];
    for event in whole.iter().flatten() {
        if let Event::Frame(track, frame) = event {
            let last = if *track == crate::Track::Video { &mut last[0] } else { &mut last[1] };
            assert!(frame.dts >= 0 && frame.dts >= *last && frame.pts >= frame.dts && !frame.data.is_empty());
            *last = frame.dts;
        }
    }
    assert_eq!(whole, all(data, usize::from(data.first().copied().unwrap_or(1)).max(1)));
}

/// All events in `data` when it comes in pieces of this size.
fn all(data: &[u8], size: usize) -> Vec<Result<Event>> {
    let mut demuxer = Demuxer::new();
    let mut events = Vec::new();
    for piece in data.chunks(size.max(1)) {
        if demuxer.push(piece).is_err() {
            break;
        }
        events.extend(std::iter::from_fn(|| demuxer.poll()));
    }
    demuxer.finish();
    events.extend(std::iter::from_fn(|| demuxer.poll()));
    events
}

/// 90 kHz in 33 bits (ISO/IEC 13818-1 §2.4.3.7).
const CLOCK: Clock = Clock { bits: 33, per_ms: crate::frame::CLOCK / 1_000 };
/// Ten seconds: no encoder reorders over more; a segment could not hold it.
const MAX_COMPOSITION: i64 = 10 * crate::frame::CLOCK;
/// Bytes without a packet after which there will be none.
const PATIENCE: u64 = 64 << 10;

#[cfg(test)]
mod tests;
