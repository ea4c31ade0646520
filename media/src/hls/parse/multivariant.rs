//! Reads the lines of a multivariant playlist.

use std::time::Duration;

use super::{Kind, Line, list};
use crate::hls::multivariant::{Audio, Captions, ClosedCaptions, IFrames, Playlist, Steering, Variant};
use crate::hls::tag::{self, Attributes};

#[derive(Default)]
pub(super) struct Reader {
    playlist: Playlist,
    /// Waits for its URI.
    variant: Option<Variant>,
}

/// What an EXT-X-MEDIA may be.
enum Media {
    Audio(Audio),
    Captions(Captions),
    /// Subtitles and video.
    Other,
}

impl Reader {
    pub(super) fn line(&mut self, line: Line<'_>) -> Result<(), Kind> {
        let playlist = &mut self.playlist;
        match line {
            Line::Tag("EXT-X-STREAM-INF", value) => {
                self.variant = Some(list("EXT-X-STREAM-INF", value, variant)?);
            }
            Line::Tag("EXT-X-I-FRAME-STREAM-INF", value) => {
                playlist.i_frames.push(list("EXT-X-I-FRAME-STREAM-INF", value, i_frames)?);
            }
            Line::Tag("EXT-X-MEDIA", value) => match list("EXT-X-MEDIA", value, media)? {
                Media::Audio(audio) => playlist.audio.push(audio),
                Media::Captions(captions) => playlist.captions.push(captions),
                Media::Other => {}
            },
            Line::Tag("EXT-X-CONTENT-STEERING", value) => {
                playlist.steering = Some(list("EXT-X-CONTENT-STEERING", value, steering)?);
            }
            Line::Tag("EXT-X-INDEPENDENT-SEGMENTS", _) => playlist.independent_segments = true,
            Line::Tag("EXT-X-TARGETDURATION", _) => return Err(Kind::OtherKind("EXT-X-TARGETDURATION")),
            Line::Tag(..) => {}
            Line::Uri(uri) => {
                let variant = self.variant.take().ok_or(Kind::NoStreamInf)?;
                playlist.variants.push(Variant { uri: uri.to_owned(), ..variant });
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
    // Half a frame per 1000 seconds up, because others may write more than three decimals.
    let frame_rate = |rate: Duration| u32::try_from((rate + Duration::from_micros(500)).as_millis());
    let frame_rate = list.seconds("FRAME-RATE")?.map(frame_rate).transpose();
    let captions = list.get("CLOSED-CAPTIONS").map(|captions| match (captions.quoted, captions.value) {
        (true, group) => Ok(ClosedCaptions::Group(group.to_owned())),
        (false, "NONE") => Ok(ClosedCaptions::None),
        (false, _) => Err(tag::Error::Value("CLOSED-CAPTIONS")),
    });
    Ok(Variant {
        uri: String::new(),
        bandwidth: list.integer("BANDWIDTH")?.ok_or(tag::Error::Missing("BANDWIDTH"))?,
        average_bandwidth: list.integer("AVERAGE-BANDWIDTH")?,
        codecs: list.owned("CODECS"),
        supplemental_codecs: list.owned("SUPPLEMENTAL-CODECS"),
        resolution: resolution(list)?,
        frame_rate: frame_rate.map_err(|_too_large| tag::Error::Value("FRAME-RATE"))?,
        audio: list.owned("AUDIO"),
        closed_captions: captions.transpose()?,
        pathway: list.owned("PATHWAY-ID"),
    })
}

fn i_frames(list: &Attributes<'_>) -> Result<IFrames, tag::Error> {
    Ok(IFrames {
        uri: list.required("URI")?.to_owned(),
        bandwidth: list.integer("BANDWIDTH")?.ok_or(tag::Error::Missing("BANDWIDTH"))?,
        average_bandwidth: list.integer("AVERAGE-BANDWIDTH")?,
        codecs: list.owned("CODECS"),
        supplemental_codecs: list.owned("SUPPLEMENTAL-CODECS"),
        resolution: resolution(list)?,
        pathway: list.owned("PATHWAY-ID"),
    })
}

fn resolution(list: &Attributes<'_>) -> Result<Option<(u32, u32)>, tag::Error> {
    let resolution = |text: &str| {
        let (width, height) = text.split_once('x')?;
        Some((tag::integer(width)?.try_into().ok()?, tag::integer(height)?.try_into().ok()?))
    };
    let resolution = |text| resolution(text).ok_or(tag::Error::Value("RESOLUTION"));
    list.text("RESOLUTION").map(resolution).transpose()
}

fn steering(list: &Attributes<'_>) -> Result<Steering, tag::Error> {
    Ok(Steering { server: list.required("SERVER-URI")?.to_owned(), pathway: list.owned("PATHWAY-ID") })
}

fn media(list: &Attributes<'_>) -> Result<Media, tag::Error> {
    Ok(match list.required("TYPE")? {
        "AUDIO" => Media::Audio(audio(list)?),
        "CLOSED-CAPTIONS" => Media::Captions(Captions {
            group: list.required("GROUP-ID")?.to_owned(),
            name: list.required("NAME")?.to_owned(),
            instream_id: list.required("INSTREAM-ID")?.to_owned(),
            language: list.owned("LANGUAGE"),
            default: list.yes("DEFAULT"),
            autoselect: list.yes("AUTOSELECT"),
        }),
        _ => Media::Other,
    })
}

fn audio(list: &Attributes<'_>) -> Result<Audio, tag::Error> {
    // `2/JOC/-` says more than the count, which is its first piece.
    let channels = |text: &str| tag::integer(text.split('/').next()?)?.try_into().ok();
    let channels = |text| channels(text).ok_or(tag::Error::Value("CHANNELS"));
    Ok(Audio {
        group: list.required("GROUP-ID")?.to_owned(),
        name: list.required("NAME")?.to_owned(),
        uri: list.owned("URI"),
        language: list.owned("LANGUAGE"),
        default: list.yes("DEFAULT"),
        autoselect: list.yes("AUTOSELECT"),
        channels: list.text("CHANNELS").map(channels).transpose()?,
    })
}
