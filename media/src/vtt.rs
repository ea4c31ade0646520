//! Which small picture shows which moment of a broadcast, as WebVTT (W3C WebVTT §4) with the media fragments that
//! seek bars of players know (`#xywh=`, W3C Media Fragments §4.2.2).

use std::fmt::{self, Write};

use crate::hls::date::Date;
use crate::path::Thumb;

/// The media type of [`Index::render`].
pub const CONTENT_TYPE: &str = "text/vtt; charset=utf-8";

/// A broadcast's pictures at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Index {
    /// What EXT-X-PROGRAM-DATE-TIME says at time 0 of the cues, in milliseconds since the Unix epoch.
    pub zero: u64,
    /// In order, and none begins before the one before it ends.
    pub cues: Vec<Cue>,
}

/// A picture and when it is to be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cue {
    /// Milliseconds since the start of the broadcast's first segment, as players count that read `index.mpd`.
    pub start: u64,
    /// Milliseconds, after `start`.
    pub end: u64,
    pub file: Thumb,
    /// What part of the file it is; without, all of it.
    pub area: Option<Area>,
}

/// A rectangle in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Area {
    pub x: u32,
    pub y: u32,
    pub width: u32,
    pub height: u32,
}

impl Index {
    /// The text, with names relative to its own.
    pub fn render(&self) -> String {
        let mut text = String::with_capacity(256 + self.cues.len() * 80);
        // A string takes everything.
        let _written = self.write(&mut text);
        text
    }

    fn write(&self, out: &mut impl Write) -> fmt::Result {
        out.write_str(
            "WEBVTT\n\nNOTE\nTimes count from the first segment, as in index.mpd. For HLS that is at\n",
        )?;
        writeln!(out, "X-PROGRAM-DATE-TIME:{}", Date(self.zero))?;
        for cue in &self.cues {
            write!(out, "\n{} --> {}\n{}", Time(cue.start), Time(cue.end), cue.file)?;
            if let Some(Area { x, y, width, height }) = cue.area {
                write!(out, "#xywh={x},{y},{width},{height}")?;
            }
            out.write_char('\n')?;
        }
        Ok(())
    }
}

/// Milliseconds as a WebVTT timestamp.
struct Time(u64);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, ms) = (self.0 / 1000, self.0 % 1000);
        write!(f, "{:02}:{:02}:{:02}.{ms:03}", seconds / 3600, seconds / 60 % 60, seconds % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_has_a_date_and_a_cue_for_each_picture() {
        let area = Some(Area { x: 320, y: 0, width: 320, height: 180 });
        let cues = vec![
            Cue { start: 10_000, end: 20_000, file: Thumb::Sheet { n: 0 }, area },
            Cue { start: 360_000_021, end: 360_010_000, file: Thumb::Picture { n: 36_000 }, area: None },
        ];
        let index = Index { zero: 1_785_585_600_500, cues };
        assert_eq!(
            index.render(),
            "WEBVTT\n\
             \n\
             NOTE\n\
             Times count from the first segment, as in index.mpd. For HLS that is at\n\
             X-PROGRAM-DATE-TIME:2026-08-01T12:00:00.500Z\n\
             \n\
             00:00:10.000 --> 00:00:20.000\n\
             sheet.0.jpg#xywh=320,0,320,180\n\
             \n\
             100:00:00.021 --> 100:00:10.000\n\
             36000.jpg\n"
        );
    }

    #[test]
    fn a_list_without_pictures_is_one_all_the_same() {
        let text = Index::default().render();
        assert!(text.starts_with("WEBVTT\n\n") && !text.contains("-->"), "{text}");
    }
}
