//! The list of the keyframes that segments begin with (RFC 8216bis §4.4.3.6), under the segments' own numbers.

use std::sync::Arc;

use super::rate::Rate;
use super::{Whole, Window};
use crate::hls::media::{Playlist, Segment, ServerControl};

impl Window {
    /// Keyframes as ranges of their segments, each for as long as its segment lasts; a segment that does not begin
    /// with one is a gap. Without date ranges.
    pub(crate) fn i_frames(&self) -> Playlist {
        let playlist = self.playlist(Vec::new());
        Playlist {
            server_control: ServerControl { part_hold_back: None, ..playlist.server_control },
            part_target: None,
            independent_segments: true,
            i_frames_only: true,
            segments: self.whole.range(self.unlisted..).map(i_frame).collect(),
            open: None,
            preload_hint: None,
            ..playlist
        }
    }

    pub(crate) fn i_frame_rate(&self) -> &Rate {
        &self.rates.i_frames
    }
}

fn i_frame(whole: &Whole) -> Arc<Segment> {
    let Segment { head, duration, uri, .. } = &*whole.segment;
    Arc::new(Segment {
        head: head.clone(),
        duration: *duration,
        uri: uri.clone(),
        byte_range: whole.i_frame,
        gap: whole.i_frame.is_none(),
        parts: Vec::new(),
    })
}
