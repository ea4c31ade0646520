//! A multivariant playlist: the renditions to choose from, and its text (RFC 8216bis §4.4.6).

use super::tag::{Writer, push};

/// The renditions of a broadcast. The order of `variants` is the order of preference: players begin with
/// the first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Playlist {
    /// Every segment of every rendition begins with a keyframe.
    pub independent_segments: bool,
    pub audio: Vec<Audio>,
    pub variants: Vec<Variant>,
}

/// A stream to play, with the audio group it goes with (EXT-X-STREAM-INF, §4.4.6.2).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Variant {
    pub uri: String,
    /// Peak bits per second of any segment, audio included.
    pub bandwidth: u64,
    /// Average bits per second, audio included.
    pub average_bandwidth: Option<u64>,
    /// RFC 6381 names of all its codecs, audio included, separated by commas.
    pub codecs: Option<String>,
    /// Width and height in pixels.
    pub resolution: Option<(u32, u32)>,
    /// Frames per 1000 seconds.
    pub frame_rate: Option<u32>,
    /// GROUP-ID of its audio.
    pub audio: Option<String>,
}

/// A rendition of the audio alone (EXT-X-MEDIA with TYPE=AUDIO, §4.4.6.1).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Audio {
    pub group: String,
    pub name: String,
    /// Without one the audio is inside the variants.
    pub uri: Option<String>,
    pub language: Option<String>,
    pub default: bool,
    pub autoselect: bool,
    pub channels: Option<u32>,
}

impl Playlist {
    /// The playlist as text.
    pub fn render(&self) -> String {
        let mut out = String::from("#EXTM3U\n#EXT-X-VERSION:6\n");
        if self.independent_segments {
            out.push_str("#EXT-X-INDEPENDENT-SEGMENTS\n");
        }
        self.audio.iter().for_each(|audio| render_audio(&mut out, audio));
        self.variants.iter().for_each(|variant| render_variant(&mut out, variant));
        out
    }
}

fn render_audio(out: &mut String, audio: &Audio) {
    let mut tag = Writer::new(out, "#EXT-X-MEDIA").plain("TYPE", "AUDIO");
    tag = tag.quoted("GROUP-ID", &audio.group).quoted("NAME", &audio.name);
    if let Some(language) = &audio.language {
        tag = tag.quoted("LANGUAGE", language);
    }
    tag = tag.yes("DEFAULT", audio.default).yes("AUTOSELECT", audio.autoselect);
    if let Some(channels) = audio.channels {
        tag = tag.quoted("CHANNELS", channels);
    }
    if let Some(uri) = &audio.uri {
        tag = tag.quoted("URI", uri);
    }
    tag.end();
}

fn render_variant(out: &mut String, variant: &Variant) {
    let mut tag = Writer::new(out, "#EXT-X-STREAM-INF").plain("BANDWIDTH", variant.bandwidth);
    if let Some(average) = variant.average_bandwidth {
        tag = tag.plain("AVERAGE-BANDWIDTH", average);
    }
    if let Some(codecs) = &variant.codecs {
        tag = tag.quoted("CODECS", codecs);
    }
    if let Some((width, height)) = variant.resolution {
        tag = tag.plain("RESOLUTION", format_args!("{width}x{height}"));
    }
    if let Some(rate) = variant.frame_rate {
        tag = tag.plain("FRAME-RATE", format_args!("{}.{:03}", rate / 1000, rate % 1000));
    }
    if let Some(audio) = &variant.audio {
        tag = tag.quoted("AUDIO", audio);
    }
    tag.end();
    push(out, format_args!("{}\n", variant.uri));
}
