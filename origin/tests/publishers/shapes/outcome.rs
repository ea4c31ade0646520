//! What came of a broadcast, as a player would fetch it, and what should have.

use std::collections::BTreeMap;
use std::process::Command;

use crate::support::{Origin, packets, segments};

/// What should come of a broadcast.
#[derive(Clone, Copy)]
pub(crate) struct Expected {
    /// Pictures, and how many a second if they are even.
    video: Option<(usize, Option<f64>)>,
    /// Samples per second and channels.
    audio: Option<(u32, u32)>,
}

/// A broadcast that is over.
pub(crate) struct Outcome {
    pub(crate) channel: String,
    multivariant: String,
    tracks: BTreeMap<&'static str, Track>,
}

/// A rendition of it.
struct Track {
    playlist: String,
    /// Presentation times in seconds, in order, and which can be decoded by themselves.
    frames: Vec<(f64, bool)>,
    /// Samples per second and channels, of audio.
    sound: Option<(u32, u32)>,
}

impl Expected {
    /// Pictures at an even rate, with a sound like the publisher's own.
    pub(crate) const fn video(frames: usize, rate: f64) -> Self {
        Self { video: Some((frames, Some(rate))), audio: Some((48_000, 1)) }
    }

    /// Pictures at any times.
    pub(crate) const fn uneven(frames: usize) -> Self {
        Self { video: Some((frames, None)), audio: Some((48_000, 1)) }
    }

    pub(crate) const fn audio_only() -> Self {
        Self { video: None, audio: Some((48_000, 1)) }
    }

    pub(crate) const fn silent(self) -> Self {
        Self { audio: None, ..self }
    }

    pub(crate) const fn sound(self, rate: u32, channels: u32) -> Self {
        Self { audio: Some((rate, channels)), ..self }
    }

    /// Says what is wrong, all of it.
    pub(crate) fn compare(&self, outcome: &Outcome, seconds: f64) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut check = |right: bool, what: &dyn Fn() -> String| {
            if !right {
                wrong.push(format!("{}: {}", outcome.channel, what()));
            }
        };
        let names: Vec<&str> = outcome.tracks.keys().copied().collect();
        let (source, audio) = (outcome.tracks.get("source"), outcome.tracks.get("audio"));
        let present = (source.is_some(), audio.is_some());
        check(present == (self.video.is_some(), self.audio.is_some()), &|| format!("it has {names:?}"));
        for (name, track) in &outcome.tracks {
            let playlist = &track.playlist;
            check(playlist.ends_with("#EXT-X-ENDLIST\n"), &|| format!("{name} does not end: {playlist}"));
            for tag in ["#EXT-X-GAP", "#EXT-X-DISCONTINUITY\n"] {
                check(!playlist.contains(tag), &|| format!("{name} has {tag}: {playlist}"));
            }
            let listed: f64 = track.durations("#EXTINF:").iter().sum();
            // The last frame's duration is a guess, and audio is cut at whole frames.
            let slack = if *name == "audio" { 0.15 } else { 0.06 };
            check((listed - seconds).abs() < slack, &|| format!("{name} lasts {listed:.3} s of {seconds}"));
            let [target] = track.durations("#EXT-X-TARGETDURATION:")[..] else { panic!("{playlist}") };
            let longest = track.durations("#EXTINF:").into_iter().fold(0.0, f64::max);
            check(longest.round() <= target, &|| format!("{name} has {longest} s in a segment of {target}"));
        }
        if let (Some((frames, rate)), Some(track)) = (self.video, source) {
            let got = track.frames.len();
            check(got == frames, &|| format!("{got} pictures of {frames}"));
            check(track.frames.first().is_some_and(|(_, key)| *key), &|| "no keyframe at first".into());
            if let Some(rate) = rate {
                let even = |pair: &[(f64, bool)]| (pair[1].0 - pair[0].0 - 1.0 / rate).abs() < 0.0016;
                check(track.frames.windows(2).all(even), &|| format!("uneven: {:?}", track.frames));
                let said = format!("FRAME-RATE={rate:.3}");
                check(outcome.multivariant.contains(&said), &|| {
                    format!("not {said}: {}", outcome.multivariant)
                });
            }
        }
        if let (Some(expected), Some(track)) = (self.audio, audio) {
            check(track.sound == Some(expected), &|| format!("it sounds like {:?}", track.sound));
            let frame = 1024.0 / f64::from(expected.0);
            let even = |pair: &[(f64, bool)]| (pair[1].0 - pair[0].0 - frame).abs() < 0.001;
            check(track.frames.windows(2).all(even), &|| "there are holes in the sound".into());
            if let Some(source) = source {
                let off = track.frames[0].0 - source.frames[0].0;
                check((-0.001..frame + 0.001).contains(&off), &|| format!("sound begins {off:.3} s later"));
            }
        }
        wrong
    }
}

impl Outcome {
    /// Waits for so many broadcasts to be over and fetches them.
    pub(crate) fn of(origin: &Origin, count: usize) -> Vec<Self> {
        (0..count).map(|_| over(origin)).map(|(channel, id)| Self::fetch(origin, channel, &id)).collect()
    }

    /// Waits for the channel's broadcast to be over and fetches it.
    pub(crate) fn of_channel(origin: &Origin, channel: &str) -> Self {
        loop {
            let (ended, id) = over(origin);
            if ended == channel {
                return Self::fetch(origin, ended, &id);
            }
        }
    }

    fn fetch(origin: &Origin, channel: String, broadcast: &str) -> Self {
        let multivariant = origin.get(&format!("/live/{channel}/index.m3u8")).text();
        let mut tracks = BTreeMap::new();
        for name in ["source", "audio"] {
            let rendition = format!("/live/{channel}/{broadcast}/{name}");
            let answer = origin.get(&format!("{rendition}/media.m3u8"));
            if answer.status == 200 {
                let playlist = answer.text();
                assert!(!segments(&playlist).is_empty(), "{channel}: {playlist}");
                let file = origin.download(&rendition, &playlist);
                let mut frames = packets(&file);
                frames.sort_by(|a, b| a.0.total_cmp(&b.0));
                let sound = (name == "audio").then(|| sound(&file));
                tracks.insert(name, Track { playlist, frames, sound });
            }
        }
        Self { channel, multivariant, tracks }
    }
}

impl Track {
    /// Numbers behind a tag, one for each line that has it.
    fn durations(&self, tag: &str) -> Vec<f64> {
        let values = self.playlist.lines().filter_map(|line| line.strip_prefix(tag));
        values.map(|value| value.trim_end_matches(',').parse().unwrap()).collect()
    }
}

/// Channel and id of the next broadcast that is over.
fn over(origin: &Origin) -> (String, String) {
    let line = origin.logged("a broadcast is over");
    (line["channel"].as_str().unwrap().to_owned(), line["broadcast"].as_str().unwrap().to_owned())
}

/// Samples per second and channels of a file, as FFmpeg hears it.
fn sound(file: &std::path::Path) -> (u32, u32) {
    let probe = Command::new("ffprobe")
        .args(["-v", "error", "-show_entries", "stream=sample_rate,channels", "-of", "csv=p=0"])
        .arg(file)
        .output()
        .unwrap();
    let text = String::from_utf8(probe.stdout).unwrap();
    let (rate, channels) = text.trim().split_once(',').unwrap();
    (rate.parse().unwrap(), channels.parse().unwrap())
}
