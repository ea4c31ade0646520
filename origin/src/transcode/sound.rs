//! Which audio renditions a source gets: pure planning from its codec and the configured table.

use nearcast_api::{RenditionId, ladder as settings};
use nearcast_media::{Config as TrackConfig, Sound as Source};
use serde::{Deserialize, Serialize};

/// One row of the table of audio, `[[transcode.audio]]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// The rendition's name in every path; it begins with `audio-`.
    pub name: RenditionId,
    /// Bits per second.
    pub bitrate: u32,
}

impl From<&settings::Sound> for Step {
    fn from(step: &settings::Sound) -> Self {
        Self { name: step.name.clone(), bitrate: step.bitrate }
    }
}

impl From<&Step> for settings::Sound {
    fn from(step: &Step) -> Self {
        Self { name: step.name.clone(), bitrate: step.bitrate }
    }
}

/// The audio to make of one source, all of it AAC-LC in one form whatever the source becomes later.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sounds {
    pub sample_rate: u32,
    pub channels: u8,
    /// Best first.
    pub steps: Vec<Step>,
}

/// The audio beside a source: every step, and one in AAC for players that do not know the source's codec. AAC of any
/// profile all players know.
pub fn plan(source: &TrackConfig, steps: &[Step]) -> Sounds {
    let Some(Source { sample_rate, channels }) = source.sound() else { return Sounds::default() };
    let channels = channels.clamp(1, 2);
    let known = matches!(source, TrackConfig::Aac(_));
    let beside = settings::BESIDE.parse().ok().filter(|_| !known);
    let beside = beside.map(|name| Step { name, bitrate: u32::from(channels) * BITRATE });
    let mut steps: Vec<Step> = beside.into_iter().chain(steps.iter().cloned()).collect();
    steps.sort_by_key(|step| std::cmp::Reverse(step.bitrate));
    let sample_rate = if RATES.contains(&sample_rate) { sample_rate } else { USUAL_RATE };
    Sounds { sample_rate, channels, steps }
}

/// Bits per second of a channel beside a source in another codec.
const BITRATE: u32 = 64_000;

/// What every device plays as it is.
const RATES: [u32; 3] = [32_000, 44_100, 48_000];

const USUAL_RATE: u32 = 48_000;

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use nearcast_media::codec::{aac, opus};

    use super::*;

    fn opus(channels: u8) -> TrackConfig {
        let mut head = b"OpusHead\x01\x02\x38\x01\x80\xbb\0\0\0\0\0".to_vec();
        head[9] = channels;
        TrackConfig::Opus(opus::Config::parse(&head).unwrap())
    }

    fn aac(sample_rate: u32, channels: u8) -> TrackConfig {
        let specific = Bytes::from_static(&[0x11, 0x90]);
        TrackConfig::Aac(aac::Config { specific, sample_rate, channels, object_type: 2 })
    }

    fn planned(source: &TrackConfig, steps: &[Step]) -> (u32, u8, Vec<(String, u32)>) {
        let Sounds { sample_rate, channels, steps } = plan(source, steps);
        (sample_rate, channels, steps.into_iter().map(|step| (step.name.to_string(), step.bitrate)).collect())
    }

    #[test]
    fn a_codec_that_not_all_know_gets_aac_beside_it() {
        let low = Step { name: "audio-48k".parse().unwrap(), bitrate: 48_000 };
        let of = |name: &str, bitrate| (name.to_owned(), bitrate);
        assert_eq!(planned(&opus(2), &[]), (48_000, 2, vec![of("audio-aac", 128_000)]));
        assert_eq!(planned(&opus(1), &[]), (48_000, 1, vec![of("audio-aac", 64_000)]));
        let both = vec![of("audio-aac", 128_000), of("audio-48k", 48_000)];
        assert_eq!(planned(&opus(2), std::slice::from_ref(&low)), (48_000, 2, both));
        assert_eq!(planned(&aac(44_100, 2), &[]), (44_100, 2, vec![]));
        assert_eq!(planned(&aac(22_050, 6), &[low]), (48_000, 2, vec![of("audio-48k", 48_000)]));
    }
}
