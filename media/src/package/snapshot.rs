//! A playlist and its texts, each made when first asked for and then sent many times.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use crate::hls::daterange::History;
use crate::hls::media;
use crate::hls::request::Skip;

/// A rendition's playlist at one moment; its text is made when first asked for.
#[derive(Debug, Default)]
pub struct Snapshot {
    pub playlist: media::Playlist,
    date_ranges: Arc<History>,
    text: OnceLock<Bytes>,
    delta: OnceLock<Bytes>,
    delta_v2: OnceLock<Bytes>,
}

impl Snapshot {
    /// `date_ranges` are those of `playlist`.
    pub fn new(playlist: media::Playlist, date_ranges: Arc<History>) -> Self {
        Self { playlist, date_ranges, ..Self::default() }
    }

    /// The whole playlist as text.
    pub fn text(&self) -> &Bytes {
        self.text.get_or_init(|| self.playlist.render().into())
    }

    /// The answer to `_HLS_skip`.
    pub fn delta(&self, skip: Skip) -> &Bytes {
        match skip {
            Skip::Segments => self.delta.get_or_init(|| self.playlist.render_delta().into()),
            Skip::DateRanges => {
                self.delta_v2.get_or_init(|| self.playlist.render_delta_v2(&self.date_ranges).into())
            }
        }
    }
}
