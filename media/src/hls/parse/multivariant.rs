//! Reads the lines of a multivariant playlist.

use std::time::Duration;

use super::{Kind, Line, list};
use crate::hls::multivariant::{Audio, Playlist, Variant};
use crate::hls::tag::{self, Attributes};

#[derive(Default)]
pub(super) struct Reader {
    playlist: Playlist,
    /// Waits for its URI.
    variant: Option<Variant>,
}

impl Reader {
    pub(super) fn line(&mut self, line: Line<'_>) -> Result<(), Kind> {
        match line {
            Line::Tag("EXT-X-STREAM-INF", value) => {
                self.variant = Some(list("EXT-X-STREAM-INF", value, variant)?);
            }
            Line::Tag("EXT-X-MEDIA", value) => {
                self.playlist.audio.extend(list("EXT-X-MEDIA", value, audio)?);
            }
            Line::Tag("EXT-X-INDEPENDENT-SEGMENTS", _) => self.playlist.independent_segments = true,
            Line::Tag("EXT-X-TARGETDURATION", _) => return Err(Kind::OtherKind("EXT-X-TARGETDURATION")),
            Line::Tag(..) => {}
            Line::Uri(uri) => {
                let variant = self.variant.take().ok_or(Kind::NoStreamInf)?;
                self.playlist.variants.push(Variant { uri: uri.to_owned(), ..variant });
            }
        }
        Ok(())
    }

    pub(super) fn finish(self) -> Result<Playlist, Kind> {
        match self.variant {
            None => Ok(self.playlist),
            Some(_) => Err(Kind::Missing("a URI after EXT-X-STREAM-INF")),
        }
    }
}

fn variant(list: &Attributes<'_>) -> Result<Variant, tag::Error> {
    let resolution = |text: &str| {
        let (width, height) = text.split_once('x')?;
        Some((tag::integer(width)?.try_into().ok()?, tag::integer(height)?.try_into().ok()?))
    };
    let resolution = |text| resolution(text).ok_or(tag::Error::Value("RESOLUTION"));
    // Half a frame per 1000 seconds up, because others may write more than three decimals.
    let frame_rate = |rate: Duration| u32::try_from((rate + Duration::from_micros(500)).as_millis());
    let frame_rate = list.seconds("FRAME-RATE")?.map(frame_rate).transpose();
    Ok(Variant {
        uri: String::new(),
        bandwidth: list.integer("BANDWIDTH")?.ok_or(tag::Error::Missing("BANDWIDTH"))?,
        average_bandwidth: list.integer("AVERAGE-BANDWIDTH")?,
        codecs: list.text("CODECS").map(str::to_owned),
        resolution: list.text("RESOLUTION").map(resolution).transpose()?,
        frame_rate: frame_rate.map_err(|_too_large| tag::Error::Value("FRAME-RATE"))?,
        audio: list.text("AUDIO").map(str::to_owned),
    })
}

/// `None` for subtitles and the other types.
fn audio(list: &Attributes<'_>) -> Result<Option<Audio>, tag::Error> {
    if list.required("TYPE")? != "AUDIO" {
        return Ok(None);
    }
    // `2/JOC/-` says more than the count, which is its first piece.
    let channels = |text: &str| tag::integer(text.split('/').next()?)?.try_into().ok();
    let channels = |text| channels(text).ok_or(tag::Error::Value("CHANNELS"));
    Ok(Some(Audio {
        group: list.required("GROUP-ID")?.to_owned(),
        name: list.required("NAME")?.to_owned(),
        uri: list.text("URI").map(str::to_owned),
        language: list.text("LANGUAGE").map(str::to_owned),
        default: list.yes("DEFAULT"),
        autoselect: list.yes("AUTOSELECT"),
        channels: list.text("CHANNELS").map(channels).transpose()?,
    }))
}
