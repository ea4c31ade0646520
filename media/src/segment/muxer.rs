//! One rendition's frames to parts: bytes as soon as the next frame says how long the last one was.

use std::time::Duration;

use bytes::Bytes;

use super::{Action, Start};
use crate::fmp4::{self, EventMessage, Sample};
use crate::hls::media::ByteRange;

/// Collects the frames of the part that is being made.
#[derive(Debug)]
pub(crate) struct Muxer {
    timescale: i64,
    /// In ticks of the track: no part is longer.
    part_target: i64,
    sequence: u32,
    /// The newest frame, and the start of the segment if it is the first: its duration is not known yet.
    pending: Option<(Sample, Option<Start>)>,
    /// The duration of the frame before it.
    frame_duration: i64,
    part: Vec<(Sample, u32)>,
    part_length: i64,
    /// Ticks of the segment's parts that are done.
    segment_length: i64,
    /// A segment has begun and not ended.
    open: bool,
    /// Messages for the first part that is late enough.
    events: Vec<EventMessage>,
}

/// What becomes of frames, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Output {
    Start(Start),
    Part(Part),
    /// The segment is whole.
    End,
    /// The segment ends, but this much ought to be in it.
    Incomplete {
        total: Duration,
    },
    Gap {
        start: Start,
        duration: Duration,
    },
}

/// A part, ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    /// The durations of a segment's parts add up to the segment's without rounding errors.
    pub(crate) duration: Duration,
    /// There is a keyframe in it.
    pub(crate) independent: bool,
    /// Where its first frame is, if that is a keyframe, with all a decoder needs of the fragment.
    pub(crate) i_frame: Option<ByteRange>,
    pub(crate) data: Bytes,
}

impl Muxer {
    /// For a track that ticks `timescale` times a second and has frames of some `frame`.
    pub(crate) fn new(timescale: u32, part_target: Duration, frame: Duration) -> Self {
        Self {
            timescale: i64::from(timescale.max(1)),
            part_target: scaled(part_target, timescale),
            sequence: 0,
            pending: None,
            frame_duration: scaled(frame, timescale).max(1),
            part: Vec::new(),
            part_length: 0,
            segment_length: 0,
            open: false,
            events: Vec::new(),
        }
    }

    /// Puts a message in front of the part that its time falls into, or of the next one when that is made already.
    pub(crate) fn announce(&mut self, event: EventMessage) {
        self.events.push(event);
    }

    /// The messages whose time has not come.
    pub(crate) fn pending_events(&self) -> &[EventMessage] {
        &self.events
    }

    /// The track goes on in other ticks, in parts as long as before. No segment is open.
    pub(crate) fn renew(&mut self, timescale: u32, part_target: Duration, frame: Duration) {
        let (sequence, events) = (self.sequence, std::mem::take(&mut self.events));
        *self = Self { sequence, events, ..Self::new(timescale, part_target, frame) };
    }

    pub(crate) fn apply(&mut self, action: Action, out: &mut Vec<Output>) {
        match action {
            Action::Frame(sample, start) => self.frame(sample, start, out),
            Action::Finish => {
                self.let_go(out);
                self.end_segment(Output::End, out);
            }
            Action::Break => self.let_go(out),
            Action::Incomplete { total } => self.end_segment(Output::Incomplete { total }, out),
            Action::Gap { start, duration } => out.push(Output::Gap { start, duration }),
        }
    }

    fn frame(&mut self, mut sample: Sample, start: Option<Start>, out: &mut Vec<Output>) {
        if let Some((last, last_start)) = self.pending.take() {
            // Decoding times must rise: a publisher's equal ones are a tick apart.
            let rise = (last.dts + 1 - sample.dts).max(0);
            sample.dts += rise;
            sample.composition_offset =
                sample.composition_offset.saturating_sub(i32::try_from(rise).unwrap_or(i32::MAX));
            self.frame_duration = sample.dts - last.dts;
            self.add(last, last_start, out);
            if start.is_some() {
                self.end_segment(Output::End, out);
            } else if self.part_length + self.frame_duration > self.part_target {
                // Were the new frame as long as the last, it would not fit any more.
                self.end_part(out);
            }
        }
        self.pending = Some((sample, start));
    }

    /// Puts the newest frame, and with it all there is, into a part.
    fn let_go(&mut self, out: &mut Vec<Output>) {
        if let Some((last, start)) = self.pending.take() {
            self.add(last, start, out);
            self.end_part(out);
        }
    }

    /// Adds a frame of [`Self::frame_duration`].
    fn add(&mut self, sample: Sample, start: Option<Start>, out: &mut Vec<Output>) {
        if let Some(start) = start {
            out.push(Output::Start(start));
            self.open = true;
        }
        if self.part_length + self.frame_duration > self.part_target {
            self.end_part(out);
        }
        self.part_length += self.frame_duration;
        self.part.push((sample, u32::try_from(self.frame_duration).unwrap_or(u32::MAX)));
    }

    fn end_part(&mut self, out: &mut Vec<Output>) {
        if self.part.is_empty() {
            return;
        }
        self.sequence = self.sequence.wrapping_add(1);
        let begin = self.micros(self.segment_length);
        self.segment_length += self.part_length;
        let events = self.due_events();
        let timescale = u32::try_from(self.timescale).unwrap_or(u32::MAX);
        let data = fmp4::fragment(self.sequence, &self.part, &events, timescale);
        out.push(Output::Part(Part {
            duration: Duration::from_micros(self.micros(self.segment_length) - begin),
            independent: self.part.iter().any(|(sample, _)| sample.keyframe),
            i_frame: self.i_frame(&data),
            data,
        }));
        self.part.clear();
        self.part_length = 0;
    }

    /// The messages of the part's time, and older ones.
    fn due_events(&mut self) -> Vec<EventMessage> {
        let Some((first, _)) = self.part.first() else { return Vec::new() };
        let end = first.dts + i64::from(first.composition_offset) + self.part_length;
        let end = u64::try_from(end).unwrap_or(0);
        let timescale = u32::try_from(self.timescale).unwrap_or(u32::MAX);
        self.events.extract_if(.., |event| event.track_time(timescale) < end).collect()
    }

    /// From the fragment's head, which follows the messages, to the end of its first frame.
    fn i_frame(&self, data: &[u8]) -> Option<ByteRange> {
        let (first, _) = self.part.first().filter(|(first, _)| first.keyframe)?;
        let media: usize = self.part.iter().map(|(sample, _)| sample.data.len()).sum();
        let offset = fmp4::events_len(data);
        let length = (data.len() - media + first.data.len()).checked_sub(offset)?;
        Some(ByteRange { length: length as u64, offset: Some(offset as u64) })
    }

    fn end_segment(&mut self, end: Output, out: &mut Vec<Output>) {
        self.end_part(out);
        self.segment_length = 0;
        if std::mem::take(&mut self.open) {
            out.push(end);
        }
    }

    /// Rounded, so that a part's duration is the difference of two exact times.
    fn micros(&self, ticks: i64) -> u64 {
        let micros =
            (i128::from(ticks) * 1_000_000 + i128::from(self.timescale / 2)) / i128::from(self.timescale);
        u64::try_from(micros).unwrap_or(0)
    }
}

/// A duration in ticks of a track.
fn scaled(time: Duration, timescale: u32) -> i64 {
    i64::try_from(time.as_micros() * u128::from(timescale) / 1_000_000).unwrap_or(i64::MAX)
}
