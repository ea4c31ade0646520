//! Events beside the media: `emsg` boxes (ISO/IEC 23009-1 §5.10.3.3), in front of the fragment they belong to
//! (CMAF, ISO/IEC 23000-19 §7.4.5).

use std::time::Duration;

use bytes::{BufMut, BytesMut};

use super::boxes::write_full;
use crate::frame::CLOCK;
use crate::segment::LEAD;

/// A message for those who play the track.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventMessage {
    /// A URI that says what the message is: [`ID3_SCHEME`] for an ID3 tag.
    pub scheme: String,
    /// When it happens, in [`CLOCK`] ticks of frames' time.
    pub time: i64,
    /// `None` when it is not known or there is none.
    pub duration: Option<Duration>,
    /// The same message in other renditions, or again, has the same number.
    pub id: u32,
    pub data: bytes::Bytes,
}

impl EventMessage {
    /// When it happens in ticks of a track, which begins [`LEAD`] seconds before frames' time.
    pub(crate) fn track_time(&self, timescale: u32) -> u64 {
        let ticks = (i128::from(self.time) + i128::from(LEAD * CLOCK)) * i128::from(timescale);
        u64::try_from(ticks.max(0) / i128::from(CLOCK)).unwrap_or(u64::MAX)
    }

    fn ticks(&self, timescale: u32) -> u32 {
        let ticks = |duration: Duration| duration.as_millis() * u128::from(timescale) / 1000;
        self.duration.map_or(UNKNOWN, |duration| u32::try_from(ticks(duration)).unwrap_or(UNKNOWN))
    }
}

/// ID3 tags in CMAF, as the Alliance for Open Media defines them.
pub const ID3_SCHEME: &str = "https://aomedia.org/emsg/ID3";

/// Writes a version 1 box, whose time is the track's. Texts end at a zero byte, so what follows one is left out.
pub(super) fn event_message(out: &mut BytesMut, timescale: u32, message: &EventMessage) {
    write_full(out, b"emsg", 1, 0, |out| {
        out.put_u32(timescale);
        out.put_u64(message.track_time(timescale));
        out.put_u32(message.ticks(timescale));
        out.put_u32(message.id);
        out.put_slice(message.scheme.split('\0').next().unwrap_or_default().as_bytes());
        out.put_u8(0);
        // No value: the scheme says it all.
        out.put_u8(0);
        out.put_slice(&message.data);
    });
}

/// How many bytes of messages stand in front of a fragment.
pub(crate) fn events_len(fragment: &[u8]) -> usize {
    let mut at = 0;
    while let Some((size, kind)) = fragment.get(at..).and_then(|rest| rest.split_first_chunk::<4>())
        && kind.starts_with(b"emsg")
    {
        at += (u32::from_be_bytes(*size) as usize).max(8);
    }
    at
}

const UNKNOWN: u32 = u32::MAX;
