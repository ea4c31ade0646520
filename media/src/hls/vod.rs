//! A recording's media playlist: it grows while the broadcast is live and stays for good (RFC 8216bis §4.4.3.5).

use std::sync::Arc;

use super::media::{Map, Segment, render_head, render_media};
use super::tag::push;

/// All whole segments of a rendition, as text that only grows.
#[derive(Debug, Clone)]
pub struct Playlist {
    target_duration: u32,
    media_sequence: u64,
    segments: u64,
    body: String,
    /// The one in force after `body`.
    map: Option<Arc<Map>>,
}

impl Playlist {
    /// An empty one. Target duration (in seconds) and the first media sequence number are the live playlist's.
    pub fn new(target_duration: u32, media_sequence: u64) -> Self {
        Self { target_duration, media_sequence, segments: 0, body: String::new(), map: None }
    }

    /// Adds the next segment. Its parts are not listed: nobody waits for them.
    pub fn push(&mut self, segment: &Segment) {
        render_head(&mut self.body, &segment.head, self.map.as_ref());
        if segment.head.map.is_some() {
            self.map.clone_from(&segment.head.map);
        }
        render_media(&mut self.body, segment);
        self.segments += 1;
    }

    /// The media sequence number of the next segment.
    pub fn end(&self) -> u64 {
        self.media_sequence.saturating_add(self.segments)
    }

    /// There is no segment in it.
    pub fn is_empty(&self) -> bool {
        self.segments == 0
    }

    /// Bytes of its text, but for the header.
    pub fn size(&self) -> usize {
        self.body.len()
    }

    /// The text: as long as the broadcast is live it may grow, then it is `complete`.
    pub fn render(&self, independent_segments: bool, complete: bool) -> String {
        let mut out = String::with_capacity(256 + self.body.len());
        let kind = if complete { VOD } else { EVENT };
        push(
            &mut out,
            format_args!(
                "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:{}\n{kind}\n",
                self.target_duration
            ),
        );
        if self.media_sequence > 0 {
            push(&mut out, format_args!("#EXT-X-MEDIA-SEQUENCE:{}\n", self.media_sequence));
        }
        if independent_segments {
            out.push_str("#EXT-X-INDEPENDENT-SEGMENTS\n");
        }
        out.push_str(&self.body);
        if complete {
            push(&mut out, format_args!("{END}\n"));
        }
        out
    }
}

/// The text of a playlist that was left growing, completed as it stands. `None` if it is complete.
pub fn complete(text: &str) -> Option<String> {
    if text.lines().any(|line| line == END) {
        return None;
    }
    let mut complete = text.replacen(EVENT, VOD, 1);
    push(&mut complete, format_args!("{END}\n"));
    Some(complete)
}

const EVENT: &str = "#EXT-X-PLAYLIST-TYPE:EVENT";
const VOD: &str = "#EXT-X-PLAYLIST-TYPE:VOD";
const END: &str = "#EXT-X-ENDLIST";

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::media::Head;
    use super::super::parse;
    use super::*;

    fn segment(msn: u64, map: &Arc<Map>) -> Segment {
        Segment {
            head: Head {
                map: Some(Arc::clone(map)),
                program_date_time: Some(1_785_585_600_000 + 2000 * msn),
                discontinuity: msn == 2,
            },
            duration: Duration::from_millis(2000),
            uri: format!("{msn}.m4s"),
            gap: msn == 1,
            ..Segment::default()
        }
    }

    #[test]
    fn what_was_live_is_read_back_with_its_maps_discontinuities_and_gaps() {
        let map = |uri: &str| Arc::new(Map { uri: uri.into(), byte_range: None });
        let (first, second) = (map("init.mp4"), map("init.1.mp4"));
        let segments = [segment(0, &first), segment(1, &first), segment(2, &second), segment(3, &second)];
        let mut playlist = Playlist::new(2, 0);
        segments.iter().for_each(|segment| playlist.push(segment));
        assert_eq!(playlist.end(), 4);

        let text = playlist.render(true, true);
        assert_eq!(text.matches("#EXT-X-MAP").count(), 2, "{text}");
        assert!(text.contains(VOD) && text.ends_with("#EXT-X-ENDLIST\n"), "{text}");
        let read = parse::media(&text).unwrap();
        let expected: Vec<_> = segments.into_iter().map(Arc::new).collect();
        assert_eq!(read.segments, expected);
        assert!(read.ended && read.independent_segments);
        assert_eq!(complete(&text), None);
    }

    #[test]
    fn a_playlist_left_growing_is_completed_as_it_stands() {
        let map = Arc::new(Map { uri: "init.mp4".into(), byte_range: None });
        let mut playlist = Playlist::new(2, 7);
        playlist.push(&segment(7, &map));
        let growing = playlist.render(false, false);
        assert!(growing.contains(EVENT) && !growing.contains(END));
        assert_eq!(complete(&growing), Some(playlist.render(false, true)));
    }
}
