//! The multivariant playlist of a broadcast: what each rendition is, from its configuration and what was measured.

use super::Broadcast;
use super::rendition::Rendition;
use crate::frame::Picture;
use crate::hls::multivariant::{Audio, Captions, ClosedCaptions, IFrames, Playlist, Variant};
use crate::path::File;
use crate::segment::leader::Shape;
use crate::window::Window;

/// The source first, for players begin with it, then by height. Audio alone is a variant only where there is
/// nothing else.
pub(super) fn playlist(broadcast: &Broadcast) -> Playlist {
    let uri = |rendition: &Rendition| format!("{}/{}/{}", broadcast.id, rendition.name, File::Media);
    let listed = || broadcast.renditions.iter().filter(|rendition| rendition.is_listed());
    let independent = |rendition: &Rendition| rendition.window().is_none_or(Window::is_independent);
    let shape = broadcast.leader.shape();
    let pathway = broadcast.steering.as_ref().and_then(|steering| steering.pathway.clone());
    let captions = captions(broadcast);

    let mut audio: Vec<(&Rendition, String)> = Vec::new();
    let mut video: Vec<(&Rendition, Picture)> = Vec::new();
    for rendition in listed() {
        match rendition.spec.config.picture() {
            Some(picture) => video.push((rendition, picture)),
            None => audio.push((rendition, rendition.spec.config.codec_string())),
        }
    }
    let variants = if video.is_empty() {
        let alone = |(rendition, codec): &(&Rendition, String)| Variant {
            uri: uri(rendition),
            codecs: Some(codec.clone()),
            pathway: pathway.clone(),
            ..bandwidth(&[rendition])
        };
        audio.iter().map(alone).collect()
    } else {
        video[1..].sort_by_key(|(_, picture)| std::cmp::Reverse(picture.height));
        let loudest = audio.iter().max_by_key(|(rendition, _)| peak(rendition));
        let with_audio = |(rendition, picture): &(&Rendition, Picture)| {
            let together: Vec<_> = [*rendition].into_iter().chain(loudest.map(|(audio, _)| *audio)).collect();
            let mut codecs = rendition.spec.config.codec_string();
            if let Some((_, codec)) = loudest {
                codecs = format!("{codecs},{codec}");
            }
            Variant {
                uri: uri(rendition),
                codecs: Some(codecs),
                resolution: Some((picture.width, picture.height)),
                frame_rate: frame_rate(picture, shape),
                audio: loudest.map(|_| AUDIO_GROUP.to_owned()),
                closed_captions: closed_captions(broadcast, &captions),
                pathway: pathway.clone(),
                ..bandwidth(&together)
            }
        };
        video.iter().map(with_audio).collect()
    };
    let i_frames = |(rendition, picture): &(&Rendition, Picture)| {
        let rate = rendition.window()?.i_frame_rate();
        Some(IFrames {
            uri: format!("{}/{}/{}", broadcast.id, rendition.name, File::IFrames),
            // Without a keyframe yet, or ever, there is nothing to list.
            bandwidth: Some(rate.peak()).filter(|peak| *peak > 0)?,
            average_bandwidth: Some(rate.average()).filter(|average| *average > 0),
            codecs: Some(rendition.spec.config.codec_string()),
            supplemental_codecs: None,
            resolution: Some((picture.width, picture.height)),
            pathway: pathway.clone(),
        })
    };
    let i_frames = video.iter().filter_map(i_frames).collect();
    let group = if video.is_empty() { &[] } else { &audio[..] };
    Playlist {
        independent_segments: listed().all(independent),
        steering: broadcast.steering.clone(),
        audio: group
            .iter()
            .enumerate()
            .map(|(index, (rendition, _))| Audio {
                group: AUDIO_GROUP.to_owned(),
                name: rendition.name.to_string(),
                uri: Some(uri(rendition)),
                language: None,
                default: index == 0,
                autoselect: true,
                channels: rendition.spec.config.sound().map(|sound| u32::from(sound.channels)),
            })
            .collect(),
        captions,
        variants,
        i_frames,
    }
}

/// Everybody who has spoken in the source's captions, which every rung carries on.
fn captions(broadcast: &Broadcast) -> Vec<Captions> {
    let speaker = |instream_id: String| Captions {
        group: CAPTIONS_GROUP.to_owned(),
        name: instream_id.clone(),
        instream_id,
        autoselect: true,
        ..Captions::default()
    };
    broadcast.captions.found().instream_ids().map(speaker).collect()
}

/// Where there is room for captions but nobody has spoken yet, nothing is promised and nothing denied.
fn closed_captions(broadcast: &Broadcast, captions: &[Captions]) -> Option<ClosedCaptions> {
    // Of other codecs nobody has looked.
    if !broadcast.looks_for_captions() {
        return None;
    }
    match (broadcast.captions.found().present, captions) {
        (false, _) => Some(ClosedCaptions::None),
        (true, []) => None,
        (true, _) => Some(ClosedCaptions::Group(CAPTIONS_GROUP.to_owned())),
    }
}

/// A variant with the bit rates of what is played together.
fn bandwidth(renditions: &[&Rendition]) -> Variant {
    let average = |rendition: &Rendition| match rendition.window().map(|window| window.rate().average()) {
        Some(measured) if measured > 0 => Some(measured),
        _ => rendition.spec.bandwidth,
    };
    Variant {
        bandwidth: renditions.iter().map(|rendition| peak(rendition)).sum::<u64>().max(1),
        average_bandwidth: renditions.iter().map(|rendition| average(rendition)).sum(),
        ..Variant::default()
    }
}

/// The most of what was measured and what the encoder was asked for.
pub(super) fn peak(rendition: &Rendition) -> u64 {
    let measured = rendition.window().map_or(0, |window| window.rate().peak());
    measured.max(rendition.spec.bandwidth.unwrap_or(0))
}

/// Frames per 1000 seconds: as the bitstream says, else as measured.
fn frame_rate(picture: &Picture, shape: Option<Shape>) -> Option<u32> {
    let rate = match (picture.frame_rate, shape) {
        (Some((frames, seconds)), _) if seconds > 0 => u64::from(frames) * 1000 / u64::from(seconds),
        (_, Some(shape)) => {
            let rate = 1_000_000_000_000 / shape.frame.as_nanos().max(1);
            u64::try_from(rate).ok()?
        }
        _ => return None,
    };
    u32::try_from(rate).ok().filter(|rate| *rate > 0)
}

const AUDIO_GROUP: &str = "audio";
const CAPTIONS_GROUP: &str = "captions";
