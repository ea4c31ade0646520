//! The multivariant playlist of a broadcast: what each rendition is, from its configuration and what was measured.

use super::rendition::Rendition;
use super::{Broadcast, pairs};
use crate::frame::Track;
use crate::hls::multivariant::{Audio, Captions, ClosedCaptions, IFrames, Playlist, Variant};
use crate::path::File;
use crate::window::Window;

/// The source first, for players begin with it, then by height; each of them once for every audio codec (see
/// [`pairs`]). Audio alone is a variant where there is nothing else, and where [`Settings::audio_only`] asks for it.
///
/// [`Settings::audio_only`]: super::Settings::audio_only
pub(super) fn playlist(broadcast: &Broadcast) -> Playlist {
    let listed = || broadcast.renditions.iter().filter(|rendition| rendition.is_listed());
    let independent = |rendition: &Rendition| rendition.window().is_none_or(Window::is_independent);
    let captions = captions(broadcast);
    let is_video = |rendition: &&Rendition| rendition.spec.config.track() == Track::Video;
    let (mut video, audio): (Vec<&Rendition>, Vec<&Rendition>) = listed().partition(is_video);
    if let Some((_, rungs)) = video.split_first_mut() {
        rungs.sort_by_key(|rung| std::cmp::Reverse(rung.spec.config.picture().map(|picture| picture.height)));
    }
    let mut variants = Vec::new();
    // Each codec's audio is a group of its own, for a group is chosen as a whole.
    let mut groups: Vec<&Rendition> = Vec::new();
    for (rendition, sounds) in video.iter().zip(pairs::with_video(&audio, video.len())) {
        let captions = closed_captions(broadcast, &captions);
        if sounds.is_empty() {
            variants.push(variant(broadcast, rendition, None, captions));
        } else {
            let together = |sound: &&Rendition| variant(broadcast, rendition, Some(sound), captions.clone());
            variants.extend(sounds.iter().map(together));
        }
        groups.extend(sounds);
    }
    if video.is_empty() {
        variants.extend(audio.iter().map(|audio| variant(broadcast, audio, None, None)));
    } else if let Some(alone) = pairs::alone(&audio).filter(|_| broadcast.settings.audio_only) {
        // That there are no captions all variants must say, or none.
        let none = closed_captions(broadcast, &captions).filter(|found| *found == ClosedCaptions::None);
        variants.push(Variant { audio: Some(group(alone)), ..variant(broadcast, alone, None, none) });
        groups.push(alone);
    }
    let used = |audio: &&&Rendition| groups.iter().any(|group| group.name == audio.name);
    Playlist {
        independent_segments: listed().all(independent),
        steering: broadcast.steering.clone(),
        audio: audio.iter().filter(used).map(|audio| media(broadcast, audio)).collect(),
        captions,
        variants,
        i_frames: video.iter().filter_map(|rendition| i_frames(broadcast, rendition)).collect(),
    }
}

/// A rendition to play, with the audio it goes with.
fn variant(
    broadcast: &Broadcast,
    rendition: &Rendition,
    audio: Option<&Rendition>,
    closed_captions: Option<ClosedCaptions>,
) -> Variant {
    let codec = rendition.spec.config.codec_string();
    let codecs = match audio {
        Some(audio) => format!("{codec},{}", audio.spec.config.codec_string()),
        None => codec,
    };
    let picture = rendition.spec.config.picture();
    let together: Vec<_> = [rendition].into_iter().chain(audio).collect();
    Variant {
        uri: uri(broadcast, rendition, File::Media),
        codecs: Some(codecs),
        resolution: picture.map(|picture| (picture.width, picture.height)),
        frame_rate: picture.and_then(|_| frame_rate(broadcast, rendition)),
        audio: audio.map(group),
        closed_captions,
        pathway: pathway(broadcast),
        ..bandwidth(&together)
    }
}

/// Groups have the same member, the broadcast's one sound, so that players find it again when they change groups.
fn media(broadcast: &Broadcast, audio: &Rendition) -> Audio {
    Audio {
        group: group(audio),
        name: AUDIO_NAME.to_owned(),
        uri: Some(uri(broadcast, audio, File::Media)),
        language: None,
        default: true,
        autoselect: true,
        channels: audio.spec.config.sound().map(|sound| u32::from(sound.channels)),
    }
}

fn i_frames(broadcast: &Broadcast, rendition: &Rendition) -> Option<IFrames> {
    let rate = rendition.window()?.i_frame_rate();
    Some(IFrames {
        uri: uri(broadcast, rendition, File::IFrames),
        // Without a keyframe yet, or ever, there is nothing to list.
        bandwidth: Some(rate.peak()).filter(|peak| *peak > 0)?,
        average_bandwidth: Some(rate.average()).filter(|average| *average > 0),
        codecs: Some(rendition.spec.config.codec_string()),
        supplemental_codecs: None,
        resolution: rendition.spec.config.picture().map(|picture| (picture.width, picture.height)),
        pathway: pathway(broadcast),
    })
}

fn uri(broadcast: &Broadcast, rendition: &Rendition, file: File) -> String {
    format!("{}/{}/{file}", broadcast.id, rendition.name)
}

fn group(audio: &Rendition) -> String {
    audio.name.to_string()
}

fn pathway(broadcast: &Broadcast) -> Option<String> {
    broadcast.steering.as_ref().and_then(|steering| steering.pathway.clone())
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

/// Frames per 1000 seconds: as the source's bitstream says, else as measured; of a rung no more than it may have. What
/// its own bitstream says is its encoder's first guess, but where that is the publisher's.
fn frame_rate(broadcast: &Broadcast, rendition: &Rendition) -> Option<u32> {
    let own = rendition.spec.config.picture().filter(|_| rendition.spec.own);
    let source = broadcast.renditions[0].spec.config.picture()?;
    let told = own.and_then(|own| own.frame_rate).or(source.frame_rate);
    let rate = match (told, broadcast.leader.shape()) {
        (Some((frames, seconds)), _) if seconds > 0 => u64::from(frames) * 1000 / u64::from(seconds),
        (_, Some(shape)) => {
            let rate = 1_000_000_000_000 / shape.frame.as_nanos().max(1);
            u64::try_from(rate).ok()?
        }
        _ => return None,
    };
    let most = rendition.spec.max_frame_rate.map_or(u64::MAX, |most| u64::from(most) * 1000);
    u32::try_from(rate.min(most)).ok().filter(|rate| *rate > 0)
}

const AUDIO_NAME: &str = "audio";
const CAPTIONS_GROUP: &str = "captions";
