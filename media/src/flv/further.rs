//! A publisher's further video tracks: the same picture in other sizes, on the clock of the first.

use std::collections::VecDeque;

use super::enhanced::{Body, Packet};
use super::track::{self, Stream, Video};
use super::{Faults, MAX_COMPOSITION_MS, Stamp, signed_24, ticks};
use crate::cursor::Cursor;
use crate::timeline::Timeline;
use crate::{Error, Event, Frame, Piece, Result};

/// Those that are taken. What is wrong with one of them is counted, and disturbs nothing else.
#[derive(Debug, Default)]
pub(super) struct Further {
    limit: usize,
    tracks: Vec<Numbered>,
}

#[derive(Debug)]
struct Numbered {
    id: u8,
    stream: Stream,
    /// Decoding time of the newest frame.
    newest: i64,
}

impl Further {
    /// Takes the first so many that come with a configuration.
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, tracks: Vec::new() }
    }

    /// Takes what a message has of the track with the number `id`.
    pub(super) fn take(
        &mut self,
        (id, body): (u8, Body),
        timestamp_ms: u32,
        timeline: &mut Timeline,
        faults: &mut Faults,
        events: &mut VecDeque<Event>,
    ) {
        let known = self.tracks.iter().position(|track| track.id == id);
        let is_full = known.is_none() && self.tracks.len() >= self.limit;
        if is_full || id == 0 || track::check_codec(true, body.codec).is_err() {
            faults.other_tracks = faults.other_tracks.saturating_add(1);
            return;
        }
        let index = known.unwrap_or_else(|| {
            self.tracks.push(Numbered { id, stream: Stream::default(), newest: 0 });
            self.tracks.len().saturating_sub(1)
        });
        let Some(track) = self.tracks.get_mut(index) else { return };
        match track.piece(body, timestamp_ms, timeline) {
            Ok(pieces) => events.extend(pieces.into_iter().flatten().map(|piece| Event::Further(id, piece))),
            Err(_) => faults.lost_further = faults.lost_further.saturating_add(1),
        }
        if !track.stream.is_started() {
            self.tracks.remove(index);
        }
    }
}

impl Numbered {
    fn piece(
        &mut self,
        body: Body,
        timestamp_ms: u32,
        timeline: &mut Timeline,
    ) -> Result<[Option<Piece>; 2]> {
        let Body { codec, packet, payload, nanoseconds } = body;
        let stamp = Stamp { timestamp_ms, nanoseconds };
        match packet {
            Packet::SequenceStart => Ok([self.stream.start(codec, &payload)?.map(Piece::Config), None]),
            Packet::CodedFrames if Video::has_composition_time(codec) => {
                let mut cursor = Cursor::new("FLV video message", &payload);
                let composition_ms = signed_24(cursor.u24()?);
                self.picture(stamp, composition_ms, &payload.slice(cursor.position()..), timeline)
            }
            Packet::CodedFrames | Packet::CodedFramesX => self.picture(stamp, 0, &payload, timeline),
            Packet::TransportStreamStart => Err(lost("its configuration is in the way of MPEG-2 TS")),
            Packet::Other => Ok([None, None]),
        }
    }

    fn picture(
        &mut self,
        stamp: Stamp,
        composition_ms: i64,
        payload: &bytes::Bytes,
        timeline: &mut Timeline,
    ) -> Result<[Option<Piece>; 2]> {
        if payload.is_empty() {
            return Ok([None, None]);
        }
        if composition_ms > MAX_COMPOSITION_MS {
            return Err(lost("the composition time is more than ten seconds"));
        }
        let Some((picture, news)) = self.stream.picture(payload)? else {
            return Err(lost("there was no configuration"));
        };
        let time = timeline.place_beside(stamp.timestamp_ms.into());
        let Some(time) = time.map(|time| ticks(time).saturating_add(stamp.fraction())) else {
            return Err(lost("the timestamp is ten seconds away from the first track's"));
        };
        self.newest = time.max(self.newest);
        let dts = self.newest;
        let pts = time.saturating_add(ticks(composition_ms)).max(dts);
        let frame = Frame { dts, pts, keyframe: picture.keyframe, data: picture.data };
        Ok([news.map(Piece::Config), Some(Piece::Frame(frame))])
    }
}

fn lost(problem: &'static str) -> Error {
    Error::Malformed { format: "further FLV video track", offset: 0, problem }
}
