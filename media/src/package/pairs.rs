//! Which audio goes with which video in the multivariant playlist.

use super::rendition::Rendition;
use crate::frame::Config;

/// For each of so many videos, best first, the audio that it is listed with: one of every codec, in the order of the
/// renditions, so that a player finds one that it can decode.
///
/// Of several in one codec, which come best first, the lowest goes with the lowest video, the next with the one above
/// it, and so on; the source, and all that are left, go with the best.
pub(super) fn with_video<'a>(audio: &[&'a Rendition], videos: usize) -> Vec<Vec<&'a Rendition>> {
    let mut families: Vec<Vec<&Rendition>> = Vec::new();
    for rendition in audio {
        match families.iter_mut().find(|family| is_alike(family[0], rendition)) {
            Some(family) => family.push(rendition),
            None => families.push(vec![rendition]),
        }
    }
    let of = |video: usize| {
        let pick = |family: &Vec<&'a Rendition>| family[choice(video, videos, family.len())];
        families.iter().map(pick).collect()
    };
    (0..videos).map(of).collect()
}

/// The audio for a line that cannot carry video: the lowest that every player knows, or the lowest there is.
pub(super) fn alone<'a>(audio: &[&'a Rendition]) -> Option<&'a Rendition> {
    let known = |rendition: &&&Rendition| matches!(rendition.spec.config, Config::Aac(_));
    audio.iter().rfind(known).or(audio.last()).copied()
}

/// Which of so many audios goes with a video, all counted from the best.
fn choice(video: usize, videos: usize, audios: usize) -> usize {
    let above_the_lowest = videos.saturating_sub(1 + video);
    if video == 0 { 0 } else { audios.saturating_sub(1 + above_the_lowest) }
}

/// Players can change from one to the other.
fn is_alike(one: &Rendition, other: &Rendition) -> bool {
    std::mem::discriminant(&one.spec.config) == std::mem::discriminant(&other.spec.config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_videos_have_the_lowest_audios() {
        let choices =
            |videos, audios| (0..videos).map(|video| choice(video, videos, audios)).collect::<Vec<_>>();
        assert_eq!(choices(4, 1), [0, 0, 0, 0]);
        assert_eq!(choices(4, 2), [0, 0, 0, 1]);
        assert_eq!(choices(4, 3), [0, 0, 1, 2]);
        assert_eq!(choices(2, 3), [0, 2], "the source keeps its own");
        assert_eq!(choices(1, 2), [0]);
    }
}
